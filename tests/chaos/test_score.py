"""A run that says "0 lost" has counted: the accounts see every kind of mistake."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

Import = Callable[[str], ModuleType]


def heard(chaos_module: Import, *numbers: int) -> Any:
    stream = chaos_module("chaos_stream").Stream()
    for number in numbers:
        stream = stream.take(number)
    return stream


@pytest.mark.parametrize(
    ("numbers", "received", "lost", "duplicated", "disordered"),
    [
        ((1, 2, 3), 3, 0, 0, 0),
        ((), 0, 3, 0, 0),
        ((1, 2), 2, 1, 0, 0),
        ((2, 3), 2, 1, 0, 0),
        ((1, 3), 2, 1, 0, 0),
        ((1, 3, 2), 3, 0, 0, 1),
        ((1, 2, 2, 3), 3, 0, 1, 0),
        ((1, 3, 2, 2, 1), 3, 0, 2, 1),
    ],
)
def test_a_stream_counts_what_is_lost_twice_or_late(
    chaos_module: Import, numbers: tuple[int, ...], received: int, lost: int, duplicated: int, disordered: int
) -> None:
    stream = heard(chaos_module, *numbers)
    assert (stream.received, stream.lost(3), stream.duplicated, stream.disordered) == (
        received,
        lost,
        duplicated,
        disordered,
    )


def test_a_changed_message_is_noticed(chaos_module: Import) -> None:
    numbered = chaos_module("chaos_stream").Numbered
    lengths = set()
    for number in range(1, 50):
        data = numbered(number, 7).encode()
        lengths.add(len(data))
        assert numbered.decode(data) == numbered(number, 7)
        for changed in (data[:-1], data + b"\0", data[:15] + b"\x08" + data[16:]):
            with pytest.raises(ValueError, match="changed"):
                numbered.decode(changed)
    assert len(lengths) > 10


def score(chaos_module: Import, account: dict[str, Any] | None = None, **report: Any) -> Any:
    known = {"through": 3, "missing": [], "duplicated": 0, "disordered": 0, "said": 5}
    told = {"session": "s", "received": 5, "lost": 0, "duplicated": 0, "disordered": 0, "unanswered": 0}
    told |= {"faults": [], "gateways_lost": {"ConnectionLost": 2}, "attached": 3, "direct": 1, "slowest": 0.5}
    return chaos_module("chaos_score").Score({"s": 3}, {"s": known | (account or {})}, [told | report], [])


def test_a_run_without_a_mistake_is_perfect(chaos_module: Import) -> None:
    assert score(chaos_module).is_perfect
    assert "canister to client" in score(chaos_module).table()
    assert "ConnectionLost 2" in "".join(score(chaos_module).lines())


@pytest.mark.parametrize(
    "mistake",
    [
        {"account": {"through": 2}},
        {"account": {"missing": [2]}},
        {"account": {"duplicated": 1}},
        {"account": {"disordered": 1}},
        {"account": {"said": 6}},
        {"received": 4},
        {"lost": 1},
        {"duplicated": 1},
        {"disordered": 1},
        {"unanswered": 1},
        {"faults": ["a send was not confirmed"]},
    ],
    ids=str,
)
def test_a_run_with_any_mistake_is_not(chaos_module: Import, mistake: dict[str, Any]) -> None:
    assert not score(chaos_module, **mistake).is_perfect


def test_a_session_that_the_canister_never_heard_is_lost(chaos_module: Import) -> None:
    row = chaos_module("chaos_score").Score({"s": 3}, {}, [], []).up
    assert (row.sent, row.received, row.lost) == (3, 0, 3)


def test_a_process_that_complains_spoils_the_run(chaos_module: Import) -> None:
    module = chaos_module("chaos_score")
    assert module.Score({}, {}, [], []).is_perfect
    assert not module.Score({}, {}, [], ["gateway-0: poll failed inside the gateway"]).is_perfect
