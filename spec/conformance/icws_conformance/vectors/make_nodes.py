"""Vectors of what single nodes answer: signed query responses, the nodes' keys, and the bodies of HTTP responses."""

from __future__ import annotations

import hashlib
from typing import Any, Final

from icws_canister_mock.replica.keys import NodeKey
from icws_conformance.vectors.build import NOW_NS, SECOND_NS, Maker, Tree, labeled, leaf, parts, pruned, secret
from icws_conformance.vectors.certify import APP, CANISTER, OTHER, ROOT, branches, certify, delegate, state_tree
from icws_secure.wire import cbor
from icws_secure.wire.leb128 import encode_unsigned
from icws_secure.wire.principal import Principal

__all__ = ["node_keys", "query_responses", "responses"]

_NODE: Final = NodeKey(secret("nodes"), "node 1")
_SECOND: Final = NodeKey(secret("nodes"), "node 2")
_STRANGER: Final = NodeKey(secret("nodes"), "stranger")
_USER: Final = Principal.self_authenticating(b"user")


def _described(value: Any) -> dict[str, Any]:
    """A value as vectors describe it."""
    if isinstance(value, dict):
        return {"map": {name: _described(item) for name, item in value.items()}}
    if isinstance(value, bytes):
        return {"blob": value.hex()}
    return {"nat": str(value)} if isinstance(value, int) else {"text": value}


def _hash(value: Any) -> bytes:
    if isinstance(value, dict):
        pairs = sorted(hashlib.sha256(name.encode()).digest() + _hash(item) for name, item in value.items())
        return hashlib.sha256(b"".join(pairs)).digest()
    data = encode_unsigned(value) if isinstance(value, int) else value.encode() if isinstance(value, str) else value
    return hashlib.sha256(data).digest()


_QUERY: Final[dict[str, Any]] = {
    "request_type": "query",
    "sender": _USER.raw,
    "ingress_expiry": NOW_NS + 60 * SECOND_NS,
    "canister_id": CANISTER.raw,
    "method_name": "ws_get_messages",
    "arg": b"DIDL\x00\x00",
}
_REPLY: Final[dict[str, Any]] = {"status": "replied", "reply": {"arg": b"DIDL\x00\x00"}}


def _signed(node: NodeKey, response: dict[str, Any], time_ns: int = NOW_NS) -> dict[str, str]:
    signed = response | {"request_id": _hash(_QUERY), "timestamp": time_ns}
    signature = node.sign(b"\x0bic-response" + _hash(signed))
    return {"timestamp_ns": str(time_ns), "signature_hex": signature.hex(), "node": node.principal.to_text()}


def query_responses() -> Maker:
    """Answers to queries, signed by nodes."""
    made = Maker(
        "query_response",
        [
            "An answer to a query, with signatures of nodes, at now_ns. Accepted means: there is a signature, each is",
            "of a different known node, at most five minutes old or ahead, and verifies.",
        ],
        {
            "Forged": ("No node of the subnet said so.", "Whoever is in between makes up answers."),
            "Stale": ("It was said long ago, or is yet to be said.", "Yesterday's answer is passed off as today's."),
            "Padded": ("There are more signatures than nodes.", "Time is spent on signatures that say nothing."),
        },
    )
    made.group(
        query_content=_described(_QUERY)["map"],
        node_keys_der_hex=[_NODE.public_key.der.hex(), _SECOND.public_key.der.hex()],
        now_ns=str(NOW_NS),
    )
    output = {"request_id_hex": _hash(_QUERY).hex()}

    def given(response: dict[str, Any], *signatures: dict[str, str]) -> dict[str, Any]:
        return {"response": _described(response)["map"], "signatures": list(signatures)}

    names = "LIB-020"
    made.accept("a reply", names, given(_REPLY, _signed(_NODE, _REPLY)), **output)
    both = given(_REPLY, _signed(_NODE, _REPLY), _signed(_SECOND, _REPLY))
    made.accept("a reply of two nodes", names, both, **output)
    no: dict[str, Any] = {"status": "rejected", "reject_code": 5, "reject_message": "no"}
    made.accept("a rejection", names, given(no, _signed(_NODE, no)), **output)
    coded = no | {"error_code": "IC0503"}
    made.accept("a rejection with an error code", names, given(coded, _signed(_NODE, coded)), **output)
    for comment, age in (("five minutes old", 300), ("five minutes ahead", -300)):
        time_ns = NOW_NS - age * SECOND_NS
        made.accept(f"a reply {comment}", names, given(_REPLY, _signed(_NODE, _REPLY, time_ns)), **output)
        time_ns += -1 if age > 0 else 1
        late = given(_REPLY, _signed(_NODE, _REPLY, time_ns))
        made.reject(f"a reply a nanosecond more than {comment}", names, "BadSignature", late, "Stale")
    bad = "BadSignature"
    good = _signed(_NODE, _REPLY)
    made.reject("no signature", names, "SignatureMissing", given(_REPLY), "Forged")
    made.reject("another reply", names, bad, given(_REPLY | {"reply": {"arg": b"x"}}, good), "Forged")
    made.reject("a rejection in place of a reply", names, bad, given(no, good), "Forged")
    made.reject("an error code that was not signed", names, bad, given(coded, _signed(_NODE, no)), "Forged")
    later = good | {"timestamp_ns": str(NOW_NS + 1)}
    made.reject("another time than was signed", names, bad, given(_REPLY, later), "Forged")
    made.reject("a stranger's", names, "UnknownNode", given(_REPLY, _signed(_STRANGER, _REPLY)), "Forged")
    posing = _signed(_STRANGER, _REPLY) | {"node": _NODE.principal.to_text()}
    made.reject("a stranger's, in a node's name", names, bad, given(_REPLY, posing), "Forged")
    short = good | {"signature_hex": good["signature_hex"][:-2]}
    made.reject("a signature of 63 bytes", names, bad, given(_REPLY, short), "Forged")
    half = given(_REPLY, good, _signed(_STRANGER, _REPLY) | {"node": _SECOND.principal.to_text()})
    made.reject("one genuine and one forged", names, bad, half, "Forged")
    made.reject("a node twice", names, bad, given(_REPLY, good, good), "Padded")
    made.reject(
        "three signatures of two nodes", names, "TooMany BadSignature", given(_REPLY, good, good, good), "Padded"
    )
    return made


def node_keys() -> Maker:
    """Keys of nodes, from a certificate of their subnet."""
    made = Maker(
        "node_keys",
        [
            "A certificate that shows the nodes of the subnet, at now_ns, for a canister. Accepted means: these",
            "are the Ed25519 keys of the nodes of the subnet that signed, by node id.",
        ],
        {"Forged": ("The keys are not of the subnet's nodes.", "Whoever is in between is taken for a node.")},
    )
    made.group(root_key_der_hex=ROOT.public_key.der.hex(), canister_id=CANISTER.to_text(), now_ns=str(NOW_NS))

    def given(nodes: Tree, subnet: Any = APP, **more: Any) -> dict[str, Any]:
        tree = state_tree({}, subnet=labeled(subnet.principal.raw, labeled("node", nodes)))
        return {"certificate_hex": certify(tree, APP, delegate()).hex()} | more

    def shown(*keys: tuple[bytes, bytes]) -> Tree:
        return branches(*((node, labeled("public_key", leaf(der))) for node, der in keys))

    two = shown(*((node.principal.raw, node.public_key.der) for node in (_NODE, _SECOND)))
    listed = sorted((node.principal, node.public_key.der.hex()) for node in (_NODE, _SECOND))
    output: dict[str, Any] = {"keys": {principal.to_text(): der for principal, der in listed}}
    names = "LIB-020"
    made.accept("two nodes", names, given(two), **output)
    made.accept("two nodes of the subnet asked for", names, given(two, subnet_id=APP.principal.to_text()), **output)
    made.reject("of another subnet than signed", names, "PathAbsent", given(two, OTHER), "Forged")
    wrong = given(two, subnet_id=OTHER.principal.to_text())
    made.reject("of another subnet than was asked for", names, "SubnetMismatch", wrong, "Forged")
    made.reject("no node", names, "PathAbsent", given([0]), "Forged")
    hidden = labeled(_NODE.principal.raw, pruned(labeled("public_key", leaf(_NODE.public_key.der))))
    made.reject("a node whose key is pruned", names, "PathAbsent PathUnknown", given(hidden), "Forged")
    bad = "BadPublicKey"
    made.reject(
        "a key that is none of Ed25519", names, bad, given(shown((_NODE.principal.raw, ROOT.public_key.der))), "Forged"
    )
    made.reject("bytes that are no key", names, bad, given(shown((_NODE.principal.raw, b"key"))), "Forged")
    long = shown((bytes(30), _NODE.public_key.der))
    made.reject("a node's id of 30 bytes", names, "Malformed", given(long), "Forged")
    return made


def responses() -> Maker:
    """Bodies of HTTP responses of replicas and boundary nodes."""
    made = Maker(
        "response",
        [
            "A response of a node to a call, query, read_state or status request: HTTP status and body. Accepted",
            "means: it is of a documented form; nothing in it is believed for that.",
        ],
        {"Form": ("The body is not of its form.", "A node brings down or misleads whoever reads it.")},
    )

    def given(of: str, value: Any, status: int = 200) -> dict[str, Any]:
        body = (value if isinstance(value, bytes) else cbor.encode_self_described(value)).hex()
        return {"of": of, "status": str(status), "body_hex": body}

    names = "LIB-001"
    rejected: dict[str, Any] = {"status": "rejected", "reject_code": 4, "reject_message": "no"}
    bare = {name: value for name, value in rejected.items() if name != "status"}
    signature = {"timestamp": NOW_NS, "signature": bytes(64), "identity": _NODE.principal.raw}
    for comment, of, value, status, type_ in (
        ("a call's certificate", "call", {"status": "replied", "certificate": b"c"}, 200, "CallCertificate"),
        ("a call that was taken", "call", b"", 202, "CallAccepted"),
        ("a call's rejection", "call", bare | {"status": "non_replicated_rejection"}, 200, "CallRejected"),
        ("a call's rejection, of the older form", "call", bare, 200, "CallRejected"),
        ("a query's reply", "query", _REPLY | {"signatures": [signature]}, 200, "QueryReplied"),
        ("a query's rejection", "query", rejected | {"signatures": [signature]}, 200, "QueryRejected"),
        ("a certificate", "read_state", {"certificate": b"c"}, 200, "bytes"),
        ("a status", "status", {"root_key": b"k", "later": [1]}, 200, "ReplicaStatus"),
    ):
        made.accept(comment, names, given(of, value, status), type=type_)
    form = "Malformed MissingField WrongType TooMany TooLarge"
    for comment, of, wrong in (
        ("a call's answer that is no map", "call", [1]),
        ("a call's certificate that is text", "call", {"status": "replied", "certificate": "c"}),
        ("a call's answer of an unknown status", "call", {"status": "done"}),
        ("a call's rejection without a message", "call", {"reject_code": 4}),
        ("a call's reject code of 0", "call", bare | {"reject_code": 0}),
        ("a call's reject code of 7", "call", bare | {"reject_code": 7}),
        ("a query's answer of an unknown status", "query", {"status": "done"}),
        ("a query's reply without its argument", "query", {"status": "replied", "reply": {}}),
        ("a query's signatures that are a map", "query", _REPLY | {"signatures": {}}),
        ("a query's signature that is bytes", "query", _REPLY | {"signatures": [b""]}),
        ("a query's signature of no node", "query", _REPLY | {"signatures": [signature | {"identity": bytes(30)}]}),
        ("129 signatures", "query", _REPLY | {"signatures": [signature] * 129}),
        ("no certificate", "read_state", {}),
        ("a status that is no map", "status", b"ok"),
    ):
        made.reject(comment, names, form, given(of, wrong), "Form")
    _indefinite(made)
    made.reject("an HTTP error", names, "HttpStatus", given("query", b"busy", 503), "Form")
    long = parts((b"\x5a\x00\x40\x00\x00", 1), (b"\x00", 4 << 20))
    made.reject(
        "a query's answer of four megabytes", names, "TooLarge", given("query", b"") | {"body_hex": long}, "Form"
    )
    return made


def _indefinite(made: Maker) -> None:
    """Maps and arrays of indefinite length, as the main network's replicas write them."""

    def given(*pieces: bytes, of: str = "query") -> dict[str, str]:
        return {"of": of, "status": "200", "body_hex": (b"\xd9\xd9\xf7" + b"".join(pieces)).hex()}

    status, reply, sealed = (cbor.encode(name) for name in ("status", "reply", "signatures"))
    arg = b"\xbf" + cbor.encode("arg") + cbor.encode(b"DIDL\x00\x00") + b"\xff"
    whole = (b"\xbf", status, cbor.encode("replied"), reply, arg, sealed, b"\x9f\xff", b"\xff")
    made.accept("a query's reply of indefinite length", "LIB-027", given(*whole), type="QueryReplied")
    form = "Malformed TrailingBytes MissingField WrongType TooMany"
    for comment, pieces in (
        ("a break in place of a value", (*whole[:5], sealed, b"\xff")),
        ("a break in a map of three entries, after two", (b"\xa3", *whole[1:5], b"\xff")),
        ("a break alone", (b"\xff",)),
        ("a map that is not ended", whole[:-1]),
        ("a byte string of indefinite length", (b"\xbf", status, b"\x5f\xff", b"\xff")),
        ("a text of indefinite length", (b"\xbf", b"\x7f\xff", b"\x00", b"\xff")),
        ("a byte behind the break", (*whole, b"\x00")),
    ):
        made.reject(f"a body with {comment}", "LIB-001", form, given(*pieces), "Form")
    endless = parts((b"\xd9\xd9\xf7\x9f", 1), (b"\x00", 200_001), (b"\xff", 1))
    many = {"of": "query", "status": "200", "body_hex": endless}
    made.reject("a body with 200,001 items, their number not told", "LIB-001", "TooMany", many, "Form")
