"""Sessions that outlive gateways, processes and the lack of any gateway."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

from icws_secure.errors import DecodeError, MisuseError, Reason, SessionEnded
from icws_secure.limits import NS_PER_S
from icws_secure.session.canister import CanisterConfig
from icws_secure.session.client import (
    Attached,
    ClientConfig,
    ClientSession,
    Connect,
    HttpRequest,
    Opened,
    SaveState,
    SendExecuted,
    SendFrame,
    SessionState,
)
from icws_secure.session.client.persistence import decode_saved, encode_saved
from icws_secure.wire.close_codes import SessionCloseCode
from icws_secure.wire.frames import MessagesFrame
from icws_secure.wire.interface import decode_open_argument
from icws_secure.wire.service import SkipMessage, encode_service_message


def echo(ic: Any, key: Any, data: bytes) -> None:
    ic.send(key, b"re:" + data)


def settle(world: Any, *send_ids: int, seconds: float = 60) -> None:
    assert world.run_until(lambda: all(world.outcome(item) is not None for item in send_ids), seconds), world.events
    assert all(isinstance(world.outcome(item), SendExecuted) for item in send_ids)


@pytest.mark.req("ICWS-CLT-070")
def test_a_gateway_that_dies_costs_nothing(kit: Any) -> None:
    world = kit.World(3)
    world.ic.handler = echo
    world.attached()
    ids = []
    for n in range(30):
        ids.append(world.send(b"%d" % n))
        if n % 10 == 5:
            world.kill(world.connection or world.gateways[0])
        world.run(0.02)
        for gateway in world.gateways:
            gateway.is_alive = True
    settle(world, *ids)
    assert world.run_until(lambda: len(world.received) == 30)
    assert world.ic.heard == [b"%d" % n for n in range(30)]
    assert world.received == [b"re:%d" % n for n in range(30)]
    assert len(world.of(Opened)) == 1
    assert len(world.of(Attached)) >= 3


@pytest.mark.req("ICWS-CLT-070")
def test_a_resume_names_the_first_message_that_the_application_has_not_taken(kit: Any) -> None:
    world = kit.World(1, takes=False, direct_fallback=False).attached()
    world.canister_sends(b"one", b"two", b"three")
    assert world.run_until(lambda: len(world.received) == 3)
    world.client.taken(1, world.client_now)
    world.break_connection()
    world.attached()
    world.canister_sends(b"four")
    assert world.run_until(lambda: len(world.received) == 4)
    opens = [content.arg for content in world.ic.calls if content.method_name == "ws_open"]
    secure = decode_open_argument(opens[-1]).secure
    assert secure is not None
    assert secure.resume_from == 2
    assert world.received == [b"one", b"two", b"three", b"four"]  # two and three came again, and were not given again


@pytest.mark.req("ICWS-CLT-062")
def test_what_comes_again_must_be_what_came_before(kit: Any) -> None:
    world = kit.World(1, takes=False, direct_fallback=False).attached()
    snapshot = world.ic.canister.state
    world.canister_sends(b"one")
    assert world.run_until(lambda: len(world.received) == 1)
    world.run(1)
    # put back, and gone on differently: as long as before, so that no counter tells
    calls = world.ic.canister.state
    world.ic.canister.state = snapshot
    world.canister_sends(b"0ne")
    assert calls is not world.ic.canister.state
    world.break_connection()
    error = world.end(60)
    assert isinstance(error, SessionEnded)
    assert error.code == SessionCloseCode.STATE_ROLLBACK


def test_messages_that_were_never_confirmed_go_out_again(kit: Any) -> None:
    world = kit.World(2).attached()
    world.run(1)
    world.connection.relays_calls = False
    ids = [world.send(b"%d" % n) for n in range(5)]
    world.run(0.5)
    world.kill(world.connection)
    settle(world, *ids)
    assert world.ic.heard == [b"%d" % n for n in range(5)]


def test_backoff_grows_and_a_gateway_that_works_again_is_forgiven(kit: Any) -> None:
    world = kit.World(1, direct_fallback=False).attached()
    gateway = world.gateways[0]
    world.kill(gateway)
    world.run(60)
    attempts = [action for action in world.log if isinstance(action, Connect)]
    assert 4 <= len(attempts) <= 12
    gateway.is_alive = True
    assert world.run_until(lambda: world.client.gateway is not None, 40)
    assert world.client._core.pool.health(gateway.target()).failures == 0


def test_a_gateway_that_was_caught_is_tried_last(kit: Any) -> None:
    world = kit.World(3).attached()
    world.to_client(b"garbage", world.connection_id)
    world.run(1)
    assert world.connection is world.gateways[1]
    world.kill(world.connection)
    world.run(2)
    assert world.connection is world.gateways[2]


def test_giving_up_is_the_users_choice(kit: Any) -> None:
    world = kit.World(1, direct_fallback=False, give_up_ns=30 * NS_PER_S).attached()
    world.kill(world.gateways[0])
    error = world.end(60)
    assert isinstance(error, SessionEnded)
    assert error.code == SessionCloseCode.NO_GATEWAY


# without a gateway ---------------------------------------------------------------------------------------------------


@pytest.mark.req("ICWS-CLT-073")
@pytest.mark.parametrize("profile", ["secure", "omnia"])
def test_the_client_is_its_own_gateway(kit: Any, profile: str) -> None:
    world = kit.World(0, profile=profile)
    world.ic.handler = echo
    world.attached()
    assert world.client.gateway == world.client.session_principal
    assert world.client.target is None
    ids = [world.send(b"%d" % n) for n in range(20)]
    settle(world, *ids)
    assert world.run_until(lambda: len(world.received) == 20)
    assert world.received == [b"re:%d" % n for n in range(20)]
    assert not any(isinstance(action, Connect | SendFrame) for action in world.log)
    world.run(700)
    assert world.ended is None


@pytest.mark.req("ICWS-CLT-073")
def test_without_any_gateway_left_the_session_goes_on_directly_and_comes_back(kit: Any) -> None:
    world = kit.World(2)
    world.ic.handler = echo
    world.attached()
    for gateway in world.gateways:
        world.kill(gateway)
    send_id = world.send(b"one")
    settle(world, send_id)
    assert world.client.gateway == world.client.session_principal
    assert world.run_until(lambda: world.received == [b"re:one"])
    world.gateways[1].is_alive = True
    assert world.run_until(lambda: world.connection is world.gateways[1], 120)
    assert world.run_until(lambda: world.client.gateway == world.gateways[1].principal)
    lost = len(world.lost)
    settle(world, world.send(b"two"))
    assert world.run_until(lambda: world.received == [b"re:one", b"re:two"])
    assert len(world.lost) == lost


def test_while_a_gateway_is_tried_the_direct_attachment_goes_on(kit: Any) -> None:
    world = kit.World(1)
    world.ic.handler = echo
    world.attached()
    gateway = world.gateways[0]
    world.kill(gateway)
    assert world.run_until(lambda: world.client.gateway == world.client.session_principal)
    gateway.is_alive = True
    gateway.tamper = lambda frame: []  # it accepts the connection, and says nothing
    ids = []
    for n in range(100):
        ids.append(world.send(b"%d" % n))
        world.run(1)
    settle(world, *ids)
    assert world.client.gateway == world.client.session_principal
    assert world.run_until(lambda: len(world.received) == 100)
    assert world.lost[-1].reason is not Reason.HANDSHAKE_TIMEOUT


def test_a_direct_attachment_that_fails_is_made_again(kit: Any) -> None:
    world = kit.World(0)
    world.ic.handler = echo
    world.attached()
    world.ic.is_reachable = False
    world.run(200)
    world.ic.is_reachable = True
    settle(world, world.send(b"one"), seconds=120)
    assert world.run_until(lambda: world.received == [b"re:one"])


def test_without_the_leave_to_go_directly_only_gateways_are_tried(kit: Any) -> None:
    world = kit.World(1, direct_fallback=False).attached()
    world.kill(world.gateways[0])
    world.run(60)
    assert world.client.state is SessionState.DETACHED
    assert "ws_open" not in [
        action.path for action in world.log if isinstance(action, HttpRequest) and action.path.endswith("ws_open")
    ]


def test_a_slow_application_is_not_polled_for(kit: Any) -> None:
    world = kit.World(0).attached()
    world.client.reading_paused(world.client_now)
    world.canister_sends(*[b"%d" % n for n in range(120)])
    world.run(60)
    assert len(world.received) <= 50  # what was under way
    world.client.reading_resumed(world.client_now)
    world.drain()
    assert world.run_until(lambda: len(world.received) == 120)


def test_what_was_queued_for_earlier_clients_of_the_owner_is_passed_over(kit: Any) -> None:
    first = kit.World(0, profile="omnia", sign_with="owner").attached()
    for n in range(120):
        first.ic.send(first.client.client_key, b"%d" % n)
    second = kit.World(0, profile="omnia", sign_with="owner", ic=first.ic, client_nonce=7).attached()
    second.canister_sends(b"hello")
    assert second.run_until(lambda: second.received == [b"hello"])


# saved sessions ------------------------------------------------------------------------------------------------------


@pytest.mark.req("ICWS-CLT-070")
def test_a_saved_session_goes_on_in_another_process(kit: Any) -> None:
    first = kit.World(1, persist=True)
    first.ic.handler = echo
    first.attached()
    settle(first, first.send(b"one"))
    assert first.run_until(lambda: first.received == [b"re:one"])
    first.connection.relays_calls = False
    first.send(b"two")  # leaves, and does not arrive
    first.run(0.2)
    first.gateways[0].left()
    first.ic.send(first.client.client_key, b"between")
    second = kit.World(1, ic=first.ic, saved=first.saved, persist=True).attached()
    assert second.client.session_principal == first.client.session_principal
    assert second.client.client_key == first.client.client_key
    assert second.run_until(lambda: len(second.received) == 2)
    assert second.received == [b"between", b"re:two"]
    settle(second, second.send(b"three"))
    assert second.ic.heard == [b"one", b"two", b"three"]
    assert second.lost == []


@pytest.mark.req("ICWS-CLT-074")
def test_the_state_is_saved_before_what_depends_on_it(kit: Any) -> None:
    world = kit.World(1, persist=True).attached()
    world.send(b"one")
    world.run(1)
    kinds = [action for action in world.log if isinstance(action, SaveState | SendFrame)]
    assert isinstance(kinds[0], SaveState)
    opening = decode_saved(kinds[0].state)
    assert opening.attach == 1
    saved = [decode_saved(action.state) for action in kinds if isinstance(action, SaveState)]
    assert any(message.content == b"one" for state in saved for message in state.unsettled)


@pytest.mark.req("ICWS-CLT-072")
def test_a_saved_state_that_is_behind_and_does_not_match_is_forked(kit: Any) -> None:
    world = kit.World(1, direct_fallback=False).attached()
    world.run(1)
    saved = world.client.export_state()
    settle(world, world.send(b"one"))
    world.gateways[0].left()
    other = kit.World(1, ic=world.ic, saved=saved)
    error = other.end()
    assert isinstance(error, SessionEnded)
    # another process has attached with a number that the saved state does not know of, or has sent what it never sent
    assert error.code in (SessionCloseCode.STATE_FORKED, SessionCloseCode.SESSION_TAKEN)


def saved_with_one_under_way(kit: Any, data: bytes) -> tuple[Any, Any]:
    """A world, and the saved state of its client, whose message has reached nobody yet."""
    world = kit.World(1, direct_fallback=False).attached()
    world.run(1)
    world.connection.relays_calls = False
    world.send(data)
    world.run(0.1)
    return world, decode_saved(world.client.export_state())


@pytest.mark.req("ICWS-CLT-072")
def test_a_saved_message_that_the_canister_has_with_other_content_is_forked(kit: Any) -> None:
    world, saved = saved_with_one_under_way(kit, b"mine")
    (message,) = saved.unsettled
    world.connection.relays_calls = True
    other = kit.World(1, ic=world.ic, saved=encode_saved(_with(saved, _content(message, b"other")))).attached()
    other.run(2)
    other.gateways[0].left()
    third = kit.World(1, ic=world.ic, saved=encode_saved(_attach(saved, other.client.attach)))
    error = third.end()
    assert isinstance(error, SessionEnded)
    assert error.code == SessionCloseCode.STATE_FORKED
    assert error.requirement == "ICWS-CLT-072"


@pytest.mark.req("ICWS-CLT-072")
def test_a_saved_skip_of_a_message_that_the_canister_has_is_no_fork(kit: Any) -> None:
    """The message was given up, and the skip in its place saved; the canister had taken the message after all."""
    world, saved = saved_with_one_under_way(kit, b"given up")
    (message,) = saved.unsettled
    other = kit.World(1, ic=world.ic, saved=encode_saved(saved)).attached()
    other.run(2)
    other.gateways[0].left()
    skip = replace(message, is_service_message=True, content=encode_service_message(SkipMessage()))
    third = kit.World(1, ic=world.ic, saved=encode_saved(_attach(_with(saved, skip), other.client.attach))).attached()
    settle(third, third.send(b"next"))
    assert world.ic.heard == [b"given up", b"next"]
    assert third.ended is None


def _content(message: Any, content: bytes) -> Any:
    return replace(message, content=content)


def _with(saved: Any, message: Any) -> Any:
    return replace(saved, unsettled=(message,))


def _attach(saved: Any, attach: int) -> Any:
    return replace(saved, attach=attach)


@pytest.mark.req("ICWS-CLT-072")
def test_saved_messages_that_the_canister_has_are_no_fork(kit: Any) -> None:
    world = kit.World(1).attached()
    world.run(1)
    world.connection.gives_receipts = False
    world.connection.relays_heads = False
    world.send(b"mine")
    world.run(0.1)
    saved = world.client.export_state()
    assert world.ic.heard == [b"mine"]
    world.gateways[0].left()
    other = kit.World(1, ic=world.ic, saved=saved).attached()
    other.run(5)
    assert other.ended is None
    assert world.ic.heard == [b"mine"]
    settle(other, other.send(b"next"))


def test_a_session_that_has_nothing_to_save_says_so(kit: Any) -> None:
    for world in (kit.World(1, start=False), kit.World(1, profile="omnia").attached()):
        with pytest.raises(MisuseError):
            world.client.export_state()
    world = kit.World(1).attached()
    world.close()
    world.end()
    with pytest.raises(MisuseError):
        world.client.export_state()


def test_a_saved_session_is_for_its_canister_and_profile(kit: Any) -> None:
    saved = kit.World(1).attached().client.export_state()
    for config in (
        ClientConfig(canister_id=type(kit.CANISTER)(b"\x01")),
        ClientConfig(canister_id=kit.CANISTER, profile="omnia"),
    ):
        with pytest.raises(MisuseError):
            ClientSession(config, owner=None, root_key=kit.ROOT_KEY, entropy=bytes, saved=saved)
    ClientSession(ClientConfig(canister_id=kit.CANISTER), owner=None, root_key=kit.ROOT_KEY, entropy=bytes, saved=saved)


@pytest.mark.parametrize("cut", [0, 1, 50, -1])
def test_a_saved_session_that_is_damaged_is_refused(kit: Any, cut: int) -> None:
    saved = kit.World(1).attached().client.export_state()
    with pytest.raises(DecodeError):
        decode_saved(saved[:cut])
    assert encode_saved(decode_saved(saved)) == saved


def test_secrets_are_not_shown(kit: Any) -> None:
    world = kit.World(1, persist=True).attached()
    secret = world.client._core.identity.export_secret()
    for item in (*world.log, *world.events, decode_saved(world.client.export_state()), world.client):
        assert secret.hex() not in repr(item)
        assert repr(secret)[2:-1] not in repr(item)


# clocks --------------------------------------------------------------------------------------------------------------


def test_a_laptop_that_slept_goes_on(kit: Any) -> None:
    world = kit.World(2)
    world.ic.handler = echo
    world.attached()
    world.canister_sends(b"one")
    world.run(0.01)
    world.break_connection()
    # nothing runs here for two minutes
    for seconds in (120,):
        world.ic.now += seconds * NS_PER_S
        world.ic.canister.on_timer(world.ic.now)
        world.next_work = world.ic.now
    world.client.tick(world.client_now)
    world.drain()
    settle(world, world.send(b"two"))
    assert world.run_until(lambda: world.received == [b"one", b"re:two"])


@pytest.mark.parametrize("jump_s", [-3_600, -40, 40, 3_600])
def test_a_clock_that_is_set_mid_session_is_corrected_by_a_certificate(kit: Any, jump_s: int) -> None:
    world = kit.World(2, canister=CanisterConfig())
    world.ic.handler = echo
    world.attached()
    settle(world, world.send(b"one"))
    world.ic.call = _lenient(world.ic)
    world.clock_error_ns = jump_s * NS_PER_S
    send_id = world.send(b"two")
    assert world.run_until(lambda: isinstance(world.outcome(send_id), SendExecuted), 400), (world.lost, world.ended)
    assert world.run_until(lambda: world.received == [b"re:one", b"re:two"], 200)


def _lenient(ic: Any) -> Any:
    """A replica that takes any expiry: what is tried is the client's clock and not the replica's."""
    honest = ic.call

    def call(envelope: Any) -> Any:
        content = envelope.content
        if ic.now <= content.ingress_expiry_ns <= ic.now + 330 * NS_PER_S:
            return honest(envelope)
        reply = ic.execute(content.sender, content.method_name, content.arg)
        ic.statuses[content.request_id] = {b"status": b"replied", b"reply": reply}
        return None

    return call


def test_batches_of_frames_are_taken_in_one_go(kit: Any) -> None:
    world = kit.World(1).attached()
    world.canister_sends(*[b"%d" % n for n in range(120)])
    assert world.run_until(lambda: len(world.received) == 120)
    frames: Iterable[Any] = [frame for frame in world.gateways[0].frames if isinstance(frame, MessagesFrame)]
    assert max(len(frame.messages) for frame in frames) == 50
