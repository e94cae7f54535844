"""A process of clients. Reads commands as lines of JSON, answers with lines of JSON.

Command and answer, in this order: ``{"open": options}`` and ``{"opened": count}``; ``{"talk": {}}``, without an
answer; ``{"finish": {}}`` and ``{"sent": {session: count}}``, once everything is confirmed;
``{"expect": {session: count}}`` and ``{"report": ...}``, once everything has arrived or time is over.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import sys
import time
from collections import Counter
from typing import Any

from chaos_stream import Numbered, Stream

from icws_client import ClientConfig, Connection, connect
from icws_secure.errors import IcwsError, ProtocolViolation, Reason
from icws_secure.limits import NS_PER_MS, NS_PER_S
from icws_secure.session.client import Attached, Ended, Event, GatewayLost, SendRejected, SendUnknown
from icws_secure.wire.principal import Principal

OPENING_AT_ONCE = 8
IN_FLIGHT = 12  # messages of one client that are not confirmed
CONFIRM = ("executed", "executed", "executed", "accepted", "relayed")
CLOSING_SECONDS = 20.0

# What a gateway that was killed or stopped can look like. Anything else would be an accusation of an honest gateway.
_LOOKS_HELD_BACK = frozenset({Reason.MESSAGES_WITHHELD})


class Talker:
    """One client: sends numbered messages at random moments, and keeps account of what it hears."""

    def __init__(self, options: dict[str, Any], number: int) -> None:
        self._options = options
        self._random = random.Random(f"{options['seed']} {number}")
        gateways = options["gateways"]
        first = number % len(gateways)
        self._gateways = gateways[first:] + gateways[:first]
        self._connection: Connection[bytes] | None = None
        self._reader: asyncio.Task[None] | None = None
        self._sending: set[asyncio.Task[None]] = set()
        self._arrived = asyncio.Event()
        self.heard = Stream()
        self.answered = Stream()
        self.sent = 0
        self.faults: list[str] = []
        self.lost: Counter[str] = Counter()
        self.direct = 0
        self.attached = 0
        self.slowest = 0.0

    @property
    def connection(self) -> Connection[bytes]:
        assert self._connection is not None
        return self._connection

    @property
    def session(self) -> str:
        return self.connection.session_principal.to_text()

    async def open(self) -> None:
        """Open the session and begin to listen."""
        canister = Principal.from_text(self._options["canister"])
        self._connection = await connect(
            self._gateways,
            canister_id=canister,
            ic_url=self._options["ic_url"],
            root_key=bytes.fromhex(self._options["root_key"]),
            open_timeout=300.0,
            close_timeout=CLOSING_SECONDS,
            on_event=self._note,
            config=_impatient(canister),
        )
        self._reader = asyncio.create_task(self._listen())

    async def talk(self, finish: asyncio.Event) -> None:
        """Send until ``finish``, then wait for the confirmations."""
        low, high = self._options["pause"]
        while not finish.is_set():
            try:
                async with asyncio.timeout(self._random.uniform(low, high)):
                    await finish.wait()
            except TimeoutError:
                if len(self._sending) < IN_FLIGHT:
                    self._send()
        if self._sending:
            await asyncio.wait(self._sending)

    async def hear(self, through: int) -> None:
        """Wait until the canister's messages up to ``through`` are here; cancel it when time is over."""
        while self.heard.received < through and self._reader is not None and not self._reader.done():
            self._arrived.clear()
            await self._arrived.wait()

    async def close(self) -> None:
        """End the session."""
        if self._reader is not None:
            self._reader.cancel()
        if self._connection is not None:
            await self._connection.close()

    def report(self, expected: int) -> dict[str, Any]:
        """The account, for the end."""
        return {
            "session": self.session,
            "sent": self.sent,
            "received": self.heard.received,
            "lost": self.heard.lost(expected),
            "duplicated": self.heard.duplicated + self.answered.duplicated,
            "disordered": self.heard.disordered + self.answered.disordered,
            "unanswered": self.answered.lost(self.sent),
            "faults": self.faults[:10],
            "gateways_lost": dict(self.lost),
            "attached": self.attached,
            "direct": self.direct,
            "slowest": self.slowest,
        }

    def _send(self) -> None:
        self.sent += 1
        task = asyncio.create_task(self._confirmed(self.sent, self._random.choice(CONFIRM)))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _confirmed(self, number: int, confirm: Any) -> None:
        started = time.monotonic()
        try:
            await self.connection.send(Numbered(number).encode(), confirm=confirm)
        except IcwsError as error:
            self.faults.append(f"send {number} ({confirm}): {error!r}")
        self.slowest = max(self.slowest, time.monotonic() - started)

    async def _listen(self) -> None:
        try:
            async for data in self.connection:
                message = Numbered.decode(data)
                self.heard = self.heard.take(message.number)
                self._arrived.set()
                if message.answers:
                    self.answered = self.answered.take(message.answers)
        except (IcwsError, ValueError) as error:
            self.faults.append(f"listening: {error!r}")
        finally:
            self._arrived.set()

    def _note(self, event: Event) -> None:
        match event:
            case GatewayLost(target, error, _):
                self.lost[f"{'direct ' if target is None else ''}{error.reason}"] += 1
                if isinstance(error, ProtocolViolation) and error.reason not in _LOOKS_HELD_BACK:
                    self.faults.append(f"an honest gateway was accused: {error!r}")
            case Attached(target):
                self.attached += 1
                self.direct += target is None
            case SendRejected(_, error) | SendUnknown(_, error):
                self.faults.append(f"not executed: {error!r}")
            case Ended(error):
                if getattr(error, "code", None) != 1000:
                    self.faults.append(f"ended: {error!r}")


def _impatient(canister: Principal) -> ClientConfig:
    """Deadlines that fit a run of minutes."""
    return ClientConfig(
        canister_id=canister,
        backoff_initial_ns=100 * NS_PER_MS,
        backoff_max_ns=3 * NS_PER_S,
        attach_timeout_ns=15 * NS_PER_S,
        connect_timeout_ns=5 * NS_PER_S,
        handshake_timeout_ns=5 * NS_PER_S,
        receipt_timeout_ns=4 * NS_PER_S,
        head_interval_ns=6 * NS_PER_S,
        withhold_grace_ns=5 * NS_PER_S,
        switch_back_ns=3 * NS_PER_S,
        distrust_ns=10 * NS_PER_S,
        poll_interval_ns=500 * NS_PER_MS,
        poll_interval_max_ns=3 * NS_PER_S,
    )


async def _serve() -> None:
    reader = asyncio.StreamReader(limit=1 << 22)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)

    async def command(name: str) -> Any:
        line = await reader.readline()
        if not line:
            raise SystemExit(1)  # the program that started this one is gone
        return json.loads(line)[name]

    options = await command("open")
    talkers = [Talker(options, number) for number in options["numbers"]]
    gate = asyncio.Semaphore(OPENING_AT_ONCE)

    async def open_one(talker: Talker) -> None:
        async with gate:
            await talker.open()

    await asyncio.gather(*map(open_one, talkers))
    _answer({"opened": len(talkers)})

    await command("talk")
    finish = asyncio.Event()
    talking = asyncio.gather(*(talker.talk(finish) for talker in talkers))
    limit = (await command("finish"))["seconds"]
    finish.set()
    try:
        await asyncio.wait_for(talking, limit)
    except TimeoutError:
        for talker in talkers:
            talker.faults += ["some messages were never confirmed"] if talker._sending else []
    _answer({"sent": {talker.session: talker.sent for talker in talkers}})

    expected = await command("expect")
    hearing = asyncio.gather(*(talker.hear(expected[talker.session]) for talker in talkers))
    with contextlib.suppress(TimeoutError):  # the report says what is missing
        await asyncio.wait_for(hearing, limit)
    _answer({"report": [talker.report(expected[talker.session]) for talker in talkers]})
    await asyncio.gather(*(talker.close() for talker in talkers))


def _answer(value: object) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(_serve())
