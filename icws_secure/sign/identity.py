"""Who signs requests: keys, delegated keys, nobody.

Identities hold secrets: their representations show the principal only, and nothing here logs, compares or hashes a
secret. Keys are made from bytes that the caller supplies; nothing here draws randomness, and signatures are
deterministic (Ed25519 by RFC 8032, ECDSA by RFC 6979).
"""

from __future__ import annotations

from typing import Final, Protocol, runtime_checkable

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from nacl.signing import SigningKey

from ..errors import MisuseError, Reason
from ..limits import MAX_DELEGATIONS
from ..wire.der import PublicKey
from ..wire.envelope import SignedDelegation
from ..wire.principal import ANONYMOUS, Principal

__all__ = [
    "AnonymousIdentity",
    "DelegatedIdentity",
    "Ed25519Identity",
    "Identity",
    "P256Identity",
    "Secp256k1Identity",
    "expires_at_ns",
]


@runtime_checkable
class Identity(Protocol):
    """What is needed to sign requests. Any object with these members will do, a hardware wallet's for example."""

    @property
    def principal(self) -> Principal:
        """The sender of requests: the self-authenticating id of :attr:`public_key_der`."""

    @property
    def public_key_der(self) -> bytes:
        """``sender_pubkey``: DER of the key that the principal is made of; empty for the anonymous identity."""

    @property
    def delegations(self) -> tuple[SignedDelegation, ...]:
        """The chain from :attr:`public_key_der` to the key that :meth:`sign` signs with; empty where they are the
        same."""

    def sign(self, message: bytes) -> bytes:
        """Signs ``message``, which includes its domain separator, in the format the IC expects of the key's scheme."""


class AnonymousIdentity:
    """Nobody: requests carry no key and no signature."""

    __slots__ = ()

    @property
    def principal(self) -> Principal:
        return ANONYMOUS

    @property
    def public_key_der(self) -> bytes:
        return b""

    @property
    def delegations(self) -> tuple[SignedDelegation, ...]:
        return ()

    def sign(self, message: bytes) -> bytes:
        """Refuses.

        Raises:
            MisuseError: the anonymous identity signs nothing.
        """
        raise MisuseError("the anonymous identity signs nothing", reason=Reason.ANONYMOUS_SIGNED)

    def __repr__(self) -> str:
        return "AnonymousIdentity()"


class _KeyIdentity:
    """What identities with a key of their own have in common."""

    __slots__ = ("_der", "_principal")

    def __init__(self, der: bytes) -> None:
        self._der = der
        self._principal = Principal.self_authenticating(der)

    @property
    def principal(self) -> Principal:
        return self._principal

    @property
    def public_key_der(self) -> bytes:
        return self._der

    @property
    def delegations(self) -> tuple[SignedDelegation, ...]:
        return ()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._principal.to_text()!r})"


class Ed25519Identity(_KeyIdentity):
    """An Ed25519 key.

    Args:
        seed: 32 secret bytes, uniformly random (RFC 8032's private key).

    Raises:
        MisuseError: the seed is not 32 bytes.
    """

    __slots__ = ("_key",)

    def __init__(self, seed: bytes) -> None:
        _check_secret(seed)
        self._key = SigningKey(seed)
        super().__init__(PublicKey.ed25519(bytes(self._key.verify_key)).der)

    @classmethod
    def from_seed(cls, seed: bytes) -> Ed25519Identity:
        """The identity of a 32-byte seed; the same as calling the class."""
        return cls(seed)

    def sign(self, message: bytes) -> bytes:
        """The 64-byte signature of RFC 8032 over ``message``."""
        return self._key.sign(message).signature

    def export_secret(self) -> bytes:
        """The 32-byte seed. Whoever has it is this identity."""
        return bytes(self._key)


class _EcdsaIdentity(_KeyIdentity):
    """What the two ECDSA curves have in common."""

    __slots__ = ("_key",)
    _curve: ec.EllipticCurve

    def __init__(self, secret: bytes) -> None:
        _check_secret(secret)
        try:
            self._key = ec.derive_private_key(int.from_bytes(secret, "big"), self._curve)
        except (ValueError, UnsupportedAlgorithm) as error:
            raise MisuseError("the secret is not between 1 and the order of the curve") from error
        public = self._key.public_key()
        super().__init__(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))

    def sign(self, message: bytes) -> bytes:
        """ECDSA with SHA-256 over ``message``: r then s, 32 bytes each, big-endian, s in the lower half."""
        r, s = decode_dss_signature(self._key.sign(message, _ECDSA))
        order = self._key.curve.group_order
        return r.to_bytes(32, "big") + min(s, order - s).to_bytes(32, "big")

    def export_secret(self) -> bytes:
        """The secret scalar, 32 bytes big-endian. Whoever has it is this identity."""
        return self._key.private_numbers().private_value.to_bytes(32, "big")


class Secp256k1Identity(_EcdsaIdentity):
    """A secp256k1 key.

    Args:
        secret: the secret scalar, 32 bytes big-endian, between 1 and the curve's order.

    Raises:
        MisuseError: the secret is not such a scalar.
    """

    __slots__ = ()
    _curve = ec.SECP256K1()


class P256Identity(_EcdsaIdentity):
    """A P-256 (secp256r1) key.

    Args:
        secret: the secret scalar, 32 bytes big-endian, between 1 and the curve's order.

    Raises:
        MisuseError: the secret is not such a scalar.
    """

    __slots__ = ()
    _curve = ec.SECP256R1()


class DelegatedIdentity:
    """A key that may sign for another, by a chain of delegations such as Internet Identity's.

    Only the chain's shape is checked here. Its signatures are checked by whoever verifies a request.

    Args:
        inner: the identity whose key the last delegation names; it signs. It may be delegated itself.
        public_key_der: DER of the key at the root of the chain, which the principal is made of.
        delegations: the links, the root's first.

    Raises:
        MisuseError: no link, more than 20 in all, a key that occurs twice, or a last link for another key than
        ``inner``'s.
    """

    __slots__ = ("_delegations", "_inner", "_principal", "_public_key_der")

    def __init__(self, inner: Identity, public_key_der: bytes, delegations: tuple[SignedDelegation, ...]) -> None:
        if not delegations:
            raise MisuseError("a delegated identity needs a delegation", reason=Reason.MISSING_FIELD)
        if delegations[-1].delegation.pubkey != inner.public_key_der:
            raise MisuseError("the last delegation is for another key", reason=Reason.BAD_PUBLIC_KEY)
        chain = (*delegations, *inner.delegations)
        if len(chain) > MAX_DELEGATIONS:
            raise MisuseError(
                "too many delegations", reason=Reason.DELEGATION_TOO_LONG, limit=MAX_DELEGATIONS, received=len(chain)
            )
        keys = [public_key_der, *(link.delegation.pubkey for link in chain)]
        if len(set(keys)) != len(keys):
            raise MisuseError("a key occurs twice in the delegations", reason=Reason.DELEGATION_CYCLE)
        self._inner = inner
        self._public_key_der = PublicKey.from_der(public_key_der).der
        self._principal = Principal.self_authenticating(public_key_der)
        self._delegations = chain

    @property
    def principal(self) -> Principal:
        return self._principal

    @property
    def public_key_der(self) -> bytes:
        return self._public_key_der

    @property
    def delegations(self) -> tuple[SignedDelegation, ...]:
        return self._delegations

    @property
    def expires_at_ns(self) -> int:
        """When the first link of the chain expires: nanoseconds since the Unix epoch."""
        return min(link.delegation.expiration_ns for link in self._delegations)

    def sign(self, message: bytes) -> bytes:
        """Signs with the last key of the chain."""
        return self._inner.sign(message)

    def __repr__(self) -> str:
        return f"DelegatedIdentity({self._principal.to_text()!r}, links={len(self._delegations)})"


def expires_at_ns(identity: Identity) -> int | None:
    """When the earliest of an identity's delegations expires (ns since the Unix epoch), or None if it has none."""
    return min((link.delegation.expiration_ns for link in identity.delegations), default=None)


_SECRET_BYTES: Final = 32
_ECDSA: Final = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)


def _check_secret(secret: bytes) -> None:
    if len(secret) != _SECRET_BYTES:
        raise MisuseError("a secret key has 32 bytes", expected=_SECRET_BYTES)
