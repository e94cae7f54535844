"""Speaks WebSocket for a canister that does not: messages become calls, and calls become messages.

The other canister (:class:`~icws_canister_mock.canister.samples.counter.Counter` is one) needs no kit. It has an update
method for what clients send, and calls ``relay_send`` here for what it has to say.
"""

from __future__ import annotations

from icws_canister_mock.replica.canister_api import CallRejected, update
from icws_secure.errors import DecodeError, MisuseError
from icws_secure.wire import cbor
from icws_secure.wire.interface import ClientKey
from icws_secure.wire.principal import Principal

from ..kit import WebSocketCanister
from ..sockets import Client

__all__ = ["Relay", "encode_event"]


def encode_event(kind: str, client: Client, data: bytes = b"") -> bytes:
    """What the other canister is called with, in CBOR; ``kind`` is ``open``, ``message`` or ``close``."""
    name = [client.key.client_principal.raw, client.key.client_nonce]
    return cbor.encode({"kind": kind, "owner": client.owner.raw, "client": name, "data": data})


class Relay(WebSocketCanister):
    """Installed with CBOR ``{"canister": id, "method": name}`` as argument: where to relay to.

    The reply to a message, if it is not empty, goes to the client as its answer.
    """

    def on_init(self, arg: bytes) -> None:
        """Learn whom to speak for; without an argument nobody, until ``relay_to`` says."""
        self.target: tuple[Principal, str] | None = None
        if arg:
            self._aim(arg)

    def on_save(self) -> bytes:
        """Whom it speaks for."""
        if self.target is None:
            return b""
        return cbor.encode({"canister": self.target[0].raw, "method": self.target[1]})

    def on_restore(self, arg: bytes, saved: bytes) -> None:
        """Speak for the same, unless told otherwise."""
        self.on_init(arg or saved)

    def _aim(self, arg: bytes) -> None:
        match cbor.decode(arg, what="the target"):
            case {"canister": bytes(canister), "method": str(method)}:
                self.target = (Principal(canister), method)
            case _:
                raise DecodeError("a target is a canister and a method")

    async def on_open(self, client: Client) -> None:
        """Say so to the other canister."""
        await self._forward("open", client)

    async def on_message(self, client: Client, data: bytes) -> None:
        """Ask the other canister, and answer."""
        answer = await self._forward("message", client, data)
        if answer:
            self.ws.send(client, answer)

    async def on_close(self, client: Client, code: str) -> None:
        """Say so to the other canister."""
        await self._forward("close", client, code.encode())

    @update()
    def relay_send(self, arg: bytes) -> bytes:
        """For the other canister: CBOR ``{"client": [principal, nonce], "data": bytes}``; an error is a rejection."""
        if self.target is None or self.ic.caller != self.target[0]:
            self.ic.reject("not the canister that is spoken for")
        try:
            match cbor.decode(arg, what="the message"):
                case {"client": [bytes(principal), int(nonce)], "data": bytes(data)}:
                    self.ws.send(ClientKey(Principal(principal), nonce), data)
                case _:
                    self.ic.reject("send a client and data")
        except (DecodeError, MisuseError) as error:
            self.ic.reject(str(error))
        return b""

    async def _forward(self, kind: str, client: Client, data: bytes = b"") -> bytes:
        if self.target is None:
            return b""
        canister, method = self.target
        try:
            return await self.ic.call(canister, method, encode_event(kind, client, data))
        except CallRejected as error:
            self.ic.log(f"{canister} has rejected a {kind}: {error}")
            return b""
