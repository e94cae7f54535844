"""Verification of a canister's messages, as gateways hand them over.

:func:`verify_messages` takes these steps, in this order; steps 1 to 5 for all messages of the frame before any is
looked into:

1. The frame is within bounds: sizes and number of messages. Depth and nodes of the trees are bounded by their decoders.
2. The certificate is valid for the canister, and fresh.
3. The witness is well formed, and its digest is the canister's certified data.
4. For each message the leaf is found at exactly ``["websocket", key]``.
5. SHA-256 of the content is the leaf.
6. Only now is the content decoded.
7. The key names the gateway attached to.
8. The content carries the client's own key.
9. The timestamp is not after the certificate's time.

What depends on the messages before (nonce, sequence number, order of timestamps, age) is checked by the session
(:mod:`icws_secure.session.client.inbound`). A removed entry of a queue (empty content) is a tombstone: certified, and
without a message.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from hmac import compare_digest
from typing import Final

from ..errors import CertificateError, DecodeError, MessageViolation, MisuseError, Reason
from ..limits import MAX_CERTIFICATE_BYTES, MAX_FRAME_MESSAGES, MAX_MESSAGE_CONTENT_BYTES, MAX_WITNESS_BYTES
from ..wire.frames import KeyedContent
from ..wire.hashtree import Found, FoundSubtree, find_subtree, lookup
from ..wire.interface import ClientKey
from ..wire.message import CanisterMessage, decode_message, parse_message_key
from ..wire.principal import Principal
from .certificate import CertificateVerifier
from .witness import verify_witness

__all__ = ["MESSAGES_LABEL", "MessageSource", "VerifiedMessage", "verify_messages"]

MESSAGES_LABEL: Final = b"websocket"
"""Label of the certified tree under which the messages' hashes are."""

_TOKEN: Final = object()


@dataclass(frozen=True, slots=True)
class MessageSource:
    """Whose messages these must be.

    Attributes:
        canister_id: the canister that certified them.
        gateway: principal of the gateway attached to.
        client_key: the session's own.
    """

    canister_id: Principal
    gateway: Principal
    client_key: ClientKey


class VerifiedMessage:
    """A message that has passed every step; only :func:`verify_messages` makes them.

    Attributes:
        nonce: place in the gateway's queue.
        message: the decoded content; None for a tombstone.
        certificate_time_ns: time of the certificate, nanoseconds since 1970.
        content_sha256: 32 bytes, the certified leaf.
    """

    __slots__ = ("certificate_time_ns", "content_sha256", "message", "nonce")

    def __init__(
        self,
        nonce: int,
        message: CanisterMessage | None,
        certificate_time_ns: int,
        content_sha256: bytes,
        *,
        token: object = None,
    ) -> None:
        if token is not _TOKEN:
            raise MisuseError("only verify_messages makes verified messages")
        self.nonce = nonce
        self.message = message
        self.certificate_time_ns = certificate_time_ns
        self.content_sha256 = content_sha256

    def __repr__(self) -> str:
        seq = None if self.message is None else self.message.sequence_num
        return f"VerifiedMessage(nonce={self.nonce}, sequence_num={seq})"


def verify_messages(
    messages: Sequence[KeyedContent],
    certificate: bytes,
    tree: bytes,
    *,
    verifier: CertificateVerifier,
    source: MessageSource,
    now: int,
) -> tuple[VerifiedMessage, ...]:
    """Verify messages that share a certificate and a witness, by the steps in this module's docstring.

    Args:
        messages: keys and contents, at least one.
        certificate: CBOR of the certificate.
        tree: CBOR of the witness.
        verifier: holds the root key and the bounds of certified times.
        source: whose messages they must be.
        now: the client's clock, nanoseconds since 1970.

    Returns:
        one value a message, in order.

    Raises:
        DecodeError: bytes that are malformed or over a bound.
        CertificateError: steps 2 to 5.
        MessageViolation: steps 7 to 9.
    """
    # 1. [ICWS-CLT-020]
    _check_bounds(messages, certificate, tree)
    # 2. [ICWS-CLT-022]
    verified = verifier.verify(certificate, now=now, canister_id=source.canister_id)
    # 3. [ICWS-CLT-023]
    witness = verify_witness(verified, source.canister_id, tree)
    below = find_subtree(witness.tree, (MESSAGES_LABEL,))
    leaves: list[bytes] = []
    for item in messages:
        # 4. [ICWS-CLT-024]
        path = (item.key.encode("utf-8", "surrogatepass"),)
        leaf = lookup(below.tree, path) if isinstance(below, FoundSubtree) else below
        if not isinstance(leaf, Found):
            raise CertificateError(
                "the witness does not show the message's key",
                reason=Reason(f"Path{leaf.value.capitalize()}"),
                requirement="ICWS-CLT-024",
            )
        # 5. [ICWS-CLT-025]
        digest = sha256(item.content).digest()
        if not compare_digest(digest, leaf.value):
            raise CertificateError(
                "the content is not the certified one", reason=Reason.LEAF_MISMATCH, requirement="ICWS-CLT-025"
            )
        leaves.append(digest)
    # [ICWS-CLT-033] every message of the frame has passed; from here on content may be looked into
    return tuple(_read(item, leaf, verified.time_ns, source) for item, leaf in zip(messages, leaves, strict=True))


def _check_bounds(messages: Sequence[KeyedContent], certificate: bytes, tree: bytes) -> None:
    if not messages or len(messages) > MAX_FRAME_MESSAGES:
        raise DecodeError(
            "the frame has no message or too many",
            reason=Reason.TOO_MANY,
            requirement="ICWS-CLT-020",
            limit=MAX_FRAME_MESSAGES,
            received=len(messages),
        )
    for what, size, limit in (
        ("certificate", len(certificate), MAX_CERTIFICATE_BYTES),
        ("witness", len(tree), MAX_WITNESS_BYTES),
        ("content", max(len(item.content) for item in messages), MAX_MESSAGE_CONTENT_BYTES),
    ):
        if size > limit:
            raise DecodeError(
                f"the {what} is too long",
                reason=Reason.TOO_LARGE,
                requirement="ICWS-CLT-020",
                limit=limit,
                received=size,
            )


def _read(item: KeyedContent, leaf: bytes, certificate_time_ns: int, source: MessageSource) -> VerifiedMessage:
    # 6. [ICWS-CLT-021]
    gateway, nonce = parse_message_key(item.key)
    message = decode_message(item.content) if item.content else None
    # 7. [ICWS-CLT-026]
    if gateway != source.gateway:
        raise MessageViolation(
            "the message is from the queue of another gateway",
            reason=Reason.WRONG_GATEWAY,
            requirement="ICWS-CLT-026",
            expected=source.gateway,
            received=gateway,
        )
    if message is not None:
        # 8. [ICWS-CLT-028]
        if message.client_key != source.client_key:
            raise MessageViolation(
                "the message is for another client",
                reason=Reason.WRONG_CLIENT_KEY,
                requirement="ICWS-CLT-028",
                sequence_num=message.sequence_num,
            )
        # 9. [ICWS-CLT-030]
        if message.timestamp_ns > certificate_time_ns:
            raise MessageViolation(
                "the message is younger than its certificate",
                reason=Reason.TIMESTAMP_AFTER_CERTIFICATE,
                requirement="ICWS-CLT-030",
                timestamp=message.timestamp_ns,
                certificate=certificate_time_ns,
            )
    return VerifiedMessage(nonce, message, certificate_time_ns, leaf, token=_TOKEN)
