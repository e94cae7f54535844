"""Messages of a poll to their clients: pruned witnesses, one frame a message or one a poll.

A poll's witness covers messages of many clients. Each client is shown the path of its own messages only: that is
smaller, and tells one client nothing of another's traffic. Clients of our subprotocol get certificate and witness once
for all of their messages; others one frame a message.

The frames are those of :mod:`icws_secure.wire.frames`, put together from parts that are encoded once a poll.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from icws_secure.limits import MAX_FRAME_MESSAGES
from icws_secure.wire.cbor import SELF_DESCRIBE_TAG, encode, encode_head

from .directory import CanisterClients, Recipient
from .metrics import GatewayMetrics
from .reply_check import CheckedReply, QueuedMessage

__all__ = ["deliver", "message_frame", "messages_frame"]

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
    own: dict[Recipient, list[QueuedMessage]] = {}
    # frames are counted once a delivery instead of once each
    frames = size = delivered = gone = 0
    for message in messages:
        client = by_owner.get(message.owner)
        if client is None:
            continue
        delivered += 1
        if client.modern:
            theirs = own.get(client)
            if theirs is None:
                own[client] = [message]
            else:
                theirs.append(message)
            continue
        frame = message_frame(reply, message, certificate)
        if client.send(frame):
            frames += 1
            size += len(frame)
        else:
            gone += 1
    metrics.sent("message", size, frames)
    frames = size = 0
    for client, theirs in own.items():
        for frame in _frames_of(reply, theirs, certificate):
            if client.send(frame):
                frames += 1
                size += len(frame)
            else:
                gone += 1
    metrics.sent("messages", size, frames)
    metrics.messages_delivered.inc(delivered)
    metrics.messages_skipped.inc(len(messages) - delivered)
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


def _frames_of(reply: CheckedReply, messages: list[QueuedMessage], certificate: bytes) -> list[bytes]:
    if len(messages) <= MAX_FRAME_MESSAGES:
        return [messages_frame(reply, messages, certificate)]
    return [
        messages_frame(reply, messages[start : start + MAX_FRAME_MESSAGES], certificate)
        for start in range(0, len(messages), MAX_FRAME_MESSAGES)
    ]


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
