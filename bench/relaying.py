"""What relaying costs the gateway: CPU and bytes a message; CPU a call, an open, a certified head.

python bench/relaying.py [--quick] [--json FILE]

1,000 clients of one canister, one prepared IC at 100 ms round trip, 2,500 messages a second in polls of up to 50. CPU
is all that the gateway's process used meanwhile, its own and the kernel's: polls, checks, frames, sending.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator

from nacl.signing import SigningKey
from queues import PAGE, PreparedIc, QueueSpec, client_identity
from stage import Stage
from table import Row, at_most, main, microseconds

from icws_gateway.pruned_witness import PrunedWitness
from icws_secure.wire.frames import MessageFrame
from icws_secure.wire.message import message_path

RATE = 2_500.0
ROUND_TRIP = 0.1
RUNS = 5


def to_clients(quick: bool) -> Iterator[Row]:
    """CPU a message, in each form of frame."""
    clients, pages = (50, 4) if quick else (1_000, 100)
    legacy = 0.0
    for name, modern, run, target in (
        ("one_frame_each", False, 1, at_most(80)),
        ("shared_certificate.1_a_poll", True, 1, at_most(40)),
        ("shared_certificate.10_a_poll", True, 10, at_most(40)),
    ):
        queue = QueueSpec(0, clients, PAGE * pages * (RUNS + 1), run=run)
        with Stage([queue], modern=modern, round_trip=ROUND_TRIP) as stage:
            stage.release({0: pages}, RATE)  # warm
            costs = [stage.release({0: pages}, RATE).cpu_us for _ in range(1 if quick else RUNS)]
            cpu = statistics.median(costs)
            stage.verify_samples()
            legacy = legacy or cpu
            yield Row(f"relay.cpu.{name}", cpu, "us/message", cpu / legacy, "one frame each", target)
            yield Row(f"relay.cpu.{name}.best", min(costs), "us/message")
            if run == 1:
                yield Row(f"relay.cpu.open.{'secure' if modern else 'omnia'}", stage.open_cpu_us, "us/open")


def to_canisters(quick: bool) -> Iterator[Row]:
    """CPU a relayed call."""
    clients, calls = (20, 40) if quick else (200, 1_500)
    key = SigningKey(bytes(32))
    signed, verify_key = key.sign(bytes(32)), key.verify_key
    bare = microseconds(lambda: verify_key.verify(signed))
    with Stage([QueueSpec(0, clients, PAGE)], modern=True) as stage:
        stage.calls(calls // 5, 400)
        cost = stage.calls(calls, 400)
    yield Row("relay.cpu.call", cost, "us/call", cost / bare, "one Ed25519 verification")


def heads(quick: bool) -> Iterator[Row]:
    """CPU a certified head, of which each secure client gets one every ``head_interval_seconds``."""
    clients, seconds = (50, 2.0) if quick else (1_000, 6.0)
    settings = {"head_interval_seconds": 1}
    with Stage([QueueSpec(0, clients, PAGE)], modern=True, round_trip=ROUND_TRIP, settings=settings) as stage:
        stage.idle(seconds / 2)
        sent = stage.metric('heads_total{outcome="sent"}')
        share = stage.idle(seconds)
        sent = stage.metric('heads_total{outcome="sent"}') - sent
    yield Row("relay.cpu.head", 1e6 * share * seconds / max(1.0, sent), "us/head")


def bytes_a_message() -> Iterator[Row]:
    """Bytes to the client a message, in a poll of 50, beside a frame with the whole witness."""
    for held in (PAGE, 1_000):
        pruned = whole = 0
        canister = PreparedIc(client_identity(0).principal, (QueueSpec(0, 1_000, held, held=held),)).canisters[0]
        for _, page, certificate, tree in canister.polls():
            witness = PrunedWitness(tree)
            for message in page:
                own = witness.show((message_path(message.key),))
                pruned += len(MessageFrame(message.key, message.content, certificate, own).encode())
                whole += len(MessageFrame(message.key, message.content, certificate, tree).encode())
        yield Row(f"relay.bytes.{held}_in_the_queue", pruned / held, "bytes", pruned / whole, "with the whole witness",
                  at_most(0.2, ratio=True))  # fmt: skip


def measure(quick: bool) -> Iterator[Row]:
    """All rows."""
    yield from bytes_a_message()
    yield from to_clients(quick)
    yield from to_canisters(quick)
    yield from heads(quick)


if __name__ == "__main__":
    main(__doc__, measure)
