"""Messages of a poll to their clients: pruned witnesses, one frame a message or one a poll.

A poll's witness covers messages of many clients. Each client is shown the path of its own messages only: that is
smaller, and tells one client nothing of another's traffic. Clients of our subprotocol get certificate and witness once
for all of their messages; others one frame a message.
"""

from __future__ import annotations

from collections.abc import Sequence

from icws_secure.wire.frames import KeyedContent, MessageFrame, MessagesFrame
from icws_secure.wire.hashtree import HashTree, encode_tree, prune
from icws_secure.wire.message import message_path

from .directory import CanisterClients, Recipient
from .metrics import GatewayMetrics
from .reply_check import CheckedReply, QueuedMessage

__all__ = ["deliver"]


def deliver(
    reply: CheckedReply, messages: Sequence[QueuedMessage], clients: CanisterClients, metrics: GatewayMetrics
) -> None:
    """Posts messages of one reply to their clients, in order. Those of clients that are not here are skipped."""
    witness = reply.witness
    if witness is None:
        return
    modern: dict[Recipient, list[QueuedMessage]] = {}
    delivered = 0
    for message in messages:
        client = clients.by_key.get(message.client_key)
        if client is None:
            continue
        delivered += 1
        if client.modern:
            modern.setdefault(client, []).append(message)
        else:
            tree = _pruned(witness, (message,))
            client.post(MessageFrame(message.key, message.content, reply.certificate, tree).encode(), "message")
    for client, own in modern.items():
        contents = tuple(KeyedContent(message.key, message.content) for message in own)
        client.post(MessagesFrame(contents, reply.certificate, _pruned(witness, own)).encode(), "messages")
    metrics.messages_delivered.inc(delivered)
    metrics.messages_skipped.inc(len(messages) - delivered)


def _pruned(witness: HashTree, messages: Sequence[QueuedMessage]) -> bytes:
    # [ICWS-GWY-008]
    return encode_tree(prune(witness, [message_path(message.key) for message in messages]))
