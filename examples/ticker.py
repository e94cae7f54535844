"""Prices: one side calls an ordinary update method of a canister, the other hears of it over a WebSocket.

icws dev                    # in one terminal
python examples/ticker.py   # in another
"""

import argparse
import asyncio
import json

from icws_client import Agent, connect, fetch_root_key
from icws_client.identities import generate


async def main(canister: str, gateway: str, ic_url: str) -> None:
    root_key = await fetch_root_key(ic_url)
    async with (
        Agent(ic_url, identity=generate(), root_key=root_key) as agent,
        connect(gateway, canister_id=canister, ic_url=ic_url, root_key=root_key) as ws,
    ):
        await ws.send(json.dumps({"follow": "ICP"}).encode())
        for price in (12.5, 12.75, 12.6):
            await agent.call(canister, "set_price", json.dumps({"symbol": "ICP", "price": price}).encode())
            heard = json.loads(await ws.recv())
            print(f"{heard['symbol']} {heard['price']}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--canister", default="bd3sg-teaaa-aaaaa-qaaba-cai")
    parser.add_argument("--gateway", default="ws://127.0.0.1:8080")
    parser.add_argument("--ic-url", default="http://127.0.0.1:4943")
    asyncio.run(main(**vars(parser.parse_args())))
