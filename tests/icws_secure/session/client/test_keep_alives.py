"""Keep-alives: what they acknowledge, and when they are due."""

from __future__ import annotations

from typing import Any

import pytest

from icws_secure.errors import (
    MisuseError,
)
from icws_secure.session.canister import CanisterConfig
from icws_secure.wire.interface import (
    decode_message_argument,
)
from icws_secure.wire.service import KeepAliveMessage, decode_service_message


def keep_alives(world: Any) -> list[int]:
    """What the client's keep-alives have acknowledged."""
    found = []
    for content in world.ic.calls:
        if content.method_name != "ws_message":
            continue
        message = decode_message_argument(content.arg)
        if message.is_service_message:
            service = decode_service_message(message.content)
            if isinstance(service, KeepAliveMessage):
                found.append(service.last_incoming_sequence_num)
    return found


@pytest.mark.req("ICWS-CLT-051")
def test_a_keep_alive_covers_what_the_application_took_and_no_more(kit: Any) -> None:
    world = kit.World(takes=False).attached()
    world.canister_sends(b"one", b"two", b"three")
    assert world.run_until(lambda: len(world.received) == 3)
    assert world.run_until(lambda: len(keep_alives(world)) >= 2, 400)  # after the canister's acknowledgement
    assert set(keep_alives(world)) == {0}
    world.client.taken(2, world.client_now)
    assert world.run_until(lambda: keep_alives(world)[-1] == 2, 400)


@pytest.mark.req("ICWS-CLT-051")
def test_each_acknowledgement_is_answered(kit: Any) -> None:
    world = kit.World().attached()
    before = len(keep_alives(world))
    world.run(1_000)
    assert len(keep_alives(world)) >= before + 2
    assert world.lost == []
    assert world.ended is None


def test_taking_is_told_before_what_is_retained_runs_full(kit: Any) -> None:
    world = kit.World(canister=CanisterConfig(retained_messages=20)).attached()
    for n in range(60):
        world.canister_sends(b"%d" % n)
        world.run(0.2)
    assert world.received == [b"%d" % n for n in range(60)]
    assert keep_alives(world)[-1] >= 50


def test_the_application_cannot_take_what_it_was_not_given(world: Any) -> None:
    with pytest.raises(MisuseError):
        world.client.taken(1, world.client_now)


def test_a_client_that_only_listens_shows_itself_after_the_open(kit: Any) -> None:
    world = kit.World().attached()
    world.run(120)
    assert keep_alives(world)
    assert world.lost == []
