"""Messages that were received and not yet taken, and those who wait for them."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

from icws_secure.session.client import Message

__all__ = ["Inbox"]

# A secure session stays below these by itself, since a canister keeps a bounded number of messages that are not
# acknowledged, and what is not taken is not acknowledged. Above them nothing more is read from the gateway.
MESSAGES: Final = 4_096
BYTES: Final = 32 << 20


class Inbox:
    """A queue for any number of readers, none of whom can take a message away by being cancelled.

    It never refuses a message: what has been verified is not dropped. :attr:`is_full` is for whoever reads the socket.
    """

    def __init__(self) -> None:
        self._messages: deque[Message] = deque()
        self._bytes = 0
        self._readers: deque[asyncio.Future[None]] = deque()

    def __len__(self) -> int:
        return len(self._messages)

    @property
    def is_full(self) -> bool:
        """Whether the application is so far behind that no more should be read."""
        return len(self._messages) >= MESSAGES or self._bytes >= BYTES

    def put(self, message: Message) -> None:
        """Append a message and wake one reader."""
        self._messages.append(message)
        self._bytes += len(message.data)
        self._wake_one()

    def take(self) -> Message | None:
        """Return the oldest message, or None; never waits."""
        if not self._messages:
            return None
        message = self._messages.popleft()
        self._bytes -= len(message.data)
        return message

    async def changed(self) -> None:
        """Wait until there may be a message, or :meth:`wake_all` says that something else has changed."""
        reader = asyncio.get_running_loop().create_future()
        self._readers.append(reader)
        try:
            await reader
        finally:
            self._readers.remove(reader)
            if self._messages:
                self._wake_one()  # the message that this reader was woken for may now be for another

    def wake_all(self) -> None:
        """Wake every reader."""
        for reader in self._readers:
            if not reader.done():
                reader.set_result(None)

    def _wake_one(self) -> None:
        for reader in self._readers:
            if not reader.done():
                reader.set_result(None)
                return
