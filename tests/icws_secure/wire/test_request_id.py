from __future__ import annotations

import os
import subprocess
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icws_secure.errors import MisuseError
from icws_secure.wire.principal import ANONYMOUS, Principal
from icws_secure.wire.request_id import Value, hash_of_map, hash_value, request_id

ICPY = Path(os.environ.get("ICWS_ICPY_PYTHON", Path(__file__).parents[3] / ".venv-icpy/bin/python"))


def value_of(described: dict[str, Any]) -> Value:
    """A value as the vectors describe it."""
    ((kind, inner),) = described.items()
    if kind == "map":
        return {name: value_of(item) for name, item in inner.items()}
    if kind == "array":
        return [value_of(item) for item in inner]
    if kind == "blob":
        return bytes.fromhex(inner)
    return int(inner) if kind == "nat" else str(inner)


@pytest.mark.req("ICWS-LIB-004")
@pytest.mark.vectors("representation_independent_hash")
def test_vector(vector: dict[str, Any]) -> None:
    assert hash_value(value_of(vector["value"])).hex() == vector["hash_hex"]


def test_example_of_the_interface_specification() -> None:
    content: dict[str, Value] = {
        "request_type": "call",
        "sender": ANONYMOUS,
        "ingress_expiry": 1685570400000000000,
        "canister_id": bytes.fromhex("00000000000004d2"),
        "method_name": "hello",
        "arg": b"DIDL\x00\xfd*",
    }
    assert request_id(content).hex() == "1d1091364d6bb8a6c16b203ee75467d59ead468f523eb058880ae8ec80e2b101"


def test_order_of_fields_does_not_matter() -> None:
    assert hash_of_map({"a": 1, "b": 2}) == hash_of_map({"b": 2, "a": 1})


def test_equal_bytes_hash_equally() -> None:
    assert hash_value("abc") == hash_value(b"abc") == hash_value(Principal(b"abc")) == sha256(b"abc").digest()
    assert hash_value([1, b"x"]) == hash_value((1, "x"))


def test_integers_below_zero_are_signed() -> None:
    assert hash_value(-123456) == sha256(bytes.fromhex("c0bb78")).digest()
    assert hash_value(64) == sha256(b"\x40").digest()


@pytest.mark.req("ICWS-LIB-004")
@given(st.dictionaries(st.text(max_size=12), st.integers(0, 2**64) | st.binary(max_size=8), max_size=6), st.text())
def test_every_field_counts(fields: dict[str, Value], name: str) -> None:
    assert (hash_of_map(fields) == hash_of_map({**fields, name: b"more"})) == (fields.get(name) == b"more")


@pytest.mark.parametrize("value", [True, None, 1.5, [False], {"a": None}, {1: 2}, "\ud800", {"\ud800": 1}, object()])
def test_what_has_no_hash_is_refused(value: Any) -> None:
    with pytest.raises(MisuseError):
        hash_value(value)


def test_depth_is_bounded() -> None:
    value: list[Value] = []
    value.append(value)
    with pytest.raises(MisuseError):
        hash_value(value)


def test_ic_py_agrees() -> None:
    if not ICPY.exists():
        pytest.skip("the environment with ic-py is not set up")
    script = (
        "from ic.utils import to_request_id; from ic.principal import Principal\n"
        "c = {'request_type': 'call', 'sender': Principal.self_authenticating(b'key').bytes, 'nonce': b'n',"
        " 'ingress_expiry': 1795000000123456789, 'canister_id': b'\\0\\1', 'method_name': 'ws_open', 'arg': b''}\n"
        "print(to_request_id(c).hex(), Principal(bytes=c['sender']).to_str())"
    )
    output = subprocess.run([ICPY, "-c", script], check=True, capture_output=True, text=True).stdout  # noqa: S603
    sender = Principal.self_authenticating(b"key")
    content: dict[str, Value] = {
        "request_type": "call",
        "sender": sender,
        "nonce": b"n",
        "ingress_expiry": 1795000000123456789,
        "canister_id": b"\x00\x01",
        "method_name": "ws_open",
        "arg": b"",
    }
    assert output.split() == [request_id(content).hex(), sender.to_text()]
