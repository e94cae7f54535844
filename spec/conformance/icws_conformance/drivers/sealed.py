"""This library's answers to questions about sealed payloads, HPKE and vetKD."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Final

from icws_conformance.drivers.question import Answer, Question
from icws_secure.payload.container import Algorithm, Encrypt0
from icws_secure.payload.hop import Direction, HopChannel, HopEnd, HopSession, hop_external, hop_info
from icws_secure.payload.hpke import KeyRing, open_secret, seal_secret
from icws_secure.payload.ratchet import Ratchet
from icws_secure.payload.room import (
    Room,
    RoomKeys,
    RoomReceiver,
    room_context,
    room_external,
    room_input,
    room_position,
)
from icws_secure.payload.room_messages import decode_room_message, decode_room_post
from icws_secure.payload.sealing import MessageKey, open_sealed, seal
from icws_secure.payload.suites import choose_suite
from icws_secure.sign.identity import Ed25519Identity
from icws_secure.vetkd import (
    DerivedKeyMaterial,
    DerivedPublicKey,
    EncryptedVetKey,
    MasterPublicKey,
    TransportPublicKey,
    TransportSecretKey,
    VetKey,
    VrfOutput,
    derive_symmetric_key,
    ibe_decrypt,
    ibe_encrypt,
)
from icws_secure.vetkd.group import augmented_hash, hash_to_scalar
from icws_secure.wire.interface import ClientKey
from icws_secure.wire.principal import Principal
from icws_secure.wire.registration import Suite

__all__ = ["SEALED"]


def _payload(v: Question) -> Answer:
    if v.text("suite") == "hpke":
        session = _session(v)
        algorithm = Algorithm.CHACHA20_POLY1305
        external = hop_external(session, Direction(v.text("direction")), v.number("seq"))
        extra = {"info_hex": hop_info(session, v.number("attach"), v.raw("key_id")).hex()}
    else:
        room = Room(v.principal("canister_id"), v.raw("room"), v.number("epoch"))
        algorithm = Algorithm.AES_256_GCM
        external = room_external(room, v.principal("sender"), v.number("counter"))
        extra = {
            "context_hex": room_context(v.raw("label")).hex(),
            "input_hex": room_input(v.number("canister_epoch"), room.room, room.epoch).hex(),
        }
        room_position(v.raw("content"))
    container = Encrypt0.decode(v.raw("content"), algorithm)
    key = MessageKey(v.raw("key"), v.raw("nonce_key"))
    plaintext = open_sealed(container, key, external=external)
    again = seal(algorithm, key, plaintext, kid=container.kid, external=external)
    return {"plaintext_hex": plaintext.hex(), "sealed_again_hex": again.hex()} | extra


def _session(v: Question) -> HopSession:
    client_key = ClientKey(v.principal("client_principal"), v.number("client_nonce"))
    return HopSession(v.principal("canister_id"), client_key, v.raw("registration_id"))


def _hpke(v: Question) -> Answer:
    if v.text("op") == "seal":
        enc = seal_secret(v.raw("secret"), v.raw("public_key"), v.raw("info"))
        return {"enc_bytes": len(enc)}
    return {"secret_hex": open_secret(v.raw("enc"), v.raw("private_key"), v.raw("info")).hex()}


def _hop_stream(v: Question) -> Answer:
    """A client that has attached as given opens these contents in order, and seals these texts."""
    key_id = v.raw("key_id") if "key_id_hex" in v else None
    channel = HopChannel(_session(v), HopEnd(v.text("end")))
    for attach in v.value("attaches"):
        channel = channel.attached(
            int(attach["attach"]),
            secret=bytes.fromhex(attach["secret_hex"]),
            key_id=key_id,
            next_in=int(attach["next_in"]),
            next_out=int(attach["next_out"]),
        )
    opened, sealed = [], []
    for item in v.value("open"):
        channel, text = channel.open(int(item["seq"]), bytes.fromhex(item["content_hex"]))
        opened.append(text.hex())
    for item in v.value("seal"):
        channel, content = channel.seal(int(item["seq"]), bytes.fromhex(item["plaintext_hex"]))
        sealed.append(content.hex())
    return {"opened_hex": opened, "sealed_hex": sealed}


def _room_stream(v: Question) -> Answer:
    """A member with the room's vetKey opens these contents in order."""
    room = Room(v.principal("canister_id"), v.raw("room"), v.number("epoch"))
    receiver = RoomReceiver(RoomKeys(VetKey(v.raw("vetkey")), room))
    opened = []
    for item in v.value("open"):
        receiver, text = receiver.open(
            bytes.fromhex(item.get("room_hex", room.room.hex())),
            int(item.get("epoch", room.epoch)),
            Principal.from_text(item["sender"]),
            bytes.fromhex(item["content_hex"]),
        )
        opened.append(text.hex())
    return {"opened_hex": opened}


def _room_message(v: Question) -> Answer:
    read: Callable[[bytes], object] = decode_room_post if v.text("of") == "post" else decode_room_message
    return {"type": type(read(v.raw("data"))).__name__}


def _key_ring(v: Question) -> Answer:
    """A canister's keys after these rotations, and one of them by its name."""
    ring = KeyRing(grace_ns=v.number("grace_ns")) if "grace_ns" in v else KeyRing()
    for rotation in map(Question, v.value("rotations")):
        ring = ring.rotated(rotation.raw("private_key"), rotation.number("at_ns"))
    found = ring.find(v.raw("key_id"), v.number("now_ns"))
    return {"public_key_hex": found.public_key.hex(), "current": found is ring.current}


def _representation(v: Question) -> Answer:
    """What becomes text of a value that holds a secret."""
    secret = v.raw("secret")
    holder = _HOLDERS[v.text("of")](secret)
    texts = [repr(holder), str(holder), format(holder)]
    forms = {secret.hex(), repr(secret)[2:-1], str(int.from_bytes(secret, "big")), base64.b64encode(secret).decode()}
    return {"leaks": any(form in text for form in forms for text in texts)}


_HOLDERS: Final[dict[str, Callable[[bytes], object]]] = {
    "ed25519_identity": Ed25519Identity.from_seed,
    "message_key": lambda secret: MessageKey(secret, bytes(32)),
    "nonce_key": lambda secret: MessageKey(bytes(32), secret),
    "canister_key": lambda secret: KeyRing().rotated(secret, 1),
    "key_material": DerivedKeyMaterial,
    "ratchet": lambda secret: Ratchet(secret, 1),
    "transport_key": TransportSecretKey,
    "vetkey": VetKey,
}


def _suite(v: Question) -> Answer:
    offered = [Suite(name) for name in v.value("offered")]
    return {"suite": choose_suite(offered, minimum=v.text("minimum"), supported=v.value("supported")).name}


def _vetkd(v: Question) -> Answer:
    match v.text("op"):
        case "derive_public_key":
            if "master_public_key_hex" in v:
                canister_key = MasterPublicKey(v.raw("master_public_key")).derive_canister_key(
                    Principal(v.raw("canister_id"))
                )
            else:
                canister_key = DerivedPublicKey(v.raw("canister_key"))
            return {"derived_key_hex": canister_key.derive_sub_key(v.raw("context")).raw.hex()}
        case "transport_public_key":
            key = TransportSecretKey(v.raw("transport_secret_key_be")).public_key
            return {"transport_public_key_hex": key.raw.hex()}
        case "check_transport_public_key":
            TransportPublicKey(v.raw("transport_public_key"))
            return {}
        case "verify_encrypted_key":
            EncryptedVetKey.from_bytes(v.raw("encrypted_key")).verify(
                TransportPublicKey(v.raw("transport_public_key")),
                DerivedPublicKey(v.raw("derived_key")),
                v.raw("input"),
            )
            return {}
        case "decrypt_and_verify":
            transport = TransportSecretKey(v.raw("transport_secret_key_be"))
            vetkey = EncryptedVetKey.from_bytes(v.raw("encrypted_key")).decrypt_and_verify(
                transport, DerivedPublicKey(v.raw("derived_key")), v.raw("input")
            )
            return {"vetkey_hex": vetkey.export_secret().hex()}
        case "verify_vetkey":
            VetKey(v.raw("vetkey")).verify(DerivedPublicKey(v.raw("derived_key")), v.raw("input"))
            return {}
        case "derived_key_material":
            return {"key_hex": VetKey(v.raw("vetkey")).key_material().export_secret().hex()}
        case "aes_gcm_decrypt":
            material = VetKey(v.raw("vetkey")).key_material()
            plaintext = material.decrypt_message(v.raw("ciphertext"), v.text("domain_sep").encode(), v.raw("aad"))
            return {"plaintext_hex": plaintext.hex()}
        case "ibe_encrypt":
            derived = DerivedPublicKey(v.raw("derived_key"))
            sealed = ibe_encrypt(derived, v.raw("identity"), v.raw("plaintext"), seed=v.raw("seed"))
            return {"ciphertext_hex": sealed.hex()}
        case "ibe_decrypt":
            return {"plaintext_hex": ibe_decrypt(VetKey(v.raw("vetkey")), v.raw("ciphertext")).hex()}
        case "hkdf":
            length = v.number("length") if "length" in v else 32
            return {"output_hex": derive_symmetric_key(v.raw("input"), v.raw("info"), length).hex()}
        case "hash_to_scalar":
            return {"scalar_be_hex": hash_to_scalar(v.raw("input"), v.text("dst").encode()).to_bytes(32, "big").hex()}
        case "augmented_hash_to_g1":
            return {"point_hex": bytes(augmented_hash(v.raw("derived_key"), v.raw("input")).compress()).hex()}
        case "vrf":
            canister_key = MasterPublicKey(v.raw("master_public_key")).derive_canister_key(
                Principal(v.raw("canister_id"))
            )
            return {
                "output_hex": VrfOutput.verify(v.raw("vrf"), canister_key.derive_sub_key(v.raw("context"))).output.hex()
            }
    raise KeyError(v.text("op"))


SEALED: Final[dict[str, Callable[[Question], Answer]]] = {
    "hop_stream": _hop_stream,
    "hpke": _hpke,
    "key_ring": _key_ring,
    "payload": _payload,
    "representation": _representation,
    "room_message": _room_message,
    "room_stream": _room_stream,
    "suite": _suite,
    "vetkd": _vetkd,
}
"""Questions of these kinds."""
