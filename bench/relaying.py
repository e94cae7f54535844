"""What relaying costs the gateway: CPU and bytes a message; CPU a call, an open, a poll, a certified head.

python bench/relaying.py [--quick] [--json FILE]

1,000 clients of one canister, one prepared IC at 100 ms round trip, 2,500 messages a second in polls of up to 50. CPU
is all that the gateway's process used meanwhile, its own and the kernel's: polls, checks, frames, sending.
"""

from __future__ import annotations

import statistics
import time
from bisect import bisect_right
from collections.abc import Iterator
from typing import NamedTuple

from nacl.signing import SigningKey
from queues import PAGE, PreparedIc, QueueSpec, client_identity
from stage import Stage
from table import Row, at_most, main, microseconds

from icws_gateway.pruned_witness import PrunedWitness
from icws_secure.verify.query import verify_query_response
from icws_secure.wire import domain
from icws_secure.wire.der import PublicKey
from icws_secure.wire.envelope import QueryContent
from icws_secure.wire.frames import KeyedContent, MessageFrame, MessagesFrame
from icws_secure.wire.http import NodeSignature, QueryReplied
from icws_secure.wire.message import message_path
from icws_secure.wire.request_id import Value, hash_of_map

RATE = 2_500.0
ROUND_TRIP = 0.1
RUNS = 5
SMALL = 100  # bytes of a small message's content


def to_clients(quick: bool) -> Iterator[Row]:
    """CPU a message, in each form of frame."""
    clients, pages = (50, 4) if quick else (1_000, 100)
    legacy = 0.0
    for name, modern, tls, run, target in (
        ("one_frame_each", False, False, 1, at_most(80)),
        ("one_frame_each.tls", False, True, 1, None),
        ("shared_certificate.1_a_poll", True, False, 1, at_most(40)),
        ("shared_certificate.10_a_poll", True, False, 10, at_most(40)),
    ):
        queue = QueueSpec(0, clients, PAGE * pages * (RUNS + 1), run=run, salted=modern)
        with Stage([queue], modern=modern, tls=tls, round_trip=ROUND_TRIP) as stage:
            stage.release({0: pages}, RATE)  # warm
            costs = [stage.release({0: pages}, RATE).cpu_us for _ in range(1 if quick else RUNS)]
            cpu = statistics.median(costs)
            stage.verify_samples()
            legacy = legacy or cpu
            yield Row(f"relay.cpu.{name}", cpu, "us/message", cpu / legacy, "one frame each", target)
            yield Row(f"relay.cpu.{name}.best", min(costs), "us/message")
            if run == 1:
                kind = ("secure" if modern else "omnia") + (".tls" if tls else "")
                yield Row(f"relay.cpu.open.{kind}", stage.open_cpu_us, "us/open")
            if not modern:
                yield Row(f"relay.memory.{'tls' if tls else 'plain'}", stage.idle_bytes / 1024, "KiB/client")


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


def polls(quick: bool) -> Iterator[Row]:
    """CPU of a poll that finds nothing: in a gateway that sleeps between polls, and in one of many quiet canisters."""
    often = {"poll_interval_ms": 20, "poll_idle_interval_ms": 20}
    alone = _cost_of_a_poll(1, often, quick)
    yield Row("relay.cpu.poll", alone, "us/poll")
    count = 10 if quick else 300
    among = _cost_of_a_poll(count, {}, quick)
    yield Row(f"relay.cpu.poll.{count}_canisters", among, "us/poll", among / alone, "of one canister")


def _cost_of_a_poll(canisters: int, settings: dict[str, object], quick: bool) -> float:
    """Microseconds; each canister has one client, which says nothing."""
    queues = [QueueSpec(number, 1, PAGE, held=PAGE) for number in range(canisters)]
    with Stage(queues, round_trip=ROUND_TRIP / 10, settings=settings) as stage:
        stage.idle(1.0 if quick else 10.0)  # until polls are as rare as they get
        asked = stage.metric('polls_total{outcome="empty"}')
        seconds = 1.0 if quick else 5.0
        share = stage.idle(seconds)
        asked = stage.metric('polls_total{outcome="empty"}') - asked
    return 1e6 * share * seconds / max(1.0, asked)


def node_signature() -> Row:
    """CPU of checking the signature of the node that answered a full poll (``verify_queries``)."""
    canister = PreparedIc(client_identity(0).principal, (QueueSpec(0, PAGE, PAGE),)).canisters[0]
    argument, now, node = canister.replies[0][0], time.time_ns(), client_identity(1)
    query = QueryContent(canister.id, "ws_get_messages", bytes(16), client_identity(0).principal, now, bytes(16))
    fields: dict[str, Value] = {"request_id": query.request_id, "timestamp": now, "status": "replied"}
    signed = domain.QUERY_RESPONSE + hash_of_map(fields | {"reply": {"arg": argument}})
    response = QueryReplied(argument, (NodeSignature(now, node.sign(signed), node.principal),))
    keys = {node.principal: PublicKey.from_der(node.public_key_der)}
    cost = microseconds(lambda: verify_query_response(query, response, node_keys=keys, now=now))
    return Row("relay.cpu.node_signature", cost, "us/poll")


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
    """Bytes to the client a message, in a poll of 50, beside a frame with the whole witness.

    Certificate (705 bytes here; 930 to 1,180 on the main network), content and key are in both frames, and no gateway
    can send less of them. So what a fifth can be reached with is a question of the content, too: small messages are
    meant (the deployed gateway sends some 30 times the message then), and the largest that still fits has a row.
    """
    for content, target in ((SMALL, at_most(0.2, ratio=True)), (200, None), (1_000, None)):
        sent = _bytes_of_all_polls(PAGE, 1, content)
        yield Row(f"relay.bytes.content_{content}", sent.pruned, "bytes", sent.share, "with the whole witness",
                  target)  # fmt: skip
    fits = bisect_right(range(1_000), 0.2, key=lambda content: _bytes_of_all_polls(PAGE, 1, content).share) - 1
    yield Row("relay.bytes.largest_content_within_a_fifth", fits, "bytes")
    for held in (PAGE, 1_000):
        sent = _bytes_of_all_polls(held, 1, SMALL)
        yield Row(f"relay.bytes.witness.{held}_in_the_queue", sent.witness, "bytes",
                  sent.witness / sent.whole_witness, "the whole witness")  # fmt: skip
    # of the last, the longest queue
    yield Row(f"relay.bytes.{held}_in_the_queue", sent.pruned, "bytes", sent.share, "with the whole witness")
    for own in (2, 10):
        sent = _bytes_of_all_polls(PAGE, own, SMALL)
        yield Row(f"relay.bytes.shared_certificate.{own}_a_poll", sent.pruned, "bytes", sent.share,
                  "a frame each with the whole witness", at_most(0.2, ratio=True))  # fmt: skip


class _Bytes(NamedTuple):
    """Bytes a message."""

    pruned: float
    whole: float
    witness: float
    whole_witness: float

    @property
    def share(self) -> float:
        """Of what frames with the whole witness take."""
        return self.pruned / self.whole


def _bytes_of_all_polls(held: int, own: int, content: int) -> _Bytes:
    """What clients get of a queue; each has ``own`` messages in a row, in one frame if those are several."""
    queue = QueueSpec(0, 1_000, held, run=own, content=content, held=held, salted=own > 1)
    pruned = whole = witness = whole_witness = 0
    for _, page, certificate, tree in PreparedIc(client_identity(0).principal, (queue,)).canisters[0].polls():
        parts = PrunedWitness(tree)
        for start in range(0, len(page), own):
            messages = page[start : start + own]
            shown = parts.show([message_path(message.key) for message in messages])
            alone = [MessageFrame(message.key, message.content, certificate, tree).encode() for message in messages]
            keyed = tuple(KeyedContent(message.key, message.content) for message in messages)
            frame = (
                MessagesFrame(keyed, certificate, shown)
                if own > 1
                else MessageFrame(keyed[0].key, keyed[0].content, certificate, shown)
            )
            pruned += len(frame.encode())
            whole += sum(map(len, alone))
            witness += len(shown)
            whole_witness += len(tree) * len(messages)
    return _Bytes(pruned / held, whole / held, witness / held, whole_witness / held)


def measure(quick: bool) -> Iterator[Row]:
    """All rows."""
    yield from bytes_a_message()
    yield from to_clients(quick)
    yield from to_canisters(quick)
    yield from polls(quick)
    yield node_signature()
    yield from heads(quick)


if __name__ == "__main__":
    main(__doc__, measure)
