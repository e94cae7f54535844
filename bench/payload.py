"""What sealing costs: seal and open per message for each suite, and a vetKey, with the ratio to the bare primitive.

python bench/payload.py [--quick] [--json FILE]

Each figure is the median of repeated runs on one core. "Bare" is the same cipher of the same library on the same text
with key and nonce at hand; for the vetKey, the two pairing products that its verification cannot do without.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from pyblst import BlstP1Element, BlstP2Element
from table import Row, main, microseconds

from icws_secure.payload import (
    HopChannel,
    HopEnd,
    HopSession,
    KeyRing,
    Room,
    RoomKeys,
    RoomReceiver,
    RoomSender,
    room_context,
    room_input,
)
from icws_secure.vetkd import DerivedPublicKey, EncryptedVetKey, MasterPublicKey, TransportSecretKey, VetKey
from icws_secure.vetkd.group import G1, G2, augmented_hash, is_pairing_product
from icws_secure.wire.interface import ClientKey
from icws_secure.wire.principal import Principal

SIZES = (100, 1_024, 65_536)
CANISTER, ALICE = Principal(b"\x01" * 10), Principal(b"\x0a" * 29)
SESSION = HopSession(CANISTER, ClientKey(ALICE, 1), bytes(16))


def row(name: str, value: float, against: str, bare: float) -> Row:
    """A result, and how it compares with the bare primitive."""
    return Row(name, value, "us", value / bare, against)


def hop(size: int) -> list[Row]:
    """A message of ``hpke-x25519``."""
    data, aad, nonce = os.urandom(size), bytes(80), bytes(12)
    client, canister = (
        HopChannel(SESSION, end).attached(1, secret=bytes(32), key_id=None, next_in=1, next_out=1) for end in HopEnd
    )
    content = client.seal(1, data)[1]
    bare = ChaCha20Poly1305(bytes(32))
    sealed = bare.encrypt(nonce, data, aad)
    return [
        row(
            f"payload.hpke.seal.{size}",
            microseconds(lambda: client.seal(1, data)),
            "ChaCha20-Poly1305 encrypt",
            microseconds(lambda: bare.encrypt(nonce, data, aad)),
        ),
        row(
            f"payload.hpke.open.{size}",
            microseconds(lambda: canister.open(1, content)),
            "ChaCha20-Poly1305 decrypt",
            microseconds(lambda: bare.decrypt(nonce, sealed, aad)),
        ),
    ]


def room(size: int, vetkey: VetKey) -> list[Row]:
    """A message of ``vetkd-bls12-381``."""
    data, aad, nonce = os.urandom(size), bytes(80), bytes(12)
    keys = RoomKeys(vetkey, Room(CANISTER, b"room", 1))
    sender, receiver = RoomSender(keys, ALICE), RoomReceiver(keys)
    content = sender.seal(data)[1]
    bare = AESGCM(bytes(32))
    sealed = bare.encrypt(nonce, data, aad)
    return [
        row(
            f"payload.vetkd.seal.{size}",
            microseconds(lambda: sender.seal(data)),
            "AES-256-GCM encrypt",
            microseconds(lambda: bare.encrypt(nonce, data, aad)),
        ),
        row(
            f"payload.vetkd.open.{size}",
            microseconds(lambda: receiver.open(b"room", 1, ALICE, content)),
            "AES-256-GCM decrypt",
            microseconds(lambda: bare.decrypt(nonce, sealed, aad)),
        ),
    ]


def attach() -> list[Row]:
    """The secret of an attach."""
    key = KeyRing().rotated(os.urandom(32), 1).current
    client, canister = HopChannel(SESSION, HopEnd.CLIENT), HopChannel(SESSION, HopEnd.CANISTER)
    public_key = key.public_key

    def offer() -> bytes:
        return client.offer(1, secret=bytes(32), public_key=public_key, key_id=key.key_id)

    enc = offer()
    peer = X25519PrivateKey.generate()
    exchange = microseconds(lambda: peer.exchange(X25519PrivateKey.generate().public_key()))
    accept = microseconds(
        lambda: canister.accept(1, enc, private_key=key.private_key, key_id=key.key_id, next_in=1, next_out=1)
    )
    against = "X25519 key pair and exchange"
    return [
        row("payload.hpke.offer", microseconds(offer), against, exchange),
        row("payload.hpke.accept", accept, against, exchange),
    ]


def vetkd() -> tuple[list[Row], VetKey]:
    """Getting a vetKey, as a client does: derive the public key, decrypt, verify."""
    secret, rho, offset = 7, 11, TransportSecretKey((5).to_bytes(32, "big"))
    master = MasterPublicKey(bytes(G2.scalar_mul(secret).compress()))
    context, data = room_context(b"bench"), room_input(1, b"room", 1)
    derived = DerivedPublicKey(master.raw)
    signature = augmented_hash(derived.raw, data).scalar_mul(secret)
    transport = BlstP1Element.uncompress(offset.public_key.raw)
    encrypted = EncryptedVetKey(
        bytes(G1.scalar_mul(rho).compress()),
        bytes(G2.scalar_mul(rho).compress()),
        bytes((transport.scalar_mul(rho) + signature).compress()),
    )
    hashed, key = augmented_hash(derived.raw, data), BlstP2Element.uncompress(derived.raw)
    pairs = microseconds(lambda: is_pairing_product((signature, G2), (hashed, key)))
    vetkey = encrypted.decrypt_and_verify(offset, derived, data)
    rows = [
        row(
            "payload.vetkey.decrypt_and_verify",
            microseconds(lambda: encrypted.decrypt_and_verify(offset, derived, data)),
            "two pairing products",
            2 * pairs,
        ),
        row(
            "payload.vetkey.public_key",
            microseconds(lambda: master.derive_canister_key(CANISTER).derive_sub_key(context)),
            "two multiplications in G2",
            2 * microseconds(lambda: G2.scalar_mul(1 << 250)),
        ),
        row(
            "payload.vetkey.transport_key",
            microseconds(lambda: TransportSecretKey.from_entropy(os.urandom(48))),
            "one multiplication in G1",
            microseconds(lambda: G1.scalar_mul(1 << 250)),
        ),
    ]
    return rows, vetkey


def measure(quick: bool) -> Iterator[Row]:
    """All figures."""
    keys, vetkey = vetkd()
    for size in SIZES[:1] if quick else SIZES:
        yield from (*hop(size), *room(size, vetkey))
    yield from (*attach(), *keys)


if __name__ == "__main__":
    main(__doc__, measure)
