"""Cases about who may have sessions: registering, bounds, eviction, revoking."""

from __future__ import annotations

from typing import Final

from icws_conformance.canisters.peer import identity
from icws_conformance.canisters.stage import Stage, play
from icws_conformance.case import Finding, Inconclusive
from icws_secure.limits import NS_PER_S
from icws_secure.sign.identity import AnonymousIdentity
from icws_secure.wire.principal import Principal

__all__: list[str] = []

_MANY: Final = 64
_WEEK_S: Final = 7 * 86_400
_SIX_MIN_S: Final = 360


@play("register/parameters", "an owner registers", "CAN-004 CAN-006", "certified parameters, complete and consistent")
async def _parameters(stage: Stage) -> Finding:
    peer = stage.peer()
    found = stage.ok(await peer.register(), "a registration")
    stage.check(len(found["registration_id"]) == 16, "a registration id has not 16 bytes")
    stage.check(found["session_principal"] == peer.key.principal.raw, "another session principal than asked for")
    stage.check(found["owner"] == peer.owner.principal.raw, "another owner than the caller")
    stage.check(found["profile"] == "icws-secure/1", f"the profile is {found['profile']!r}")
    stage.check(1 <= found["window_messages"] <= 1024, "a window that is out of its bounds")
    stage.check(found["ack_interval_ns"] >= 60 * NS_PER_S, "an acknowledgement interval below 60 s")
    stage.check(found["resume_window_ns"] <= 86_400 * NS_PER_S, "a resume window above 24 h")
    stage.check(found["epoch"] <= peer.now_ns, "an epoch in the future")
    ids = [found["registration_id"]]
    for _ in range(3):
        other = stage.peer()
        ids.append(stage.ok(await other.register(), "a registration")["registration_id"])
    for place, one in enumerate(ids):
        for two in ids[:place]:
            alike = sum(a == b for a, b in zip(one, two, strict=True))
            stage.check(alike <= 8, f"two registration ids have {alike} of 16 bytes in common: they can be guessed")
    return Finding(f"window {found['window_messages']}, suites {[suite['name'] for suite in found['suites']]}")


@play(
    "register/of-another-owner",
    "a stranger registers somebody's session principal, before and after its owner, and revokes it",
    "CAN-001",
    "the owner's registration is not touched",
)
async def _other_owner(stage: Stage) -> Finding:
    peer, thief = stage.peer(), identity()
    first = await peer.register(who=thief)
    stage.ok(await peer.register(), "the owner's registration, after a stranger's")
    own = peer.parameters["registration_id"]
    stage.check(not first.ok or first.value["registration_id"] != own, "two owners have one registration id")
    await peer.register(who=thief)
    told = await peer.revoke(thief, session=peer.key.principal.raw)
    stage.check(told.ok or told.code, f"the stranger's revocation: {told}")
    stage.ok(await peer.open(), "the owner's open")
    stage.check(peer.parameters["owner"] == peer.owner.principal.raw, "the registration has another owner")
    await stage.send(peer, b"still mine")
    stage.refused(
        await peer.register(who=thief), "a stranger registers an open session's principal", "SessionPrincipalBound"
    )
    told = await peer.revoke(thief, session=peer.key.principal.raw)
    stage.check(not told.ok or told.value == 0, "a stranger's revocation ended something")
    await stage.send(peer, b"still mine")
    return Finding("the owner's session lives, the stranger's registration did nothing")


@play(
    "register/session-principal",
    "session principals that are opaque, anonymous, the management canister's or the owner's own",
    "CAN-002",
    "all are refused",
)
async def _session_principals(stage: Stage) -> Finding:
    peer = stage.peer()
    wrong = {
        "opaque": stage.tested.ic.canister.raw,
        "anonymous": b"\x04",
        "management": b"",
        "derived": bytes(28) + b"\x03",
        "the owner's": peer.owner.principal.raw,
    }
    for name, raw in wrong.items():
        told = await peer.register(session=raw)
        stage.refused(told, f"a session principal that is {name}", "InvalidSessionPrincipal")
    return Finding(f"{len(wrong)} refused")


@play(
    "register/bound",
    "a session principal that two owners registered is opened for one of them",
    "CAN-002 CAN-015",
    "it is bound to that registration for ever",
)
async def _bound(stage: Stage) -> Finding:
    peer, other = stage.peer(), identity()
    theirs = stage.ok(await peer.register(who=other), "a registration")["registration_id"]
    await peer.ready()
    told = await peer.open(registration_id=theirs, attach=peer.attach + 1)
    stage.refused(told, "an open that names the other registration", "WrongRegistration")
    stage.refused(await peer.register(who=other), "the other owner registers again", "SessionPrincipalBound")
    await stage.send(peer, b"hello")
    return Finding("the other registration is void")


@play(
    "register/who-opened-as-omnia",
    "a stranger registers the principal of a user of omnia/1, who opens again",
    "CAN-009",
    "the registration is refused, and the user opens as ever",
    profile="both",
    gain="Anybody who knows a user's principal locks the user out.",
)
async def _who_opened_as_omnia(stage: Stage) -> Finding:
    user, thief = stage.peer(), identity()
    stage.ok(await user.open_omnia(), "an open of omnia/1")
    for when in ("while it is open", "after it was closed"):
        told = await user.register(who=thief)
        stage.refused(told, f"the user's principal is registered by a stranger, {when}")
        if when == "while it is open":
            stage.ok(await user.close(), "the gateway's close")
    user.client_nonce += 1
    stage.ok(await user.open_omnia(), "the user's next open")
    await stage.send(user, b"hello")
    return Finding("refused twice, and the user goes on")


@play(
    "register/freed-by-its-holder",
    "a stranger registers a principal that nobody has seen, and its holder revokes that",
    "CAN-009",
    "its holder is free to open as omnia/1 at once",
    profile="both",
)
async def _freed(stage: Stage) -> Finding:
    user, thief = stage.peer(), identity()
    stage.ok(await user.register(who=thief), "a registration of a principal that nobody has seen")
    stage.refused(await user.open_omnia(), "an open without the secure fields", "SecureFieldsMissing")
    stage.ok(await user.revoke(user.key, session=user.key.principal.raw), "a revocation by the principal itself")
    stage.ok(await user.open_omnia(), "an open after that")
    return Finding("free at once")


@play("register/by-nobody", "the anonymous principal registers", "CAN-003", "refused")
async def _anonymous(stage: Stage) -> Finding:
    peer = stage.peer()
    told = await peer.register(who=AnonymousIdentity())
    return Finding(stage.refused(told, "an anonymous registration", "AnonymousCaller"))


@play("register/by-a-session", "a live session principal registers another", "CAN-003", "refused")
async def _by_a_session(stage: Stage) -> Finding:
    peer = await stage.ready()
    told = await stage.peer().register(who=peer.key)
    return Finding(stage.refused(told, "a registration by a session principal", "CallerNotAllowed"))


@play(
    "register/past-inspect",
    "registrations by nobody, and by a canister, on a node that skips inspect_message",
    "CAN-003 CAN-070",
    "the method refuses them itself",
)
async def _past_inspect(stage: Stage) -> Finding:
    peer = stage.peer()
    told = await peer.unchecked(Principal(b"\x04"), "ws_register", peer.register_arg())
    stage.refused(told, "an anonymous registration", "AnonymousCaller")
    told = await peer.unchecked(stage.tested.ic.canister, "ws_register", peer.register_arg())
    stage.refused(told, "a canister's registration", "CallerNotAllowed")
    return Finding("AnonymousCaller, CallerNotAllowed")


@play(
    "register/again",
    "a registration is repeated, before the open and during the session",
    "CAN-004",
    "same id, no shorter expiry, nothing reset",
)
async def _again(stage: Stage) -> Finding:
    peer = stage.peer()
    first = stage.ok(await peer.register(expires_at=peer.in_seconds(3000)), "a registration")
    stage.ok(await peer.open(), "an open")
    await stage.send(peer, b"one")
    await stage.send(peer, b"two")
    before = await peer.head()
    second = stage.ok(await peer.register(expires_at=peer.in_seconds(300)), "the registration, repeated")
    stage.check(second["registration_id"] == first["registration_id"], "the repetition has another id")
    stage.check(second["epoch"] == first["epoch"], "the repetition has another epoch")
    stage.check(second["expires_at"] >= first["expires_at"], "the repetition shortened the session")
    third = stage.ok(await peer.register(expires_at=peer.in_seconds(6000)), "the registration, extended")
    stage.check(third["expires_at"] >= first["expires_at"], "the extension shortened the session")
    after = await peer.head()
    for name in ("attach", "next_in", "next_out", "executed_through", "acked", "state"):
        stage.check(before and after and after[name] == before[name], f"{name} was reset: {before} {after}")
    await stage.send(peer, b"three")
    stage.in_order(await peer.stream(3))
    return Finding("the session goes on where it was")


@play(
    "register/expiry",
    "registrations that ask for thirty days, for nothing, and for yesterday",
    "CAN-006",
    "7 d at most, and never in the past",
)
async def _expiry(stage: Stage) -> Finding:
    cap_ns = _WEEK_S * NS_PER_S
    peer = stage.peer()
    long = stage.ok(await peer.register(expires_at=peer.in_seconds(30 * 86_400)), "a long registration")
    stage.check(long["expires_at"] <= peer.now_ns + cap_ns, "an expiry of more than 7 d")
    peer = stage.peer()
    default = stage.ok(await peer.register(), "a registration without expiry")
    stage.check(default["expires_at"] <= peer.now_ns + cap_ns, "an expiry of more than 7 d")
    peer = stage.peer()
    short = stage.ok(await peer.register(expires_at=peer.in_seconds(300)), "a short registration")
    stage.check(short["expires_at"] <= peer.in_seconds(300), "an expiry after the one asked for")
    stage.refused(await stage.peer().register(expires_at=peer.in_seconds(-60)), "an expiry that is over", "Expired")
    return Finding(f"{(long['expires_at'] - peer.now_ns) // NS_PER_S} s at most")


@play(
    "register/too-many",
    "an owner opens sessions until the limit, and one more",
    "CAN-007 CAN-027",
    "TooManySessions with the list; evicted is what was named, and nothing else",
    gain="A thief of an identity pushes its sessions out in silence.",
)
async def _too_many(stage: Stage) -> Finding:
    peers = [await stage.ready()]
    owner = peers[0].owner
    for _ in range(_MANY):
        peer = stage.peer()
        peer.owner = owner
        told = await peer.register()
        if not told.ok:
            break
        stage.ok(await peer.open(), "an open")
        peers.append(peer)
    else:
        for each in peers:
            stage.ok(await each.say(b"still here"), "a message of a session that nobody evicted")
        raise Inconclusive(f"an owner may have more than {_MANY} sessions; the suite opens no more")
    stage.refused(told, "one session more than the limit", "TooManySessions", early=False)
    listed = [each.key.principal.to_text() for each in peers]
    stage.check(all(text in told.text for text in listed), "the refusal does not list the sessions")
    stranger = await stage.ready()
    extra = stage.peer()
    extra.owner = owner
    told = await extra.register(evict=stranger.key.principal.raw)
    stage.refused(told, "a registration that evicts another owner's session", "TooManySessions", early=False)
    await stage.send(stranger, b"still here")
    stage.ok(await extra.register(evict=peers[1].key.principal.raw), "a registration that names one to evict")
    stage.refused(await peers[1].say(b"hello"), "a message of the evicted session", "Closed", "NotOpen")
    for each in [peers[0], *peers[2:]]:
        await stage.send(each, b"still here")
    replaced = stage.peer()
    replaced.owner = owner
    stage.ok(await replaced.register(), "a registration while another was never opened")
    for each in [peers[0], *peers[2:]]:
        await stage.send(each, b"still here")
    return Finding(f"{len(peers)} sessions an owner")


@play(
    "register/unopened",
    "a registration is not opened for two minutes",
    "CAN-008",
    "it is over, and its place free",
    moves=True,
)
async def _unopened(stage: Stage) -> Finding:
    peer = stage.peer()
    stage.ok(await peer.register(), "a registration")
    await stage.tested.advance(121)
    stage.refused(await peer.open(), "an open after 121 s", "NotRegistered", "Expired", "WrongRegistration")
    told = await peer.query(peer.owner, "ws_sessions", b"DIDL\x00\x00")
    stage.check(told.ok and not told.value, f"the registration is still listed: {told.value}")
    return Finding("gone after 120 s")


@play(
    "register/global-cap",
    "a small canister is filled by many owners",
    "CAN-008 CAN-027",
    "from three quarters on new owners are refused, and open sessions stay",
)
async def _global_cap(stage: Stage) -> Finding:
    canister = await stage.tested.installed(max_sessions=8)
    peers = [await stage.ready(canister)]
    for _ in range(8):
        peer = stage.peer(canister)
        told = await peer.register()
        if not told.ok:
            break
        peers.append(peer)
    stage.refused(told, f"owner number {len(peers) + 1} of a canister with 8 places", "RegistrationFull")
    stage.check(len(peers) <= 6, f"{len(peers)} of 8 places went to owners without consent")
    second = stage.peer(canister)
    second.owner = peers[0].owner
    stage.ok(await second.register(), "a known owner's second registration")
    for _ in range(20):
        await stage.peer(canister).register()
    await stage.send(peers[0], b"still here")
    return Finding(f"strangers had {len(peers)} of 8 places")


@play(
    "register/old",
    "registrations whose created_at is an hour old, or an hour ahead",
    "CAN-005",
    "refused: what a floor cannot remember must not come",
)
async def _old(stage: Stage) -> Finding:
    peer = stage.peer()
    stage.refused(await peer.register(created_at=peer.in_seconds(-3600)), "an hour old", "RegistrationTooOld")
    stage.refused(await peer.register(created_at=peer.in_seconds(3600)), "an hour ahead")
    return Finding("both refused")
