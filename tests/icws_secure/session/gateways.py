"""An honest gateway, which tests make something else of."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from typing import Any

from icws_secure.limits import NS_PER_S
from icws_secure.session.client import (
    GatewayTarget,
)
from icws_secure.sign import Ed25519Identity
from icws_secure.wire.envelope import CallContent, Envelope
from icws_secure.wire.frames import (
    SUBPROTOCOL,
    Handshake,
    KeyedContent,
    MessageFrame,
    MessagesFrame,
    ReceiptFrame,
    ReceiptStatus,
    decode_client_frame,
)
from icws_secure.wire.interface import (
    CertifiedMessages,
    ClientKey,
    CloseArgument,
    decode_get_messages_result,
    decode_open_argument,
    encode_close_argument,
    encode_get_messages_argument,
)

from .ic import Ic


class Gateway:
    """An honest gateway with one client at a time. Tests replace its methods to make it something else."""

    def __init__(self, ic: Ic, name: str, *, subprotocol: bool = True) -> None:
        self.ic = ic
        self.url = f"ws://{name}"
        self.principal = Ed25519Identity(hashlib.sha256(name.encode()).digest()).principal
        self.has_subprotocol = subprotocol
        self.is_alive = True
        self.relays_messages = True
        self.relays_heads = True
        self.relays_calls = True
        self.gives_receipts = True
        self.client_key: ClientKey | None = None
        self.attach: int | None = None
        self.nonce = 0
        self.out: list[bytes] = []
        self.next_head = 0
        self.frames: list[Any] = []
        """Everything that was sent to the client, before it was tampered with."""
        self.received: list[Envelope] = []
        self.held: list[Envelope] = []
        self.tamper: Callable[[Any], Iterable[Any]] = lambda frame: [frame]

    def target(self, *, pinned: bool = False) -> GatewayTarget:
        return GatewayTarget(self.url, self.principal if pinned else None)

    def send(self, frame: Any) -> None:
        self.frames.append(frame)
        for item in self.tamper(frame):
            self.out.append(item if isinstance(item, bytes) else item.encode())

    def connected(self) -> None:
        self.client_key = None
        self.attach = None
        self.nonce = self.end_of_queue()
        self.next_head = 0
        self.send(Handshake(self.principal, SUBPROTOCOL if self.has_subprotocol else None))

    def end_of_queue(self) -> int:
        queue = self.ic.canister.state.queues.get(self.principal)
        return 0 if queue is None else queue.end

    def receive(self, data: bytes) -> None:
        envelope = decode_client_frame(data).envelope
        self.received.append(envelope)
        if not self.relays_calls:
            self.held.append(envelope)
            return
        self.relay(envelope)

    def relay(self, envelope: Envelope) -> None:
        content = envelope.content
        assert isinstance(content, CallContent)
        if content.method_name == "ws_open":
            argument = decode_open_argument(content.arg)
            self.client_key = ClientKey(content.sender, argument.client_nonce)
            self.attach = None if argument.secure is None else argument.secure.attach
        refusal = self.ic.call(envelope)
        if not self.has_subprotocol or not self.gives_receipts:
            return
        if refusal is not None:
            self.send(ReceiptFrame(content.request_id, ReceiptStatus.REJECTED, reject_code=5, reject_message=refusal))
        else:
            certificate = self.ic.status_certificate(content.request_id)
            self.send(ReceiptFrame(content.request_id, ReceiptStatus.CERTIFICATE, certificate))

    def work(self) -> None:
        """Poll, and relay the head when it is time."""
        if self.client_key is None:
            return
        if self.relays_messages:
            self.poll()
        if self.has_subprotocol and self.relays_heads and self.attach is not None and self.ic.now >= self.next_head:
            self.next_head = self.ic.now + 5 * NS_PER_S
            self.send(self.ic.head_frame(self.client_key.client_principal))

    def poll(self) -> None:
        while self.nonce < self.end_of_queue():
            reply = self.ic.canister.get_messages(
                self.principal, encode_get_messages_argument(self.nonce), self.ic.data_certificate()
            )
            result = decode_get_messages_result(reply)
            assert isinstance(result, CertifiedMessages)
            self.nonce = int(result.messages[-1].key[-20:]) + 1
            own = [
                KeyedContent(item.key, item.content) for item in result.messages if item.client_key == self.client_key
            ]
            if not own:
                continue
            paths = [(b"websocket", item.key.encode()) for item in own]
            tree = self.ic.witness(*paths)
            if self.has_subprotocol:
                self.send(MessagesFrame(tuple(own), result.cert, tree))
            else:
                for item in own:
                    self.send(MessageFrame(item.key, item.content, result.cert, tree))

    def left(self) -> None:
        """The client's connection is gone."""
        if self.client_key is not None:
            argument = CloseArgument(self.client_key, self.attach)
            self.ic.canister.close(self.principal, encode_close_argument(argument), self.ic.now)
        self.client_key = None
