"""``connect``: from addresses and keys to an open session."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable, Generator
from dataclasses import replace
from types import TracebackType
from typing import Any, Final, Generic, TypeVar, Unpack, overload

from icws_client.addresses import MAINNET_URL, Gateways, as_principal, as_targets
from icws_client.codec import BYTES, Codec
from icws_client.connection import Connection
from icws_client.evidence import EvidenceFolder
from icws_client.http import HttpClient
from icws_client.identities import as_identity, generate
from icws_client.options import SUITES, Options, Payload
from icws_client.persistence import SessionFile
from icws_client.root_key import RootKey, as_root_key
from icws_secure.errors import MisuseError, Reason
from icws_secure.limits import NS_PER_S
from icws_secure.payload import SuiteName, is_weaker
from icws_secure.session.client import ClientConfig, ClientSession, Event, Profile, SendVia, SuiteChannel
from icws_secure.wire.principal import Principal

__all__ = ["connect"]

T = TypeVar("T")
U = TypeVar("U")


MAX_SECONDS: Final = 10 * 365 * 86_400


class connect(Generic[T]):  # noqa: N801 - a class that is used like a function, as in ``websockets``
    """Open a session with a canister::

        async with connect("wss://gateway.example", canister_id="bkyz2-fmaaa-aaaaa-qaaaq-cai") as ws:
            await ws.send(b"hello")
            print(await ws.recv())

    The block's end closes the session. ``ws = await connect(...)`` leaves that to the caller.

    Args:
        gateway: address of a gateway (``ws://`` or ``wss://``), or several in order of preference: when one dies or
            is caught the session goes on through the next. None: no gateway, the client polls the IC itself.
        canister_id: the canister, as a principal or its text.
        identity: who the user is: an identity of :mod:`icws_client.identities`, or one of ``ic-py``. None makes a new
            one.
        ic_url: the IC's HTTPS interface: for registration, audits and direct calls, none of which a gateway must see
            or hinder.
        root_key: the root key that everything is checked against; None is the main network's.
        profile: ``secure``, or ``omnia`` for canisters that speak only the older protocol. There is no fallback from
            one to the other.
        send_via: messages go through the ``gateway``, or to the IC by ``direct`` call.
        payload: how content is protected (secure profile): ``none``; ``hpke``, which hides it from gateways and the
            network; ``vetkd``, which hides it from the replicas too, end to end between a room's members: see
            :mod:`icws_client.rooms`. Of what the canister certifies that it offers, the strongest up to this is taken.
        minimum: the weakest protection to go on with; None for ``payload`` itself. Nothing weaker is ever taken.
        gateway_principal: with one gateway: the principal that it must name.
        codec: between the application's values and bytes; None for bytes.
        expires_at_ns: wished end of the session, nanoseconds since the Unix epoch; the canister and the identity's
            delegations cap it.
        open_timeout: seconds until the session must be open.
        close_timeout: seconds that a close waits for the canister's certified answer.
        send_timeout: seconds after which a message that is not confirmed is given up; None waits as long as the
            session lives.
        give_up: seconds without any gateway after which the session ends with ``NoGateway``; None tries on until it
            expires.
        on_event: is told of gateways lost and found, and all else; called in the event loop, must not block.
        evidence_dir: folder for records of what gateways were caught at, for ``icws evidence``.
        state_file: file that keeps the session, so that another process can resume it (secure profile). If it exists
            it is resumed.
        state_key: what the file is encrypted with: 32 bytes, or a passphrase.
        ssl_context: for gateways and the IC; None for the system's certificates.
        config: settings beyond these; what is an argument here takes the place of what it says.

    Raises:
        MisuseError: arguments that are wrong or do not fit together.
        PayloadViolation: the canister offers no protection that is strong enough (``SuiteTooWeak``); where the canister
            says so first, it is Refused with that code.
        RegistrationViolation: the registration's answer was not certified, not for this request, or not acceptable.
        Refused, CanisterRejected: the canister or the IC refused.
        TrustUnavailable: the clock is wrong.
        TransportError: the IC could not be reached.
        StallError, ProtocolViolation: what kept the last of the gateways from working, where none worked in time.
        ConnectionClosedError: the session ended otherwise before it was open.
    """

    @overload
    def __init__(
        self: connect[bytes],
        gateway: Gateways = ...,
        *,
        canister_id: Principal | str,
        codec: None = ...,
        **options: Unpack[Options],
    ) -> None: ...

    @overload
    def __init__(
        self: connect[U],
        gateway: Gateways = ...,
        *,
        canister_id: Principal | str,
        codec: Codec[U],
        **options: Unpack[Options],
    ) -> None: ...

    def __init__(
        self,
        gateway: Gateways = None,
        *,
        canister_id: Principal | str,
        codec: Codec[Any] | None = None,
        identity: object = None,
        ic_url: str = MAINNET_URL,
        root_key: RootKey | bytes | None = None,
        profile: Profile = "secure",
        send_via: SendVia = "gateway",
        payload: Payload = "none",
        minimum: Payload | None = None,
        gateway_principal: Principal | str | None = None,
        expires_at_ns: int | None = None,
        open_timeout: float = 60.0,
        close_timeout: float = 10.0,
        send_timeout: float | None = None,
        give_up: float | None = None,
        on_event: Callable[[Event], None] | None = None,
        evidence_dir: str | os.PathLike[str] | None = None,
        state_file: str | os.PathLike[str] | None = None,
        state_key: bytes | str | None = None,
        ssl_context: ssl.SSLContext | None = None,
        config: ClientConfig | None = None,
    ) -> None:
        if (state_file is None) != (state_key is None):
            raise MisuseError("a state_file needs a state_key, and the other way round", reason=Reason.INVALID_ARGUMENT)
        if state_file is not None and profile == "omnia":
            raise MisuseError(
                "a session of the omnia profile cannot be resumed, hence not saved", reason=Reason.UNSUPPORTED
            )
        if not isinstance(config, ClientConfig | None):
            raise MisuseError("config is a ClientConfig or None", reason=Reason.WRONG_TYPE)
        if on_event is not None and not callable(on_event):
            raise MisuseError("on_event is a function of an event, or None", reason=Reason.WRONG_TYPE)
        canister = as_principal(canister_id)
        self._config = replace(
            config if config is not None else ClientConfig(canister_id=canister),
            canister_id=canister,
            profile=profile,
            gateways=as_targets(gateway, gateway_principal),
            send_via=send_via,
            expires_at_ns=expires_at_ns,
            open_limit_ns=_nanoseconds(open_timeout),
            close_timeout_ns=_nanoseconds(close_timeout),
            send_timeout_ns=None if send_timeout is None else _nanoseconds(send_timeout),
            give_up_ns=None if give_up is None else _nanoseconds(give_up),
            persist=state_file is not None,
        )
        self._suites = _suites(payload, minimum)
        if self._suites is not None:
            if profile == "omnia":
                raise MisuseError("the omnia profile has no payload protection", reason=Reason.UNSUPPORTED)
            self._config = replace(self._config, minimum_suite=self._suites[1].value)
        self._identity = None if identity is None else as_identity(identity)
        self._root_key = as_root_key(root_key)
        if not isinstance(codec, Codec | None):
            raise MisuseError("codec is a Codec or None", reason=Reason.WRONG_TYPE)
        self._codec: Codec[Any] = BYTES if codec is None else codec
        self._ic_url = ic_url
        self._ssl = ssl_context
        self._on_event = on_event
        self._evidence_dir = evidence_dir
        self._state = None if state_file is None or state_key is None else (state_file, state_key)
        self._connection: Connection[T] | None = None

    def __await__(self) -> Generator[Any, None, Connection[T]]:
        return self.open().__await__()

    async def __aenter__(self) -> Connection[T]:
        self._connection = await self.open()
        return self._connection

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._connection is not None:
            await self._connection.__aexit__(kind, error, traceback)

    async def open(self) -> Connection[T]:
        """Open the session and return it: what ``await connect(...)`` does."""
        file = None if self._state is None else SessionFile(*self._state)
        try:
            connection = self._start(file)
        except BaseException:
            if file is not None:
                file.close()
            raise
        try:
            await connection.wait_open()
        except BaseException:
            await connection.abandon()
            raise
        return connection

    def _start(self, file: SessionFile | None) -> Connection[T]:
        saved = None if file is None else file.load()
        # A session that is resumed needs its owner only if it is told one; a new one would be a stranger to it.
        owner = generate() if self._identity is None and saved is None else self._identity
        config = self._config
        if self._suites is not None:
            strongest, minimum = self._suites
            channel = SuiteChannel(config.canister_id, strongest=strongest, minimum=minimum, entropy=os.urandom)
            config = replace(config, channel=channel)
        session = ClientSession(config, owner=owner, root_key=self._root_key, entropy=os.urandom, saved=saved)
        return Connection(
            session,
            HttpClient(self._ic_url, ssl_context=self._ssl),
            self._codec,
            close_timeout_ns=self._config.close_timeout_ns,
            on_event=self._on_event,
            evidence=None if self._evidence_dir is None else EvidenceFolder(self._evidence_dir),
            file=file,
            ssl_context=self._ssl,
        )


def _suites(payload: object, minimum: object) -> tuple[SuiteName, SuiteName] | None:
    """Return the strongest and the weakest suite to take, None for no protection.

    Raises:
        MisuseError: they are not suites, or the minimum is stronger than what is asked for.
    """
    known = {str(name): suite for name, suite in SUITES.items()}
    strongest, weakest = known.get(str(payload)), known.get(str(payload if minimum is None else minimum))
    # [ICWS-PAY-012]
    if strongest is None or weakest is None or is_weaker(strongest, weakest):
        raise MisuseError("payload and minimum are none, hpke or vetkd, in this order", requirement="ICWS-PAY-012")
    return None if strongest is SuiteName.NONE else (strongest, weakest)


def _nanoseconds(seconds: object) -> int:
    """Return a span of time in the session's unit.

    Raises:
        MisuseError: it is not above 0, or longer than ten years.
    """
    if not isinstance(seconds, int | float) or not 0 < seconds <= MAX_SECONDS:
        raise MisuseError("a timeout is a number of seconds above 0", reason=Reason.INVALID_ARGUMENT)
    return int(seconds * NS_PER_S)
