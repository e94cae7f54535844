"""The same without an event loop: one thread of the connection's own does the work.

icws dev                         # in one terminal
python examples/sync_client.py   # in another
"""

import argparse
import asyncio

from icws_client import fetch_root_key
from icws_client.sync import connect


def main(canister: str, gateway: str, ic_url: str) -> None:
    root_key = asyncio.run(fetch_root_key(ic_url))
    with connect(gateway, canister_id=canister, ic_url=ic_url, root_key=root_key) as ws:
        for text in ("one", "two", "three"):
            ws.send(text.encode())
            print(ws.recv(timeout=10).decode())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--canister", default="bnz7o-iuaaa-aaaaa-qaaaa-cai")
    parser.add_argument("--gateway", default="ws://127.0.0.1:8080")
    parser.add_argument("--ic-url", default="http://127.0.0.1:4943")
    main(**vars(parser.parse_args()))
