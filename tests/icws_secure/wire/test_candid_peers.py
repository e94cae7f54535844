"""Candid of ours is that of other implementations: the same bytes, not only bytes that they can read.

The files in ``data`` hold what they wrote, beside the scripts that made them write it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from icws_secure.wire import candid, interface, service
from icws_secure.wire.principal import Principal

DATA = Path(__file__).parent / "data"
JS = json.loads((DATA / "candid_js.json").read_text())
ICPY = json.loads((DATA / "candid_icpy.json").read_text())

PRIMITIVES: dict[str, candid.Type] = {
    "null": candid.Null,
    "bool": candid.Bool,
    "nat": candid.Nat,
    "int": candid.Int,
    "text": candid.Text,
    "principal": candid.PrincipalType,
    "float32": candid.Float32,
    "float64": candid.Float64,
    "reserved": candid.Reserved,
    "nat8": candid.Nat8,
    "nat16": candid.Nat16,
    "nat32": candid.Nat32,
    "nat64": candid.Nat64,
    "int8": candid.Int8,
    "int16": candid.Int16,
    "int32": candid.Int32,
    "int64": candid.Int64,
}


def label_of(text: str) -> str | int:
    """The JavaScript library writes the label 7 as ``_7_``."""
    return int(text[1:-1]) if text.startswith("_") else text


def type_of(written: Any) -> candid.Type:
    if isinstance(written, str):
        return PRIMITIVES[written]
    kind, inner = written
    if kind == "vec":
        return candid.Vec(type_of(inner))
    if kind == "opt":
        return candid.Opt(type_of(inner))
    fields = {label_of(label): type_of(part) for label, part in inner}
    return candid.Record(fields) if kind == "record" else candid.Variant(fields)


def value_of(written: Any, type_: Any) -> Any:
    if isinstance(type_, str):
        if written is None or type_ in ("bool", "text"):
            return written
        if type_ == "principal":
            return Principal.from_text(written)
        return float(written) if type_.startswith("float") else int(written)
    kind, inner = type_
    if kind == "vec":
        return bytes.fromhex(written["hex"]) if inner == "nat8" else tuple(value_of(item, inner) for item in written)
    if kind == "opt":
        return None if written is None else value_of(written, inner)
    if kind == "record":
        return {label_of(label): value_of(written[label], part) for label, part in inner}
    return label_of(written["case"]), value_of(written["value"], dict(inner)[written["case"]])


@pytest.mark.parametrize("vector", JS["general"], ids=lambda vector: str(vector["name"]))
def test_values_of_any_type_are_encoded_and_decoded_as_by_the_javascript_library(vector: dict[str, Any]) -> None:
    types = [type_of(written) for written in vector["types"]]
    values = tuple(value_of(*pair) for pair in zip(vector["values"], vector["types"], strict=True))
    data = bytes.fromhex(vector["hex"])

    assert candid.encode(types, values) == data
    assert candid.decode(types, data) == values


@pytest.fixture
def client_key() -> interface.ClientKey:
    deployed = JS["deployed"]
    return interface.ClientKey(Principal.from_text(deployed["client_principal"]), int(deployed["client_nonce"]))


@pytest.fixture
def gateway() -> Principal:
    return Principal.from_text(JS["deployed"]["gateway_principal"])


def test_omnia_open_is_encoded_as_by_the_deployed_client(client_key: interface.ClientKey, gateway: Principal) -> None:
    argument = interface.OpenArgument(client_key.client_nonce, gateway)

    assert interface.encode_open_argument(argument).hex() == JS["deployed"]["open"] == ICPY["open"]
    assert interface.decode_open_argument(bytes.fromhex(JS["deployed"]["open"])) == argument


def test_message_of_the_deployed_client_is_read(client_key: interface.ClientKey) -> None:
    message = interface.decode_message_argument(bytes.fromhex(JS["deployed"]["message"]))

    assert message == interface.WebsocketMessage(client_key, 7, 1_700_000_000_123_456_789, False, b"\x01\x02\xff")
    assert interface.decode_message_argument(interface.encode_message_argument(message)) == message


def test_omnia_results_are_encoded_as_by_the_deployed_client_s_types() -> None:
    refusal = interface.Refusal("", "client is not open")

    assert interface.encode_message_result(interface.MessageResult()).hex() == JS["deployed"]["result_ok"]
    assert interface.encode_message_result(interface.MessageResult(refusal)).hex() == JS["deployed"]["result_err"]
    assert interface.decode_message_result(bytes.fromhex(JS["deployed"]["result_err"])).refusal == refusal


def test_omnia_service_messages_are_encoded_as_by_the_deployed_client(client_key: interface.ClientKey) -> None:
    messages: dict[str, service.ServiceMessage] = {
        "service_open": service.OpenMessage(client_key),
        "service_ack": service.AckMessage(3),
        "service_keep_alive": service.KeepAliveMessage(4),
        "service_close": service.CloseMessage(service.CloseReason.KEEP_ALIVE_TIMEOUT),
    }
    for name, message in messages.items():
        assert service.encode_service_message(message).hex() == JS["deployed"][name]
        assert service.decode_service_message(bytes.fromhex(JS["deployed"][name])) == message


@pytest.mark.parametrize("name", ["poll", "poll_without_end_of_queue"])
def test_poll_is_encoded_as_by_ic_py(name: str, client_key: interface.ClientKey, gateway: Principal) -> None:
    keys = [f"{gateway.to_text()}_{nonce:020}" for nonce in range(3)]
    messages = tuple(interface.OutputMessage(client_key, key, b"\x00\x01\xfe") for key in keys)
    expected = interface.CertifiedMessages(messages, b"\xd9\xd9\xf7", b"\x83", name != "poll")

    assert interface.decode_get_messages_result(bytes.fromhex(ICPY[name])) == expected
    if name == "poll":
        assert interface.encode_get_messages_result(expected).hex() == ICPY[name]
