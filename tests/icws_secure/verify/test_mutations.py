"""Every byte of a certificate and of a witness matters: with one bit flipped it is refused."""

from __future__ import annotations

import random
from typing import Any

import pytest

from icws_secure.errors import ProtocolViolation
from icws_secure.verify import verify_witness
from icws_secure.wire.hashtree import Fork, Labeled, Leaf, encode_tree
from icws_secure.wire.principal import Principal

NOW = 1_795_000_000_000_000_000
CANISTER = Principal(bytes.fromhex("00000000003002100101"))
TREE = Fork(Labeled(b"a", Leaf(b"1")), Labeled(b"b", Leaf(b"2")))

pytestmark = pytest.mark.req("ICWS-LIB-005", "ICWS-LIB-010", "ICWS-LIB-012", "ICWS-LIB-023")


@pytest.fixture(scope="module")
def certificate(issuer: Any) -> bytes:
    made: bytes = issuer.certificate(issuer.certified_data(TREE))
    return made


def positions(length: int, count: int) -> list[int]:
    return sorted(random.Random(length).sample(range(length), min(count, length)))


@pytest.mark.parametrize("part", range(8))
def test_flipped_bit_of_a_certificate_is_refused(issuer: Any, certificate: bytes, part: int) -> None:
    verifier = issuer.verifier(cache_entries=0)
    for position in positions(len(certificate), 160)[part::8]:
        mutated = bytearray(certificate)
        mutated[position] ^= 1 << random.Random(position).randrange(8)
        if position < 3:
            continue  # without its tag it is the same certificate
        with pytest.raises(ProtocolViolation):
            verifier.verify(bytes(mutated), now=NOW, canister_id=CANISTER)


def test_truncated_certificate_is_refused(issuer: Any, certificate: bytes) -> None:
    for end in positions(len(certificate), 60):
        with pytest.raises(ProtocolViolation):
            issuer.verifier().verify(certificate[:end], now=NOW, canister_id=CANISTER)


def test_extended_certificate_is_refused(issuer: Any, certificate: bytes) -> None:
    with pytest.raises(ProtocolViolation):
        issuer.verifier().verify(certificate + b"\x00", now=NOW, canister_id=CANISTER)


def test_flipped_bit_of_a_witness_is_refused(issuer: Any, certificate: bytes) -> None:
    verified = issuer.verifier().verify(certificate, now=NOW, canister_id=CANISTER)
    witness = encode_tree(TREE)
    verify_witness(verified, CANISTER, witness)
    for position in range(3, len(witness)):
        for bit in range(8):
            mutated = bytearray(witness)
            mutated[position] ^= 1 << bit
            with pytest.raises(ProtocolViolation):
                verify_witness(verified, CANISTER, bytes(mutated))
