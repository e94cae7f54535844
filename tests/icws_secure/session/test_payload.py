"""Sealed content between a client's session machine and a canister's, over gateways, resumes and restarts."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import pytest

from icws_secure.errors import DecodeError, MisuseError, PayloadViolation, Reason, Refused, SessionEnded
from icws_secure.limits import HPKE_KEY_GRACE_NS, HPKE_KEY_LIFETIME_NS, NS_PER_S, REORDER_GAP_TTL_NS
from icws_secure.payload import (
    HOP_OVERHEAD_BYTES,
    Room,
    RoomEpoch,
    RoomKeys,
    RoomPost,
    RoomSender,
    SuiteName,
)
from icws_secure.session.canister import CanisterConfig, SealedSuites
from icws_secure.session.client import Message, SendExecuted, SendRejected, SuiteChannel
from icws_secure.vetkd import VetKey
from icws_secure.wire.interface import (
    WebsocketMessage,
    decode_message_argument,
    decode_open_argument,
    encode_message_argument,
)
from icws_secure.wire.message import decode_message
from icws_secure.wire.principal import Principal

HPKE, VETKD, NONE = SuiteName.HPKE, SuiteName.VETKD, SuiteName.NONE
VETKEY = VetKey(
    bytes.fromhex("97f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905a14e3a3f171bac586c55e83ff97a1aeffb3af00adb22c6bb")
)


def entropy(size: int, _count: list[int] = [0]) -> bytes:  # noqa: B006 - counts calls
    _count[0] += 1
    return hashlib.shake_256(b"channel%d" % _count[0]).digest(size)


class Sealed:
    """Worlds whose canister offers suites, and whose client takes one."""

    def __init__(self, kit: Any) -> None:
        self.kit = kit

    def canister(self, *offered: SuiteName, **suites: Any) -> CanisterConfig:
        provider = SealedSuites(frozenset(offered), canister=self.kit.CANISTER, **suites)
        return CanisterConfig(profiles=frozenset({"secure"}), suites=provider)

    def channel(self, strongest: SuiteName = HPKE, minimum: SuiteName | None = None) -> SuiteChannel:
        weakest = strongest if minimum is None else minimum
        return SuiteChannel(self.kit.CANISTER, strongest=strongest, minimum=weakest, entropy=entropy)

    def ic(self, *offered: SuiteName, **suites: Any) -> Any:
        ic = self.kit.Ic(self.canister(*(offered or (HPKE, NONE)), **suites))
        renew(ic)
        return ic

    def world(self, gateways: int = 1, *, ic: Any = None, channel: SuiteChannel | None = None, **more: Any) -> Any:
        ic = self.ic() if ic is None else ic
        return self.kit.World(gateways, ic=ic, channel=self.channel() if channel is None else channel, **more)


def renew(ic: Any) -> None:
    due = ic.canister.suite_keys_due()
    if due is not None and due <= ic.now:
        ic.canister.renew_suite_keys(entropy(32), ic.now)


@pytest.fixture
def sealed(kit: Any) -> Sealed:
    return Sealed(kit)


def contents(world: Any) -> list[bytes]:
    """What the client's messages carried."""
    found = [decode_message_argument(call.arg) for call in world.ic.calls if call.method_name == "ws_message"]
    return [message.content for message in found if not message.is_service_message]


def said(world: Any, data: bytes) -> Any:
    send_id = world.send(data)
    world.run_until(lambda: isinstance(world.outcome(send_id), SendExecuted | SendRejected))
    return world.outcome(send_id)


def suite_of(world: Any) -> tuple[str, ...]:
    opens = [decode_open_argument(call.arg).secure for call in world.ic.calls if call.method_name == "ws_open"]
    return tuple(secure.suite for secure in opens if secure is not None)


# hpke-x25519 ----------------------------------------------------------------------------------------------------------


def test_content_is_sealed_both_ways_and_arrives_in_clear(sealed: Sealed) -> None:
    world = sealed.world().attached()
    assert world.client.suite == "hpke-x25519"
    assert isinstance(said(world, b"a secret word"), SendExecuted)
    world.canister_sends(b"a secret answer")
    world.run(1)
    assert world.ic.heard == [b"a secret word"]
    assert world.received == [b"a secret answer"]
    everything = b"".join([call.arg for call in world.ic.calls] + [entry.content for entry in queued(world)])
    assert b"a secret" not in everything


def queued(world: Any) -> list[Any]:
    return [entry for queue in world.ic.canister.state.queues.values() for entry in queue.entries.values()]


@pytest.mark.req("ICWS-PAY-002", "ICWS-PAY-005")
def test_what_is_sent_again_after_a_resume_is_the_same_ciphertext_and_opens(sealed: Sealed) -> None:
    world = sealed.world(gateways=2).attached()
    world.canister_sends(b"one")
    world.run(0.5)
    world.kill(world.connection)
    world.canister_sends(b"two", b"three")
    before = {entry.content for entry in queued(world) if entry.content and b"two" not in entry.content}
    send_ids = [world.send(data) for data in (b"up one", b"up two")]
    world.run(20)
    assert world.received == [b"one", b"two", b"three"]
    assert world.ic.heard == [b"up one", b"up two"]
    assert all(isinstance(world.outcome(each), SendExecuted) for each in send_ids)
    numbered = [decode_message(content) for content in before]
    after = {decode_message(entry.content).sequence_num: entry.content for entry in queued(world) if entry.content}
    for message in numbered:
        if message.sequence_num in after and message.sequence_num:
            assert decode_message(after[message.sequence_num]).content == message.content


@pytest.mark.req("ICWS-PAY-005")
def test_what_was_sealed_under_an_attach_that_never_came_through_opens(sealed: Sealed) -> None:
    """The gateway has the open executed and keeps the attach message back; the canister talks meanwhile."""
    world = sealed.world(gateways=2)
    first = world.gateways[0]
    first.work = lambda: None  # polls nothing
    assert world.run_until(lambda: bool(world.ic.canister.clients()))
    world.canister_sends(b"into the dark")
    assert world.run_until(lambda: world.client.gateway is not None, 120)
    world.canister_sends(b"into the light")
    world.run(1)
    assert world.received == [b"into the dark", b"into the light"]


@pytest.mark.req("ICWS-PAY-005")
def test_message_that_waited_too_long_behind_a_gap_opens_when_it_comes_again(sealed: Sealed) -> None:
    world = sealed.world().attached()
    said(world, b"one")
    ic, key = world.ic, world.client.client_key
    seq = ic.canister.find(key).inbound.accepted_through + 1
    hop, two = world.config.channel._hop.seal(seq, b"two")
    hop, three = hop.seal(seq + 1, b"three")

    def arrives(number: int, content: bytes) -> None:
        message = WebsocketMessage(key, number, ic.now, False, content)
        ic.execute(key.client_principal, "ws_message", encode_message_argument(message))

    arrives(seq + 1, three)
    assert seq + 1 in ic.canister.find(key).inbound.window
    ic.now += REORDER_GAP_TTL_NS
    for _ in range(3):
        ic.canister.on_timer(ic.now)
    assert seq + 1 not in ic.canister.find(key).inbound.window
    arrives(seq + 1, three)
    arrives(seq, two)
    assert ic.heard == [b"one", b"two", b"three"]


@pytest.mark.req("ICWS-PAY-013")
def test_unknown_key_leads_to_new_parameters_and_another_attach(sealed: Sealed) -> None:
    ic = sealed.ic()
    world = sealed.world(ic=ic).attached()
    old = world.client.parameters.suites[0].key_id
    keys = ic.canister.state.suite_keys
    ic.canister.set_suite_keys(replace(keys, keys=()).rotated(entropy(32), ic.now))
    world.break_connection()
    assert world.run_until(lambda: world.client.attach > 1 and world.client.gateway is not None), world.lost
    assert [error.code for error in world.lost if isinstance(error, Refused)] == ["UnknownKey"]
    assert "ws_params" in [call.method_name for call in ic.calls]
    assert world.client.parameters.suites[0].key_id != old
    assert isinstance(said(world, b"sealed to the new key"), SendExecuted)


@pytest.mark.req("ICWS-PAY-013")
def test_replaced_key_is_taken_for_its_grace_and_then_forgotten(sealed: Sealed) -> None:
    ic = sealed.ic()
    canister = ic.canister
    assert canister.suite_keys_due() == ic.now + HPKE_KEY_LIFETIME_NS
    first = canister.state.suite_keys.current
    ic.now += HPKE_KEY_LIFETIME_NS
    renew(ic)
    assert len(canister.state.suite_keys.keys) == 2
    assert canister.suite_keys_due() == ic.now + HPKE_KEY_GRACE_NS
    canister.state.suite_keys.find(first.key_id, ic.now + HPKE_KEY_GRACE_NS - 1)
    ic.now += HPKE_KEY_GRACE_NS
    renew(ic)
    assert first not in canister.state.suite_keys.keys
    assert len(canister.state.suite_keys.keys) == 1
    renew(ic)
    assert len(canister.state.suite_keys.keys) == 1


@pytest.mark.req("ICWS-PAY-003")
def test_unsealed_content_is_refused_by_the_canister_and_skipped(sealed: Sealed) -> None:
    world = sealed.world().attached()
    world.config.channel.seal = lambda seq, data: data
    outcome = said(world, b"in clear")
    assert isinstance(outcome, SendRejected)
    assert isinstance(outcome.error, Refused)
    assert outcome.error.code == "UnsealedContent"
    del world.config.channel.seal
    assert isinstance(said(world, b"sealed"), SendExecuted)
    assert world.ic.heard == [b"sealed"]


@pytest.mark.req("ICWS-PAY-003")
def test_unsealed_content_ends_the_attachment_and_is_not_delivered(sealed: Sealed) -> None:
    world = sealed.world().attached()
    state = world.ic.canister.state
    session = state.sessions[world.client.session_principal]
    world.ic.canister.state = replace(
        state, sessions=state.sessions.set(session.principal, replace(session, channel=None))
    )
    world.canister_sends(b"in clear")
    error = world.first_loss()
    assert error.reason is Reason.UNSEALED
    assert world.received == []
    assert all(event.evidence is None for event in world.events if hasattr(event, "evidence"))


def test_service_messages_stay_readable(sealed: Sealed) -> None:
    world = sealed.world().attached()
    world.run(330)
    assert world.client.gateway is not None
    world.close()
    world.end()
    assert world.ic.canister.state.sessions[world.client.session_principal].channel is None


@pytest.mark.req("ICWS-LIB-026")
def test_keys_are_dropped_at_the_end_and_never_show(sealed: Sealed) -> None:
    world = sealed.world().attached()
    said(world, b"x")
    channel = world.config.channel
    assert repr(channel) == "<SuiteChannel hpke-x25519>"
    assert "channel" not in repr(world.config)
    state = world.ic.canister.state
    assert "chain" not in repr(state.sessions[world.client.session_principal]).lower()
    world.close()
    world.end()
    assert channel._hop is None
    for use in (channel.seal, channel.open):
        with pytest.raises(MisuseError):
            use(9, b"x")


def test_largest_message_leaves_room_for_the_seal(sealed: Sealed) -> None:
    world = sealed.world().attached()
    limit = world.client.parameters.max_content_bytes
    with pytest.raises(MisuseError) as caught:
        world.send(bytes(limit - HOP_OVERHEAD_BYTES + 1))
    assert caught.value.reason is Reason.TOO_LARGE
    assert isinstance(said(world, bytes(limit - HOP_OVERHEAD_BYTES)), SendExecuted)


# restarts -------------------------------------------------------------------------------------------------------------


@pytest.mark.req("ICWS-PAY-002", "ICWS-PAY-005")
def test_restarted_client_opens_again_what_the_application_had_not_taken(sealed: Sealed) -> None:
    ic = sealed.ic()
    world = sealed.world(ic=ic, persist=True, takes=False).attached()
    world.canister_sends(b"one", b"two", b"three")
    world.run(1)
    assert world.received == [b"one", b"two", b"three"]
    first = next(event for event in world.events if isinstance(event, Message))
    world.client.taken(first.seq, world.client_now)
    world.drain()
    world.kill(world.connection)

    again = sealed.world(ic=ic, saved=world.saved, persist=True, names=["another"]).attached()
    again.run(1)
    assert again.received == [b"two", b"three"]
    again.canister_sends(b"four")
    assert isinstance(said(again, b"up"), SendExecuted)
    again.run(1)
    assert again.received == [b"two", b"three", b"four"]


@pytest.mark.req("ICWS-PAY-005")
def test_restarted_client_opens_what_was_sealed_under_an_open_that_it_never_saw_answered(sealed: Sealed) -> None:
    ic = sealed.ic()
    world = sealed.world(ic=ic, persist=True)
    world.gateways[0].work = lambda: None
    assert world.run_until(lambda: bool(ic.canister.clients()))
    world.canister_sends(b"into the dark")
    again = sealed.world(ic=ic, saved=world.saved, names=["another"]).attached()
    again.run(1)
    assert again.received == [b"into the dark"]


@pytest.mark.req("ICWS-PAY-003", "ICWS-PAY-012")
def test_saved_session_keeps_its_suite(sealed: Sealed, kit: Any) -> None:
    ic = sealed.ic()
    world = sealed.world(ic=ic, persist=True).attached()
    with pytest.raises(MisuseError):
        kit.World(ic=ic, saved=world.saved, names=["x"])
    plain = kit.World(ic=sealed.ic(), persist=True, names=["y"]).attached()
    with pytest.raises(MisuseError):
        sealed.world(ic=plain.ic, saved=plain.saved)
    with pytest.raises(PayloadViolation) as caught:
        sealed.world(ic=ic, saved=world.saved, channel=sealed.channel(NONE))
    assert caught.value.reason is Reason.SUITE_TOO_WEAK


@pytest.mark.parametrize("state", [b"", b"\x80", b"\x83\x01\xf6\x80", b"\x83\x6bhpke-x25519\xf6\x81\x01"])
def test_other_saved_keys_are_refused(sealed: Sealed, state: bytes) -> None:
    world = sealed.world().attached()
    with pytest.raises(DecodeError):
        sealed.channel().restore(state, world.client.parameters, world.client.client_key)


def test_canister_goes_on_after_an_upgrade(sealed: Sealed) -> None:
    world = sealed.world().attached()
    said(world, b"before")
    ic = world.ic
    ic.canister = type(ic.canister).from_stable(ic.config, ic.canister.to_stable(), now=ic.now, seed=bytes(32))
    assert isinstance(said(world, b"after"), SendExecuted)
    world.canister_sends(b"and back")
    world.run(1)
    assert world.received == [b"and back"]


# negotiation ----------------------------------------------------------------------------------------------------------


@pytest.mark.req("ICWS-PAY-012")
@pytest.mark.parametrize(
    ("offered", "strongest", "minimum", "chosen"),
    [
        ((HPKE, NONE), HPKE, HPKE, "hpke-x25519"),
        ((HPKE, NONE), HPKE, NONE, "hpke-x25519"),
        ((NONE,), HPKE, NONE, "none"),
        ((VETKD, HPKE, NONE), HPKE, HPKE, "hpke-x25519"),
        ((VETKD, HPKE, NONE), VETKD, HPKE, "vetkd-bls12-381"),
        ((HPKE, NONE), VETKD, HPKE, "hpke-x25519"),
    ],
)
def test_strongest_suite_in_common_is_taken(
    sealed: Sealed, offered: tuple[SuiteName, ...], strongest: SuiteName, minimum: SuiteName, chosen: str
) -> None:
    world = sealed.world(ic=sealed.ic(*offered), channel=sealed.channel(strongest, minimum)).attached()
    assert world.client.suite == chosen
    assert suite_of(world) == (chosen,)


@pytest.mark.req("ICWS-PAY-012")
@pytest.mark.parametrize(
    ("offered", "strongest"),
    [((NONE,), HPKE), ((HPKE, NONE), VETKD), ((NONE,), VETKD), ((HPKE,), NONE), ((VETKD,), HPKE)],
)
def test_client_refuses_what_is_weaker_than_its_minimum(
    sealed: Sealed, kit: Any, offered: tuple[SuiteName, ...], strongest: SuiteName
) -> None:
    ic = sealed.ic(*offered)
    world = kit.World(ic=ic) if strongest is NONE else sealed.world(ic=ic, channel=sealed.channel(strongest))
    error = world.end()
    assert isinstance(error, PayloadViolation)
    assert error.reason is Reason.SUITE_TOO_WEAK
    assert "ws_open" not in [call.method_name for call in ic.calls]


@pytest.mark.req("ICWS-PAY-012")
def test_client_without_a_channel_keeps_its_minimum(sealed: Sealed, kit: Any) -> None:
    error = kit.World(ic=sealed.ic(), minimum_suite="hpke-x25519").end()
    assert error.reason is Reason.SUITE_TOO_WEAK


@pytest.mark.req("ICWS-PAY-012")
def test_canister_refuses_what_is_weaker_than_the_owner_asked_for(sealed: Sealed, kit: Any) -> None:
    """A client that lies about its minimum to itself is stopped by the canister, with a certified refusal."""
    ic = sealed.ic()
    world = sealed.world(ic=ic, channel=sealed.channel(HPKE, NONE), minimum_suite="hpke-x25519")
    world.config.channel._supported = ["none"]
    error = world.end()
    assert isinstance(error, SessionEnded)
    assert isinstance(error.__cause__, Refused)
    assert error.__cause__.code == "SuiteTooWeak"


@pytest.mark.req("ICWS-PAY-012")
def test_minimum_above_the_suite_is_misuse(sealed: Sealed) -> None:
    with pytest.raises(MisuseError):
        sealed.channel(HPKE, VETKD)


# vetkd-bls12-381 ------------------------------------------------------------------------------------------------------


def post(world: Any, data: bytes = b"hello") -> bytes:
    keys = RoomKeys(VETKEY, Room(world.ic.canister_id, b"kitchen", 1))
    return RoomPost(b"kitchen", RoomSender(keys, world.client.session_principal).seal(data)[1]).encode()


@pytest.mark.req("ICWS-PAY-003")
def test_under_vetkd_only_what_members_have_sealed_passes(sealed: Sealed) -> None:
    world = sealed.world(ic=sealed.ic(VETKD), channel=sealed.channel(VETKD)).attached()
    with pytest.raises(MisuseError) as caught:
        world.send(b"in clear")
    assert caught.value.reason is Reason.UNSEALED
    assert isinstance(said(world, post(world)), SendExecuted)
    assert world.ic.heard == [post(world)]
    with pytest.raises(MisuseError):
        world.canister_sends(b"in clear")
    world.canister_sends(RoomEpoch(b"kitchen", 2).encode())
    world.run(1)
    assert world.received == [RoomEpoch(b"kitchen", 2).encode()]


@pytest.mark.req("ICWS-PAY-003")
def test_under_vetkd_unsealed_content_is_refused_at_both_ends(sealed: Sealed) -> None:
    world = sealed.world(ic=sealed.ic(VETKD), channel=sealed.channel(VETKD)).attached()
    world.config.channel.check = lambda data: None
    outcome = said(world, b"in clear")
    assert outcome.error.code == "UnsealedContent"
    channel = sealed.channel(VETKD)
    channel.negotiate(world.client.parameters)
    with pytest.raises(PayloadViolation) as caught:
        channel.open(1, b"in clear")
    assert caught.value.reason is Reason.UNSEALED


def test_suites_need_a_sensible_configuration() -> None:
    wrong: list[dict[str, Any]] = [{"offered": frozenset()}, {"lifetime_ns": 0}, {"grace_ns": 60 * NS_PER_S}]
    for settings in wrong:
        with pytest.raises(MisuseError):
            SealedSuites(**settings)


def test_channels_of_an_upgrade_are_read_strictly() -> None:
    for data in (b"", b"\x80", b"\x81\x61x"):
        with pytest.raises(DecodeError):
            SealedSuites(canister=Principal(b"\x01")).restore(data)
