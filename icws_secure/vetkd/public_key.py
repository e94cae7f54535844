"""Public keys of vetKD, derived offline: from the pinned master key to a canister's, from there to one context's.

No answer of a canister or of the management canister is needed, hence none is trusted: a vetKey is checked against a
key that comes from the master key in this module or in the configuration.

Source: IC interface specification, "vetkd_public_key"; the ``vetkeys`` libraries.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from ..wire.principal import Principal
from .group import G2, decode_g2, hash_to_scalar

__all__ = ["MAINNET_MASTER_KEYS", "DerivedPublicKey", "MasterPublicKey"]

_CANISTER: Final = b"ic-vetkd-bls12-381-g2-canister-id"
_CONTEXT: Final = b"ic-vetkd-bls12-381-g2-context"


@dataclass(frozen=True, slots=True)
class DerivedPublicKey:
    """The key that vetKeys of one canister, or of one of its contexts, verify under.

    Args:
        raw: 96 bytes, a compressed point of G2.

    Raises:
        PayloadViolation: BAD_BLS_POINT.
    """

    raw: bytes

    def __post_init__(self) -> None:
        decode_g2(self.raw, "derived public key")

    def derive_sub_key(self, context: bytes) -> DerivedPublicKey:
        """The key for ``context``, as ``vetkd_derive_key`` takes it; for an empty one this key itself."""
        if not context:
            return self
        return DerivedPublicKey(_offset(self.raw, context, _CONTEXT))


@dataclass(frozen=True, slots=True)
class MasterPublicKey:
    """A master key of a subnet, pinned.

    Args:
        raw: 96 bytes, a compressed point of G2.

    Raises:
        PayloadViolation: BAD_BLS_POINT.
    """

    raw: bytes

    def __post_init__(self) -> None:
        decode_g2(self.raw, "master public key")

    def derive_canister_key(self, canister_id: Principal) -> DerivedPublicKey:
        """The key of the canister that calls ``vetkd_derive_key``."""
        # [ICWS-PAY-011]
        return DerivedPublicKey(_offset(self.raw, canister_id.raw, _CANISTER))


def _offset(key: bytes, name: bytes, domain_separator: bytes) -> bytes:
    """Adds G2 times the hash of key and name, each preceded by its length in 8 bytes."""
    scalar = hash_to_scalar(_prefixed(key) + _prefixed(name), domain_separator)
    return bytes((decode_g2(key, "public key") + G2.scalar_mul(scalar)).compress())


def _prefixed(data: bytes) -> bytes:
    return len(data).to_bytes(8, "big") + data


#: The master keys of the main network, by the name that ``key_id`` gives them.
MAINNET_MASTER_KEYS: Final = MappingProxyType(
    {
        "key_1": MasterPublicKey(
            bytes.fromhex(
                "a9caf9ae8af0c7c7272f8a122133e2e0c7c0899b75e502bda9e109ca8193ded3ef042ed96db1125e1bdaad77d8cc60d9"
                "17e122fe2501c45b96274f43705edf0cfd455bc66c3c060faa2fcd15486e76351edf91fecb993797273bbc8beaa47404"
            )
        ),
        "test_key_1": MasterPublicKey(
            bytes.fromhex(
                "ad86e8ff845912f022a0838a502d763fdea547c9948f8cb20ea7738dd52c1c38dcb4c6ca9ac29f9ac690fc5ad7681cb4"
                "1922b8dffbd65d94bff141f5fb5b6624eccc03bf850f222052df888cf9b1e47203556d7522271cbb879b2ef4b8c2bfb1"
            )
        ),
    }
)
