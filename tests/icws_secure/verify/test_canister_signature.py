"""Canister signatures, with one thing wrong at a time."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import pytest

from icws_secure.errors import ProtocolViolation, Reason
from icws_secure.verify import verify_user_signature
from icws_secure.wire import cbor
from icws_secure.wire.der import PublicKey
from icws_secure.wire.hashtree import EMPTY, Fork, HashTree, Labeled, Leaf, Pruned, tree_to_value
from icws_secure.wire.principal import Principal

pytestmark = pytest.mark.req("ICWS-LIB-019")

CANISTER = Principal(bytes.fromhex("00000000003002100101"))
OTHER = Principal(bytes.fromhex("00000000003002200101"))
FOREIGN = Principal(bytes.fromhex("00000000004002100101"))
SEED = b"seed of a user"
MESSAGE = b"\x1aic-request-auth-delegation" + bytes(32)
KEY = PublicKey.canister_signature(CANISTER, SEED)


def signature_tree(seed: bytes = SEED, message: bytes = MESSAGE, leaf: HashTree | None = None) -> HashTree:
    signed = Labeled(sha256(message).digest(), Leaf(b"") if leaf is None else leaf)
    return Labeled(b"sig", Labeled(sha256(seed).digest(), signed))


def make(
    issuer: Any,
    tree: HashTree,
    *,
    canister: Principal = CANISTER,
    delegation: Any = None,
    root: bool = False,
    tag: bool = True,
    shown: HashTree | None = None,
) -> bytes:
    content = issuer.certified_data(tree, canister)
    certificate = (
        issuer.root_certificate(content, time_ns=1)
        if root
        else issuer.certificate(content, delegation=delegation, time_ns=1)
    )
    value = {"certificate": certificate, "tree": tree_to_value(tree if shown is None else shown)}
    return cbor.encode_self_described(value) if tag else cbor.encode(value)


def verify(issuer: Any, signature: bytes, key: PublicKey = KEY, message: bytes = MESSAGE) -> None:
    verify_user_signature(key, message, signature, certificates=issuer.verifier())


def refuse(issuer: Any, signature: bytes, key: PublicKey = KEY, message: bytes = MESSAGE) -> Reason:
    with pytest.raises(ProtocolViolation) as caught:
        verify(issuer, signature, key, message)
    return caught.value.reason


def test_signature_of_a_subnets_canister_is_accepted_at_any_age(issuer: Any) -> None:
    verify(issuer, make(issuer, signature_tree()))


def test_signature_of_the_root_subnets_canister_is_accepted(issuer: Any) -> None:
    verify(issuer, make(issuer, signature_tree(), root=True))


def test_without_tag_is_refused(issuer: Any) -> None:
    assert refuse(issuer, make(issuer, signature_tree(), tag=False)) is Reason.BAD_SIGNATURE


def test_of_another_message_is_refused(issuer: Any) -> None:
    assert refuse(issuer, make(issuer, signature_tree()), message=MESSAGE + b"x") is Reason.BAD_SIGNATURE


def test_under_another_seed_is_refused(issuer: Any) -> None:
    other = PublicKey.canister_signature(CANISTER, b"seed of another user")
    assert refuse(issuer, make(issuer, signature_tree()), key=other) is Reason.BAD_SIGNATURE


def test_of_another_canister_is_refused(issuer: Any) -> None:
    assert refuse(issuer, make(issuer, signature_tree(), canister=OTHER)) is Reason.PATH_ABSENT


def test_of_a_canister_of_another_subnet_is_refused(issuer: Any) -> None:
    key = PublicKey.canister_signature(FOREIGN, SEED)
    signature = make(issuer, signature_tree(), canister=FOREIGN)
    assert refuse(issuer, signature, key=key) is Reason.CANISTER_NOT_IN_RANGES


def test_tree_that_was_not_certified_is_refused(issuer: Any) -> None:
    signature = make(issuer, signature_tree(message=b"other"), shown=signature_tree())
    assert refuse(issuer, signature) is Reason.CERTIFIED_DATA_MISMATCH


@pytest.mark.parametrize("leaf", [Leaf(b"x"), EMPTY, Pruned(bytes(32)), Labeled(b"", Leaf(b""))])
def test_anything_but_the_empty_leaf_is_refused(issuer: Any, leaf: HashTree) -> None:
    assert refuse(issuer, make(issuer, signature_tree(leaf=leaf))) is Reason.BAD_SIGNATURE


def test_tree_with_two_readings_is_refused(issuer: Any) -> None:
    tree = Fork(signature_tree(), signature_tree(message=b"other"))
    assert refuse(issuer, make(issuer, tree)) is Reason.TREE_NOT_WELL_FORMED


@pytest.mark.parametrize(
    "subnet_type", [b"cloud_engine", Pruned(bytes(32)), {b"x": b"y"}], ids=["shown", "hidden", "not a leaf"]
)
def test_subnet_that_may_be_a_cloud_engine_is_refused(issuer: Any, subnet_type: Any) -> None:
    delegation = issuer.delegation(issuer.delegation_tree(subnet={b"type": subnet_type}))
    assert refuse(issuer, make(issuer, signature_tree(), delegation=delegation)) is Reason.SUBNET_TYPE


def test_subnet_that_proves_to_have_no_type_is_accepted(issuer: Any) -> None:
    tree = dict(issuer.delegation_tree())
    tree[b"subnet"] = {issuer.subnet.subnet_id.raw: {b"public_key": issuer.subnet.der}}
    verify(issuer, make(issuer, signature_tree(), delegation=issuer.delegation(tree)))


def test_certificate_that_was_not_signed_by_the_subnet_is_refused(issuer: Any) -> None:
    content = issuer.certified_data(signature_tree())
    certificate = issuer.certificate(content, signed_by=issuer.root)
    value = {"certificate": certificate, "tree": tree_to_value(signature_tree())}
    assert refuse(issuer, cbor.encode_self_described(value)) is Reason.BAD_BLS_SIGNATURE


@pytest.mark.req("ICWS-LIB-023")
@pytest.mark.parametrize(
    "value",
    [
        {},
        {"certificate": b""},
        {"certificate": b"", "tree": [0]},
        {"certificate": b"", "tree": [0], "more": 1},
        {"certificate": "text", "tree": [0]},
        [1],
    ],
)
def test_other_shapes_are_refused(issuer: Any, value: Any) -> None:
    refuse(issuer, cbor.encode_self_described(value))


@pytest.mark.req("ICWS-LIB-006", "ICWS-LIB-023")
def test_deep_tree_is_refused_without_recursion(issuer: Any) -> None:
    bomb = b"\xd9\xd9\xf7\xa2\x6bcertificate\x40\x64tree" + b"\x83\x01" * 100_000
    refuse(issuer, bomb)
