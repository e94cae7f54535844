"""Transport keys, encrypted vetKeys, vetKeys.

A vetKey is a BLS signature of the subnet on ``input`` under the key of a canister and context. It travels encrypted
under a transport key of the receiver's, and is worth something only after :meth:`EncryptedVetKey.decrypt_and_verify`,
which takes these steps:

1. All three points of the encrypted key are canonical, in the subgroup, and not infinity.
2. The first two have the same discrete logarithm: e(c1, g2) = e(g1, c2).
3. The vetKey is the third less the first times the transport secret; it is not infinity.
4. The vetKey is a signature on ``input`` under the derived public key.

Source: IC interface specification, "vetkd_derive_key"; the ``vetkeys`` libraries.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ..bls.points import GROUP_ORDER
from ..errors import MisuseError, PayloadViolation, Reason
from .group import G1, G2, Point, augmented_hash, decode_g1, decode_g2, is_pairing_product
from .public_key import DerivedPublicKey
from .symmetric import DerivedKeyMaterial, derive_symmetric_key

__all__ = ["EncryptedVetKey", "TransportPublicKey", "TransportSecretKey", "VetKey"]

_SCALAR_BYTES: Final = 32
_ENTROPY_BYTES: Final = 48  # makes the bias of the reduction negligible
_G1_BYTES: Final = 48
_G2_BYTES: Final = 96


@dataclass(frozen=True, slots=True)
class TransportPublicKey:
    """The key that a vetKey is encrypted under on its way.

    Args:
        raw: 48 bytes, a compressed point of G1. Infinity is refused: under it the vetKey would travel in the clear.

    Raises:
        PayloadViolation: BAD_BLS_POINT.
    """

    raw: bytes

    def __post_init__(self) -> None:
        # [ICWS-PAY-014]
        decode_g1(self.raw, "transport public key")


class TransportSecretKey:
    """The receiver's transport key.

    Args:
        secret: a scalar between 1 and the group order, 32 bytes big-endian (the Rust library of vetKeys writes it
        little-endian).

    Raises:
        MisuseError: the secret is not such a scalar.
    """

    __slots__ = ("_scalar", "public_key")

    def __init__(self, secret: bytes) -> None:
        scalar = int.from_bytes(secret, "big")
        if len(secret) != _SCALAR_BYTES or not 0 < scalar < GROUP_ORDER:
            raise MisuseError("a transport secret is a scalar of 32 bytes, below the group order and not zero")
        self._scalar = scalar
        self.public_key = TransportPublicKey(bytes(G1.scalar_mul(scalar).compress()))

    @classmethod
    def from_entropy(cls, entropy: bytes) -> TransportSecretKey:
        """A fresh key from 48 uniformly random bytes.

        Raises:
            MisuseError: another number of bytes.
        """
        if len(entropy) != _ENTROPY_BYTES:
            raise MisuseError("a transport key is made of 48 random bytes", expected=_ENTROPY_BYTES)
        scalar = 1 + int.from_bytes(entropy, "big") % (GROUP_ORDER - 1)
        return cls(scalar.to_bytes(_SCALAR_BYTES, "big"))

    def export_secret(self) -> bytes:
        """The scalar, 32 bytes big-endian."""
        return self._scalar.to_bytes(_SCALAR_BYTES, "big")

    def __repr__(self) -> str:
        return f"TransportSecretKey(public_key={self.public_key.raw.hex()})"


class VetKey:
    """A vetKey that was verified, or comes from where it was.

    Args:
        raw: 48 bytes, a compressed point of G1.

    Raises:
        PayloadViolation: BAD_BLS_POINT.
    """

    __slots__ = ("_raw",)

    def __init__(self, raw: bytes) -> None:
        decode_g1(raw, "vetKey")
        self._raw = raw

    def export_secret(self) -> bytes:
        """The 48 bytes. Whoever has them can derive all that comes of this key."""
        return self._raw

    def verify(self, public_key: DerivedPublicKey, input_: bytes) -> None:
        """Verifies that this is the vetKey for ``input_`` under ``public_key``.

        Raises:
            PayloadViolation: BAD_BLS_SIGNATURE.
        """
        hashed = augmented_hash(public_key.raw, input_)
        key = decode_g2(public_key.raw, "derived public key")
        # [ICWS-PAY-011]
        if not is_pairing_product((decode_g1(self._raw, "vetKey"), G2), (hashed, key)):
            raise PayloadViolation(
                "the vetKey does not verify under the derived public key",
                reason=Reason.BAD_BLS_SIGNATURE,
                requirement="ICWS-PAY-011",
            )

    def derive_symmetric_key(self, info: bytes, length: int) -> bytes:
        """``length`` secret bytes for the use that ``info`` names; see :func:`.derive_symmetric_key`."""
        return derive_symmetric_key(self._raw, info, length)

    def key_material(self) -> DerivedKeyMaterial:
        """The material that messages in the vetKeys libraries' format are encrypted with."""
        return DerivedKeyMaterial.of_vetkey(self._raw)

    def __repr__(self) -> str:
        return "VetKey(...)"


@dataclass(frozen=True, slots=True)
class EncryptedVetKey:
    """The answer of ``vetkd_derive_key``.

    Attributes:
        c1: G1 times a random number, 48 bytes.
        c2: G2 times the same number, 96 bytes.
        c3: the transport key times that number, plus the vetKey, 48 bytes.
    """

    c1: bytes
    c2: bytes
    c3: bytes

    @classmethod
    def from_bytes(cls, data: bytes) -> EncryptedVetKey:
        """Takes the 192 bytes apart; the points are checked where they are used.

        Raises:
            PayloadViolation: MALFORMED, another length.
        """
        if len(data) != 2 * _G1_BYTES + _G2_BYTES:
            raise PayloadViolation("an encrypted vetKey has 192 bytes", reason=Reason.MALFORMED, received=len(data))
        return cls(data[:48], data[48:144], data[144:])

    def to_bytes(self) -> bytes:
        """The 192 bytes."""
        return self.c1 + self.c2 + self.c3

    def decrypt_and_verify(
        self, transport_key: TransportSecretKey, public_key: DerivedPublicKey, input_: bytes
    ) -> VetKey:
        """Takes the steps in this module's docstring.

        Args:
            transport_key: the receiver's key that was sent along with the request.
            public_key: the key for the canister and context, derived from the pinned master key.
            input_: the input that the canister asked a key for.

        Raises:
            PayloadViolation: BAD_BLS_POINT or BAD_BLS_SIGNATURE.
        """
        # 1. and 2.
        c1, _, c3 = self._checked()
        # 3.
        shared = c1.scalar_mul(int.from_bytes(transport_key.export_secret(), "big"))
        key = VetKey(bytes((c3 + -shared).compress()))
        # 4.
        key.verify(public_key, input_)
        return key

    def verify(self, transport_key: TransportPublicKey, public_key: DerivedPublicKey, input_: bytes) -> None:
        """Verifies without the transport secret that this is the encrypted vetKey asked for, as a canister could.

        Raises:
            PayloadViolation: BAD_BLS_POINT or BAD_BLS_SIGNATURE.
        """
        # 1. and 2.
        _, c2, c3 = self._checked()
        # e(c3, g2) = e(transport key, c2) e(H(input), public key)
        hashed = augmented_hash(public_key.raw, input_)
        transport = decode_g1(transport_key.raw, "transport public key")
        key = decode_g2(public_key.raw, "derived public key")
        # [ICWS-PAY-011]
        if not is_pairing_product((c3, G2), (transport, c2), (hashed, key)):
            raise PayloadViolation(
                "the encrypted vetKey does not verify", reason=Reason.BAD_BLS_SIGNATURE, requirement="ICWS-PAY-011"
            )

    def _checked(self) -> tuple[Point, Point, Point]:
        # 1. [ICWS-PAY-014]
        c1 = decode_g1(self.c1, "first part of the encrypted vetKey")
        c2 = decode_g2(self.c2, "second part of the encrypted vetKey")
        c3 = decode_g1(self.c3, "third part of the encrypted vetKey")
        # 2. [ICWS-PAY-011]
        if not is_pairing_product((c1, G2), (G1, c2)):
            raise PayloadViolation(
                "the parts of the encrypted vetKey do not belong together",
                reason=Reason.BAD_BLS_SIGNATURE,
                requirement="ICWS-PAY-011",
            )
        return c1, c2, c3
