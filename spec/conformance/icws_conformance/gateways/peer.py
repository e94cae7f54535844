"""A client made for tests of gateways: signs whatever it is told to, and keeps every frame."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from typing import Any

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from icws_conformance.case import Failed
from icws_conformance.wirelog import WireLog
from icws_secure.errors import IcwsError
from icws_secure.limits import NS_PER_S
from icws_secure.sign.identity import Ed25519Identity
from icws_secure.sign.request import sign_call
from icws_secure.wire.envelope import Envelope
from icws_secure.wire.frames import (
    ClientFrame,
    GatewayFrame,
    Handshake,
    MessageFrame,
    MessagesFrame,
    ReceiptFrame,
    decode_gateway_frame,
)
from icws_secure.wire.interface import (
    ClientKey,
    OpenArgument,
    SecureOpen,
    WebsocketMessage,
    encode_message_argument,
    encode_open_argument,
)
from icws_secure.wire.principal import Principal

__all__ = ["Peer"]

_WAIT_S = 10.0


class Peer:
    """One connection to the gateway under test."""

    def __init__(self, socket: ClientConnection, canister: Principal, log: WireLog, name: str) -> None:
        self.identity = Ed25519Identity(secrets.token_bytes(32))
        self.key = ClientKey(self.identity.principal, secrets.randbelow(1 << 62))
        self.canister = canister
        self.frames: list[GatewayFrame] = []
        self.strange: list[bytes | str] = []
        self.closed: ConnectionClosed | None = None
        self._socket = socket
        self._log = log
        self._name = name
        self._sent = 0
        self._pump = asyncio.create_task(self._read())

    async def leave(self) -> None:
        """Close the connection."""
        await self._socket.close()
        await self._pump

    async def until(self, condition: Callable[[], object], what: str, limit_s: float = _WAIT_S) -> None:
        """Wait for something.

        Raises:
            Failed: it did not come.
        """
        end = time.monotonic() + limit_s
        while not condition():
            if time.monotonic() > end:
                self._log.note(f"{what}: it did not come", source=self._name, blamed=True)
                raise Failed(f"{what}: not within {limit_s:g} s")
            await asyncio.sleep(0.02)

    async def handshake(self) -> Handshake:
        """The first frame, which must be a handshake.

        Raises:
            Failed: it is none.
        """
        await self.until(lambda: self.frames or self.strange, "a handshake at once", 5)
        if not self.frames or not isinstance(self.frames[0], Handshake):
            raise Failed("the first frame is no handshake")
        return self.frames[0]

    def envelope(self, method: str, arg: bytes, **changes: Any) -> Envelope:
        """A signed call."""
        fields: dict[str, Any] = {
            "canister_id": self.canister,
            "method_name": method,
            "arg": arg,
            "ingress_expiry_ns": time.time_ns() + 60 * NS_PER_S,
            "nonce": secrets.token_bytes(16),
        }
        identity = changes.pop("identity", self.identity)
        return sign_call(identity, **(fields | changes))

    async def open_envelope(self, *, secure: SecureOpen | None = None, **changes: Any) -> Envelope:
        """A signed open that names this gateway."""
        gateway = changes.pop("gateway", None) or (await self.handshake()).gateway_principal
        argument = OpenArgument(self.key.client_nonce, gateway, secure)
        return self.envelope("ws_open", encode_open_argument(argument), **changes)

    async def open(self, **changes: Any) -> None:
        """Open, and wait for the canister's first message."""
        before = len(self.messages)
        await self.send(await self.open_envelope(**changes))
        await self.until(lambda: len(self.messages) > before or self.closed, "the canister's answer to the open")
        if self.closed is not None:
            raise Failed(f"an honest open was refused: {self.closed}")

    def message(self, data: bytes, **changes: Any) -> Envelope:
        """A signed message with the next number."""
        self._sent += 1
        message = WebsocketMessage(self.key, self._sent, time.time_ns(), False, data)
        return self.envelope("ws_message", encode_message_argument(message), **changes)

    async def say(self, data: bytes) -> Envelope:
        """Send a message; return its envelope."""
        envelope = self.message(data)
        await self.send(envelope)
        return envelope

    async def send(self, what: Envelope | bytes | str) -> None:
        """Send an envelope in a frame, or any bytes or text."""
        data = ClientFrame(what).encode() if isinstance(what, Envelope) else what
        self._log.sent(self._name, "gateway", "frame", data if isinstance(data, bytes) else data.encode())
        try:
            await self._socket.send(data)
        except ConnectionClosed as closed:
            self.closed = self.closed or closed

    async def refused(self, what: str) -> str:
        """Wait until the gateway closes the connection; return code and reason.

        Raises:
            Failed: it does not.
        """
        await self.until(lambda: self.closed, f"the connection is closed, because {what}", 6)
        frame = None if self.closed is None else self.closed.rcvd
        return f"{frame.code} {frame.reason}" if frame is not None else "no close frame"

    @property
    def messages(self) -> list[tuple[str, bytes, bytes, bytes]]:
        """Every message: key, content, certificate, witness."""
        found = []
        for frame in self.frames:
            if isinstance(frame, MessageFrame):
                found.append((frame.key, frame.content, frame.cert, frame.tree))
            elif isinstance(frame, MessagesFrame):
                found += [(message.key, message.content, frame.cert, frame.tree) for message in frame.messages]
        return found

    @property
    def receipts(self) -> list[ReceiptFrame]:
        """Every receipt."""
        return [frame for frame in self.frames if isinstance(frame, ReceiptFrame)]

    async def _read(self) -> None:
        try:
            while True:
                data = await self._socket.recv()
                raw = data if isinstance(data, bytes) else data.encode()
                self._log.sent("gateway", self._name, "frame", raw)
                try:
                    self.frames.append(decode_gateway_frame(raw))
                except IcwsError:
                    self.strange.append(data)
        except ConnectionClosed as closed:
            self.closed = self.closed or closed
            frame = closed.rcvd
            text = f"closed: {frame.code} {frame.reason}" if frame is not None else "gone without a close frame"
            self._log.note(text, source="gateway")
