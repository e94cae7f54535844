"""Vectors of signed requests: envelopes and delegation chains."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, Final, TypeAlias

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from icws_conformance.vectors.build import NOW_NS, SECOND_NS, Maker, parts, secret
from icws_conformance.vectors.certify import CANISTER, FOREIGN, ROOT
from icws_conformance.vectors.make_signatures import canister_key, sign_as_canister
from icws_secure.errors import IcwsError
from icws_secure.wire import cbor
from icws_secure.wire.leb128 import encode_unsigned
from icws_secure.wire.principal import Principal

__all__ = ["delegations", "envelopes"]

Given: TypeAlias = Callable[[dict[str, Any]], dict[str, str]]

_PREFIX: Final = bytes.fromhex("302a300506032b6570032100")
_MINUTE_NS: Final = 60 * SECOND_NS


class _User:
    def __init__(self, name: str) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(secret(f"user {name}"))
        self.der = _PREFIX + self._key.public_key().public_bytes_raw()
        self.principal = Principal.self_authenticating(self.der)

    def sign(self, message: bytes) -> bytes:
        return self._key.sign(message)


def _hash(value: object) -> bytes:
    """The representation-independent hash, from the words of the interface specification."""
    if isinstance(value, dict):
        pairs = sorted(hashlib.sha256(name.encode()).digest() + _hash(item) for name, item in value.items())
        return hashlib.sha256(b"".join(pairs)).digest()
    if isinstance(value, list):
        return hashlib.sha256(b"".join(map(_hash, value))).digest()
    data = encode_unsigned(value) if isinstance(value, int) else value.encode() if isinstance(value, str) else value
    if not isinstance(data, bytes):
        raise TypeError("no value of this kind has a hash")
    return hashlib.sha256(data).digest()


def _content(user: _User | Principal, **changes: Any) -> dict[str, Any]:
    content = {
        "request_type": "call",
        "canister_id": CANISTER.raw,
        "method_name": "ws_message",
        "arg": b"DIDL\x00\x00",
        "sender": (user if isinstance(user, Principal) else user.principal).raw,
        "ingress_expiry": NOW_NS + 4 * _MINUTE_NS,
    }
    return content | changes


def _signed_as(user: _User, content: dict[str, Any]) -> dict[str, Any]:
    """Signed, where the content has a hash; with a signature that nobody gets to, where it has none."""
    try:
        return _signed(user, content)
    except (IcwsError, TypeError, AttributeError):
        return {"content": content, "sender_pubkey": user.der, "sender_sig": bytes(64)}


def _signed(user: _User, content: dict[str, Any], **changes: Any) -> dict[str, Any]:
    signature = user.sign(b"\x0aic-request" + _hash(content))
    return {"content": content, "sender_pubkey": user.der, "sender_sig": signature} | changes


def envelopes() -> Maker:
    """Envelopes of calls."""
    made = Maker(
        "envelope",
        ["An envelope, CBOR, for an endpoint at now_ns. Accepted means: a replica would take it in."],
        {
            "Impostor": ("The sender is not who signed.", "Anybody acts as anybody."),
            "Replay": ("The envelope is not of this time.", "What was signed once is executed later again."),
            "Altered": ("The content is not what was signed.", "The relay puts words into the user's mouth."),
        },
    )
    user, other = _User("user"), _User("other")
    made.group(endpoint="call", now_ns=str(NOW_NS), effective_canister_id=CANISTER.to_text())

    def given(envelope: dict[str, Any]) -> dict[str, str]:
        return {"envelope_hex": cbor.encode_self_described(envelope).hex()}

    def accept(comment: str, names: str, envelope: dict[str, Any]) -> None:
        content = envelope["content"]
        made.accept(
            comment,
            names,
            given(envelope),
            request_id_hex=_hash(content).hex(),
            sender=Principal(content["sender"]).to_text(),
        )

    content = _content(user)
    accept("an ordinary call", "LIB-016 LIB-017", _signed(user, content))
    accept("a call with a nonce", "LIB-016 LIB-004", _signed(user, _content(user, nonce=b"\x01\x02")))
    accept("an anonymous call", "LIB-016", {"content": _content(user, sender=b"\x04")})
    altered = {"content": content | {"arg": b"DIDL\x00\x01"}}
    made.reject(
        "another argument than was signed",
        "LIB-016",
        "BadSignature",
        given(_signed(user, content) | altered),
        "Altered",
    )
    extra = {"content": content | {"later": "x"}}
    made.reject(
        "a field that was not signed",
        "LIB-004",
        "BadSignature UnknownField",
        given(_signed(user, content) | extra),
        "Altered",
    )
    made.reject(
        "another's sender",
        "LIB-016",
        "SenderMismatch",
        given(_signed(user, _content(other))),
        "Impostor",
    )
    made.reject(
        "another's key with the user's signature",
        "LIB-016",
        "SenderMismatch",
        given(_signed(user, content, sender_pubkey=other.der)),
        "Impostor",
    )
    made.reject(
        "no signature", "LIB-016", "SignatureMissing Malformed MissingField", given({"content": content}), "Impostor"
    )
    made.reject(
        "an anonymous call with a signature",
        "LIB-016",
        "AnonymousSigned",
        given(_signed(user, _content(user, sender=b"\x04"))),
        "Impostor",
    )
    plain = user.sign(_hash(content))
    made.reject(
        "a signature without the domain separator",
        "LIB-016",
        "BadSignature",
        given(_signed(user, content, sender_sig=plain)),
        "Impostor",
    )
    expired = _content(user, ingress_expiry=NOW_NS - 1)
    made.reject("expired", "LIB-017", "IngressExpired", given(_signed(user, expired)), "Replay")
    far = _content(user, ingress_expiry=NOW_NS + 6 * _MINUTE_NS)
    made.reject("expires in six minutes", "LIB-017", "IngressExpiryTooFar", given(_signed(user, far)), "Replay")
    query = _content(user, request_type="query")
    made.reject(
        "a query at the endpoint of calls", "LIB-016", "WrongRequestType", given(_signed(user, query)), "Altered"
    )
    _unsigned(made, given, user)
    _shapes(made, given, user)
    _sender_infos(made, given)
    _read_states(made, given, user)
    return made


def _unsigned(made: Maker, given: Given, user: _User) -> None:
    anonymous = {"content": _content(user, sender=b"\x04")}
    signature = user.sign(b"\x0aic-request" + _hash(anonymous["content"]))
    for comment, more in (
        ("a key and no signature", {"sender_pubkey": user.der}),
        ("a signature and no key", {"sender_sig": signature}),
        ("an empty chain of delegations", {"sender_delegation": []}),
    ):
        made.reject(
            f"an anonymous call with {comment}", "LIB-016", "AnonymousSigned", given(anonymous | more), "Impostor"
        )
    info = {"content": _content(user, sender=b"\x04", sender_info={"info": b"i", "signer": CANISTER.raw, "sig": b"s"})}
    made.reject("an anonymous call with sender_info", "LIB-019", "AnonymousSigned", given(info), "Impostor")
    for comment, missing in (("key", "sender_pubkey"), ("signature", "sender_sig")):
        whole = _signed(user, _content(user))
        fewer = {name: value for name, value in whole.items() if name != missing}
        made.reject(f"a call without {comment}", "LIB-016", "SignatureMissing", given(fewer), "Impostor")
    told = _content(user, sender_info={"info": b"i", "signer": CANISTER.raw, "sig": b"s"})
    made.reject("sender_info under a user's own key", "LIB-019", "BadPublicKey", given(_signed(user, told)), "Impostor")


def _shapes(made: Maker, given: Given, user: _User) -> None:
    """Envelopes that are none."""
    content = _content(user)
    whole = _signed(user, content)
    form = "Malformed MissingField WrongType UnknownField TooLarge TooMany WrongRequestType DelegationTooLong"
    for comment, change in (
        ("a nonce of 33 bytes", {"nonce": bytes(33)}),
        ("a nonce that is text", {"nonce": "n"}),
        ("an unknown request type", {"request_type": "update"}),
        ("a request type that is a number", {"request_type": 1}),
        ("no sender", {"sender": None}),
        ("a sender of 30 bytes", {"sender": bytes(30)}),
        ("a sender that is text", {"sender": user.principal.to_text()}),
        ("an expiry below 0", {"ingress_expiry": -1}),
        ("an expiry that is text", {"ingress_expiry": "1"}),
    ):
        changed = {name: value for name, value in (content | change).items() if value is not None}
        made.reject(comment, "LIB-001", form, given(_signed_as(user, changed)), "Altered")
    for comment, field in (
        ("true", True),
        ("a map whose key is a number", {1: b""}),
    ):
        odd = content | {"later": field}
        made.reject(f"a field that is {comment}", "LIB-004", form, given(_signed_as(user, odd)), "Altered")
    marked = cbor.encode_self_described(_signed_as(user, content | {"later": b"marker"}))
    large = marked.replace(b"\x46marker", b"\xc2\x59\x07\xd0" + b"\x01" * 2_000).hex()
    made.reject("a field that is a number of 2,000 bytes", "LIB-001", "TooLarge", {"envelope_hex": large}, "Altered")
    link = {"delegation": {"pubkey": user.der, "expiration": NOW_NS}, "signature": b"s"}
    for comment, more in (
        ("a field more", {"note": b""}),
        ("a key that is text", {"sender_pubkey": "key"}),
        ("delegations that are a map", {"sender_delegation": {}}),
        ("a delegation without signature", {"sender_delegation": [{"delegation": link["delegation"]}]}),
        ("a delegation with a field more", {"sender_delegation": [link | {"note": b""}]}),
        (
            "a delegation whose targets are a map",
            {"sender_delegation": [link | {"delegation": {"pubkey": b"", "expiration": 1, "targets": {}}}]},
        ),
        (
            "a delegation with a target that is text",
            {"sender_delegation": [link | {"delegation": {"pubkey": b"", "expiration": 1, "targets": ["aaaaa-aa"]}}]},
        ),
        ("no content", {"content": None}),
        ("a content that is bytes", {"content": b""}),
    ):
        changed = {name: value for name, value in (whole | more).items() if value is not None}
        made.reject(f"an envelope with {comment}", "LIB-001", form, given(changed), "Altered")
    long = parts((b"\x5a\x00\x20\x00\x00", 1), (b"\x00", 2 << 20))
    made.reject("an envelope of two megabytes", "LIB-001", "TooLarge", {"envelope_hex": long}, "Altered")


def _sender_infos(made: Maker, given: Given) -> None:
    """What a canister says about the users it signs for."""
    key = canister_key()
    sender = Principal.self_authenticating(key)
    made.group(
        endpoint="call",
        now_ns=str(NOW_NS),
        effective_canister_id=CANISTER.to_text(),
        root_key_der_hex=ROOT.public_key.der.hex(),
    )

    def signed(message: bytes) -> bytes:
        return bytes.fromhex(sign_as_canister(message=message)["signature_hex"])

    def envelope(signer: Principal = CANISTER, told: bytes = b"info", signed_info: bytes = b"info") -> dict[str, Any]:
        info = {"info": told, "signer": signer.raw, "sig": signed(b"\x0eic-sender-info" + signed_info)}
        content = _content(sender, sender_info=info)
        return {"content": content, "sender_pubkey": key, "sender_sig": signed(b"\x0aic-request" + _hash(content))}

    content = _content(sender)
    plain = {"content": content, "sender_pubkey": key, "sender_sig": signed(b"\x0aic-request" + _hash(content))}
    for comment, good in (("a call of a canister's user", plain), ("a call with sender_info", envelope())):
        id_ = _hash(good["content"]).hex()
        made.accept(comment, "LIB-019", given(good), request_id_hex=id_, sender=sender.to_text())
    other = given(envelope(FOREIGN))
    made.reject("sender_info of another canister", "LIB-019", "BadPublicKey", other, "Impostor")
    changed = given(envelope(told=b"more"))
    made.reject("other sender_info than was signed", "LIB-019", "BadSignature", changed, "Altered")


def _read_states(made: Maker, given: Given, user: _User) -> None:
    """Requests for certificates."""
    made.group(endpoint="read_state", now_ns=str(NOW_NS), effective_canister_id=CANISTER.to_text())

    def asked(paths: Any) -> dict[str, str]:
        content = {"request_type": "read_state", "paths": paths, "sender": user.principal.raw}
        return given(_signed_as(user, content | {"ingress_expiry": NOW_NS + _MINUTE_NS}))

    content = {"request_type": "read_state", "paths": [[b"time"]], "sender": user.principal.raw}
    id_ = _hash(content | {"ingress_expiry": NOW_NS + _MINUTE_NS}).hex()
    made.accept(
        "a request for a certificate",
        "LIB-016",
        asked([[b"time"]]),
        request_id_hex=id_,
        sender=user.principal.to_text(),
    )
    for comment, paths, reason in (
        ("1,001 paths", [[b"time"]] * 1_001, "TooMany"),
        ("a path of 128 labels", [[b"a"] * 128], "TooMany"),
        ("a path that is a label", [b"time"], "WrongType"),
        ("a label that is text", [["time"]], "WrongType"),
        ("paths that are a map", {}, "WrongType"),
    ):
        made.reject(f"a request for {comment}", "LIB-001", reason, asked(paths), "Altered")


def delegations() -> Maker:
    """Delegation chains."""
    made = Maker(
        "delegation",
        ["A chain of delegations, at now_ns, for a request to canister_id. Accepted means: it leads to key_der_hex."],
        {"TooMuch": ("The chain gives more than its owner gave.", "A key acts where or when it must not.")},
    )
    root = _User("root")
    links = [_User(f"link {number}") for number in range(25)]
    made.group(
        root_public_key_der_hex=root.der.hex(),
        now_ns=str(NOW_NS),
        canister_id=CANISTER.to_text(),
        request_type="call",
    )

    def link(signer: _User, holder: _User, *, expires: int = NOW_NS + _MINUTE_NS, **more: Any) -> dict[str, Any]:
        signed: dict[str, Any] = {"pubkey": holder.der, "expiration": expires}
        if "targets" in more:
            signed["targets"] = [target.raw for target in more["targets"]]
        if "permissions" in more:
            signed["permissions"] = more["permissions"]
        entry: dict[str, Any] = {
            "pubkey_hex": holder.der.hex(),
            "expiration_ns": str(expires),
            "signature_hex": signer.sign(b"\x1aic-request-auth-delegation" + _hash(signed)).hex(),
        }
        if "targets" in more:
            entry["targets"] = [target.to_text() for target in more["targets"]]
        if "permissions" in more:
            entry["permissions"] = more["permissions"]
        return entry

    def chain(length: int) -> list[dict[str, Any]]:
        holders = [root, *links]
        return [link(holders[n], holders[n + 1]) for n in range(length)]

    def accept(comment: str, chained: list[dict[str, Any]]) -> None:
        last = chained[-1]["pubkey_hex"] if chained else root.der.hex()
        made.accept(comment, "LIB-018", {"delegations": chained}, key_der_hex=last)

    def reject(comment: str, reasons: str, chained: list[dict[str, Any]]) -> None:
        made.reject(comment, "LIB-018", reasons, {"delegations": chained}, "TooMuch")

    accept("no link", [])
    accept("two links", chain(2))
    accept("twenty links", chain(20))
    accept("a target that is the canister", [link(root, links[0], targets=[CANISTER])])
    reject("twenty-one links", "DelegationTooLong", chain(21))
    reject("an expired link", "DelegationExpired", [link(root, links[0], expires=NOW_NS - 1)])
    reject("a target that is another canister", "DelegationTarget", [link(root, links[0], targets=[root.principal])])
    reject("no target", "DelegationTarget Malformed", [link(root, links[0], targets=[])])
    reject("a permission for queries", "DelegationPermission", [link(root, links[0], permissions="queries")])
    reject("an unknown permission", "DelegationPermission", [link(root, links[0], permissions="everything")])
    reject("a link signed by another key", "BadSignature", [link(links[1], links[0])])
    reject("a key twice", "DelegationCycle", [link(root, links[0]), link(links[0], root)])
    widened = link(root, links[0], targets=[root.principal])
    reject("targets changed after signing", "BadSignature", [widened | {"targets": [CANISTER.to_text()]}])
    longer = link(root, links[0])
    many = link(root, links[0], targets=[CANISTER] * 1_001)
    reject("1,001 targets", "DelegationTarget", [many])
    short = link(root, links[0])
    reject("a signature of 63 bytes", "BadSignature", [short | {"signature_hex": short["signature_hex"][:-2]}])
    keyless = link(root, links[0])
    reject("a link to bytes that are no key", "BadPublicKey BadSignature", [keyless | {"pubkey_hex": "00"}])
    reject("expiry changed after signing", "BadSignature", [longer | {"expiration_ns": str(NOW_NS + 10 * _MINUTE_NS)}])
    made.group(root_public_key_der_hex=root.der.hex(), now_ns=str(NOW_NS), request_type="read_state")
    reject("a target, where no canister is addressed", "DelegationTarget", [link(root, links[0], targets=[CANISTER])])
    made.accept(
        "a permission for queries, at a request for a certificate",
        "LIB-018",
        {"delegations": [link(root, links[0], permissions="queries")]},
        key_der_hex=links[0].der.hex(),
    )
    return made
