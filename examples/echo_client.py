"""Says three things to the echo canister of ``icws dev`` and prints what comes back.

icws dev                         # in one terminal
python examples/echo_client.py   # in another
"""

import argparse
import asyncio

from icws_client import connect, fetch_root_key


async def main(canister: str, gateway: str, ic_url: str) -> None:
    # A local replica has a root key of its own. The main network's is built in: leave both arguments out there.
    root_key = await fetch_root_key(ic_url)
    async with connect(gateway, canister_id=canister, ic_url=ic_url, root_key=root_key) as ws:
        for text in ("one", "two", "three"):
            await ws.send(text.encode())  # returns when it is proven that the canister has executed the message
            message = await ws.recv_message()
            print(f"{message.data.decode()}  (number {message.seq}, certified at {message.timestamp_ns} ns)")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--canister", default="bnz7o-iuaaa-aaaaa-qaaaa-cai")
    parser.add_argument("--gateway", default="ws://127.0.0.1:8080")
    parser.add_argument("--ic-url", default="http://127.0.0.1:4943")
    asyncio.run(main(**vars(parser.parse_args())))
