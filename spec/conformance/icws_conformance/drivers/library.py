"""The driver of this project's library for the target ``vectors``, and an example for authors of others.

It reads questions ``{"id", "kind", "input"}`` and answers ``{"id", "verdict": "accept", "output"}``, or ``{"id",
"verdict": "reject", "reason"}``, or ``{"id", "verdict": "unsupported"}``.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any, Final

from icws_conformance.drivers.certified import CERTIFIED
from icws_conformance.drivers.question import Answer, Question, labels, shown, value_of
from icws_conformance.drivers.sealed import SEALED
from icws_secure.errors import IcwsError
from icws_secure.wire import cbor
from icws_secure.wire.der import PublicKey
from icws_secure.wire.frames import decode_client_frame, decode_gateway_frame
from icws_secure.wire.hashtree import check_well_formed, decode_tree, digest, list_labels, lookup
from icws_secure.wire.http import (
    parse_call_response,
    parse_query_response,
    parse_read_state_response,
    parse_status_response,
)
from icws_secure.wire.interface import (
    decode_close_argument,
    decode_get_messages_result,
    decode_message_argument,
    decode_open_argument,
)
from icws_secure.wire.message import decode_message, parse_message_key
from icws_secure.wire.principal import Principal
from icws_secure.wire.registration import (
    decode_audit_result,
    decode_register_argument,
    decode_register_result,
    decode_revoke_argument,
    decode_sessions_result,
)
from icws_secure.wire.request_id import hash_value
from icws_secure.wire.rooms import decode_room_create, decode_room_key_result, decode_room_member
from icws_secure.wire.service import decode_service_message

__all__ = ["answer", "main"]


def _principal(v: Question) -> Answer:
    principal = Principal.from_text(v.text("text"))
    return {"hex": principal.raw.hex()}


def _public_key(v: Question) -> Answer:
    key = PublicKey.from_der(v.raw("der"))
    return {"scheme": key.scheme.name.lower(), "principal": key.principal.to_text()}


def _cbor(v: Question) -> Answer:
    return {"encoded_hex": cbor.encode(cbor.decode(v.raw("data"), what="vector")).hex()}


def _hash(v: Question) -> Answer:
    return {"hash_hex": hash_value(value_of(v.value("value"))).hex()}


def _hash_tree(v: Question) -> Answer:
    tree = decode_tree(v.raw("tree"))
    if "require_well_formed" not in v or v.value("require_well_formed"):
        check_well_formed(tree)
    below = {}
    if "labels_below" in v:
        below = {"labels": [label.hex() for label in list_labels(tree, labels(v.value("labels_below")))]}
    return below | {
        "root_hash_hex": digest(tree).hex(),
        "lookups": [shown(lookup(tree, labels(path))) for path in (v.value("lookups") if "lookups" in v else [])],
    }


def _frame(v: Question) -> Answer:
    if v.text("direction") == "client":
        return {"shape": type(decode_client_frame(v.raw("frame"))).__name__}
    return {"shape": type(decode_gateway_frame(v.raw("frame"))).__name__}


def _message_key(v: Question) -> Answer:
    gateway, nonce = parse_message_key(v.text("key"))
    return {"gateway": gateway.to_text(), "nonce": str(nonce)}


_CANDID: Final[dict[str, Callable[[bytes], object]]] = {
    "ws_register": decode_register_argument,
    "ws_register_result": decode_register_result,
    "ws_open": decode_open_argument,
    "ws_close": decode_close_argument,
    "ws_message": decode_message_argument,
    "ws_get_messages_result": decode_get_messages_result,
    "ws_audit_result": decode_audit_result,
    "ws_revoke": decode_revoke_argument,
    "ws_sessions_result": decode_sessions_result,
    "service_message": decode_service_message,
    "message": decode_message,
    "room_create": decode_room_create,
    "room_member": decode_room_member,
    "room_key_result": decode_room_key_result,
}


def _candid(v: Question) -> Answer:
    return {"type": type(_CANDID[v.text("of")](v.raw("data"))).__name__}


_RESPONSES: Final[dict[str, Callable[[int, bytes], object]]] = {
    "call": parse_call_response,
    "query": parse_query_response,
    "read_state": parse_read_state_response,
    "status": parse_status_response,
}


def _response(v: Question) -> Answer:
    found = _RESPONSES[v.text("of")](v.number("status"), v.raw("body"))
    return {"type": type(found).__name__}


_KINDS: Final[dict[str, Callable[[Question], Answer]]] = {
    "principal": _principal,
    "public_key": _public_key,
    "cbor": _cbor,
    "representation_independent_hash": _hash,
    "hash_tree": _hash_tree,
    "frame": _frame,
    "message_key": _message_key,
    "candid": _candid,
    "response": _response,
    **CERTIFIED,
    **SEALED,
}


def answer(question: dict[str, Any]) -> Answer:
    """The answer to one question."""
    ask = _KINDS.get(question["kind"])
    if ask is None:
        return {"id": question["id"], "verdict": "unsupported"}
    try:
        return {"id": question["id"], "verdict": "accept", "output": ask(Question(question["input"]))}
    except IcwsError as error:
        return {"id": question["id"], "verdict": "reject", "reason": str(error.reason)}


def main() -> None:
    """Answer until the input ends."""
    for line in sys.stdin:
        sys.stdout.write(json.dumps(answer(json.loads(line)), separators=(",", ":")) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
