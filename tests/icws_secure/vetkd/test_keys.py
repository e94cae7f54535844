"""Transport keys, encrypted vetKeys and vetKeys, with one thing wrong at a time."""

from __future__ import annotations

from typing import Any

import pytest
from py_arkworks_bls12381 import G1Point

from icws_secure.bls.points import GROUP_ORDER
from icws_secure.errors import MisuseError, PayloadViolation, Reason
from icws_secure.vetkd import (
    MAINNET_MASTER_KEYS,
    DerivedPublicKey,
    EncryptedVetKey,
    MasterPublicKey,
    TransportPublicKey,
    TransportSecretKey,
    VetKey,
    VrfOutput,
)
from icws_secure.wire.principal import Principal

INPUT = b"input"
TRANSPORT = TransportSecretKey.from_entropy(bytes(range(48)))
G1_INFINITY, G2_INFINITY = b"\xc0" + bytes(47), b"\xc0" + bytes(95)
ORDER_3 = b"\x80" + bytes(47)


def refuse(function: Any, *arguments: Any) -> Reason:
    with pytest.raises(PayloadViolation) as caught:
        function(*arguments)
    return caught.value.reason


@pytest.fixture(scope="module")
def encrypted(dealer: Any) -> bytes:
    made: bytes = dealer.encrypt(INPUT, TRANSPORT.public_key)
    return made


class TestDecryption:
    def decrypt(self, dealer: Any, data: bytes, **other: Any) -> VetKey:
        return EncryptedVetKey.from_bytes(data).decrypt_and_verify(
            other.get("transport", TRANSPORT), other.get("public_key", dealer.public_key()), other.get("input_", INPUT)
        )

    def refuse(self, dealer: Any, data: bytes, **other: Any) -> Reason:
        with pytest.raises(PayloadViolation) as caught:
            self.decrypt(dealer, data, **other)
        return caught.value.reason

    def test_gives_the_vetkey(self, dealer: Any, encrypted: bytes) -> None:
        assert self.decrypt(dealer, encrypted).export_secret() == dealer.vetkey(INPUT)
        assert EncryptedVetKey.from_bytes(encrypted).to_bytes() == encrypted

    @pytest.mark.req("ICWS-PAY-011")
    def test_for_another_input_context_or_canister_is_refused(self, dealer: Any, encrypted: bytes) -> None:
        other_canister = dealer.public_key(Principal(b"\x01"))
        assert self.refuse(dealer, encrypted, input_=b"other") is Reason.BAD_BLS_SIGNATURE
        assert self.refuse(dealer, encrypted, public_key=dealer.public_key(context=b"")) is Reason.BAD_BLS_SIGNATURE
        assert self.refuse(dealer, encrypted, public_key=other_canister) is Reason.BAD_BLS_SIGNATURE

    @pytest.mark.req("ICWS-PAY-011")
    def test_with_another_transport_key_is_refused(self, dealer: Any, encrypted: bytes) -> None:
        other = TransportSecretKey.from_entropy(bytes(48))
        assert self.refuse(dealer, encrypted, transport=other) is Reason.BAD_BLS_SIGNATURE

    @pytest.mark.req("ICWS-PAY-011")
    def test_of_parts_of_two_encryptions_is_refused(self, dealer: Any, encrypted: bytes) -> None:
        other = dealer.encrypt(INPUT, TRANSPORT.public_key, rho=5)
        for start, end in ((0, 48), (48, 144), (144, 192)):
            mixed = encrypted[:start] + other[start:end] + encrypted[end:]
            assert self.refuse(dealer, mixed) is Reason.BAD_BLS_SIGNATURE

    @pytest.mark.req("ICWS-PAY-011", "ICWS-PAY-014")
    def test_with_any_byte_changed_is_refused(self, dealer: Any, encrypted: bytes) -> None:
        for position in range(0, 192, 3):
            changed = bytearray(encrypted)
            changed[position] ^= 1
            self.refuse(dealer, bytes(changed))

    @pytest.mark.req("ICWS-PAY-014")
    @pytest.mark.parametrize(("start", "point"), [(0, G1_INFINITY), (48, G2_INFINITY), (144, G1_INFINITY)])
    def test_with_infinity_is_refused(self, dealer: Any, encrypted: bytes, start: int, point: bytes) -> None:
        changed = encrypted[:start] + point + encrypted[start + len(point) :]
        assert self.refuse(dealer, changed) is Reason.BAD_BLS_POINT

    @pytest.mark.req("ICWS-PAY-014")
    @pytest.mark.parametrize("start", [0, 144])
    def test_with_a_point_of_small_order_added_is_refused(self, dealer: Any, encrypted: bytes, start: int) -> None:
        point = G1Point.from_compressed_bytes(encrypted[start : start + 48])
        shifted = (point + G1Point.from_compressed_bytes_unchecked(ORDER_3)).to_compressed_bytes()
        changed = encrypted[:start] + shifted + encrypted[start + 48 :]
        assert self.refuse(dealer, changed) is Reason.BAD_BLS_POINT

    @pytest.mark.parametrize("length", [0, 48, 191, 193])
    def test_of_another_length_is_refused(self, dealer: Any, encrypted: bytes, length: int) -> None:
        assert self.refuse(dealer, (encrypted + b"\x00")[:length]) is Reason.MALFORMED


class TestVerificationWithoutTheSecret:
    def test_of_a_good_key_is_accepted(self, dealer: Any, encrypted: bytes) -> None:
        EncryptedVetKey.from_bytes(encrypted).verify(TRANSPORT.public_key, dealer.public_key(), INPUT)

    @pytest.mark.req("ICWS-PAY-011")
    def test_of_a_wrong_one_is_refused(self, dealer: Any, encrypted: bytes) -> None:
        key = EncryptedVetKey.from_bytes(encrypted)
        other = TransportSecretKey.from_entropy(bytes(48)).public_key
        arguments = [
            (other, dealer.public_key(), INPUT),
            (TRANSPORT.public_key, dealer.public_key(context=b""), INPUT),
            (TRANSPORT.public_key, dealer.public_key(), b"other"),
        ]
        for wrong in arguments:
            assert refuse(key.verify, *wrong) is Reason.BAD_BLS_SIGNATURE


class TestTransportKeys:
    @pytest.mark.req("ICWS-PAY-014")
    @pytest.mark.parametrize("raw", [G1_INFINITY, b"\xe0" + bytes(47), ORDER_3, b"", bytes(48)])
    def test_public_point_that_must_not_be_used_is_refused(self, raw: bytes) -> None:
        assert refuse(TransportPublicKey, raw) is Reason.BAD_BLS_POINT

    @pytest.mark.parametrize(
        "secret", [b"", bytes(32), GROUP_ORDER.to_bytes(32, "big"), b"\xff" * 32, b"\x01" * 31, b"\x01" * 33]
    )
    def test_secret_out_of_range_is_misuse(self, secret: bytes) -> None:
        with pytest.raises(MisuseError):
            TransportSecretKey(secret)

    def test_entropy_of_another_length_is_misuse(self) -> None:
        with pytest.raises(MisuseError):
            TransportSecretKey.from_entropy(bytes(32))

    def test_any_entropy_makes_a_key(self) -> None:
        for entropy in (bytes(48), b"\xff" * 48, (GROUP_ORDER - 1).to_bytes(48, "big")):
            key = TransportSecretKey.from_entropy(entropy)
            assert TransportSecretKey(key.export_secret()).public_key == key.public_key

    @pytest.mark.req("ICWS-LIB-026")
    def test_secrets_do_not_show(self, dealer: Any) -> None:
        secret = TRANSPORT.export_secret()
        assert secret.hex() not in repr(TRANSPORT)
        vetkey = VetKey(dealer.vetkey(INPUT))
        shown = f"{vetkey!r} {vetkey.key_material()!r}"
        assert vetkey.export_secret().hex() not in shown
        assert repr(vetkey.export_secret()) not in shown
        assert vetkey.key_material().export_secret().hex() not in shown


class TestPublicKeys:
    @pytest.mark.req("ICWS-PAY-014")
    @pytest.mark.parametrize("kind", [MasterPublicKey, DerivedPublicKey])
    @pytest.mark.parametrize("raw", [G2_INFINITY, b"", bytes(96), b"\x80" + bytes(95)])
    def test_point_that_must_not_be_used_is_refused(self, kind: Any, raw: bytes) -> None:
        assert refuse(kind, raw) is Reason.BAD_BLS_POINT

    @pytest.mark.req("ICWS-PAY-011")
    def test_derivation_depends_on_master_canister_and_context(self) -> None:
        names = [b"a", b"b", b"ab"]
        keys = {
            master.derive_canister_key(Principal(canister)).derive_sub_key(context).raw
            for master in MAINNET_MASTER_KEYS.values()
            for canister in names
            for context in (b"", *names)
        }
        assert len(keys) == 2 * 3 * 4

    def test_empty_context_is_the_canisters_own_key(self) -> None:
        key = MAINNET_MASTER_KEYS["key_1"].derive_canister_key(Principal(b"\x01"))
        assert key.derive_sub_key(b"") is key


class TestVetKey:
    @pytest.mark.req("ICWS-PAY-014")
    @pytest.mark.parametrize("raw", [G1_INFINITY, ORDER_3, b"", bytes(48)])
    def test_point_that_must_not_be_used_is_refused(self, raw: bytes) -> None:
        assert refuse(VetKey, raw) is Reason.BAD_BLS_POINT

    def test_keys_differ_by_info_and_extend_by_length(self, dealer: Any) -> None:
        key = VetKey(dealer.vetkey(INPUT))
        assert key.derive_symmetric_key(b"a", 32) != key.derive_symmetric_key(b"b", 32)
        assert key.derive_symmetric_key(b"a", 64)[:32] == key.derive_symmetric_key(b"a", 32)

    @pytest.mark.parametrize("length", [0, -1, 255 * 32 + 1])
    def test_length_out_of_range_is_misuse(self, dealer: Any, length: int) -> None:
        with pytest.raises(MisuseError):
            VetKey(dealer.vetkey(INPUT)).derive_symmetric_key(b"", length)


class TestVrf:
    def encoding(self, dealer: Any) -> bytes:
        return bytes(dealer.vetkey(INPUT) + dealer.public_key().raw + INPUT)

    def test_of_the_subnet_is_accepted(self, dealer: Any) -> None:
        verified = VrfOutput.verify(self.encoding(dealer), dealer.public_key())
        assert verified.input == INPUT
        assert len(verified.output) == 32

    @pytest.mark.req("ICWS-PAY-011")
    def test_that_is_wrong_is_refused(self, dealer: Any) -> None:
        encoded = self.encoding(dealer)
        public_key = dealer.public_key()
        assert refuse(VrfOutput.verify, encoded + b"x", public_key) is Reason.BAD_BLS_SIGNATURE
        assert refuse(VrfOutput.verify, encoded, dealer.public_key(context=b"")) is Reason.BAD_BLS_SIGNATURE
        other_key = encoded[:48] + dealer.public_key(context=b"").raw + INPUT
        assert refuse(VrfOutput.verify, other_key, public_key) is Reason.BAD_BLS_SIGNATURE
        assert refuse(VrfOutput.verify, G1_INFINITY + encoded[48:], public_key) is Reason.BAD_BLS_POINT
        assert refuse(VrfOutput.verify, encoded[:143], public_key) is Reason.MALFORMED
