"""Both ends of a session with ``hpke-x25519``: what opens, what does not, and across attaches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from icws_secure.errors import DecodeError, MisuseError, PayloadViolation, Reason
from icws_secure.limits import MAX_HOP_CHAINS
from icws_secure.payload import HOP_OVERHEAD_BYTES, Direction, HopChannel, HopEnd, HopSession, KeyRing
from icws_secure.payload.hop import hop_external, hop_info
from icws_secure.wire import cbor
from icws_secure.wire.interface import ClientKey
from icws_secure.wire.principal import Principal

CANISTER = Principal(bytes.fromhex("00000000003002100101"))
CLIENT_KEY = ClientKey(Principal(b"\x05" * 28 + b"\x02"), 42)
SESSION = HopSession(CANISTER, CLIENT_KEY, b"registration id.")
RING = KeyRing().rotated(b"\x07" * 32, 1000)


class Pair:
    """A client and a canister; attaches go through ``enc`` as they do over the wire."""

    def __init__(self, session: HopSession = SESSION) -> None:
        self.client = HopChannel(session, HopEnd.CLIENT)
        self.canister = HopChannel(session, HopEnd.CANISTER)

    def attach(self, attach: int, *, next_in: int = 1, next_out: int = 1, heard: bool = True) -> Pair:
        key, secret = RING.current, bytes([attach]) * 32
        enc = self.client.offer(attach, secret=secret, public_key=key.public_key, key_id=key.key_id)
        self.canister = self.canister.accept(
            attach,
            enc,
            private_key=key.private_key,
            key_id=key.key_id,
            next_in=next_in,
            next_out=next_out,
        )
        if heard:
            self.client = self.client.attached(
                attach, secret=secret, key_id=key.key_id, next_in=next_in, next_out=next_out
            )
        else:
            self.client = self.client.expecting(attach, secret=secret, key_id=key.key_id)
        return self

    def to_canister(self, seq: int, data: bytes = b"data") -> bytes:
        self.client, content = self.client.seal(seq, data)
        return content

    def to_client(self, seq: int, data: bytes = b"data") -> bytes:
        self.canister, content = self.canister.seal(seq, data)
        return content

    def at_canister(self, seq: int, content: bytes) -> bytes:
        self.canister, data = self.canister.open(seq, content)
        return data

    def at_client(self, seq: int, content: bytes) -> bytes:
        self.client, data = self.client.open(seq, content)
        return data


@pytest.fixture
def pair() -> Pair:
    return Pair().attach(1)


def refuse(function: Callable[..., object], *arguments: Any) -> Reason:
    with pytest.raises(PayloadViolation) as caught:
        function(*arguments)
    return caught.value.reason


def test_messages_go_both_ways(pair: Pair) -> None:
    for seq in range(1, 5):
        data = bytes([seq]) * seq
        assert pair.at_canister(seq, pair.to_canister(seq, data)) == data
        assert pair.at_client(seq, pair.to_client(seq, data + b"!")) == data + b"!"


@pytest.mark.parametrize("size", [0, 7, 8, 239, 240, 65_519, 65_520, 1 << 20])
def test_overhead_is_as_stated(pair: Pair, size: int) -> None:
    overhead = len(pair.to_canister(1, bytes(size))) - size
    assert HOP_OVERHEAD_BYTES - 4 <= overhead <= HOP_OVERHEAD_BYTES


@pytest.mark.req("ICWS-PAY-005")
def test_canister_opens_messages_ahead_of_their_turn(pair: Pair) -> None:
    contents = {seq: pair.to_canister(seq, bytes([seq])) for seq in range(1, 33)}
    for seq in sorted(contents, key=lambda seq: (seq * 7) % 33):
        _, data = pair.canister.open(seq, contents[seq])
        assert data == bytes([seq])
    for seq, content in contents.items():
        assert pair.at_canister(seq, content) == bytes([seq])


@pytest.mark.req("ICWS-PAY-005")
def test_numbers_that_are_skipped_do_not_matter(pair: Pair) -> None:
    pair.at_client(1, pair.to_client(1))
    assert pair.at_client(40, pair.to_client(40)) == b"data"


class TestBinding:
    @pytest.mark.req("ICWS-PAY-007")
    def test_content_at_another_number_does_not_open(self, pair: Pair) -> None:
        content = pair.to_canister(1)
        assert refuse(pair.canister.open, 2, content) is Reason.OPEN_FAILED
        assert pair.at_canister(1, content) == b"data"

    @pytest.mark.req("ICWS-PAY-007")
    def test_content_sent_back_does_not_open(self, pair: Pair) -> None:
        assert refuse(pair.client.open, 1, pair.to_canister(1)) is Reason.OPEN_FAILED
        assert refuse(pair.canister.open, 1, pair.to_client(1)) is Reason.OPEN_FAILED

    @pytest.mark.req("ICWS-PAY-004", "ICWS-PAY-007")
    @pytest.mark.parametrize(
        "change",
        [
            {"canister": Principal(b"\x01")},
            {"client_key": replace(CLIENT_KEY, client_nonce=43)},
            {"client_key": replace(CLIENT_KEY, client_principal=Principal(b"\x06" * 29))},
            {"registration_id": b"another reg. id."},
        ],
    )
    def test_secret_of_another_session_does_not_open(self, change: dict[str, Any]) -> None:
        key = RING.current
        client = HopChannel(SESSION, HopEnd.CLIENT)
        enc = client.offer(1, secret=b"\x01" * 32, public_key=key.public_key, key_id=key.key_id)
        other: Any = HopChannel(replace(SESSION, **change), HopEnd.CANISTER)
        with pytest.raises(PayloadViolation) as caught:
            other.accept(1, enc, private_key=key.private_key, key_id=key.key_id, next_in=1, next_out=1)
        assert caught.value.reason is Reason.OPEN_FAILED

    @pytest.mark.req("ICWS-PAY-004")
    @pytest.mark.parametrize(("attach", "key_id"), [(2, RING.current.key_id), (1, b"other"), (1, None)])
    def test_secret_of_another_attach_or_key_id_does_not_open(self, attach: int, key_id: bytes | None) -> None:
        key = RING.current
        enc = HopChannel(SESSION, HopEnd.CLIENT).offer(
            1, secret=b"\x01" * 32, public_key=key.public_key, key_id=key.key_id
        )
        with pytest.raises(PayloadViolation):
            HopChannel(SESSION, HopEnd.CANISTER).accept(
                attach, enc, private_key=key.private_key, key_id=key_id, next_in=1, next_out=1
            )

    @pytest.mark.req("ICWS-PAY-007")
    def test_content_of_another_session_with_the_same_secret_does_not_open(self, pair: Pair) -> None:
        other = Pair(replace(SESSION, canister=Principal(b"\x01"))).attach(1)
        assert refuse(pair.canister.open, 1, other.to_canister(1)) is Reason.OPEN_FAILED

    @pytest.mark.req("ICWS-PAY-004")
    def test_info_is_the_specified_array(self) -> None:
        assert cbor.decode(hop_info(SESSION, 3, b"key"), what="info") == [
            "icws-secure/1",
            CANISTER.raw,
            [CLIENT_KEY.client_principal.raw, 42],
            b"registration id.",
            3,
            "hpke-x25519",
            b"key",
        ]

    @pytest.mark.req("ICWS-PAY-007")
    def test_external_data_is_the_specified_array(self) -> None:
        assert cbor.decode(hop_external(SESSION, Direction.TO_CLIENT, 9), what="external") == [
            "icws-secure/1",
            CANISTER.raw,
            [CLIENT_KEY.client_principal.raw, 42],
            "s2c",
            9,
        ]


class TestRefusals:
    @pytest.mark.req("ICWS-PAY-002")
    def test_replayed_content_is_refused(self, pair: Pair) -> None:
        content = pair.to_canister(1)
        pair.at_canister(1, content)
        assert refuse(pair.canister.open, 1, content) is Reason.REPLAYED

    @pytest.mark.req("ICWS-PAY-003")
    @pytest.mark.parametrize("content", [b"", b"hello", b"DIDL\x00\x00", b"\x83\x40\xa0\x40"])
    def test_unsealed_content_is_refused(self, pair: Pair, content: bytes) -> None:
        assert refuse(pair.canister.open, 1, content) is Reason.UNSEALED
        assert refuse(pair.client.open, 1, content) is Reason.UNSEALED

    @pytest.mark.req("ICWS-PAY-005")
    def test_what_does_not_open_takes_no_key_with_it(self, pair: Pair) -> None:
        content = pair.to_canister(3)
        for position in range(len(content)):
            changed = content[:position] + bytes((content[position] ^ 1,)) + content[position + 1 :]
            refuse(pair.canister.open, 3, changed)
        assert pair.at_canister(3, content) == b"data"

    @pytest.mark.req("ICWS-PAY-002")
    @pytest.mark.parametrize("seq", [1, 3])
    def test_number_is_sealed_once(self, pair: Pair, seq: int) -> None:
        pair.to_canister(3)
        with pytest.raises(MisuseError):
            pair.client.seal(seq, b"other")

    @pytest.mark.req("ICWS-PAY-006")
    def test_number_sealed_twice_from_a_copied_state_gets_two_nonces(self, pair: Pair) -> None:
        _, one = pair.client.seal(1, b"buy")
        _, two = pair.client.seal(1, b"sel")
        _, again = pair.client.seal(1, b"buy")
        assert one == again
        assert one[19:31] != two[19:31]
        assert one != two

    def test_nothing_is_sealed_before_an_attach(self) -> None:
        with pytest.raises(MisuseError):
            HopChannel(SESSION, HopEnd.CLIENT).seal(1, b"data")


class TestAttaches:
    @pytest.mark.req("ICWS-PAY-002", "ICWS-PAY-005")
    def test_retained_contents_open_after_a_resume_byte_for_byte(self, pair: Pair) -> None:
        retained = {seq: pair.to_client(seq, bytes([seq])) for seq in range(1, 6)}
        pair.at_client(1, retained[1])
        pair.attach(2, next_out=6)
        retained[6] = pair.to_client(6, b"\x06")
        for seq in range(2, 7):
            assert pair.at_client(seq, retained[seq]) == bytes([seq])

    @pytest.mark.req("ICWS-PAY-005")
    def test_messages_in_flight_open_after_a_resume(self, pair: Pair) -> None:
        early = {seq: pair.to_canister(seq, bytes([seq])) for seq in (1, 2, 3)}
        pair.at_canister(1, early[1])
        pair.attach(2, next_in=2)
        late = pair.to_canister(4, b"\x04")
        assert pair.canister.open(4, late)[1] == b"\x04"
        assert pair.at_canister(2, early[2]) == b"\x02"
        assert pair.at_canister(3, early[3]) == b"\x03"
        assert pair.at_canister(4, late) == b"\x04"

    @pytest.mark.req("ICWS-PAY-005")
    def test_keys_differ_between_attaches_and_directions(self) -> None:
        one, two = Pair().attach(1), Pair().attach(2)
        contents = [one.to_canister(1), one.to_client(1), two.to_canister(1), two.to_client(1)]
        assert len(set(contents)) == 4

    @pytest.mark.req("ICWS-PAY-005")
    def test_attach_is_forgotten_when_a_content_of_a_later_one_has_had_its_turn(self, pair: Pair) -> None:
        content = pair.to_canister(1)
        pair.attach(2)
        pair.at_canister(2, pair.to_canister(2))
        assert refuse(pair.canister.open, 1, content) is Reason.UNKNOWN_KEY

    @pytest.mark.req("ICWS-PAY-005")
    def test_attach_that_is_not_known_does_not_open(self, pair: Pair) -> None:
        other = Pair().attach(9)
        assert refuse(pair.canister.open, 1, other.to_canister(1)) is Reason.UNKNOWN_KEY

    @pytest.mark.req("ICWS-PAY-005")
    def test_client_forgets_an_attach_when_a_content_of_a_later_one_opens(self, pair: Pair) -> None:
        contents = [pair.to_client(seq) for seq in (1, 2)]
        pair.attach(2, next_out=3)
        pair.at_client(1, contents[0])
        assert "kept=[1, 2]" in repr(pair.client)
        pair.at_client(2, contents[1])
        pair.at_client(3, pair.to_client(3))
        assert "kept=[2]" in repr(pair.client)

    @pytest.mark.req("ICWS-PAY-005")
    def test_content_sealed_under_an_attach_whose_message_was_held_back_opens(self, pair: Pair) -> None:
        """A gateway had the open executed and told nothing: what the canister sealed meanwhile is retained."""
        pair.at_client(1, pair.to_client(1))
        pair.attach(2, next_out=5, heard=False)
        contents = {seq: pair.to_client(seq, bytes([seq])) for seq in (6, 7)}
        pair.attach(3, next_out=8)
        contents[9] = pair.to_client(9, bytes([9]))
        for seq, content in contents.items():
            assert pair.at_client(seq, content) == bytes([seq])
        assert "kept=[3]" in repr(pair.client)

    @pytest.mark.req("ICWS-PAY-005")
    def test_content_that_comes_again_opens_with_the_keys_of_before(self, pair: Pair) -> None:
        before = pair.client
        contents = [pair.to_client(seq) for seq in (1, 2)]
        pair.at_client(1, contents[0])
        pair.attach(2, next_out=3)
        pair.at_client(2, contents[1])
        pair.at_client(3, pair.to_client(3))
        assert refuse(pair.client.open, 1, contents[0]) is Reason.UNKNOWN_KEY
        pair.client = pair.client.with_keys_of(before)
        assert [pair.at_client(seq, content) for seq, content in enumerate(contents, 1)] == [b"data", b"data"]
        assert pair.client.attach == 2

    def test_client_that_resumes_often_keeps_only_what_is_outstanding(self, pair: Pair) -> None:
        content = pair.to_client(1)
        for attach in range(2, 2 + 2 * MAX_HOP_CHAINS):
            pair.attach(attach, next_out=2)
        assert pair.at_client(1, content) == b"data"
        assert "kept=[1, 129]" in repr(pair.client)

    def test_canister_keeps_a_bounded_number(self, pair: Pair) -> None:
        for attach in range(2, 2 + 2 * MAX_HOP_CHAINS):
            pair.attach(attach)
        assert len(cbor.decode(pair.canister.to_bytes(), what="")[3]) == MAX_HOP_CHAINS  # type: ignore[index]

    @pytest.mark.parametrize("attach", [0, 1])
    def test_attach_that_is_not_higher_is_misuse(self, pair: Pair, attach: int) -> None:
        with pytest.raises(MisuseError):
            pair.attach(attach)

    def test_offer_changes_nothing(self, pair: Pair) -> None:
        before = pair.client.to_bytes()
        key = RING.current
        pair.client.offer(2, secret=bytes(32), public_key=key.public_key, key_id=key.key_id)
        assert pair.client.to_bytes() == before


class TestStorage:
    def test_channel_goes_on_after_an_upgrade(self, pair: Pair) -> None:
        contents = [pair.to_canister(seq, bytes([seq])) for seq in (1, 2, 3)]
        pair.at_canister(1, contents[0])
        pair.attach(2, next_in=2)
        restored = HopChannel.from_bytes(SESSION, pair.canister.to_bytes())
        assert restored == pair.canister
        assert restored.open(3, contents[2])[1] == b"\x03"
        client = HopChannel.from_bytes(SESSION, pair.client.to_bytes())
        assert client.seal(4, b"x")[1] == pair.client.seal(4, b"x")[1]

    def test_channel_without_attach_is_stored(self) -> None:
        empty = HopChannel(SESSION, HopEnd.CLIENT)
        assert HopChannel.from_bytes(SESSION, empty.to_bytes()) == empty

    @pytest.mark.parametrize(
        "value",
        [
            None,
            ["client", 0, None],
            ["gateway", 0, None, [], 1],
            ["client", 0, [], [], 1],
            ["client", 0, None, [1], 1],
            ["client", 0, None, [[1, 2]], 1],
        ],
    )
    def test_other_stored_bytes_are_refused(self, value: Any) -> None:
        with pytest.raises(DecodeError):
            HopChannel.from_bytes(SESSION, cbor.encode(value))

    @pytest.mark.req("ICWS-LIB-026")
    def test_keys_do_not_show(self, pair: Pair) -> None:
        assert repr(pair.client) == "HopChannel(end='client', attach=1, kept=[1])"
