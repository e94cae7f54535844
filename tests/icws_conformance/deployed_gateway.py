"""A gateway as deployed ones are, with their known weaknesses and their own names of flags: what the suite must see.

Written from what is known of their behaviour, as a program of its own: nothing of this project's gateway is in it.

* An open is acted on before anything of it is checked, and takes the place of a connected client of the same key.
* Calls of one client are relayed side by side.
* Every client is given the whole poll's witness, and nothing of an answer is checked.
* One failed poll ends all sessions of a canister, and a queue that starts anew is not followed.
* There are no bounds, no reasons at a close, no subprotocol, no farewell at the end.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import secrets
import time

import aiohttp
import cbor2
from websockets.asyncio.server import ServerConnection, serve

from icws_secure.errors import IcwsError
from icws_secure.sign.identity import Ed25519Identity
from icws_secure.sign.request import sign_call, sign_query
from icws_secure.wire.http import QueryReplied, parse_query_response
from icws_secure.wire.interface import (
    CertifiedMessages,
    ClientKey,
    CloseArgument,
    decode_get_messages_result,
    decode_open_argument,
    encode_close_argument,
    encode_get_messages_argument,
)
from icws_secure.wire.principal import Principal

TTL_NS = 240_000_000_000
CBOR = {"Content-Type": "application/cbor"}


class Gateway:
    """One gateway."""

    def __init__(self, ic: str, http: aiohttp.ClientSession) -> None:
        self.ic = ic
        self.http = http
        self.identity = Ed25519Identity(secrets.token_bytes(32))
        self.clients: dict[Principal, dict[ClientKey, ServerConnection]] = {}
        self.tasks: set[asyncio.Task[None]] = set()

    def spawn(self, work: object) -> None:
        task = asyncio.ensure_future(work)  # type: ignore[arg-type]
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def serve_client(self, socket: ServerConnection) -> None:
        await socket.send(cbor2.dumps({"gateway_principal": self.identity.principal.raw}))
        try:
            body, content = taken_apart(await socket.recv())
        except (ValueError, TypeError, KeyError, cbor2.CBORDecodeError):
            socket.transport.abort()  # what is left of a thread that panicked
            return
        canister = Principal(content["canister_id"])
        try:
            argument = decode_open_argument(content["arg"])
        except IcwsError:
            socket.transport.abort()
            return
        key = ClientKey(Principal(content["sender"]), argument.client_nonce)
        known = self.clients.setdefault(canister, {})
        if not known:
            self.spawn(self.poll(canister))
        known[key] = socket
        await self.relay(canister, body)
        async for frame in socket:
            with contextlib.suppress(ValueError, TypeError, KeyError, cbor2.CBORDecodeError):
                self.spawn(self.relay(canister, taken_apart(frame)[0]))
        if known.get(key) is socket:
            del known[key]
        await self.close(canister, key)

    async def relay(self, canister: Principal, body: bytes) -> None:
        url = f"{self.ic}/api/v2/canister/{canister.to_text()}/call"
        async with self.http.post(url, data=body, headers=CBOR) as answer:
            await answer.read()

    async def close(self, canister: Principal, key: ClientKey) -> None:
        arg = encode_close_argument(CloseArgument(key))
        nonce, expiry = secrets.token_bytes(16), time.time_ns() + TTL_NS
        await self.relay(
            canister,
            sign_call(
                self.identity,
                canister_id=canister,
                method_name="ws_close",
                arg=arg,
                ingress_expiry_ns=expiry,
                nonce=nonce,
            ).encode(),
        )

    async def poll(self, canister: Principal) -> None:
        nonce, clients = 0, self.clients[canister]
        try:
            while clients or not nonce:
                told = await self.ask(canister, nonce)
                for message in told.messages:
                    nonce = int(message.key.rpartition("_")[2]) + 1
                    if (socket := clients.get(message.client_key)) is not None:
                        frame = {"key": message.key, "content": message.content, "cert": told.cert, "tree": told.tree}
                        with contextlib.suppress(Exception):
                            await socket.send(cbor2.dumps(frame))
                if told.is_end_of_queue:
                    await asyncio.sleep(0.05)
        except (IcwsError, aiohttp.ClientError, ValueError):
            for socket in list(clients.values()):
                socket.transport.abort()
        self.clients.pop(canister, None)

    async def ask(self, canister: Principal, nonce: int) -> CertifiedMessages:
        envelope = sign_query(
            self.identity,
            canister_id=canister,
            method_name="ws_get_messages",
            arg=encode_get_messages_argument(nonce),
            ingress_expiry_ns=time.time_ns() + TTL_NS,
        )
        url = f"{self.ic}/api/v2/canister/{canister.to_text()}/query"
        async with self.http.post(url, data=envelope.encode(), headers=CBOR) as answer:
            response = parse_query_response(answer.status, await answer.read())
        if not isinstance(response, QueryReplied):
            raise ValueError("the canister rejects the poll")
        result = decode_get_messages_result(response.arg)
        if not isinstance(result, CertifiedMessages):
            raise ValueError("the canister refuses the poll")
        return result


def taken_apart(frame: bytes | str) -> tuple[bytes, dict[str, bytes]]:
    """The body to relay and the call's fields; nothing is verified."""
    if isinstance(frame, str):
        raise TypeError("text")
    envelope = cbor2.loads(frame)
    envelope = getattr(envelope, "value", envelope)["envelope"]
    return cbor2.dumps(cbor2.CBORTag(55799, envelope)), envelope["content"]


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--gateway-address", required=True)
    parser.add_argument("--ic-network-url", required=True)
    options = parser.parse_args()
    host, _, port = options.gateway_address.rpartition(":")
    async with aiohttp.ClientSession() as http:
        gateway = Gateway(options.ic_network_url, http)
        async with serve(gateway.serve_client, host, int(port), max_size=None, ping_interval=None):
            await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
