"""Receipts: what clients of the subprotocol are told of their calls."""

from __future__ import annotations

from typing import Final

from icws_conformance.case import Failed, Finding
from icws_conformance.gateways.peer import Peer
from icws_conformance.gateways.stage import GatewayCase, Play, Stage
from icws_conformance.hostile.boundary import Answer, Fetch
from icws_secure.errors import IcwsError
from icws_secure.wire import cbor
from icws_secure.wire.envelope import Envelope
from icws_secure.wire.frames import ReceiptFrame, ReceiptStatus

__all__ = ["RECEIPTS"]

_REJECTION: Final = cbor.encode_self_described(
    {
        "status": "non_replicated_rejection",
        "reject_code": 3,
        "reject_message": "as the case wants",
        "error_code": "IC0302",
    }
)


async def _receipt_of(peer: Peer, envelope: Envelope, limit_s: float = 10.0) -> ReceiptFrame:
    wanted = envelope.content.request_id
    await peer.until(lambda: [r for r in peer.receipts if r.request_id == wanted], "a receipt of the message", limit_s)
    return next(r for r in peer.receipts if r.request_id == wanted)


async def _certificate(stage: Stage) -> Finding:
    peer = await stage.peer(modern=True)
    await peer.open()
    given: list[bytes] = []

    async def record(path: str, envelope: Envelope | None, fetch: Fetch) -> Answer:
        real = await fetch()
        if envelope is not None and envelope.content.sender == peer.identity.principal and path.endswith("/call"):
            given.append(real.body)
        return real

    stage.gateway.answer = record
    receipt = await _receipt_of(peer, await peer.say(b"hello"))
    if receipt.status is not ReceiptStatus.CERTIFICATE or receipt.certificate is None:
        stage.blame("gateway", f"the receipt is {receipt.status}")
        raise Failed(f"the receipt is {receipt.status}, though the IC gave a certificate")
    try:
        answers = [cbor.decode(body, what="the IC's answer") for body in given]
    except IcwsError as error:
        raise Failed("the call was not relayed to an endpoint that answers") from error
    if receipt.certificate not in [answer.get("certificate") for answer in answers if isinstance(answer, dict)]:
        stage.blame("gateway", "the receipt's certificate is none that the IC gave")
        raise Failed("the receipt's certificate is none that the IC gave for this call")
    return Finding("the certificate of the call's own reply, byte for byte")


def _answered(answer: Answer, expected: ReceiptStatus, words: str) -> Play:
    async def play(stage: Stage) -> Finding:
        peer = await stage.peer(modern=True)
        await peer.open()

        async def lie(path: str, envelope: Envelope | None, fetch: Fetch) -> Answer:
            mine = envelope is not None and envelope.content.sender == peer.identity.principal
            return answer if mine and path.endswith("/call") else await fetch()

        stage.gateway.answer = lie
        receipt = await _receipt_of(peer, await peer.say(b"hello"), 15)
        if receipt.status is not expected:
            stage.blame("gateway", f"the receipt is {receipt.status}")
            raise Failed(f"{words} was reported as {receipt.status}")
        if expected is ReceiptStatus.REJECTED and (receipt.reject_code, receipt.error_code) != (3, "IC0302"):
            raise Failed("the rejection was changed on the way")
        return Finding(f"reported as {expected}")

    return play


async def _none_for_others(stage: Stage) -> Finding:
    peer = await stage.peer()
    await peer.open()
    await stage.goes_on(peer, "the message's echo")
    if peer.receipts or peer.heads or peer.strange:
        stage.blame("gateway", "a frame of the subprotocol came without it")
        raise Failed("a client that did not ask for the subprotocol was sent its frames")
    return Finding("messages and nothing else")


RECEIPTS: Final = (
    GatewayCase(
        "receipts/certificate",
        "a call over the subprotocol",
        ("GWY-010",),
        "its certificate is passed on unchanged",
        _certificate,
        "the client has no proof, or one that does not verify",
    ),
    GatewayCase(
        "receipts/pending",
        "the IC answers 202",
        ("GWY-010",),
        "reported as pending",
        _answered(Answer(202, b"", "text/plain"), ReceiptStatus.PENDING, "202"),
        "an honest gateway looks like one that withholds",
    ),
    GatewayCase(
        "receipts/rejected",
        "the IC rejects the call",
        ("GWY-010",),
        "reported as rejected, with the IC's codes",
        _answered(Answer(200, _REJECTION), ReceiptStatus.REJECTED, "a rejection"),
        "the client waits in vain",
    ),
    GatewayCase(
        "receipts/failed",
        "the IC refuses the call with HTTP status 400",
        ("GWY-010",),
        "reported as failed",
        _answered(Answer(400, b"no", "text/plain"), ReceiptStatus.FAILED, "HTTP status 400"),
        "the client waits in vain",
    ),
    GatewayCase(
        "receipts/not-asked-for",
        "a client without the subprotocol",
        ("GWY-010",),
        "no frame of the subprotocol",
        _none_for_others,
        "deployed clients end at a frame that they do not know",
    ),
)
