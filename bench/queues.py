"""Prepared queues: messages of a canister under valid certificates, and every answer to a poll, made in advance.

Everything follows from a specification, so that the prepared IC and the clients, which are processes of their own, know
the same canisters, sessions and messages without telling each other.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import Enum
from functools import cached_property, lru_cache
from hashlib import sha256
from typing import Any, Final

from icws_canister_mock.canister.samples import SAMPLES
from icws_canister_mock.replica import Replica, ReplicaConfig
from icws_canister_mock.replica.forge import forge_for
from icws_secure.sign.identity import Ed25519Identity
from icws_secure.wire.hashtree import encode_tree
from icws_secure.wire.interface import CertifiedMessages, ClientKey, OutputMessage, encode_get_messages_result
from icws_secure.wire.merkle_map import MerkleMap
from icws_secure.wire.message import CanisterMessage, message_key
from icws_secure.wire.principal import Principal

__all__ = [
    "EMPTY_REPLY",
    "PAGE",
    "PreparedCanister",
    "PreparedIc",
    "QueueSpec",
    "Signer",
    "client_identity",
    "client_key",
]

PAGE: Final = 50
"""Messages of one poll, as deployed canisters send them."""

_SALT: Final = 16

EMPTY_REPLY: Final = encode_get_messages_result(CertifiedMessages((), b"", b"", True))
"""The answer to a poll of a place that has no message yet."""


class Signer(Enum):
    """Whose key signs certificates: the canister's own subnet's."""

    OWN = "own"


@dataclass(frozen=True, slots=True)
class QueueSpec:
    """One canister's queue.

    Attributes:
        first_client: number of its first client.
        clients: how many it has.
        messages: how many its queue has in all.
        run: messages in a row that are for the same client.
        content: bytes of the application's content of each.
        heavy_every: each message of such a number is for the first client, and ...
        heavy_content: ... has content of this size; 0: there are none.
        held: messages that the canister's tree holds at the same time.
        salted: messages carry a salt, as those of ``icws-secure/1`` do.
    """

    first_client: int
    clients: int
    messages: int
    run: int = 1
    content: int = 200
    heavy_every: int = 0
    heavy_content: int = 0
    held: int = 1_000
    salted: bool = True

    def client_of(self, number: int) -> int:
        """Whose message it is."""
        if self.heavy_every and number % self.heavy_every == 0:
            return self.first_client
        return self.first_client + (number // self.run) % self.clients

    def content_of(self, number: int) -> int:
        """How long its content is."""
        return self.heavy_content if self.heavy_every and number % self.heavy_every == 0 else self.content

    def as_json(self) -> dict[str, Any]:
        """For the other process."""
        return asdict(self)


@lru_cache(maxsize=20_000)
def client_identity(number: int) -> Ed25519Identity:
    """The session key of a client."""
    return Ed25519Identity(sha256(b"client %d" % number).digest())


def client_key(number: int) -> ClientKey:
    """The client key of a client."""
    return ClientKey(client_identity(number).principal, number)


class PreparedIc:
    """The canisters of a specification.

    Args:
        gateway: whose queues they hold.
        specs: the queues.
    """

    def __init__(self, gateway: Principal, specs: tuple[QueueSpec, ...]) -> None:
        replica = Replica(ReplicaConfig(seed=bytes(32)))
        self.root_key_der = replica.root_key_der
        self.forge = forge_for(replica)
        self.canisters = tuple(
            PreparedCanister(replica.install(SAMPLES["echo"](), subnet="app"), gateway, spec, self.forge)
            for spec in specs
        )


class PreparedCanister:
    """One canister and its queue.

    Args:
        canister: its id.
        gateway: whose queue.
        spec: the queue.
        forge: signs certificates.
    """

    def __init__(self, canister: Principal, gateway: Principal, spec: QueueSpec, forge: Any) -> None:
        self.id = canister
        self.spec = spec
        self._gateway = gateway
        self._forge = forge
        self._sequence: dict[int, int] = {}

    def polls(self) -> Iterator[tuple[int, tuple[OutputMessage, ...], bytes, bytes]]:
        """For each page of the queue its first place, messages, certificate and whole witness."""
        held = self.spec.held
        for start in range(0, self.spec.messages, held):
            now = self._forge.now()
            messages = [self._message(n, now) for n in range(start, min(start + held, self.spec.messages))]
            tree = MerkleMap.from_items({m.key.encode(): sha256(m.content).digest() for m in messages})
            root = MerkleMap.from_items({b"websocket": tree})
            certificate = self._forge.certificate(
                canister_id=self.id, certified_data=root.digest(), time_ns=now, subnet=Signer.OWN
            )
            for offset in range(0, len(messages), PAGE):
                page = tuple(messages[offset : offset + PAGE])
                witness = encode_tree(root.witness([(b"websocket", m.key.encode()) for m in page]))
                yield start + offset, page, certificate, witness

    @cached_property
    def replies(self) -> dict[int, tuple[bytes, bytes]]:
        """The answers to a poll at each page's first place: the queue goes on after it, and it does not."""
        found = {}
        for first, page, certificate, witness in self.polls():
            more, end = (
                encode_get_messages_result(CertifiedMessages(page, certificate, witness, last))
                for last in (False, True)
            )
            found[first] = (more, end)
        return found

    def _message(self, number: int, now: int) -> OutputMessage:
        client = self.spec.client_of(number)
        sequence = self._sequence[client] = self._sequence.get(client, 0) + 1
        key = client_key(client)
        content = bytes(self.spec.content_of(number))
        salt = bytes(_SALT) if self.spec.salted else None
        message = CanisterMessage(key, sequence, now - 1_000, False, content, salt).encode()
        return OutputMessage(key, message_key(self._gateway, number), message)
