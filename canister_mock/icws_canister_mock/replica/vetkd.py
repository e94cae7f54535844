"""The management canister's vetKD methods: a whole key where the IC has shares, and the same results.

``k = H(dpk, input) * dsk`` is the vetKey, where ``dsk`` follows from the master secret, the calling canister and the
context. It leaves the IC only encrypted under a transport key ``tpk``: ``c1 = G1 * rho``, ``c2 = G2 * rho`` and
``c3 = tpk * rho + k``.

The arithmetic is the replica's own: it shares the pairing library with :mod:`icws_secure.vetkd`, and no code.

Source: IC interface specification, "IC method vetkd_public_key" and "IC method vetkd_derive_key".
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final

from pyblst import BlstP1Element, BlstP2Element

from icws_canister_mock.replica.keys import G1_GENERATOR, G2_GENERATOR, GROUP_ORDER, derive
from icws_canister_mock.replica.management import Management, ManagementCall
from icws_canister_mock.replica.rejects import ErrorCode, Rejected, Replied, Result
from icws_secure.wire.candid import decode, encode
from icws_secure.wire.candid_types import Blob, Null, Opt, PrincipalType, Record, Text, Variant
from icws_secure.wire.principal import Principal

__all__ = ["PRICES", "VetKd"]

PRICES: Final = {"key_1": 26_153_846_153, "test_key_1": 10_000_000_000, "dfx_test_key": 10_000_000_000}
"""The keys there are, and what a derivation costs with each, in cycles. The last one's price is ours."""

_KEY_ID: Final = Record({"curve": Variant({"bls12_381_g2": Null}), "name": Text})
_PUBLIC_KEY_ARGS: Final = Record({"canister_id": Opt(PrincipalType), "context": Blob, "key_id": _KEY_ID})
_PUBLIC_KEY_RESULT: Final = Record({"public_key": Blob})
_DERIVE_KEY_ARGS: Final = Record({"input": Blob, "context": Blob, "transport_public_key": Blob, "key_id": _KEY_ID})
_DERIVE_KEY_RESULT: Final = Record({"encrypted_key": Blob})

_HASH_DST: Final = b"BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_AUG_"
_CANISTER_DST: Final = b"ic-vetkd-bls12-381-g2-canister-id"
_CONTEXT_DST: Final = b"ic-vetkd-bls12-381-g2-context"


class VetKd:
    """The master keys of one replica.

    Args:
        seed: 32 secret bytes.
    """

    def __init__(self, seed: bytes) -> None:
        self._seed = seed
        self._master = {name: _scalar(derive(seed, f"vetkd key {name}")) for name in PRICES}
        self._derivations = 0

    def serve(self, management: Management) -> None:
        """Add the two methods to a management canister."""
        management.provide("vetkd_public_key", self._answer_public_key)
        management.provide("vetkd_derive_key", self._answer_derive_key)

    def master_public_key(self, name: str = "key_1") -> bytes:
        """A master public key, 96 bytes, for clients to pin.

        Raises:
            KeyError: there is no key of this name.
        """
        return _public(self._master[name])

    def _answer_public_key(self, call: ManagementCall) -> Result:
        (asked,) = decode([_PUBLIC_KEY_ARGS], call.arg)
        name = asked["key_id"]["name"]
        if name not in self._master:
            return _unknown_key(name)
        secret = self._secret(name, asked["canister_id"] or call.caller, asked["context"])
        return Replied(encode([_PUBLIC_KEY_RESULT], [{"public_key": _public(secret)}]))

    def _answer_derive_key(self, call: ManagementCall) -> Result:
        (asked,) = decode([_DERIVE_KEY_ARGS], call.arg)
        name = asked["key_id"]["name"]
        if name not in self._master:
            return _unknown_key(name)
        price = PRICES[name]
        if call.cycles < price:
            return _refused(f"vetkd_derive_key costs {price} cycles, the call carries {call.cycles}")
        try:
            # the IC takes the point at infinity too, which hides nothing: refusing it is the canister's duty
            transport_key = BlstP1Element.uncompress(asked["transport_public_key"])
        except ValueError:
            return _refused("the transport public key is not a point of G1")
        call.cycles -= price
        # always the caller's own: nobody can ask for another canister's key
        secret = self._secret(name, call.caller, asked["context"])
        encrypted = self._encrypted(secret, asked["input"], transport_key)
        return Replied(encode([_DERIVE_KEY_RESULT], [{"encrypted_key": encrypted}]))

    def _secret(self, name: str, canister: Principal, context: bytes) -> int:
        """The secret key of a canister's context; without context, that of the canister."""
        secret = self._master[name]
        secret = (secret + _hash_to_scalar(_public(secret), canister.raw, _CANISTER_DST)) % GROUP_ORDER
        if context:
            secret = (secret + _hash_to_scalar(_public(secret), context, _CONTEXT_DST)) % GROUP_ORDER
        return secret

    def _encrypted(self, secret: int, data: bytes, transport_key: BlstP1Element) -> bytes:
        self._derivations += 1
        rho = _scalar(derive(self._seed, f"vetkd encryption {self._derivations}"))
        vetkey = BlstP1Element.hash_to_group(_public(secret) + data, _HASH_DST).scalar_mul(secret)
        c1 = BlstP1Element.uncompress(G1_GENERATOR).scalar_mul(rho)
        c2 = BlstP2Element.uncompress(G2_GENERATOR).scalar_mul(rho)
        c3 = transport_key.scalar_mul(rho) + vetkey
        return bytes(c1.compress() + c2.compress() + c3.compress())


def _scalar(wide: bytes) -> int:
    return int.from_bytes(wide, "big") % (GROUP_ORDER - 1) + 1


def _public(secret: int) -> bytes:
    return bytes(BlstP2Element.uncompress(G2_GENERATOR).scalar_mul(secret).compress())


def _hash_to_scalar(key: bytes, name: bytes, domain: bytes) -> int:
    """RFC 9380's hash_to_field for one number, of key and name each after its length in 8 bytes."""
    message = len(key).to_bytes(8, "big") + key + len(name).to_bytes(8, "big") + name
    suffix = domain + bytes([len(domain)])
    start = sha256(bytes(64) + message + b"\x00\x30\x00" + suffix).digest()
    first = sha256(start + b"\x01" + suffix).digest()
    second = sha256(bytes(a ^ b for a, b in zip(start, first, strict=True)) + b"\x02" + suffix).digest()
    return int.from_bytes((first + second)[:48], "big") % GROUP_ORDER


def _unknown_key(name: str) -> Rejected:
    return _refused(f"there is no vetKD key {name!r}; there are {', '.join(PRICES)}")


def _refused(message: str) -> Rejected:
    return Rejected(ErrorCode.REJECTED_BY_CANISTER, message)
