"""Which messages an attack strikes: by kind and by count, so that it can strike at any state of a session."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from icws_secure.errors import IcwsError
from icws_secure.wire.frames import GatewayFrame, KeyedContent, MessageFrame, MessagesFrame
from icws_secure.wire.message import CanisterMessage, decode_message
from icws_secure.wire.service import AckMessage, AttachMessage, CloseMessage, OpenMessage, decode_service_message

__all__ = ["CertifiedMessage", "Kind", "Target", "join", "split"]


class Kind(Enum):
    """What a certified message is, seen from outside."""

    OPEN = "open"  # the attach message, or the OpenMessage of omnia/1
    APPLICATION = "application"
    ACK = "acknowledgement"
    CLOSE = "close"
    OTHER = "other"
    ANY = "any"


@dataclass(frozen=True, slots=True)
class CertifiedMessage:
    """One canister message with all that proves it."""

    key: str
    content: bytes
    cert: bytes
    tree: bytes

    @property
    def decoded(self) -> CanisterMessage | None:
        """The message, or None where the content does not decode (a tombstone)."""
        try:
            return decode_message(self.content)
        except IcwsError:
            return None

    @property
    def kind(self) -> Kind:
        message = self.decoded
        if message is None:
            return Kind.OTHER
        if not message.is_service_message:
            return Kind.APPLICATION
        try:
            service = decode_service_message(message.content)
        except IcwsError:
            return Kind.OTHER
        kinds = {OpenMessage: Kind.OPEN, AttachMessage: Kind.OPEN, AckMessage: Kind.ACK, CloseMessage: Kind.CLOSE}
        return kinds.get(type(service), Kind.OTHER)

    def frame(self, like: GatewayFrame) -> GatewayFrame:
        """This message as a frame of the same sort as ``like``: legacy or shared-certificate."""
        return join([self], like)


class Target:
    """Picks messages: those of ``kind``, after ``skip`` have gone by, ``count`` times in all (None: for ever)."""

    def __init__(self, kind: Kind = Kind.APPLICATION, *, skip: int = 0, count: int | None = 1) -> None:
        self.kind = kind
        self._skip = skip
        self._left = count

    def hit(self, message: CertifiedMessage) -> bool:
        """Whether the attack strikes this message; counts it."""
        if self.kind is not Kind.ANY and message.kind is not self.kind:
            return False
        if self._skip > 0:
            self._skip -= 1
            return False
        if self._left is None:
            return True
        if self._left == 0:
            return False
        self._left -= 1
        return True


def split(frame: GatewayFrame) -> Iterator[CertifiedMessage]:
    """The certified messages of a frame; none for frames of other kinds."""
    if isinstance(frame, MessageFrame):
        yield CertifiedMessage(frame.key, frame.content, frame.cert, frame.tree)
    elif isinstance(frame, MessagesFrame):
        for entry in frame.messages:
            yield CertifiedMessage(entry.key, entry.content, frame.cert, frame.tree)


def join(messages: list[CertifiedMessage], like: GatewayFrame) -> GatewayFrame:
    """A frame of the sort of ``like`` from messages that share certificate and witness."""
    first = messages[0]
    if isinstance(like, MessageFrame):
        return MessageFrame(first.key, first.content, first.cert, first.tree)
    return MessagesFrame(tuple(KeyedContent(m.key, m.content) for m in messages), first.cert, first.tree)
