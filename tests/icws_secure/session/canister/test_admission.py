"""``inspect_message``, and that the methods check again."""

from __future__ import annotations

from typing import Any

import pytest

from icws_secure.session.canister import OMNIA_METHODS, SECURE_METHODS
from icws_secure.wire import interface as wire
from icws_secure.wire import registration as reg
from icws_secure.wire.principal import ANONYMOUS, Principal
from icws_secure.wire.refusal import RefusalCode

UPDATES = sorted((OMNIA_METHODS | SECURE_METHODS) - {"ws_get_messages", "ws_sessions"})
CANISTER = Principal(bytes.fromhex("00000000000000020101"))


@pytest.mark.req("ICWS-CAN-070")
@pytest.mark.parametrize("method", UPDATES)
def test_the_anonymous_principal_is_refused_early(world: Any, alice: Any, method: str) -> None:
    assert not world.sessions.inspect(ANONYMOUS, method, 10)


@pytest.mark.req("ICWS-CAN-070")
@pytest.mark.parametrize("method", ["ws_message", "ws_message_batch", "ws_close", "ws_params", "ws_audit"])
def test_strangers_are_refused_early(world: Any, alice: Any, make_user: Any, method: str) -> None:
    assert not world.sessions.inspect(make_user("stranger"), method, 10)


@pytest.mark.req("ICWS-CAN-070")
def test_who_may_call_is_let_through(world: Any, alice: Any, make_user: Any) -> None:
    for method in ("ws_open", "ws_message", "ws_message_batch", "ws_params", "ws_audit", "ws_revoke"):
        assert world.sessions.inspect(alice.principal, method, 100)
    for method in ("ws_close", "ws_audit"):
        assert world.sessions.inspect(alice.gateway, method, 100)
    for method in ("ws_register", "ws_revoke", "ws_open"):
        assert world.sessions.inspect(make_user("stranger"), method, 100)
    world.register(make_user("owner"), make_user("session"))
    assert world.sessions.inspect(make_user("session"), "ws_params", 100)


@pytest.mark.req("ICWS-CAN-070")
@pytest.mark.parametrize("method", UPDATES)
def test_large_arguments_are_refused_early(world: Any, alice: Any, method: str) -> None:
    caller = alice.gateway if method == "ws_close" else alice.principal
    assert world.sessions.inspect(caller, method, 8 << 10)
    assert not world.sessions.inspect(caller, method, 2 << 20)


@pytest.mark.req("ICWS-CAN-070")
def test_large_arguments_are_refused_by_the_methods_too(world: Any, alice: Any, code_of: Any) -> None:
    huge = bytes(2 << 20)
    sessions, now = world.sessions, world.now
    for reply in (
        reg.decode_register_result(sessions.register(alice.owner, huge, now).reply),
        reg.decode_params_result(sessions.params(alice.principal, huge, now).reply),
        reg.decode_revoke_result(sessions.revoke(alice.owner, huge, now).reply),
        reg.decode_audit_result(sessions.audit(alice.principal, huge, None)),
        wire.decode_open_result(sessions.open(alice.principal, huge, now).reply),
        wire.decode_close_result(sessions.close(alice.gateway, huge, now).reply),
    ):
        assert code_of(reply) is RefusalCode.MALFORMED_ARGUMENT
    for result in (
        wire.decode_message_result(sessions.message(alice.principal, huge, now).reply),
        wire.decode_message_batch_result(sessions.message_batch(alice.principal, huge, now).reply),
    ):
        assert code_of(result) is RefusalCode.CONTENT_TOO_LARGE


@pytest.mark.req("ICWS-CAN-070")
def test_after_the_end_messages_are_refused_early(world: Any, alice: Any) -> None:
    world.revoke(alice.owner, alice.principal)
    assert not world.sessions.inspect(alice.principal, "ws_message", 10)


@pytest.mark.req("ICWS-CAN-070")
def test_registrations_over_the_cap_are_refused_early_but_for_owners_with_sessions(
    make_world: Any, make_alice: Any, make_user: Any
) -> None:
    world = make_world(max_sessions=1)
    alice = make_alice(world)
    assert not world.sessions.inspect(make_user("stranger"), "ws_register", 10)
    assert world.sessions.inspect(alice.owner, "ws_register", 10)
    assert not world.sessions.inspect(CANISTER, "ws_register", 10)


def test_a_canister_of_one_profile_lets_only_that_through(make_world: Any, make_user: Any) -> None:
    user = make_user("user")
    omnia = make_world(profiles=frozenset({"omnia"}))
    assert omnia.sessions.inspect(user, "ws_open", 10)
    for method in sorted(SECURE_METHODS):
        assert not omnia.sessions.inspect(user, method, 10)
    secure = make_world(profiles=frozenset({"secure"}))
    assert not secure.sessions.inspect(user, "ws_open", 10)


@pytest.mark.req("ICWS-CAN-072")
def test_the_secure_methods_of_an_omnia_canister_refuse(make_world: Any, make_user: Any, code_of: Any) -> None:
    world = make_world(profiles=frozenset({"omnia"}))
    assert code_of(world.register(make_user("owner"), make_user("session"))) is RefusalCode.CALLER_NOT_ALLOWED
