"""The vectors of the vetkeys libraries, and ours, by operation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from icws_secure.errors import PayloadViolation
from icws_secure.vetkd import (
    DerivedPublicKey,
    EncryptedVetKey,
    MasterPublicKey,
    TransportSecretKey,
    VetKey,
    VrfOutput,
    derive_symmetric_key,
    ibe_decrypt,
    ibe_encrypt,
)
from icws_secure.vetkd.group import augmented_hash, hash_to_scalar
from icws_secure.wire.principal import Principal


class Inputs:
    """The fields of a vector, by name: bytes where they are hexadecimal."""

    def __init__(self, vector: dict[str, Any]) -> None:
        self.vector = vector

    def __getattr__(self, name: str) -> Any:
        return bytes.fromhex(self.vector[f"{name}_hex"]) if f"{name}_hex" in self.vector else self.vector[name]

    def __contains__(self, name: str) -> bool:
        return f"{name}_hex" in self.vector


def derive_public_key(v: Inputs) -> None:
    if "master_public_key" in v:
        canister_key = MasterPublicKey(v.master_public_key).derive_canister_key(Principal(v.canister_id))
        if "canister_key" in v:
            assert canister_key.raw == v.canister_key
    else:
        canister_key = DerivedPublicKey(v.canister_key)
    assert canister_key.derive_sub_key(v.context).raw == v.derived_key


def transport_public_key(v: Inputs) -> None:
    assert TransportSecretKey(v.transport_secret_key_be).public_key.raw == v.transport_public_key


def decrypt_and_verify(v: Inputs) -> None:
    encrypted = EncryptedVetKey.from_bytes(v.encrypted_key)
    transport, public_key = TransportSecretKey(v.transport_secret_key_be), DerivedPublicKey(v.derived_key)
    assert encrypted.decrypt_and_verify(transport, public_key, v.input).export_secret() == v.vetkey
    encrypted.verify(transport.public_key, public_key, v.input)


def verify_vetkey(v: Inputs) -> None:
    VetKey(v.vetkey).verify(DerivedPublicKey(v.derived_key), v.input)


def derived_key_material(v: Inputs) -> None:
    assert VetKey(v.vetkey).key_material().export_secret() == v.key


def aes_gcm_decrypt(v: Inputs) -> None:
    material = VetKey(v.vetkey).key_material()
    assert material.decrypt_message(v.ciphertext, v.domain_sep.encode(), v.aad) == v.plaintext
    nonce = v.ciphertext[8:20]
    assert material.encrypt_message(v.plaintext, v.domain_sep.encode(), v.aad, nonce=nonce) == v.ciphertext


def ibe_encrypt_(v: Inputs) -> None:
    public_key = DerivedPublicKey(v.derived_key)
    assert ibe_encrypt(public_key, v.identity, v.plaintext, seed=v.seed) == v.ciphertext


def ibe_decrypt_(v: Inputs) -> None:
    assert ibe_decrypt(VetKey(v.vetkey), v.ciphertext) == v.plaintext


def hkdf(v: Inputs) -> None:
    assert derive_symmetric_key(v.input, v.info, len(v.output)) == v.output


def hash_to_scalar_(v: Inputs) -> None:
    assert hash_to_scalar(v.input, v.dst.encode()).to_bytes(32, "big") == v.scalar_be


def augmented_hash_to_g1(v: Inputs) -> None:
    assert bytes(augmented_hash(v.derived_key, v.input).compress()) == v.point


def vrf(v: Inputs) -> None:
    canister_key = MasterPublicKey(v.master_public_key).derive_canister_key(Principal(v.canister_id))
    verified = VrfOutput.verify(v.vrf, canister_key.derive_sub_key(v.context))
    assert verified.output == v.output
    assert verified.to_bytes() == v.vrf


OPERATIONS: dict[str, Callable[[Inputs], None]] = {
    "derive_public_key": derive_public_key,
    "transport_public_key": transport_public_key,
    "decrypt_and_verify": decrypt_and_verify,
    "verify_vetkey": verify_vetkey,
    "derived_key_material": derived_key_material,
    "aes_gcm_decrypt": aes_gcm_decrypt,
    "ibe_encrypt": ibe_encrypt_,
    "ibe_decrypt": ibe_decrypt_,
    "hkdf": hkdf,
    "hash_to_scalar": hash_to_scalar_,
    "augmented_hash_to_g1": augmented_hash_to_g1,
    "vrf": vrf,
}


@pytest.mark.req("ICWS-PAY-011", "ICWS-PAY-014", "ICWS-PAY-015")
@pytest.mark.vectors("vetkd")
def test_vectors(vector: dict[str, Any]) -> None:
    operation, inputs = OPERATIONS[vector["op"]], Inputs(vector)
    # The libraries still read messages of the old format without header; this one must not.
    if vector["expect"] == "accept" and "headerless" not in vector["name"]:
        operation(inputs)
    else:
        with pytest.raises(PayloadViolation):
            operation(inputs)
