"""Vectors of sealed streams: HPKE, the keys of each message, rooms, and the choice of a suite.

Computed from the words of RFC 9180 and of the specification, with X25519, HMAC and the two AEADs alone.
"""

from __future__ import annotations

import hmac
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from icws_conformance.vectors.build import NOW_NS, SECOND_NS, Maker, secret
from icws_conformance.vectors.cast import REGISTRATION, SESSION
from icws_conformance.vectors.certify import CANISTER
from icws_conformance.vectors.make_payload import seal
from icws_conformance.vectors.make_vetkd import vetkey_of
from icws_secure.wire import cbor
from icws_secure.wire.principal import Principal

__all__ = ["hop_streams", "hpke", "key_rings", "representations", "room_messages", "room_streams", "suites"]

_OTHER: Final = Principal.self_authenticating(b"other session")
_VERSION: Final = "icws-secure/1"
_SUITE: Final = "hpke-x25519"
_KEY_ID: Final = secret("key id", 8)


# RFC 9180, base mode, DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20-Poly1305 ----------------------------------


def _extract(suite: bytes, salt: bytes, label: bytes, material: bytes) -> bytes:
    return hmac.digest(salt or bytes(32), b"HPKE-v1" + suite + label + material, "sha256")


def _expand(suite: bytes, key: bytes, label: bytes, info: bytes, length: int) -> bytes:
    labeled_info = length.to_bytes(2, "big") + b"HPKE-v1" + suite + label + info
    return hkdf_expand(key, labeled_info, length)


def hkdf_expand(key: bytes, info: bytes, length: int) -> bytes:
    """HKDF-Expand (RFC 5869)."""
    out, block = b"", b""
    for number in range(1, -(-length // 32) + 1):
        block = hmac.digest(key, block + info + bytes([number]), "sha256")
        out += block
    return out[:length]


def hpke_seal(ephemeral: bytes, receiver: bytes, info: bytes, associated: bytes, plaintext: bytes) -> bytes:
    """The encapsulated key and the ciphertext of one message."""
    kem, suite = b"KEM\x00\x20", b"HPKE\x00\x20\x00\x01\x00\x03"
    private = X25519PrivateKey.from_private_bytes(ephemeral)
    enc = private.public_key().public_bytes_raw()
    shared = private.exchange(X25519PublicKey.from_public_bytes(receiver))
    prk = _extract(kem, b"", b"eae_prk", shared)
    secret_ = _expand(kem, prk, b"shared_secret", enc + receiver, 32)
    context = b"\x00" + _extract(suite, b"", b"psk_id_hash", b"") + _extract(suite, b"", b"info_hash", info)
    root = _extract(suite, secret_, b"secret", b"")
    key = _expand(suite, root, b"key", context, 32)
    nonce = _expand(suite, root, b"base_nonce", context, 12)
    return enc + ChaCha20Poly1305(key).encrypt(nonce, plaintext, associated)


def hpke() -> Maker:
    """The secret of an attach, sealed to a canister's key."""
    made = Maker(
        "hpke",
        [
            "RFC 9180, base mode, single shot, DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20-Poly1305. op",
            "open: enc is the encapsulated key and the ciphertext of the 32-byte secret, 80 bytes; accepted",
            "means: it opens with this info. op seal: accepted means: the secret can be sealed to the key; enc",
            "has as many bytes.",
        ],
        {
            "Bound": ("The secret was sealed for another place.", "A secret of one attach is used in another."),
            "Weak": ("The key is of small order.", "Everybody knows the shared secret."),
            "Form": ("It is not of its one form.", "What is no secret of an attach is taken for one."),
        },
    )
    private = secret("canister hpke key")
    public = X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()
    session, ephemeral = secret("attach secret"), secret("ephemeral")
    info = _info(3)

    def opening(enc: bytes, info_: bytes = info, key: bytes = private) -> dict[str, Any]:
        return {"op": "open", "enc_hex": enc.hex(), "private_key_hex": key.hex(), "info_hex": info_.hex()}

    good = hpke_seal(ephemeral, public, info, b"", session)
    made.accept("a secret", "PAY-004", opening(good), secret_hex=session.hex())
    seal_it = {"op": "seal", "secret_hex": session.hex(), "info_hex": info.hex()}
    made.accept("a key to seal to", "PAY-004", seal_it | {"public_key_hex": public.hex()}, enc_bytes=80)
    failed = "OpenFailed"
    made.reject("for another attach", "PAY-004", failed, opening(good, _info(4)), "Bound")
    made.reject("for another key", "PAY-004", failed, opening(good, key=secret("other")), "Bound")
    aad = hpke_seal(ephemeral, public, info, b"aad", session)
    made.reject("with associated data", "PAY-004", failed, opening(aad), "Bound")
    for position in (0, 31, 32, 63, 64, 79):
        changed = good[:position] + bytes([good[position] ^ 1]) + good[position + 1 :]
        made.reject(f"byte {position} changed", "PAY-004", failed, opening(changed), "Bound")
    for length in (31, 33):
        odd = hpke_seal(ephemeral, public, info, b"", (session + session)[:length])
        made.reject(f"a secret of {length} bytes", "PAY-004", failed, opening(odd), "Form")
    made.reject("nothing", "PAY-004", failed, opening(b""), "Form")
    made.reject("an encapsulated key of small order", "PAY-004 PAY-014", failed, opening(bytes(32) + good[32:]), "Weak")
    for comment, key in (("zero", bytes(32)), ("one", b"\x01" + bytes(31))):
        given = seal_it | {"public_key_hex": key.hex()}
        made.reject(f"the key {comment}", "PAY-004 PAY-014", "BadPublicKey", given, "Weak")
    for comment, key in (("31 bytes", public[:-1]), ("33 bytes", public + b"\x00")):
        made.reject(f"a key of {comment}", "PAY-004", "BadPublicKey", seal_it | {"public_key_hex": key.hex()}, "Form")
    return made


def _info(attach: int) -> bytes:
    return cbor.encode([_VERSION, CANISTER.raw, [SESSION.raw, 7], REGISTRATION, attach, _SUITE, _KEY_ID])


# Hop -----------------------------------------------------------------------------------------------------------------


def _message_key(attach: int, direction: str, start: int, seq: int) -> tuple[bytes, bytes]:
    label = cbor.encode([_VERSION, _SUITE, direction, _info(attach)])
    chain = hkdf_expand(hmac.digest(bytes(32), secret(f"secret {attach}"), "sha256"), label, 32)
    for _ in range(start, seq):
        chain = hmac.digest(chain, b"\x03", "sha256")
    return hmac.digest(chain, b"\x01", "sha256"), hmac.digest(chain, b"\x02", "sha256")


def _hop(attach: int, direction: str, start: int, seq: int, text: bytes, kid: bytes | None = None) -> bytes:
    external = cbor.encode([_VERSION, CANISTER.raw, [SESSION.raw, 7], direction, seq])
    name = attach.to_bytes(8, "big") if kid is None else kid
    return seal(24, *_message_key(attach, direction, start, seq), name, external, text)


def hop_streams() -> Maker:
    """The keys of each message, from the secret of an attach on."""
    made = Maker(
        "hop_stream",
        [
            "One end of a session attaches, in this order; opens contents, in this order; then seals texts. Accepted",
            "means: all of it is possible, with these results. A number is opened and sealed once.",
        ],
        {
            "Replayed": ("A number comes again.", "A message is taken twice."),
            "Unknown": ("The content is of an attach or a number that has no key here.", "Old keys live for ever."),
            "Place": ("The content belongs elsewhere.", "Contents are swapped between directions and numbers."),
        },
    )
    made.group(
        canister_id=CANISTER.to_text(),
        client_principal=SESSION.to_text(),
        client_nonce="7",
        registration_id_hex=REGISTRATION.hex(),
        key_id_hex=_KEY_ID.hex(),
    )

    def given(end: str, attaches: list[int], opened: list[tuple[int, bytes]], sealed: list[tuple[int, bytes]]) -> Any:
        entries = [
            {"attach": str(n), "secret_hex": secret(f"secret {n}").hex(), "next_in": "1", "next_out": str(n)}
            for n in attaches
        ]
        return {
            "end": end,
            "attaches": entries,
            "open": [{"seq": str(seq), "content_hex": content.hex()} for seq, content in opened],
            "seal": [{"seq": str(seq), "plaintext_hex": text.hex()} for seq, text in sealed],
        }

    one, two, five = (_hop(1, "s2c", 1, seq, f"message {seq}".encode()) for seq in (1, 2, 5))
    texts = [f"message {seq}".encode().hex() for seq in (1, 2, 5)]
    sent = [_hop(1, "c2s", 1, seq, b"to the canister") for seq in (1, 2)]
    names = "PAY-005 PAY-002"
    made.accept(
        "a client opens three contents and seals two texts",
        names,
        given("client", [1], [(1, one), (2, two), (5, five)], [(1, b"to the canister"), (2, b"to the canister")]),
        opened_hex=texts,
        sealed_hex=[content.hex() for content in sent],
    )
    made.accept(
        "a canister opens two contents and seals one text",
        names,
        given("canister", [1], [(1, sent[0]), (2, sent[1])], [(1, b"message 1")]),
        opened_hex=[b"to the canister".hex()] * 2,
        sealed_hex=[one.hex()],
    )
    later = _hop(3, "s2c", 3, 3, b"after the attach")
    made.accept(
        "a client that has attached again opens what was sealed before and after",
        names,
        given("client", [1, 3], [(1, one), (2, two), (3, later)], []),
        opened_hex=[*texts[:2], b"after the attach".hex()],
        sealed_hex=[],
    )

    def reject(comment: str, name: str, reasons: str, flag: str, opened: list[tuple[int, bytes]], *ns: int) -> None:
        made.reject(comment, name, reasons, given("client", list(ns) or [1], opened, []), flag)

    reject("a content twice", "PAY-002", "Replayed", "Replayed", [(1, one), (1, one)])
    reject(
        "a content after a later one", "PAY-002", "Replayed", "Replayed", [(2, _hop(1, "s2c", 2, 2, b"m")), (1, one)]
    )
    reject(
        "a content of an attach that there was not",
        "PAY-005",
        "UnknownKey",
        "Unknown",
        [(2, _hop(2, "s2c", 2, 2, b"m"))],
    )
    short = _hop(1, "s2c", 1, 1, b"message 1", kid=b"\x01")
    reject("an attach's number of one byte", "PAY-005 PAY-001", "UnknownKey", "Unknown", [(1, short)])
    reject(
        "an earlier attach's after a later one's turn", "PAY-005", "UnknownKey", "Unknown", [(3, later), (4, one)], 1, 3
    )
    far = _hop(1, "s2c", 1, 4_099, b"m")
    reject("4,097 numbers ahead", "PAY-005", "TooMany", "Unknown", [(1, one), (4_099, far)])
    reject("a content under another number", "PAY-007", "OpenFailed", "Place", [(2, one)])
    mine = _hop(1, "c2s", 1, 1, b"m")
    reject("one's own content", "PAY-007", "OpenFailed", "Place", [(1, mine)])
    reject("text that is not sealed", "PAY-003", "Unsealed", "Place", [(1, b"message 1")])
    again = given("client", [1], [], [(2, b"a"), (2, b"b")])
    made.reject("two texts under one number", "PAY-002", "WrongState", again, "Replayed")
    back = given("client", [1], [], [(2, b"a"), (1, b"b")])
    made.reject("a text under a lower number than the last", "PAY-002", "WrongState", back, "Replayed")
    made.reject("a text before any attach", "PAY-002", "WrongState", given("client", [], [], [(1, b"a")]), "Unknown")
    return made


# Rooms ---------------------------------------------------------------------------------------------------------------

_ROOM: Final = b"lobby"


def _room(
    sender: Principal, counter: int, text: bytes, *, room: bytes = _ROOM, epoch: int = 2, kid: bytes | None = None
) -> bytes:
    info = b"icws/room/1" + cbor.encode([room, epoch, sender.raw])
    keys = hkdf_expand(hmac.digest(bytes(32), vetkey_of(b"room"), "sha256"), info, 64)
    external = cbor.encode([_VERSION, CANISTER.raw, room, epoch, sender.raw, counter])
    name = epoch.to_bytes(8, "big") + counter.to_bytes(8, "big") if kid is None else kid
    return seal(3, keys[:32], keys[32:], name, external, text)


def room_streams() -> Maker:
    """Contents of a room's members, for a member who has the room's key."""
    made = Maker(
        "room_stream",
        [
            "A member with the vetKey of a room and epoch opens contents in this order; each says its sender, and its",
            "room and epoch where they are others. Accepted means: all open. A sender's counters rise.",
        ],
        {
            "Replayed": ("A counter comes again.", "A member's message is repeated in the member's name."),
            "Epoch": ("It is of another epoch or room.", "Who was removed goes on speaking."),
            "Place": ("The content belongs elsewhere.", "A content is moved to another sender or counter."),
        },
    )
    made.group(canister_id=CANISTER.to_text(), room_hex=_ROOM.hex(), epoch="2", vetkey_hex=vetkey_of(b"room").hex())

    def given(*items: tuple[Principal, bytes], **more: str) -> dict[str, Any]:
        return {
            "open": [{"sender": sender.to_text(), "content_hex": content.hex()} | more for sender, content in items]
        }

    first, second = _room(SESSION, 1, b"hello"), _room(SESSION, 4, b"again")
    theirs = _room(_OTHER, 1, b"hello yourself")
    names = "PAY-008 PAY-006"
    made.accept(
        "two senders",
        names,
        given((SESSION, first), (_OTHER, theirs), (SESSION, second)),
        opened_hex=[text.hex() for text in (b"hello", b"hello yourself", b"again")],
    )
    replayed = given((SESSION, first), (SESSION, first))
    made.reject("a content twice", "PAY-008", "Replayed", replayed, "Replayed")
    made.reject("a lower counter", "PAY-008", "Replayed", given((SESSION, second), (SESSION, first)), "Replayed")
    zero = given((SESSION, _room(SESSION, 0, b"m")))
    made.reject("counter 0", "PAY-008", "Replayed", zero, "Replayed")
    made.reject("in another's name", "PAY-008", "OpenFailed", given((_OTHER, first)), "Place")
    moved = _room(SESSION, 1, b"hello", kid=(2).to_bytes(8, "big") + (9).to_bytes(8, "big"))
    made.reject("under another counter than sealed", "PAY-008", "OpenFailed", given((SESSION, moved)), "Place")
    short = _room(SESSION, 1, b"hello", kid=bytes(15))
    made.reject("without room epoch and counter", "PAY-001", "Unsealed", given((SESSION, short)), "Place")
    plain = given((SESSION, b"hello"))
    made.reject("text that is not sealed", "PAY-003", "Unsealed", plain, "Place")
    attic = given((SESSION, first), room_hex=b"attic".hex())
    made.reject("of another room", "PAY-008", "UnknownKey", attic, "Epoch")
    old, new = _room(SESSION, 1, b"m", epoch=1), _room(SESSION, 1, b"m", epoch=3)
    made.reject("sealed under an earlier epoch", "PAY-010", "StaleRoomEpoch", given((SESSION, old)), "Epoch")
    stale = given((SESSION, first), epoch="1")
    made.reject("said to be of an earlier epoch", "PAY-010", "StaleRoomEpoch", stale, "Epoch")
    made.reject("sealed under a later epoch", "PAY-008", "UnknownKey", given((SESSION, new)), "Epoch")
    made.reject("said to be of a later epoch", "PAY-008", "UnknownKey", given((SESSION, first), epoch="3"), "Epoch")
    return made


def room_messages() -> Maker:
    """What members of a room and their canister say to each other."""
    made = Maker(
        "room_message",
        [
            "A post of a member (of: post), or what the canister says to one (of: message). Accepted means: it is of",
            "its one form, and application content in it is sealed.",
        ],
        {"Form": ("It is not of its one form.", "Unsealed text, or text about another room, passes for a member's.")},
    )
    content = _room(SESSION, 1, b"hello")
    posted: list[Any] = ["post", _ROOM, content]
    delivered: list[Any] = ["message", _ROOM, 2, SESSION.raw, content]
    moved: list[Any] = ["epoch", _ROOM, 3]
    refused: list[Any] = ["refused", _ROOM, 3, 9, "StaleRoomEpoch"]

    def given(of: str, value: Any) -> dict[str, str]:
        return {"of": of, "data_hex": (value if isinstance(value, bytes) else cbor.encode(value)).hex()}

    made.accept("a post", "PAY-003", given("post", posted), type="RoomPost")
    for comment, value, type_ in (
        ("a delivery", delivered, "RoomDelivery"),
        ("a new epoch", moved, "RoomEpoch"),
        ("a refusal", refused, "RoomRefusal"),
    ):
        made.accept(comment, "PAY-003", given("message", value), type=type_)
    for comment, of, wrong in (
        ("a post of text that is not sealed", "post", ["post", _ROOM, b"hello"]),
        ("a post without key's name", "post", ["post", _ROOM, _room(SESSION, 1, b"m", kid=b"")]),
        ("a post in a room of 65 bytes", "post", ["post", bytes(65), content]),
        ("a post in the other direction", "post", delivered),
        ("a post with a tag", "post", b"\xd9\xd9\xf7" + cbor.encode(posted)),
        ("a post with a longer length", "post", b"\x98\x03" + cbor.encode(posted)[1:]),
        ("a delivery of text that is not sealed", "message", [*delivered[:4], b"hello"]),
        ("a delivery of a principal of 30 bytes", "message", [*delivered[:3], bytes(30), content]),
        ("a delivery of an epoch below 0", "message", ["message", _ROOM, -1, SESSION.raw, content]),
        ("an epoch of 65 bits", "message", ["epoch", _ROOM, 1 << 64]),
        ("an epoch that is true", "message", ["epoch", _ROOM, True]),
        ("a refusal with a code that there is not", "message", [*refused[:4], "Because"]),
        ("a counter below 0", "message", ["refused", _ROOM, 3, -1, "NotMember"]),
        ("nothing of the kind", "message", ["gossip", _ROOM]),
        ("no CBOR", "message", b"hello"),
    ):
        made.reject(comment, "PAY-003 PAY-001", "Unsealed", given(of, wrong), "Form")
    return made


def suites() -> Maker:
    """The choice of a payload suite."""
    made = Maker(
        "suite",
        [
            "The suites of a certified registration reply, a minimum, and what this end has. Accepted means: the",
            "strongest suite that both have is chosen, and is not weaker than the minimum.",
        ],
        {"Weak": ("What is offered protects less than the minimum.", "Both ends are made to agree on none.")},
    )
    weak, middle, strong = "none", _SUITE, "vetkd-bls12-381"

    def given(offered: list[str], minimum: str, supported: list[str]) -> dict[str, Any]:
        return {"offered": offered, "minimum": minimum, "supported": supported}

    every = [weak, middle, strong]
    for comment, offered, minimum, supported, chosen in (
        ("all by both", every, weak, every, strong),
        ("the weaker offered first", [weak, middle], weak, every, middle),
        ("one in common", every, middle, [weak, middle], middle),
        ("none, and none asked for", [weak], weak, every, weak),
        ("one that nobody knows beside one that is known", ["later/9", middle], middle, every, middle),
    ):
        made.accept(comment, "PAY-012", given(offered, minimum, supported), suite=chosen)
    for comment, offered, minimum, supported in (
        ("none offered, hop asked for", [weak], middle, every),
        ("hop offered, room asked for", [weak, middle], strong, every),
        ("nothing offered", [], weak, every),
        ("nothing in common", [strong], weak, [weak, middle]),
        ("the stronger not supported", every, strong, [weak, middle]),
        ("one that nobody knows", ["later/9"], middle, ["later/9", *every]),
    ):
        made.reject(comment, "PAY-012", "SuiteTooWeak", given(offered, minimum, supported), "Weak")
    return made


def key_rings() -> Maker:
    """The canister keys that are accepted."""
    made = Maker(
        "key_ring",
        [
            "A canister's HPKE keys after rotations at these times, and the name of one: the time of its rotation,",
            "8 bytes big-endian. Accepted means: it is the current one, or was replaced less than 15 minutes",
            "before now_ns.",
        ],
        {
            "Old": (
                "The key was replaced long ago, or there was none.",
                "A key that was stolen later opens all there was.",
            )
        },
    )
    day, minute = 86_400 * SECOND_NS, 60 * SECOND_NS
    first, second = secret("first canister key"), secret("second canister key")
    rotations = [
        {"private_key_hex": first.hex(), "at_ns": str(NOW_NS)},
        {"private_key_hex": second.hex(), "at_ns": str(NOW_NS + day)},
    ]
    made.group(rotations=rotations)
    old, new = NOW_NS.to_bytes(8, "big"), (NOW_NS + day).to_bytes(8, "big")

    def given(key_id: bytes, now_ns: int) -> dict[str, str]:
        return {"key_id_hex": key_id.hex(), "now_ns": str(now_ns)}

    def public(private: bytes) -> str:
        return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw().hex()

    after = NOW_NS + day
    made.accept("the current key", "PAY-013", given(new, after), public_key_hex=public(second), current=True)
    for comment, later in (("at once", 0), ("almost fifteen minutes later", 15 * minute - 1)):
        found = given(old, after + later)
        made.accept(f"the key before, {comment}", "PAY-013", found, public_key_hex=public(first), current=False)
    for comment, key_id, now_ns in (
        ("the key before, fifteen minutes later", old, after + 15 * minute),
        ("a key that there was not", bytes(8), after),
        ("a name of seven bytes", new[1:], after),
        ("no name", b"", after),
    ):
        made.reject(comment, "PAY-013", "UnknownKey", given(key_id, now_ns), "Old")
    short = given(new, after) | {"grace_ns": str(15 * minute - 1)}
    made.reject("a ring that forgets before fifteen minutes are over", "PAY-013", "InvalidArgument", short, "Old")
    return made


def representations() -> Maker:
    """What becomes text of values that hold secrets."""
    made = Maker(
        "representation",
        [
            "A value made of a secret, by of. Accepted means: leaks is false: what the program writes of such a value",
            "in logs, errors and representations holds the secret in no form.",
        ],
    )
    scalar = (int.from_bytes(secret("scalar"), "big") >> 2).to_bytes(32, "big")
    for of in ("ed25519_identity", "message_key", "nonce_key", "canister_key", "key_material", "ratchet"):
        made.accept(of.replace("_", " "), "LIB-026", {"of": of, "secret_hex": secret(of).hex()}, leaks=False)
    made.accept("transport key", "LIB-026", {"of": "transport_key", "secret_hex": scalar.hex()}, leaks=False)
    made.accept("vetKey", "LIB-026", {"of": "vetkey", "secret_hex": vetkey_of(b"room").hex()}, leaks=False)
    return made
