"""The client's session as one sans-I/O machine: inputs and ``now`` in, actions, events and the next deadline out."""

from __future__ import annotations

from collections.abc import Callable

from icws_secure.errors import TransportError
from icws_secure.session.client.actions import Action
from icws_secure.session.client.config import ClientConfig, Confirm, GatewayTarget
from icws_secure.session.client.events import Event
from icws_secure.session.client.table import SessionState
from icws_secure.sign.identity import Identity
from icws_secure.verify.certificate import RootKey
from icws_secure.wire.interface import ClientKey, Parameters
from icws_secure.wire.principal import Principal

__all__ = ["ClientSession"]


class ClientSession:
    """One session of one client with one canister, over any number of gateways.

    The shell calls an input, then drains :meth:`actions` (in order) and :meth:`events`, then sleeps until :meth:`next_deadline` or the
    next input. ``now`` is always nanoseconds since 1970 and never goes back by more than the wall clock does.

    Inputs never raise because of what a peer sent: peers' faults become events. They raise :class:`MisuseError` only for
    wrong use by the shell or the application.

    Args:
        config: the settings.
        owner: the user's own identity; signs the registration. May be None when ``saved`` is given.
        root_key: the pinned root key of the IC.
        entropy: gives that many unpredictable bytes.
        saved: what :meth:`export_state` (or :class:`SaveState`) gave earlier; the session is resumed.

    Raises:
        MisuseError: settings that do not fit together; ``owner`` missing.
        DecodeError: ``saved`` is malformed.
    """

    def __init__(
        self,
        config: ClientConfig,
        *,
        owner: Identity | None,
        root_key: RootKey,
        entropy: Callable[[int], bytes],
        saved: bytes | None = None,
    ) -> None:
        raise NotImplementedError

    # what the application sees

    @property
    def state(self) -> SessionState:
        """Where the session is."""
        raise NotImplementedError

    @property
    def session_principal(self) -> Principal:
        """Principal that signs the session's calls."""
        raise NotImplementedError

    @property
    def client_key(self) -> ClientKey:
        """The session's name at the canister; fixed for its life."""
        raise NotImplementedError

    @property
    def parameters(self) -> Parameters | None:
        """The certified parameters, None before registration and in the omnia profile."""
        raise NotImplementedError

    @property
    def target(self) -> GatewayTarget | None:
        """The gateway in use or being tried; None when there is none (detached or direct)."""
        raise NotImplementedError

    @property
    def gateway(self) -> Principal | None:
        """Principal of the gateway attached to; the session's own when direct; None when detached."""
        raise NotImplementedError

    @property
    def attach(self) -> int:
        """Number of the latest attachment, 0 before the first."""
        raise NotImplementedError

    # intents of the application

    def start(self, now: int) -> None:
        """Begin: register (secure) or connect (omnia). A restored session attaches at once."""
        raise NotImplementedError

    def send(self, data: bytes, now: int, *, confirm: Confirm = "executed") -> int:
        """Queue a message to the canister; sent as soon as order and windows allow, across attachments.

        Returns:
            the send id that later events carry; ids increase by one from 1.

        Raises:
            MisuseError: the queue is full (``LimitExceeded``), the message too large (``TooLarge``), or the session closing or
                ended (``WrongState``).
        """
        raise NotImplementedError

    def taken(self, through_seq: int, now: int) -> None:
        """The application has (with persistence: has durably) all messages up to ``through_seq``. [ICWS-CLT-051]"""
        raise NotImplementedError

    def close(self, now: int, code: int = 1000, reason: str = "") -> None:
        """End the session: queued messages first, then the close itself; :class:`Ended` follows within ``close_timeout_ns``.

        Args:
            now: the time.
            code: WebSocket close code for the gateway; 1000 or 4001.
            reason: for the gateway's logs.
        """
        raise NotImplementedError

    def audit(self, now: int) -> None:
        """Ask the IC for the certified head at once (secure profile; without effect otherwise)."""
        raise NotImplementedError

    def reading_paused(self, now: int) -> None:
        """The shell stops reading the socket (the application is slow): silence is nobody's fault until ``reading_resumed``."""
        raise NotImplementedError

    def reading_resumed(self, now: int) -> None:
        """The shell reads the socket again."""
        raise NotImplementedError

    # inputs from the transport

    def connected(self, now: int, subprotocol: str | None = None) -> None:
        """The WebSocket is open; ``subprotocol`` is what was agreed, None for none."""
        raise NotImplementedError

    def connect_failed(self, error: TransportError, now: int) -> None:
        """The WebSocket could not be opened."""
        raise NotImplementedError

    def receive_frame(self, data: bytes | str, now: int) -> None:
        """A complete WebSocket message arrived (a text message is a violation)."""
        raise NotImplementedError

    def disconnected(self, code: int, reason: str, now: int) -> None:
        """The gateway closed the WebSocket, or it broke (1006)."""
        raise NotImplementedError

    def http_response(self, request_id: int, status: int, body: bytes, now: int) -> None:
        """The answer to :class:`HttpRequest` ``request_id``."""
        raise NotImplementedError

    def http_failed(self, request_id: int, error: TransportError, now: int) -> None:
        """:class:`HttpRequest` ``request_id`` got no answer."""
        raise NotImplementedError

    def tick(self, now: int) -> None:
        """Time has passed; call at :meth:`next_deadline`, harmless at any time."""
        raise NotImplementedError

    # outputs

    def actions(self) -> list[Action]:
        """Take what is to be done, in order."""
        raise NotImplementedError

    def events(self) -> list[Event]:
        """Take what has happened, in order."""
        raise NotImplementedError

    def next_deadline(self) -> int | None:
        """When :meth:`tick` is due, nanoseconds since 1970, or None."""
        raise NotImplementedError

    def export_state(self) -> bytes:
        """Return what another process needs to resume the session, the secret session key included.

        Raises:
            MisuseError: there is nothing to resume yet (not registered), or the session has ended, or the profile is omnia.
        """
        raise NotImplementedError
