"""COSE_Encrypt0 in one encoding, and the sealing of one content."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from icws_secure.errors import PayloadViolation, Reason
from icws_secure.payload.container import Algorithm, Encrypt0, associated_data
from icws_secure.payload.sealing import _CIPHERS, MessageKey, open_sealed, seal
from icws_secure.wire import cbor

KEY = MessageKey(bytes(range(32)), bytes(range(32, 64)))
BOX = Encrypt0(Algorithm.CHACHA20_POLY1305, b"kid", b"nonce 12byte", b"ciphertext")


def refuse(content: bytes, algorithm: Algorithm = Algorithm.CHACHA20_POLY1305) -> Reason:
    with pytest.raises(PayloadViolation) as caught:
        Encrypt0.decode(content, algorithm)
    return caught.value.reason


class TestContainer:
    @pytest.mark.req("ICWS-PAY-001")
    def test_has_the_bytes_that_the_rfc_gives_it(self) -> None:
        protected = bytes.fromhex("a2011818 0443") + b"kid"
        assert BOX.encode() == b"\x83\x49" + protected + b"\xa1\x05\x4cnonce 12byte" + b"\x4aciphertext"

    @pytest.mark.req("ICWS-PAY-001")
    def test_authenticates_headers_and_place_as_the_rfc_says(self) -> None:
        protected = bytes.fromhex("a2011818 0443") + b"kid"
        expected = b"\x83\x68Encrypt0\x49" + protected + b"\x45place"
        assert associated_data(Algorithm.CHACHA20_POLY1305, b"kid", b"place") == expected

    @pytest.mark.parametrize("algorithm", list(Algorithm))
    def test_round_trip(self, algorithm: Algorithm) -> None:
        box = Encrypt0(algorithm, b"k" * 16, bytes(12), bytes(300))
        assert Encrypt0.decode(box.encode(), algorithm) == box

    @pytest.mark.req("ICWS-PAY-001")
    def test_of_another_algorithm_is_refused(self) -> None:
        assert refuse(BOX.encode(), Algorithm.AES_256_GCM) is Reason.UNSEALED

    @pytest.mark.req("ICWS-PAY-001", "ICWS-PAY-003")
    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"hello",
            b"\xd0" + BOX.encode(),  # tag 16
            b"\xd9\xd9\xf7" + BOX.encode(),
            BOX.encode() + b"\x00",
            b"\x98\x03" + BOX.encode()[1:],  # a longer head
            cbor.encode([cbor.encode({4: b"kid", 1: 24}), {5: b"nonce 12byte"}, b"x"]),
            cbor.encode([cbor.encode({1: 24}), {5: b"nonce 12byte"}, b"x"]),
            cbor.encode([cbor.encode({1: 24, 4: b"kid", 7: 1}), {5: b"nonce 12byte"}, b"x"]),
            cbor.encode([cbor.encode({1: 24, 4: "kid"}), {5: b"nonce 12byte"}, b"x"]),
            cbor.encode([cbor.encode([1]), {5: b"nonce 12byte"}, b"x"]),
            cbor.encode([b"", {5: b"nonce 12byte"}, b"x"]),
            cbor.encode([cbor.encode({1: 24, 4: b"kid"}), {5: b"nonce"}, b"x"]),
            cbor.encode([cbor.encode({1: 24, 4: b"kid"}), {5: b"nonce 12byte", 6: b""}, b"x"]),
            cbor.encode([cbor.encode({1: 24, 4: b"kid"}), {6: b"nonce 12byte"}, b"x"]),
            cbor.encode([cbor.encode({1: 24, 4: b"kid"}), {}, b"x"]),
            cbor.encode([cbor.encode({1: 24, 4: b"kid"}), {5: b"nonce 12byte"}, None]),
            cbor.encode([cbor.encode({1: 24, 4: b"kid"}), {5: b"nonce 12byte"}]),
            cbor.encode([cbor.encode({1: 24, 4: b"k" * 65}), {5: b"nonce 12byte"}, b"x"]),
        ],
    )
    def test_in_another_form_is_refused(self, content: bytes) -> None:
        assert refuse(content) is Reason.UNSEALED

    @pytest.mark.req("ICWS-LIB-023", "ICWS-PAY-003")
    @given(st.binary(max_size=200))
    @settings(max_examples=150, deadline=None)
    def test_junk_is_refused(self, content: bytes) -> None:
        refuse(content)


@pytest.mark.parametrize("algorithm", list(Algorithm))
class TestSealing:
    def seal(self, algorithm: Algorithm, data: bytes = b"text", kid: bytes = b"kid", place: bytes = b"place") -> bytes:
        return seal(algorithm, KEY, data, kid=kid, external=place)

    def open(self, algorithm: Algorithm, content: bytes, place: bytes = b"place", key: MessageKey = KEY) -> bytes:
        return open_sealed(Encrypt0.decode(content, algorithm), key, external=place)

    def refuse(self, algorithm: Algorithm, content: bytes, place: bytes = b"place", key: MessageKey = KEY) -> Reason:
        with pytest.raises(PayloadViolation) as caught:
            self.open(algorithm, content, place, key)
        return caught.value.reason

    @pytest.mark.parametrize("data", [b"", b"a", bytes(100_000)])
    def test_round_trip(self, algorithm: Algorithm, data: bytes) -> None:
        assert self.open(algorithm, self.seal(algorithm, data)) == data

    @pytest.mark.req("ICWS-PAY-002")
    def test_same_text_at_the_same_place_gives_the_same_bytes(self, algorithm: Algorithm) -> None:
        assert self.seal(algorithm) == self.seal(algorithm)

    @pytest.mark.req("ICWS-PAY-006")
    def test_another_text_or_place_gives_another_nonce(self, algorithm: Algorithm) -> None:
        contents = [
            self.seal(algorithm),
            self.seal(algorithm, data=b"texu"),
            self.seal(algorithm, place=b"other"),
            self.seal(algorithm, kid=b"kie"),
        ]
        assert len({Encrypt0.decode(content, algorithm).iv for content in contents}) == len(contents)

    @pytest.mark.req("ICWS-PAY-006")
    def test_nonce_that_was_chosen_otherwise_is_refused(self, algorithm: Algorithm) -> None:
        bound = associated_data(algorithm, b"kid", b"place")
        ciphertext = _CIPHERS[algorithm](KEY.key).encrypt(bytes(12), b"text", bound)
        content = Encrypt0(algorithm, b"kid", bytes(12), ciphertext).encode()
        assert self.refuse(algorithm, content) is Reason.OPEN_FAILED

    @pytest.mark.req("ICWS-PAY-007")
    def test_another_place_or_key_does_not_open(self, algorithm: Algorithm) -> None:
        content = self.seal(algorithm)
        assert self.refuse(algorithm, content, place=b"other") is Reason.OPEN_FAILED
        assert self.refuse(algorithm, content, key=MessageKey(bytes(32), KEY.nonce_key)) is Reason.OPEN_FAILED
        assert self.refuse(algorithm, content, key=MessageKey(KEY.key, bytes(32))) is Reason.OPEN_FAILED

    @pytest.mark.req("ICWS-PAY-001", "ICWS-PAY-007")
    def test_every_changed_byte_is_refused(self, algorithm: Algorithm) -> None:
        content = self.seal(algorithm)
        for position in range(len(content)):
            self.refuse(algorithm, content[:position] + bytes((content[position] ^ 1,)) + content[position + 1 :])

    @pytest.mark.req("ICWS-PAY-007")
    def test_truncated_content_is_refused(self, algorithm: Algorithm) -> None:
        box = Encrypt0.decode(self.seal(algorithm), algorithm)
        for length in range(len(box.ciphertext)):
            short = Encrypt0(algorithm, box.kid, box.iv, box.ciphertext[:length])
            assert self.refuse(algorithm, short.encode()) is Reason.OPEN_FAILED


@pytest.mark.req("ICWS-LIB-026")
def test_keys_do_not_show() -> None:
    assert repr(KEY) == "MessageKey(...)"
