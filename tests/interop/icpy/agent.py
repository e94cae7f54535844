"""Talks to a replica with ic-py's agent. Argument and output are JSON; runs in ic-py's own environment."""

import json
import sys

import cbor2
from ic.agent import Agent
from ic.candid import Types, encode
from ic.certificate import lookup
from ic.client import Client
from ic.identity import DelegateIdentity, Identity
from ic.principal import Principal

given = json.loads(sys.argv[1])
canister = given["canister"]


def text(value: str) -> bytes:
    return encode([{"type": Types.Text, "value": value}])


def talk(identity: object) -> dict[str, object]:
    agent = Agent(identity, Client(url=given["url"]))
    said: dict[str, object] = {"principal": str(agent.get_principal())}
    said["greet"] = agent.update_raw(canister, "greet", text("ic-py"), Types.Text, delay=0.05)[0]["value"]
    said["whoami"] = str(agent.query_raw(canister, "whoami", encode([]), Types.Principal)[0]["value"])
    said["refuse_query"] = agent.query_raw(canister, "refuse_query", text("nor now"), Types.Text)
    try:
        agent.update_raw(canister, "trap", text("too bad"), Types.Text, delay=0.05)
    except Exception as error:  # noqa: BLE001 - ic-py raises nothing more precise
        said["trap"] = str(error)
    return said


agent = Agent(Identity(), Client(url=given["url"]))
raw_id = Principal.from_str(canister).bytes
certificate = agent.read_state_raw(canister, [[b"canister", raw_id, b"controllers"], [b"time"]])
try:
    agent.read_state_raw(canister, [[b"canister", raw_id, b"certified_data"]])
except ValueError as error:
    forbidden = str(error)

session, owner = given["delegation"]["session"], given["delegation"]["chain"]
output = {
    "ed25519": talk(Identity()),
    "secp256k1": talk(Identity(type="secp256k1")),
    "anonymous": talk(Identity(anonymous=True)),
    "delegated": talk(DelegateIdentity(Identity(privkey=session), owner)),
    "controllers": [
        bytes(raw).hex() for raw in cbor2.loads(lookup([b"canister", raw_id, b"controllers"], certificate))
    ],
    "forbidden": forbidden,
}
sys.stdout.write(json.dumps(output))
