"""Vectors of vetKD: public keys, encrypted keys, and what is made with a vetKey.

The arithmetic is written out here from the words of the interface specification and of the ``vetkeys`` libraries; only
the groups themselves come from a library.
"""

from __future__ import annotations

import hmac
from hashlib import sha256, shake_256
from typing import Any, Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pyblst import BlstP1Element, BlstP2Element

from icws_canister_mock.replica.keys import G1_GENERATOR, G2_GENERATOR, GROUP_ORDER
from icws_conformance.vectors.build import Maker, secret
from icws_conformance.vectors.certify import CANISTER

__all__ = ["vetkd", "vetkey_of"]

_G1: Final = BlstP1Element.uncompress(G1_GENERATOR)
_G2: Final = BlstP2Element.uncompress(G2_GENERATOR)
_CONTEXT: Final = b"icws-room/1\x04chat"
_INPUT: Final = b"an input"
_INFINITY1: Final = b"\xc0" + bytes(47)
_INFINITY2: Final = b"\xc0" + bytes(95)


def _scalar(purpose: str) -> int:
    return int.from_bytes(secret(f"vetkd {purpose}", 48), "big") % (GROUP_ORDER - 1) + 1


def _public(scalar: int) -> bytes:
    return bytes(_G2.scalar_mul(scalar).compress())


def _hash_to_scalar(message: bytes, domain: bytes) -> int:
    """hash_to_field of RFC 9380 for one number, by expand_message_xmd with SHA-256 and 48 bytes."""
    suffix = domain + bytes([len(domain)])
    start = sha256(bytes(64) + message + b"\x00\x30\x00" + suffix).digest()
    first = sha256(start + b"\x01" + suffix).digest()
    second = sha256(bytes(a ^ b for a, b in zip(start, first, strict=True)) + b"\x02" + suffix).digest()
    return int.from_bytes((first + second)[:48], "big") % GROUP_ORDER


def _offset(key: bytes, name: bytes, domain: bytes) -> int:
    message = len(key).to_bytes(8, "big") + key + len(name).to_bytes(8, "big") + name
    return _hash_to_scalar(message, domain)


_MASTER: Final = _scalar("master")
_FOR_CANISTER: Final = (
    _MASTER + _offset(_public(_MASTER), CANISTER.raw, b"ic-vetkd-bls12-381-g2-canister-id")
) % GROUP_ORDER
_DERIVED: Final = (
    _FOR_CANISTER + _offset(_public(_FOR_CANISTER), _CONTEXT, b"ic-vetkd-bls12-381-g2-context")
) % GROUP_ORDER
_TRANSPORT: Final = _scalar("transport")


def _point(input_: bytes, scalar: int = _DERIVED) -> Any:
    hashed = BlstP1Element.hash_to_group(_public(scalar) + input_, b"BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_AUG_")
    return hashed.scalar_mul(scalar)


def vetkey_of(input_: bytes) -> bytes:
    """The vetKey of an input, 48 bytes."""
    return bytes(_point(input_).compress())


def _encrypted(input_: bytes = _INPUT, *, rho: int | None = None, second: int | None = None) -> bytes:
    rho = _scalar("encryption") if rho is None else rho
    transport = _G1.scalar_mul(_TRANSPORT)
    c1, c2 = _G1.scalar_mul(rho), _G2.scalar_mul(rho if second is None else second)
    c3 = transport.scalar_mul(rho) + _point(input_)
    return bytes(c1.compress() + c2.compress() + c3.compress())


def vetkd() -> Maker:
    """The operations of vetKD, one a group."""
    made = Maker(
        "vetkd",
        [
            "An operation of vetKD, by op; keys and formats of the IC's production and of the vetkeys libraries.",
            "Scalars are 32 bytes big-endian. Accepted means: it is possible, with this output.",
        ],
        {
            "Point": ("A point is infinity, outside its group or not in its one encoding.", "Everybody knows the key."),
            "Forged": ("The key is not the one asked for.", "A node hands out a key that it knows."),
            "Old": ("It is of a format that binds less.", "A ciphertext is read under another meaning."),
            "Changed": ("It is not what was encrypted.", "A ciphertext is changed on its way."),
        },
    )
    _public_keys(made)
    _transport_keys(made)
    _encrypted_keys(made)
    _vetkeys(made)
    _messages(made)
    _identity_encryption(made)
    return made


def _public_keys(made: Maker) -> None:
    made.group(op="derive_public_key", canister_id_hex=CANISTER.raw.hex())
    master = _public(_MASTER)
    for comment, context, derived in (
        ("a canister's and context's key", _CONTEXT, _public(_DERIVED)),
        ("a canister's key: no context", b"", _public(_FOR_CANISTER)),
    ):
        given = {"master_public_key_hex": master.hex(), "context_hex": context.hex()}
        made.accept(comment, "PAY-011 PAY-009", given, derived_key_hex=derived.hex())
    for comment, wrong in _wrong_points(master, _INFINITY2):
        given = {"master_public_key_hex": wrong.hex(), "context_hex": _CONTEXT.hex()}
        made.reject(f"a master key {comment}", "PAY-014", "BadBlsPoint", given, "Point")


def _transport_keys(made: Maker) -> None:
    made.group(op="transport_public_key")
    public = bytes(_G1.scalar_mul(_TRANSPORT).compress())
    made.accept(
        "a transport key",
        "PAY-014",
        {"transport_secret_key_be_hex": _TRANSPORT.to_bytes(32, "big").hex()},
        transport_public_key_hex=public.hex(),
    )
    for comment, data in (
        ("zero", bytes(32)),
        ("the group's order", GROUP_ORDER.to_bytes(32, "big")),
        ("short", bytes(30) + b"\x01"),
    ):
        given = {"transport_secret_key_be_hex": data.hex()}
        made.reject(f"a transport secret that is {comment}", "PAY-014", "InvalidArgument", given, "Point")
    made.group(op="check_transport_public_key")
    made.accept("a transport public key", "PAY-014", {"transport_public_key_hex": public.hex()})
    for comment, wrong in _wrong_points(public, _INFINITY1):
        given = {"transport_public_key_hex": wrong.hex()}
        made.reject(f"a transport public key {comment}", "PAY-014", "BadBlsPoint", given, "Point")


def _wrong_points(good: bytes, infinity: bytes) -> list[tuple[str, bytes]]:
    outside = {48: bytes([0x80]) + bytes(46) + b"\x04", 96: bytes([0x80]) + bytes(94) + b"\x02"}[len(good)]
    return [
        ("at infinity", infinity),
        ("that is not compressed", bytes([good[0] & 0x7F]) + good[1:]),
        ("one byte too short", good[:-1]),
        ("one byte too long", good + b"\x00"),
        ("outside the subgroup or off the curve", outside),
    ]


def _encrypted_keys(made: Maker) -> None:
    good = _encrypted()
    other = _encrypted(b"another input")
    derived = _public(_DERIVED).hex()
    vetkey = vetkey_of(_INPUT)
    secret_ = {"transport_secret_key_be_hex": _TRANSPORT.to_bytes(32, "big").hex()}
    public = {"transport_public_key_hex": bytes(_G1.scalar_mul(_TRANSPORT).compress()).hex()}
    infinite = _G1.scalar_mul(_TRANSPORT).scalar_mul(_scalar("encryption"))
    for op, holder in (("decrypt_and_verify", secret_), ("verify_encrypted_key", public)):
        made.group(op=op, input_hex=_INPUT.hex(), **holder)
        given = {"derived_key_hex": derived, "encrypted_key_hex": good.hex()}
        output = {"vetkey_hex": vetkey.hex()} if op == "decrypt_and_verify" else {}
        made.accept(f"{op}: the key asked for", "PAY-011", given, **output)
        point, forged = "BadBlsPoint", "BadBlsSignature"
        for comment, data, names, reasons, flag in (
            ("another input's key", other, "PAY-011", forged, "Forged"),
            ("parts that do not belong together", _encrypted(second=_scalar("other")), "PAY-011", forged, "Forged"),
            ("the first part at infinity", _INFINITY1 + good[48:], "PAY-014", point, "Point"),
            ("the second part at infinity", good[:48] + _INFINITY2 + good[144:], "PAY-014", point, "Point"),
            ("the third part at infinity", good[:144] + _INFINITY1, "PAY-014", point, "Point"),
            ("191 bytes", good[:-1], "PAY-011 PAY-014", "Malformed", "Point"),
            ("193 bytes", good + b"\x00", "PAY-011 PAY-014", "Malformed", "Point"),
            (
                "a vetKey at infinity",
                good[:144] + bytes(infinite.compress()),
                "PAY-014 PAY-011",
                f"{point} {forged}",
                "Point",
            ),
        ):
            made.reject(f"{op}: {comment}", names, reasons, given | {"encrypted_key_hex": data.hex()}, flag)
        wrong = given | {"derived_key_hex": _public(_FOR_CANISTER).hex()}
        made.reject(f"{op}: another context's key", "PAY-011", forged, wrong, "Forged")
        lost = given | {"derived_key_hex": _INFINITY2.hex()}
        made.reject(f"{op}: the derived key at infinity", "PAY-014", point, lost, "Point")


def _vetkeys(made: Maker) -> None:
    vetkey, derived = vetkey_of(_INPUT), _public(_DERIVED)
    made.group(op="verify_vetkey", derived_key_hex=derived.hex())
    made.accept("a vetKey", "PAY-011", {"vetkey_hex": vetkey.hex(), "input_hex": _INPUT.hex()})
    other = {"vetkey_hex": vetkey.hex(), "input_hex": b"another input".hex()}
    made.reject("a vetKey of another input", "PAY-011", "BadBlsSignature", other, "Forged")
    lost = {"vetkey_hex": _INFINITY1.hex(), "input_hex": _INPUT.hex()}
    made.reject("the vetKey at infinity", "PAY-014", "BadBlsPoint", lost, "Point")
    made.group(
        op="vrf",
        master_public_key_hex=_public(_MASTER).hex(),
        canister_id_hex=CANISTER.raw.hex(),
        context_hex=_CONTEXT.hex(),
    )
    encoded = vetkey + derived + _INPUT
    prefixed = b"".join(len(part).to_bytes(8, "big") + part for part in (vetkey, derived, _INPUT))
    output = _hkdf(prefixed, b"ic-vetkd-bls12-381-g2-vrf", 32)
    made.accept("a verifiable output", "PAY-011", {"vrf_hex": encoded.hex()}, output_hex=output.hex())
    for comment, wrong, reasons in (
        ("of another key", vetkey_of(_INPUT) + _public(_FOR_CANISTER) + _INPUT, "BadBlsSignature"),
        ("of another input", vetkey + derived + b"another input", "BadBlsSignature"),
        ("of 143 bytes", encoded[:143], "Malformed"),
        ("whose vetKey is at infinity", _INFINITY1 + encoded[48:], "BadBlsPoint"),
    ):
        made.reject(f"a verifiable output {comment}", "PAY-011", reasons, {"vrf_hex": wrong.hex()}, "Forged")
    made.group(op="hkdf", input_hex=vetkey.hex())
    for length in (16, 32, 64, 100):
        given = {"info_hex": b"icws/room/1".hex(), "length": length}
        key = _hkdf(vetkey, b"icws/room/1", length)
        made.accept(f"a key of {length} bytes", "PAY-009", given, output_hex=key.hex())


def _messages(made: Maker) -> None:
    vetkey = vetkey_of(_INPUT)
    material = _hkdf(vetkey, b"ic-vetkd-bls12-381-g2-derived-key-material", 32)
    made.group(op="derived_key_material", vetkey_hex=vetkey.hex())
    made.accept("the material of a vetKey", "PAY-015", {}, key_hex=material.hex())
    domain, associated, text, nonce = "a domain", b"associated", b"a message", secret("nonce", 12)
    made.group(op="aes_gcm_decrypt", vetkey_hex=vetkey.hex())
    header = b"IC GCMv2"
    key = _hkdf(material, b"ic-vetkd-bls12-381-g2-aes-gcm-v2-" + domain.encode(), 32)
    good = header + nonce + AESGCM(key).encrypt(nonce, text, header + associated)

    def given(data: bytes, domain_: str = domain, associated_: bytes = associated) -> dict[str, Any]:
        return {"ciphertext_hex": data.hex(), "domain_sep": domain_, "aad_hex": associated_.hex()}

    made.accept("a message", "PAY-015", given(good), plaintext_hex=text.hex())
    old_key = _hkdf(material, domain.encode(), 32)
    old = nonce + AESGCM(old_key).encrypt(nonce, text, b"")
    longer = nonce + AESGCM(old_key).encrypt(nonce, text * 9, b"")
    # what would open if the header were not looked at
    posing = b"IC GCMv1" + good[len(header) :]
    for comment, data, reasons in (
        ("in the older format", old, "Malformed"),
        ("in the older format, a long one", longer, "Malformed"),
        ("with another header", posing, "Malformed"),
        ("of 35 bytes", good[:35], "Malformed"),
    ):
        made.reject(
            f"a message {comment}",
            "PAY-015",
            reasons,
            given(data, associated_=b"" if data in (old, longer) else associated),
            "Old",
        )
    for comment, wrong in (
        ("of another domain", given(good, "b domain")),
        ("with other associated data", given(good, associated_=b"")),
        ("with one bit changed", given(good[:-1] + bytes([good[-1] ^ 1]))),
    ):
        made.reject(f"a message {comment}", "PAY-015", "OpenFailed", wrong, "Changed")


def _identity_encryption(made: Maker) -> None:
    vetkey, derived = vetkey_of(_INPUT), _public(_DERIVED)
    seed, text = secret("ibe seed"), b"to whoever gets the key"
    ciphertext = _ibe(derived, _INPUT, text, seed)
    made.group(op="ibe_encrypt", derived_key_hex=derived.hex(), identity_hex=_INPUT.hex())
    given = {"plaintext_hex": text.hex(), "seed_hex": seed.hex()}
    made.accept("encrypted to an identity", "PAY-011", given, ciphertext_hex=ciphertext.hex())
    made.group(op="ibe_decrypt", vetkey_hex=vetkey.hex())
    made.accept("decrypted by its vetKey", "PAY-011", {"ciphertext_hex": ciphertext.hex()}, plaintext_hex=text.hex())
    for comment, wrong, reasons, flag in (
        ("to another identity", _ibe(derived, b"another", text, seed), "OpenFailed", "Forged"),
        ("with one bit of the seed changed", _flip(ciphertext, 110), "OpenFailed", "Changed"),
        ("with one bit of the text changed", _flip(ciphertext, -1), "OpenFailed", "Changed"),
        ("with another header", b"IC IBE\x00\x02" + ciphertext[8:], "Malformed", "Old"),
        ("of 135 bytes", ciphertext[:135], "Malformed", "Changed"),
        ("with its first part at infinity", ciphertext[:8] + _INFINITY2 + ciphertext[104:], "BadBlsPoint", "Point"),
    ):
        made.reject(f"encrypted {comment}", "PAY-014", reasons, {"ciphertext_hex": wrong.hex()}, flag)


def _ibe(derived: bytes, identity: bytes, text: bytes, seed: bytes) -> bytes:
    from py_arkworks_bls12381 import GT, G1Point, G2Point

    header = b"IC IBE\x00\x01"
    t = _hash_to_scalar(header + seed + text, b"ic-vetkd-bls12-381-ibe-hash-to-mask")
    hashed = BlstP1Element.hash_to_group(derived + identity, b"BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_AUG_")
    left = G1Point.from_compressed_bytes(bytes(hashed.scalar_mul(t).compress()))
    target = bytes.fromhex(str(GT.pairing(left, G2Point.from_compressed_bytes(derived))))[::-1]
    masked_seed = _xor(seed, _hkdf(target, b"ic-vetkd-bls12-381-ibe-mask-seed", 32))
    info = b"ic-vetkd-bls12-381-ibe-mask-msg-" + f"{len(text):020d}".encode()
    mask = shake_256(_hkdf(seed, info, 32)).digest(len(text))
    return header + _public(t) + masked_seed + _xor(text, mask)


def _xor(left: bytes, right: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(left, right, strict=True))


def _flip(data: bytes, index: int) -> bytes:
    changed = bytearray(data)
    changed[index] ^= 1
    return bytes(changed)


def _hkdf(material: bytes, info: bytes, length: int) -> bytes:
    prk = hmac.digest(bytes(32), material, "sha256")
    out, block = b"", b""
    for number in range(1, -(-length // 32) + 1):
        block = hmac.digest(prk, block + info + bytes([number]), "sha256")
        out += block
    return out[:length]
