"""vetKD by the management canister, used and verified with the core's own implementation."""

from __future__ import annotations

from typing import Any

import pytest

from icws_canister_mock.replica import Canister, Rejected, Replica, Replied, update
from icws_canister_mock.replica.vetkd import PRICES
from icws_secure.errors import PayloadViolation
from icws_secure.vetkd import DerivedPublicKey, EncryptedVetKey, MasterPublicKey, TransportSecretKey
from icws_secure.wire.candid import decode, encode
from icws_secure.wire.candid_types import Blob, Null, Opt, PrincipalType, Record, Text, Variant
from icws_secure.wire.principal import MANAGEMENT, Principal

KEY_ID = Record({"curve": Variant({"bls12_381_g2": Null}), "name": Text})
PUBLIC_KEY = Record({"canister_id": Opt(PrincipalType), "context": Blob, "key_id": KEY_ID})
DERIVE_KEY = Record({"input": Blob, "context": Blob, "transport_public_key": Blob, "key_id": KEY_ID})
SECRET = TransportSecretKey(b"\x05" * 32)


class Caller(Canister):
    """Passes calls on to the management canister."""

    @update("vetkd_public_key")
    async def public_key(self, arg: bytes) -> bytes:
        return await self.ic.call(MANAGEMENT, "vetkd_public_key", arg)

    @update("vetkd_derive_key")
    async def derive_key(self, arg: bytes) -> bytes:
        return await self.ic.call(MANAGEMENT, "vetkd_derive_key", arg, 30_000_000_000)

    @update("vetkd_derive_key_free")
    async def derive_key_free(self, arg: bytes) -> bytes:
        return await self.ic.call(MANAGEMENT, "vetkd_derive_key", arg)


@pytest.fixture
def canister(replica: Replica) -> Principal:
    return replica.install(Caller())


def key_id(name: str) -> dict[str, Any]:
    return {"curve": ("bls12_381_g2", None), "name": name}


def public_key(
    replica: Replica, canister: Principal, context: bytes, name: str = "key_1", of: Principal | None = None
) -> bytes:
    arg = encode([PUBLIC_KEY], [{"canister_id": of, "context": context, "key_id": key_id(name)}])
    result = replica.call(canister, "vetkd_public_key", arg)
    assert isinstance(result, Replied)
    (reply,) = decode([Record({"public_key": Blob})], result.arg)
    return bytes(reply["public_key"])


def derive_arg(data: bytes, context: bytes, transport_key: bytes, name: str = "key_1") -> bytes:
    fields = {"input": data, "context": context, "transport_public_key": transport_key, "key_id": key_id(name)}
    return encode([DERIVE_KEY], [fields])


def derive(replica: Replica, canister: Principal, arg: bytes) -> EncryptedVetKey:
    result = replica.call(canister, "vetkd_derive_key", arg)
    assert isinstance(result, Replied)
    (reply,) = decode([Record({"encrypted_key": Blob})], result.arg)
    return EncryptedVetKey.from_bytes(reply["encrypted_key"])


@pytest.mark.parametrize("name", list(PRICES))
@pytest.mark.parametrize("context", [b"", b"a context"])
def test_derived_key_opens_and_verifies_under_the_key_derived_offline(
    replica: Replica, canister: Principal, name: str, context: bytes
) -> None:
    offline = MasterPublicKey(replica.vetkd.master_public_key(name)).derive_canister_key(canister)
    offline = offline.derive_sub_key(context)
    assert public_key(replica, canister, context, name) == offline.raw
    before = replica.subnets["app"].canisters[canister].cycles
    encrypted = derive(replica, canister, derive_arg(b"input", context, SECRET.public_key.raw, name))
    encrypted.decrypt_and_verify(SECRET, offline, b"input")
    assert before - replica.subnets["app"].canisters[canister].cycles == PRICES[name]


def test_vetkey_is_the_same_each_time_and_its_encryption_is_not(replica: Replica, canister: Principal) -> None:
    key = DerivedPublicKey(public_key(replica, canister, b"c"))
    arg = derive_arg(b"input", b"c", SECRET.public_key.raw)
    first, second = derive(replica, canister, arg), derive(replica, canister, arg)
    assert first.to_bytes() != second.to_bytes()
    vetkeys = {each.decrypt_and_verify(SECRET, key, b"input").export_secret() for each in (first, second)}
    assert len(vetkeys) == 1


def test_canister_gets_its_own_keys_only(replica: Replica, canister: Principal) -> None:
    other = replica.install(Caller(), subnet="app2")
    theirs = DerivedPublicKey(public_key(replica, other, b"c"))
    assert public_key(replica, canister, b"c", of=other) == theirs.raw
    encrypted = derive(replica, canister, derive_arg(b"input", b"c", SECRET.public_key.raw))
    with pytest.raises(PayloadViolation):
        encrypted.decrypt_and_verify(SECRET, theirs, b"input")


@pytest.mark.parametrize(
    ("method", "arg", "words"),
    [
        ("vetkd_derive_key_free", derive_arg(b"i", b"c", SECRET.public_key.raw), "cycles"),
        ("vetkd_derive_key", derive_arg(b"i", b"c", SECRET.public_key.raw, "no_key"), "no_key"),
        ("vetkd_derive_key", derive_arg(b"i", b"c", bytes(48)), "transport public key"),
        ("vetkd_derive_key", derive_arg(b"i", b"c", b""), "transport public key"),
        ("vetkd_derive_key", b"no Candid", "vetkd_derive_key"),
        ("vetkd_public_key", b"no Candid", "vetkd_public_key"),
    ],
)
def test_wrong_calls_are_rejected_and_cost_nothing(
    replica: Replica, canister: Principal, method: str, arg: bytes, words: str
) -> None:
    before = replica.subnets["app"].canisters[canister].cycles
    result = replica.call(canister, method, arg)
    assert isinstance(result, Rejected)
    assert words in result.message
    assert replica.subnets["app"].canisters[canister].cycles == before
