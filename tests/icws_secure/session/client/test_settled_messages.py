"""What the outbox keeps until it is settled, in the smallest cases that once went wrong."""

from __future__ import annotations

from typing import Any

import pytest

from icws_secure.session.client import SendAccepted, SendExecuted, SendUnknown


@pytest.mark.req("ICWS-CLT-043")
def test_a_restored_message_that_went_out_in_a_batch_is_settled(kit: Any) -> None:
    old = kit.World(1, persist=True).attached()
    assert old.client._core.outbox.entries  # the first keep-alive, saved before it went out
    world = kit.World(names=["gateway-0"], ic=old.ic, saved=old.saved, persist=True)
    ids = [world.send(b"%d" % n) for n in range(10)]
    assert world.run_until(lambda: all(world.outcome(item) == SendExecuted(item) for item in ids))
    assert any(content.method_name == "ws_message_batch" for content in world.ic.calls)
    assert not world.client._core.outbox.entries


@pytest.mark.req("ICWS-CLT-041")
@pytest.mark.parametrize(("confirm", "outcome"), [("executed", SendUnknown), ("accepted", SendAccepted)])
def test_an_omnia_acknowledgement_proves_no_execution_where_the_canister_answered_before_it(
    kit: Any, confirm: Any, outcome: type[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = kit.World(1, profile="omnia").attached()
    with monkeypatch.context() as patch:
        patch.setattr(world.ic, "deliveries", lambda: ())  # the handler runs later, and who knows how it ends
        item = world.send(b"x", confirm=confirm)
        world.run(1)
    world.ic.deliver()
    assert world.run_until(lambda: world.outcome(item) is not None, 400)
    assert isinstance(world.outcome(item), outcome)
