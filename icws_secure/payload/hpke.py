"""The secret of an attach, sealed by the client to a key that the canister certified (RFC 9180, base mode, single
shot).

``enc`` is 80 bytes: the encapsulated key (32), the encrypted secret (32), the tag (16). Base mode does not say who
sealed it: that is said by the envelope of ``ws_open``, which carries it and is signed, and by the hash of that open's
argument in the certified attach message.

The ephemeral key is drawn by the cryptographic library.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from ..errors import DecodeError, MisuseError, PayloadViolation, Reason
from ..limits import HPKE_KEY_GRACE_NS, HPKE_KEY_LIFETIME_NS
from ..wire import cbor

__all__ = ["ENC_BYTES", "SECRET_BYTES", "CanisterKey", "KeyRing", "open_secret", "seal_secret"]

SECRET_BYTES: Final = 32
ENC_BYTES: Final = 80
_KEY_BYTES: Final = 32
_KEY_ID_BYTES: Final = 8
_SUITE: Final = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)


def seal_secret(secret: bytes, public_key: bytes, info: bytes) -> bytes:
    """Seals a fresh secret to a canister's key.

    Args:
        secret: 32 uniformly random bytes.
        public_key: the canister's X25519 key, 32 bytes, from its certified parameters.
        info: what the secret is bound to; see :func:`icws_secure.payload.hop.hop_info`.

    Returns:
        ``enc``, 80 bytes.

    Raises:
        MisuseError: the secret has another length.
        PayloadViolation: BAD_PUBLIC_KEY.
    """
    if len(secret) != SECRET_BYTES:
        raise MisuseError("the secret of an attach has 32 bytes", expected=SECRET_BYTES)
    try:
        return _SUITE.encrypt(secret, X25519PublicKey.from_public_bytes(public_key), info=info)
    except (ValueError, UnsupportedAlgorithm) as error:
        # [ICWS-PAY-004] Keys of small order too: with them everybody knows the shared secret.
        raise PayloadViolation(
            "the canister's HPKE key is not usable", reason=Reason.BAD_PUBLIC_KEY, requirement="ICWS-PAY-004"
        ) from error


def open_secret(enc: bytes, private_key: bytes, info: bytes) -> bytes:
    """Opens what :func:`seal_secret` made.

    Args:
        enc: 80 bytes.
        private_key: the X25519 key, 32 bytes.
        info: what the secret must be bound to.

    Raises:
        PayloadViolation: OPEN_FAILED: for another key, or bound to something else.
    """
    # [ICWS-PAY-004]
    if len(enc) != ENC_BYTES:
        raise _not_opened()
    try:
        secret = _SUITE.decrypt(enc, X25519PrivateKey.from_private_bytes(private_key), info=info)
    except (InvalidTag, ValueError, UnsupportedAlgorithm) as error:
        raise _not_opened() from error
    return secret


def _not_opened() -> PayloadViolation:
    return PayloadViolation("the sealed secret does not open", reason=Reason.OPEN_FAILED, requirement="ICWS-PAY-004")


@dataclass(frozen=True, slots=True, repr=False)
class CanisterKey:
    """A key that clients seal secrets to.

    Attributes:
        key_id: its name in the certified parameters, 8 bytes.
        private_key: 32 bytes.
        replace_at_ns: when it is to be replaced, nanoseconds since the Unix epoch.
        forget_at_ns: when it is no longer accepted; None while it is the current one.
    """

    key_id: bytes
    private_key: bytes
    replace_at_ns: int
    forget_at_ns: int | None = None

    @property
    def public_key(self) -> bytes:
        """The X25519 public key, 32 bytes."""
        return X25519PrivateKey.from_private_bytes(self.private_key).public_key().public_bytes_raw()

    def __repr__(self) -> str:
        return f"CanisterKey(key_id={self.key_id.hex()!r})"


@dataclass(frozen=True, slots=True, repr=False)
class KeyRing:
    """A canister's current key and those it replaced not long ago. Immutable.

    Attributes:
        keys: the current one first.
        lifetime_ns: how long a key is current.
        grace_ns: how long it is accepted after that.
    """

    keys: tuple[CanisterKey, ...] = ()
    lifetime_ns: int = HPKE_KEY_LIFETIME_NS
    grace_ns: int = HPKE_KEY_GRACE_NS

    def __post_init__(self) -> None:
        # [ICWS-PAY-013]
        if self.grace_ns < HPKE_KEY_GRACE_NS:
            raise MisuseError(
                "a replaced key is kept for at least 15 minutes", requirement="ICWS-PAY-013", minimum=HPKE_KEY_GRACE_NS
            )

    def rotated(self, private_key: bytes, now: int) -> KeyRing:
        """The ring with a new current key.

        Args:
            private_key: 32 uniformly random bytes.
            now: nanoseconds since the Unix epoch; it names the key, so no two are made at one time.

        Raises:
            MisuseError: another length, or a time not after the current key's.
        """
        if len(private_key) != _KEY_BYTES:
            raise MisuseError("an X25519 key has 32 bytes", expected=_KEY_BYTES)
        key_id = now.to_bytes(_KEY_ID_BYTES, "big")
        if self.keys and key_id <= self.keys[0].key_id:
            raise MisuseError("time went back between two keys", reason=Reason.WRONG_STATE)
        # [ICWS-PAY-013]
        replaced = [
            key if key.forget_at_ns is not None else replace(key, forget_at_ns=now + self.grace_ns) for key in self.keys
        ]
        kept = [key for key in replaced if key.forget_at_ns is not None and key.forget_at_ns > now]
        return replace(self, keys=(CanisterKey(key_id, private_key, now + self.lifetime_ns), *kept))

    @property
    def current(self) -> CanisterKey:
        """The key to offer.

        Raises:
            MisuseError: there is none yet.
        """
        if not self.keys:
            raise MisuseError("the canister has no HPKE key yet", reason=Reason.WRONG_STATE)
        return self.keys[0]

    @property
    def rotate_at_ns(self) -> int:
        """When to rotate, nanoseconds since the Unix epoch; 0 where there is no key yet."""
        return self.keys[0].replace_at_ns if self.keys else 0

    @property
    def due_ns(self) -> int:
        """When there is a key to replace or to forget, nanoseconds since the Unix epoch; 0 where there is none yet."""
        forgetting = (key.forget_at_ns for key in self.keys if key.forget_at_ns is not None)
        return min((self.rotate_at_ns, *forgetting))

    def without_expired(self, now: int) -> KeyRing:
        """The ring without the keys whose grace is over."""
        return replace(self, keys=tuple(key for key in self.keys if key.forget_at_ns is None or now < key.forget_at_ns))

    def find(self, key_id: bytes | None, now: int) -> CanisterKey:
        """The key called ``key_id``.

        Raises:
            PayloadViolation: UNKNOWN_KEY, there is none, or no longer.
        """
        for key in self.keys:
            if key.key_id == key_id and (key.forget_at_ns is None or now < key.forget_at_ns):
                return key
        # [ICWS-PAY-013]
        raise PayloadViolation("no such HPKE key, or no longer", reason=Reason.UNKNOWN_KEY, requirement="ICWS-PAY-013")

    def to_bytes(self) -> bytes:
        """The ring for stable memory; contains keys."""
        rows = [[key.key_id, key.private_key, key.replace_at_ns, key.forget_at_ns] for key in self.keys]
        return cbor.encode([rows, self.lifetime_ns, self.grace_ns])

    @classmethod
    def from_bytes(cls, data: bytes) -> KeyRing:
        """The ring that gave ``data`` by :meth:`to_bytes`.

        Raises:
            DecodeError: it is not such data.
        """
        match cbor.decode(data, what="HPKE keys"):
            case [list(rows), int(lifetime_ns), int(grace_ns)] if grace_ns >= HPKE_KEY_GRACE_NS:
                return cls(tuple(_canister_key(row) for row in rows), lifetime_ns, grace_ns)
            case _:
                raise DecodeError("stored HPKE keys cannot be read", reason=Reason.WRONG_TYPE)

    def __repr__(self) -> str:
        return f"KeyRing({list(self.keys)!r})"


def _canister_key(row: object) -> CanisterKey:
    match row:
        case [bytes(key_id), bytes(private_key), int(replace_at), (int() | None) as forget_at] if (
            len(private_key) == _KEY_BYTES
        ):
            return CanisterKey(key_id, private_key, replace_at, forget_at)
        case _:
            raise DecodeError("stored HPKE keys cannot be read", reason=Reason.WRONG_TYPE)
