"""Keys for each message of one direction, by a one-way ratchet.

::

    message key n = HMAC(chain n, 01) || HMAC(chain n, 02)        (AEAD key, nonce key)
    chain n+1     = HMAC(chain n, 03)

Who has chain n cannot compute an earlier key. A ratchet is immutable: taking a key gives the ratchet to go on with,
and whoever takes one keeps that only after the content was sealed or opened.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hmac import digest as hmac_digest
from typing import Final

from ..errors import DecodeError, PayloadViolation, Reason
from ..limits import MAX_RATCHET_STEPS
from .sealing import MessageKey

__all__ = ["Ratchet"]

_KEY: Final = b"\x01"
_NONCE_KEY: Final = b"\x02"
_CHAIN: Final = b"\x03"
_CHAIN_BYTES: Final = 32
_MESSAGE_KEY_BYTES: Final = 64


@dataclass(frozen=True, slots=True, repr=False)
class Ratchet:
    """The keys from one number on.

    Args:
        chain: the chain key at ``position``, 32 bytes.
        position: the lowest number whose key was not passed.
        skipped: keys of lower numbers that were passed and may still be needed, by number.
    """

    chain: bytes
    position: int
    skipped: tuple[tuple[int, MessageKey], ...] = field(default=())

    def take(self, number: int, *, window: int = 0) -> tuple[Ratchet, MessageKey]:
        """The key of ``number``, and the ratchet without it.

        Args:
            number: of the message.
            window: how many numbers below the highest may still come; keys passed below that are forgotten.

        Raises:
            PayloadViolation: REPLAYED, the key was taken or forgotten; TOO_MANY, the number is too far ahead.
        """
        if number < self.position:
            return self._take_skipped(number)
        # [ICWS-PAY-005]
        if number - self.position > MAX_RATCHET_STEPS:
            raise PayloadViolation(
                "a message number is too far ahead of its keys",
                reason=Reason.TOO_MANY,
                requirement="ICWS-PAY-005",
                limit=MAX_RATCHET_STEPS,
                received=number - self.position,
            )
        chain, passed = self.chain, list(self.skipped)
        for position in range(self.position, number):
            if position > number - window:
                passed.append((position, _message_key(chain)))
            chain = hmac_digest(chain, _CHAIN, "sha256")
        kept = tuple(entry for entry in passed if entry[0] > number - window)
        return Ratchet(hmac_digest(chain, _CHAIN, "sha256"), number + 1, kept), _message_key(chain)

    def _take_skipped(self, number: int) -> tuple[Ratchet, MessageKey]:
        for passed, key in self.skipped:
            if passed == number:
                rest = tuple(entry for entry in self.skipped if entry[0] != number)
                return Ratchet(self.chain, self.position, rest), key
        # [ICWS-PAY-002]
        raise PayloadViolation(
            "the key of this message number was used", reason=Reason.REPLAYED, requirement="ICWS-PAY-002", number=number
        )

    def to_value(self) -> list[object]:
        """The ratchet for :mod:`icws_secure.wire.cbor`; contains keys."""
        skipped = [[number, key.key + key.nonce_key] for number, key in self.skipped]
        return [self.chain, self.position, skipped]

    @classmethod
    def from_value(cls, value: object) -> Ratchet:
        """The ratchet that gave ``value`` by :meth:`to_value`.

        Raises:
            DecodeError: it is not such a value.
        """
        match value:
            case [bytes(chain), int(position), list(entries)] if len(chain) == _CHAIN_BYTES and position >= 0:
                return cls(chain, position, tuple(_skipped(entry) for entry in entries))
            case _:
                raise DecodeError("stored keys cannot be read", reason=Reason.WRONG_TYPE)

    def __repr__(self) -> str:
        return f"Ratchet(position={self.position}, skipped={len(self.skipped)})"


def _message_key(chain: bytes) -> MessageKey:
    return MessageKey(hmac_digest(chain, _KEY, "sha256"), hmac_digest(chain, _NONCE_KEY, "sha256"))


def _skipped(entry: object) -> tuple[int, MessageKey]:
    match entry:
        case [int(number), bytes(keys)] if len(keys) == _MESSAGE_KEY_BYTES:
            return number, MessageKey(keys[:32], keys[32:])
        case _:
            raise DecodeError("stored keys cannot be read", reason=Reason.WRONG_TYPE)
