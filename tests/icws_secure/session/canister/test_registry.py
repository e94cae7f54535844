"""Registering, listing and revoking."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from icws_secure.limits import NS_PER_S
from icws_secure.session.canister import CanisterConfig, CanisterSessions
from icws_secure.wire.interface import ClientKey
from icws_secure.wire.principal import ANONYMOUS, MANAGEMENT, Principal
from icws_secure.wire.refusal import RefusalCode
from icws_secure.wire.registration import Parameters, SessionState

CANISTER = Principal(bytes.fromhex("00000000000000020101"))
HOUR_NS = 3_600 * NS_PER_S


@pytest.fixture
def names(make_user: Callable[[str], Principal]) -> Callable[..., list[Principal]]:
    return lambda *names: [make_user(name) for name in names]


def test_the_certified_parameters_are_the_settings(make_world: Any, names: Any) -> None:
    world = make_world(retained_messages=9, window_messages=5, resume_window_ns=77 * NS_PER_S)
    owner, session = names("owner", "session")
    parameters = world.register(owner, session)
    assert isinstance(parameters, Parameters)
    assert (parameters.owner, parameters.session_principal) == (owner, session)
    assert parameters.profile == "icws-secure/1"
    assert parameters.epoch == world.sessions.state.epoch_ns
    assert parameters.retained_messages == 9
    assert parameters.window_messages == 5
    assert parameters.resume_window_ns == 77 * NS_PER_S
    assert parameters.features == ("batch",)
    assert [suite.name for suite in parameters.suites] == ["none"]


@pytest.mark.req("ICWS-CAN-001")
def test_a_registration_of_the_same_session_principal_does_not_affect_another_owner(
    world: Any, names: Any, code_of: Any
) -> None:
    alice, mallory, session, gateway = names("alice", "mallory", "session", "gateway")
    for first, second in ((alice, mallory), (mallory, alice)):
        one = world.register(first, session)
        two = world.register(second, session)
        assert one.registration_id != two.registration_id
    hers = world.register(alice, session)
    assert hers.owner == alice
    assert world.open(session, hers, gateway) is None
    assert world.sessions.find(world.events[0].client_key).owner == alice


@pytest.mark.req("ICWS-CAN-001", "ICWS-CAN-002")
def test_a_session_principal_that_has_opened_is_bound_to_that_registration_for_ever(
    world: Any, alice: Any, names: Any, code_of: Any
) -> None:
    (mallory,) = names("mallory")
    before = world.sessions.state
    assert code_of(world.register(mallory, alice.principal)) is RefusalCode.SESSION_PRINCIPAL_BOUND
    assert world.sessions.state is before
    assert world.revoke(alice.owner, alice.principal) == 1
    assert code_of(world.register(mallory, alice.principal)) is RefusalCode.SESSION_PRINCIPAL_BOUND


@pytest.mark.req("ICWS-CAN-002")
def test_others_registrations_are_void_once_the_session_principal_has_opened(
    world: Any, names: Any, code_of: Any
) -> None:
    alice, mallory, session, gateway = names("alice", "mallory", "session", "gateway")
    theirs = world.register(mallory, session)
    hers = world.register(alice, session)
    assert world.open(session, hers, gateway) is None
    assert code_of(world.open(session, theirs, gateway, attach=2)) is RefusalCode.WRONG_REGISTRATION
    assert world.list_sessions(mallory) == ()


@pytest.mark.req("ICWS-CAN-002")
@pytest.mark.parametrize("principal", [ANONYMOUS, MANAGEMENT, CANISTER])
def test_a_session_principal_must_be_self_authenticating(
    world: Any, names: Any, code_of: Any, principal: Principal
) -> None:
    assert code_of(world.register(names("owner")[0], principal)) is RefusalCode.INVALID_SESSION_PRINCIPAL


@pytest.mark.req("ICWS-CAN-002")
def test_a_session_principal_is_not_the_owners_own(world: Any, names: Any, code_of: Any) -> None:
    (owner,) = names("owner")
    assert code_of(world.register(owner, owner)) is RefusalCode.INVALID_SESSION_PRINCIPAL


@pytest.mark.req("ICWS-CAN-002")
def test_who_has_an_open_omnia_session_is_no_session_principal(world: Any, names: Any, code_of: Any) -> None:
    owner, user, gateway = names("owner", "user", "gateway")
    assert world.open(user, None, gateway) is None
    assert code_of(world.register(owner, user)) is RefusalCode.SESSION_PRINCIPAL_BOUND


@pytest.mark.req("ICWS-CAN-003")
@pytest.mark.parametrize(
    ("caller", "code"),
    [
        (ANONYMOUS, RefusalCode.ANONYMOUS_CALLER),
        (CANISTER, RefusalCode.CALLER_NOT_ALLOWED),
        (MANAGEMENT, RefusalCode.CALLER_NOT_ALLOWED),
    ],
)
def test_only_users_register(world: Any, names: Any, code_of: Any, caller: Principal, code: RefusalCode) -> None:
    assert code_of(world.register(caller, names("session")[0])) is code


@pytest.mark.req("ICWS-CAN-003")
def test_a_live_session_principal_cannot_register(world: Any, alice: Any, names: Any, code_of: Any) -> None:
    assert code_of(world.register(alice.principal, names("another")[0])) is RefusalCode.CALLER_NOT_ALLOWED


@pytest.mark.req("ICWS-CAN-001", "ICWS-CAN-003")
def test_naming_a_user_as_session_principal_does_not_keep_the_user_from_registering(world: Any, names: Any) -> None:
    mallory, alice, session = names("mallory", "alice", "session")
    assert isinstance(world.register(mallory, alice), Parameters)
    assert isinstance(world.register(alice, session), Parameters)


@pytest.mark.req("ICWS-CAN-004")
def test_registering_a_live_pair_again_extends_the_expiry_and_resets_nothing(world: Any, alice: Any) -> None:
    world.send(alice.key, b"one")
    world.message(alice.principal, 1)
    world.sleep(60)
    again = world.register(alice.owner, alice.principal)
    assert again.registration_id == alice.parameters.registration_id
    assert again.expires_at_ns == alice.parameters.expires_at_ns + 60 * NS_PER_S
    head = alice.head
    assert (head.next_out, head.next_in, head.attach, head.state) == (2, 2, 1, SessionState.OPEN)
    assert head.expires_at_ns == again.expires_at_ns


@pytest.mark.req("ICWS-CAN-004")
@pytest.mark.parametrize("opened", [True, False])
def test_registering_again_never_shortens_the_expiry(world: Any, names: Any, opened: bool) -> None:
    owner, session, gateway = names("owner", "session", "gateway")
    first = world.register(owner, session)
    if opened:
        world.open(session, first, gateway)
    again = world.register(owner, session, expires_at_ns=world.now + 60 * NS_PER_S)
    assert again == first


@pytest.mark.req("ICWS-CAN-005")
@pytest.mark.parametrize("opened", [True, False])
def test_a_revoked_pair_is_refused_for_six_minutes(world: Any, names: Any, code_of: Any, opened: bool) -> None:
    owner, session, gateway = names("owner", "session", "gateway")
    parameters = world.register(owner, session)
    if opened:
        world.open(session, parameters, gateway)
        world.handle_all()
    assert world.revoke(owner, session) == 1
    world.tick(359)
    assert code_of(world.register(owner, session)) is RefusalCode.RECENTLY_REVOKED
    if not opened:
        world.tick(2)
        assert isinstance(world.register(owner, session), Parameters)


@pytest.mark.req("ICWS-CAN-005")
def test_a_pair_that_was_revoked_before_its_withheld_registration_arrives_is_refused(
    world: Any, names: Any, code_of: Any
) -> None:
    owner, session = names("owner", "session")
    assert world.revoke(owner, session) == 0
    assert code_of(world.register(owner, session)) is RefusalCode.RECENTLY_REVOKED


@pytest.mark.req("ICWS-CAN-005")
def test_an_expired_pair_is_refused_for_six_minutes(make_world: Any, make_alice: Any, code_of: Any) -> None:
    world = make_world(session_ttl_ns=30 * NS_PER_S)
    alice = make_alice(world)
    world.sleep(31)
    assert code_of(world.register(alice.owner, alice.principal)) is RefusalCode.EXPIRED
    world.tick()
    assert alice.head.close_code == "Expired"
    world.tick(359)
    assert code_of(world.register(alice.owner, alice.principal)) is RefusalCode.EXPIRED


@pytest.mark.req("ICWS-CAN-005")
def test_after_revoke_all_registrations_signed_before_are_refused(world: Any, names: Any, code_of: Any) -> None:
    owner, first, second = names("owner", "first", "second")
    signed = world.now
    world.sleep(10)
    assert world.revoke(owner, None) == 0
    assert code_of(world.register(owner, first, created_at_ns=signed)) is RefusalCode.REGISTRATION_TOO_OLD
    assert code_of(world.register(owner, first, created_at_ns=world.now)) is RefusalCode.REGISTRATION_TOO_OLD
    assert isinstance(world.register(owner, second, created_at_ns=world.now + 1), Parameters)
    # the floor may be forgotten, since what was signed then is too old by itself
    world.tick(1_000)
    assert world.sessions.state.floors.get(owner) is None
    assert code_of(world.register(owner, first, created_at_ns=signed)) is RefusalCode.REGISTRATION_TOO_OLD


@pytest.mark.req("ICWS-CAN-005")
def test_a_revoke_all_that_arrives_late_does_not_lower_the_floor(world: Any, names: Any, code_of: Any) -> None:
    owner, session = names("owner", "session")
    world.revoke(owner, None)
    world.revoke(owner, None, created_at_ns=world.now - 60 * NS_PER_S)
    assert code_of(world.register(owner, session)) is RefusalCode.REGISTRATION_TOO_OLD


def test_a_registration_from_the_future_is_refused(world: Any, names: Any, code_of: Any) -> None:
    owner, session = names("owner", "session")
    later = world.now + 361 * NS_PER_S
    assert code_of(world.register(owner, session, created_at_ns=later)) is RefusalCode.MALFORMED_ARGUMENT


@pytest.mark.req("ICWS-CAN-006")
def test_the_expiry_is_capped_at_eight_hours(world: Any, names: Any) -> None:
    owner, one, two, three = names("owner", "1", "2", "3")
    assert world.register(owner, one).expires_at_ns == world.now + 8 * HOUR_NS
    assert world.register(owner, two, expires_at_ns=world.now + 9 * HOUR_NS).expires_at_ns == world.now + 8 * HOUR_NS
    assert world.register(owner, three, expires_at_ns=world.now + HOUR_NS).expires_at_ns == world.now + HOUR_NS


@pytest.mark.req("ICWS-CAN-006")
def test_no_setting_allows_more_than_seven_days() -> None:
    CanisterConfig(session_ttl_ns=7 * 24 * HOUR_NS)
    with pytest.raises(Exception, match="session_ttl_ns"):
        CanisterConfig(session_ttl_ns=7 * 24 * HOUR_NS + 1)


def test_an_expiry_that_is_over_is_refused(world: Any, names: Any, code_of: Any) -> None:
    owner, session = names("owner", "session")
    assert code_of(world.register(owner, session, expires_at_ns=world.now)) is RefusalCode.EXPIRED


@pytest.mark.req("ICWS-CAN-007")
def test_over_the_owners_limit_a_registration_is_refused_with_the_list(
    make_world: Any, names: Any, code_of: Any
) -> None:
    world = make_world(max_sessions_per_owner=2)
    owner, one, two, three, gateway = names("owner", "one", "two", "three", "gateway")
    for session in (one, two):
        world.open(session, world.register(owner, session), gateway)
    refusal = world.register(owner, three)
    assert code_of(refusal) is RefusalCode.TOO_MANY_SESSIONS
    assert set(refusal.words.split()) == {one.to_text(), two.to_text()}
    assert {info.session_principal for info in world.list_sessions(owner)} == {one, two}


@pytest.mark.req("ICWS-CAN-007")
def test_only_the_named_session_is_evicted(make_world: Any, names: Any, code_of: Any) -> None:
    world = make_world(max_sessions_per_owner=2)
    owner, one, two, three, gateway, stranger = names("owner", "one", "two", "three", "gateway", "stranger")
    for session in (one, two):
        world.open(session, world.register(owner, session), gateway)
    theirs = world.register(stranger, names("theirs")[0])
    assert code_of(world.register(owner, three, evict=theirs.session_principal)) is RefusalCode.TOO_MANY_SESSIONS
    assert isinstance(world.register(owner, three, evict=one), Parameters)
    assert world.head(one).close_code == "Revoked"
    assert world.head(two).state is SessionState.OPEN
    assert world.head(theirs.session_principal).state is SessionState.REGISTERED


@pytest.mark.req("ICWS-CAN-007")
def test_nobody_is_evicted_while_there_is_place(world: Any, alice: Any, names: Any) -> None:
    assert isinstance(world.register(alice.owner, names("another")[0], evict=alice.principal), Parameters)
    assert alice.head.state is SessionState.OPEN


@pytest.mark.req("ICWS-CAN-007")
def test_a_session_that_was_never_opened_makes_place_unasked(make_world: Any, names: Any) -> None:
    world = make_world(max_sessions_per_owner=2)
    owner, one, two, three, gateway = names("owner", "one", "two", "three", "gateway")
    world.open(one, world.register(owner, one), gateway)
    world.register(owner, two)
    assert isinstance(world.register(owner, three), Parameters)
    assert {info.session_principal for info in world.list_sessions(owner)} == {one, three}


@pytest.mark.req("ICWS-CAN-008")
def test_an_unopened_registration_lives_for_two_minutes(world: Any, names: Any, code_of: Any) -> None:
    owner, session, gateway = names("owner", "session", "gateway")
    parameters = world.register(owner, session)
    world.sleep(120)
    assert code_of(world.open(session, parameters, gateway)) is RefusalCode.NOT_REGISTERED
    world.tick()
    assert world.list_sessions(owner) == ()
    assert world.head(session) is None
    assert not world.sessions.state.pending_owners


@pytest.mark.req("ICWS-CAN-008")
def test_near_the_cap_new_owners_need_consent_and_owners_with_sessions_do_not(
    make_world: Any, names: Any, code_of: Any
) -> None:
    asked: list[Principal] = []
    gateway, stranger, friend = names("gateway", "stranger", "friend")

    def allow(owner: Principal) -> bool:
        asked.append(owner)
        return bool(owner == friend)

    world = make_world(max_sessions=8, allow_register=allow)
    owners = names(*(f"owner {number}" for number in range(6)))
    for place, owner in enumerate(owners):
        (session,) = names(f"session {place}")
        world.open(session, world.register(owner, session), gateway)
    assert asked == []
    (session,) = names("more")
    assert code_of(world.register(stranger, session)) is RefusalCode.REGISTRATION_FULL
    assert isinstance(world.register(friend, session), Parameters)
    assert asked == [stranger, friend]
    assert isinstance(world.register(owners[0], session), Parameters)


@pytest.mark.req("ICWS-CAN-008", "ICWS-CAN-027")
def test_at_the_cap_nobody_is_evicted_for_strangers(make_world: Any, names: Any, code_of: Any) -> None:
    world = make_world(max_sessions=3, allow_register=lambda owner: True)
    sessions = names("one", "two", "three")
    owners = names("o1", "o2", "o3")
    for owner, session in zip(owners, sessions, strict=True):
        world.open(session, world.register(owner, session), names("gateway")[0])
    assert code_of(world.register(*names("stranger", "four"))) is RefusalCode.REGISTRATION_FULL
    assert all(world.head(session).state is SessionState.OPEN for session in sessions)


@pytest.mark.req("ICWS-CAN-027")
def test_what_is_remembered_of_one_owner_is_bounded(make_world: Any, names: Any, code_of: Any) -> None:
    world = make_world(max_ended_per_owner=3)
    (owner,) = names("owner")
    for number in range(3):
        assert world.revoke(owner, names(f"never registered {number}")[0]) == 0
    assert code_of(world.revoke(owner, names("one more")[0])) is RefusalCode.TOO_MANY
    world.tick(361)
    assert not world.sessions.state.refused
    assert not world.sessions.state.owners
    assert world.revoke(owner, names("one more")[0]) == 0


@pytest.mark.req("ICWS-CAN-064")
def test_an_owner_lists_only_own_sessions(world: Any, make_alice: Any, code_of: Any) -> None:
    alice, bob = make_alice(world), make_alice(world, "bob")
    (info,) = world.list_sessions(alice.owner)
    assert (info.session_principal, info.state, info.attach) == (alice.principal, SessionState.OPEN, 1)
    assert info.registration_id == alice.parameters.registration_id
    assert world.list_sessions(alice.principal) == ()
    assert code_of(world.list_sessions(ANONYMOUS)) is RefusalCode.ANONYMOUS_CALLER
    assert [other.session_principal for other in world.list_sessions(bob.owner)] == [bob.principal]


@pytest.mark.req("ICWS-CAN-064")
def test_revoke_ends_the_session_and_makes_tombstones_of_what_is_queued(world: Any, alice: Any) -> None:
    world.send(alice.key, b"secret")
    assert world.revoke(alice.owner, alice.principal) == 1
    assert alice.head.close_code == "Revoked"
    (left,) = alice.received()
    assert left.service.code == "Revoked"
    outputs = world.poll_raw(alice.gateway).messages
    assert [output.content for output in outputs[:2]] == [b"", b""]
    assert world.sessions.find(alice.key).outbound.retained_bytes == 0


@pytest.mark.req("ICWS-CAN-064")
def test_a_session_key_revokes_itself_and_no_other(world: Any, make_alice: Any) -> None:
    alice, bob = make_alice(world), make_alice(world, "bob")
    assert world.revoke(alice.principal, bob.principal) == 0
    assert world.revoke(alice.owner, bob.principal) == 0
    assert bob.head.state is SessionState.OPEN
    assert world.revoke(alice.principal, alice.principal) == 1
    assert alice.head.close_code == "Revoked"


@pytest.mark.req("ICWS-CAN-064")
def test_a_session_key_cannot_revoke_all_of_its_owners(world: Any, alice: Any, names: Any) -> None:
    (second,) = names("second")
    world.register(alice.owner, second)
    assert world.revoke(alice.principal, None) == 0
    assert len(world.list_sessions(alice.owner)) == 2


def test_revoke_all_ends_every_session_of_the_owner(world: Any, alice: Any, names: Any, make_alice: Any) -> None:
    bob = make_alice(world, "bob")
    (second,) = names("second")
    world.register(alice.owner, second)
    assert world.revoke(alice.owner, None) == 2
    assert alice.head.close_code == "Revoked"
    assert world.head(second) is None
    assert bob.head.state is SessionState.OPEN


def test_a_revoke_that_was_withheld_for_long_is_refused(world: Any, alice: Any, code_of: Any) -> None:
    old = world.now - 361 * NS_PER_S
    assert code_of(world.revoke(alice.owner, None, created_at_ns=old)) is RefusalCode.REGISTRATION_TOO_OLD
    assert alice.head.state is SessionState.OPEN


def test_a_suite_that_is_not_offered_is_too_strong_a_demand(world: Any, names: Any, code_of: Any) -> None:
    owner, session = names("owner", "session")
    for suite in ("hpke-x25519", "nonsense"):
        assert code_of(world.register(owner, session, minimum_suite=suite)) is RefusalCode.SUITE_TOO_WEAK
    assert isinstance(world.register(owner, session, minimum_suite="none"), Parameters)


@pytest.mark.req("ICWS-CAN-009")
def test_who_opens_as_omnia_is_not_taken_as_a_session_principal(make_world: Any, make_user: Any, code_of: Any) -> None:
    world = make_world(profiles=frozenset({"omnia", "secure"}))
    bob, stranger, gateway = make_user("bob"), make_user("stranger"), make_user("gateway")
    assert world.open(bob, None, gateway) is None
    world.close(gateway, ClientKey(bob, 7))
    world.handle_all()
    assert world.sessions.state.sessions.get(bob) is None
    before = world.sessions.state
    assert code_of(world.register(stranger, bob)) is RefusalCode.SESSION_PRINCIPAL_BOUND
    assert world.sessions.state is before
    world.tick(3_600)
    restored = CanisterSessions.from_stable(world.config, world.sessions.to_stable(), now=world.now, seed=bytes(32))
    assert restored.state.omnia_seen == world.sessions.state.omnia_seen
    assert code_of(world.register(stranger, bob)) is RefusalCode.SESSION_PRINCIPAL_BOUND
    assert world.open(bob, None, gateway, client_nonce=8) is None  # remembered for a day from now on
    world.close(gateway, ClientKey(bob, 8))
    world.tick(23.5 * 3_600)
    assert code_of(world.register(stranger, bob)) is RefusalCode.SESSION_PRINCIPAL_BOUND
    world.tick(3_600)
    assert bob not in world.sessions.state.omnia_seen
    assert isinstance(world.register(stranger, bob), Parameters)


@pytest.mark.req("ICWS-CAN-009", "ICWS-CAN-010")
def test_who_was_registered_by_a_stranger_can_free_itself(make_world: Any, make_user: Any, code_of: Any) -> None:
    world = make_world(profiles=frozenset({"omnia", "secure"}))
    bob, stranger, gateway = make_user("bob"), make_user("stranger"), make_user("gateway")
    assert isinstance(world.register(stranger, bob), Parameters)
    assert code_of(world.open(bob, None, gateway)) is RefusalCode.SECURE_FIELDS_MISSING
    assert world.revoke(bob, bob) == 1
    assert world.open(bob, None, gateway) is None
    assert code_of(world.register(stranger, bob)) is RefusalCode.SESSION_PRINCIPAL_BOUND


@pytest.mark.req("ICWS-CAN-009", "ICWS-CAN-027")
def test_what_is_remembered_of_omnia_is_bounded(make_world: Any, make_user: Any) -> None:
    world = make_world(profiles=frozenset({"omnia", "secure"}), max_sessions=3)
    gateway = make_user("gateway")
    for number in range(5):
        name = make_user(f"user {number}")
        assert world.open(name, None, gateway) is None
        world.close(gateway, ClientKey(name, 7))
        world.handle_all()
    assert len(world.sessions.state.omnia_seen) == 3
