"""Three people in a room that neither the gateway nor the canister can listen to; then one of them is put out.

python examples/sealed_room.py

Replica, gateway and clients run in this one process. On the main network leave out ``ic_url`` and ``root_key``, and pin
``icws_secure.vetkd.MAINNET_MASTER_KEYS["key_1"]``.
"""

import asyncio
import contextlib
import logging
import tempfile
from pathlib import Path

import structlog

from icws_canister_mock.canister.samples import SealedRoom
from icws_canister_mock.replica import Replica, serve_replica
from icws_client import Agent, connect
from icws_client.identities import generate
from icws_client.rooms import Rooms, RoomText
from icws_gateway import GatewayConfig, serve_gateway
from icws_secure.errors import CanisterRejected
from icws_secure.vetkd import MasterPublicKey

ROOM = b"kitchen"


async def main() -> None:
    async with contextlib.AsyncExitStack() as stack:
        replica = Replica()
        ic_url = (await stack.enter_async_context(serve_replica(replica))).url
        canister = replica.install(SealedRoom())
        master_key = MasterPublicKey(replica.vetkd.master_public_key("test_key_1"))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        config = GatewayConfig(ic_url=ic_url, listen="127.0.0.1:0", identity=folder / "gateway.pem")
        gateway = await stack.enter_async_context(serve_gateway(config))

        people = {name: generate() for name in ("alice", "bob", "carol")}
        rooms: dict[str, Rooms] = {}
        for name, identity in people.items():
            agent = Agent(ic_url, identity=identity, root_key=replica.root_key_der)
            await stack.enter_async_context(agent)
            ws = await stack.enter_async_context(
                connect(
                    gateway.url,
                    canister_id=canister,
                    identity=identity,
                    ic_url=ic_url,
                    root_key=replica.root_key_der,
                    payload="vetkd",
                )
            )
            rooms[name] = Rooms(ws, agent, label=b"sealed-room", master_key=master_key)

        await rooms["alice"].create(ROOM, people["bob"].principal, people["carol"].principal)
        for each in rooms.values():
            await each.join(ROOM)
        await rooms["alice"].send(ROOM, b"the cake is in the oven")
        for name in ("bob", "carol"):
            heard = await rooms[name].recv()
            if isinstance(heard, RoomText):
                print(f"{name} reads: {heard.data.decode()}")

        await rooms["alice"].remove(ROOM, people["carol"].principal)
        for name in ("alice", "bob"):
            print(f"{name} is told: {await rooms[name].recv()}")
        try:
            await rooms["carol"].join(ROOM)
        except CanisterRejected:
            print("carol gets no key of the new epoch")


if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    asyncio.run(main())
