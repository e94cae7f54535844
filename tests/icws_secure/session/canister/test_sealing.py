"""The place where payload protection is plugged in, with a suite that only shows that it is called."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from icws_secure.errors import DecodeError, PayloadViolation, Reason
from icws_secure.session.canister import AttachOffer, CanisterConfig, CanisterSessions, refuse
from icws_secure.wire.refusal import RefusalCode
from icws_secure.wire.registration import Suite

NAME = "hpke-x25519"


@dataclass(frozen=True)
class Marked:
    """Puts a mark and the number in front."""

    attach: int
    opened: int = 0
    suite: str = NAME

    def seal(self, seq: int, data: bytes) -> tuple[Marked, bytes]:
        return self, b"sealed %d %d " % (self.attach, seq) + data

    def open(self, seq: int, content: bytes) -> tuple[Marked, bytes]:
        mark = b"sealed %d " % seq
        if content.startswith(b"old"):
            raise PayloadViolation("old", reason=Reason.STALE_ROOM_EPOCH)
        if not content.startswith(mark):
            raise PayloadViolation("no mark")
        return Marked(self.attach, self.opened + 1), content.removeprefix(mark)

    def to_stable(self) -> bytes:
        return bytes((self.attach, self.opened))


class Provider:
    """Offers the suite with the key ``keys``."""

    def suites(self, keys: Any, now: int) -> tuple[Suite, ...]:
        return (Suite(NAME, keys, b"public"), Suite("none"))

    def attach(self, keys: Any, offer: AttachOffer, previous: Any, now: int) -> Any:
        if offer.suite == "none":
            return None
        if offer.key_id != keys:
            refuse(RefusalCode.UNKNOWN_KEY, "rotated")
        return Marked(offer.attach)

    def restore(self, data: bytes) -> Marked:
        return Marked(*data)

    def keys_to_stable(self, keys: Any) -> bytes:
        return keys or b""

    def keys_from_stable(self, data: bytes) -> Any:
        return data or None


@pytest.fixture
def sealed(make_world: Any) -> Any:
    return make_world(suites=Provider())


def test_content_is_sealed_once_and_opened(sealed: Any, make_alice: Any, make_user: Any, code_of: Any) -> None:
    owner, session, gateway = make_user("owner"), make_user("session"), make_user("gateway")
    parameters = sealed.register(owner, session, minimum_suite=NAME)
    assert code_of(sealed.open(session, parameters, gateway)) is RefusalCode.SUITE_TOO_WEAK
    assert sealed.open(session, parameters, gateway, suite=NAME) is None
    key = sealed.events[0].client_key
    sealed.handle_all()

    sealed.send(key, b"hello")
    assert [one.data for one in sealed.received(gateway, key)[1:]] == [b"sealed 1 1 hello"]
    assert sealed.open(session, parameters, gateway, suite=NAME, attach=2) is None
    assert [one.data for one in sealed.received(gateway, key)[1:]] == [b"sealed 1 1 hello"]

    assert code_of(sealed.message(session, 1, b"plain")) is RefusalCode.UNSEALED_CONTENT
    assert code_of(sealed.message(session, 1, b"old")) is RefusalCode.STALE_ROOM_EPOCH
    sealed.message(session, 2, b"sealed 2 two", handle=False)
    sealed.message(session, 1, b"sealed 1 one", handle=False)
    assert [data for _, _, _, data in sealed.handle_all()] == [b"one", b"two"]
    assert sealed.message(session, 2, b"sealed 2 two").status.status == "duplicate"
    # what came ahead of its turn is opened, and its key is not spent
    assert sealed.sessions.find(key).channel == Marked(2, 1)
    assert code_of(sealed.open(session, parameters, gateway, suite="none", attach=3)) is RefusalCode.SUITE_TOO_WEAK
    sealed.sessions.disconnect(key, sealed.now)
    assert sealed.sessions.find(key).channel is None


def test_keys_and_channels_survive_an_upgrade(sealed: Any, make_user: Any) -> None:
    sealed.sessions.set_suite_keys(b"the key")
    owner, session, gateway = make_user("owner"), make_user("session"), make_user("gateway")
    parameters = sealed.register(owner, session)
    assert parameters.suites[0].key_id == b"the key"
    refusal = sealed.open(session, parameters, gateway, suite=NAME)
    assert refusal.code == RefusalCode.UNKNOWN_KEY
    sealed.sessions.set_suite_keys(None)
    assert sealed.open(session, parameters, gateway, suite=NAME) is None
    sealed.sessions.set_suite_keys(b"the key")
    key = sealed.events[0].client_key
    sealed.sessions = CanisterSessions.from_stable(
        sealed.config, sealed.sessions.to_stable(), now=sealed.now, seed=bytes(32)
    )
    assert sealed.sessions.find(key).channel == Marked(1)
    assert sealed.sessions.state.suite_keys == b"the key"


def test_an_upgrade_that_drops_the_suite_of_a_session_is_refused(sealed: Any, make_user: Any) -> None:
    session = make_user("session")
    parameters = sealed.register(make_user("owner"), session)
    assert sealed.open(session, parameters, make_user("gateway"), suite=NAME) is None
    kept = sealed.sessions.to_stable()
    with pytest.raises(DecodeError, match="offers the suite none alone") as caught:
        CanisterSessions.from_stable(CanisterConfig(), kept, now=sealed.now, seed=bytes(32))
    assert caught.value.reason is Reason.UNSUPPORTED


def test_without_a_provider_only_the_suite_none_is_offered(world: Any, make_user: Any, code_of: Any) -> None:
    session, gateway = make_user("session"), make_user("gateway")
    parameters = world.register(make_user("owner"), session)
    for suite in (NAME, "nonsense"):
        assert code_of(world.open(session, parameters, gateway, suite=suite)) is RefusalCode.UNKNOWN_SUITE
