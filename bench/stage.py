"""A prepared IC, the real gateway and light clients, each a process of its own, and what is measured between them."""

from __future__ import annotations

import contextlib
import datetime
import sys
import tempfile
import time
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from processes import Child, any_certificate, cpu_seconds, resident_bytes
from queues import PAGE, QueueSpec, client_key

from icws_conformance.gateways.process import free_port
from icws_gateway.identity_file import load_or_create_identity
from icws_secure.verify.certificate import CertificateVerifier
from icws_secure.verify.message import MessageSource, verify_messages
from icws_secure.verify.root_key import RootKey
from icws_secure.wire.frames import KeyedContent, MessageFrame, MessagesFrame, decode_gateway_frame
from icws_secure.wire.principal import Principal

__all__ = ["Delivery", "Stage"]

_SETTINGS: Final[Mapping[str, object]] = {
    # all clients are of one address here
    "max_connections_per_address": 20_000,
    "opens_per_second_per_address": 100_000,
    "open_burst_per_address": 100_000,
    "messages_per_second_per_address": 100_000,
    "message_burst_per_address": 100_000,
    # benchmarks say themselves when heads are wanted
    "head_interval_seconds": 0,
}
_SAMPLES: Final = 5
_SECONDS: Final = 60.0  # that a delivery may take beyond its schedule


@dataclass(frozen=True, slots=True)
class Delivery:
    """What became of the messages of one release.

    Attributes:
        messages: how many came; always as many as were released.
        frames: in how many frames.
        bytes: that the clients received.
        cpu_seconds: of the gateway.
        seconds: from the release to the last message.
        delays: seconds from ready at the IC to received by the client, for each message; by canister.
        clients: the numbers of their clients, in the same order.
        in_order: each client got its messages by ascending nonce.
        closed: close codes of clients that the gateway has turned away.
    """

    messages: int
    frames: int
    bytes: int
    cpu_seconds: float
    seconds: float
    delays: tuple[tuple[float, ...], ...]
    clients: tuple[tuple[int, ...], ...]
    in_order: bool
    closed: dict[str, int] = field(default_factory=dict)

    @property
    def cpu_us(self) -> float:
        """Gateway CPU a message, microseconds."""
        return self.cpu_seconds / self.messages * 1e6

    def delays_ms(self, canister: int = 0) -> list[float]:
        """Delays of one canister's messages, milliseconds."""
        return [1e3 * delay for delay in self.delays[canister]]


class Stage:
    """``with`` it: everything is up, and all clients have opened.

    Args:
        queues: one for each canister.
        modern: clients speak our subprotocol and open as ``icws-secure/1``.
        tls: clients speak TLS, which the gateway ends.
        round_trip: of the IC, seconds.
        settings: of the gateway, besides those that let all clients come from one address.

    Attributes:
        open_cpu_us: what an open cost the gateway, microseconds of CPU: connection, checks, relaying.
        idle_bytes: memory of the gateway a client, after all have opened.
    """

    def __init__(
        self,
        queues: Sequence[QueueSpec],
        *,
        modern: bool = False,
        tls: bool = False,
        round_trip: float = 0.0,
        settings: Mapping[str, object] | None = None,
    ) -> None:
        self._specs = tuple(queues)
        self._modern = modern
        self._tls = tls
        self._round_trip = round_trip
        self._settings = {**_SETTINGS, **(settings or {})}
        self._resources = contextlib.ExitStack()
        self._released = [0] * len(self._specs)
        self.open_cpu_us = self.idle_bytes = 0.0

    def __enter__(self) -> Stage:
        with contextlib.ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="icws-bench-")))
            identity = folder / "gateway.pem"
            self.gateway = load_or_create_identity(identity).principal
            queues = [spec.as_json() for spec in self._specs]
            self.ic = self._child(stack, Child.script("prepared_ic", folder))
            order = {"gateway": self.gateway.raw.hex(), "queues": queues, "round_trip": 0.0}
            found = self.ic.ask(order)
            self._canisters = [Principal(bytes.fromhex(text)) for text in found["canisters"]]
            self._root_key = RootKey.from_der(bytes.fromhex(found["root_key"]))
            self._port = free_port()
            if self._tls:
                self._settings |= _certificate(folder)
            command = self._command(found["url"], identity)
            self.relay = self._child(stack, Child("gateway", command, folder, talks=False))
            self._await_gateway()
            self.crowd = self._child(stack, Child.script("light_clients", folder))
            order |= {"port": self._port, "canisters": found["canisters"], "modern": self._modern, "tls": self._tls}
            self.crowd.ask(order)
            self._open()
            self._resources = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._resources.close()

    @staticmethod
    def _child(stack: contextlib.ExitStack, child: Child) -> Child:
        stack.callback(child.end)
        return child

    def _command(self, ic_url: str, identity: Path) -> list[str]:
        settings = [f"--set={name}={value}" for name, value in self._settings.items()]
        return [
            *(sys.executable, "-m", "icws_cli.main", "gateway", "--ic-url", ic_url),
            *("--listen", f"127.0.0.1:{self._port}", "--identity", str(identity), "--log-level", "warning", *settings),
        ]

    def _await_gateway(self) -> None:
        deadline = time.monotonic() + _SECONDS
        while self.relay.process.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                if b"ready" in self._page("ready"):
                    return
            time.sleep(0.05)
        raise RuntimeError(f"the gateway does not start:\n{self.relay.tail()}")

    def _open(self) -> None:
        clients = sum(spec.clients for spec in self._specs)
        memory, cpu = resident_bytes(self.relay.pid), cpu_seconds(self.relay.pid)
        self.crowd.ask({"open": None}, 300.0)
        deadline = time.monotonic() + _SECONDS
        while self.metric('opens_total{outcome="answered"}') < clients:
            if time.monotonic() > deadline:
                raise RuntimeError(f"not all clients opened:\n{self.relay.tail()}")
            time.sleep(0.1)
        self.open_cpu_us = (cpu_seconds(self.relay.pid) - cpu) / clients * 1e6
        self.idle_bytes = (resident_bytes(self.relay.pid) - memory) / clients
        self.ic.ask({"round_trip": self._round_trip})

    def _page(self, name: str) -> bytes:
        context = any_certificate() if self._tls else None
        url = f"{'https' if self._tls else 'http'}://127.0.0.1:{self._port}/{name}"
        with urllib.request.urlopen(url, timeout=_SECONDS, context=context) as answer:  # noqa: S310 - our own gateway
            data: bytes = answer.read()
        return data

    def metric(self, name: str) -> float:
        """A metric of the gateway, without its prefix, summed over its processes; 0 if there is none."""
        wanted, total = _labels(f"icws_gateway_{name}"), 0.0
        for line in self._page("metrics").decode().splitlines():
            found, _, value = line.rpartition(" ")
            if not line.startswith("#") and wanted <= _labels(found):
                total += float(value)
        return total

    # what can be measured

    def release(self, pages: Mapping[int, int], per_second: float = 0.0, *, without: int | None = None) -> Delivery:
        """Lets the next pages of each canister's queue become visible, and waits until the clients have them.

        Args:
            pages: how many, by canister.
            per_second: messages a second of each canister; 0: all at once.
            without: a client that does not read; its messages are not waited for.

        Raises:
            RuntimeError: a message did not come.
        """
        expected = sum(self._expected(n, count, without) for n, count in pages.items())
        self.crowd.ask({"expect": expected})
        cpu = cpu_seconds(self.relay.pid)
        released = self.ic.ask({"release": {str(n): (count, per_second) for n, count in pages.items()}})["released"]
        schedule = PAGE * max(pages.values()) / per_second if per_second else 0.0
        found = self.crowd.ask({"collect": schedule + _SECONDS}, schedule + _SECONDS + 10.0)
        cpu = cpu_seconds(self.relay.pid) - cpu
        if found["messages"] < expected:
            counts = self.ic.ask({"counts": None})
            raise RuntimeError(
                f"{expected - found['messages']} messages did not come; closed {found['closed']}, {counts}\n"
                f"{self.relay.tail()}"
            )
        for n, count in pages.items():
            self._released[n] += count
        ready = [dict(released.get(str(n), ())) for n in range(len(self._specs))]
        arrivals = found["arrivals"]
        started = min(at for of_canister in ready for at in of_canister.values())
        return Delivery(
            messages=found["messages"],
            frames=found["frames"],
            bytes=found["bytes"],
            cpu_seconds=cpu,
            seconds=max(max(times) for _, times, _ in arrivals if times) - started,
            delays=tuple(
                tuple(at - ready[n][nonce - nonce % PAGE] for nonce, at in zip(nonces, times, strict=True))
                for n, (nonces, times, _) in enumerate(arrivals)
            ),
            clients=tuple(tuple(numbers) for _, _, numbers in arrivals),
            in_order=found["in_order"],
            closed=found["closed"],
        )

    def _expected(self, canister: int, pages: int, without: int | None) -> int:
        first = self._released[canister] * PAGE
        spec = self._specs[canister]
        return sum(spec.client_of(number) != without for number in range(first, first + pages * PAGE))

    def stall(self, client: int) -> None:
        """The client stops to read."""
        self.crowd.ask({"stall": client})

    def stop_canister(self, canister: int) -> None:
        """The canister's polls are rejected from now on."""
        self.ic.ask({"stop": canister})

    def idle(self, seconds: float) -> float:
        """Lets nothing happen for a while; gives the share of one core that the gateway used."""
        before, started = cpu_seconds(self.relay.pid), time.monotonic()
        time.sleep(seconds)
        return (cpu_seconds(self.relay.pid) - before) / (time.monotonic() - started)

    def calls(self, count: int, per_second: float) -> float:
        """Has clients send so many calls; gives gateway CPU a call, microseconds.

        Raises:
            RuntimeError: a receipt did not come.
        """
        before = cpu_seconds(self.relay.pid)
        found = self.crowd.ask({"call": (count, per_second)}, 60.0 + count / per_second)
        if found["receipts"] < count:
            raise RuntimeError(f"{count - found['receipts']} receipts did not come\n{self.relay.tail()}")
        return (cpu_seconds(self.relay.pid) - before) / count * 1e6

    def verify_samples(self) -> int:
        """Verifies the last frame of a few clients as a client would; gives how many messages those were.

        Raises:
            IcwsError: what the gateway relayed is not genuine. Nothing that was measured is worth anything then.
        """
        verifier, verified = CertificateVerifier(self._root_key), 0
        for number, canister, text in self.crowd.ask({"samples": _SAMPLES})["samples"]:
            frame = decode_gateway_frame(bytes.fromhex(text))
            if isinstance(frame, MessageFrame):
                messages: tuple[KeyedContent, ...] = (KeyedContent(frame.key, frame.content),)
            elif isinstance(frame, MessagesFrame):
                messages = frame.messages
            else:
                raise RuntimeError("a sample is no message")
            source = MessageSource(self._canisters[canister], self.gateway, client_key(number))
            verified += len(
                verify_messages(messages, frame.cert, frame.tree, verifier=verifier, source=source, now=time.time_ns())
            )
        if not verified:
            raise RuntimeError("there was nothing to verify")
        return verified


def _certificate(folder: Path) -> dict[str, object]:
    """Settings with a certificate for TLS, which is made here: elliptic curve P-256, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now, day = datetime.datetime.now(datetime.UTC), datetime.timedelta(days=1)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now - day, now + day)
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    chain, secret = folder / "chain.pem", folder / "key.pem"
    chain.write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(pem))
    secret.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    return {"tls_certificate": chain, "tls_key": secret}


def _labels(metric: str) -> set[str]:
    """Name and labels of a metric."""
    return set(metric.rstrip("}").replace("{", ",").split(","))
