"""Many clients before one gateway for a long time: memory stays flat, nothing is left behind, all counts agree.

    python tests/soak/run.py [--seconds N] [--clients N] [--seed N]

Real processes on loopback: a replica, a gateway, and in this process the clients and a proxy that makes the replica
fail. Clients stay, come and go, read slowly, send garbage. Ends with 1 if anything is wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import resource
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

sys.path.append(str(Path(__file__).parents[1] / "chaos"))  # its processes end with this one, whatever happens

from chaos_processes import Child, Gateway, icws
from soak_clients import Crowd
from soak_faults import FaultyIc

from icws_conformance.gateways.process import free_port
from icws_secure.wire.principal import Principal

OPENING_SECONDS = 300.0
SETTLING_SECONDS = 90.0
SAMPLES = 60
FAULT_RATE = 0.02
GROWTH = 1.10  # of memory, from the second quarter to the last
SLACK_BYTES = 16 << 20
EMPTY = ("connections", "clients", "canisters", "queue_bytes", "calls_in_flight", "polls_in_flight")

Figures = dict[str, float]


class Soak:
    """One run."""

    def __init__(self, arguments: argparse.Namespace, folder: Path) -> None:
        self._arguments = arguments
        self._folder = folder
        self._random = random.Random(arguments.seed)
        self._started = time.monotonic()
        self._memory: list[float] = []

    async def run(self) -> list[str]:
        """Everything; gives what is wrong."""
        async with AsyncExitStack() as stack:
            replica = await stack.enter_async_context(Child("replica", _replica(), self._folder))
            url, _, canister = [(await replica.line(60)).split()[n].decode() for n in (1, 2, 1)]
            ic = await stack.enter_async_context(FaultyIc(url, 0.0, self._random))
            gateway = SoakGateway(free_port(), ic.url, self._folder)
            await stack.enter_async_context(gateway)
            page = await stack.enter_async_context(Page(gateway))
            await _until(page, lambda figures: figures.get("polls_in_flight") == 0)
            before = await page.read()
            idle = ic.connections
            crowd = Crowd(gateway.url, Principal.from_text(canister), self._arguments.clients, self._random)
            clients = asyncio.create_task(crowd.run())
            await self._soak(crowd, clients, ic, page)
            wrong = [f"clients: {what}, {count} times" for what, count in crowd.mistakes.items()]
            wrong += await self._leftovers(page, ic, before, idle)
            wrong += _accounts(await page.read(), crowd)
            wrong += self._growth()
            await gateway.stop_gracefully(30)
            wrong += [*gateway.complaints(), *replica.complaints()]
            self._say(", ".join(f"{count} {what}" for what, count in sorted((crowd.tally + ic.faults).items())))
            return wrong

    async def _soak(self, crowd: Crowd, clients: asyncio.Task[None], ic: FaultyIc, page: Page) -> None:
        opened = asyncio.create_task(crowd.settled.wait())
        await asyncio.wait((opened, clients), timeout=OPENING_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        opened.cancel()
        if not crowd.settled.is_set():
            raise RuntimeError("the clients did not open in time")
        self._say(f"{crowd.tally['opened']} clients are open")
        ic.rate = FAULT_RATE
        began = time.monotonic()
        for number in range(SAMPLES):
            # by the clock, however long a sample takes
            due = began + (number + 1) * self._arguments.seconds / SAMPLES
            await asyncio.wait((clients,), timeout=max(0.0, due - time.monotonic()))
            figures = await page.read()
            self._memory.append(figures["process_resident_memory_bytes"])
            if number % 6 == 5:
                self._show(figures, crowd)
        # what is under way when the replica is well again ends well
        ic.rate = 0.0
        crowd.stop()
        await clients

    def _show(self, figures: Figures, crowd: Crowd) -> None:
        self._say(
            f"{figures['connections']:.0f} connections, {crowd.tally['echoed']} echoes, "
            f"{self._memory[-1] / (1 << 20):.0f} MiB, {figures['process_open_fds']:.0f} descriptors, "
            f"{figures['tasks']:.0f} tasks, {figures['process_cpu_seconds_total']:.0f} s of CPU"
        )

    async def _leftovers(self, page: Page, ic: FaultyIc, before: Figures, idle: int) -> list[str]:
        """What is still there when everybody has left."""

        def gone(figures: Figures) -> bool:
            empty = all(figures[name] == 0 for name in EMPTY)
            # connections to the IC are kept for a while; they are the gateway's business and are counted apart
            descriptors = figures["process_open_fds"] - ic.connections <= before["process_open_fds"] - idle
            return empty and descriptors and figures["tasks"] <= before["tasks"]

        after = await _until(page, gone)
        if gone(after):
            return []
        names = (*EMPTY, "process_open_fds", "tasks")
        return [f"left behind: {name} is {after[name]:.0f}, was {before[name]:.0f}" for name in names]

    def _growth(self) -> list[str]:
        quarter = len(self._memory) // 4
        early = statistics.median(self._memory[quarter : 2 * quarter])
        late = statistics.median(self._memory[-quarter:])
        self._say(f"memory {early / (1 << 20):.0f} MiB early, {late / (1 << 20):.0f} MiB late")
        return [f"memory grew by {(late / early - 1):.0%}"] if late > GROWTH * early + SLACK_BYTES else []

    def _say(self, words: str) -> None:
        sys.stdout.write(f"{time.monotonic() - self._started:7.1f} s  {words}\n")
        sys.stdout.flush()


class SoakGateway(Gateway):
    """The gateway, with room for all clients of one address."""

    def __init__(self, port: int, ic_url: str, folder: Path) -> None:
        super().__init__(0, port, ic_url, folder)
        settings = {
            "max_connections_per_address": 20_000,
            "opens_per_second_per_address": 10_000,
            "open_burst_per_address": 20_000,
            "messages_per_second_per_address": 50_000,
            "message_burst_per_address": 100_000,
            "handshake_timeout_seconds": 120,
            "call_retry_seconds": 60,
        }
        self._command = [
            *self._command,
            *(part for setting, value in settings.items() for part in ("--set", f"{setting}={value}")),
        ]


class Page:
    """The gateway's figures, without the prefix of its own."""

    def __init__(self, gateway: Gateway) -> None:
        self._url = gateway.url.replace("ws://", "http://") + "/metrics"

    async def __aenter__(self) -> Page:
        connector = aiohttp.TCPConnector(force_close=True)
        self._session = aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(60))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def read(self) -> Figures:
        """All of them; those with labels are summed up, and by themselves as ``name value``."""
        async with self._session.get(self._url) as answer:
            text = await answer.text()
        found: Figures = dict.fromkeys(EMPTY, 0.0)
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                name = sample.name.removeprefix("icws_gateway_")
                found[name] = found.get(name, 0.0) + sample.value
                for value in sample.labels.values():
                    found[f"{name} {value}"] = found.get(f"{name} {value}", 0.0) + sample.value
        return found


def _accounts(figures: Figures, crowd: Crowd) -> list[str]:
    """Counts that have to agree when everybody has left."""

    def of(name: str) -> float:
        return figures.get(name, 0.0)

    rules = {
        "no mistake of the gateway": of("internal_errors_total") == 0,
        "every connection was counted": of("connections_accepted_total") >= crowd.tally["connected"],
        "every open was answered": of("opens_total answered") >= crowd.tally["opened"],
        "the canister heard of everybody who left": of("ws_closes_total sent") + of("ws_closes_total rejected")
        >= of("opens_total answered"),
        "no notice was dropped": of("ws_closes_total dropped") == 0,
        "every echo was delivered": of("messages_delivered_total") >= crowd.tally["echoed"] + crowd.tally["opened"],
        "nothing came from the queue but what polls brought": of("poll_messages_total")
        >= of("messages_delivered_total"),
        "what was given to a client was sent, or the client was gone": of("frames_sent_total message")
        <= of("messages_delivered_total")
        <= of("frames_sent_total message") + of("drops_total client_gone"),
        "no gap in the queue": of("queue_gaps_total") == 0,
    }
    return [f"the counts do not say: {rule}" for rule, holds in rules.items() if not holds]


async def _until(page: Page, condition: Callable[[Figures], bool]) -> Figures:
    deadline = time.monotonic() + SETTLING_SECONDS
    while not condition(figures := await page.read()) and time.monotonic() < deadline:  # noqa: ASYNC110 - another process
        await asyncio.sleep(0.5)
    return figures


def _replica() -> list[str]:
    return icws("replica", "--listen", "127.0.0.1:0", "--canister", "soak=soak_canister:SoakCanister")


async def _run(arguments: argparse.Namespace) -> list[str]:
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    with tempfile.TemporaryDirectory(prefix="icws-soak-") as folder:
        async with asyncio.timeout(arguments.seconds + OPENING_SECONDS + SETTLING_SECONDS + 420):
            return await Soak(arguments, Path(folder)).run()


def main() -> int:
    """Run as a program; gives the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600.0, help="how long, after all clients have opened")
    parser.add_argument("--clients", type=int, default=5_000)
    parser.add_argument("--seed", type=int, default=None, help="default: another one each time")
    arguments = parser.parse_args()
    if arguments.seed is None:
        arguments.seed = random.SystemRandom().randrange(1 << 32)
    path = (str(Path(__file__).parent), os.environ.get("PYTHONPATH"))
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, path))  # where the replica finds its canister
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    sys.stdout.write(f"seed {arguments.seed}, {arguments.clients} clients, {arguments.seconds:g} s\n")
    try:
        wrong = asyncio.run(_run(arguments))
    except (RuntimeError, TimeoutError) as error:
        sys.stdout.write(f"the run failed: {error!r}\n")
        return 1
    except (KeyboardInterrupt, asyncio.CancelledError):
        sys.stdout.write("interrupted\n")
        return 130
    sys.stdout.write("".join(f"WRONG  {words}\n" for words in wrong) or "flat, empty, and every count agrees\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
