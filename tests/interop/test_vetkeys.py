"""``@dfinity/vetkeys`` against our vetKD, both ways: what one makes, the other verifies, decrypts and refuses.

The management canister's methods come from the replica. Version 0.4 of the package writes the older message format
only, so messages of the current one, and rooms' content, are made by WebCrypto over the keys that the package derives.
"""

from __future__ import annotations

import os
from typing import Any

import pytest

from icws_canister_mock.replica import Canister, Replica, Replied, update
from icws_secure.errors import PayloadViolation, Reason
from icws_secure.payload import Room, RoomKeys, RoomReceiver, RoomSender, room_context, room_input
from icws_secure.payload.container import Algorithm, Encrypt0, associated_data
from icws_secure.payload.room import room_external
from icws_secure.vetkd import (
    EncryptedVetKey,
    MasterPublicKey,
    TransportPublicKey,
    TransportSecretKey,
    ibe_decrypt,
    ibe_encrypt,
)
from icws_secure.wire import cbor
from icws_secure.wire.candid import decode, encode
from icws_secure.wire.candid_types import Blob, Null, Record, Text, Variant
from icws_secure.wire.principal import MANAGEMENT, Principal

pytestmark = pytest.mark.node

KEY_ID = Record({"curve": Variant({"bls12_381_g2": Null}), "name": Text})
DERIVE_KEY = Record({"input": Blob, "context": Blob, "transport_public_key": Blob, "key_id": KEY_ID})
CONTEXT = room_context(b"an application")
MESSAGE, DOMAIN, ASSOCIATED = "a message ☺".encode(), b"a domain", b"sender, receiver, number"


class Deriver(Canister):
    """Passes the question on."""

    @update("derive")
    async def derive(self, arg: bytes) -> bytes:
        return await self.ic.call(MANAGEMENT, "vetkd_derive_key", arg, 30_000_000_000)


def derived(replica: Replica, canister: Principal, data: bytes, transport_key: bytes) -> EncryptedVetKey:
    fields: dict[str, Any] = {"input": data, "context": CONTEXT, "transport_public_key": transport_key}
    fields["key_id"] = {"curve": ("bls12_381_g2", None), "name": "key_1"}
    result = replica.call(canister, "derive", encode([DERIVE_KEY], [fields]))
    assert isinstance(result, Replied)
    (reply,) = decode([Record({"encrypted_key": Blob})], result.arg)
    return EncryptedVetKey.from_bytes(reply["encrypted_key"])


@pytest.mark.req("ICWS-PAY-011", "ICWS-PAY-015")
@pytest.mark.parametrize("whose", ["ours", "theirs"])
async def test_keys_messages_and_ciphertexts_pass_both_ways(node: Any, whose: str) -> None:
    replica = Replica()
    canister = replica.install(Deriver())
    room = Room(canister, b"kitchen", 7)
    data = room_input(1_700_000_000_000_000_000, room.room, room.epoch)
    master = MasterPublicKey(replica.vetkd.master_public_key("key_1"))
    public_key = master.derive_canister_key(canister).derive_sub_key(CONTEXT)

    # transport keys: one of each side, in the other's encoding
    ours = TransportSecretKey.from_entropy(os.urandom(48))
    said = await node("vetkeys.mjs", task="transport", secret=ours.export_secret().hex())
    assert said["publicOfGiven"] == ours.public_key.raw.hex()
    theirs = TransportSecretKey(bytes.fromhex(said["secret"]))
    assert theirs.public_key == TransportPublicKey(bytes.fromhex(said["public"]))
    transport_key = ours if whose == "ours" else theirs

    encrypted = derived(replica, canister, data, transport_key.public_key.raw)
    vetkey = encrypted.decrypt_and_verify(transport_key, public_key, data)
    material = vetkey.key_material()
    keys = RoomKeys(vetkey, room)
    alice = Principal.self_authenticating(b"alice")
    content = Encrypt0.decode(RoomSender(keys, alice).seal(MESSAGE)[1], Algorithm.AES_256_GCM)
    kid = room.epoch.to_bytes(8, "big") + (2).to_bytes(8, "big")
    bound = associated_data(Algorithm.AES_256_GCM, kid, room_external(room, alice, 2))
    said = await node(
        "vetkeys.mjs",
        task="work",
        masterKey=master.raw.hex(),
        canister=canister.raw.hex(),
        context=CONTEXT.hex(),
        input=data.hex(),
        secret=transport_key.export_secret().hex(),
        encryptedKey=encrypted.to_bytes().hex(),
        vetkey=vetkey.export_secret().hex(),
        message=MESSAGE.hex(),
        domain=DOMAIN.hex(),
        associated=ASSOCIATED.hex(),
        ciphertext=material.encrypt_message(MESSAGE, DOMAIN, ASSOCIATED, nonce=os.urandom(12)).hex(),
        ibe=ibe_encrypt(public_key, data, MESSAGE, seed=os.urandom(32)).hex(),
        roomInfo=(b"icws/room/1" + cbor.encode([room.room, room.epoch, alice.raw])).hex(),
        room={
            "iv": content.iv.hex(),
            "ciphertext": content.ciphertext.hex(),
            "aad": content.associated_data(room_external(room, alice, 1)).hex(),
        },
        roomAad=bound.hex(),
    )
    assert said["derivedKey"] == public_key.raw.hex()
    assert said["vetkey"] == vetkey.export_secret().hex()
    assert said["isSignature"] is True
    assert said["wrongInput"]
    assert said["wrongKey"]
    assert said["symmetric"] == vetkey.derive_symmetric_key(DOMAIN, 44).hex()
    assert said["opened"] == said["ibeOpened"] == said["roomOpened"] == MESSAGE.hex()
    assert said["openedElsewhere"]

    sealed = bytes.fromhex(said["sealed"])
    assert material.decrypt_message(sealed, DOMAIN, ASSOCIATED) == MESSAGE
    assert ibe_decrypt(vetkey, bytes.fromhex(said["ibe"])) == MESSAGE
    made = Encrypt0(
        Algorithm.AES_256_GCM, kid, bytes.fromhex(said["room"]["iv"]), bytes.fromhex(said["room"]["ciphertext"])
    )
    assert RoomReceiver(keys).open(room.room, room.epoch, alice, made.encode())[1] == MESSAGE
    # the package's own messages lack the header, and with it the domain of their key
    with pytest.raises(PayloadViolation) as caught:
        material.decrypt_message(bytes.fromhex(said["headerless"]), DOMAIN, b"")
    assert caught.value.reason is Reason.MALFORMED


@pytest.mark.req("ICWS-PAY-014")
async def test_transport_key_that_hides_nothing_is_taken_by_nobody_but_them(node: Any) -> None:
    said = await node("vetkeys.mjs", task="transport", secret=(5).to_bytes(32, "big").hex())
    assert said["acceptsIdentity"] is True
    with pytest.raises(PayloadViolation) as caught:
        TransportPublicKey(b"\xc0" + bytes(47))
    assert caught.value.reason is Reason.BAD_BLS_POINT
