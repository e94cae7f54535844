"""Vectors of encodings: principals, keys, CBOR, request ids, message keys, frames, Candid."""

from __future__ import annotations

import hashlib
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from icws_conformance.vectors.build import NOW_NS, Maker, empty, encode, secret
from icws_secure.wire import cbor
from icws_secure.wire.interface import (
    CertifiedMessages,
    ClientKey,
    CloseArgument,
    OpenArgument,
    OutputMessage,
    SecureOpen,
    WebsocketMessage,
    encode_close_argument,
    encode_get_messages_result,
    encode_message_argument,
    encode_open_argument,
)
from icws_secure.wire.leb128 import encode_unsigned
from icws_secure.wire.message import CanisterMessage
from icws_secure.wire.principal import Principal
from icws_secure.wire.service import AckMessage, encode_service_message

__all__ = ["candid", "cbor_values", "frames", "message_keys", "principals", "public_keys", "request_ids"]

_ED25519: Final = bytes.fromhex("302a300506032b6570032100")
_GATEWAY: Final = Principal.self_authenticating(b"gateway")
_USER: Final = Principal.self_authenticating(b"user")


def principals() -> Maker:
    """Textual principals."""
    made = Maker(
        "principal",
        ["A principal's text. Accepted means: it is the text of the principal with these bytes, in either case."],
        {
            "Look": (
                "The text looks like a principal's and is none.",
                "Two texts for one principal pass for two principals.",
            )
        },
    )
    for raw in (b"", b"\x04", bytes.fromhex("00000000003002100101"), _USER.raw):
        made.accept(f"{len(raw)} bytes", "LIB-002", {"text": Principal(raw).to_text()}, hex=raw.hex())
    text = _USER.to_text()
    made.accept("in capitals", "LIB-002", {"text": text.upper()}, hex=_USER.raw.hex())
    other = "a" if text[0] != "a" else "b"
    for comment, wrong in (
        ("a wrong checksum", other + text[1:]),
        ("no dashes", text.replace("-", "")),
        ("dashes in other places", text.replace("-", "", 1)),
        ("a dash at the end", text + "-"),
        ("a character that is none of base 32", text[:-1] + "1"),
        ("spaces around it", f" {text} "),
        ("padding", text + "="),
        ("no text", ""),
        ("thirty bytes", _long_text()),
    ):
        made.reject(comment, "LIB-002", "Malformed NotCanonical TooLarge", {"text": wrong}, "Look")
    return made


def _long_text() -> str:
    import base64
    import zlib

    raw = bytes(30)
    text = base64.b32encode(zlib.crc32(raw).to_bytes(4, "big") + raw).decode().rstrip("=").lower()
    return "-".join(text[n : n + 5] for n in range(0, len(text), 5))


def public_keys() -> Maker:
    """DER of public keys."""
    made = Maker(
        "public_key",
        ["A public key, DER. Accepted means: exactly the encoding of a key of a known scheme."],
        {
            "Alias": (
                "A second encoding of a key.",
                "One key has two principals, so that checks by principal are passed by.",
            )
        },
    )
    raw = Ed25519PrivateKey.from_private_bytes(secret("key")).public_key().public_bytes_raw()
    der = _ED25519 + raw
    made.accept(
        "Ed25519",
        "LIB-003",
        {"der_hex": der.hex()},
        scheme="ed25519",
        principal=Principal.self_authenticating(der).to_text(),
    )
    bad = "BadPublicKey Malformed TrailingBytes TooLarge"
    for comment, data in (
        ("a byte too many", der + b"\x00"),
        ("a byte too few", der[:-1]),
        ("no key", b""),
        ("an unknown algorithm", der.replace(bytes.fromhex("2b6570"), bytes.fromhex("2b6571"))),
        ("a length in two bytes", b"\x30\x81" + der[1:]),
        (
            "a compressed point of P-256",
            bytes.fromhex("3039301306072a8648ce3d020106082a8648ce3d030107032200") + b"\x02" + raw,
        ),
    ):
        made.reject(comment, "LIB-003", bad, {"der_hex": data.hex()}, "Alias")
    return made


def cbor_values() -> Maker:
    """Documents of CBOR."""
    made = Maker(
        "cbor",
        ["A document of CBOR. Accepted means: decoded strictly; encoded again (without the tag) it has encoded_hex."],
        {
            "Ambiguous": ("Decoders differ in what they make of it.", "One signed document says two things."),
            "Bomb": ("It claims or nests more than it holds.", "Memory or stack is exhausted by a few bytes."),
        },
    )
    values: list[tuple[str, object]] = [("a map", {"a": 1, "b": b"\x00"}), ("a list", [1, [2, [3]], None, True])]
    for comment, value in values:
        data = cbor.encode(value)
        made.accept(comment, "LIB-001", {"data_hex": data.hex()}, encoded_hex=data.hex())
        tagged = b"\xd9\xd9\xf7" + data
        made.accept(f"{comment}, self-described", "LIB-001", {"data_hex": tagged.hex()}, encoded_hex=data.hex())
    for comment, text, reason, flag in (
        ("a byte after the end", "0000", "TrailingBytes", "Ambiguous"),
        ("cut short", "8201", "Malformed", "Ambiguous"),
        ("one key twice", "a2616101616102", "DuplicateKey", "Ambiguous"),
        ("indefinite length of a list", "9f0102ff", "NotCanonical Malformed", "Ambiguous"),
        ("indefinite length of bytes", "5f4101ff", "NotCanonical Malformed", "Ambiguous"),
        ("a float", "f93c00", "WrongType Malformed", "Ambiguous"),
        ("undefined", "f7", "WrongType Malformed", "Ambiguous"),
        ("another tag", "c100", "WrongType Malformed", "Ambiguous"),
        ("text that is no UTF-8", "61ff", "Malformed", "Ambiguous"),
        ("nothing", "", "Malformed", "Ambiguous"),
        ("a list that claims 2^63 items", "9b7fffffffffffffff", "TooMany TooLarge Malformed", "Bomb"),
        ("bytes that claim 2^32", "5affffffff", "Malformed TooLarge", "Bomb"),
        ("a thousand lists in one another", "81" * 1000 + "00", "TooDeep", "Bomb"),
    ):
        made.reject(comment, "LIB-001 LIB-023", reason, {"data_hex": text}, flag)
    return made


def request_ids() -> Maker:
    """Representation-independent hashes."""
    made = Maker(
        "representation_independent_hash",
        ["A value. Accepted means: its representation-independent hash is hash_hex."],
    )

    def hash_of(value: dict[str, Any]) -> bytes:
        ((kind, inner),) = value.items()
        if kind == "map":
            pairs = sorted(hashlib.sha256(name.encode()).digest() + hash_of(item) for name, item in inner.items())
            return hashlib.sha256(b"".join(pairs)).digest()
        if kind == "array":
            return hashlib.sha256(b"".join(map(hash_of, inner))).digest()
        data = {"nat": lambda: encode_unsigned(int(inner)), "blob": lambda: bytes.fromhex(inner)}.get(
            kind, inner.encode
        )()
        return hashlib.sha256(data).digest()

    call: dict[str, Any] = {
        "request_type": {"text": "call"},
        "sender": {"blob": _USER.raw.hex()},
        "ingress_expiry": {"nat": str(NOW_NS)},
        "canister_id": {"blob": "00000000003002100101"},
        "method_name": {"text": "ws_message"},
        "arg": {"blob": "4449444c0000"},
    }
    for comment, value in (
        ("a call", {"map": call}),
        ("a call with a nonce", {"map": call | {"nonce": {"blob": "0011"}}}),
        ("a call with a field that nobody knows", {"map": call | {"later": {"text": "x"}}}),
        ("a list of lists", {"array": [{"array": []}, {"nat": "624485"}]}),
        ("the same bytes as text", {"map": {"a": {"text": "b"}}}),
    ):
        made.accept(comment, "LIB-004", {"value": value}, hash_hex=hash_of(value).hex())
    return made


def message_keys() -> Maker:
    """Keys of messages."""
    made = Maker(
        "message_key",
        ["The key of a message. Accepted means: exactly a principal's canonical text, an underscore and 20 digits."],
        {"Alias": ("Another text that means the same key.", "One certified message passes for two.")},
    )
    text = _GATEWAY.to_text()
    for nonce in (0, 7, NOW_NS, 2**64 - 1):
        made.accept(f"nonce {nonce}", "LIB-025", {"key": f"{text}_{nonce:020}"}, gateway=text, nonce=str(nonce))
    for comment, key in (
        ("nineteen digits", f"{text}_{7:019}"),
        ("twenty-one digits", f"{text}_{7:021}"),
        ("a nonce of more than 64 bits", f"{text}_{2**64}"),
        ("a sign", f"{text}_+{7:019}"),
        ("digits of another script", f"{text}_" + "\u0660" * 20),
        ("capitals", f"{text.upper()}_{7:020}"),
        ("no principal", f"_{7:020}"),
        ("no underscore", f"{text}{7:020}"),
        ("a space at the end", f"{text}_{7:020} "),
    ):
        made.reject(comment, "LIB-025", "WrongKeyForm", {"key": key}, "Alias")
    return made


def frames() -> Maker:
    """Frames of gateways and clients."""
    made = Maker(
        "frame",
        [
            "A WebSocket frame, from gateway or client by direction.",
            "Accepted means: exactly one of the documented shapes.",
        ],
        {"Unknown": ("The frame is of no documented shape.", "What one side skips and the other obeys is a hole.")},
    )
    tree = encode(empty())
    key = f"{_GATEWAY.to_text()}_{7:020}"
    message = {"key": key, "content": b"m", "cert": b"c", "tree": tree}
    receipt = {"request_id": bytes(32), "status": "pending"}
    shapes: list[tuple[str, object, str]] = [
        ("a handshake", {"gateway_principal": _GATEWAY.raw}, "Handshake"),
        (
            "a handshake of the subprotocol",
            {"gateway_principal": _GATEWAY.raw, "version": "icws-secure.1"},
            "Handshake",
        ),
        ("a message", message, "MessageFrame"),
        ("messages", {"messages": [{"key": key, "content": b"m"}], "cert": b"c", "tree": tree}, "MessagesFrame"),
        ("a receipt", {"receipt": receipt}, "ReceiptFrame"),
        ("a head", {"head": {"cert": b"c", "tree": tree}}, "HeadFrame"),
        ("a drain notice", {"drain": {"seconds": 5}}, "DrainFrame"),
    ]
    for comment, value, shape in shapes:
        data = cbor.encode_self_described(value)
        made.accept(comment, "LIB-024", {"direction": "gateway", "frame_hex": data.hex()}, shape=shape)
    reasons = "UnknownField WrongType MissingField Malformed TooMany TooLarge"
    wrong: list[tuple[str, object]] = [
        ("a map without fields", {}),
        ("a list", [1]),
        ("an unknown field", {"news": 1}),
        ("two shapes in one", {"drain": {"seconds": 5}, "head": {"cert": b"c", "tree": tree}}),
        ("a message with a field more", message | {"priority": 1}),
        ("a message without witness", {name: item for name, item in message.items() if name != "tree"}),
        ("a message whose key is bytes", message | {"key": key.encode()}),
        ("no messages", {"messages": [], "cert": b"c", "tree": tree}),
        ("a receipt with a short request id", {"receipt": receipt | {"request_id": bytes(31)}}),
        ("a receipt with an unknown status", {"receipt": receipt | {"status": "done"}}),
        ("a pending receipt with a certificate", {"receipt": receipt | {"certificate": b"c"}}),
        ("a drain notice below 0", {"drain": {"seconds": -5}}),
        ("an envelope from the gateway", {"envelope": {}}),
    ]
    for comment, value in wrong:
        data = cbor.encode_self_described(value)
        given = {"direction": "gateway", "frame_hex": data.hex()}
        made.reject(f"{comment}, from the gateway", "LIB-024", reasons, given, "Unknown")
    for comment, value in (
        ("an envelope that is no map", {"envelope": 1}),
        ("a handshake", {"gateway_principal": b""}),
    ):
        data = cbor.encode_self_described(value)
        given = {"direction": "client", "frame_hex": data.hex()}
        made.reject(f"{comment}, from the client", "LIB-024", reasons, given, "Unknown")
    return made


def candid() -> Maker:
    """Arguments and results of the protocol's methods."""
    made = Maker(
        "candid",
        ["An argument or result, by the field of; Candid, or CBOR for message. Accepted means: decoded."],
        {
            "Bomb": ("A few bytes claim very many values.", "Time or memory grows without bound."),
            "Malformed": ("It is no document of this type.", "A fault in the decoder is within reach of a stranger."),
        },
    )
    key = ClientKey(_USER, 7)
    secure = SecureOpen(bytes(16), 1, 1, "none", None, None)
    good: dict[str, tuple[bytes, str]] = {
        "ws_open": (encode_open_argument(OpenArgument(7, _GATEWAY, secure)), "OpenArgument"),
        "ws_close": (encode_close_argument(CloseArgument(key, 1)), "CloseArgument"),
        "ws_message": (encode_message_argument(WebsocketMessage(key, 1, NOW_NS, False, b"text")), "WebsocketMessage"),
        "ws_get_messages_result": (
            encode_get_messages_result(CertifiedMessages((OutputMessage(key, "k", b"c"),), b"c", b"t", True)),
            "CertifiedMessages",
        ),
        "service_message": (encode_service_message(AckMessage(3)), "AckMessage"),
        "message": (CanisterMessage(key, 1, NOW_NS, False, b"text", None).encode(), "CanisterMessage"),
    }
    for of, (data, type_) in good.items():
        made.accept(f"{of}, as it should be", "LIB-021", {"of": of, "data_hex": data.hex()}, type=type_)
    for of, (data, _) in good.items():
        given = {"of": of, "data_hex": data[:-1].hex()}
        made.reject(f"{of}, cut short", "LIB-021 LIB-023", "Malformed", given, "Malformed")
    reasons = "Malformed TooMany TooLarge TooDeep WrongType MissingField TrailingBytes"
    for comment, text in (
        ("no magic bytes", "00"),
        ("a type that is not there", "4449444c000105"),
        ("a vector of 2^32 nulls", "4449444c016d7f0100ffffffff0f"),
        ("a type table of 2^32 types", "4449444cffffffff0f"),
        ("a record of 2^32 fields", "4449444c016cffffffff0f"),
        ("a type that is itself, for ever", "4449444c016e000100" + "01" * 3000),
        ("other types than wanted", "4449444c00017d07"),
    ):
        given = {"of": "ws_open", "data_hex": text}
        made.reject(
            comment,
            "LIB-021 LIB-023",
            reasons,
            given,
            "Bomb" if "2^32" in comment or "ever" in comment else "Malformed",
        )
    return made
