"""Vectors of sealed payloads, computed from the specification's words with ``cryptography`` and ``hmac`` alone."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any, Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

from icws_conformance.vectors.build import NOW_NS, Maker, secret
from icws_conformance.vectors.cast import SESSION
from icws_conformance.vectors.certify import CANISTER
from icws_secure.wire import cbor

__all__ = ["payloads", "seal"]

_VERSION: Final = "icws-secure/1"


def payloads() -> Maker:
    """Contents of hop and room suites, at the place that they belong to."""
    made = Maker(
        "payload",
        [
            "A sealed content with the key of its message and its place. Accepted means: it is a container of the",
            "suite, opens at this place, its nonce is that of its text, and sealing again gives the same bytes.",
        ],
        {
            "Place": (
                "The content belongs elsewhere.",
                "Contents are swapped between sessions, directions and numbers.",
            ),
            "Nonce": (
                "The nonce is not that of the text.",
                "A sealer that repeats nonces goes unnoticed; its key leaks.",
            ),
            "Container": ("The container is not the suite's.", "The bearer chooses algorithm or encoding."),
        },
    )
    _hop(made)
    _room(made)
    return made


def _hop(made: Maker) -> None:
    key, nonce_key, kid = secret("hop key"), secret("hop nonce key"), (3).to_bytes(8, "big")
    place = [_VERSION, CANISTER.raw, [SESSION.raw, 7], "s2c", 5]
    registration, key_id = secret("registration", 16), secret("key id", 8)
    external = cbor.encode(place)
    content, plaintext = seal(24, key, nonce_key, kid, external, b"a message"), b"a message"
    info = cbor.encode([_VERSION, CANISTER.raw, [SESSION.raw, 7], registration, 3, "hpke-x25519", key_id])
    shared: dict[str, Any] = {
        "suite": "hpke",
        "canister_id": CANISTER.to_text(),
        "client_principal": SESSION.to_text(),
        "registration_id_hex": registration.hex(),
        "attach": "3",
        "key_id_hex": key_id.hex(),
        "key_hex": key.hex(),
        "nonce_key_hex": nonce_key.hex(),
    }
    made.group(**shared)
    here = {"client_nonce": "7", "direction": "s2c", "seq": "5"}
    made.accept(
        "hop: a content",
        "PAY-001 PAY-004 PAY-006 PAY-007",
        here | {"content_hex": content.hex()},
        plaintext_hex=plaintext.hex(),
        sealed_again_hex=content.hex(),
        info_hex=info.hex(),
    )
    for name, value in (("direction", "c2s"), ("seq", "6"), ("client_nonce", "8")):
        given = here | {name: value, "content_hex": content.hex()}
        made.reject(f"hop: another {name.replace('_', ' ')}", "PAY-007", "OpenFailed", given, "Place")
    random_iv = seal(24, key, nonce_key, kid, external, plaintext, iv=secret("iv", 12))
    given = here | {"content_hex": random_iv.hex()}
    made.reject("hop: a nonce that is not that of the text", "PAY-006", "OpenFailed", given, "Nonce")
    _containers(
        made,
        "hop",
        here,
        content,
        plaintext,
        lambda **more: seal(24, key, nonce_key, kid, external, plaintext, **more),
    )


def _room(made: Maker) -> None:
    key, nonce_key = secret("room key"), secret("room nonce key")
    room, label, epoch, counter = b"lobby", b"chat", 2, 9
    kid = epoch.to_bytes(8, "big") + counter.to_bytes(8, "big")
    external = cbor.encode([_VERSION, CANISTER.raw, room, epoch, SESSION.raw, counter])
    plaintext = b"to all"
    content = seal(3, key, nonce_key, kid, external, plaintext)
    made.group(
        suite="vetkd",
        canister_id=CANISTER.to_text(),
        sender=SESSION.to_text(),
        canister_epoch=str(NOW_NS),
        label_hex=label.hex(),
        key_hex=key.hex(),
        nonce_key_hex=nonce_key.hex(),
    )
    here = {"room_hex": room.hex(), "epoch": str(epoch), "counter": str(counter)}
    made.accept(
        "room: a content",
        "PAY-001 PAY-006 PAY-008 PAY-009",
        here | {"content_hex": content.hex()},
        plaintext_hex=plaintext.hex(),
        sealed_again_hex=content.hex(),
        context_hex=(b"icws-room/1" + bytes([len(label)]) + label).hex(),
        input_hex=cbor.encode([NOW_NS, room, epoch]).hex(),
    )
    for name, value in (("room_hex", b"attic".hex()), ("epoch", "3"), ("counter", "10")):
        given = here | {name: value, "content_hex": content.hex()}
        made.reject(f"room: another {name.removesuffix('_hex')}", "PAY-008", "OpenFailed", given, "Place")
    _containers(
        made,
        "room",
        here,
        content,
        plaintext,
        lambda **more: seal(3, key, nonce_key, kid, external, plaintext, **more),
    )
    for comment, data in (
        ("a list of two", cbor.encode([b"", {5: bytes(12)}])),
        ("a map", cbor.encode({5: bytes(12)})),
        ("a ciphertext that is text", cbor.encode([b"", {5: bytes(12)}, "text"])),
    ):
        given = here | {"content_hex": data.hex()}
        made.reject(f"room: {comment}", "PAY-003 PAY-001", "Unsealed", given, "Container")


def _containers(made: Maker, suite: str, here: dict[str, str], content: bytes, plaintext: bytes, seal: Any) -> None:
    flipped = content[:-1] + bytes([content[-1] ^ 1])
    given = here | {"content_hex": flipped.hex()}
    made.reject(f"{suite}: one bit of the tag changed", "PAY-005", "OpenFailed", given, "Place")
    for comment, data, names in (
        ("text that is not sealed", plaintext, "PAY-003 PAY-001"),
        ("another algorithm named", seal(named=1), "PAY-001"),
        ("a header more, unprotected", seal(unprotected={1: 3}), "PAY-001"),
        ("with the tag of COSE", b"\xd0" + content, "PAY-001"),
        ("bytes after its end", content + b"\x00", "PAY-001"),
        ("a nonce of 13 bytes", seal(iv=bytes(13), cut=True), "PAY-001"),
        ("a key's name of 65 bytes", seal(named_kid=bytes(65)), "PAY-001"),
        ("a key's name that is text", seal(named_kid="key"), "PAY-001"),
        ("no key's name", seal(named_kid=None), "PAY-001"),
        ("a header more, protected", seal(protected_more={5: b""}), "PAY-001"),
        ("protected headers that are no CBOR", seal(protected_bytes=b"\xff"), "PAY-001"),
        ("protected headers that are a list", seal(protected_bytes=b"\x80"), "PAY-001"),
    ):
        given = here | {"content_hex": data.hex()}
        made.reject(f"{suite}: {comment}", names, "Unsealed", given, "Container")


def seal(
    algorithm: int,
    key: bytes,
    nonce_key: bytes,
    kid: bytes,
    external: bytes,
    plaintext: bytes,
    *,
    iv: bytes | None = None,
    named: int | None = None,
    unprotected: dict[int, int] | None = None,
    cut: bool = False,
    named_kid: object = ...,
    protected_more: dict[int, bytes] | None = None,
    protected_bytes: bytes | None = None,
) -> bytes:
    """A container sealed with AES-256-GCM (3) or ChaCha20-Poly1305 (24), or one that is wrong on purpose."""
    headers: dict[int, object] = {1: algorithm if named is None else named, 4: kid if named_kid is ... else named_kid}
    headers = {label: value for label, value in headers.items() if value is not None} | (protected_more or {})
    protected = cbor.encode(headers) if protected_bytes is None else protected_bytes
    bound = cbor.encode(["Encrypt0", protected, external])
    if iv is None:
        iv = hmac.digest(nonce_key, hashlib.sha256(plaintext).digest() + bound, "sha256")[:12]
    cipher = AESGCM(key) if algorithm == 3 else ChaCha20Poly1305(key)
    sealed = cipher.encrypt(iv[:12] if cut else iv, plaintext, bound)
    return cbor.encode([protected, {5: iv} | (unprotected or {}), sealed])
