"""Witnesses: a canister's own tree under its certified data."""

from __future__ import annotations

from typing import Any

import pytest

from icws_secure.errors import CertificateError, DecodeError, MisuseError, Reason
from icws_secure.verify import VerifiedWitness, verify_witness
from icws_secure.wire.hashtree import EMPTY, Fork, Found, HashTree, Labeled, Leaf, Pruned, encode_tree, prune
from icws_secure.wire.principal import Principal

NOW = 1_795_000_000_000_000_000
CANISTER = Principal(bytes.fromhex("00000000003002100101"))
OTHER = Principal(bytes.fromhex("00000000003002200101"))
FOREIGN = Principal(bytes.fromhex("00000000004002100101"))
TREE = Fork(Labeled(b"a", Leaf(b"1")), Labeled(b"b", Leaf(b"2")))


def certify(issuer: Any, tree: HashTree, canister: Principal = CANISTER) -> Any:
    content = issuer.certified_data(tree, canister)
    return issuer.verifier().verify(issuer.certificate(content), now=NOW, canister_id=CANISTER)


def refuse(certificate: Any, canister: Principal, tree: bytes) -> CertificateError:
    with pytest.raises(CertificateError) as caught:
        verify_witness(certificate, canister, tree)
    return caught.value


def test_what_the_canister_certified_is_found(issuer: Any) -> None:
    witness = verify_witness(certify(issuer, TREE), CANISTER, encode_tree(TREE))
    assert witness.lookup([b"a"]) == Found(b"1")
    assert witness.canister_id == CANISTER


def test_pruned_witness_is_as_good(issuer: Any) -> None:
    witness = verify_witness(certify(issuer, TREE), CANISTER, encode_tree(prune(TREE, [[b"b"]])))
    assert witness.lookup([b"b"]) == Found(b"2")


@pytest.mark.req("ICWS-CLT-023")
def test_of_another_tree_is_refused(issuer: Any) -> None:
    other = Fork(Labeled(b"a", Leaf(b"1")), Labeled(b"b", Leaf(b"3")))
    error = refuse(certify(issuer, TREE), CANISTER, encode_tree(other))
    assert error.reason is Reason.CERTIFIED_DATA_MISMATCH


@pytest.mark.req("ICWS-CLT-023")
def test_of_another_canister_of_the_subnet_is_refused(issuer: Any) -> None:
    error = refuse(certify(issuer, TREE, OTHER), CANISTER, encode_tree(TREE))
    assert error.reason is Reason.PATH_ABSENT


@pytest.mark.req("ICWS-LIB-013")
def test_canister_of_another_subnet_is_refused_whatever_the_certificate_says(issuer: Any) -> None:
    error = refuse(certify(issuer, TREE, FOREIGN), FOREIGN, encode_tree(TREE))
    assert error.reason is Reason.CANISTER_NOT_IN_RANGES


@pytest.mark.req("ICWS-LIB-015")
def test_nothing_is_carried_over_from_one_canister_to_another(issuer: Any) -> None:
    certificate = certify(issuer, TREE)
    verify_witness(certificate, CANISTER, encode_tree(TREE))
    assert refuse(certificate, OTHER, encode_tree(TREE)).reason is Reason.PATH_ABSENT
    assert refuse(certificate, FOREIGN, encode_tree(TREE)).reason is Reason.CANISTER_NOT_IN_RANGES


@pytest.mark.req("ICWS-LIB-015")
def test_nothing_is_carried_over_from_one_certificate_to_another(issuer: Any) -> None:
    verify_witness(certify(issuer, TREE), CANISTER, encode_tree(TREE))
    error = refuse(certify(issuer, Leaf(b"new")), CANISTER, encode_tree(TREE))
    assert error.reason is Reason.CERTIFIED_DATA_MISMATCH


@pytest.mark.req("ICWS-LIB-008")
@pytest.mark.parametrize(
    "tree",
    [
        Fork(Labeled(b"b", Leaf(b"")), Labeled(b"a", Leaf(b""))),
        Fork(Labeled(b"a", Leaf(b"1")), Labeled(b"a", Leaf(b"2"))),
        Fork(Leaf(b"1"), Labeled(b"a", Leaf(b"2"))),
        Labeled(b"x", Fork(Fork(Labeled(b"c", EMPTY), Pruned(bytes(32))), Labeled(b"b", EMPTY))),
    ],
    ids=["unordered", "label twice", "leaf beside a label", "unordered across a pruned node, below"],
)
def test_tree_with_two_readings_is_refused_though_certified(issuer: Any, tree: HashTree) -> None:
    assert refuse(certify(issuer, tree), CANISTER, encode_tree(tree)).reason is Reason.TREE_NOT_WELL_FORMED


@pytest.mark.req("ICWS-LIB-005")
def test_label_renamed_by_a_long_pruned_hash_is_refused(issuer: Any) -> None:
    tree = Labeled(b"ab", Leaf(b"1"))
    certificate = certify(issuer, tree)
    renamed = b"\x83\x02\x41a\x82\x04\x58\x21" + b"b" + Leaf(b"1").digest
    with pytest.raises(DecodeError):
        verify_witness(certificate, CANISTER, renamed)


@pytest.mark.req("ICWS-LIB-023")
@pytest.mark.parametrize("junk", [b"", b"\x83", b"\x81\x00\x00", b"\x83\x01" * 5000])
def test_junk_is_a_decode_error(issuer: Any, junk: bytes) -> None:
    with pytest.raises(DecodeError):
        verify_witness(certify(issuer, TREE), CANISTER, junk)


def test_certified_data_pruned_is_refused(issuer: Any) -> None:
    certificate = issuer.verifier().verify(
        issuer.certificate({b"canister": Pruned(bytes(32))}), now=NOW, canister_id=CANISTER
    )
    assert refuse(certificate, CANISTER, encode_tree(TREE)).reason is Reason.PATH_ABSENT


def test_verified_witnesses_are_made_by_the_verifier_only(issuer: Any) -> None:
    with pytest.raises(MisuseError):
        VerifiedWitness(TREE, certify(issuer, TREE), CANISTER)  # type: ignore[arg-type]  # a careless caller
