"""Which connection gets whose messages: clients by canister and client key."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Protocol

from icws_secure.wire.cbor import encode
from icws_secure.wire.close_codes import CloseCode
from icws_secure.wire.interface import ClientKey
from icws_secure.wire.principal import Principal
from icws_secure.wire.usual_reply import read_usual_client

from .config import GatewayConfig
from .open_check import OpenedSession
from .refusal import ClientRefused

__all__ = ["CanisterClients", "Directory", "Recipient", "owner_of", "owner_of_usual"]


def owner_of(key: ClientKey) -> bytes:
    """The name of a client key: its entry in the CBOR of a message, which comes first there.

    Bytes that are found again without computing anything: client keys are compared for every message.
    """
    return _entry(key.client_principal.raw, key.client_nonce)


@lru_cache(maxsize=16_384)
def owner_of_usual(client: bytes) -> bytes:
    """As :func:`owner_of`, of a client key as :mod:`icws_secure.wire.usual_reply` has it."""
    principal, nonce = read_usual_client(client)
    return _entry(principal.raw, nonce)


@lru_cache(maxsize=16_384)
def _entry(principal: bytes, nonce: int) -> bytes:
    return encode("client_key") + encode({"client_principal": principal, "client_nonce": nonce})


class Recipient(Protocol):
    """A connected client, as delivery sees it."""

    @property
    def session(self) -> OpenedSession:
        """What it opened."""

    @property
    def modern(self) -> bool:
        """Whether it speaks our subprotocol."""

    @property
    def attached(self) -> bool:
        """Whether the canister answered its open."""

    def send(self, frame: bytes) -> bool:
        """Sends a frame, or queues it within the client's bounds; never waits and never fails. False if the client is
        gone. The caller counts it."""

    def post(self, frame: bytes, kind: str) -> None:
        """As :meth:`send`, and counts it."""

    def refuse(self, why: ClientRefused) -> None:
        """Closes the connection with a code; never waits."""


class CanisterClients:
    """The clients of one canister.

    Attributes:
        canister: which.
        by_owner: the clients, by the names of their keys (:func:`owner_of`).
    """

    __slots__ = ("_legacy", "_omnia", "by_owner", "canister")

    def __init__(self, canister: Principal) -> None:
        self.canister = canister
        self.by_owner: dict[bytes, Recipient] = {}
        self._legacy = 0
        self._omnia = 0

    @property
    def has_legacy(self) -> bool:
        """Whether a client is there that may know only the old form of canister ranges."""
        return self._legacy > 0

    @property
    def has_omnia(self) -> bool:
        """Whether a client of ``omnia/1`` is there."""
        return self._omnia > 0

    def of(self, key: ClientKey) -> Recipient | None:
        """The client of a client key, None if it is not here."""
        return self.by_owner.get(owner_of(key))

    def put(self, client: Recipient) -> None:
        """Adds a client, in place of another of the same key."""
        owner = owner_of(client.session.client_key)
        self.discard(self.by_owner.get(owner))
        self.by_owner[owner] = client
        self._legacy += not client.modern
        self._omnia += not client.session.secure

    def discard(self, client: Recipient | None) -> bool:
        """Removes a client if it is there; another of the same key stays."""
        if client is None:
            return False
        owner = owner_of(client.session.client_key)
        if self.by_owner.get(owner) is not client:
            return False
        del self.by_owner[owner]
        self._legacy -= not client.modern
        self._omnia -= not client.session.secure
        return True


class Directory:
    """All clients whose open was verified."""

    def __init__(self) -> None:
        self._canisters: dict[Principal, CanisterClients] = {}

    def __len__(self) -> int:
        return len(self._canisters)

    def __iter__(self) -> Iterator[CanisterClients]:
        return iter(tuple(self._canisters.values()))

    def clients(self) -> Iterator[Recipient]:
        """Every client."""
        for canister in self:
            yield from tuple(canister.by_owner.values())

    def of(self, canister: Principal) -> CanisterClients | None:
        """The clients of a canister, None if there are none."""
        return self._canisters.get(canister)

    def admit(self, session: OpenedSession, config: GatewayConfig) -> None:
        """Whether a client with this session may come in now. Changes nothing.

        Raises:
            ClientRefused: its key is connected and the open is not a higher attach; or a bound is reached.
        """
        clients = self._canisters.get(session.canister)
        if clients is None:
            # [ICWS-GWY-018]
            if len(self._canisters) >= config.max_canisters:
                raise ClientRefused(CloseCode.TOO_MANY_CONNECTIONS, "too many canisters", limit="canisters")
            return
        present = clients.of(session.client_key)
        if present is not None:
            # [ICWS-GWY-003] whoever holds the key proved it, but an open does not replace one that stands ...
            if not (session.secure and present.session.secure):
                raise ClientRefused(CloseCode.CLIENT_KEY_CONNECTED, "this client key is connected")
            # [ICWS-GWY-003] ... unless it is provably the later one
            if session.attach <= present.session.attach:
                raise ClientRefused(CloseCode.STALE_ATTACH, "the attach is not above the connected one")
        # [ICWS-GWY-018]
        elif len(clients.by_owner) >= config.max_connections_per_canister:
            raise ClientRefused(
                CloseCode.TOO_MANY_CONNECTIONS, "too many clients of this canister", limit="canister_connections"
            )

    def put(self, client: Recipient) -> Recipient | None:
        """Registers a client for delivery; returns the one whose place it takes."""
        clients = self._canisters.setdefault(client.session.canister, CanisterClients(client.session.canister))
        present = clients.of(client.session.client_key)
        clients.put(client)
        return present

    def discard(self, client: Recipient) -> None:
        """Forgets a client, and its canister with the last one."""
        clients = self._canisters.get(client.session.canister)
        if clients is not None and clients.discard(client) and not clients.by_owner:
            del self._canisters[client.session.canister]
