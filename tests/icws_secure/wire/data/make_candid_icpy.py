"""Writes candid_icpy.json: encodings by ic-py 1.0.1, for test_candid_peers.py.

python make_candid_icpy.py > candid_icpy.json     (in an environment of its own, with ic-py and cbor2 below 6)
"""

import json
import sys

from ic.candid import Types, encode
from ic.principal import Principal

CLIENT = Principal.self_authenticating(bytes([1, 2, 3]))
GATEWAY = Principal.self_authenticating(bytes([4, 5, 6]))
KEY = {"client_principal": CLIENT.to_str(), "client_nonce": 13252622244123961547}
KEY_TYPE = Types.Record({"client_principal": Types.Principal, "client_nonce": Types.Nat64})
OUTPUT = Types.Record({"client_key": KEY_TYPE, "key": Types.Text, "content": Types.Vec(Types.Nat8)})
MESSAGES = Types.Record(
    {
        "messages": Types.Vec(OUTPUT),
        "cert": Types.Vec(Types.Nat8),
        "tree": Types.Vec(Types.Nat8),
        "is_end_of_queue": Types.Bool,
    }
)
LEGACY_MESSAGES = Types.Record(
    {"messages": Types.Vec(OUTPUT), "cert": Types.Vec(Types.Nat8), "tree": Types.Vec(Types.Nat8)}
)


def poll(record_type, **more):
    keys = [f"{GATEWAY.to_str()}_{nonce:020}" for nonce in range(3)]
    messages = [{"client_key": KEY, "key": key, "content": [0, 1, 254]} for key in keys]
    value = {"messages": messages, "cert": [217, 217, 247], "tree": [131], **more}
    result = Types.Variant({"Ok": record_type, "Err": Types.Text})
    return encode([{"type": result, "value": {"Ok": value}}]).hex()


json.dump(
    {
        "source": "ic-py 1.0.1",
        "client_principal": CLIENT.to_str(),
        "gateway_principal": GATEWAY.to_str(),
        "client_nonce": str(KEY["client_nonce"]),
        "poll": poll(MESSAGES, is_end_of_queue=False),
        "poll_without_end_of_queue": poll(LEGACY_MESSAGES),
        "open": encode(
            [
                {
                    "type": Types.Record({"client_nonce": Types.Nat64, "gateway_principal": Types.Principal}),
                    "value": {"client_nonce": KEY["client_nonce"], "gateway_principal": GATEWAY.to_str()},
                }
            ]
        ).hex(),
    },
    sys.stdout,
    indent=1,
)
