"""Kill, stop and restart gateways under many clients, and count every message.

    python tests/chaos/run.py [--seconds N] [--clients N] [--seed N]

Real processes on loopback: a replica with one canister, gateways, clients. Ends with 1 unless every message arrived
exactly once and in order, each ``send`` was confirmed, no session ended and no honest gateway was accused.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from chaos_processes import Child, Gateway, icws
from chaos_score import Score

from icws_client import Agent
from icws_conformance.gateways.process import free_port
from icws_secure.errors import IcwsError
from icws_secure.wire import cbor

_CLIENTS = Path(__file__).with_name("chaos_clients.py")

GATEWAYS = 3
PROCESSES = 4
OPENING_SECONDS = 600.0  # these are for a machine that is busy with other things: a few seconds are usual
SETTLING_SECONDS = 300.0
DRAINING_SECONDS = 30.0
UP_SECONDS = (3.0, 12.0)  # how long a gateway is left alone, in a run of two minutes or more
DOWN_SECONDS = (0.5, 8.0)  # and how long it is away
USUAL_SECONDS = 120.0
TELL_SECONDS = 4.0
MESSAGES_PER_SECOND = 50.0  # of all clients together, so that two cores keep up with thirteen processes


class Chaos:
    """One run."""

    def __init__(self, arguments: argparse.Namespace, folder: Path) -> None:
        self._arguments = arguments
        self._folder = folder
        self._started = time.monotonic()
        self._children: list[Child] = []
        self._pace = min(1.0, arguments.seconds / USUAL_SECONDS)
        self._deeds: Counter[str] = Counter()

    async def run(self) -> bool:
        """Everything; gives whether nothing is wrong."""
        async with contextlib.AsyncExitStack() as stack:
            replica = Child("replica", _replica(), self._folder)
            await stack.enter_async_context(replica)
            ic_url, root_key, canister = [(await replica.line(60)).split()[n] for n in (1, 2, 1)]
            gateways = [Gateway(number, free_port(), ic_url.decode(), self._folder) for number in range(GATEWAYS)]
            for gateway in gateways:
                await stack.enter_async_context(gateway)
            crowds = [
                Child(
                    f"clients-{number}",
                    [sys.executable, str(Path(__file__).with_name("chaos_clients.py"))],
                    self._folder,
                )
                for number in range(min(PROCESSES, self._arguments.clients))
            ]
            for crowd in crowds:
                await stack.enter_async_context(crowd)
            self._children = [replica, *gateways, *crowds]
            agent = Agent(ic_url.decode(), root_key=bytes.fromhex(root_key.decode()))
            stack.push_async_callback(agent.close)
            options = {
                "ic_url": ic_url.decode(),
                "root_key": root_key.decode(),
                "canister": canister.decode(),
                "gateways": [gateway.url for gateway in gateways],
                "seed": self._arguments.seed,
                "pause": self._pause(),
            }
            await self._open(crowds, options)
            await self._disturb(gateways, crowds, agent, canister.decode())
            return await self._count(crowds, agent, canister.decode())

    def _pause(self) -> tuple[float, float]:
        pause = self._arguments.clients / MESSAGES_PER_SECOND
        return max(0.1, pause / 2), max(0.3, 3 * pause / 2)

    async def _open(self, crowds: list[Child], options: dict[str, Any]) -> None:
        for number, crowd in enumerate(crowds):
            numbers = list(range(number, self._arguments.clients, len(crowds)))
            await _command(crowd, "open", {**options, "numbers": numbers})
        opened = await asyncio.gather(*(_answer(crowd, "opened", OPENING_SECONDS) for crowd in crowds))
        self._say(f"{sum(opened)} sessions are open")

    async def _disturb(self, gateways: list[Gateway], crowds: list[Child], agent: Agent, canister: str) -> None:
        """The time of trouble; ends with all gateways up."""
        for crowd in crowds:
            await _command(crowd, "talk", {})
        end = time.monotonic() + self._arguments.seconds
        async with asyncio.TaskGroup() as group:
            for number, gateway in enumerate(gateways):
                rng = random.Random(f"{self._arguments.seed} {number}")
                group.create_task(self._trouble(gateway, rng, end))
            group.create_task(self._tell(agent, canister, end))
        self._say("all gateways are up again")

    async def _trouble(self, gateway: Gateway, rng: random.Random, end: float) -> None:
        while time.monotonic() + (wait := self._pace * rng.uniform(*UP_SECONDS)) < end:
            await asyncio.sleep(wait)
            deed = rng.choice(("killed", "stopped", "restarted"))
            away = min(self._pace * rng.uniform(*DOWN_SECONDS), max(0.0, end - time.monotonic()))
            self._deeds[deed] += 1
            self._say(f"{gateway.name} is {deed}, {away:.1f} s")
            if deed == "stopped":
                gateway.send(signal.SIGSTOP)
                await asyncio.sleep(away)
                gateway.send(signal.SIGCONT)
            else:
                if deed == "killed":
                    await gateway.end()
                else:
                    await gateway.stop_gracefully(DRAINING_SECONDS)
                await asyncio.sleep(away)
                await gateway.start()
        await asyncio.sleep(max(0.0, end - time.monotonic()))

    async def _tell(self, agent: Agent, canister: str, end: float) -> None:
        """Have the canister say something that nobody asked for, now and then."""
        while time.monotonic() < end:
            await agent.call(canister, "tell")
            await asyncio.sleep(TELL_SECONDS)

    async def _count(self, crowds: list[Child], agent: Agent, canister: str) -> bool:
        for crowd in crowds:
            await _command(crowd, "finish", {"seconds": SETTLING_SECONDS})
        sent: dict[str, int] = {}
        for crowd in crowds:
            sent |= await _answer(crowd, "sent", SETTLING_SECONDS + 30)
        accounts = await _settled(agent, canister, sent)
        for crowd in crowds:
            await _command(crowd, "expect", {session: account["said"] for session, account in accounts.items()})
        reports: list[dict[str, Any]] = []
        for crowd in crowds:
            reports += await _answer(crowd, "report", SETTLING_SECONDS + 30)
        score = Score(
            sent, accounts, reports, [complaint for child in self._children for complaint in child.complaints()]
        )
        self._show(score)
        return score.is_perfect and len(reports) == self._arguments.clients

    def _show(self, score: Score) -> None:
        self._say(", ".join(f"{count} gateways {deed}" for deed, count in sorted(self._deeds.items())) or "no trouble")
        for line in score.lines():
            self._say(line)
        sys.stdout.write(score.table())

    def _say(self, words: str) -> None:
        sys.stdout.write(f"{time.monotonic() - self._started:7.1f} s  {words}\n")
        sys.stdout.flush()


def _replica() -> list[str]:
    return icws("replica", "--listen", "127.0.0.1:0", "--canister", "chaos=chaos_canister:ChaosCanister")


async def _settled(agent: Agent, canister: str, sent: dict[str, int]) -> dict[str, Any]:
    """The canister's accounts, once it has heard everything or time is over.

    A message that was sent with ``confirm="relayed"`` may still be on its way when its sender has been told.
    """
    deadline = time.monotonic() + SETTLING_SECONDS
    while True:
        accounts: Any = cbor.decode(await agent.call(canister, "report"), what="the report", max_items=10_000_000)
        heard = all(session in accounts and accounts[session]["through"] >= count for session, count in sent.items())
        if heard or time.monotonic() > deadline:
            return dict(accounts)
        await asyncio.sleep(0.2)


async def _command(crowd: Child, name: str, value: object) -> None:
    await crowd.tell(json.dumps({name: value}).encode() + b"\n")


async def _answer(crowd: Child, name: str, seconds: float) -> Any:
    return json.loads(await crowd.line(seconds))[name]


async def _run(arguments: argparse.Namespace) -> bool:
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    limit = arguments.seconds + OPENING_SECONDS + 2 * SETTLING_SECONDS + 120
    with tempfile.TemporaryDirectory(prefix="icws-chaos-") as folder:
        async with asyncio.timeout(limit):
            return await Chaos(arguments, Path(folder)).run()


def main() -> int:
    """Run as a program; gives the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=120.0, help="how long gateways are in trouble")
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--seed", type=int, default=None, help="default: another one each time")
    arguments = parser.parse_args()
    if arguments.seed is None:
        arguments.seed = random.SystemRandom().randrange(1 << 32)
    sys.stdout.write(f"seed {arguments.seed}, {arguments.clients} clients, {arguments.seconds:g} s\n")
    try:
        sound = asyncio.run(_run(arguments))
    except (IcwsError, RuntimeError, TimeoutError) as error:
        sys.stdout.write(f"the run failed: {error!r}\n")
        return 1
    except (KeyboardInterrupt, asyncio.CancelledError):
        sys.stdout.write("interrupted\n")
        return 130
    sys.stdout.write("nothing lost, nothing twice, everything in order\n" if sound else "FAILED\n")
    return 0 if sound else 1


if __name__ == "__main__":
    sys.exit(main())
