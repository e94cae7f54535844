"""The kit on a replica: handlers, traps, upgrades, timers, profiles."""

from __future__ import annotations

from typing import Any

import pytest

from icws_canister_mock.canister import Client, WebSocketCanister, query, update
from icws_canister_mock.replica.canister_api import CallRejected
from icws_canister_mock.replica.messages import Ingress
from icws_canister_mock.replica.rejects import ErrorCode
from icws_secure.errors import MisuseError
from icws_secure.limits import NS_PER_S
from icws_secure.session.canister import CanisterSessions
from icws_secure.wire import cbor
from icws_secure.wire import interface as wire
from icws_secure.wire import registration as reg
from icws_secure.wire.hashtree import Found, encode_tree
from icws_secure.wire.interface import MessageState
from icws_secure.wire.principal import Principal
from icws_secure.wire.refusal import RefusalCode
from icws_secure.wire.service import AckMessage, AttachMessage, CloseMessage, OpenMessage


class Diary(WebSocketCanister):
    """Writes down what happens to it, and does as it is told."""

    def on_init(self, arg: bytes) -> None:
        self.log: list[str] = [f"init {arg.decode()}"]
        self.count = 0

    def on_save(self) -> bytes:
        return "\n".join(self.log).encode()

    def on_restore(self, arg: bytes, saved: bytes) -> None:
        self.log = [*saved.decode().split("\n"), f"restore {arg.decode()}"]
        self.count = 0

    def on_open(self, client: Client) -> None:
        self.log.append("open")
        self.ws.send(client, b"welcome")

    def on_message(self, client: Client, data: bytes) -> Any:
        self.count += 1
        self.log.append(data.decode())
        if data == b"trap":
            self.ws.send(client, b"never seen")
            self.ic.trap("told to")
        if data == b"raise":
            raise ValueError("something else")
        if data == b"reject":
            self.ic.reject("no")
        if data == b"send too much":
            self.ws.send(client, bytes(2 << 20))
        if data == b"close":
            self.ws.close(client)
        if data.startswith(b"slow"):
            return self.slowly(client, data)
        return None

    async def slowly(self, client: Client, data: bytes) -> None:
        self.ws.send(client, b"began " + data)
        await self.ic.raw_rand()
        if data == b"slow trap":
            self.ic.trap("later")
        self.log.append("done")
        self.ws.send(client, b"ended " + data)

    def on_close(self, client: Client, code: str) -> None:
        self.log.append(f"close {code}")

    def on_error(self, client: Client, error: str) -> None:
        self.log.append("error")
        self.ws.send(client, b"sorry")

    @update()
    def forget(self, arg: bytes) -> bytes:
        self.ws.begin_epoch()
        return b""

    @update()
    def shout(self, arg: bytes) -> bytes:
        """An ordinary method that uses the sockets."""
        self.ws.broadcast(arg)
        return str(len(self.ws.clients)).encode()

    @query()
    def read(self, arg: bytes) -> bytes:
        return str(self.count).encode()

    def on_inspect(self, caller: Principal, method: str, arg: bytes) -> bool:
        return arg != b"refuse me"


@pytest.fixture
def stage(stage_of: Any) -> Any:
    return stage_of(Diary(), b"hello")


@pytest.fixture
def alice(stage: Any, secure_player: Any) -> Any:
    return secure_player(stage)


def test_a_client_opens_talks_and_is_closed(stage: Any, alice: Any) -> None:
    assert alice.say(b"one").status == wire.MessageStatus(1, 1, MessageState.EXECUTED)
    assert alice.say(b"close").status.status is MessageState.EXECUTED
    assert stage.canister.log == ["init hello", "open", "one", "close", "close ApplicationClosed"]
    attach, close = alice.services()
    assert isinstance(attach, AttachMessage)
    assert isinstance(close, CloseMessage)
    assert alice.data() == [b"welcome"]
    assert alice.head.close_code == "ApplicationClosed"


def test_handlers_know_the_owner(stage_of: Any, secure_player: Any, omnia_player: Any) -> None:
    seen: list[Client] = []

    class Nosy(WebSocketCanister):
        def on_message(self, client: Client, data: bytes) -> None:
            seen.append(client)

    stage = stage_of(Nosy())
    alice, bob = secure_player(stage), omnia_player(stage)
    alice.say(b"x")
    bob.say(b"x")
    assert [(client.owner, client.principal, client.secure) for client in seen] == [
        (alice.owner, alice.principal, True),
        (bob.owner, bob.owner, False),
    ]
    assert stage.canister.ws.of_owner(alice.owner) == (seen[0],)


@pytest.mark.req("ICWS-CAN-032")
@pytest.mark.parametrize("how", [b"trap", b"raise", b"reject", b"send too much"])
def test_a_handler_that_fails_undoes_itself_and_nothing_else(stage: Any, alice: Any, how: bytes) -> None:
    alice.say(b"before")
    status = alice.say(how).status
    assert status == wire.MessageStatus(2, 2, MessageState.TRAPPED)
    assert alice.say(b"after").status == wire.MessageStatus(3, 3, MessageState.EXECUTED)
    expected = ["init hello", "open", "before", "error", "after"]
    if how == b"reject":  # a rejection keeps what was done before it
        expected.insert(3, "reject")
    assert stage.canister.log == expected
    assert alice.data() == [b"welcome", b"sorry"]
    assert alice.head.trapped == (2,)


@pytest.mark.req("ICWS-CAN-032")
def test_a_slow_handler_that_fails_is_reported_too(stage: Any, alice: Any) -> None:
    assert alice.say(b"slow trap").status == wire.MessageStatus(1, 1, MessageState.TRAPPED)
    assert alice.say(b"next").status == wire.MessageStatus(2, 2, MessageState.EXECUTED)
    assert stage.canister.log == ["init hello", "open", "slow trap", "error", "next"]
    # what it had sent before it awaited was sent
    assert alice.data() == [b"welcome", b"began slow trap", b"sorry"]


def test_a_slow_handler_ends_before_the_next_message_is_handled(stage: Any, alice: Any) -> None:
    for seq in (3, 2):
        alice.say(b"message %d" % seq, seq=seq)
    assert alice.say(b"slow one", seq=1).status == wire.MessageStatus(3, 3, MessageState.EXECUTED)
    assert stage.canister.log[2:] == ["slow one", "done", "message 2", "message 3"]
    assert alice.data() == [b"welcome", b"began slow one", b"ended slow one"]


def test_a_message_to_which_the_handler_of_another_is_running_is_accepted_and_comes_after(
    stage: Any, alice: Any
) -> None:
    subnet = stage.replica.subnet_of(stage.id)
    for seq, data in enumerate((b"slow one", b"two", b"three"), 1):
        message = wire.WebsocketMessage(alice.key, seq, 0, False, data)
        arg = wire.encode_message_argument(message)
        expiry = stage.clock.now_ns() + 60 * NS_PER_S
        subnet.accept(Ingress(bytes([seq]) * 32, alice.principal, stage.id, "ws_message", arg, expiry, len(arg)))
    stage.replica.run_until_idle()
    stage.sleep(10)
    assert stage.canister.log[2:] == ["slow one", "done", "two", "three"]
    assert alice.head.executed_through == 3


def test_a_batch_is_handled_one_by_one_and_answered_once(stage: Any, alice: Any) -> None:
    messages = tuple(
        wire.WebsocketMessage(alice.key, seq, 0, False, data) for seq, data in enumerate((b"one", b"trap", b"three"), 1)
    )
    arg = wire.encode_message_batch_argument(messages)
    result = wire.decode_message_batch_result(stage.call(alice.principal, "ws_message_batch", arg))
    assert result.status == wire.MessageStatus(3, 3, MessageState.EXECUTED)
    assert stage.canister.log[2:] == ["one", "error", "three"]
    assert alice.head.trapped == (2,)


@pytest.mark.req("ICWS-CAN-032")
def test_a_handler_that_could_not_be_called_has_not_trapped(
    stage: Any, alice: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    rejections = [(2, "the queue is full"), (5, "Canister xyz is stopping")]

    async def refuse(self: Any, canister: Principal, method: str, arg: bytes, cycles: int = 0) -> bytes:
        calls.append(method)
        raise CallRejected(*rejections[len(calls) - 1])

    api = type(stage.canister.ic)
    for seq in (1, 2):
        with monkeypatch.context() as patch:
            patch.setattr(api, "call", refuse)
            assert alice.say(b"waits").status == wire.MessageStatus(seq, 0, MessageState.ACCEPTED)
    assert calls == ["icws_handle"] * 2
    stage.sleep(5)
    assert stage.canister.log[2:] == ["waits", "waits"]
    assert (alice.head.executed_through, alice.head.trapped) == (2, ())


def test_ordinary_methods_stand_beside_and_can_send(stage: Any, alice: Any, make_user: Any) -> None:
    assert stage.call(make_user("anybody"), "shout", b"hear me") == b"1"
    assert alice.data() == [b"welcome", b"hear me"]
    alice.say(b"x")
    assert stage.query(make_user("anybody"), "read", b"") == b"1"


def test_what_the_canister_certifies_itself_stands_beside_the_messages(stage_of: Any, secure_player: Any) -> None:
    class Certifying(WebSocketCanister):
        @update()
        def put(self, arg: bytes) -> bytes:
            self.ws.certify(b"shelf", arg)
            return b""

        @query()
        def get(self, arg: bytes) -> bytes:
            return cbor.encode([self.ic.data_certificate(), encode_tree(self.ws.witness((b"shelf",)))])

    stage = stage_of(Certifying())
    alice = secure_player(stage)
    stage.call(alice.owner, "put", b"book")
    answer: Any = cbor.decode(stage.query(alice.owner, "get", b""), what="an answer")
    assert stage.verified(*answer).lookup((b"shelf",)) == Found(b"book")
    assert len(alice.messages()) == 1


@pytest.mark.req("ICWS-CAN-051")
def test_what_a_method_sends_and_then_traps_was_never_sent(stage_of: Any, secure_player: Any, make_user: Any) -> None:
    class Careless(WebSocketCanister):
        @update()
        def promise(self, arg: bytes) -> bytes:
            self.ws.broadcast(b"not so")
            self.ic.trap("no")

    stage = stage_of(Careless())
    alice = secure_player(stage)
    head = alice.head
    stage.rejected(make_user("anybody"), "promise")
    assert alice.head == head
    assert alice.data() == []


# Profiles -------------------------------------------------------------------------------------------------------------


@pytest.mark.req("ICWS-CAN-073")
def test_an_omnia_canister_has_no_other_methods(stage_of: Any, omnia_player: Any, make_user: Any) -> None:
    stage = stage_of(Diary.configured(profiles=frozenset({"omnia"}))())
    for method in ("ws_register", "ws_params", "ws_message_batch", "ws_revoke"):
        assert stage.rejected(make_user("owner"), method).error is ErrorCode.METHOD_NOT_FOUND
    bob = omnia_player(stage)
    bob.say(b"hello")
    assert isinstance(bob.services()[0], OpenMessage)
    assert bob.data() == [b"welcome"]
    assert stage.canister.log == ["init ", "open", "hello"]


def test_a_class_and_its_omnia_variant_do_not_share_their_methods() -> None:
    omnia = Diary.configured(profiles=frozenset({"omnia"}))
    both = omnia.configured(profiles=frozenset({"omnia", "secure"}))
    assert "ws_register" in Diary.methods
    assert "ws_register" not in omnia.methods
    assert "ws_register" in both.methods
    assert {"shout", "read", "ws_open", "icws_handle"} <= set(omnia.methods)


def test_settings_out_of_their_bounds_are_refused() -> None:
    with pytest.raises(MisuseError):
        Diary.configured(ack_interval_ns=1)


def test_a_new_owner_is_let_in_by_the_canister_near_the_cap(stage_of: Any, secure_player: Any, make_user: Any) -> None:
    class Choosy(WebSocketCanister):
        def allow_register(self, owner: Principal) -> bool:
            return bool(owner == make_user("friend"))

    stage = stage_of(Choosy.configured(max_sessions=4)())
    for name in ("one", "two", "three"):
        secure_player(stage, name)
    refusal = stage.register(make_user("stranger"), make_user("s"))
    assert refusal.code == RefusalCode.REGISTRATION_FULL
    secure_player(stage, "friend")


# The clock ------------------------------------------------------------------------------------------------------------


def test_acknowledgements_come_by_the_timer_and_silence_detaches(stage: Any, alice: Any) -> None:
    alice.say(b"x")
    stage.sleep(305)
    assert AckMessage(1) in alice.services()
    states = [alice.head.state]
    stage.sleep(65)
    states.append(alice.head.state)
    assert alice.open() is None
    states.append(alice.head.state)
    assert states == ["open", "detached", "open"]


@pytest.mark.req("ICWS-CAN-041")
def test_a_timer_that_traps_comes_back(stage_of: Any, secure_player: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = stage_of(Diary())
    alice = secure_player(stage)
    good = CanisterSessions.on_timer

    def bad(self: Any, now: int) -> Any:
        raise RuntimeError("broken")

    monkeypatch.setattr(CanisterSessions, "on_timer", bad)
    stage.sleep(70)
    states = [alice.head.state]
    monkeypatch.setattr(CanisterSessions, "on_timer", good)
    stage.sleep(5)
    states.append(alice.head.state)
    assert states == ["open", "detached"]


def test_a_canister_without_sessions_sets_no_timer(stage: Any) -> None:
    assert stage.replica.subnet_of(stage.id).canisters[stage.id].timer_ns is None


# Upgrades -------------------------------------------------------------------------------------------------------------


@pytest.mark.req("ICWS-CAN-065", "ICWS-CAN-071")
def test_sessions_and_state_survive_an_upgrade(stage: Any, alice: Any, omnia_player: Any) -> None:
    bob = omnia_player(stage)
    alice.say(b"before")
    epoch = stage.canister.ws._sessions.state.epoch_ns
    stage.replica.upgrade(stage.id, Diary(), b"new")
    assert stage.canister.ws._sessions.state.epoch_ns == epoch
    assert stage.canister.log == ["init hello", "open", "open", "before", "restore new"]
    assert alice.data() == [b"welcome"]
    assert alice.say(b"after").status == wire.MessageStatus(2, 2, MessageState.EXECUTED)
    assert bob.say(b"after").refusal is None
    stage.sleep(305)
    assert AckMessage(2) in alice.services()


@pytest.mark.req("ICWS-CAN-065")
def test_a_state_that_was_lost_has_another_epoch(stage: Any, alice: Any) -> None:
    keys = {output.key for output in stage.poll()}
    old = stage.canister.ws._sessions.state.epoch_ns
    stage.clock.advance(NS_PER_S)
    stage.replica.reinstall(stage.id, Diary(), b"again")
    assert stage.canister.ws._sessions.state.epoch_ns > old
    answer = reg.decode_audit_result(
        stage.query(alice.principal, "ws_audit", reg.encode_audit_argument((alice.principal,)))
    )
    assert isinstance(answer, reg.Audit)
    assert answer.heads == (None,)
    assert alice.open().code == RefusalCode.NOT_REGISTERED
    assert not keys & {output.key for output in stage.poll()}


@pytest.mark.req("ICWS-CAN-071")
def test_certified_data_is_set_before_the_canisters_own_init(stage_of: Any) -> None:
    roots = []

    class Late(WebSocketCanister):
        def on_init(self, arg: bytes) -> None:
            roots.append(self.ws._sessions.certified_root())
            self.ws.certify(b"mine", b"too")

    stage = stage_of(Late())
    slot = stage.replica.subnet_of(stage.id).canisters[stage.id]
    assert slot.certified_data == stage.canister.ws._sessions.certified_root() != roots[0]


def test_handlers_that_an_upgrade_interrupted_go_on(stage: Any, alice: Any) -> None:
    sessions = stage.canister.ws._sessions
    message = wire.WebsocketMessage(alice.key, 1, 0, False, b"waiting")
    sessions.message(alice.principal, wire.encode_message_argument(message), stage.clock.now_ns())
    stage.replica.upgrade(stage.id, Diary())
    stage.sleep(5)
    assert stage.canister.log[-1] == "waiting"
    assert alice.head.executed_through == 1


# Who may call what ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["icws_handle", "icws_run", "icws_error", "icws_tick"])
def test_the_canisters_own_methods_are_nobody_elses(stage: Any, alice: Any, method: str) -> None:
    assert not stage.canister.inspect_message(alice.principal, method, b"")
    assert stage.rejected(alice.principal, method).error is ErrorCode.TRAPPED_EXPLICITLY
    assert stage.canister.log == ["init hello", "open"]


@pytest.mark.req("ICWS-CAN-070")
def test_inspect_message_asks_the_sessions_and_the_canister(stage: Any, alice: Any, make_user: Any) -> None:
    canister = stage.canister
    assert canister.inspect_message(alice.principal, "ws_message", b"x")
    assert not canister.inspect_message(make_user("stranger"), "ws_message", b"x")
    assert canister.inspect_message(make_user("stranger"), "shout", b"x")
    assert not canister.inspect_message(make_user("stranger"), "shout", b"refuse me")


@pytest.mark.req("ICWS-CAN-052", "ICWS-CAN-071")
def test_an_audit_is_answered_as_an_update_and_a_poll_is_not(stage: Any, alice: Any) -> None:
    arg = reg.encode_audit_argument((alice.principal,))
    answer = reg.decode_audit_result(stage.call(alice.principal, "ws_audit", arg))
    assert isinstance(answer, reg.Audit)
    assert answer.cert is None
    reply = wire.decode_get_messages_result(
        stage.call(stage.gateway, "ws_get_messages", wire.encode_get_messages_argument(0))
    )
    assert isinstance(reply, wire.Refusal)
    assert reply.code == RefusalCode.NO_DATA_CERTIFICATE


def test_registration_ids_and_salts_are_made_of_the_replicas_randomness(stage_of: Any, secure_player: Any) -> None:
    one = secure_player(stage_of(Diary()))
    assert one.stage.canister.ws._seeded
    seed = one.stage.canister.ws._sessions.state.seed
    assert len(seed) == 32


def test_a_canister_put_back_to_a_snapshot_shows_an_older_head(stage: Any, alice: Any) -> None:
    alice.say(b"one")
    snapshot = stage.replica.snapshot_canister(stage.id)
    before = alice.head
    alice.say(b"two")
    assert alice.head.next_in == 3
    stage.replica.load_snapshot(stage.id, snapshot)
    assert alice.head == before
    epoch = stage.canister.ws.epoch
    assert stage.call(alice.owner, "forget", b"") == b""
    assert stage.canister.ws.epoch > epoch
    assert stage.canister.ws.clients == ()
