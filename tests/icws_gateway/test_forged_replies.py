"""A node that makes certificates of its own: the gateway does not follow it to another place of the queue."""

from __future__ import annotations

from enum import Enum
from hashlib import sha256

import pytest

from icws_canister_mock.replica.forge import forge_for
from icws_secure.wire import cbor
from icws_secure.wire.hashtree import encode_tree
from icws_secure.wire.interface import CertifiedMessages, OutputMessage, encode_get_messages_result
from icws_secure.wire.merkle_map import MerkleMap
from icws_secure.wire.message import CanisterMessage, message_key


class Signer(Enum):
    NOBODY = "nobody"


@pytest.mark.req("ICWS-GWY-012")
async def test_a_forged_certificate_does_not_move_the_place_in_the_queue(ic, make_gateway, connect_peer, eventually):
    gateway = await make_gateway()
    canister = ic.install()
    peer = await connect_peer(gateway, canister)
    forge = forge_for(ic.replica)
    forged = 0

    def rewrite(seen, status, body):
        nonlocal forged
        if seen.method != "ws_get_messages" or forged >= 3:
            return status, body
        forged += 1
        content = CanisterMessage(peer.key, 1, forge.now(), False, b"forged").encode()
        key = message_key(gateway.principal, (1 << 63) + forged)
        tree = MerkleMap().insert(b"websocket", MerkleMap().insert(key.encode(), sha256(content).digest()))
        certificate = forge.certificate(
            canister_id=canister, certified_data=tree.digest(), time_ns=forge.now(), subnet=Signer.NOBODY
        )
        witness = encode_tree(tree.witness([(b"websocket", key.encode())]))
        reply = CertifiedMessages((OutputMessage(peer.key, key, content),), certificate, witness, True)
        answer = {"status": "replied", "reply": {"arg": encode_get_messages_result(reply)}, "signatures": []}
        return 200, cbor.encode_self_described(answer)

    ic.rewrite = rewrite
    await peer.open()
    await ic.push(canister, (peer.key, b"genuine"))
    await eventually(lambda: b"genuine" in peer.contents)
    assert forged == 3
    assert b"forged" not in peer.contents
    faults = gateway.metrics.registry.get_sample_value("icws_gateway_replica_faults_total", {"kind": "certificate"})
    assert faults == 3
