"""Vectors of encodings: principals, keys, CBOR, request ids, message keys."""

from __future__ import annotations

import hashlib
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from icws_conformance.vectors.build import NOW_NS, Maker, parts, secret
from icws_conformance.vectors.cast import GATEWAY
from icws_secure.wire import cbor
from icws_secure.wire.leb128 import encode_unsigned
from icws_secure.wire.principal import Principal

__all__ = ["cbor_values", "message_keys", "principals", "public_keys", "request_ids"]

_ED25519: Final = bytes.fromhex("302a300506032b6570032100")
_SECP256K1: Final = bytes.fromhex("3056301006072a8648ce3d020106052b8104000a034200")
_P256: Final = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200")
_BLS: Final = bytes.fromhex("308182301d060d2b0601040182dc7c0503010201060c2b0601040182dc7c05030201036100")
_CANISTER_SIGNATURE: Final = bytes.fromhex("300c060a2b0601040183b8430102")
_GENERATOR: Final = (
    "93e02b6052719f607dacd3a088274f65596bd0d09920b61ab5da61bbdc7f5049334cf11213945d57e5ac7d055d042b7e"
    "024aa2b2f08f0a91260805272dc51051c6e47ad4fa403b02b4510b647ae3d1770bac0326a805bbefd48056c8c121bdb8"
)
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
    canister = b"\x0a" + bytes.fromhex("00000000003002100101") + b"seed"
    for comment, data, scheme in (
        ("Ed25519", der, "ed25519"),
        ("secp256k1, uncompressed", _SECP256K1 + _point(ec.SECP256K1()), "secp256k1"),
        ("P-256, uncompressed", _P256 + _point(ec.SECP256R1()), "p256"),
        ("BLS12-381", _BLS + bytes.fromhex(_GENERATOR), "bls12_381"),
        ("a canister signature's", _variable(_CANISTER_SIGNATURE, canister), "canister_signature"),
        (
            "a canister signature's, without seed",
            _variable(_CANISTER_SIGNATURE, canister[:-4] + b"x"),
            "canister_signature",
        ),
    ):
        principal = Principal.self_authenticating(data).to_text()
        made.accept(comment, "LIB-003", {"der_hex": data.hex()}, scheme=scheme, principal=principal)
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
        ("the key in a bit string with unused bits", der[:11] + b"\x01" + raw),
        ("a point of secp256k1 that begins with 02", _SECP256K1 + b"\x02" + _point(ec.SECP256K1())[1:]),
        (
            "a canister signature's, the canister longer than the key",
            _variable(_CANISTER_SIGNATURE, b"\x1d" + bytes(4)),
        ),
        ("a canister signature's, a canister of 30 bytes", _variable(_CANISTER_SIGNATURE, b"\x1e" + bytes(40))),
        ("a canister signature's, with unused bits", _variable(_CANISTER_SIGNATURE, canister, unused=1)),
        ("a canister signature's, empty", _variable(_CANISTER_SIGNATURE, b"")),
        ("a canister signature's of 3,000 bytes", _variable(_CANISTER_SIGNATURE, canister + bytes(3000))),
    ):
        made.reject(comment, "LIB-003", bad, {"der_hex": data.hex()}, "Alias")
    return made


def _point(curve: ec.EllipticCurve) -> bytes:
    key = ec.derive_private_key(int.from_bytes(secret("point"), "big") >> 8, curve).public_key()
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def _variable(algorithm: bytes, raw: bytes, unused: int = 0) -> bytes:
    """A key of any length, DER."""
    return _element(0x30, algorithm + _element(0x03, bytes([unused]) + raw))


def _element(tag: int, content: bytes) -> bytes:
    size = len(content)
    length = (
        bytes([size]) if size < 0x80 else bytes([0x81, size]) if size < 0x100 else b"\x82" + size.to_bytes(2, "big")
    )
    return bytes([tag]) + length + content


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
        ("a list that claims 24 items and has two", "98180102", "Malformed", "Bomb"),
        ("a length that is cut short", "19ff", "Malformed", "Ambiguous"),
        ("a text that is cut short", "6361", "Malformed", "Ambiguous"),
        ("a reserved length", "1c", "Malformed", "Ambiguous"),
        ("a break on its own", "ff", "Malformed", "Ambiguous"),
        ("a float of eight bytes", "fb3ff0000000000000", "WrongType Malformed", "Ambiguous"),
        ("a simple value of two bytes", "f820", "WrongType Malformed", "Ambiguous"),
        ("a key that is a list", "a1810001", "Malformed WrongType", "Ambiguous"),
        ("a key that is true", "a1f501", "Malformed WrongType", "Ambiguous"),
        ("a key above 65,535", "a11a0001000001", "Malformed WrongType", "Ambiguous"),
        ("a big number that is text", "c26101", "Malformed", "Ambiguous"),
        ("a big number that is cut short", "c24201", "Malformed", "Ambiguous"),
        ("a big number of a length that is reserved", "c25c", "Malformed", "Ambiguous"),
        ("a big number whose length is cut short", "c258", "Malformed", "Ambiguous"),
        ("a big number of 2,000 bytes", "c25907d0" + "01" * 2000, "TooLarge", "Bomb"),
    ):
        made.reject(comment, "LIB-001 LIB-023", reason, {"data_hex": text}, flag)
    many = parts((b"\x9a\x00\x03\x0d\x40", 1), (b"\x00", 200_000))
    made.reject("200,001 items", "LIB-001 LIB-023", "TooMany", {"data_hex": many}, "Bomb")
    long = parts((b"\x5a\x00\x40\x00\x00", 1), (b"\x00", 4 << 20))
    made.reject("longer than four megabytes", "LIB-001 LIB-023", "TooLarge", {"data_hex": long}, "Bomb")
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
    text = GATEWAY.to_text()
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
        ("nothing but an underscore", "_"),
        ("no nonce and no underscore", text),
    ):
        made.reject(comment, "LIB-025", "WrongKeyForm", {"key": key}, "Alias")
    return made
