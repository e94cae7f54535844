"""A chat from the terminal: each line you type is heard by everybody in the room.

icws dev                                          # in one terminal
python examples/chat.py                           # in as many others as you like
python examples/chat.py --identity ada.pem        # as the owner of a key, not of a new one
"""

import argparse
import asyncio
import json
import sys

from icws_client import Codec, Connection, connect, fetch_root_key
from icws_client.identities import generate, load_pem

JSON: Codec[dict[str, object]] = Codec(encode=lambda line: json.dumps(line).encode(), decode=json.loads)


async def listen(ws: Connection[dict[str, object]]) -> None:
    async for line in ws:
        # Who speaks is the canister's word, not the speaker's: nobody can borrow another's principal.
        print(f"{line.get('from', '*')}: {line.get('text', line)}", flush=True)


async def main(canister: str, gateways: list[str], ic_url: str, identity: str | None) -> None:
    owner = generate() if identity is None else load_pem(identity)
    root_key = await fetch_root_key(ic_url)
    async with connect(
        gateways, canister_id=canister, identity=owner, codec=JSON, ic_url=ic_url, root_key=root_key
    ) as ws:
        listening = asyncio.create_task(listen(ws))
        while text := await asyncio.to_thread(sys.stdin.readline):
            await ws.send({"text": text.rstrip("\n")})
        await asyncio.sleep(0.5)  # for what others say to the last line
        listening.cancel()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--canister", default="bkyz2-fmaaa-aaaaa-qaaaq-cai")
    parser.add_argument(
        "--gateway", dest="gateways", action="append", help="may be repeated: the next is used if one dies"
    )
    parser.add_argument("--ic-url", default="http://127.0.0.1:4943")
    parser.add_argument("--identity", help="PEM file")
    arguments = parser.parse_args()
    arguments.gateways = arguments.gateways or ["ws://127.0.0.1:8080"]
    asyncio.run(main(**vars(arguments)))
