"""When a canister is asked whether it forgot its queue, and what its answer means."""

from __future__ import annotations

import itertools

import pytest

from icws_gateway.queue_cursor import TOMBSTONE_LEAF
from icws_gateway.restart_probe import ProbeVerdict, RestartProbe

pytestmark = pytest.mark.req("ICWS-GWY-019")


@pytest.fixture
def probe() -> RestartProbe:
    """One that has cause to ask."""
    probe = RestartProbe(now=0.0)
    probe.executed()
    for _ in range(3):
        probe.polled(messages=False)
    return probe


def answer(probe, nonce, first, *, position=10, known="last", fresh=True) -> ProbeVerdict:
    return probe.answered(nonce, first, position=position, known=known, fresh=fresh)


def test_no_probe_without_an_executed_call():
    probe = RestartProbe(now=0.0)
    for _ in range(100):
        probe.polled(messages=False)
    assert probe.wanted(10, 1.0) is None


def test_no_probe_before_some_empty_answers():
    probe = RestartProbe(now=0.0)
    probe.executed()
    probe.polled(messages=False)
    probe.polled(messages=False)
    assert probe.wanted(10, 1.0) is None
    probe.polled(messages=False)
    assert probe.wanted(10, 1.0) == 9


def test_no_probe_while_nothing_was_ever_delivered(probe):
    assert probe.wanted(0, 1.0) is None


def test_messages_end_the_cause(probe):
    probe.polled(messages=True)
    assert probe.wanted(10, 1.0) is None


@pytest.mark.req("ICWS-GWY-006")
def test_node_that_leaves_the_end_of_a_queue_out_does_not_restart_it(probe):
    assert probe.wanted(10, 1.0) == 9
    assert answer(probe, 9, None) is ProbeVerdict.NOTHING
    assert probe.wanted(10, 1.0) == 0
    told = probe.answered(0, (3, "third"), position=10, known="last", fresh=True, delivered="third")
    assert told is ProbeVerdict.NOTHING


def test_last_message_still_there_means_alive(probe):
    assert probe.wanted(10, 1.0) == 9
    assert answer(probe, 9, (9, "last")) is ProbeVerdict.NOTHING
    assert probe.wanted(10, 100.0) is None


def test_other_message_in_the_last_place_means_restarted(probe):
    assert probe.wanted(10, 1.0) == 9
    assert answer(probe, 9, (9, "other")) is ProbeVerdict.RESTARTED


def test_a_tombstone_in_the_last_place_means_alive(probe):
    assert probe.wanted(10, 1.0) == 9
    assert answer(probe, 9, (9, TOMBSTONE_LEAF)) is ProbeVerdict.NOTHING


def test_lower_messages_with_the_last_one_gone_mean_restarted(probe):
    assert probe.wanted(10, 1.0) == 9
    assert answer(probe, 9, None) is ProbeVerdict.NOTHING
    assert probe.wanted(10, 1.0) == 0
    assert answer(probe, 0, (0, "new")) is ProbeVerdict.RESTARTED


def test_empty_queue_decides_nothing_and_is_asked_again_later(probe):
    assert probe.wanted(10, 1.0) == 9
    answer(probe, 9, None)
    assert probe.wanted(10, 1.0) == 0
    assert answer(probe, 0, None) is ProbeVerdict.NOTHING
    probe.executed()
    for _ in range(3):
        probe.polled(messages=False)
    assert probe.wanted(10, 100.0) == 9


def test_replica_that_lags_does_not_restart_a_queue(probe):
    assert probe.wanted(10, 1.0) == 9
    answer(probe, 9, None)
    assert probe.wanted(10, 1.0) == 0
    assert answer(probe, 0, (3, "old"), fresh=False) is ProbeVerdict.NOTHING


def test_probes_are_spaced_out(probe):
    times = []
    now = 1.0
    while len(times) < 8:
        if probe.wanted(10, now) is not None:
            times.append(now)
            answer(probe, 9, (9, "last"))
        probe.executed()
        probe.polled(messages=False)
        now += 0.1
    gaps = [round(later - earlier, 1) for earlier, later in itertools.pairwise(times)]
    assert gaps[0] >= 1.9
    assert gaps == sorted(gaps)
    assert gaps[-1] >= 50
