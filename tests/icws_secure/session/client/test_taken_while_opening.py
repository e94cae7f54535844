"""The application takes messages at any time, also while a new attachment is being made."""

from __future__ import annotations

from typing import Any

import pytest

from icws_secure.session.client import Attached, Message


@pytest.mark.req("ICWS-CLT-070")
@pytest.mark.parametrize("taken", [1, 2, 3])
def test_messages_that_are_taken_between_open_and_attach_message_come_again_and_are_passed_over(
    kit: Any, taken: int
) -> None:
    world = kit.World(2, takes=False).attached()
    for data in (b"1", b"2", b"3"):
        world.canister_sends(data)
        world.run(1)
    assert world.received == [b"1", b"2", b"3"]
    delivered = [event.seq for event in world.of(Message)]
    world.gateways[1].relays_messages = False
    world.kill(world.gateways[0])
    assert world.run_until(lambda: bool(world.gateways[1].received))  # the open, which says: from the first on
    world.client.taken(delivered[taken - 1], world.client_now)
    world.canister_sends(b"4")
    world.gateways[1].relays_messages = True
    assert world.run_until(lambda: len(world.received) == 4)
    assert world.received == [b"1", b"2", b"3", b"4"]
    assert len(world.lost) == 1
    assert len(world.of(Attached)) == 2
