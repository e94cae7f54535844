"""Cases about ending sessions at once: revoking one or all, and what arrives late."""

from __future__ import annotations

from typing import Final

from icws_conformance.canisters.peer import identity
from icws_conformance.canisters.stage import Stage, play
from icws_conformance.case import Finding

__all__: list[str] = []

_SIX_MIN_S: Final = 360
_NOTHING: Final = b"DIDL\x00\x00"


@play(
    "revoke/session",
    "the owner revokes a session that has messages in a queue",
    "CAN-064 CAN-005 CAN-023 CAN-037",
    "the session is over, its queued messages are tombstones, and it is not registered again",
)
async def _revoke(stage: Stage) -> Finding:
    peer = await stage.ready()
    for number in range(3):
        await stage.send(peer, b"%d" % number)
    before = await peer.queue()
    told = await peer.revoke(session=peer.key.principal.raw)
    stage.check(stage.ok(told, "the owner's revocation") == 1, f"{told.value} sessions ended")
    after = await peer.queue()
    _no_holes(stage, [message.nonce for message in after])
    left = [m for m in after if m.raw in {old.raw for old in before}]
    stage.check(not left, f"{len(left)} messages can still be polled after the revocation")
    stage.refused(await peer.say(b"hello"), "a message after the revocation", "Closed", "NotOpen")
    stage.refused(await peer.open(), "an open after the revocation", "Closed", "NotRegistered", "WrongRegistration")
    told = await peer.register()
    stage.refused(told, "a registration after the revocation", "RecentlyRevoked", "Closed", early=False)
    return Finding("tombstones; no message, open or registration any more")


@play(
    "revoke/strangers",
    "revocations and lists by the session key and by strangers",
    "CAN-064",
    "the key ends itself only, strangers end nothing, and only the owner is given the list",
)
async def _strangers(stage: Stage) -> Finding:
    one, two = await stage.ready(), stage.peer()
    two.owner = one.owner
    await two.ready()
    stranger = identity()
    for who, target in ((one.key, two.key.principal.raw), (stranger, one.key.principal.raw)):
        told = await one.revoke(who, session=target)
        stage.check(not told.ok or told.value == 0, f"a revocation by {who.principal} ended another's session")
    told = await one.revoke(one.key, session=None)
    stage.check(not told.ok or told.value == 0, "revoke-all by a session key ended sessions")
    await stage.send(one, b"still here")
    await stage.send(two, b"still here")
    for who in (one.key, stranger):
        told = await one.query(who, "ws_sessions", _NOTHING)
        stage.check(not told.ok or not told.value, f"sessions were listed for {who.principal}")
    listed = stage.ok(await one.query(one.owner, "ws_sessions", _NOTHING), "the owner's list")
    found = {entry["session_principal"] for entry in listed}
    stage.check(found == {one.key.principal.raw, two.key.principal.raw}, f"the owner's list has {len(found)} sessions")
    stage.check(
        stage.ok(await one.revoke(one.key, session=one.key.principal.raw), "an own end") == 1, "it ended nothing"
    )
    stage.refused(await one.say(b"hello"), "a message after the own end", "Closed", "NotOpen")
    await stage.send(two, b"still here")
    return Finding("the owner's list has both; the key ended itself only")


@play(
    "revoke/all",
    "the owner revokes everything, and a registration signed before arrives late",
    "CAN-005 CAN-064",
    "all sessions are over; the late registration is refused, a new one is not",
    gain="A registration that was held back brings a stolen key back to life.",
)
async def _revoke_all(stage: Stage) -> Finding:
    one, two, late = await stage.ready(), stage.peer(), stage.peer()
    two.owner = late.owner = one.owner
    await two.ready()
    signed = one.now_ns
    told = await one.revoke(session=None)
    stage.check(stage.ok(told, "revoke-all") == 2, f"{told.value} sessions ended")
    for each in (one, two):
        stage.refused(await each.say(b"hello"), "a message after revoke-all", "Closed", "NotOpen")
    told = await late.register(created_at=signed)
    stage.refused(told, "a registration signed before revoke-all", "RegistrationTooOld", early=False)
    stage.ok(await late.register(), "a registration signed after revoke-all")
    return Finding("the floor holds, and new registrations are taken")


@play(
    "revoke/withheld",
    "a registration that was held back comes after its revocation",
    "CAN-005",
    "refused, though the pair was never registered",
)
async def _withheld(stage: Stage) -> Finding:
    peer = stage.peer()
    signed = peer.now_ns
    stage.ok(await peer.revoke(session=peer.key.principal.raw), "a revocation of what is not registered yet")
    told = await peer.register(created_at=signed)
    return Finding(stage.refused(told, "the late registration", "RecentlyRevoked", "RegistrationTooOld", early=False))


@play(
    "revoke/six-minutes",
    "a revoked pair is registered again a little less than 6 min later",
    "CAN-005",
    "still refused",
    moves=True,
)
async def _six_minutes(stage: Stage) -> Finding:
    peer = await stage.ready()
    unopened = stage.peer()
    stage.ok(await unopened.register(), "a registration")
    for each in (peer, unopened):
        stage.ok(await each.revoke(session=each.key.principal.raw), "a revocation")
    await stage.tested.advance(_SIX_MIN_S - 15)
    for each in (peer, unopened):
        told = await each.register()
        stage.refused(told, "a registration 345 s after the revocation", "RecentlyRevoked", "Closed", early=False)
    return Finding("refused after 345 s")


def _no_holes(stage: Stage, nonces: list[int]) -> None:
    stage.check(nonces == list(range(nonces[0], nonces[0] + len(nonces))) if nonces else True, "the nonces have holes")
