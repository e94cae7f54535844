"""Cases about service messages of clients: acknowledgements, numbers that are given up, junk."""

from __future__ import annotations

from icws_conformance.canisters import interface
from icws_conformance.canisters.stage import Stage, play
from icws_conformance.case import Finding

__all__: list[str] = []


@play(
    "ack/beyond",
    "a keep-alive acknowledges more than was sent",
    "CAN-042",
    "AckOutOfRange; nothing is deleted, and the number is not used up",
    gain="An invented acknowledgement deletes messages that come later.",
)
async def _ack_beyond(stage: Stage) -> Finding:
    peer = await stage.ready()
    await stage.send(peer, b"one")
    for through in (2, 1 << 63):
        told = await peer.keep_alive(through, seq=2)
        stage.refused(told, f"an acknowledgement of {through} after 1 was sent", "AckOutOfRange")
    stage.ok(await peer.keep_alive(1, seq=2), "an acknowledgement of 1")
    told = await peer.update(peer.key, "ws_open", peer.secure_arg(attach=2, resume_from=5))
    stage.refused(told, "an open that resumes beyond what was sent", "AckOutOfRange", "ResumeGap")
    return Finding("refused, and the honest one was taken")


@play(
    "ack/cumulative",
    "messages are acknowledged up to 3, and then up to 1",
    "CAN-042 CAN-060",
    "the lower one has no effect",
)
async def _ack_cumulative(stage: Stage) -> Finding:
    peer = await stage.ready()
    for number in range(4):
        await stage.send(peer, b"%d" % number)
    await peer.stream(4)
    for through, wanted in ((3, 3), (1, 3), (4, 4), (0, 4)):
        told = await peer.keep_alive(through)
        stage.ok(told, f"an acknowledgement of {through}")
        head = await peer.head()
        stage.check(
            head is not None and (head["acked"], head["oldest_retained"]) == (wanted, wanted + 1),
            f"after {through}: {head and head['acked']} acknowledged, {head and head['oldest_retained']} retained",
        )
    return Finding("3, 3, 4, 4")


@play(
    "send/service-junk",
    "service messages that cannot be read, or that no client sends",
    "CAN-031 CAN-072",
    "InvalidServiceMessage; the session lives and the number is free",
)
async def _service_junk(stage: Stage) -> Finding:
    peer = await stage.ready()
    junk = [
        b"",
        b"DIDL",
        b"hello",
        interface.service("AckMessage", {"last_incoming_sequence_num": 0}),
        interface.service("OpenMessage", {"client_key": peer.client_key}),
    ]
    for data in junk:
        stage.refused(
            await peer.say(data, seq=1, service=True), f"the service message {data[:20]!r}", "InvalidServiceMessage"
        )
    await stage.send(peer, b"one", seq=1)
    stage.check(len(await peer.stream(1)) == 1, "the session is not alive")
    return Finding(f"{len(junk)} refused")


@play("send/skip", "a number is given up", "CAN-030", "SkipMessage takes its place, and the stream goes on")
async def _skip(stage: Stage) -> Finding:
    peer = await stage.ready()
    await stage.send(peer, b"two", seq=2)
    told = await stage.send(peer, interface.service("SkipMessage"), seq=1, service=True)
    await stage.executed(peer, told, 2)
    found = [m.content for m in await peer.stream(1)]
    stage.check(found == [b"two"], f"the echoes are {found}")
    return Finding("passed over")
