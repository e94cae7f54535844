"""What verification costs: a poll of 50 messages, a cold single message, and the decoding of a poll.

python bench/verify.py [--quick] [--json FILE]

"Bare" is the two BLS verifications (certificate and delegation) that a message under an application subnet's
certificate cannot do without, made in the same run with the same library.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from enum import Enum
from hashlib import sha256

from table import Row, at_least, at_most, main, microseconds

from icws_canister_mock.canister.samples import SAMPLES
from icws_canister_mock.replica import Replica, ReplicaConfig
from icws_canister_mock.replica.forge import forge_for
from icws_secure.bls import backend
from icws_secure.verify.certificate import CertificateVerifier
from icws_secure.verify.message import MessageSource, verify_messages
from icws_secure.verify.root_key import RootKey
from icws_secure.wire import domain
from icws_secure.wire.certificate import decode_certificate
from icws_secure.wire.frames import KeyedContent
from icws_secure.wire.hashtree import Found, digest, encode_tree, lookup
from icws_secure.wire.interface import (
    CertifiedMessages,
    ClientKey,
    OutputMessage,
    decode_get_messages_result,
    encode_get_messages_result,
)
from icws_secure.wire.merkle_map import MerkleMap
from icws_secure.wire.message import CanisterMessage, message_key
from icws_secure.wire.principal import Principal

POLL = 50
GATEWAY = Principal.self_authenticating(b"a gateway")
CLIENT = ClientKey(Principal.self_authenticating(b"a session key"), 1)


class Signer(Enum):
    """Whose key the forge uses: the canister's own subnet."""

    OWN = "own"


class Poll:
    """Fifty messages of one canister under one certificate, as an honest replica would make them.

    Args:
        first: number of the first message.
        home: replica and canister, if not new ones.
    """

    def __init__(self, first: int = 1, home: tuple[Replica, Principal] | None = None) -> None:
        if home is None:
            new = Replica(ReplicaConfig(seed=bytes(32)))
            home = (new, new.install(SAMPLES["echo"](), subnet="app"))
        self.home = home
        replica, self.canister = home
        self.root_key_der = replica.root_key_der
        self.root_key = RootKey.from_der(self.root_key_der)
        forge = forge_for(replica)
        self.now = forge.now()
        tree = MerkleMap()
        messages = []
        for number in range(first, first + POLL):
            content = CanisterMessage(CLIENT, number, self.now - 1_000, False, bytes(220), bytes(16)).encode()
            key = message_key(GATEWAY, self.now + number)
            tree = tree.insert(key.encode(), sha256(content).digest())
            messages.append(KeyedContent(key, content))
        root = MerkleMap().insert(b"websocket", tree)
        self.messages = tuple(messages)
        self.witness = encode_tree(root.witness([(b"websocket", item.key.encode()) for item in messages]))
        one = self.messages[0]
        self.one_witness = encode_tree(root.witness([(b"websocket", one.key.encode())]))
        self.certificate = forge.certificate(
            canister_id=self.canister, certified_data=root.digest(), time_ns=self.now, subnet=Signer.OWN
        )
        self.source = MessageSource(self.canister, GATEWAY, CLIENT)

    def verify(self, verifier: CertificateVerifier, count: int) -> None:
        """Verify the first so many messages."""
        witness = self.witness if count > 1 else self.one_witness
        verify_messages(
            self.messages[:count], self.certificate, witness, verifier=verifier, source=self.source, now=self.now
        )

    def bare(self) -> None:
        """The two BLS verifications and nothing else."""
        certificate = decode_certificate(self.certificate)
        if certificate.delegation is None:
            raise SystemExit("the canister is not on a delegated subnet")
        inner = decode_certificate(certificate.delegation.certificate)
        path = (b"subnet", certificate.delegation.subnet_id.raw, b"public_key")
        shown = lookup(inner.tree, path)
        if not isinstance(shown, Found):
            raise SystemExit("the delegation shows no key")
        pairings = backend()
        checks = [
            (self.root_key.raw, domain.STATE_ROOT + digest(inner.tree), inner.signature),
            (shown.value[-96:], domain.STATE_ROOT + digest(certificate.tree), certificate.signature),
        ]
        self.checks = checks
        for key, message, signature in checks:
            pairings.verify(key, message, signature)


def of_polls(count: int, messages: int, *, anew: bool) -> list[float]:
    """CPU of verifying the first messages of each of so many polls, microseconds. Each poll has a certificate, a
    witness and messages of its own, of which nothing is remembered.

    Args:
        count: how many polls.
        messages: how many of each.
        anew: each poll has a verifier of its own, and so is the first of its subnet; otherwise one verifies all, as a
            client's does, and knows the delegation from the first on.
    """
    first = Poll()
    verifier = CertificateVerifier(first.root_key)
    times = []
    for poll in [Poll(1 + POLL * number, first.home) for number in range(count)]:
        start = time.thread_time_ns()
        poll.verify(CertificateVerifier(first.root_key) if anew else verifier, messages)
        times.append((time.thread_time_ns() - start) / 1e3)
    return times


def measure(quick: bool) -> Iterator[Row]:
    """The rows of the table."""
    poll = Poll()
    poll.bare()
    pairings, seconds = backend(), 0.05 if quick else 1.0

    def bare() -> None:
        for key, message, signature in poll.checks:
            pairings.verify(key, message, signature)

    def time_of(step: Callable[[], object]) -> float:
        return microseconds(step, seconds=seconds)

    two = time_of(bare)
    against = "two bare BLS verifications"
    yield Row("verify.bare", two, "us")
    polls = 4 if quick else 100
    cold = statistics.median(of_polls(polls, 1, anew=True))
    yield Row("verify.message.cold", cold, "us", cold / two, against, at_most(1.3, ratio=True))
    whole = statistics.median(of_polls(polls, POLL, anew=True))
    yield Row("verify.poll_of_50.cold", whole, "us", whole / two, against)
    yield Row("verify.poll_of_50.cold.rate", POLL / whole * 1e6, "messages/s")
    # the first with its delegation, every one with its certificate
    rate = POLL * 1e6 / statistics.mean(of_polls(polls, POLL, anew=False))
    yield Row("verify.poll_of_50.rate", rate, "messages/s", target=at_least(20_000))
    known = CertificateVerifier(poll.root_key)
    warm = time_of(lambda: poll.verify(known, POLL))
    yield Row("verify.poll_of_50.certificate_known.rate", POLL / warm * 1e6, "messages/s")
    reply = encode_get_messages_result(
        CertifiedMessages(
            tuple(OutputMessage(CLIENT, item.key, item.content) for item in poll.messages),
            poll.certificate,
            poll.witness,
            False,
        )
    )
    yield Row(f"verify.candid_of_poll.{len(reply)}_bytes", time_of(lambda: decode_get_messages_result(reply)), "us")


if __name__ == "__main__":
    main(__doc__, measure)
