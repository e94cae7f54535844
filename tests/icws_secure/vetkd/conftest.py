"""A vetKD subnet of one node: it knows the master secret and does what the real one does with shares of it."""

from __future__ import annotations

import pytest

from icws_secure.bls.points import GROUP_ORDER
from icws_secure.vetkd import DerivedPublicKey, MasterPublicKey, TransportPublicKey
from icws_secure.vetkd.group import G1, G2, augmented_hash, decode_g1, hash_to_scalar
from icws_secure.wire.principal import Principal

CANISTER = Principal(bytes.fromhex("00000000003002100101"))
CONTEXT = b"context"


class Dealer:
    def __init__(self, secret: int = 0x1122334455667788) -> None:
        self.secret = secret
        self.master = MasterPublicKey(bytes(G2.scalar_mul(secret).compress()))

    def public_key(self, canister: Principal = CANISTER, context: bytes = CONTEXT) -> DerivedPublicKey:
        return self.master.derive_canister_key(canister).derive_sub_key(context)

    def derived_secret(self, canister: Principal = CANISTER, context: bytes = CONTEXT) -> int:
        def offset(key: bytes, name: bytes, separator: bytes) -> int:
            prefixed = b"".join(len(part).to_bytes(8, "big") + part for part in (key, name))
            return hash_to_scalar(prefixed, separator)

        canister_key = self.master.derive_canister_key(canister)
        secret = self.secret + offset(self.master.raw, canister.raw, b"ic-vetkd-bls12-381-g2-canister-id")
        if context:
            secret += offset(canister_key.raw, context, b"ic-vetkd-bls12-381-g2-context")
        return secret % GROUP_ORDER

    def vetkey(self, input_: bytes, context: bytes = CONTEXT) -> bytes:
        hashed = augmented_hash(self.public_key(context=context).raw, input_)
        return bytes(hashed.scalar_mul(self.derived_secret(context=context)).compress())

    def encrypt(self, input_: bytes, transport: TransportPublicKey, rho: int = 987654321) -> bytes:
        c3 = decode_g1(transport.raw, "").scalar_mul(rho) + decode_g1(self.vetkey(input_), "")
        return bytes(G1.scalar_mul(rho).compress() + G2.scalar_mul(rho).compress() + c3.compress())


@pytest.fixture(scope="session")
def dealer() -> Dealer:
    return Dealer()
