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


class _Sent:
    """Frames of one kind, counted once a delivery instead of once each."""

    __slots__ = ("bytes", "frames", "gone")

    def __init__(self) -> None:
        self.frames = self.bytes = self.gone = 0

    def to(self, client: Recipient, frame: bytes) -> None:
        """Sends a frame."""
        if client.send(frame):
            self.frames += 1
            self.bytes += len(frame)
        else:
            self.gone += 1


def deliver(
    reply: CheckedReply, messages: Sequence[QueuedMessage], clients: CanisterClients, metrics: GatewayMetrics
) -> None:
    """Posts messages of one reply to their clients, in order. Those of clients that are not here are skipped."""
    certificate = _CERT + encode_head(_BYTES, len(reply.certificate)) + reply.certificate + _TREE
    own: dict[Recipient, list[QueuedMessage]] = {}
    alone, shared = _Sent(), _Sent()
    delivered = 0
    by_owner = clients.by_owner
    for message in messages:
        client = by_owner.get(message.owner)
        if client is None:
            continue
        delivered += 1
        if not client.modern:
            alone.to(client, message_frame(reply, message, certificate))
        elif (theirs := own.get(client)) is None:
            own[client] = [message]
        else:
            theirs.append(message)
    for client, theirs in own.items():
        for start in range(0, len(theirs), MAX_FRAME_MESSAGES):
            part = theirs[start : start + MAX_FRAME_MESSAGES]
            shared.to(client, messages_frame(reply, part, certificate))
    metrics.messages_delivered.inc(delivered)
    metrics.messages_skipped.inc(len(messages) - delivered)
    for kind, sent in (("message", alone), ("messages", shared)):
        metrics.sent(kind, sent.bytes, sent.frames)
    if alone.gone or shared.gone:
        metrics.drops.labels("client_gone").inc(alone.gone + shared.gone)


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
        parts += (_KEYED, *_keyed(message))
    parts += (certificate, encode_head(_BYTES, len(tree)), tree)
    return b"".join(parts)


def _frame_of_one(start: bytes, reply: CheckedReply, message: QueuedMessage, certificate: bytes) -> bytes:
    # [ICWS-GWY-008]
    tree = reply.witness.show_leaves((message.place,))
    return b"".join((start, *_keyed(message), certificate, encode_head(_BYTES, len(tree)), tree))


def _keyed(message: QueuedMessage) -> tuple[bytes, ...]:
    """The entries of a message and its key, in parts."""
    key, content = message.key.encode("ascii"), message.content
    return _key_head(len(key)), key, _CONTENT, encode_head(_BYTES, len(content)), content


@lru_cache(maxsize=8)
def _key_head(size: int) -> bytes:
    return _KEY + encode_head(_TEXT, size)  # of keys, which are all of one length
