"""Everything in the core that reads what strangers send, and the gateway's readers of polls, each with a few real
inputs.

A target takes bytes, and returns or raises an error of the project's family: that is all that is asked here. What
exactly is taken and refused is the business of ``tests/``.
"""

from __future__ import annotations

from collections.abc import Callable

from readers import READERS
from seeds import (
    CANISTER,
    CANISTER_MESSAGE,
    CERTIFICATE,
    CERTIFICATE_SEEDS,
    ENVELOPE,
    GATEWAY,
    HEAD,
    HOP,
    HOP_SESSION,
    IDENTITY,
    INFO,
    KEY,
    LINK,
    MESSAGE,
    NOW,
    OPEN,
    PARAMETERS,
    POLL,
    RECEIPT,
    REFUSAL,
    SEALED,
    SESSION,
    SOCKET,
    SOCKET_CANISTER,
    SOCKET_CERTIFICATE,
    SOCKET_CONTENT,
    SOCKET_NOW,
    SOCKET_SOURCE,
    SOCKET_TREE,
    SOCKET_VERIFIER,
    STATUS,
    TREE_SEEDS,
    VERIFIER,
)
from stored import STORED
from target import Target

from icws_secure.payload import (
    HopChannel,
    RoomDelivery,
    RoomEpoch,
    RoomPost,
    RoomRefusal,
    decode_room_message,
    decode_room_post,
)
from icws_secure.sign.delegation_json import DelegationChain
from icws_secure.sign.pem import identity_from_pem, identity_to_pem
from icws_secure.verify.envelope import verify_envelope
from icws_secure.verify.message import verify_messages
from icws_secure.verify.root_key import RootKey
from icws_secure.verify.witness import verify_witness
from icws_secure.wire import (
    candid,
    cbor,
    frames,
    hashtree,
    head,
    http,
    interface,
    leb128,
    message,
    registration,
    rooms,
    service,
)
from icws_secure.wire.certificate import decode_certificate
from icws_secure.wire.der import PublicKey
from icws_secure.wire.envelope import Envelope
from icws_secure.wire.principal import Principal

__all__ = ["TARGETS"]


def text(read: Callable[[str], object]) -> Callable[[bytes], object]:
    """A target that takes text: any bytes stand for some."""
    return lambda data: read(data.decode("utf-8", "surrogateescape"))


def look_into_tree(data: bytes) -> object:
    """Decode a tree and do all that is done with one."""
    tree = hashtree.decode_tree(data)
    hashtree.digest(tree)
    hashtree.lookup(tree, (b"websocket", data[:8]))
    hashtree.find_subtree(tree, (b"subnet",))
    hashtree.list_labels(tree)
    hashtree.check_well_formed(tree)
    return hashtree.encode_tree(hashtree.prune(tree, [(b"a",), (b"websocket", b"x")]))


def verify_socket_witness(data: bytes) -> object:
    """Look for a message in a witness under a good certificate."""
    verified = SOCKET_VERIFIER.verify(SOCKET_CERTIFICATE, now=SOCKET_NOW, canister_id=SOCKET_CANISTER)
    return verify_witness(verified, SOCKET_CANISTER, data).lookup((b"websocket", SOCKET["message_key"].encode()))


def verify_socket_message(data: bytes) -> object:
    """Verify a message whose content is under a good certificate and witness."""
    return verify_messages(
        (frames.KeyedContent(SOCKET["message_key"], data),),
        SOCKET_CERTIFICATE,
        SOCKET_TREE,
        verifier=SOCKET_VERIFIER,
        source=SOCKET_SOURCE,
        now=SOCKET_NOW,
    )


def candid_target(name: str, read: Callable[[bytes], object], *seeds: bytes) -> Target:
    """A reader of Candid, fed with its own seeds and some of others."""
    return Target(f"candid-{name}", read, (*seeds, interface.encode_open_argument(OPEN)))


def http_target(name: str, parse: Callable[[int, bytes], object], *seeds: object) -> Target:
    """A reader of the body of a good HTTP response."""
    return Target(f"http-{name}", lambda data: parse(200, data), tuple(cbor.encode(seed) for seed in seeds))


TARGETS: tuple[Target, ...] = (
    Target("cbor", lambda data: cbor.decode(data, what="input"), (ENVELOPE.encode(), CANISTER_MESSAGE)),
    Target("leb128-unsigned", leb128.decode_unsigned, (leb128.encode_unsigned(NOW),)),
    Target("leb128-signed", leb128.decode_signed, (leb128.encode_signed(-NOW),)),
    Target("principal-text", text(Principal.from_text), (GATEWAY.to_text().encode(), CANISTER.to_text().encode())),
    Target("principal", Principal, (GATEWAY.raw,)),
    Target("public-key", PublicKey.from_der, (IDENTITY.public_key_der, bytes.fromhex(CERTIFICATE["root_key_der_hex"]))),
    Target("root-key", RootKey.from_der, (bytes.fromhex(CERTIFICATE["root_key_der_hex"]),)),
    Target("message-key", text(message.parse_message_key), (message.message_key(GATEWAY, 7).encode(),)),
    Target("canister-message", message.decode_message, (CANISTER_MESSAGE,)),
    Target("session-head", head.decode_head, (HEAD.encode(),)),
    Target("epoch", head.decode_epoch, (head.encode_epoch(NOW),)),
    Target("hash-tree", look_into_tree, TREE_SEEDS),
    Target("certificate", decode_certificate, CERTIFICATE_SEEDS),
    Target("envelope", Envelope.decode, (ENVELOPE.encode(),)),
    Target(
        "client-frame",
        frames.decode_client_frame,
        (
            frames.ClientFrame(ENVELOPE).encode(),
            frames.ClientFrame(Envelope(ENVELOPE.content, b"key", b"sig", (LINK,))).encode(),
        ),
    ),
    Target(
        "gateway-frame",
        frames.decode_gateway_frame,
        (
            frames.Handshake(GATEWAY, frames.SUBPROTOCOL).encode(),
            frames.MessageFrame("key", CANISTER_MESSAGE, b"cert", b"tree").encode(),
            frames.MessagesFrame((frames.KeyedContent("key", b"content"),) * 2, b"cert", b"tree").encode(),
            RECEIPT.encode(),
            frames.HeadFrame(b"cert", b"tree").encode(),
            frames.DrainFrame(30).encode(),
        ),
    ),
    http_target(
        "call",
        http.parse_call_response,
        {"status": "replied", "certificate": b"certificate"},
        {"status": "non_replicated_rejection", "reject_code": 4, "reject_message": "", "error_code": ""},
    ),
    http_target(
        "query",
        http.parse_query_response,
        {
            "status": "replied",
            "reply": {"arg": b""},
            "signatures": [{"timestamp": 1, "signature": b"", "identity": b""}],
        },
    ),
    http_target("read-state", http.parse_read_state_response, {"certificate": b"certificate"}),
    http_target("status", http.parse_status_response, {"root_key": b"", "replica_health_status": "healthy"}),
    candid_target("open", interface.decode_open_argument),
    candid_target(
        "close", interface.decode_close_argument, interface.encode_close_argument(interface.CloseArgument(KEY, 1))
    ),
    candid_target("message", interface.decode_message_argument, interface.encode_message_argument(MESSAGE)),
    candid_target(
        "message-result",
        interface.decode_message_result,
        interface.encode_message_result(interface.MessageResult(REFUSAL, STATUS)),
    ),
    candid_target(
        "message-batch",
        interface.decode_message_batch_argument,
        interface.encode_message_batch_argument((MESSAGE, MESSAGE)),
    ),
    candid_target("poll", interface.decode_get_messages_argument, interface.encode_get_messages_argument(7)),
    candid_target("poll-result", interface.decode_get_messages_result, interface.encode_get_messages_result(POLL)),
    candid_target(
        "register",
        registration.decode_register_argument,
        registration.encode_register_argument(registration.RegisterArgument(SESSION, 1, 2, SESSION, "none")),
    ),
    candid_target(
        "register-result", registration.decode_register_result, registration.encode_register_result(PARAMETERS)
    ),
    candid_target("params", registration.decode_params_argument, registration.encode_params_argument(bytes(16))),
    candid_target("audit", registration.decode_audit_argument, registration.encode_audit_argument((SESSION,))),
    candid_target(
        "audit-result",
        registration.decode_audit_result,
        registration.encode_audit_result(registration.Audit(1, (b"head", None), b"cert", b"tree")),
    ),
    candid_target(
        "revoke",
        registration.decode_revoke_argument,
        registration.encode_revoke_argument(registration.RevokeArgument(SESSION, 1)),
    ),
    candid_target("revoke-result", registration.decode_revoke_result, registration.encode_revoke_result(1)),
    candid_target("sessions", registration.decode_sessions_argument, registration.encode_sessions_argument()),
    candid_target("sessions-result", registration.decode_sessions_result, registration.encode_sessions_result((INFO,))),
    candid_target(
        "service",
        service.decode_service_message,
        service.encode_service_message(service.AttachMessage(KEY, bytes(16), 1, 2, 3, 4, 5, 6, bytes(32))),
        service.encode_service_message(service.AckMessage(1)),
        service.encode_service_message(
            service.CloseMessage(service.CloseReason.CLOSED_BY_APPLICATION, service.SessionCloseReason.REVOKED)
        ),
    ),
    candid_target("room-create", rooms.decode_room_create, rooms.encode_room_create(b"room", (SESSION,))),
    candid_target("room-member", rooms.decode_room_member, rooms.encode_room_member(b"room", SESSION)),
    candid_target("room-key", rooms.decode_room_key, rooms.encode_room_key(b"room", bytes(48))),
    candid_target(
        "room-key-result",
        rooms.decode_room_key_result,
        rooms.encode_room_key_result(rooms.RoomKeyReply(1, bytes(192))),
    ),
    Target("room-post", decode_room_post, (RoomPost(b"room", SEALED).encode(),)),
    Target(
        "room-message",
        decode_room_message,
        (
            RoomDelivery(b"room", 1, SESSION, SEALED).encode(),
            RoomEpoch(b"room", 2).encode(),
            RoomRefusal(b"room", 2, 1, "NotMember").encode(),
        ),
    ),
    Target("hop-content", lambda data: HOP[1].open(1, data), (HOP[0].seal(1, b"data")[1],)),
    Target("hop-keys", lambda data: HopChannel.from_bytes(HOP_SESSION, data), (HOP[1].to_bytes(),)),
    candid_target("nothing-wanted", lambda data: candid.decode([], data), interface.encode_get_messages_result(POLL)),
    Target("pem", identity_from_pem, (identity_to_pem(IDENTITY),)),
    Target(
        "delegation-json",
        DelegationChain.from_json,
        (DelegationChain(IDENTITY.public_key_der, (LINK,)).to_json().encode(),),
    ),
    Target("verify-envelope", lambda data: verify_envelope(Envelope.decode(data), now=NOW), (ENVELOPE.encode(),)),
    Target(
        "verify-certificate", lambda data: VERIFIER.verify(data, now=int(CERTIFICATE["now_ns"])), CERTIFICATE_SEEDS[:2]
    ),
    Target("verify-witness", verify_socket_witness, (SOCKET_TREE,)),
    Target("verify-message", verify_socket_message, (SOCKET_CONTENT, CANISTER_MESSAGE)),
    *STORED,
    *READERS,
)
