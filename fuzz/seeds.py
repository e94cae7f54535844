"""Real inputs, to be damaged."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from icws_secure.payload import (
    HopChannel,
    HopEnd,
    HopSession,
)
from icws_secure.payload.container import Algorithm, Encrypt0
from icws_secure.sign.identity import Ed25519Identity
from icws_secure.sign.request import sign_call, sign_delegation
from icws_secure.verify.certificate import CertificateVerifier
from icws_secure.verify.message import MessageSource
from icws_secure.verify.root_key import RootKey
from icws_secure.wire import (
    frames,
    head,
    interface,
    message,
    registration,
)
from icws_secure.wire.envelope import Delegation
from icws_secure.wire.principal import Principal

VECTORS = Path(__file__).resolve().parents[1] / "tests/vectors"


def vectors(name: str) -> list[dict[str, str]]:
    """The vectors of a file."""
    found: list[dict[str, str]] = json.loads((VECTORS / name).read_text())["vectors"]
    return found


NOW = 1_700_000_000_000_000_000
GATEWAY = Principal.self_authenticating(b"gateway")
SESSION = Principal.self_authenticating(b"session")
IDENTITY = Ed25519Identity(hashlib.sha256(b"fuzz").digest())
KEY = interface.ClientKey(SESSION, 7)
CANISTER = Principal(b"\x00\x00\x00\x00\x00\x00\x00\x01\x01\x01")
REFUSAL = interface.Refusal("Closed", "words")
OPEN = interface.OpenArgument(7, GATEWAY, interface.SecureOpen(bytes(16), 1, 1, "none", b"id", b"enc"))
MESSAGE = interface.WebsocketMessage(KEY, 1, NOW, False, b"content")
STATUS = interface.MessageStatus(1, 1, interface.MessageState.EXECUTED)
CANISTER_MESSAGE = message.CanisterMessage(KEY, 1, NOW, False, b"content", bytes(16)).encode()
POLL = interface.CertifiedMessages(
    (interface.OutputMessage(KEY, message.message_key(GATEWAY, 1), CANISTER_MESSAGE),) * 2, b"cert", b"tree", False
)
PARAMETERS = registration.Parameters(
    registration_id=bytes(16),
    session_principal=SESSION,
    owner=IDENTITY.principal,
    profile="icws-secure/1",
    epoch=NOW,
    expires_at_ns=NOW,
    ack_interval_ns=1,
    keep_alive_timeout_ns=1,
    resume_window_ns=1,
    detach_after_open_ns=1,
    window_messages=1,
    window_bytes=1,
    max_content_bytes=1,
    retained_messages=1,
    retained_bytes=1,
    suites=(registration.Suite("hpke-x25519", b"id", bytes(32), NOW), registration.Suite("none")),
    features=("batch",),
)
INFO = registration.SessionInfo(SESSION, bytes(16), 1, 2, registration.SessionState.OPEN, 3, 4)
HEAD = head.SessionHead(bytes(16), 1, registration.SessionState.OPEN, 2, 3, 4, 5, 6, NOW, NOW, "Revoked", (1, 2))
SEALED = Encrypt0(Algorithm.AES_256_GCM, bytes(16), bytes(12), bytes(32)).encode()
HOP_SESSION = HopSession(CANISTER, KEY, bytes(16))
HOP = [HopChannel(HOP_SESSION, end).attached(1, secret=bytes(32), key_id=None, next_in=1, next_out=1) for end in HopEnd]
ENVELOPE = sign_call(
    IDENTITY,
    canister_id=CANISTER,
    method_name="ws_open",
    arg=interface.encode_open_argument(OPEN),
    ingress_expiry_ns=NOW,
    nonce=b"nonce",
)
LINK = sign_delegation(IDENTITY, Delegation(IDENTITY.public_key_der, NOW, (CANISTER,), "all"))
RECEIPT = frames.ReceiptFrame(
    bytes(32), frames.ReceiptStatus.REJECTED, reject_code=4, reject_message="no", error_code="IC0503"
)

CERTIFICATES = [v for v in vectors("certificates_upstream.json") if v.get("expect", "accept") == "accept"]
CERTIFICATE = CERTIFICATES[0]
SOCKET = next(v for v in vectors("ws_messages_upstream.json") if v.get("expect", "accept") == "accept")
VERIFIER = CertificateVerifier(RootKey.from_der(bytes.fromhex(CERTIFICATE["root_key_der_hex"])))
SOCKET_VERIFIER = CertificateVerifier(RootKey.from_der(bytes.fromhex(SOCKET["root_key_der_hex"])))
SOCKET_NOW = int(SOCKET["now_ns"])
SOCKET_CANISTER = Principal.from_text(SOCKET["canister_id"])
SOCKET_CERTIFICATE = bytes.fromhex(SOCKET["certificate_hex"])
SOCKET_TREE = bytes.fromhex(SOCKET["witness_tree_hex"])
SOCKET_CONTENT = bytes.fromhex(SOCKET["content_hex"])
SOCKET_SOURCE = MessageSource(SOCKET_CANISTER, message.parse_message_key(SOCKET["message_key"])[0], KEY)
CERTIFICATE_SEEDS = tuple(bytes.fromhex(v["certificate_hex"]) for v in CERTIFICATES[:6])
TREE_SEEDS = (SOCKET_TREE, *(bytes.fromhex(v["tree_hex"]) for v in vectors("hash_trees.json")[:12]))
