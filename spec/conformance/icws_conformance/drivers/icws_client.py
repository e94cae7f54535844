"""The driver of ``icws_client`` for the target ``client``; the protocol is in ``docs/conformance.md``."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from typing import Any, Final

from icws_client import ClientConfig, Connection, ConnectionClosed, connect
from icws_client.driver import Driver as SessionDriver
from icws_secure.errors import IcwsError, Reason, SessionEnded
from icws_secure.limits import NS_PER_MS, NS_PER_S
from icws_secure.session.client import Ended, Event, GatewayLost
from icws_secure.sign.identity import AnonymousIdentity, DelegatedIdentity, Ed25519Identity, Identity
from icws_secure.sign.request import sign_delegation
from icws_secure.wire.envelope import Delegation
from icws_secure.wire.principal import Principal

__all__ = ["main"]

_LINE_BYTES: Final = 8 << 20

#: In a hurry: as an application would set them that cannot wait, so that silence is noticed within seconds.
_HURRY: Final = {
    "backoff_initial_ns": 10 * NS_PER_MS,
    "attach_timeout_ns": 3 * NS_PER_S,
    "handshake_timeout_ns": 3 * NS_PER_S,
    "receipt_timeout_ns": 2 * NS_PER_S,
    "head_interval_ns": 2 * NS_PER_S,
    "audit_interval_ns": 2 * NS_PER_S,
    "withhold_grace_ns": 2 * NS_PER_S,
    "retry_initial_ns": 50 * NS_PER_MS,
    "poll_interval_ns": 20 * NS_PER_MS,
    "poll_interval_max_ns": 100 * NS_PER_MS,
    "direct_fallback": False,
}


#: What it obeys of the commands and fields that not every client can.
_FEATURES: Final = (
    *("failover", "receipts", "reasons", "direct", "pinned", "reset", "hurry"),
    *("hold", "saved", "delegated", "anonymous-owner", "send-timeout", "ttl", "payload", "clock", "ack-interval"),
)

_ACK_GRACE_S: Final = 3


_OUTCOMES: Final = {Reason.NOT_EXECUTED: "not executed", Reason.OUTCOME_UNKNOWN: "unknown"}


class _Clock:
    """The machine's clock, until the suite sets it."""

    def __init__(self) -> None:
        self.ahead_ns = 0

    def now(self) -> int:
        return time.time_ns() + self.ahead_ns


_CLOCK: Final = _Clock()
# A session's clock is no setting of the client, since no application has another one than the machine's.
if SessionDriver.__init__.__kwdefaults__ is not None:
    SessionDriver.__init__.__kwdefaults__["now"] = _CLOCK.now


class _Driver:
    def __init__(self) -> None:
        self._taking = asyncio.Event()
        self._taking.set()
        self._connection: Connection[bytes] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._receiving: asyncio.Task[None] | None = None

    async def command(self, asked: dict[str, Any]) -> None:
        try:
            answer = await getattr(self, f"on_{asked['command']}")(asked)
            _say({"id": asked["id"], "ok": True, **(answer or {})})
        except IcwsError as error:
            outcome = {"outcome": _OUTCOMES.get(error.reason, "rejected")} if asked["command"] == "send" else {}
            _say({"id": asked["id"], "ok": False, "error": _described(error), **outcome})

    def begin(self, asked: dict[str, Any]) -> None:
        task = asyncio.create_task(self.command(asked))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def end(self) -> None:
        if self._connection is not None:
            await self._connection.abandon()

    async def on_hello(self, asked: dict[str, Any]) -> dict[str, Any]:
        del asked
        told = {"name": "icws_client", "profiles": ["secure", "omnia"], "features": list(_FEATURES)}
        return told | {"ack_grace_s": _ACK_GRACE_S}

    async def on_connect(self, asked: dict[str, Any]) -> dict[str, Any]:
        canister = Principal.from_text(asked["canister_id"])
        settings: dict[str, Any] = dict(_HURRY) if asked.get("hurry") else {}
        for name in ("message_ttl", "open_ttl"):
            if f"{name}_ms" in asked:
                settings[f"{name}_ns"] = asked[f"{name}_ms"] * NS_PER_MS
        if "ack_interval_s" in asked:
            settings["omnia_ack_interval_ns"] = asked["ack_interval_s"] * NS_PER_S
            settings["ack_grace_ns"] = _ACK_GRACE_S * NS_PER_S
        timeout_ms, key = asked.get("send_timeout_ms"), asked.get("state_key_hex")
        self._connection = await connect(
            asked["gateways"] or None,
            canister_id=canister,
            ic_url=asked["ic_url"],
            root_key=bytes.fromhex(asked["root_key_hex"]),
            profile=asked["profile"],
            gateway_principal=asked.get("gateway_principal"),
            identity=_owner(asked),
            payload=asked.get("payload", "none"),
            minimum=asked.get("minimum"),
            send_timeout=None if timeout_ms is None else timeout_ms / 1000,
            state_file=asked.get("state_file"),
            state_key=None if key is None else bytes.fromhex(key),
            open_timeout=asked.get("limit_s", 10),
            close_timeout=2.0,
            config=ClientConfig(canister_id=canister, **settings),
            on_event=_tell,
        )
        self._receiving = asyncio.create_task(self._receive(self._connection))
        return {"session": self._connection.session_principal.to_text()}

    async def on_send(self, asked: dict[str, Any]) -> dict[str, Any]:
        if self._connection is None:
            raise IcwsError("not connected")
        await self._connection.send(bytes.fromhex(asked["data_hex"]), confirm=asked["confirm"])
        return {"outcome": asked["confirm"]}

    async def on_close(self, asked: dict[str, Any]) -> None:
        del asked
        if self._connection is not None:
            await self._connection.close()

    async def on_hold(self, asked: dict[str, Any]) -> None:
        if asked["hold"]:
            self._taking.clear()
        else:
            self._taking.set()

    async def on_suspend(self, asked: dict[str, Any]) -> None:
        del asked
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.suspend()

    async def on_clock(self, asked: dict[str, Any]) -> None:
        _CLOCK.ahead_ns = asked["ahead_ms"] * NS_PER_MS

    async def on_reset(self, asked: dict[str, Any]) -> None:
        del asked
        _CLOCK.ahead_ns = 0
        self._taking.set()
        for task in self._tasks - {asyncio.current_task()}:
            task.cancel()
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.abandon()

    async def _receive(self, connection: Connection[bytes]) -> None:
        try:
            while True:
                await self._taking.wait()
                await connection.ready()
                if self._taking.is_set() and (message := connection.take()) is not None:
                    _say({"event": "message", "data_hex": message.data.hex()})
        except ConnectionClosed:
            return  # told as an event already


def _owner(asked: dict[str, Any]) -> Identity | None:
    """Who owns the session: nobody, somebody who speaks by a delegation that ends soon, or a new key."""
    if asked.get("owner") == "anonymous":
        return AnonymousIdentity()
    if "delegation_ms" not in asked:
        return None
    lives_ms = asked["delegation_ms"]
    owner, inner = Ed25519Identity(os.urandom(32)), Ed25519Identity(os.urandom(32))
    link = Delegation(inner.public_key_der, _CLOCK.now() + lives_ms * NS_PER_MS)
    return DelegatedIdentity(inner, owner.public_key_der, (sign_delegation(owner, link),))


def _tell(event: Event) -> None:
    if isinstance(event, GatewayLost):
        url = None if event.target is None else event.target.url
        _say({"event": "lost", "gateway": url, "error": _described(event.error)})
    elif isinstance(event, Ended):
        code = event.error.code if isinstance(event.error, SessionEnded) else None
        _say({"event": "closed", "code": code, "reason": str(event.error)})


def _described(error: IcwsError) -> dict[str, Any]:
    return {"reason": str(error.reason), "requirement": error.requirement, "text": error.message}


def _say(document: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(document, separators=(",", ":")) + "\n")
    sys.stdout.flush()


async def _run() -> None:
    reader = asyncio.StreamReader(limit=_LINE_BYTES)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    driver = _Driver()
    while line := await reader.readline():
        driver.begin(json.loads(line))
    await driver.end()


def main() -> None:
    """Obey until the input ends."""
    asyncio.run(_run())


if __name__ == "__main__":
    main()
