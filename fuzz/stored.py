"""Targets that read what was kept: sessions, evidence, a canister's state, keys. And signatures that are documents."""

from __future__ import annotations

import json

from seeds import (
    CANISTER,
    GATEWAY,
    IDENTITY,
    KEY,
    MESSAGE,
    NOW,
    PARAMETERS,
    SESSION,
    SOCKET,
    SOCKET_CERTIFICATE,
    SOCKET_CONTENT,
    SOCKET_NOW,
    SOCKET_TREE,
    vectors,
)
from target import Target

from icws_secure.payload.hpke import KeyRing
from icws_secure.session.canister import CanisterConfig, CanisterSessions
from icws_secure.session.client.evidence import Evidence, recheck
from icws_secure.session.client.persistence import SavedSession, decode_saved, encode_saved
from icws_secure.sign import ed25519_identity_from_json
from icws_secure.verify import RootKey, verify_user_signature
from icws_secure.verify.certificate import CertificateVerifier
from icws_secure.wire import frames, interface, registration, service
from icws_secure.wire.der import PublicKey

__all__ = ["STORED"]

CONFIG = CanisterConfig()
SAVED = SavedSession(
    canister_id=CANISTER,
    seed=bytes(32),
    client_nonce=7,
    parameters=PARAMETERS,
    registered_at=NOW,
    attach=1,
    was_opened=True,
    taken_through=3,
    taken_timestamp_ns=NOW,
    next_seq=2,
    unsettled=(MESSAGE,),
    floors=(("attach", 1, NOW),),
    channel=b"channel",
)
ROOT_KEY = RootKey.from_der(bytes.fromhex(SOCKET["root_key_der_hex"]))
EVIDENCE = Evidence(
    kind="frame",
    reason="WrongClientKey",
    requirement="ICWS-CLT-030",
    text="words",
    received=(frames.MessageFrame(SOCKET["message_key"], SOCKET_CONTENT, SOCKET_CERTIFICATE, SOCKET_TREE).encode(),),
    settings={
        "root_key": ROOT_KEY.raw,
        "canister": CANISTER.raw,
        "gateway": GATEWAY.raw,
        "client_principal": SESSION.raw,
        "client_nonce": 7,
        "ic_now": SOCKET_NOW,
        "phase": "open",
        "subprotocol": 0,
        "own": SESSION.raw,
        "pinned": b"",
        "outstanding": bytes(32),
    },
)
ED25519_JSON = json.dumps([IDENTITY.public_key_der.hex(), IDENTITY.export_secret().hex()]).encode()
SIGNED = vectors("canister_signatures_upstream.json")[0]
ASSERTION = vectors("webauthn_upstream.json")[0]
SIGNED_UNDER = CertificateVerifier(RootKey.from_der(bytes.fromhex(SIGNED["root_key_der_hex"])))


def canister_state() -> bytes:
    """The kept state of a canister with a session that was opened, sent to and heard."""
    sessions = CanisterSessions(CONFIG, now=NOW, seed=bytes(32))
    argument = registration.encode_register_argument(registration.RegisterArgument(SESSION, NOW))
    parameters = registration.decode_register_result(sessions.register(IDENTITY.principal, argument, NOW).reply)
    if isinstance(parameters, registration.Parameters):
        secure = interface.SecureOpen(parameters.registration_id, 1, 1, "none")
        sessions.open(SESSION, interface.encode_open_argument(interface.OpenArgument(7, GATEWAY, secure)), NOW)
        sessions.send(KEY, b"data", NOW)
        alive = service.encode_service_message(service.KeepAliveMessage(1))
        heard = interface.WebsocketMessage(KEY, 1, NOW, True, alive)
        sessions.message(SESSION, interface.encode_message_argument(heard), NOW)
    return sessions.to_stable()


def use_saved_state(data: bytes) -> object:
    """Take a canister's state up again."""
    return CanisterSessions.from_stable(CONFIG, data, now=NOW, seed=bytes(32)).certified_root()


def verify_by(vector: dict[str, str], certificates: CertificateVerifier | None, data: bytes) -> object:
    """Verify a signature that is a document of its own."""
    key = PublicKey.from_der(bytes.fromhex(vector["public_key_der_hex"]))
    return verify_user_signature(key, bytes.fromhex(vector["message_hex"]), data, certificates=certificates)


def verify_by_key(data: bytes) -> object:
    """Verify a good assertion under a key that may be another."""
    return verify_by({**ASSERTION, "public_key_der_hex": data.hex()}, None, bytes.fromhex(ASSERTION["signature_hex"]))


STORED: tuple[Target, ...] = (
    Target("saved-session", decode_saved, (encode_saved(SAVED),)),
    Target("evidence", lambda data: recheck(Evidence.decode(data)), (EVIDENCE.encode(),)),
    Target("canister-state", use_saved_state, (canister_state(),)),
    Target("hpke-keys", KeyRing.from_bytes, (KeyRing().rotated(bytes(31) + b"\x01", NOW).to_bytes(),)),
    Target("ed25519-json", ed25519_identity_from_json, (ED25519_JSON,)),
    Target(
        "canister-signature",
        lambda data: verify_by(SIGNED, SIGNED_UNDER, data),
        (bytes.fromhex(SIGNED["signature_hex"]),),
    ),
    Target(
        "webauthn-signature",
        lambda data: verify_by(ASSERTION, None, data),
        (bytes.fromhex(ASSERTION["signature_hex"]),),
    ),
    Target("webauthn-key", verify_by_key, (bytes.fromhex(ASSERTION["public_key_der_hex"]),)),
)
