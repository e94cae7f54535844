"""Certified heads for attached secure clients."""

from __future__ import annotations

import asyncio

import pytest

from icws_secure.verify.certificate import CertificateVerifier
from icws_secure.verify.root_key import RootKey
from icws_secure.verify.witness import verify_witness
from icws_secure.wire.frames import HeadFrame
from icws_secure.wire.hashtree import UNKNOWN, Found
from icws_secure.wire.head import EPOCH_PATH, decode_epoch, decode_head, head_path
from icws_secure.wire.registration import decode_audit_argument

pytestmark = pytest.mark.req("ICWS-GWY-017")


def heads(peer) -> list[HeadFrame]:
    return [frame for frame in peer.frames if isinstance(frame, HeadFrame)]


async def test_heads_come_every_interval_and_verify(ic, make_gateway, connect_peer, eventually):
    import time

    gateway = await make_gateway(head_interval_seconds=0.1)
    canister = ic.install()
    one, two = [await connect_peer(gateway, canister, modern=True) for _ in range(2)]
    await one.open(attach=3)
    await two.open(attach=4)
    await eventually(lambda: len(heads(one)) >= 3 and len(heads(two)) >= 3)
    frame = heads(one)[-1]
    verifier = CertificateVerifier(RootKey.from_der(ic.replica.root_key_der))
    certificate = verifier.verify(frame.cert, now=time.time_ns(), canister_id=canister)
    witness = verify_witness(certificate, canister, frame.tree)
    epoch, head = witness.lookup(EPOCH_PATH), witness.lookup(head_path(one.identity.principal))
    assert isinstance(epoch, Found)
    assert isinstance(head, Found)
    assert decode_epoch(epoch.value) == 7
    assert decode_head(head.value).attach == 3
    # nothing of the other session is shown
    assert witness.lookup(head_path(two.identity.principal)) is UNKNOWN


async def test_heads_are_for_secure_clients_of_our_subprotocol_only(ic, make_gateway, connect_peer, eventually):
    gateway = await make_gateway(head_interval_seconds=0.05)
    canister = ic.install()
    secure = await connect_peer(gateway, canister, modern=True)
    others = [await connect_peer(gateway, canister), await connect_peer(gateway, canister, modern=True)]
    legacy_secure = await connect_peer(gateway, canister)
    await secure.open(attach=1)
    for peer in others:
        await peer.open()
    await legacy_secure.open(attach=1)
    await eventually(lambda: len(heads(secure)) >= 3)
    assert [heads(peer) for peer in (*others, legacy_secure)] == [[], [], []]


async def test_one_question_is_for_up_to_fifty_sessions(ic, make_gateway, connect_peer, eventually):
    gateway = await make_gateway(head_interval_seconds=0.3)
    canister = ic.install()
    peers = [await connect_peer(gateway, canister, modern=True) for _ in range(60)]
    for peer in peers:
        await peer.open(attach=1)
    from icws_secure.wire.envelope import Envelope

    def questions() -> list[list[bytes]]:
        arguments = [Envelope.decode(seen.body).content.arg for seen in ic.named("ws_audit")]
        return [[session.raw for session in decode_audit_argument(argument)] for argument in arguments]

    def full() -> list[list[bytes]]:
        return [question for question in questions() if len(question) == 50]

    await eventually(lambda: len(full()) >= 2 and all(heads(peer) for peer in peers))
    assert max(map(len, questions())) == 50
    # those asked for together are neighbours in the canister's tree, whose witness is small
    assert full()[-1] == sorted(peer.identity.principal.raw for peer in peers)[:50]


async def test_answer_that_does_not_hold_together_is_not_relayed(ic, make_gateway, connect_peer, eventually):
    gateway = await make_gateway(head_interval_seconds=0.05)
    peer = await connect_peer(gateway, ic.install(), modern=True)

    def alter(seen, status, body):
        return status, body.replace(b"registration_id", b"registration_ix") if seen.method == "ws_audit" else body

    ic.rewrite = alter
    await peer.open(attach=1)
    faults = lambda: gateway.metrics.registry.get_sample_value(  # noqa: E731
        "icws_gateway_replica_faults_total", {"kind": "root"}
    )
    await eventually(lambda: (faults() or 0) >= 2)
    assert heads(peer) == []
    assert peer.closed is None


async def test_canister_without_audit_hurts_nobody(ic, make_gateway, connect_peer, eventually):
    gateway = await make_gateway(head_interval_seconds=0.05)
    stuck = await connect_peer(gateway, ic.install(), modern=True)
    fine = await connect_peer(gateway, ic.install(), modern=True)

    async def hang(seen):
        if seen.method == "ws_audit" and seen.canister == stuck.canister.to_text():
            await asyncio.Event().wait()

    ic.fault = hang
    await stuck.open(attach=1)
    await fine.open(attach=1)
    await eventually(lambda: len(heads(fine)) >= 5)
    await stuck.say(b"works")
    await eventually(lambda: b"works" in stuck.contents)
