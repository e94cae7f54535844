"""A node of the IC that lies about a canister's queue, and signs what it says with its own genuine key.

Node signatures show which node said something, not that it is true: a gateway that verifies them still has to check
what certificate and witness show.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from icws_canister_mock.replica import Replica
from icws_conformance.gateways.under_test import IcHook
from icws_conformance.hostile.boundary import Answer, Fetch
from icws_secure.errors import IcwsError
from icws_secure.wire import cbor, domain
from icws_secure.wire.envelope import Envelope, QueryContent
from icws_secure.wire.http import QueryReplied, parse_query_response
from icws_secure.wire.interface import (
    CertifiedMessages,
    decode_get_messages_argument,
    decode_get_messages_result,
    encode_get_messages_result,
)
from icws_secure.wire.principal import Principal
from icws_secure.wire.request_id import Value, hash_of_map

__all__ = ["EMPTY", "PollLie", "is_poll", "lying_node", "signed_reply"]

#: What a canister answers that has nothing from the asked number on.
EMPTY = CertifiedMessages((), b"", b"", True)

PollLie = Callable[[int, CertifiedMessages], CertifiedMessages | None]
"""(number asked for, the canister's answer) -> what the node says; None for the truth."""


def is_poll(path: str, envelope: Envelope | None, canister: Principal) -> bool:
    """Whether a request is a poll of a canister's queue."""
    content = None if envelope is None else envelope.content
    return (
        path.endswith("/query")
        and isinstance(content, QueryContent)
        and content.canister_id == canister
        and content.method_name == "ws_get_messages"
    )


def lying_node(replica: Replica, canister: Principal, lie: PollLie) -> IcHook:
    """An IC whose answers to polls of one canister are changed by ``lie``; all else is the truth."""

    async def answer(path: str, envelope: Envelope | None, fetch: Fetch) -> Answer:
        real = await fetch()
        if envelope is None or not is_poll(path, envelope, canister):
            return real
        content = envelope.content
        if not isinstance(content, QueryContent):
            return real
        told = _read(real)
        if told is None:
            return real
        changed = lie(decode_get_messages_argument(content.arg), told)
        if changed is None:
            return real
        body = signed_reply(replica, canister, content.request_id, encode_get_messages_result(changed))
        return replace(real, body=body)

    return answer


def signed_reply(
    replica: Replica, canister: Principal, request_id: bytes, arg: bytes, *, forged: bool = False
) -> bytes:
    """The body of a query's answer with a node's signature: valid, or ``forged`` by one that does not hold the key."""
    subnet = replica.subnet_of(canister) or replica.root
    node = subnet.info.nodes[0]
    fields: dict[str, Value] = {"status": "replied", "reply": {"arg": arg}}
    timestamp = replica.time_ns
    signed = domain.QUERY_RESPONSE + hash_of_map({**fields, "timestamp": timestamp, "request_id": request_id})
    signature = node.sign(signed + b"?" if forged else signed)
    shown = {"timestamp": timestamp, "signature": signature, "identity": node.principal.raw}
    return cbor.encode_self_described({**fields, "signatures": [shown]})


def _read(answer: Answer) -> CertifiedMessages | None:
    try:
        response = parse_query_response(answer.status, answer.body)
        if not isinstance(response, QueryReplied):
            return None
        result = decode_get_messages_result(response.arg)
    except IcwsError:
        return None
    return result if isinstance(result, CertifiedMessages) else None
