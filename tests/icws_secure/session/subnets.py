"""Subnets with keys of their own, and the root subnet's word for them; when and where it all happens."""

from __future__ import annotations

import hashlib

from pyblst import BlstP1Element, BlstP2Element

from icws_secure.limits import NS_PER_S
from icws_secure.verify import RootKey
from icws_secure.wire import cbor, domain
from icws_secure.wire.certificate import CertificateDelegation, encode_certificate
from icws_secure.wire.der import PublicKey
from icws_secure.wire.leb128 import encode_unsigned
from icws_secure.wire.merkle_map import MerkleMap
from icws_secure.wire.principal import Principal

START_NS = 1_700_000_000 * NS_PER_S
CANISTER = Principal(bytes.fromhex("00000000001000010101"))
G2_GENERATOR = bytes.fromhex(
    "93e02b6052719f607dacd3a088274f65596bd0d09920b61ab5da61bbdc7f5049334cf11213945d57e5ac7d055d042b7e"
    "024aa2b2f08f0a91260805272dc51051c6e47ad4fa403b02b4510b647ae3d1770bac0326a805bbefd48056c8c121bdb8"
)
DST = b"BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_NUL_"


class Signer:
    """A subnet's BLS key."""

    def __init__(self, name: str) -> None:
        self._secret = int.from_bytes(hashlib.sha512(name.encode()).digest(), "big") % (1 << 250) + 1
        self.raw: bytes = BlstP2Element.uncompress(G2_GENERATOR).scalar_mul(self._secret).compress()
        self.der = PublicKey.bls(self.raw).der
        self.subnet_id = Principal.self_authenticating(self.der)
        self._signed: dict[bytes, bytes] = {}

    def sign(self, tree: MerkleMap) -> bytes:
        digest = tree.digest()
        if digest not in self._signed:
            point = BlstP1Element.hash_to_group(domain.STATE_ROOT + digest, DST).scalar_mul(self._secret)
            self._signed[digest] = point.compress()
        return self._signed[digest]


ROOT = Signer("root")
SUBNET = Signer("subnet")
OTHER_SUBNET = Signer("other subnet")
ROOT_KEY = RootKey(ROOT.raw)


def delegation_for(signer: Signer, low: Principal, high: Principal, time_ns: int) -> CertificateDelegation:
    """The root subnet's word for another's key and canister ranges."""
    ranges = cbor.encode_self_described([[low.raw, high.raw]])
    tree = MerkleMap.from_items(
        {
            b"time": encode_unsigned(time_ns),
            b"subnet": MerkleMap.from_items(
                {
                    signer.subnet_id.raw: MerkleMap.from_items(
                        {b"public_key": signer.der, b"canister_ranges": ranges, b"type": b"application"}
                    )
                }
            ),
        }
    )
    paths = [(b"time",), (b"subnet", signer.subnet_id.raw)]
    certificate = encode_certificate(tree.witness(paths), ROOT.sign(tree), None)
    return CertificateDelegation(signer.subnet_id, certificate)
