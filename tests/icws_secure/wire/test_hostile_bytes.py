"""Whatever comes in, a decoder returns a value or raises one of the errors of this project."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from icws_secure.errors import CertificateError, DecodeError, TransportError
from icws_secure.wire import cbor, http, leb128
from icws_secure.wire.certificate import decode_certificate
from icws_secure.wire.der import PublicKey
from icws_secure.wire.envelope import Envelope
from icws_secure.wire.hashtree import check_well_formed, decode_tree, tree_from_value
from icws_secure.wire.principal import Principal

VECTORS = Path(__file__).parents[2] / "vectors"


def read_tree(data: bytes) -> None:
    check_well_formed(decode_tree(data))


def read_envelope(data: bytes) -> None:
    _ = Envelope.decode(data).content.request_id


def read_tree_value(data: bytes) -> None:
    tree_from_value(cbor.decode(data, what="a tree"))


def read_text(data: bytes) -> None:
    Principal.from_text(data.decode("latin-1"))


DECODERS: list[Callable[[bytes], object]] = [
    read_tree,
    read_tree_value,
    read_envelope,
    read_text,
    decode_certificate,
    PublicKey.from_der,
    Principal,
    leb128.decode_signed,
    leb128.decode_unsigned,
    lambda data: cbor.decode(data, what="a document"),
    lambda data: http.parse_call_response(200, data),
    lambda data: http.parse_query_response(200, data),
    lambda data: http.parse_read_state_response(200, data),
    lambda data: http.parse_status_response(200, data),
]
SEEDS = [
    bytes.fromhex(json.loads((VECTORS / name).read_text())["vectors"][0][field])
    for name, field in [
        ("hash_trees_upstream.json", "tree_hex"),
        ("envelopes.json", "envelope_hex"),
        ("certificates_local.json", "certificate_hex"),
        ("certificates_upstream.json", "certificate_hex"),
        ("bls_local.json", "public_key_hex"),
    ]
] + [
    PublicKey.canister_signature(Principal(b"\x00\x01"), b"seed").der,
    cbor.encode({"status": "replied", "reply": {"arg": b"r"}, "signatures": [{"timestamp": 1, "identity": b""}]}),
    b"ryjl3-tyaaa-aaaaa-aaaba-cai",
]


def feed(data: bytes) -> None:
    for decode in DECODERS:
        try:
            decode(data)
        except (DecodeError, CertificateError, TransportError):
            continue


@pytest.mark.req("ICWS-LIB-023")
@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    feed(data)


@pytest.mark.req("ICWS-LIB-023")
@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_good_bytes_with_some_changed(data: st.DataObject) -> None:
    changed = bytearray(data.draw(st.sampled_from(SEEDS)))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(changed) - 1))
        cut = data.draw(st.integers(0, 3))
        changed[at : at + cut] = data.draw(st.binary(max_size=3))
        if not changed:
            return
    feed(bytes(changed))


@pytest.mark.req("ICWS-LIB-023")
@pytest.mark.parametrize("seed", SEEDS, ids=range(len(SEEDS)))
def test_good_bytes_cut_short(seed: bytes) -> None:
    for length in range(min(len(seed), 400)):
        feed(seed[:length])


@pytest.mark.req("ICWS-LIB-023")
@pytest.mark.parametrize(
    "bomb",
    [
        b"\x81" * 500_000,
        b"\xa1\x00" * 250_000,
        b"\xa1\x67content" * 100_000,
        b"\x83\x01" * 250_000,
        b"\x83\x02\x40" * 150_000,
        b"\xd9\xd9\xf7" * 100_000,
        b"\x30\x84\x7f\xff\xff\xff" * 1000,
        b"\x80" * 500_000,
        b"\xff" * 500_000,
        b"\x9b" + b"\x00" * 6 + b"\xff\xff" + b"\x00" * 70_000,
        b"a" * 500_000,
        b"\x5b\x7f" + b"\xff" * 7,
    ],
    ids=range(12),
)
def test_bombs(bomb: bytes) -> None:
    feed(bomb)
