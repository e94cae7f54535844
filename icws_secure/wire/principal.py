"""Principals: the identifiers of users, canisters, nodes and subnets (interface specification, "Principals").

A principal is a blob of 0 to 29 bytes. Its text form is base32 of a CRC-32 and the blob, in groups of five characters.
"""

from __future__ import annotations

import base64
import hashlib
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import total_ordering
from typing import Final

from ..errors import DecodeError, Reason

__all__ = ["ANONYMOUS", "MANAGEMENT", "MAX_PRINCIPAL_BYTES", "Principal"]

MAX_PRINCIPAL_BYTES: Final = 29
"""Bytes of the longest principal; the IC's limit."""

_MAX_TEXT: Final = 63
_SELF_AUTHENTICATING: Final = 0x02
_OPAQUE: Final = 0x01
_REQUIREMENT: Final = "ICWS-LIB-002"


@total_ordering
@dataclass(frozen=True, slots=True, repr=False, init=False)
class Principal:
    """A principal. Ordered as byte strings are, which is the order of canister ranges.

    Args:
        raw: 0 to 29 bytes.

    Raises:
        DecodeError: ``raw`` is longer.
    """

    raw: bytes
    _text: str | None = field(default=None, init=False, compare=False)

    def __init__(self, raw: bytes) -> None:
        # [ICWS-LIB-002]
        if len(raw) > MAX_PRINCIPAL_BYTES:
            raise DecodeError(
                "a principal is too long",
                reason=Reason.TOO_LARGE,
                requirement=_REQUIREMENT,
                limit=MAX_PRINCIPAL_BYTES,
                received=len(raw),
            )
        # the slots themselves: one is made for every message of a poll, and this takes half as long
        _set_raw(self, raw)
        _set_text(self, None)

    @classmethod
    def from_text(cls, text: str) -> Principal:
        """Parse the text form; upper and lower case are the same.

        Raises:
            DecodeError: the text is not exactly the form of a principal: wrong checksum, dashes, length or characters.
        """
        # ASCII first: other alphabets have letters whose lower case is ASCII
        if len(text) <= _MAX_TEXT and text.isascii():
            lower = text.lower()
            joined = lower.replace("-", "").upper()
            try:
                data = base64.b32decode(joined + "=" * (-len(joined) % 8))
            except ValueError as error:
                raise _bad_text() from error
            if 4 <= len(data) <= 4 + MAX_PRINCIPAL_BYTES:
                principal = cls(data[4:])
                # [ICWS-LIB-002] one comparison covers checksum, dashes and the spare bits of the last character
                if principal.to_text() == lower:
                    return principal
        raise _bad_text()

    @classmethod
    def self_authenticating(cls, der: bytes) -> Principal:
        """The principal of a public key: SHA-224 of its DER SubjectPublicKeyInfo, then ``02``."""
        return cls(hashlib.sha224(der).digest() + b"\x02")

    @property
    def is_anonymous(self) -> bool:
        """Whether this is the principal of unsigned requests, ``2vxsx-fae``."""
        return self.raw == b"\x04"

    @property
    def is_self_authenticating(self) -> bool:
        """Whether this has the form of a principal made from a public key: 29 bytes, the last ``02``."""
        return len(self.raw) == MAX_PRINCIPAL_BYTES and self.raw[-1] == _SELF_AUTHENTICATING

    @property
    def is_opaque(self) -> bool:
        """Whether this has the form of a principal that the IC gave out, as canister ids are: the last byte ``01``."""
        return self.raw[-1:] == bytes((_OPAQUE,))

    def to_text(self) -> str:
        """The text form, lower case; computed once."""
        text = self._text
        if text is None:
            checked = zlib.crc32(self.raw).to_bytes(4, "big") + self.raw
            plain = base64.b32encode(checked).decode("ascii").rstrip("=").lower()
            text = "-".join(plain[start : start + 5] for start in range(0, len(plain), 5))
            _set_text(self, text)
        return text

    def __bytes__(self) -> bytes:
        return self.raw

    def __str__(self) -> str:
        return self.to_text()

    def __repr__(self) -> str:
        return f"Principal({self.to_text()!r})"

    def __lt__(self, other: object) -> bool:
        if not isinstance(other, Principal):
            return NotImplemented
        return self.raw < other.raw


_set_raw: Callable[[Principal, bytes], None] = vars(Principal)["raw"].__set__
_set_text: Callable[[Principal, str | None], None] = vars(Principal)["_text"].__set__


def _bad_text() -> DecodeError:
    return DecodeError("this is not the text form of a principal", reason=Reason.MALFORMED, requirement=_REQUIREMENT)


MANAGEMENT: Final = Principal(b"")
"""The management canister, ``aaaaa-aa``."""

ANONYMOUS: Final = Principal(b"\x04")
"""The sender of requests without a signature, ``2vxsx-fae``."""
