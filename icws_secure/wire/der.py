"""Public keys in DER form (SubjectPublicKeyInfo, RFC 5280), of exactly the schemes that the Internet Computer knows.

The keys of fixed length have one encoding each, so they are compared with a literal prefix: there is no ASN.1 parser to
disagree with. Only the two schemes of variable length are taken apart, with minimal lengths required. That a point
lies on its curve is checked where the key is used.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from ..errors import DecodeError, MisuseError, Reason
from ..limits import MAX_PUBLIC_KEY_BYTES
from .principal import MAX_PRINCIPAL_BYTES, Principal

__all__ = ["KeyScheme", "PublicKey"]

_REQUIREMENT: Final = "ICWS-LIB-003"


class KeyScheme(Enum):
    """What a public key is for; the value is a name for people."""

    ED25519 = "Ed25519"
    SECP256K1 = "ECDSA on secp256k1"
    P256 = "ECDSA on P-256"
    BLS12_381 = "BLS12-381"
    WEBAUTHN = "WebAuthn"
    CANISTER_SIGNATURE = "canister signature"


# prefix and length of the key after it
_FIXED: Final = {
    KeyScheme.ED25519: (bytes.fromhex("302a300506032b6570032100"), 32),
    KeyScheme.SECP256K1: (bytes.fromhex("3056301006072a8648ce3d020106052b8104000a034200"), 65),
    KeyScheme.P256: (bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200"), 65),
    KeyScheme.BLS12_381: (
        bytes.fromhex("308182301d060d2b0601040182dc7c0503010201060c2b0601040182dc7c05030201036100"),
        96,
    ),
}

# AlgorithmIdentifier: a sequence of the object identifier and no parameters
_VARIABLE: Final = {
    KeyScheme.WEBAUTHN: bytes.fromhex("300c060a2b0601040183b8430101"),
    KeyScheme.CANISTER_SIGNATURE: bytes.fromhex("300c060a2b0601040183b8430102"),
}


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A public key; made by the class methods, which check it.

    Attributes:
        scheme: what kind of key this is.
        raw: the key alone: 32 bytes (Ed25519), 65 bytes ``04 x y`` (ECDSA), 96 bytes (BLS12-381), a COSE key
            (WebAuthn), or a length byte, canister id and seed (canister signature).
        der: the whole SubjectPublicKeyInfo, of which the principal is made.
    """

    scheme: KeyScheme
    raw: bytes
    der: bytes
    _principal: Principal | None = field(default=None, init=False, repr=False, compare=False)

    @classmethod
    def from_der(cls, der: bytes) -> PublicKey:
        """Parse a SubjectPublicKeyInfo.

        Raises:
            DecodeError: it is too long, of another scheme, or not encoded as this scheme demands; EC points must be
                uncompressed.
        """
        if len(der) > MAX_PUBLIC_KEY_BYTES:
            raise _bad_key("a public key is too long", Reason.TOO_LARGE)
        for scheme, (prefix, _) in _FIXED.items():
            if der.startswith(prefix):
                return cls._of_raw(scheme, der[len(prefix) :])
        return cls._from_variable(der)

    @classmethod
    def ed25519(cls, raw: bytes) -> PublicKey:
        """The key of 32 bytes.

        Raises:
            DecodeError: ``raw`` has another length.
        """
        return cls._of_raw(KeyScheme.ED25519, raw)

    @classmethod
    def secp256k1(cls, point: bytes) -> PublicKey:
        """The key of an uncompressed point, 65 bytes ``04 x y``.

        Raises:
            DecodeError: ``point`` has another form.
        """
        return cls._of_raw(KeyScheme.SECP256K1, point)

    @classmethod
    def p256(cls, point: bytes) -> PublicKey:
        """The key of an uncompressed point, 65 bytes ``04 x y``.

        Raises:
            DecodeError: ``point`` has another form.
        """
        return cls._of_raw(KeyScheme.P256, point)

    @classmethod
    def bls(cls, raw: bytes) -> PublicKey:
        """The key of 96 bytes, a compressed point of G2.

        Raises:
            DecodeError: ``raw`` has another length.
        """
        return cls._of_raw(KeyScheme.BLS12_381, raw)

    @classmethod
    def webauthn(cls, cose_key: bytes) -> PublicKey:
        """The key that a COSE key (RFC 9052) describes; its content is not looked at.

        Raises:
            DecodeError: it is empty or too long.
        """
        return cls._variable(KeyScheme.WEBAUTHN, cose_key)

    @classmethod
    def canister_signature(cls, canister_id: Principal, seed: bytes) -> PublicKey:
        """The key under which a canister signs with its certified data.

        Raises:
            DecodeError: ``seed`` is too long.
        """
        raw = bytes((len(canister_id.raw),)) + canister_id.raw + seed
        return cls._variable(KeyScheme.CANISTER_SIGNATURE, raw)

    @property
    def principal(self) -> Principal:
        """The self-authenticating principal of this key; computed once."""
        principal = self._principal
        if principal is None:
            principal = Principal.self_authenticating(self.der)
            object.__setattr__(self, "_principal", principal)
        return principal

    @property
    def canister_id(self) -> Principal:
        """The canister that signs.

        Raises:
            MisuseError: the scheme is not ``CANISTER_SIGNATURE``.
        """
        self._demand_canister_signature()
        return Principal(self.raw[1 : 1 + self.raw[0]])

    @property
    def seed(self) -> bytes:
        """The seed, which tells the keys of one canister apart.

        Raises:
            MisuseError: the scheme is not ``CANISTER_SIGNATURE``.
        """
        self._demand_canister_signature()
        return self.raw[1 + self.raw[0] :]

    def _demand_canister_signature(self) -> None:
        if self.scheme is not KeyScheme.CANISTER_SIGNATURE:
            raise MisuseError("only keys for canister signatures name a canister", scheme=self.scheme.value)

    @classmethod
    def _of_raw(cls, scheme: KeyScheme, raw: bytes) -> PublicKey:
        prefix, length = _FIXED[scheme]
        # [ICWS-LIB-003]
        if len(raw) != length:
            raise _bad_key(f"a key for {scheme.value} has the wrong length")
        if scheme in (KeyScheme.SECP256K1, KeyScheme.P256) and raw[0] != 0x04:
            raise _bad_key("the point of a key is not in uncompressed form")
        return cls(scheme, raw, prefix + raw)

    @classmethod
    def _variable(cls, scheme: KeyScheme, raw: bytes) -> PublicKey:
        bits = b"\x03" + _der_length(len(raw) + 1) + b"\x00" + raw
        body = _VARIABLE[scheme] + bits
        return cls.from_der(b"\x30" + _der_length(len(body)) + body)

    @classmethod
    def _from_variable(cls, der: bytes) -> PublicKey:
        body = _der_content(der, 0x30)
        for scheme, algorithm in _VARIABLE.items():
            if body.startswith(algorithm):
                bits = _der_content(body[len(algorithm) :], 0x03)
                # [ICWS-LIB-003] the first byte counts unused bits: always none
                if bits[:1] != b"\x00" or len(bits) < 2:
                    raise _bad_key("the bit string of a public key is empty or not made of bytes")
                raw = bits[1:]
                if scheme is KeyScheme.CANISTER_SIGNATURE and (raw[0] > MAX_PRINCIPAL_BYTES or raw[0] >= len(raw)):
                    raise _bad_key("a key for canister signatures names no canister")
                return cls(scheme, raw, der)
        raise _bad_key("a public key is of an unknown scheme or not in its one DER form")


def _der_length(length: int) -> bytes:
    if length < 0x80:
        return bytes((length,))
    size = (length.bit_length() + 7) // 8
    return bytes((0x80 | size,)) + length.to_bytes(size, "big")


def _der_content(data: bytes, tag: int) -> bytes:
    """Return the content of the one element that fills ``data``."""
    head = 2
    if len(data) >= 2 and data[0] == tag:
        length = data[1]
        if length > 0x80:
            size = length & 0x7F
            head += size
            length = int.from_bytes(data[2:head], "big")
        # [ICWS-LIB-003] the length as DER would write it, and nothing after the element
        if data[1:head] == _der_length(length) and len(data) == head + length:
            return data[head:]
    raise _bad_key("a public key is of an unknown scheme or not in its one DER form")


def _bad_key(message: str, reason: Reason = Reason.BAD_PUBLIC_KEY) -> DecodeError:
    return DecodeError(message, reason=reason, requirement=_REQUIREMENT)
