"""What tests of messages to the canister have in common."""

from __future__ import annotations

from typing import Any

from icws_secure.wire.interface import (
    decode_message_argument,
    decode_message_batch_argument,
)


def quiet(kit: Any, *gateways: Any, **options: Any) -> Any:
    """An attached world in which the client has shown itself and nothing is under way."""
    world = kit.World(*gateways, **options).attached()
    world.run(1)
    return world


def numbers(world: Any) -> list[int]:
    """Numbers of the messages in the order in which the canister was called."""
    found: list[int] = []
    for content in world.ic.calls:
        if content.method_name == "ws_message":
            found.append(decode_message_argument(content.arg).sequence_num)
        elif content.method_name == "ws_message_batch":
            found += [message.sequence_num for message in decode_message_batch_argument(content.arg)]
    return found


def settled(world: Any, *send_ids: int, seconds: float = 30) -> list[Any]:
    """What became of these, as soon as all are settled."""
    assert world.run_until(lambda: all(world.outcome(item) is not None for item in send_ids), seconds), world.events
    return [world.outcome(item) for item in send_ids]
