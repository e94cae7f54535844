"""Keys for each message of one direction, by a one-way ratchet.

::

    message key n = HMAC(chain n, 01) || HMAC(chain n, 02)        (AEAD key, nonce key)
    chain n+1     = HMAC(chain n, 03)

Who has chain n cannot compute an earlier key. A ratchet is immutable: taking a key gives the ratchet to go on with,
and whoever takes one keeps that only after the content was sealed or opened, and only if it was the next in order:
what was opened ahead of its turn may have to be opened again, and so may what comes before it. No passed key is kept.
"""

from __future__ import annotations

from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True, repr=False)
class Ratchet:
    """The keys from one number on.

    Args:
        chain: the chain key at ``position``, 32 bytes.
        position: the lowest number whose key was not passed; 0 for a ratchet that starts at the first number taken,
            whichever that is (numbers themselves start at 1).
    """

    chain: bytes
    position: int

    def take(self, number: int) -> tuple[Ratchet, MessageKey]:
        """The key of ``number``, and the ratchet for higher numbers.

        Raises:
            PayloadViolation: REPLAYED, the key was passed; TOO_MANY, the number is too far ahead.
        """
        start = number if self.position == 0 else self.position
        # [ICWS-PAY-002]
        if number < start:
            raise PayloadViolation(
                "the key of this message number was used",
                reason=Reason.REPLAYED,
                requirement="ICWS-PAY-002",
                number=number,
            )
        # [ICWS-PAY-005]
        if number - start > MAX_RATCHET_STEPS:
            raise PayloadViolation(
                "a message number is too far ahead of its keys",
                reason=Reason.TOO_MANY,
                requirement="ICWS-PAY-005",
                limit=MAX_RATCHET_STEPS,
                received=number - start,
            )
        chain = self.chain
        for _ in range(start, number):
            chain = hmac_digest(chain, _CHAIN, "sha256")
        return Ratchet(hmac_digest(chain, _CHAIN, "sha256"), number + 1), _message_key(chain)

    def to_value(self) -> list[object]:
        """The ratchet for :mod:`icws_secure.wire.cbor`; contains keys."""
        return [self.chain, self.position]

    @classmethod
    def from_value(cls, value: object) -> Ratchet:
        """The ratchet that gave ``value`` by :meth:`to_value`.

        Raises:
            DecodeError: it is not such a value.
        """
        match value:
            case [bytes(chain), int(position)] if len(chain) == _CHAIN_BYTES and position >= 0:
                return cls(chain, position)
            case _:
                raise DecodeError("stored keys cannot be read", reason=Reason.WRONG_TYPE)

    def __repr__(self) -> str:
        return f"Ratchet(position={self.position})"


def _message_key(chain: bytes) -> MessageKey:
    return MessageKey(hmac_digest(chain, _KEY, "sha256"), hmac_digest(chain, _NONCE_KEY, "sha256"))
