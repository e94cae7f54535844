"""Messages of a poll to their clients: pruned witnesses, one frame a message or one a poll.

A poll's witness covers messages of many clients. Each client is shown the path of its own messages only: that is
smaller, and tells one client nothing of another's traffic. Clients of our subprotocol get certificate and witness once
for all of their messages; others one frame a message.

The frames are those of :mod:`icws_secure.wire.frames`, put together from parts that are encoded once a poll.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final

from icws_secure.limits import MAX_FRAME_MESSAGES
from icws_secure.wire.cbor import SELF_DESCRIBE_TAG, encode, encode_head

from .directory import CanisterClients, Recipient
from .metrics import GatewayMetrics
from .reply_check import CheckedReply, QueuedMessage

__all__ = ["deliver", "message_frame", "messages_frame", "send_all"]

_BYTES, _TEXT, _ARRAY = 2, 3, 4  # CBOR's major types
_MESSAGE: Final = SELF_DESCRIBE_TAG + b"\xa4"
_MESSAGES: Final = SELF_DESCRIBE_TAG + b"\xa3" + encode("messages")
_KEYED: Final = b"\xa2"
_ONE_MESSAGE: Final = _MESSAGES + encode_head(_ARRAY, 1) + _KEYED
_KEY, _CONTENT, _CERT, _TREE = (encode(name) for name in ("key", "content", "cert", "tree"))


def deliver(
    reply: CheckedReply, messages: Sequence[QueuedMessage], clients: CanisterClients, metrics: GatewayMetrics
) -> None:
    """Posts messages of one reply to their clients, in order. Those of clients that are not here are skipped."""
    certificate = _CERT + encode_head(_BYTES, len(reply.certificate)) + reply.certificate + _TREE
    by_owner = clients.by_owner
    alone: list[tuple[Recipient, QueuedMessage]] = []
    own: dict[Recipient, list[QueuedMessage]] = {}
    delivered = 0
    for message in messages:
        client = by_owner.get(message.owner)
        if client is None:
            continue
        delivered += 1
        if not client.modern:
            alone.append((client, message))
        elif (theirs := own.get(client)) is None:
            own[client] = [message]
        else:
            theirs.append(message)
    send_all(((client, message_frame(reply, message, certificate)) for client, message in alone), "message", metrics)
    send_all(
        (
            (client, messages_frame(reply, theirs[start : start + MAX_FRAME_MESSAGES], certificate))
            for client, theirs in own.items()
            for start in range(0, len(theirs), MAX_FRAME_MESSAGES)
        ),
        "messages",
        metrics,
    )
    metrics.messages_delivered.inc(delivered)
    metrics.messages_skipped.inc(len(messages) - delivered)


def send_all(frames: Iterable[tuple[Recipient, bytes]], kind: str, metrics: GatewayMetrics) -> None:
    """Sends frames of one kind to their clients; they are counted once for all instead of once each."""
    sent = size = gone = 0
    for client, frame in frames:
        if client.send(frame):
            sent += 1
            size += len(frame)
        else:
            gone += 1
    metrics.sent(kind, size, sent)
    if gone:
        metrics.drops.labels("client_gone").inc(gone)


def message_frame(reply: CheckedReply, message: QueuedMessage, certificate: bytes) -> bytes:
    """The frame of one message for a legacy client; ``certificate`` is that part of it, encoded."""
    return _frame_of_one(_MESSAGE, reply, message, certificate)


def messages_frame(reply: CheckedReply, messages: Sequence[QueuedMessage], certificate: bytes) -> bytes:
    """The frame of a client's messages of one poll; ``certificate`` is that part of it, encoded."""
    if len(messages) == 1:
        return _frame_of_one(_ONE_MESSAGE, reply, messages[0], certificate)
    # [ICWS-GWY-008]
    tree = reply.witness.show_leaves([message.place for message in messages])
    parts = [_MESSAGES, encode_head(_ARRAY, len(messages))]
    for message in messages:
        key, content = message.key, message.content
        parts += (_KEYED, _key_head(len(key)), key, _content_head(len(content)), content)
    parts += (certificate, _bytes_head(len(tree)), tree)
    return b"".join(parts)


def _frame_of_one(start: bytes, reply: CheckedReply, message: QueuedMessage, certificate: bytes) -> bytes:
    _, key, content, _, _, place = message
    # [ICWS-GWY-008]
    tree = reply.witness.show_leaves((place,))
    return b"".join(
        (
            start,
            _key_head(len(key)),
            key,
            _content_head(len(content)),
            content,
            certificate,
            _bytes_head(len(tree)),
            tree,
        )
    )


# Heads of a few lengths come again and again.


@lru_cache(maxsize=8)
def _key_head(size: int) -> bytes:
    return _KEY + encode_head(_TEXT, size)


@lru_cache(maxsize=1_024)
def _content_head(size: int) -> bytes:
    return _CONTENT + encode_head(_BYTES, size)


@lru_cache(maxsize=1_024)
def _bytes_head(size: int) -> bytes:
    return encode_head(_BYTES, size)
