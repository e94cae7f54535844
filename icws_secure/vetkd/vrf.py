"""Verifiable random output of a vetKey: 32 bytes that nobody could choose, with a proof.

The encoding is vetKey (48 bytes), derived public key (96), input. Whoever gets it learns the vetKey: use it for inputs
whose key may be known.

Source: the ``vetkeys`` libraries.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ..errors import PayloadViolation, Reason
from .keys import VetKey
from .public_key import DerivedPublicKey
from .symmetric import derive_symmetric_key

__all__ = ["VrfOutput"]

_INFO: Final = b"ic-vetkd-bls12-381-g2-vrf"
_FIXED_BYTES: Final = 48 + 96


@dataclass(frozen=True, slots=True)
class VrfOutput:
    """A proof, and what it proves; only :meth:`verify` makes one from bytes.

    Attributes:
        proof: the 48 bytes of the vetKey.
        public_key: the derived public key that it verifies under.
        input: the input that the output belongs to.
    """

    proof: bytes
    public_key: DerivedPublicKey
    input: bytes

    @classmethod
    def verify(cls, encoded: bytes, public_key: DerivedPublicKey) -> VrfOutput:
        """Reads and verifies an encoding.

        Args:
            encoded: vetKey, derived public key and input.
            public_key: the key that must have made it, derived from the pinned master key.

        Raises:
            PayloadViolation: MALFORMED, BAD_BLS_POINT, or BAD_BLS_SIGNATURE: another key, or a wrong proof.
        """
        if len(encoded) < _FIXED_BYTES:
            raise PayloadViolation("a VRF output is too short", reason=Reason.MALFORMED, received=len(encoded))
        proof, named, input_ = encoded[:48], encoded[48:_FIXED_BYTES], encoded[_FIXED_BYTES:]
        # [ICWS-PAY-011]
        if named != public_key.raw:
            raise PayloadViolation(
                "a VRF output is of another key", reason=Reason.BAD_BLS_SIGNATURE, requirement="ICWS-PAY-011"
            )
        VetKey(proof).verify(public_key, input_)
        return cls(proof, public_key, input_)

    def to_bytes(self) -> bytes:
        """The encoding."""
        return self.proof + self.public_key.raw + self.input

    @property
    def output(self) -> bytes:
        """The 32 random bytes."""
        parts = (self.proof, self.public_key.raw, self.input)
        return derive_symmetric_key(b"".join(len(part).to_bytes(8, "big") + part for part in parts), _INFO, 32)
