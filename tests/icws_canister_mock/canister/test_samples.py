"""The sample canisters."""

from __future__ import annotations

import json
from typing import Any

import pytest

from icws_canister_mock.canister.samples import SAMPLES, Chat, Counter, Echo, Relay, Ticker
from icws_secure.wire import cbor
from icws_secure.wire.interface import MessageState
from icws_secure.wire.registration import RevokeArgument, encode_revoke_argument


def test_every_sample_can_be_installed(stage_of: Any) -> None:
    for sample in SAMPLES.values():
        stage_of(sample())


@pytest.mark.parametrize("name", ["echo", "echo-omnia"])
def test_echo(stage_of: Any, omnia_player: Any, name: str) -> None:
    bob = omnia_player(stage_of(SAMPLES[name]()))
    for data in (b"", b"hello", bytes(1000)):
        bob.say(data)
    assert bob.data() == [b"", b"hello", bytes(1000)]


def test_echo_traps_and_closes_as_told(stage_of: Any, secure_player: Any) -> None:
    alice = secure_player(stage_of(Echo()))
    assert alice.say(b"trap").status.status is MessageState.TRAPPED
    alice.say(b"close")
    assert alice.head.close_code == "ApplicationClosed"


def test_chat(stage_of: Any, secure_player: Any, omnia_player: Any) -> None:
    stage = stage_of(Chat())
    alice = secure_player(stage)
    bob = omnia_player(stage)
    alice.say(json.dumps({"text": "hello, Bob ☺"}).encode())
    bob.say(b"not json")
    line = json.loads(bob.data()[-2])
    assert line == {"number": 3, "text": "hello, Bob ☺", "from": alice.owner.to_text()}
    assert "error" in json.loads(bob.data()[-1])
    assert json.loads(alice.data()[-1])["number"] == 3

    stage.replica.upgrade(stage.id, Chat())
    carol = secure_player(stage, "carol")
    assert [json.loads(data)["number"] for data in carol.data()] == [1, 2, 3, 4]


def test_ticker(stage_of: Any, secure_player: Any, make_user: Any) -> None:
    stage = stage_of(Ticker())
    alice = secure_player(stage)
    source, stranger = make_user("source"), make_user("stranger")
    alice.say(json.dumps({"follow": "BTC"}).encode())
    assert json.loads(stage.call(source, "set_price", b'{"symbol": "BTC", "price": 1}')) == {"missed": 0}
    stage.call(source, "set_price", b'{"symbol": "ETH", "price": 2}')
    stage.rejected(stranger, "set_price", b'{"symbol": "BTC", "price": 3}')
    alice.say(json.dumps({"follow": "ETH"}).encode())
    alice.say(json.dumps({"unfollow": "BTC"}).encode())
    alice.say(b"{}")
    stage.call(source, "set_price", b'{"symbol": "BTC", "price": 4}')
    told = [json.loads(data) for data in alice.data()]
    assert [(one.get("symbol"), one.get("price")) for one in told] == [("BTC", 1.0), ("ETH", 2.0), (None, None)]
    assert json.loads(stage.query(stranger, "get_prices", b"")) == {"BTC": 4.0, "ETH": 2.0}
    stage.call(
        alice.principal, "ws_revoke", encode_revoke_argument(RevokeArgument(alice.principal, stage.clock.now_ns()))
    )
    stage.sleep(5)
    assert not any(stage.canister.followers.values())


def test_relay_speaks_for_a_canister_without_the_kit(
    stage_of: Any, secure_player: Any, omnia_player: Any, make_user: Any
) -> None:
    stage = stage_of(Relay())
    counter = stage.install_beside(Counter())
    stage.replica.upgrade(stage.id, Relay(), cbor.encode({"canister": counter.raw, "method": "on_event"}))
    alice, bob = secure_player(stage), omnia_player(stage)
    for player in (alice, bob, alice):
        player.say(b"count me")
    alice.say(b"all")
    stage.sleep(5)
    assert alice.data() == [b"1", b"2", b"total 4"]
    assert bob.data() == [b"1", b"total 4"]
    stage.rejected(make_user("stranger"), "relay_send", cbor.encode({"client": [b"", 1], "data": b"forged"}))
    stage.replica.upgrade(stage.id, Relay())
    alice.say(b"still there")
    assert alice.data()[-1] == b"4"


def test_relay_without_a_target_answers_nothing(stage_of: Any, secure_player: Any) -> None:
    alice = secure_player(stage_of(Relay()))
    assert alice.say(b"hello").status.status is MessageState.EXECUTED
    assert alice.data() == []
