"""The driver of this project's kit for the target ``canister``: a local replica, a test application, and a clock that
can be put forward; the protocol is in ``docs/conformance.md``."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any, Final

from icws_canister_mock.canister import Client, WebSocketCanister
from icws_canister_mock.replica import Replica, ReplicaConfig, query, serve_replica
from icws_canister_mock.replica.rejects import Replied
from icws_secure.errors import IcwsError, MisuseError
from icws_secure.limits import NS_PER_S
from icws_secure.payload import SuiteName
from icws_secure.session.canister import SealedSuites
from icws_secure.wire.candid import Arguments, Blob
from icws_secure.wire.hashtree import encode_tree
from icws_secure.wire.principal import Principal

__all__ = ["Probe", "main"]

_PREFIX: Final = b"icws-test:"
_LABEL: Final = b"icws-test"
_COMMANDS: Final = "features trap close burst certify report"
_TWO_BLOBS: Final = Arguments(Blob, Blob)


class Probe(WebSocketCanister):
    """Echoes what it is told, and does on demand what the suite asks of applications."""

    def on_init(self, arg: bytes) -> None:
        """Nothing has failed, nobody was heard."""
        self.failures: list[str] = []
        self.events: list[str] = []

    def on_open(self, client: Client) -> None:
        """Remember it."""
        self.events.append(f"open {client.principal}")

    def on_close(self, client: Client, code: str) -> None:
        """Remember it."""
        self.events.append(f"close {client.principal} {code}")

    def on_error(self, client: Client, error: str) -> None:
        """Remember it."""
        self.events.append(f"error {client.principal}")

    def on_message(self, client: Client, data: bytes) -> None:
        """Echo, or obey."""
        if not data.startswith(_PREFIX):
            self.ws.send(client, data)
            return
        name, *words = data[len(_PREFIX) :].decode().split(" ")
        answer = getattr(self, f"do_{name}")(client, *words)
        if answer is not None:
            self.ws.send(client, _PREFIX + f"{name} {answer}".encode())

    def do_features(self, client: Client) -> str:
        """What else can be asked for."""
        return _COMMANDS

    def do_trap(self, client: Client) -> None:
        """Send, and trap: neither happens."""
        self.ws.send(client, _PREFIX + b"undone")
        self.ic.trap("as you wish")

    def do_close(self, client: Client) -> None:
        """End the session."""
        self.ws.close(client)

    def do_burst(self, client: Client, count: str, size: str) -> None:
        """Send so many messages of so many bytes, numbered, until one fails."""
        for number in range(int(count)):
            data = str(number).encode().ljust(int(size), b".")
            try:
                self.ws.send(client, data)
            except MisuseError as error:
                self.failures.append(f"{client.principal} {number} {error.reason.value}")
                return

    def do_certify(self, client: Client, label: str) -> str:
        """Certify a word under a label of the root."""
        try:
            self.ws.certify(label.encode(), b"certified")
        except MisuseError:
            return "refused"
        return "done"

    def do_report(self, client: Client) -> str:
        """What became of this client: its events, and the sends that failed."""
        own = str(client.principal)
        events = [event for event in self.events if own in event]
        failures = [failure for failure in self.failures if own in failure]
        return json.dumps({"events": [event.replace(own, "").split() for event in events], "failures": failures})

    @query("icws_test_certified")
    def icws_test_certified(self, arg: bytes) -> bytes:
        """Certificate and witness of the application's own label."""
        return _TWO_BLOBS.encode(self.ic.data_certificate() or b"", encode_tree(self.ws.witness((_LABEL,))))


class _Clock:
    """The machine's clock, put forward by hand."""

    def __init__(self) -> None:
        self.offset_ns = 0

    def now_ns(self) -> int:
        """Nanoseconds since 1970."""
        return time.time_ns() + self.offset_ns


class _Driver:
    def __init__(self) -> None:
        self._clock = _Clock()
        self._replica = Replica(ReplicaConfig(clock=self._clock, idle_block_ms=500))
        self._kind: type[Probe] = Probe.configured(suites=SealedSuites(frozenset({SuiteName.HPKE, SuiteName.NONE})))
        self._canister = self._replica.install(self._kind())
        self._url = ""

    async def run(self) -> None:
        async with serve_replica(self._replica) as server:
            self._url = server.url
            reader = asyncio.StreamReader(limit=8 << 20)
            loop = asyncio.get_running_loop()
            await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
            while line := await reader.readline():
                asked = json.loads(line)
                try:
                    answer = getattr(self, f"on_{asked['command']}")(asked)
                    _say({"id": asked["id"], "ok": True, **(answer or {})})
                except (IcwsError, AttributeError, KeyError, ValueError, TypeError) as error:
                    _say({"id": asked["id"], "ok": False, "error": {"text": str(error)}})

    def on_hello(self, asked: dict[str, Any]) -> dict[str, Any]:
        del asked
        return {
            "name": "icws_canister_mock",
            "ic_url": self._url,
            "canister_id": str(self._canister),
            "root_key_hex": self._replica.root_key_der.hex(),
            "features": ["time", "settings", "upgrade", "reinstall", "unchecked"],
        }

    def on_advance(self, asked: dict[str, Any]) -> None:
        self._clock.offset_ns += int(float(asked["seconds"]) * NS_PER_S)
        self._replica.run_until_idle()
        self._replica.make_blocks()

    def on_install(self, asked: dict[str, Any]) -> dict[str, Any]:
        settings = dict(asked["settings"])
        if "profiles" in settings:
            settings["profiles"] = frozenset(settings["profiles"])
        if "suites" in settings:
            settings["suites"] = SealedSuites(frozenset(map(SuiteName, settings["suites"])))
        return {"canister_id": str(self._replica.install(self._kind.configured(**settings)()))}

    def on_upgrade(self, asked: dict[str, Any]) -> None:
        canister = Principal.from_text(asked["canister_id"])
        self._replica.upgrade(canister, type(self._replica.canister(canister))())

    def on_reinstall(self, asked: dict[str, Any]) -> None:
        canister = Principal.from_text(asked["canister_id"])
        self._replica.reinstall(canister, type(self._replica.canister(canister))())

    def on_call(self, asked: dict[str, Any]) -> dict[str, Any]:
        sender = Principal(bytes.fromhex(asked["sender_hex"]))
        canister, arg = Principal.from_text(asked["canister_id"]), bytes.fromhex(asked["arg_hex"])
        result = self._replica.call(canister, asked["method"], arg, sender=sender)
        if isinstance(result, Replied):
            return {"reply_hex": result.arg.hex()}
        return {"rejected": result.message}


def _say(document: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(document, separators=(",", ":")) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Serve until the input ends."""
    asyncio.run(_Driver().run())


if __name__ == "__main__":
    main()
