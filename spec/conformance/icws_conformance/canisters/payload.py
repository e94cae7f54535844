"""Cases about payload protection at the canister: agreed suites, sealed content, keys that rotate.

Sealing is the library's, since clients do it; what the canister does is seen from outside.
"""

from __future__ import annotations

import secrets
from typing import Any, Final

from icws_conformance.canisters import interface
from icws_conformance.canisters.interface import Told
from icws_conformance.canisters.message import Message
from icws_conformance.canisters.peer import Peer, identity
from icws_conformance.canisters.stage import Stage, play
from icws_conformance.case import Finding, NotApplicable
from icws_secure.errors import PayloadViolation
from icws_secure.limits import NS_PER_S
from icws_secure.payload import HopChannel, HopEnd, HopSession
from icws_secure.wire.interface import ClientKey
from icws_secure.wire.principal import Principal

__all__: list[str] = []

_HPKE: Final = "hpke-x25519"
_GRACE_S: Final = 900


class _Sealed:
    """A session under ``hpke-x25519``, with the client's end of the channel."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        offered = {suite["name"]: suite for suite in peer.parameters["suites"]}
        if _HPKE not in offered:
            raise NotApplicable(f"the canister does not offer {_HPKE}")
        self.suite = offered[_HPKE]
        key = ClientKey(peer.key.principal, peer.client_nonce)
        session = HopSession(peer.canister, key, peer.parameters["registration_id"])
        self.channel = HopChannel(session, HopEnd.CLIENT)

    async def open(self, *, next_in: int = 1, next_out: int = 1, **changes: Any) -> Told:
        """Attach with a fresh secret; the channel goes on if that is taken."""
        secret, attach = secrets.token_bytes(32), self.peer.attach + 1
        key_id = changes.get("key_id", self.suite["key_id"])
        enc = self.channel.offer(attach, secret=secret, public_key=self.suite["public_key"], key_id=key_id)
        told = await self.peer.open(**{"suite": _HPKE, "key_id": key_id, "enc": enc, **changes})
        if told.ok:
            attached = self.channel.attached(attach, secret=secret, key_id=key_id, next_in=next_in, next_out=next_out)
            self.channel = attached
        return told

    def seal(self, seq: int, data: bytes) -> bytes:
        """Seal what is said as number ``seq``."""
        self.channel, content = self.channel.seal(seq, data)
        return content

    def unseal(self, stage: Stage, message: Message) -> bytes:
        """Open a message of the canister."""
        try:
            self.channel, data = self.channel.open(message.seq, message.content)
        except PayloadViolation as error:
            stage.fail(f"message {message.seq} does not open: {error}")
            raise
        return data


async def _registered(stage: Stage, **changes: Any) -> _Sealed:
    peer = stage.peer()
    stage.ok(await peer.register(**changes), "a registration")
    return _Sealed(peer)


@play(
    "payload/sealed",
    "a session under hpke-x25519",
    "PAY-004 PAY-005 PAY-007 PAY-001 PAY-006",
    "what the client seals is understood, and what comes back is sealed and opens",
)
async def _sealed(stage: Stage) -> Finding:
    sealed = await _registered(stage)
    peer = sealed.peer
    stage.ok(await sealed.open(), "an open under hpke-x25519")
    for seq in range(1, 4):
        told = await stage.send(peer, sealed.seal(seq, b"secret %d" % seq))
        await stage.executed(peer, told, seq)
    for message in await peer.stream(3):
        stage.check(b"secret" not in message.content, "a message is not sealed")
        stage.check(sealed.unseal(stage, message) == b"secret %d" % message.seq, "the echo is another")
    return Finding("three sealed echoes")


@play(
    "payload/unsealed",
    "unsealed, altered and replayed content under an agreed suite",
    "PAY-003 PAY-005",
    "UnsealedContent; the number is free, and the honest content is taken after it",
    gain="What was to be secret is taken in the clear.",
)
async def _unsealed(stage: Stage) -> Finding:
    sealed = await _registered(stage)
    peer = sealed.peer
    stage.ok(await sealed.open(), "an open under hpke-x25519")
    good = sealed.seal(1, b"secret")
    altered = good[:-1] + bytes([good[-1] ^ 1])
    for what, data in (("in the clear", b"hello"), ("nothing", b""), ("altered", altered), ("cut", good[:-1])):
        stage.refused(await peer.say(data, seq=1), f"content that is {what}", "UnsealedContent")
    stage.ok(await peer.say(good, seq=1), "the content as it was sealed")
    stage.refused(await peer.say(good, seq=2), "the content of 1 as number 2", "UnsealedContent")
    told = await stage.send(peer, sealed.seal(2, b"second"), seq=2)
    await stage.executed(peer, told, 2)
    found = [sealed.unseal(stage, message) for message in await peer.stream(2)]
    stage.check(found == [b"secret", b"second"], f"{len(found)} echoes, and not those that were sent")
    return Finding("five refused")


@play(
    "payload/sealed-once",
    "a sealed session attaches anew with messages retained",
    "PAY-002 CAN-060",
    "the same ciphertexts come again, and open with the keys of the older attach",
    gain="Two texts at one position give the key stream away.",
)
async def _sealed_once(stage: Stage) -> Finding:
    sealed = await _registered(stage)
    peer = sealed.peer
    stage.ok(await sealed.open(), "an open under hpke-x25519")
    for seq in (1, 2):
        told = await stage.send(peer, sealed.seal(seq, b"%d" % seq))
        await stage.executed(peer, told, seq)
    before = await peer.stream(2)
    stage.ok(await sealed.open(gateway=identity(), next_in=3, next_out=3), "an open with a new secret")
    told = await stage.send(peer, sealed.seal(3, b"3"))
    await stage.executed(peer, told, 3)
    after = await peer.stream(3)
    stage.check([m.raw for m in after[:2]] == [m.raw for m in before], "what was retained came with other bytes")
    found = [sealed.unseal(stage, message) for message in after]
    stage.check(found == [b"1", b"2", b"3"], "the messages are not what was sent")
    return Finding("two as they were, one under the new keys")


@play(
    "payload/older-chain",
    "what was sealed for one attach is sent after the next",
    "PAY-005",
    "taken: an older attach's keys live until its numbers are handled",
    gain="A message that is sent again after a failover is refused, and the session blocked.",
)
async def _older_chain(stage: Stage) -> Finding:
    sealed = await _registered(stage)
    peer = sealed.peer
    stage.ok(await sealed.open(), "an open under hpke-x25519")
    contents = [sealed.seal(seq, b"%d" % seq) for seq in (1, 2)]
    stage.ok(await sealed.open(gateway=identity()), "an open with a new secret")
    contents.append(sealed.seal(3, b"3"))
    for seq, content in enumerate(contents, 1):
        told = await stage.send(peer, content)
        await stage.executed(peer, told, seq)
    found = [sealed.unseal(stage, message) for message in await peer.stream(3)]
    stage.check(found == [b"1", b"2", b"3"], "the echoes are not what was sent")
    return Finding("two under the older keys, one under the newer")


@play(
    "payload/downgrade",
    "opens under none, after a minimum was registered and after hpke-x25519 was agreed on",
    "PAY-012 PAY-003",
    "SuiteTooWeak",
    gain="A gateway or a second device talks a session out of its protection.",
)
async def _downgrade(stage: Stage) -> Finding:
    agreed = await _registered(stage)
    asking = await _registered(stage, minimum_suite=_HPKE)
    stage.refused(await asking.peer.open(attach=1), "an open under none, below the minimum", "SuiteTooWeak")
    stage.ok(await asking.open(), "an open under hpke-x25519")
    stage.ok(await agreed.open(), "an open under hpke-x25519")
    told = await agreed.peer.open(attach=2)
    stage.refused(told, "an open under none in a sealed session", "SuiteTooWeak")
    told = await stage.peer().register(minimum_suite="vetkd-bls12-381")
    if told.ok:
        raise NotApplicable("the canister offers every suite")
    stage.refused(told, "a minimum that is not offered", "SuiteTooWeak")
    return Finding("refused three times")


@play(
    "payload/unknown-key",
    "opens that name a key that there is not, no key, and a secret that does not open",
    "PAY-013 PAY-004",
    "UnknownKey, and refusals of what does not open",
)
async def _unknown_key(stage: Stage) -> Finding:
    sealed = await _registered(stage)
    told = await sealed.open(key_id=b"no such key")
    stage.refused(told, "a key that there is not", "UnknownKey")
    stage.refused(await sealed.open(enc=None), "no sealed secret", "MalformedArgument")
    stage.refused(await sealed.open(enc=bytes(80)), "a sealed secret of zeros", "MalformedArgument")
    stage.refused(await sealed.open(enc=secrets.token_bytes(80)), "a random sealed secret", "MalformedArgument")
    stage.ok(await sealed.open(), "an honest open after them")
    return Finding("four refused")


@play(
    "payload/rotation",
    "the canister's key reaches its age",
    "PAY-013",
    "ws_params gives another; the older is taken for 15 min, and then UnknownKey",
    moves=True,
)
async def _rotation(stage: Stage) -> Finding:
    canister = await stage.tested.installed()
    first = await _on(stage, canister)
    age_s = (first.suite["expires_at"] - first.peer.now_ns) / NS_PER_S
    stage.check(age_s <= 7 * 86_400, f"the key is offered for {age_s:.0f} s")
    await stage.tested.advance(age_s - 60)
    sealed = await _on(stage, canister)
    older = sealed.suite["key_id"]
    stage.ok(await sealed.open(), "an open with the key of now")
    await stage.tested.advance(90)
    arg = interface.params_arg(sealed.peer.parameters["registration_id"])
    told = await sealed.peer.update(sealed.peer.key, "ws_params", arg)
    suites = {suite["name"]: suite for suite in stage.ok(told, "ws_params")["suites"]}
    stage.check(suites[_HPKE]["key_id"] != older, "ws_params gives the same key after its time")
    stage.ok(await sealed.open(), "an open with the older key, a minute after it was replaced")
    await stage.send(sealed.peer, sealed.seal(1, b"hello"))
    await stage.tested.advance(_GRACE_S + 60)
    late = await _on(stage, canister)
    newer, late.suite = late.suite, sealed.suite
    stage.refused(await late.open(), "an open with a key that was replaced 16 min ago", "UnknownKey")
    late.suite = newer
    stage.ok(await late.open(), "an open with the new key")
    return Finding(f"replaced after {age_s:.0f} s")


async def _on(stage: Stage, canister: Principal) -> _Sealed:
    peer = stage.peer(canister)
    stage.ok(await peer.register(), "a registration")
    return _Sealed(peer)


@play(
    "payload/params",
    "ws_params by the session key, by its owner, by a stranger, and for another registration",
    "PAY-013 CAN-015",
    "the session key alone is given the parameters, which are those of the registration",
)
async def _params(stage: Stage) -> Finding:
    peer, other = await stage.ready(), await stage.ready()
    arg = interface.params_arg(peer.parameters["registration_id"])
    found = stage.ok(await peer.update(peer.key, "ws_params", arg), "ws_params")
    same = ("registration_id", "owner", "epoch", "expires_at", "session_principal", "profile")
    stage.check(all(found[name] == peer.parameters[name] for name in same), "the parameters are others")
    for who in (peer.owner, identity()):
        stage.refused(await peer.update(who, "ws_params", arg), f"ws_params by {who.principal}", "NotRegistered")
    told = await other.update(other.key, "ws_params", arg)
    stage.refused(told, "ws_params of another's registration", "WrongRegistration", "NotRegistered")
    return Finding("the session's own")
