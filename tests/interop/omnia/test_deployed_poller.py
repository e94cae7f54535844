"""Our canister under the poller of the deployed gateway, which ends all sessions of a canister at any irregularity."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import cbor2
import pytest

from icws_canister_mock.canister import Client, WebSocketCanister
from icws_canister_mock.replica import ManualClock, Replica, ReplicaConfig
from icws_secure.limits import NS_PER_S
from icws_secure.verify import CertificateVerifier, RootKey, verify_witness
from icws_secure.wire.candid import decode
from icws_secure.wire.candid_types import Null, Text, Variant
from icws_secure.wire.hashtree import Found
from icws_secure.wire.principal import Principal

GATEWAY = Principal.self_authenticating(b"the deployed gateway")
START_NS = 1_900_000_000 * NS_PER_S
ALICE = Principal.self_authenticating(b"alice"), 1
BOB = Principal.self_authenticating(b"bob"), 2**64 - 1


class Talker(WebSocketCanister):
    """Answers the text of a number with as many messages."""

    def on_message(self, client: Client, data: bytes) -> None:
        for n in range(int(data)):
            self.ws.send(client, b"message %d" % n)


class Scene:
    """Our canister on an embedded replica, and clients that call it as deployed ones do."""

    def __init__(self, poller: type[Any], open_argument: Any, message_argument: Any, profiles: set[str]) -> None:
        self.clock = ManualClock(START_NS)
        self.replica = Replica(ReplicaConfig(seed=bytes(32), clock=self.clock))
        self.canister = self.replica.install(Talker.configured(profiles=frozenset(profiles))())
        self.poller = poller(self.replica, self.canister, GATEWAY)
        self._open_argument = open_argument
        self._message_argument = message_argument
        self._numbers: dict[Any, int] = {}

    def open(self, key: Any) -> None:
        self.poller.connect(key)
        self._numbers[key] = 0
        assert self._result("ws_open", self._open_argument(key[1], GATEWAY), key) == "Ok"

    def say(self, key: Any, count: int) -> None:
        self._numbers[key] += 1
        argument = self._message_argument(key, self._numbers[key], b"%d" % count)
        assert self._result("ws_message", argument, key) == "Ok"

    def heard(self, key: Any) -> list[Any]:
        """Numbers and contents of what was delivered, service messages by their label."""
        heard = []
        for number, frame in enumerate(self.poller.clients[key], 1):
            message = self._checked(frame)
            assert message["sequence_num"] == number
            assert message["client_key"] == {"client_principal": key[0].raw, "client_nonce": key[1]}
            content = message["content"]
            heard.append(content if not message["is_service_message"] else "service")
        return heard

    def _checked(self, frame: dict[str, Any]) -> dict[str, Any]:
        verifier = CertificateVerifier(RootKey.from_der(self.replica.root_key_der))
        certificate = verifier.verify_ignoring_age(frame["cert"], canister_id=self.canister)
        leaf = verify_witness(certificate, self.canister, frame["tree"]).lookup([b"websocket", frame["key"].encode()])
        assert leaf == Found(hashlib.sha256(frame["content"]).digest())
        message: dict[str, Any] = dict(cbor2.loads(frame["content"]))
        assert list(message) == ["client_key", "sequence_num", "timestamp", "is_service_message", "content"]
        return message

    def _result(self, method: str, argument: bytes, key: Any) -> str:
        answer: Any = self.replica.call(self.canister, method, argument, sender=key[0])
        # a deployed client reads the first result and skips what follows
        ((label, _),) = decode([Variant({"Ok": Null, "Err": Text})], answer.arg)
        return str(label)


@pytest.fixture(params=[{"omnia"}, {"omnia", "secure"}], ids=["omnia", "both"])
def scene(
    request: pytest.FixtureRequest,
    deployed_poller: type[Any],
    open_argument: Callable[..., bytes],
    message_argument: Callable[..., bytes],
) -> Scene:
    return Scene(deployed_poller, open_argument, message_argument, request.param)


def messages(*counts: int) -> list[Any]:
    return ["service", *(b"message %d" % n for count in counts for n in range(count))]


def test_everything_is_delivered_in_order_over_many_polls(scene: Scene) -> None:
    scene.open(ALICE)
    scene.say(ALICE, 120)
    scene.poller.run()
    assert scene.poller.polls == [50, 50, 21]
    scene.say(ALICE, 3)
    scene.poller.run()
    assert scene.heard(ALICE) == messages(120, 3)


def test_clients_of_one_gateway_share_its_queue(scene: Scene) -> None:
    scene.open(ALICE)
    scene.open(BOB)
    for _ in range(5):
        scene.say(ALICE, 7)
        scene.say(BOB, 9)
        scene.poller.run()
    assert scene.heard(ALICE) == messages(*[7] * 5)
    assert scene.heard(BOB) == messages(*[9] * 5)


def test_messages_of_a_client_that_left_do_not_stop_the_others(scene: Scene) -> None:
    scene.open(ALICE)
    scene.open(BOB)
    scene.poller.run()
    scene.say(ALICE, 20)
    scene.poller.leave(ALICE)
    scene.say(BOB, 5)
    scene.poller.run()
    assert scene.heard(BOB) == messages(5)


def test_a_poller_that_starts_again_finds_its_client(scene: Scene) -> None:
    scene.open(ALICE)
    scene.say(ALICE, 60)
    scene.poller.run()
    scene.poller.leave(ALICE)
    again = (ALICE[0], 77)
    scene.open(again)
    scene.say(again, 2)
    scene.poller.run()
    assert scene.heard(again) == messages(2)


def test_old_messages_are_dropped_without_a_hole(scene: Scene, deployed_poller: type[Any]) -> None:
    scene.open(ALICE)
    for _ in range(8):
        scene.say(ALICE, 30)
        scene.poller.run()
        scene.clock.advance(100 * NS_PER_S)
        scene.replica.run_until_idle()
        scene.poller.run()
    assert [item for item in scene.heard(ALICE) if item != "service"] == messages(*[30] * 8)[1:]
    # a poller that starts now finds what is left, which begins somewhere and has no hole
    late = deployed_poller(scene.replica, scene.canister, GATEWAY)
    late.connect(ALICE)
    late.run()
    assert 0 < sum(late.polls) < 8 * 30


def test_an_upgrade_does_not_move_the_place(scene: Scene) -> None:
    scene.open(ALICE)
    scene.say(ALICE, 10)
    scene.poller.run()
    scene.replica.upgrade(scene.canister, type(scene.replica.canister(scene.canister))())
    scene.say(ALICE, 10)
    scene.poller.run()
    assert scene.heard(ALICE) == messages(10, 10)


def test_an_unknown_gateway_finds_an_empty_queue(scene: Scene, deployed_poller: type[Any]) -> None:
    scene.open(ALICE)
    stranger = deployed_poller(scene.replica, scene.canister, Principal.self_authenticating(b"another gateway"))
    stranger.connect(ALICE)
    stranger.run()
    assert stranger.clients[ALICE] == []
