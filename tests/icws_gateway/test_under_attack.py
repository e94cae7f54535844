"""Strangers at full rate, from an address of their own: whoever is connected is served in turn, and nothing of theirs
reaches the IC.

Each attack goes on until the witness has had all of its answers. What is held against the gateway is counted, not
timed: the witness's answers come in order, the attack crossed its bound and was closed with its code, and between the
witness's call and its way to the IC the gateway took no more of the attackers' frames than their bursts allow.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from icws_gateway import Gateway
from icws_secure.wire.close_codes import CloseCode
from icws_secure.wire.envelope import Envelope
from icws_secure.wire.frames import ClientFrame
from icws_secure.wire.principal import Principal

pytestmark = [pytest.mark.req("ICWS-GWY-018"), pytest.mark.req("ICWS-GWY-011"), pytest.mark.req("ICWS-GWY-012")]

ATTACKERS = 4
ANSWERS = 12  # of the witness, while the attack goes on
ADDRESS = "127.0.0.66"  # of all attackers
BURST = 60  # frames of one client at once
PER_ADDRESS = tuple(f"{name}_per_address" for name in (
    "opens_per_second", "open_burst", "messages_per_second", "message_burst", "bytes_per_second", "byte_burst",
    "held_bytes",
))  # fmt: skip


def metric(gateway, name, **labels):
    return gateway.metrics.registry.get_sample_value(f"icws_gateway_{name}", labels) or 0


@dataclass
class Field:
    """What an attacker has to work with."""

    gateway: Gateway
    canister: Principal
    other: Principal
    connect: Callable[..., Awaitable[Any]]
    captured: Envelope
    ic: Any
    eventually: Callable[..., Awaitable[None]]
    codes: Counter[int | None] = field(default_factory=Counter)
    rounds: int = 0

    async def socket(self, **options: Any) -> Any:
        """A connection of an attacker's, before its open."""
        return await self.connect(self.gateway, self.canister, local_addr=(ADDRESS, 0), **options)

    async def opened(self, **options: Any) -> Any:
        peer = await self.socket(**options)
        await peer.open()
        return peer

    async def ended(self, peer: Any) -> None:
        self.codes[await peer.wait_closed()] += 1

    async def raw(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.gateway.port, local_addr=(ADDRESS, 0))


async def _until_refused(work: Awaitable[Any]) -> None:
    with contextlib.suppress(ConnectionClosed):
        await work


async def slow_handshake(at: Field) -> None:
    reader, writer = await at.raw()
    writer.write(b"GET / HTTP/1.1\r\nHost: ")
    with contextlib.suppress(ConnectionError):
        await reader.read()
    writer.close()


async def slow_reader(at: Field) -> None:
    narrow = socket.socket()
    narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    narrow.bind((ADDRESS, 0))
    narrow.setblocking(False)
    await asyncio.get_running_loop().sock_connect(narrow, ("127.0.0.1", at.gateway.port))
    canister = at.ic.install()
    await at.ic.update(canister, "control", {"page": 2})  # large messages do not fit into one answer
    peer = await at.connect(at.gateway, canister, sock=narrow, max_queue=1)
    await peer.open()
    peer.socket.transport.pause_reading()
    before = metric(at.gateway, "limits_total", limit="queue_bytes")
    for _ in range(7):  # more than the system's own buffers take
        await at.ic.push(canister, (peer.key, bytes(800_000)))
    await at.eventually(lambda: metric(at.gateway, "limits_total", limit="queue_bytes") > before)
    peer.socket.transport.abort()


async def huge_frame(at: Field) -> None:
    peer = await at.socket()
    await _until_refused(peer.socket.send(bytes(3 << 20)))
    await at.ended(peer)


async def frame_that_claims_to_be_huge(at: Field) -> None:
    peer = await at.socket()
    peer.socket.transport.write(b"\x82\xff" + struct.pack("!Q", 1 << 62) + bytes(4))
    await at.ended(peer)


async def deep_cbor(at: Field) -> None:
    peer = await at.socket()
    await peer.socket.send(b"\xa1\x68envelope" + b"\x81" * 60_000)
    await at.ended(peer)


async def wide_cbor(at: Field) -> None:
    peer = await at.opened()
    await peer.socket.send(b"\xa1\x68envelope\x9a\x00\x1b\x00\x00" + b"\x00" * 0x1B0000)
    await at.ended(peer)


async def fragment_flood(at: Field) -> None:
    peer = await at.opened()

    async def fragments():
        for _ in range(4 * BURST):
            yield b"x"

    await _until_refused(peer.socket.send(fragments()))
    await at.ended(peer)


async def ping_flood(at: Field) -> None:
    peer = await at.opened()
    # in one write, so that the gateway has them all at once
    peer.socket.transport.write(b"\x89\x80\x00\x00\x00\x00" * 20 * BURST)
    await at.ended(peer)


async def open_flood(at: Field) -> None:
    peer = await at.socket()
    await _until_refused(peer.open(wait=False))
    await at.eventually(lambda: peer.closed is not None or peer.contents)
    if peer.closed is not None:
        at.codes[peer.close_code] += 1
    await peer.stop()


async def forged_opens(at: Field) -> None:
    peer = await at.socket()
    data = bytearray(ClientFrame(peer.envelope("ws_open", peer.open_arg())).encode())
    data[-1] ^= 1
    await peer.socket.send(bytes(data))
    await at.ended(peer)


async def forged_calls(at: Field) -> None:
    peer = await at.opened()
    data = bytearray(ClientFrame(peer.message_envelope(b"forged")).encode())
    data[-1] ^= 1
    await _until_refused(peer.socket.send(bytes(data)))
    await at.ended(peer)


async def calls_to_other_canisters(at: Field) -> None:
    peer = await at.opened()
    await peer.send(peer.message_envelope(b"elsewhere", canister_id=at.other))
    await at.ended(peer)


async def calls_of_other_methods(at: Field) -> None:
    peer = await at.opened()
    await peer.send(peer.envelope("push", b"\x80"))
    await at.ended(peer)


async def expired_calls(at: Field) -> None:
    peer = await at.opened()
    await peer.send(peer.message_envelope(b"late", ingress_expiry_ns=time.time_ns() - 1))
    await at.ended(peer)


async def replayed_opens(at: Field) -> None:
    peer = await at.opened()
    again = await at.socket(identity=peer.identity)
    again.key = peer.key
    await again.open(wait=False)  # the key is connected; whoever has the bytes gets nothing
    await at.ended(again)
    await peer.stop()


async def replayed_calls(at: Field) -> None:
    peer = await at.opened()
    await peer.send(at.captured)
    await at.ended(peer)


Attack = Callable[[Field], Awaitable[None]]
RATE = {"message_burst_per_client": BURST, "messages_per_second_per_client": 1}
ATTACKS: dict[Attack, tuple[dict[str, Any], tuple[str, ...] | CloseCode]] = {
    slow_handshake: ({"handshake_timeout_seconds": 2}, ("handshake_time",)),  # enough for the witness
    slow_reader: ({"queue_bytes": 300_000}, ("queue_bytes",)),
    huge_frame: ({}, CloseCode.TOO_BIG),
    frame_that_claims_to_be_huge: ({}, CloseCode.TOO_BIG),
    deep_cbor: ({}, CloseCode.MALFORMED_FRAME),
    wide_cbor: ({}, CloseCode.MALFORMED_FRAME),
    fragment_flood: (RATE, CloseCode.RATE_LIMITED),
    ping_flood: (RATE, CloseCode.RATE_LIMITED),
    open_flood: ({"open_burst_per_address": 20, "opens_per_second_per_address": 1}, CloseCode.RATE_LIMITED),
    forged_opens: ({}, CloseCode.INVALID_SIGNATURE),
    forged_calls: ({}, CloseCode.INVALID_SIGNATURE),
    calls_to_other_canisters: ({}, CloseCode.WRONG_CANISTER),
    calls_of_other_methods: ({}, CloseCode.METHOD_NOT_ALLOWED),
    expired_calls: ({}, CloseCode.INGRESS_EXPIRY),
    replayed_opens: ({}, CloseCode.CLIENT_KEY_CONNECTED),
    replayed_calls: ({}, CloseCode.SENDER_MISMATCH),
}
"""Each attack: settings in which it is cheap to play, and the bound or the code that ends it."""


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
async def test_others_are_served_in_turn(ic, make_gateway, connect_peer, eventually, attack):
    settings, ending = ATTACKS[attack]
    plenty = dict.fromkeys(PER_ADDRESS, 1_000_000_000)
    gateway = await make_gateway(**(plenty | settings))
    # of our subprotocol: an omnia client's calls wait for each other's answers, and not only for their turn
    witness = await connect_peer(gateway, ic.install(), modern=True)
    await witness.open(attach=1)
    captured = witness.message_envelope(b"0")
    at = Field(gateway, witness.canister, ic.install(), connect_peer, captured, ic, eventually)
    await witness.send(at.captured)
    taken: list[float] = []
    over = False

    async def note(seen):
        if seen.method == "ws_message" and seen.sender == witness.identity.principal:
            taken.append(metric(gateway, "frames_received_total"))

    ic.fault = note
    await eventually(lambda: b"0" in witness.contents)

    async def go_on():
        while not over:
            with contextlib.suppress(ConnectionClosed, InvalidHandshake, OSError):
                await attack(at)
            at.rounds += 1

    attackers = [asyncio.create_task(go_on()) for _ in range(ATTACKERS)]
    await eventually(lambda: at.rounds > 0 or any(task.done() for task in attackers))
    for number in range(1, ANSWERS):
        before = metric(gateway, "frames_received_total")
        await witness.say(b"%d" % number)
        await eventually(lambda n=number: b"%d" % n in witness.contents)
        assert taken[number] - before <= 1 + ATTACKERS * 4 * BURST
    assert not [task.exception() for task in attackers if task.done()]
    over = True
    await asyncio.gather(*attackers)

    assert witness.contents[1:] == [b"%d" % number for number in range(ANSWERS)]
    assert metric(gateway, "internal_errors_total") == 0
    if isinstance(ending, tuple):
        assert metric(gateway, "limits_total", limit=ending[0]) > 0
    else:
        assert at.codes[ending] > 0
        assert set(at.codes) <= {ending, None}
    assert {seen.sender for seen in ic.named("ws_message")} == {witness.identity.principal}
    assert ic.named("push") == []
    assert at.other.to_text() not in {seen.canister for seen in ic.seen}
    await eventually(lambda: len(gateway._hub.sockets) == 1)
    assert gateway._hub.queues.used == 0
