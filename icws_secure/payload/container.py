"""The container of sealed content: COSE_Encrypt0 of RFC 9052, in one encoding only.

::

    [ protected: bstr .cbor {1: alg, 4: kid},  {5: IV},  ciphertext: bstr ]

No tag, no other headers. ``alg`` is what the suite says: it is compared, never read to choose. What is authenticated
beside the content is RFC 9052's ``Enc_structure``, which holds the protected headers and the external data.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from ..errors import DecodeError, PayloadViolation, Reason
from ..limits import MAX_CONTENT_BYTES
from ..wire import cbor

__all__ = ["IV_BYTES", "MAX_KID_BYTES", "Algorithm", "Encrypt0"]

IV_BYTES: Final = 12
MAX_KID_BYTES: Final = 64

_ALG, _KID, _IV = 1, 4, 5  # labels of COSE headers
_CONTEXT: Final = "Encrypt0"


class Algorithm(IntEnum):
    """AEAD algorithms by their numbers in COSE (RFC 9053)."""

    AES_256_GCM = 3
    CHACHA20_POLY1305 = 24


@dataclass(frozen=True, slots=True)
class Encrypt0:
    """A sealed content, taken apart.

    Attributes:
        algorithm: how it is sealed.
        kid: which key it is sealed with.
        iv: the nonce, 12 bytes.
        ciphertext: with the tag at its end.
    """

    algorithm: Algorithm
    kid: bytes
    iv: bytes
    ciphertext: bytes

    @classmethod
    def decode(cls, content: bytes, algorithm: Algorithm) -> Encrypt0:
        """Takes a content apart that must be sealed with ``algorithm``.

        Raises:
            PayloadViolation: UNSEALED, it is not such a container, encoded as this module would.
        """
        try:
            value = cbor.decode(content, what="sealed content", max_bytes=2 * MAX_CONTENT_BYTES, max_depth=3)
        except DecodeError as error:
            # [ICWS-PAY-003]
            raise _unsealed("content is not sealed") from error
        match value:
            case [bytes(protected), {5: bytes(iv)}, bytes(ciphertext)]:
                found = cls(algorithm, _kid(protected), iv, ciphertext)
            case _:
                # [ICWS-PAY-003]
                raise _unsealed("content is not sealed")
        # [ICWS-PAY-001] One encoding: this also refuses other headers and another algorithm.
        if len(iv) != IV_BYTES or len(found.kid) > MAX_KID_BYTES or found.encode() != content:
            raise _unsealed("content is sealed otherwise than the suite says")
        return found

    def encode(self) -> bytes:
        """The container's bytes."""
        return cbor.encode([_protected(self.algorithm, self.kid), {_IV: self.iv}, self.ciphertext])

    def associated_data(self, external: bytes) -> bytes:
        """What is authenticated beside the content; see :func:`associated_data`."""
        return associated_data(self.algorithm, self.kid, external)


def associated_data(algorithm: Algorithm, kid: bytes, external: bytes) -> bytes:
    """The ``Enc_structure``: context, protected headers, external data."""
    return cbor.encode([_CONTEXT, _protected(algorithm, kid), external])


def _protected(algorithm: Algorithm, kid: bytes) -> bytes:
    return cbor.encode({_ALG: int(algorithm), _KID: kid})


def _kid(protected: bytes) -> bytes:
    try:
        headers = cbor.decode(protected, what="protected headers", max_depth=1)
    except DecodeError as error:
        raise _unsealed("content is sealed otherwise than the suite says") from error
    kid = headers.get(_KID) if isinstance(headers, dict) else None
    # [ICWS-PAY-001]
    if not isinstance(kid, bytes):
        raise _unsealed("content is sealed otherwise than the suite says")
    return kid


def _unsealed(message: str) -> PayloadViolation:
    return PayloadViolation(message, reason=Reason.UNSEALED, requirement="ICWS-PAY-003")
