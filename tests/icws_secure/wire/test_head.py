"""Certified heads and epochs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from icws_secure.errors import DecodeError, MisuseError
from icws_secure.wire import cbor
from icws_secure.wire.head import (
    EPOCH_PATH,
    MAX_HEAD_BYTES,
    MAX_TRAPPED,
    SessionHead,
    decode_epoch,
    decode_head,
    encode_epoch,
    head_path,
)
from icws_secure.wire.principal import Principal
from icws_secure.wire.registration import SessionState

SESSION = Principal.self_authenticating(b"session")
HEAD = SessionHead(bytes(range(16)), 1, SessionState.OPEN, 2, 3, 4, 5, 6, 7, 8)
TOP = 2**64 - 1
LARGEST = SessionHead(
    bytes(16),
    TOP,
    SessionState.REGISTERED,
    TOP,
    TOP,
    TOP,
    TOP,
    TOP,
    TOP,
    TOP,
    "ApplicationClosed",
    (TOP,) * MAX_TRAPPED,
)


def fields_of(head: SessionHead) -> dict[str, Any]:
    value = cbor.decode(head.encode(), what="head")
    assert isinstance(value, dict)
    return value


def test_paths_are_where_the_canister_certifies() -> None:
    assert EPOCH_PATH == (b"icws", b"epoch")
    assert head_path(SESSION) == (b"icws", b"head", SESSION.raw)


@pytest.mark.parametrize(
    "head",
    [
        HEAD,
        LARGEST,
        replace(HEAD, state=SessionState.CLOSED, close_code="Revoked", trapped=(1, 5)),
        *(replace(HEAD, state=state) for state in SessionState),
    ],
)
def test_head_is_decoded_as_it_was_encoded(head: SessionHead) -> None:
    assert decode_head(head.encode()) == head
    assert len(head.encode()) <= MAX_HEAD_BYTES


def test_fields_are_in_the_order_of_the_specification() -> None:
    assert list(fields_of(LARGEST)) == [
        "registration_id",
        "attach",
        "state",
        "next_out",
        "next_in",
        "executed_through",
        "acked",
        "oldest_retained",
        "timestamp",
        "expires_at",
        "close_code",
        "trapped",
    ]
    assert [fields_of(HEAD)[name] for name in ("attach", "next_out", "timestamp", "expires_at")] == [1, 2, 7, 8]


def test_fields_of_later_versions_are_passed_over() -> None:
    assert decode_head(cbor.encode({**fields_of(HEAD), "later": {}})) == HEAD


@pytest.mark.req("ICWS-LIB-023")
@pytest.mark.parametrize(
    "changes",
    [
        {"registration_id": bytes(15)},
        {"registration_id": "0" * 16},
        {"attach": -1},
        {"attach": 2**64},
        {"attach": None},
        {"state": "dead"},
        {"state": 1},
        {"next_out": b"\x01"},
        {"trapped": [1] * (MAX_TRAPPED + 1)},
        {"trapped": [True]},
        {"trapped": [-1]},
        {"trapped": ["1"]},
        {"trapped": 1},
        {"close_code": 4},
        {"close_code": None},
        {"later": bytes(MAX_HEAD_BYTES)},
    ],
)
def test_head_with_a_field_out_of_range_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(DecodeError):
        decode_head(cbor.encode({**fields_of(HEAD), **changes}))


@pytest.mark.parametrize("name", fields_of(HEAD))
def test_head_without_a_field_is_refused(name: str) -> None:
    value = fields_of(HEAD)
    del value[name]

    with pytest.raises(DecodeError):
        decode_head(cbor.encode(value))


def test_head_that_could_not_be_read_cannot_be_made() -> None:
    with pytest.raises(MisuseError):
        replace(HEAD, registration_id=b"")
    with pytest.raises(MisuseError):
        replace(HEAD, trapped=(1,) * (MAX_TRAPPED + 1))


@pytest.mark.parametrize("epoch", [0, 1_700_000_000_000_000_000, 2**64 - 1])
def test_epoch_is_decoded_as_it_was_encoded(epoch: int) -> None:
    assert decode_epoch(encode_epoch(epoch)) == epoch


@pytest.mark.parametrize("leaf", [b"", b"\x80", b"\x00\x00", encode_epoch(2**64), b"\xff" * 11])
def test_leaf_that_is_no_epoch_is_refused(leaf: bytes) -> None:
    with pytest.raises(DecodeError):
        decode_epoch(leaf)
