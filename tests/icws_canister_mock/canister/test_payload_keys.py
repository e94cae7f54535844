"""The kit keeps the keys of the payload suites: made before anybody needs one, replaced and forgotten in time."""

from __future__ import annotations

from typing import Any

import pytest

from icws_canister_mock.canister import SECURE, CanisterConfig, WebSocketCanister
from icws_secure.limits import NS_PER_S
from icws_secure.payload import KeyRing, SuiteName
from icws_secure.session.canister import SealedSuites

pytestmark = pytest.mark.req("ICWS-PAY-013")


class Safe(WebSocketCanister):
    """Replaces its key every minute."""

    config = CanisterConfig(profiles=frozenset({SECURE}), suites=SealedSuites(lifetime_ns=60 * NS_PER_S))


def ring(stage: Any) -> KeyRing:
    keys = stage.canister.ws._sessions.state.suite_keys
    assert isinstance(keys, KeyRing)
    return keys


def test_key_is_there_before_the_first_registration_is_answered(stage_of: Any, make_user: Any) -> None:
    stage = stage_of(Safe())
    parameters = stage.register(make_user("alice"), make_user("alice's session"))
    names = [suite.name for suite in parameters.suites]
    assert names == ["hpke-x25519", "none"]
    assert parameters.suites[0].public_key == ring(stage).current.public_key
    assert parameters.suites[0].expires_at_ns == ring(stage).current.replace_at_ns


def test_key_is_replaced_and_the_old_one_forgotten_after_its_grace(stage_of: Any, make_user: Any) -> None:
    stage = stage_of(Safe())
    stage.register(make_user("alice"), make_user("alice's session"))
    first = ring(stage).current
    stage.sleep(65)
    assert ring(stage).current.key_id != first.key_id
    assert first.key_id in [key.key_id for key in ring(stage).keys]
    stage.sleep(905)
    assert first.key_id not in [key.key_id for key in ring(stage).keys]


def test_keys_survive_an_upgrade_and_go_on_being_replaced(stage_of: Any, make_user: Any) -> None:
    stage = stage_of(Safe())
    stage.register(make_user("alice"), make_user("alice's session"))
    before = ring(stage)
    stage.replica.upgrade(stage.id, Safe())
    assert ring(stage) == before
    stage.sleep(65)
    assert ring(stage).current.key_id != before.current.key_id


def test_canister_that_begins_to_offer_suites_gets_a_key(stage_of: Any, make_user: Any) -> None:
    stage = stage_of(Safe.configured(suites=SealedSuites(frozenset({SuiteName.NONE})))())
    stage.register(make_user("alice"), make_user("alice's session"))
    stage.replica.upgrade(stage.id, Safe())
    stage.sleep(5)
    assert ring(stage).keys
