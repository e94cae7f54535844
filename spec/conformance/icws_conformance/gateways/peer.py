"""Clients made for tests of gateways: they sign whatever they are told to, and keep every frame."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from typing import Any, Final

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from icws_canister_mock.replica import Replica, Replied
from icws_conformance.case import Failed, Inconclusive
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
    HeadFrame,
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
from icws_secure.wire.message import CanisterMessage, decode_message
from icws_secure.wire.principal import Principal
from icws_secure.wire.registration import (
    Parameters,
    RegisterArgument,
    decode_register_result,
    encode_register_argument,
)

__all__ = ["Peer", "SecurePeer"]

_WAIT_S: Final = 10.0
_AFTER_CLOSE_S: Final = 1.0  # what is awaited may still come from elsewhere


class Peer:
    """One connection to the gateway under test: a client of ``omnia/1``.

    Args:
        socket: the WebSocket.
        canister: whom it talks to.
        log: where it writes.
        name: what it is called there.

    Attributes:
        identity: what it signs with.
        key: its client key.
        frames: every frame of the gateway that is one.
        strange: whatever else the gateway sent.
        closed: how the connection ended; None while it lasts.
    """

    def __init__(self, socket: ClientConnection, canister: Principal, log: WireLog, name: str) -> None:
        self.identity = Ed25519Identity(secrets.token_bytes(32))
        self.key = ClientKey(self.identity.principal, secrets.randbelow(1 << 62))
        self.canister = canister
        self.frames: list[GatewayFrame] = []
        self.strange: list[bytes | str] = []
        self.closed: ConnectionClosed | None = None
        self.socket = socket
        self._log = log
        self._name = name
        self._sent = 0
        self._pump = asyncio.create_task(self._read())

    async def leave(self) -> None:
        """Close the connection."""
        await self.socket.close()
        await self._pump

    async def vanish(self) -> None:
        """Cut the connection, as a network does: no closing handshake."""
        self.socket.transport.abort()
        await self._pump

    def pause(self) -> None:
        """Read nothing from the network until :meth:`resume`."""
        self.socket.transport.pause_reading()

    def resume(self) -> None:
        """Read again."""
        self.socket.transport.resume_reading()

    async def until(self, condition: Callable[[], object], what: str, limit_s: float = _WAIT_S) -> None:
        """Wait for something.

        Raises:
            Failed: it did not come.
        """
        end = time.monotonic() + limit_s
        while not condition():
            if time.monotonic() > end:
                self._log.note(f"{what}: it did not come", source=self._name, blamed=True)
                raise Failed(f"{what}: not within {limit_s:g} s{self._oddities()}")
            if self.closed is not None and self.closed.rcvd_then_sent:
                end = min(end, time.monotonic() + _AFTER_CLOSE_S)
            await asyncio.sleep(0.02)

    def _oddities(self) -> str:
        """What may explain that something did not come."""
        odd = f"; the connection was closed: {self.ending}" if self.closed is not None else ""
        if self.strange:
            odd += f"; {len(self.strange)} frames came that are none of the protocol"
        return odd

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

    @staticmethod
    def frame_of(envelope: Envelope) -> bytes:
        """The frame of a call."""
        return ClientFrame(envelope).encode()

    async def send(self, what: Envelope | bytes | str) -> None:
        """Send an envelope in a frame, or any bytes or text."""
        data = self.frame_of(what) if isinstance(what, Envelope) else what
        self._log.sent(self._name, "gateway", "frame", data if isinstance(data, bytes) else data.encode())
        try:
            await self.socket.send(data)
        except ConnectionClosed as closed:
            self.closed = self.closed or closed

    async def refused(self, what: str, limit_s: float = 4.0) -> str:
        """Wait until the gateway closes the connection; return code and reason.

        Raises:
            Failed: it does not.
        """
        await self.until(lambda: self.closed, f"the connection is closed, because {what}", limit_s)
        return self.ending

    @property
    def ending(self) -> str:
        """Code and reason of the gateway's close frame; words where there was none."""
        frame = None if self.closed is None else self.closed.rcvd
        return f"{frame.code} {frame.reason}".strip() if frame is not None else "no close frame"

    @property
    def code(self) -> int | None:
        """The code of the gateway's close frame; None where there was none."""
        frame = None if self.closed is None else self.closed.rcvd
        return frame.code if frame is not None else None

    @property
    def contents(self) -> list[CanisterMessage]:
        """Every message, decoded.

        Raises:
            Failed: one is no message.
        """
        try:
            return [decode_message(content) for _, content, _, _ in self.messages]
        except IcwsError as error:
            raise Failed(f"what was delivered is no message: {error}") from error

    @property
    def heads(self) -> list[HeadFrame]:
        """Every certified head."""
        return [frame for frame in self.frames if isinstance(frame, HeadFrame)]

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
                data = await self.socket.recv()
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


class SecurePeer(Peer):
    """A client of ``icws-secure/1``.

    Attributes:
        attach: the number of its open; the next open has the next one.
        parameters: of its registration.
    """

    attach = 0
    parameters: Parameters

    def register(self, replica: Replica) -> None:
        """Register the session at the IC directly, as the owner would.

        Raises:
            Inconclusive: the suite's canister refuses.
        """
        owner = Ed25519Identity(secrets.token_bytes(32)).principal
        argument = RegisterArgument(self.identity.principal, time.time_ns())
        answer = replica.call(self.canister, "ws_register", encode_register_argument(argument), sender=owner)
        result = decode_register_result(answer.arg) if isinstance(answer, Replied) else None
        if not isinstance(result, Parameters):
            raise Inconclusive("the suite's canister refused the registration")
        self.parameters = result

    def share(self, other: SecurePeer) -> None:
        """Be another connection of the same session, at its present attach."""
        self.identity, self.key, self.parameters = other.identity, other.key, other.parameters
        self.attach, self._sent = other.attach, other._sent

    async def open_envelope(self, *, attach: int | None = None, **changes: Any) -> Envelope:
        """A signed open, by default with the next attach number."""
        if attach is None:
            self.attach += 1
        number = self.attach if attach is None else attach
        secure = changes.pop("secure", None) or SecureOpen(self.parameters.registration_id, number, 1, "none")
        return await super().open_envelope(secure=secure, **changes)
