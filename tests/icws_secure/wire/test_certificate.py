from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icws_secure.errors import DecodeError, Reason
from icws_secure.limits import MAX_CERTIFICATE_BYTES, MAX_TREE_DEPTH
from icws_secure.wire import cbor
from icws_secure.wire.certificate import CertificateDelegation, decode_certificate, encode_certificate
from icws_secure.wire.hashtree import EMPTY, Fork, Found, HashTree, Labeled, Leaf, lookup, tree_to_value
from icws_secure.wire.principal import Principal

TREE = Fork(Labeled(b"time", Leaf(b"\x01")), EMPTY)
SIGNATURE = bytes(range(48))
DELEGATION = CertificateDelegation(Principal.self_authenticating(b"subnet"), b"inner")
FIELDS: dict[str, object] = {"tree": tree_to_value(TREE), "signature": SIGNATURE}


def refusal_of(data: bytes) -> DecodeError:
    with pytest.raises(DecodeError) as caught:
        decode_certificate(data)
    return caught.value


@pytest.mark.vectors("certificate")
def test_vector_is_decoded(vector: dict[str, Any]) -> None:
    # whether it verifies is for the verifier to say
    data = bytes.fromhex(vector["certificate_hex"])
    certificate = decode_certificate(data)
    assert certificate.raw == data
    again = decode_certificate(encode_certificate(certificate.tree, certificate.signature, certificate.delegation))
    assert (again.tree, again.signature, again.delegation) == (
        certificate.tree,
        certificate.signature,
        certificate.delegation,
    )
    for described in vector.get("lookups", []):
        result = lookup(certificate.tree, [bytes.fromhex(label) for label in described["path_hex"]])
        assert (isinstance(result, Found) and result.value.hex()) == described.get("value_hex", False)
    if certificate.delegation is not None:
        decode_certificate(certificate.delegation.certificate)


@pytest.mark.parametrize("delegation", [None, DELEGATION])
def test_what_was_written_is_read(delegation: CertificateDelegation | None) -> None:
    data = encode_certificate(TREE, SIGNATURE, delegation)
    assert cbor.has_self_describe_tag(data)
    for document in (data, data[3:]):
        certificate = decode_certificate(document)
        assert certificate.tree == TREE
        assert certificate.signature == SIGNATURE
        assert certificate.delegation == delegation


@given(data=st.data())
def test_general_cbor_gives_the_same(data: st.DataObject, well_formed_trees: st.SearchStrategy[HashTree]) -> None:
    tree = data.draw(well_formed_trees)
    value = {"tree": tree_to_value(tree), "signature": SIGNATURE}
    assert encode_certificate(tree, SIGNATURE) == cbor.encode_self_described(value)


def test_fields_may_come_in_any_order() -> None:
    value = {"delegation": {"certificate": b"inner", "subnet_id": DELEGATION.subnet_id.raw}, **FIELDS}
    assert decode_certificate(cbor.encode(value)).delegation == DELEGATION


def test_delegation_of_null_is_none() -> None:
    assert decode_certificate(cbor.encode({**FIELDS, "delegation": None})).delegation is None


@pytest.mark.req("ICWS-LIB-001")
@pytest.mark.parametrize("missing", ["tree", "signature"])
def test_missing_field_is_refused(missing: str) -> None:
    value = {name: item for name, item in FIELDS.items() if name != missing}
    assert refusal_of(cbor.encode(value)).reason is Reason.MISSING_FIELD


@pytest.mark.req("ICWS-LIB-001")
@pytest.mark.parametrize(
    "changed",
    [
        {"extra": 1},
        {"signature": "text"},
        {"signature": SIGNATURE[:-1]},
        {"signature": SIGNATURE + b"x"},
        {"signature": None},
        {"tree": b"\x81\x00"},
        {"tree": None},
        {"tree": [5]},
        {"delegation": []},
        {"delegation": {}},
        {"delegation": False},
        {"delegation": {"subnet_id": b""}},
        {"delegation": {"subnet_id": bytes(30), "certificate": b""}},
        {"delegation": {"subnet_id": b"", "certificate": {}}},
        {"delegation": {"subnet_id": b"", "certificate": b"", "extra": b""}},
        {"delegation": {"subnet_id": b"", "certificate": b"", b"x": b""}},
    ],
    ids=repr,
)
def test_other_fields_and_types_are_refused(changed: dict[str, object]) -> None:
    refusal_of(cbor.encode({**FIELDS, **changed}))


@pytest.mark.req("ICWS-LIB-001")
def test_duplicate_fields_are_refused() -> None:
    one = cbor.encode(FIELDS)
    twice = b"\xa3" + one[1:] + cbor.encode("signature") + cbor.encode(SIGNATURE)
    assert refusal_of(twice).reason is Reason.DUPLICATE_KEY
    inner = b"\xa3" + cbor.encode({"subnet_id": b"", "certificate": b""})[1:] + cbor.encode("subnet_id") + b"\x40"
    assert refusal_of(b"\xa3" + one[1:] + cbor.encode("delegation") + inner).reason is Reason.DUPLICATE_KEY


@pytest.mark.req("ICWS-LIB-001")
@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xd9\xd9\xf7",
        b"\x80",
        b"\xf6",
        b"\xbf\xff",
        b"\xd9\xd9\xf7\xd9\xd9\xf7\xa0",
        b"\xbb" + b"\xff" * 8,
        b"\xa1\x41x\x00",
    ],
)
def test_other_documents_are_refused(data: bytes) -> None:
    refusal_of(data)


@pytest.mark.req("ICWS-LIB-001")
def test_unknown_field_of_a_delegation_is_refused() -> None:
    value = {**FIELDS, "delegation": {"subnet_id": b"", "extra": b""}}
    assert refusal_of(cbor.encode(value)).reason is Reason.UNKNOWN_FIELD


@pytest.mark.req("ICWS-LIB-001")
def test_array_in_the_place_of_a_map_is_refused() -> None:
    array = b"\x82" + cbor.encode(FIELDS)[1:]
    assert refusal_of(array).reason is Reason.WRONG_TYPE


@pytest.mark.req("ICWS-LIB-001")
def test_bytes_after_the_certificate_are_refused() -> None:
    assert refusal_of(encode_certificate(TREE, SIGNATURE) + b"\x00").reason is Reason.TRAILING_BYTES


@pytest.mark.req("ICWS-LIB-001")
def test_certificate_cut_short_is_refused() -> None:
    data = encode_certificate(TREE, SIGNATURE, DELEGATION)
    for length in range(len(data)):
        assert refusal_of(data[:length]).reason is Reason.MALFORMED


@pytest.mark.req("ICWS-LIB-001")
def test_size_is_bounded() -> None:
    room = MAX_CERTIFICATE_BYTES - len(encode_certificate(Leaf(bytes(1 << 16)), SIGNATURE)) + (1 << 16)
    assert decode_certificate(encode_certificate(Leaf(bytes(room)), SIGNATURE)).signature == SIGNATURE
    assert refusal_of(encode_certificate(Leaf(bytes(room + 1)), SIGNATURE)).reason is Reason.TOO_LARGE


@pytest.mark.req("ICWS-LIB-006")
def test_tree_may_be_deeper_than_other_cbor_and_is_bounded() -> None:
    tree: HashTree = EMPTY
    for _ in range(MAX_TREE_DEPTH):
        tree = Labeled(b"a", tree)
    assert decode_certificate(encode_certificate(tree, SIGNATURE)).tree == tree
    deeper = encode_certificate(Labeled(b"a", tree), SIGNATURE)
    assert refusal_of(deeper).reason is Reason.TOO_DEEP
