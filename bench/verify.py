"""What verification costs: a poll of 50 messages, a cold single message, and the decoding of a poll.

python bench/verify.py [--json FILE]

"Bare" is the two BLS verifications (certificate and delegation) that a message under an application subnet's
certificate cannot do without, made in the same run with the same library.
"""

from __future__ import annotations

from enum import Enum
from hashlib import sha256
from typing import Any

from table import main, microseconds

from icws_canister_mock.canister.samples import SAMPLES
from icws_canister_mock.replica import Replica, ReplicaConfig
from icws_canister_mock.replica.forge import forge_for
from icws_secure.bls import backend
from icws_secure.verify.certificate import CertificateVerifier, RootKey
from icws_secure.verify.message import MessageSource, verify_messages
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
    """Fifty messages of one canister under one certificate, as an honest replica would make them."""

    def __init__(self) -> None:
        replica = Replica(ReplicaConfig(seed=bytes(32)))
        self.canister = replica.install(SAMPLES["echo"](), subnet="app")
        self.root_key = RootKey.from_der(replica.root_key_der)
        forge = forge_for(replica)
        self.now = forge.now()
        tree = MerkleMap()
        messages = []
        for number in range(1, POLL + 1):
            content = CanisterMessage(CLIENT, number, self.now - 1_000, False, bytes(220), bytes(16)).encode()
            key = message_key(GATEWAY, self.now + number)
            tree = tree.insert(key.encode(), sha256(content).digest())
            messages.append(KeyedContent(key, content))
        root = MerkleMap().insert(b"websocket", tree)
        self.messages = tuple(messages)
        self.witness = encode_tree(root.witness([(b"websocket", item.key.encode()) for item in messages]))
        first = self.messages[0]
        self.one_witness = encode_tree(root.witness([(b"websocket", first.key.encode())]))
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


def measure() -> list[dict[str, Any]]:
    """The rows of the table."""
    poll = Poll()
    poll.bare()
    pairings = backend()

    def bare() -> None:
        for key, message, signature in poll.checks:
            pairings.verify(key, message, signature)

    two = microseconds(bare)
    # A fresh verifier knows no certificate and no delegation: nothing of the work is saved.
    cold = microseconds(lambda: poll.verify(CertificateVerifier(poll.root_key), 1))
    whole = microseconds(lambda: poll.verify(CertificateVerifier(poll.root_key), POLL))
    known = CertificateVerifier(poll.root_key)
    warm = microseconds(lambda: poll.verify(known, POLL))
    reply = encode_get_messages_result(
        CertifiedMessages(
            tuple(OutputMessage(CLIENT, item.key, item.content) for item in poll.messages),
            poll.certificate,
            poll.witness,
            False,
        )
    )
    candid = microseconds(lambda: decode_get_messages_result(reply))
    bls = "two bare BLS verifications"
    return [
        {"name": "two BLS verifications, bare", "value": two, "unit": "us"},
        {"name": "one message, cold", "value": cold, "unit": "us", "ratio": cold / two, "against": bls},
        {"name": "poll of 50, cold", "value": whole, "unit": "us", "ratio": whole / two, "against": bls},
        {"name": "poll of 50, cold", "value": POLL / whole * 1e6, "unit": "messages/s"},
        {"name": "poll of 50, certificate known", "value": POLL / warm * 1e6, "unit": "messages/s"},
        {"name": f"Candid of a poll, {len(reply)} bytes", "value": candid, "unit": "us"},
    ]


if __name__ == "__main__":
    main(__doc__, measure)
