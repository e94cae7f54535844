"""Vectors of signatures: BLS, users' Ed25519, ECDSA and WebAuthn, canister signatures; and of root keys."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any, Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from icws_conformance.vectors.build import (
    NOW_NS,
    SECOND_NS,
    Maker,
    Tree,
    digest,
    fork,
    labeled,
    leaf,
    parts,
    pruned,
    secret,
)
from icws_conformance.vectors.certify import APP, CANISTER, FOREIGN, ROOT, branches, certify, delegate, state_tree
from icws_secure.wire import cbor
from icws_secure.wire.principal import Principal

__all__ = ["SEED", "bls", "canister_key", "canister_signatures", "root_keys", "sign_as_canister", "user_signatures"]

_MESSAGE: Final = b"\x0aic-request" + secret("message")
_MODULUS: Final = int(
    "1a0111ea397fe69a4b1ba7b6434bacd764774b84f38512bf6730d2a0f6b0f6241eabfffeb153ffffb9feffffffffaaab", 16
)


def bls() -> Maker:
    """Signatures of subnets, and the points that they are made of."""
    made = Maker(
        "bls",
        [
            "A BLS12-381 signature (48 bytes, G1) under a public key (96 bytes, G2), both compressed, of the suite",
            "BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_NUL_. Accepted means: both are points of the groups in their one",
            "encoding, neither is infinity, and the signature verifies.",
        ],
        {
            "Point": ("A point is not of its group, or not in its one encoding.", "A made-up point verifies."),
            "Infinity": ("A point is the identity.", "With the key at infinity, one signature fits every message."),
            "Forged": ("The signature is another's.", "Anybody certifies anything."),
        },
    )
    message = b"a message"
    key, signature = APP.public_key.raw, APP.sign(message)

    def given(key_: bytes = key, signature_: bytes = signature, message_: bytes = message) -> dict[str, Any]:
        return {"public_key_hex": key_.hex(), "signature_hex": signature_.hex(), "message_hex": message_.hex()}

    made.accept("a signature", "LIB-009 LIB-010", given())
    made.accept("a signature on nothing", "LIB-010", given(signature_=APP.sign(b""), message_=b""))
    forged = "BadBlsSignature"
    made.reject("on another message", "LIB-010", forged, given(message_=b"another"), "Forged")
    made.reject("under another key", "LIB-010", forged, given(key_=ROOT.public_key.raw), "Forged")
    negated = bytes([signature[0] ^ 0x20]) + signature[1:]
    made.reject("the signature negated", "LIB-010", forged, given(signature_=negated), "Forged")
    infinity1, infinity2 = b"\xc0" + bytes(47), b"\xc0" + bytes(95)
    point = "BadBlsPoint"
    made.reject("both at infinity", "LIB-009", point, given(infinity2, infinity1), "Infinity")
    made.reject("the key at infinity", "LIB-009", point, given(key_=infinity2), "Infinity")
    made.reject("the signature at infinity", "LIB-009", point, given(signature_=infinity1), "Infinity")
    for what, good in (("key", key), ("signature", signature)):
        name = f"{what}_"
        large = (_MODULUS + 3).to_bytes(48, "big")
        for comment, wrong in (
            ("one byte too short", good[:-1]),
            ("one byte too long", good + b"\x00"),
            ("empty", b""),
            ("without the bit that says compressed", bytes([good[0] & 0x7F]) + good[1:]),
            ("with a coordinate above the modulus", bytes([0x80 | large[0]]) + large[1:] + good[48:]),
            ("off the curve", _off_curve(good)),
            ("outside the subgroup", _outside(len(good))),
        ):
            made.reject(f"a {what} {comment}", "LIB-009", point, given(**{name: wrong}), "Point")
    return made


def _off_curve(good: bytes) -> bytes:
    """A coordinate that no point has, close to that of a point."""
    # the next x without a point: half of all have none; whether one has is decided by a square root
    for step in range(1, 50):
        wrong = good[:-1] + bytes([(good[-1] + step) % 256])
        if not _is_x(wrong):
            return wrong
    raise ValueError("every coordinate has a point")


def _is_x(data: bytes) -> bool:
    """Whether a point has this coordinate, by Euler's criterion."""
    first = int.from_bytes(bytes([data[0] & 0x1F]) + data[1:48], "big")
    if len(data) == 48:
        return pow(first**3 + 4, (_MODULUS - 1) // 2, _MODULUS) == 1
    imaginary, real = first, int.from_bytes(data[48:], "big")
    square = ((real * real - imaginary * imaginary) % _MODULUS, 2 * real * imaginary % _MODULUS)
    cube = (
        (square[0] * real - square[1] * imaginary + 4) % _MODULUS,
        (square[0] * imaginary + square[1] * real + 4) % _MODULUS,
    )
    # an element of the quadratic extension is a square if and only if its norm is one in the base field
    return pow(cube[0] ** 2 + cube[1] ** 2, (_MODULUS - 1) // 2, _MODULUS) == 1


def _outside(length: int) -> bytes:
    """A small coordinate with a point. The curves have so many points outside the subgroup that it is one."""
    for x in range(1, 100):
        data = bytes([0x80]) + bytes(length - 2) + bytes([x])
        if _is_x(data):
            return data
    raise ValueError("no small coordinate has a point")


def root_keys() -> Maker:
    """Keys that may be pinned."""
    made = Maker(
        "root_key",
        ["A root key, DER. Accepted means: it may be pinned; subnet_id is the root subnet's."],
        {"Alias": ("It is no key of a root subnet.", "All trust rests on bytes that anybody can sign for.")},
    )
    der = ROOT.public_key.der
    made.accept("a root key", "LIB-022", {"root_key_der_hex": der.hex()}, subnet_id=ROOT.principal.to_text())
    user = bytes.fromhex("302a300506032b6570032100") + bytes(31) + b"\x01"
    for comment, data in (
        ("a user's key", user),
        ("a byte too many", der + b"\x00"),
        ("the key without its DER", ROOT.public_key.raw),
        ("the key at infinity", der[:-96] + b"\xc0" + bytes(95)),
        ("a key that is not compressed", der[:-96] + bytes([der[-96] & 0x7F]) + der[-95:]),
    ):
        made.reject(comment, "LIB-022", "BadPublicKey", {"root_key_der_hex": data.hex()}, "Alias")
    return made


# Users ---------------------------------------------------------------------------------------------------------------

_ED25519: Final = bytes.fromhex("302a300506032b6570032100")
_CURVES: Final[tuple[tuple[str, ec.EllipticCurve, bytes], ...]] = (
    ("secp256k1", ec.SECP256K1(), bytes.fromhex("3056301006072a8648ce3d020106052b8104000a034200")),
    ("P-256", ec.SECP256R1(), bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200")),
)
_COSE: Final = bytes.fromhex("300c060a2b0601040183b8430101")
_CANISTER_OID: Final = bytes.fromhex("300c060a2b0601040183b8430102")


def user_signatures() -> Maker:
    """Signatures of users, by the scheme of their key."""
    made = Maker(
        "user_signature",
        [
            "A signature on message_hex, under a key in DER, which says the scheme: Ed25519, ECDSA on secp256k1 or",
            "P-256 (r and s, 32 bytes each), WebAuthn. Accepted means: it verifies.",
        ],
        {
            "Forged": ("The signature is another's, or on another message.", "Anybody acts as anybody."),
            "Form": ("Signature or key are not of their one form.", "Two verifiers differ, or one of them crashes."),
        },
    )
    made.group(message_hex=_MESSAGE.hex())
    ed = Ed25519PrivateKey.from_private_bytes(secret("user"))
    der, signature = _ED25519 + ed.public_key().public_bytes_raw(), ed.sign(_MESSAGE)
    _good_and_bad(made, "Ed25519", der, signature, ed.sign(b"another"))
    for name, curve, prefix in _CURVES:
        key = ec.derive_private_key(int.from_bytes(secret(name), "big") >> 1, curve)
        point = key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        _good_and_bad(made, name, prefix + point, _ecdsa(key, _MESSAGE), _ecdsa(key, b"another"))
        longer = _ecdsa(key, _MESSAGE)
        longer = longer[:32] + b"\x00" + longer[32:]
        given = {"public_key_der_hex": (prefix + point).hex(), "signature_hex": longer.hex()}
        made.reject(f"{name}: a zero before s", "LIB-016", "BadSignature", given, "Form")
        off = point[:-1] + bytes([point[-1] ^ 1])
        given = {"public_key_der_hex": (prefix + off).hex(), "signature_hex": _ecdsa(key, _MESSAGE).hex()}
        made.reject(f"{name}: a point that is not on the curve", "LIB-003", "BadPublicKey", given, "Form")
    bls_der = ROOT.public_key.der
    given = {"public_key_der_hex": bls_der.hex(), "signature_hex": ROOT.sign(_MESSAGE).hex()}
    made.reject("BLS, which users do not sign with", "LIB-016", "BadPublicKey", given, "Form")
    canister = _der(_CANISTER_OID, b"\x0a" + CANISTER.raw)
    given = {"public_key_der_hex": canister.hex(), "signature_hex": b"\xd9\xd9\xf7\xa0".hex()}
    made.reject("a canister's, where no root key is pinned", "LIB-019", "BadPublicKey", given, "Form")
    _webauthn(made)
    return made


def _good_and_bad(made: Maker, name: str, der: bytes, signature: bytes, other: bytes) -> None:
    def given(data: bytes) -> dict[str, Any]:
        return {"public_key_der_hex": der.hex(), "signature_hex": data.hex()}

    made.accept(f"{name}: a signature", "LIB-016", given(signature))
    bad = "BadSignature"
    made.reject(f"{name}: a signature on another message", "LIB-016", bad, given(other), "Forged")
    made.reject(
        f"{name}: one bit changed", "LIB-016", bad, given(signature[:-1] + bytes([signature[-1] ^ 1])), "Forged"
    )
    made.reject(f"{name}: 63 bytes", "LIB-016", bad, given(signature[:-1]), "Form")
    made.reject(f"{name}: 65 bytes", "LIB-016", bad, given(signature + b"\x00"), "Form")
    made.reject(f"{name}: nothing", "LIB-016", bad, given(b""), "Form")
    made.reject(f"{name}: 64 zeros", "LIB-016", bad, given(bytes(64)), "Form")


def _ecdsa(key: ec.EllipticCurvePrivateKey, message: bytes, *, der: bool = False) -> bytes:
    data = key.sign(message, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
    if der:
        return data
    r, s = decode_dss_signature(data)
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def _der(algorithm: bytes, raw: bytes) -> bytes:
    bits = algorithm + _element(0x03, b"\x00" + raw)
    return _element(0x30, bits)


def _element(tag: int, content: bytes) -> bytes:
    size = len(content)
    head = bytes([size]) if size < 0x80 else bytes([0x81, size]) if size < 0x100 else b"\x82" + size.to_bytes(2, "big")
    return bytes([tag]) + head + content


def _webauthn(made: Maker) -> None:
    key = ec.derive_private_key(int.from_bytes(secret("authenticator"), "big") >> 1, ec.SECP256R1())
    numbers = key.public_key().public_numbers()
    x, y = numbers.x.to_bytes(32, "big"), numbers.y.to_bytes(32, "big")
    es256: dict[int, Any] = {1: 2, 3: -7, -1: 1, -2: x, -3: y}
    data = hashlib.sha256(b"relying party").digest() + b"\x01" + bytes(4)

    def client(**more: Any) -> bytes:
        challenge = base64.urlsafe_b64encode(_MESSAGE).rstrip(b"=").decode()
        fields = {"type": "webauthn.get", "challenge": challenge, "origin": "https://example.org"}
        return json.dumps(fields | more, separators=(",", ":")).encode()

    def assertion(client_data: Any, authenticator: bytes = data, **more: Any) -> bytes:
        raw = client_data.encode() if isinstance(client_data, str) else client_data
        signed = authenticator + hashlib.sha256(raw if isinstance(raw, bytes) else b"").digest()
        fields = {"authenticator_data": authenticator, "client_data_json": client_data}
        return cbor.encode_self_described(fields | {"signature": _ecdsa(key, signed, der=True)} | more)

    def given(signature: bytes, cose: Any = None) -> dict[str, Any]:
        raw = cose if isinstance(cose, bytes) else cbor.encode(es256 if cose is None else cose)
        return {"public_key_der_hex": _der(_COSE, raw).hex(), "signature_hex": signature.hex()}

    good = assertion(client())
    made.accept("WebAuthn: an assertion", "LIB-016", given(good))
    made.accept("WebAuthn: the client data as text", "LIB-016", given(assertion(client().decode())))
    ed = Ed25519PrivateKey.from_private_bytes(secret("ed authenticator"))
    signed = data + hashlib.sha256(client()).digest()
    eddsa: dict[int, Any] = {1: 1, 3: -8, -1: 6, -2: ed.public_key().public_bytes_raw()}
    made.accept("WebAuthn: with Ed25519", "LIB-016", given(assertion(client(), signature=ed.sign(signed)), eddsa))
    rs256, rsa_signature = _rsa(signed)
    made.accept("WebAuthn: with RSA", "LIB-016", given(assertion(client(), signature=rsa_signature), rs256))
    bad, form = "BadSignature", "BadSignature Malformed MissingField WrongType UnknownField"
    for comment, signature in (
        ("another type", assertion(client(type="webauthn.create"))),
        ("no type", assertion(client(type=None))),
        ("client data that are a list", assertion(b"[]")),
        ("another challenge", assertion(client(challenge="AAAA"))),
        ("a challenge that is no text", assertion(client(challenge=7))),
        ("authenticator data of 36 bytes", assertion(client(), data[:-1])),
        ("signed by nobody", assertion(client(), signature=_ecdsa(key, b"another", der=True))),
    ):
        made.reject(f"WebAuthn: {comment}", "LIB-016", bad, given(signature), "Forged")
    for comment, signature in (
        ("client data that are no JSON", assertion(b"{")),
        ("client data that are a number", assertion(7)),
        ("no client data", cbor.encode_self_described({"authenticator_data": data, "signature": b""})),
        ("a field more", assertion(client(), note=b"")),
        ("no map", cbor.encode_self_described([1])),
        ("no CBOR", b"\xff"),
    ):
        made.reject(f"WebAuthn: {comment}", "LIB-016", form, given(signature), "Form")
    small, small_signature = _rsa(signed, 1024)
    odd: tuple[tuple[str, Any, bytes], ...] = (
        ("a key that is a list", [1], good),
        ("a key that is no CBOR", b"\xff", good),
        ("a key of another algorithm", es256 | {3: -47}, good),
        ("a key with a short coordinate", es256 | {-2: x[1:]}, good),
        ("a key with a coordinate that is a number", es256 | {-2: 7}, good),
        ("a key that is not on its curve", es256 | {-2: y}, good),
        ("an RSA key of 1,024 bits", small, assertion(client(), signature=small_signature)),
        ("an RSA key with a long exponent", rs256 | {-2: b"\x01" + bytes(8) + b"\x01"}, good),
        ("an RSA key without modulus", {1: 3, 3: -257, -2: b"\x01\x00\x01"}, good),
    )
    for comment, cose, signature in odd:
        made.reject(f"WebAuthn: {comment}", "LIB-016 LIB-003", "BadPublicKey Malformed", given(signature, cose), "Form")


def _rsa(signed: bytes, bits: int = 2048) -> tuple[dict[int, Any], bytes]:
    """A key made from primes that are the same every time, and its signature."""
    p, q = (_prime(f"{bits} {name}", bits // 2) for name in "pq")
    public = rsa.RSAPublicNumbers(65537, p * q)
    d = pow(65537, -1, (p - 1) * (q - 1))
    private = rsa.RSAPrivateNumbers(
        p, q, d, rsa.rsa_crt_dmp1(d, p), rsa.rsa_crt_dmq1(d, q), rsa.rsa_crt_iqmp(p, q), public
    ).private_key()
    signature = private.sign(signed, padding.PKCS1v15(), hashes.SHA256())
    return {1: 3, 3: -257, -1: (p * q).to_bytes(bits // 8, "big"), -2: b"\x01\x00\x01"}, signature


def _prime(name: str, bits: int) -> int:
    """The first number from a fixed start on that passes Fermat's test to some bases: good enough for a test key."""
    number = int.from_bytes(secret(name, bits // 8), "big") | 3 << (bits - 2) | 1
    while not all(pow(base, number - 1, number) == 1 for base in (2, 3, 5, 7, 11)) or (number - 1) % 65537 == 0:
        number += 2
    return number


# Canisters -----------------------------------------------------------------------------------------------------------

SEED: Final = b"seed"


def canister_signatures() -> Maker:
    """Signatures with which canisters sign for users."""
    made = Maker(
        "canister_signature",
        [
            "A canister signature on message_hex, under a key in DER that names canister and seed. Accepted",
            "means: the canister certified an empty leaf for this message and seed, on a subnet that may.",
        ],
        {
            "Forged": ("The canister has not signed this.", "Somebody acts as any user of an identity provider."),
            "Foreign": ("A subnet that is not the canister's says so.", "Any subnet signs for any canister's users."),
            "Form": ("The signature is not of its one form.", "Two verifiers differ."),
        },
    )
    made.group(
        root_key_der_hex=ROOT.public_key.der.hex(),
        message_hex=_MESSAGE.hex(),
        public_key_der_hex=canister_key().hex(),
    )
    names = "LIB-019"
    made.accept("a signature", names, sign_as_canister())
    made.accept("an old one: it has no time of its own", names, sign_as_canister(time_ns=NOW_NS - 10**9 * SECOND_NS))
    kind = {"type": leaf(b"application")}
    made.accept("of a subnet whose type is shown", names, sign_as_canister(chain=delegate(more=kind)))

    def reject(comment: str, reasons: str, flag: str, given: dict[str, Any]) -> None:
        made.reject(comment, names, reasons, given, flag)

    bad = "BadSignature"
    reject("on another message", bad, "Forged", sign_as_canister(message=b"another"))
    reject("under another seed", bad, "Forged", sign_as_canister(seed=b"other"))
    reject("a leaf that is not empty", bad, "Forged", sign_as_canister(value=b"\x00"))
    reject("a leaf that is pruned", bad, "Forged", sign_as_canister(hide=True))
    reject("a tree of other signatures", "CertifiedDataMismatch", "Forged", sign_as_canister(certified=bytes(32)))
    reject("another canister's", "CertifiedDataMismatch PathAbsent", "Foreign", sign_as_canister(canister=FOREIGN))
    foreign = delegate(low=FOREIGN, high=FOREIGN)
    reject("of another subnet", "CanisterNotInRanges", "Foreign", sign_as_canister(chain=foreign))
    engine = {"type": leaf(b"cloud_engine")}
    reject("of a subnet that may not sign", "SubnetType", "Foreign", sign_as_canister(chain=delegate(more=engine)))
    hidden = {"type": pruned(leaf(b"application"))}
    reject("of a subnet that hides its type", "SubnetType", "Foreign", sign_as_canister(chain=delegate(more=hidden)))
    _forms(reject)
    return made


def _forms(reject: Any) -> None:
    good = bytes.fromhex(sign_as_canister()["signature_hex"])
    form = "BadSignature Malformed MissingField WrongType UnknownField TooDeep TooMany TooLarge TrailingBytes"
    reject("without the tag", "BadSignature", "Form", {"signature_hex": good[3:].hex()})
    reject("a byte too many", form, "Form", {"signature_hex": (good + b"\x00").hex()})
    fields = cbor.decode(good, what="signature", max_depth=100)
    if not isinstance(fields, dict):
        raise TypeError("a canister signature is a map")
    for comment, change in (
        ("without certificate", {"certificate": None}),
        ("without tree", {"tree": None}),
        ("with a field more", {"note": b""}),
        ("with a tree that is bytes", {"tree": b"\x81\x00"}),
        ("with a tree that is not of nodes", {"tree": [5]}),
        ("with a pruned node of 31 bytes", {"tree": [1, fields["tree"], [4, bytes(31)]]}),
        ("with a label of 65,537 bytes", {"tree": [2, bytes(65_537), [0]]}),
    ):
        odd = {name: value for name, value in (fields | change).items() if value is not None}
        reject(comment, form, "Form", {"signature_hex": cbor.encode_self_described(odd).hex()})
    twice = fork(labeled("sig", leaf(b"")), labeled("sig", leaf(b"")))
    reject("with a label twice", "TreeNotWellFormed", "Form", sign_as_canister(tree=twice))
    certificate = cbor.encode(fields["certificate"])
    head = b"\xd9\xd9\xf7\xa2\x6bcertificate" + certificate + b"\x64tree"
    deep = parts((head, 1), (b"\x83\x02\x41a", 1_022), (b"\x81\x00", 1))
    reject(
        "with a tree 1,022 levels deep that is not certified", "CertifiedDataMismatch", "Form", {"signature_hex": deep}
    )
    deeper = parts((head, 1), (b"\x83\x02\x41a", 1_100), (b"\x81\x00", 1))
    reject("with a tree 1,100 levels deep", "TooDeep", "Form", {"signature_hex": deeper})
    piece, count = b"\x81\x00", 1
    while count < 500:
        piece, count = b"\x83\x01" + piece + piece, 2 * count + 1
    many = parts((head, 1), (b"\x83\x01" + piece, 100_000 // (count + 1) + 1), (b"\x81\x00", 1))
    reject("with a tree of more than 100,000 nodes", "TooMany", "Form", {"signature_hex": many})


def sign_as_canister(
    *,
    message: bytes = _MESSAGE,
    seed: bytes = SEED,
    value: bytes = b"",
    hide: bool = False,
    certified: bytes | None = None,
    canister: Principal = CANISTER,
    chain: dict[str, bytes] | None = None,
    time_ns: int = NOW_NS - SECOND_NS,
    tree: Tree | None = None,
) -> dict[str, Any]:
    """A canister signature, as a field of a vector; or one that is wrong on purpose."""
    found = leaf(value)
    if tree is None:
        below = labeled(hashlib.sha256(message).digest(), pruned(found) if hide else found)
        tree = branches(("sig", labeled(hashlib.sha256(seed).digest(), below)))
    data = digest(tree) if certified is None else certified
    certificate = certify(state_tree({canister: data}, time_ns), APP, delegate() if chain is None else chain)
    return {"signature_hex": cbor.encode_self_described({"certificate": certificate, "tree": tree}).hex()}


def canister_key(canister: Principal = CANISTER, seed: bytes = SEED) -> bytes:
    """The key of a canister's users with this seed, DER."""
    return _der(_CANISTER_OID, bytes([len(canister.raw)]) + canister.raw + seed)
