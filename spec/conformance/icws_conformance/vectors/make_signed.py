"""Vectors of signed requests: envelopes and delegation chains."""

from __future__ import annotations

import hashlib
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from icws_conformance.vectors.build import NOW_NS, SECOND_NS, Maker, secret
from icws_secure.wire import cbor
from icws_secure.wire.leb128 import encode_unsigned
from icws_secure.wire.principal import Principal

__all__ = ["delegations", "envelopes"]

_PREFIX: Final = bytes.fromhex("302a300506032b6570032100")
_CANISTER: Final = Principal(bytes.fromhex("00000000003002100101"))
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


def _content(user: _User, **changes: Any) -> dict[str, Any]:
    content = {
        "request_type": "call",
        "canister_id": _CANISTER.raw,
        "method_name": "ws_message",
        "arg": b"DIDL\x00\x00",
        "sender": user.principal.raw,
        "ingress_expiry": NOW_NS + 4 * _MINUTE_NS,
    }
    return content | changes


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
    made.group(endpoint="call", now_ns=str(NOW_NS), effective_canister_id=_CANISTER.to_text())

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
    return made


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
        canister_id=_CANISTER.to_text(),
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
    accept("a target that is the canister", [link(root, links[0], targets=[_CANISTER])])
    reject("twenty-one links", "DelegationTooLong", chain(21))
    reject("an expired link", "DelegationExpired", [link(root, links[0], expires=NOW_NS - 1)])
    reject("a target that is another canister", "DelegationTarget", [link(root, links[0], targets=[root.principal])])
    reject("no target", "DelegationTarget Malformed", [link(root, links[0], targets=[])])
    reject("a permission for queries", "DelegationPermission", [link(root, links[0], permissions="queries")])
    reject("an unknown permission", "DelegationPermission", [link(root, links[0], permissions="everything")])
    reject("a link signed by another key", "BadSignature", [link(links[1], links[0])])
    reject("a key twice", "DelegationCycle", [link(root, links[0]), link(links[0], root)])
    widened = link(root, links[0], targets=[root.principal])
    reject("targets changed after signing", "BadSignature", [widened | {"targets": [_CANISTER.to_text()]}])
    longer = link(root, links[0])
    reject("expiry changed after signing", "BadSignature", [longer | {"expiration_ns": str(NOW_NS + 10 * _MINUTE_NS)}])
    return made
