"""Numbered messages, and an account of what becomes of a stream of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from hashlib import sha256

__all__ = ["Numbered", "Stream"]

_NUMBER_BYTES = 8
_LONGEST_FILLER = 600


@dataclass(frozen=True, slots=True)
class Numbered:
    """A message whose content follows from its numbers, so that a changed one is noticed.

    Attributes:
        number: its place in the stream of one session and direction, from 1.
        answers: the number of the message that it answers, 0 for none.
    """

    number: int
    answers: int = 0

    def encode(self) -> bytes:
        """The message as bytes, of a length that varies."""
        head = self.number.to_bytes(_NUMBER_BYTES, "big") + self.answers.to_bytes(_NUMBER_BYTES, "big")
        digest = sha256(head).digest()
        return (
            head
            + (digest * (_LONGEST_FILLER // len(digest) + 1))[: int.from_bytes(digest[:2], "big") % _LONGEST_FILLER]
        )

    @classmethod
    def decode(cls, data: bytes) -> Numbered:
        """Read a message.

        Raises:
            ValueError: it is not what was sent.
        """
        message = cls(
            int.from_bytes(data[:_NUMBER_BYTES], "big"), int.from_bytes(data[_NUMBER_BYTES : 2 * _NUMBER_BYTES], "big")
        )
        if message.encode() != data:
            raise ValueError("a message arrived changed")
        return message


@dataclass(frozen=True, slots=True)
class Stream:
    """What has arrived of one stream. A value: taking a message gives another.

    Attributes:
        through: the highest number that arrived.
        missing: lower ones that did not.
        duplicated: arrivals of a number that was there.
        disordered: arrivals of a number after a higher one.
    """

    through: int = 0
    missing: frozenset[int] = frozenset()
    duplicated: int = 0
    disordered: int = 0

    @property
    def received(self) -> int:
        """Different numbers that arrived."""
        return self.through - len(self.missing)

    def take(self, number: int) -> Stream:
        """The stream after the arrival of ``number``."""
        if number > self.through:
            skipped = frozenset(range(self.through + 1, number))
            return replace(self, through=number, missing=self.missing | skipped)
        if number in self.missing:
            return replace(self, missing=self.missing - {number}, disordered=self.disordered + 1)
        return replace(self, duplicated=self.duplicated + 1)

    def lost(self, sent: int) -> int:
        """How many of the numbers from 1 to ``sent`` have not arrived."""
        return len(self.missing) + max(0, sent - self.through)
