"""What it costs to share a queue's polls: two processes of one key behind one port, with Redis between them.

python bench/sharing.py [--quick] [--json FILE]

1,000 clients of one canister, 2,500 messages a second, as in relaying.py. One process polls and hands what it was told
to the other; each checks all of it and sends its own clients theirs. CPU is that of both.
"""

from __future__ import annotations

import shutil
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from processes import Child, cpu_seconds
from queues import PAGE, QueueSpec
from relaying import RATE, ROUND_TRIP
from stage import Delivery, Stage
from table import Row, main, percentile

RUNS = 3


def runs(settings: dict[str, object], quick: bool) -> list[Delivery]:
    """The same load several times."""
    clients, pages, repeats = (50, 4, 1) if quick else (1_000, 100, RUNS)
    queue = QueueSpec(0, clients, PAGE * pages * (repeats + 1))
    with Stage([queue], round_trip=ROUND_TRIP, settings=settings) as stage:
        stage.release({0: pages}, RATE)  # warm
        found = [stage.release({0: pages}, RATE) for _ in range(repeats)]
        stage.verify_samples()
    return found


def measure(quick: bool) -> Iterator[Row]:
    """One process, and two that share."""
    server = shutil.which("redis-server") or shutil.which("valkey-server")
    if server is None:
        sys.stderr.write("sharing: not measured, there is no Redis here (Debian: apt-get install redis-server)\n")
        return
    one = runs({}, quick)
    with tempfile.TemporaryDirectory(prefix="icws-bench-") as folder:
        path = Path(folder) / "redis.sock"
        command = [server, "--port", "0", "--unixsocket", str(path), "--save", ""]
        redis = Child("redis", command, Path(folder), talks=False)
        try:
            _await(path, redis)
            before = cpu_seconds(redis.pid)
            two = runs({"workers": 2, "redis_url": f"unix://{path}"}, quick)
            redis_cpu = cpu_seconds(redis.pid) - before
        finally:
            redis.end()
    alone, shared = (statistics.median(delivery.cpu_us for delivery in found) for found in (one, two))
    yield Row("sharing.cpu.one_process", alone, "us/message")
    yield Row("sharing.cpu.two_processes", shared, "us/message", shared / alone, "one process")
    messages = sum(delivery.messages for delivery in (two[0], *two))  # and those that warmed it up
    yield Row("sharing.cpu.redis", 1e6 * redis_cpu / messages, "us/message")
    for name, found in (("one_process", one), ("two_processes", two)):
        late = statistics.median(percentile(delivery.delays_ms(), 99) for delivery in found)
        yield Row(f"sharing.delay.{name}.p99", late, "ms")


def _await(path: Path, redis: Child) -> None:
    """Waits until Redis listens.

    Raises:
        RuntimeError: it has ended, or does not.
    """
    for _ in range(200):
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(0.05)
            try:
                probe.connect(str(path))
            except OSError:
                time.sleep(0.05)
            else:
                return
    raise RuntimeError(f"Redis does not start:\n{redis.tail()}")


if __name__ == "__main__":
    main(__doc__, measure)
