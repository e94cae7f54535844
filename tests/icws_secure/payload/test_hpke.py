"""The sealed secret of an attach, and the rotation of the key it is sealed to."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from icws_secure.errors import DecodeError, MisuseError, PayloadViolation, Reason
from icws_secure.payload import CanisterKey, KeyRing
from icws_secure.payload.hpke import ENC_BYTES, open_secret, seal_secret

Seal = Callable[[bytes, bytes, bytes, bytes, bytes], bytes]
SECRET = bytes(range(32))
PRIVATE = b"\x07" * 32
RING = KeyRing().rotated(PRIVATE, 1000)
PUBLIC = RING.current.public_key
MINUTE = 60 * 1_000_000_000
DAY = 24 * 60 * MINUTE

# RFC 9180, A.2.1: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20Poly1305, base mode, sequence number 0.
RFC_INFO = bytes.fromhex("4f6465206f6e2061204772656369616e2055726e")
RFC_EPHEMERAL = bytes.fromhex("f4ec9b33b792c372c1d2c2063507b684ef925b8c75a42dbcbf57d63ccd381600")
RFC_ENC = bytes.fromhex("1afa08d3dec047a643885163f1180476fa7ddb54c6a8029ea33f95796bf2ac4a")
RFC_RECEIVER = bytes.fromhex("4310ee97d88cc1f088a5576c77ab0cf5c3ac797f3d95139c6c84b5429c59662a")
RFC_RECEIVER_PRIVATE = bytes.fromhex("8057991eef8f1f1af18f4a9491d16a1ce333f695d4db8e38da75975c4478e0fb")
RFC_PLAINTEXT = b"Beauty is truth, truth beauty"
RFC_CIPHERTEXT = bytes.fromhex(
    "1c5250d8034ec2b784ba2cfd69dbdb8af406cfe3ff938e131f0def8c8b60b4db21993c62ce81883d2dd1b51a28"
)


def reason(function: Callable[[], object]) -> Reason:
    with pytest.raises(PayloadViolation) as caught:
        function()
    return caught.value.reason


class TestRfc9180:
    def test_vector_of_the_rfc(self, rfc9180_seal: Seal) -> None:
        sealed = rfc9180_seal(RFC_EPHEMERAL, RFC_RECEIVER, RFC_INFO, b"Count-0", RFC_PLAINTEXT)
        assert sealed == RFC_ENC + RFC_CIPHERTEXT

    @pytest.mark.req("ICWS-PAY-004")
    def test_library_opens_what_the_rfc_says(self, rfc9180_seal: Seal) -> None:
        for ephemeral in (RFC_EPHEMERAL, b"\x01" * 32, b"\xfe" * 32):
            sealed = rfc9180_seal(ephemeral, RFC_RECEIVER, RFC_INFO, b"", SECRET)
            assert len(sealed) == ENC_BYTES
            assert open_secret(sealed, RFC_RECEIVER_PRIVATE, RFC_INFO) == SECRET


class TestSecret:
    @pytest.mark.req("ICWS-PAY-004")
    def test_round_trip(self) -> None:
        enc = seal_secret(SECRET, PUBLIC, b"info")
        assert len(enc) == ENC_BYTES
        assert open_secret(enc, PRIVATE, b"info") == SECRET

    def test_is_never_sealed_to_the_same_bytes(self) -> None:
        assert seal_secret(SECRET, PUBLIC, b"info") != seal_secret(SECRET, PUBLIC, b"info")

    @pytest.mark.req("ICWS-PAY-004")
    def test_of_another_place_or_key_does_not_open(self) -> None:
        enc = seal_secret(SECRET, PUBLIC, b"info")
        assert reason(lambda: open_secret(enc, PRIVATE, b"other")) is Reason.OPEN_FAILED
        assert reason(lambda: open_secret(enc, b"\x08" * 32, b"info")) is Reason.OPEN_FAILED

    @pytest.mark.req("ICWS-PAY-004")
    def test_with_any_byte_changed_does_not_open(self) -> None:
        enc = seal_secret(SECRET, PUBLIC, b"info")
        for position in range(ENC_BYTES):
            changed = enc[:position] + bytes((enc[position] ^ 1,)) + enc[position + 1 :]
            assert reason(partial(open_secret, changed, PRIVATE, b"info")) is Reason.OPEN_FAILED

    @pytest.mark.req("ICWS-PAY-004")
    @pytest.mark.parametrize("length", [0, 31, 79, 81])
    def test_of_another_length_does_not_open(self, length: int) -> None:
        enc = (seal_secret(SECRET, PUBLIC, b"info") + b"\x00")[:length]
        assert reason(lambda: open_secret(enc, PRIVATE, b"info")) is Reason.OPEN_FAILED

    @pytest.mark.req("ICWS-PAY-004")
    def test_longer_text_in_its_place_does_not_open(self, rfc9180_seal: Seal) -> None:
        sealed = rfc9180_seal(b"\x01" * 32, PUBLIC, b"info", b"", SECRET + b"x")
        assert reason(lambda: open_secret(sealed, PRIVATE, b"info")) is Reason.OPEN_FAILED

    @pytest.mark.req("ICWS-PAY-004")
    @pytest.mark.parametrize("key", [bytes(32), b"\x01" + bytes(31), b"", bytes(31)])
    def test_is_not_sealed_to_keys_of_small_order_or_other_length(self, key: bytes) -> None:
        assert reason(lambda: seal_secret(SECRET, key, b"info")) is Reason.BAD_PUBLIC_KEY

    def test_of_small_order_enc_does_not_open(self) -> None:
        assert reason(lambda: open_secret(bytes(80), PRIVATE, b"info")) is Reason.OPEN_FAILED

    @pytest.mark.parametrize("length", [0, 31, 33])
    def test_of_another_size_is_misuse(self, length: int) -> None:
        with pytest.raises(MisuseError):
            seal_secret(bytes(length), PUBLIC, b"info")


@pytest.mark.req("ICWS-PAY-013")
class TestRotation:
    def test_new_key_is_offered_and_the_old_one_kept_for_a_while(self) -> None:
        first = RING.current
        ring = RING.rotated(b"\x08" * 32, 5000)
        assert ring.current.key_id != first.key_id
        assert ring.find(first.key_id, 5000 + 15 * MINUTE - 1).private_key == PRIVATE
        assert reason(lambda: ring.find(first.key_id, 5000 + 15 * MINUTE)) is Reason.UNKNOWN_KEY
        assert ring.find(ring.current.key_id, 10 * DAY) is ring.current

    def test_several_rotations_within_the_grace_keep_every_key_for_its_own(self) -> None:
        ring = RING
        for number in range(1, 6):
            ring = ring.rotated(bytes([number]) * 32, 1000 + number * MINUTE)
        assert len(ring.keys) == 6
        assert ring.find(RING.current.key_id, 1000 + 16 * MINUTE - 1).private_key == PRIVATE
        assert reason(lambda: ring.find(RING.current.key_id, 1000 + 16 * MINUTE)) is Reason.UNKNOWN_KEY
        assert len(ring.rotated(b"\x09" * 32, DAY).keys) == 2

    def test_is_due_after_a_day(self) -> None:
        assert KeyRing().rotate_at_ns == 0
        assert RING.rotate_at_ns == 1000 + DAY

    @pytest.mark.parametrize("key_id", [None, b"", bytes(8)])
    def test_unknown_key_is_refused(self, key_id: bytes | None) -> None:
        assert reason(lambda: RING.find(key_id, 1000)) is Reason.UNKNOWN_KEY

    def test_shorter_grace_is_misuse(self) -> None:
        with pytest.raises(MisuseError):
            KeyRing(grace_ns=15 * MINUTE - 1)

    def test_misuses(self) -> None:
        with pytest.raises(MisuseError):
            RING.rotated(bytes(31), 2000)
        with pytest.raises(MisuseError):
            RING.rotated(bytes(32), 1000)
        with pytest.raises(MisuseError):
            _ = KeyRing().current

    def test_survives_an_upgrade(self) -> None:
        ring = RING.rotated(b"\x08" * 32, 5000)
        assert KeyRing.from_bytes(ring.to_bytes()) == ring

    @pytest.mark.parametrize("data", [b"", b"\x80", b"\x83\x80\x00\x00", b"\x83\x81\x80\x00\x1b" + b"\x7f" * 8])
    def test_other_stored_bytes_are_refused(self, data: bytes) -> None:
        with pytest.raises(DecodeError):
            KeyRing.from_bytes(data)

    @pytest.mark.req("ICWS-LIB-026")
    def test_private_keys_do_not_show(self) -> None:
        key = CanisterKey(b"12345678", PRIVATE, 1)
        assert PRIVATE.hex() not in f"{key!r} {RING!r}"
        assert repr(PRIVATE) not in f"{key!r} {RING!r}"
