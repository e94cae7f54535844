"""What a canister's code has as ``self.ws``: its clients, and what can be done with them."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from icws_secure.errors import MisuseError, Reason
from icws_secure.session.canister import CanisterConfig, CanisterEvent, CanisterSessions
from icws_secure.wire.hashtree import HashTree
from icws_secure.wire.interface import ClientKey
from icws_secure.wire.merkle_map import Subtree
from icws_secure.wire.principal import Principal

if TYPE_CHECKING:
    from .kit import WebSocketCanister

__all__ = ["Client", "Recipient", "WebSockets"]


@dataclass(frozen=True, slots=True)
class Client:
    """One session, as handlers see it. Compares equal to itself in every execution.

    Attributes:
        key: names the session for its whole life, whatever gateways it is attached through.
        owner: the user; in ``omnia/1`` whoever signed the open.
        secure: whether the session is of ``icws-secure/1``.
    """

    key: ClientKey
    owner: Principal
    secure: bool

    @property
    def principal(self) -> Principal:
        """Who signs the session's messages: the session principal; in ``omnia/1`` the owner."""
        return self.key.client_principal


Recipient: TypeAlias = Client | ClientKey
"""Who a message is for."""


class WebSockets:
    """The canister's sessions.

    Everything sent is certified in the same execution, and undone if that execution traps.

    Args:
        canister: whose sessions.
        sessions: the machine behind.
    """

    def __init__(self, canister: WebSocketCanister, sessions: CanisterSessions) -> None:
        self._canister = canister
        self._sessions = sessions
        self._batches = 0
        self._seeded = False

    def __deepcopy__(self, memo: dict[int, Any]) -> WebSockets:
        # the machine's state is immutable: a snapshot of any number of sessions is one reference
        twin = WebSockets(copy.deepcopy(self._canister, memo), copy.copy(self._sessions))
        twin._seeded = self._seeded
        return twin

    @property
    def config(self) -> CanisterConfig:
        """The settings."""
        return self._sessions.config

    @property
    def epoch(self) -> int:
        """The canister's epoch: canister time at which its present state began."""
        return self._sessions.state.epoch_ns

    @property
    def clients(self) -> tuple[Client, ...]:
        """All sessions that are not over, detached ones too."""
        return tuple(client for key in self._sessions.clients() if (client := self.find(key)) is not None)

    def find(self, recipient: Recipient) -> Client | None:
        """The session of a client key, also one that is over and still remembered, or None."""
        key = _key(recipient)
        session = self._sessions.find(key)
        return None if session is None else Client(key, session.owner, session.secure)

    def of_principal(self, principal: Principal) -> Client | None:
        """The session that ``principal`` signs for, if it is not over."""
        session = self._sessions.state.sessions.get(principal)
        return None if session is None or session.closed_ns is not None else self.find(session.client_key)

    def of_owner(self, owner: Principal) -> tuple[Client, ...]:
        """All sessions of a user that are not over."""
        return tuple(client for client in self.clients if client.owner == owner)

    def send(self, recipient: Recipient, data: bytes) -> None:
        """Give a client a message.

        Messages of secure sessions are kept until the client has acknowledged them, and reach it through whatever
        gateway it attaches next.

        Raises:
            MisuseError: there is no such session (``WrongState``), or a limit stands in the way (``LimitExceeded``):
                nothing is
                dropped to make place.
        """
        self._sessions.send(_key(recipient), data, self._canister.ic.time_ns)
        self._changed()

    def broadcast(self, data: bytes, recipients: Iterable[Recipient] | None = None) -> Mapping[ClientKey, MisuseError]:
        """Give many clients a message, by default all; gives what stood in the way of those that could not have it."""
        keys = self._sessions.clients() if recipients is None else [_key(recipient) for recipient in recipients]
        failed = self._sessions.send_many(keys, data, self._canister.ic.time_ns)
        self._changed()
        return failed

    def close(self, recipient: Recipient) -> None:
        """End a session; the client is told, after everything that was sent before.

        Raises:
            MisuseError: there is no such session.
        """
        outcome = self._sessions.disconnect(_key(recipient), self._canister.ic.time_ns)
        self._changed(outcome.events)

    def begin_epoch(self) -> None:
        """Forget all sessions and begin another epoch, after the canister was put back to a snapshot.

        No code runs when a snapshot is loaded, so its operator must call a method of the canister that does this.
        Clients end with ``EpochChanged`` rather than with the state of an earlier time; handlers are not told.
        """
        self._sessions.begin_epoch(self._canister.ic.time_ns)
        self._changed()

    def certify(self, label: bytes, subtree: Subtree | None) -> None:
        """Certify something of the canister's own under a label of the root; only the kit sets certified data.

        Args:
            label: not ``icws`` or ``websocket``.
            subtree: a value, a map of values, or None to take it away.

        Raises:
            MisuseError: the label is taken.
        """
        # [ICWS-CAN-050]
        self._sessions.set_application(label, subtree)
        self._changed()

    def witness(self, *paths: Sequence[bytes]) -> HashTree:
        """The witness of some paths, for a query's answer next to ``self.ic.data_certificate()``."""
        return self._sessions.application_witness(paths)

    @contextlib.contextmanager
    def batch(self) -> Iterator[None]:
        """Certify once at the end of the block rather than for each call. There must be no await in it."""
        self._batches += 1
        try:
            yield
        finally:
            self._batches -= 1
        self._changed()

    def _changed(self, events: Iterable[CanisterEvent] = ()) -> None:
        """Certify, arm the timer and hand over: at the end of whatever has changed the sessions."""
        self._canister._hand_over(events)
        if self._batches:
            return
        ic = self._canister.ic
        # [ICWS-CAN-051]
        ic.set_certified_data(self._sessions.certified_root())
        deadlines = (self._sessions.next_deadline(), self._sessions.suite_keys_due() if self._seeded else None)
        deadline = min((each for each in deadlines if each is not None), default=None)
        ic.set_timer_at(None if deadline is None else max(deadline, ic.time_ns + 1))

    def _suite_keys_are_due(self) -> bool:
        due = self._sessions.suite_keys_due()
        return due is not None and due <= self._canister.ic.time_ns


def _key(recipient: Recipient) -> ClientKey:
    if isinstance(recipient, Client):
        return recipient.key
    if isinstance(recipient, ClientKey):
        return recipient
    raise MisuseError("a recipient is a client or a client key", reason=Reason.WRONG_TYPE)
