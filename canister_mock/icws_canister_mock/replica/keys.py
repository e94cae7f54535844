"""The replica's keys, all derived from one seed: subnets sign with BLS, nodes with Ed25519.

Signing is the replica's own: it shares the pairing library with the verifier, and no code.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

from nacl.signing import SigningKey
from pyblst import BlstP1Element, BlstP2Element

from icws_secure.errors import MisuseError, Reason
from icws_secure.wire.der import PublicKey
from icws_secure.wire.principal import Principal

__all__ = ["G1_GENERATOR", "G2_GENERATOR", "GROUP_ORDER", "SEED_BYTES", "NodeKey", "SubnetKey", "derive"]

SEED_BYTES: Final = 32

#: The number of points of each of the two groups.
GROUP_ORDER: Final = 0x73EDA753299D7D483339D80809A1D80553BDA402FFFE5BFEFFFFFFFF00000001

#: The generator of G1, compressed.
G1_GENERATOR: Final = bytes.fromhex(
    "97f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905a14e3a3f171bac586c55e83ff97a1aeffb3af00adb22c6bb"
)

#: The generator of G2, compressed.
G2_GENERATOR: Final = bytes.fromhex(
    "93e02b6052719f607dacd3a088274f65596bd0d09920b61ab5da61bbdc7f5049334cf11213945d57e5ac7d055d042b7e"
    "024aa2b2f08f0a91260805272dc51051c6e47ad4fa403b02b4510b647ae3d1770bac0326a805bbefd48056c8c121bdb8"
)

_DST: Final = b"BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_NUL_"


def derive(seed: bytes, purpose: str) -> bytes:
    """Derive 64 bytes for one purpose.

    Args:
        seed: 32 secret bytes.
        purpose: a name that no other use of the seed has.

    Raises:
        MisuseError: the seed does not have 32 bytes.
    """
    if len(seed) != SEED_BYTES:
        raise MisuseError("a seed has 32 bytes", reason=Reason.INVALID_ARGUMENT, received=len(seed))
    return hmac.digest(seed, purpose.encode(), hashlib.sha512)


class SubnetKey:
    """A subnet's BLS key.

    Args:
        seed: 32 secret bytes.
        name: the subnet's name, which the key is derived for.
    """

    def __init__(self, seed: bytes, name: str) -> None:
        wide = int.from_bytes(derive(seed, f"subnet key {name}"), "big")
        self._secret = wide % (GROUP_ORDER - 1) + 1
        raw: bytes = BlstP2Element.uncompress(G2_GENERATOR).scalar_mul(self._secret).compress()
        self.public_key = PublicKey.bls(raw)
        self.principal = Principal.self_authenticating(self.public_key.der)

    def sign(self, message: bytes) -> bytes:
        """Sign a message, domain separator included; gives 48 bytes."""
        point = BlstP1Element.hash_to_group(message, _DST).scalar_mul(self._secret)
        signature: bytes = point.compress()
        return signature


class NodeKey:
    """A node's Ed25519 key, with which it signs the answers to queries.

    Args:
        seed: 32 secret bytes.
        name: the node's name, which the key is derived for.
    """

    def __init__(self, seed: bytes, name: str) -> None:
        self._key = SigningKey(derive(seed, f"node key {name}")[:32])
        self.public_key = PublicKey.ed25519(self._key.verify_key.encode())
        self.principal = Principal.self_authenticating(self.public_key.der)

    def sign(self, message: bytes) -> bytes:
        """Sign a message, domain separator included; gives 64 bytes."""
        return self._key.sign(message).signature
