"""One session as the suite plays it: owner, session key and gateways, each of which may be honest or not."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import Mapping, Sequence
from typing import Any, Final, NoReturn

import cbor2

from icws_conformance.canisters import interface
from icws_conformance.canisters.certificate import CertificateFault, Tree, leb128, read_tree
from icws_conformance.canisters.ic import Answer
from icws_conformance.canisters.interface import HEAD, PARAMETERS, Told
from icws_conformance.canisters.message import Message, Poll
from icws_conformance.canisters.render import rendered
from icws_conformance.canisters.tested import CanisterUnderTest
from icws_conformance.case import Failed, Inconclusive
from icws_conformance.wirelog import WireLog
from icws_secure.limits import NS_PER_S
from icws_secure.sign.identity import Ed25519Identity, Identity
from icws_secure.wire.principal import Principal

__all__ = ["Peer", "identity"]

_MAX_POLLS: Final = 200
_TRIES: Final = 40
_BEHIND_S: Final = 0.1
_SELF_DESCRIBED: Final = bytes.fromhex("d9d9f7")


def identity() -> Ed25519Identity:
    """A new one."""
    return Ed25519Identity(secrets.token_bytes(32))


class Peer:
    """One session of the canister under test.

    Attributes:
        owner: who registers.
        key: the session key.
        gateway: under whose principal messages are queued; changed by :meth:`open`.
        parameters: what the registration gave.
        attach: the newest number used.
        open_arg: the argument of the newest open.
        next: the next number to the canister.
    """

    def __init__(self, tested: CanisterUnderTest, log: WireLog, canister: Principal | None = None) -> None:
        self.tested = tested
        self.log = log
        self.canister = canister or tested.ic.canister
        self.owner: Identity = identity()
        self.key = identity()
        self.gateway: Identity = identity()
        self.client_nonce = secrets.randbelow(1 << 62)
        self.parameters: dict[str, Any] = {}
        self.attach = 0
        self.open_arg = b""
        self.next = 1

    # Calls ------------------------------------------------------------------------------------------------------------

    async def update(self, who: Identity, method: str, arg: bytes) -> Told:
        """Call an update method."""
        self.log.note(f"{self._role(who)} calls {method}({rendered(arg)})")
        answer = await self.tested.ic.update(who, method, arg, self.log, canister=self.canister)
        if answer.arg is not None:
            self.log.note(f"{method} gives {rendered(answer.arg)}", source="canister")
        return self._told(interface.read(answer, method, update=True), method)

    async def query(self, who: Identity, method: str, arg: bytes) -> Told:
        """Call a query method."""
        return self._told(interface.read(await self._asked(who, method, arg), method, update=False), method)

    async def _asked(self, who: Identity, method: str, arg: bytes) -> Answer:
        self.log.note(f"{self._role(who)} asks {method}({rendered(arg)})")
        answer = await self.tested.ic.query(who, method, arg, self.log, canister=self.canister)
        if answer.arg is not None:
            self.log.note(f"{method} gives {rendered(answer.arg)}", source="canister")
        return answer

    async def unchecked(self, who: Principal, method: str, arg: bytes) -> Told:
        """Call an update method past ``inspect_message``, which needs a driver."""
        fields = {
            "canister_id": str(self.canister),
            "sender_hex": who.raw.hex(),
            "method": method,
            "arg_hex": arg.hex(),
        }
        answer = await self.tested.command("call", "unchecked", **fields)
        reply = answer.get("reply_hex")
        if not isinstance(reply, str):
            return Told(False, text=str(answer.get("rejected")), trapped=True)
        return self._told(interface.read(Answer(bytes.fromhex(reply), certified=False), method, update=False), method)

    async def register(self, *, who: Identity | None = None, **changes: Any) -> Told:
        """Register the session key, and keep the parameters."""
        told = await self.update(who or self.owner, "ws_register", self.register_arg(**changes))
        if told.ok:
            found = self.fields(told, PARAMETERS, "ws_register")
            if who is None:
                self.parameters = found
        return told

    def register_arg(self, **changes: Any) -> bytes:
        """The argument of a registration."""
        return interface.register_arg(
            changes.get("session", self.key.principal.raw),
            changes.get("created_at", self.now_ns),
            changes.get("expires_at"),
            changes.get("evict"),
            changes.get("minimum_suite"),
        )

    async def open(self, *, gateway: Identity | None = None, **changes: Any) -> Told:
        """Attach, by default with the next number, from the oldest message on, through the present gateway."""
        attach = changes.get("attach", self.attach + 1)
        arg = changes.get("arg") or self.secure_arg(gateway, **{**changes, "attach": attach})
        told = await self.update(changes.get("who", self.key), "ws_open", arg)
        if told.ok:
            self.attach, self.open_arg, self.gateway = attach, arg, gateway or self.gateway
        return told

    def secure_arg(self, gateway: Identity | None = None, **changes: Any) -> bytes:
        """The argument of a secure open."""
        raw = changes.get("gateway_raw", (gateway or self.gateway).principal.raw)
        secure = {
            "registration_id": changes.get("registration_id", self.parameters.get("registration_id", bytes(16))),
            "attach": changes.get("attach", self.attach + 1),
            "resume_from": changes.get("resume_from", 1),
            "suite": changes.get("suite", "none"),
            "key_id": changes.get("key_id"),
            "enc": changes.get("enc"),
        }
        return interface.open_arg(changes.get("client_nonce", self.client_nonce), raw, secure)

    async def open_omnia(self, *, gateway: Identity | None = None) -> Told:
        """Open a session of ``omnia/1``."""
        self.gateway = gateway or self.gateway
        arg = interface.open_arg(self.client_nonce, self.gateway.principal.raw, None)
        return await self.update(self.key, "ws_open", arg)

    async def say(self, data: bytes, **changes: Any) -> Told:
        """Send a message; by default with the next number, which is then used up."""
        seq = changes.pop("seq", None)
        if seq is None:
            seq, self.next = self.next, self.next + 1
        arg = interface.message_arg(self.message(seq, data, **changes))
        return await self.update(changes.get("who", self.key), "ws_message", arg)

    def message(self, seq: int, data: bytes, **changes: Any) -> dict[str, Any]:
        """A message to the canister."""
        return {
            "client_key": changes.get("client_key", self.client_key),
            "sequence_num": seq,
            "timestamp": self.now_ns,
            "is_service_message": changes.get("service", False),
            "content": data,
        }

    async def keep_alive(self, through: int, **changes: Any) -> Told:
        """Acknowledge what came."""
        data = interface.service("KeepAliveMessage", {"last_incoming_sequence_num": through})
        return await self.say(data, service=True, **changes)

    async def close(self, who: Identity | None = None, *, attach: int | None = None) -> Told:
        """A gateway says that the client left."""
        return await self.update(who or self.gateway, "ws_close", interface.close_arg(self.client_key, attach))

    async def revoke(
        self, who: Identity | None = None, *, session: bytes | None, created_at: int | None = None
    ) -> Told:
        """Revoke a session, or all for None."""
        when = self.now_ns if created_at is None else created_at
        return await self.update(who or self.owner, "ws_revoke", interface.revoke_arg(session, when))

    async def ready(self, **changes: Any) -> Peer:
        """Register and open, both of which must succeed; gives itself."""
        for told, what in ((await self.register(), "registration"), (await self.open(**changes), "open")):
            if not told.ok:
                self.blame(f"an honest {what} was refused: {told}")
        return self

    # What comes back --------------------------------------------------------------------------------------------------

    async def poll(self, nonce: int = 0, *, gateway: Identity | None = None) -> Poll:
        """Poll a gateway's queue, and verify all of it.

        Raises:
            Failed: it is refused, or something does not verify.
        """
        who, floor_ns = gateway or self.gateway, self.tested.ic.floor_ns
        for _ in range(_TRIES):
            answer = await self._asked(who, "ws_get_messages", interface.nonce_arg(nonce))
            told = self._told(interface.read(answer, "ws_get_messages", update=False), "ws_get_messages")
            if not told.ok:
                self.blame(f"a poll was answered with {told}")
            found = self.fields(told, ("messages", "cert", "tree"), "ws_get_messages")
            end, size = bool(found.get("is_end_of_queue", True)), len(answer.arg or b"")
            if not found["messages"]:
                return Poll((), end, size)  # without certificate: only that nothing is shown
            witness, time_ns = self.witness(found["cert"], found["tree"])
            if time_ns >= floor_ns:
                return Poll(tuple(self._message(who, each, witness, time_ns) for each in found["messages"]), end, size)
            await asyncio.sleep(_BEHIND_S)
        raise Inconclusive("the nodes' answers stay behind")

    async def queue(self, nonce: int = 0, *, gateway: Identity | None = None) -> list[Message]:
        """The whole queue from a nonce on."""
        found: list[Message] = []
        for _ in range(_MAX_POLLS):
            poll = await self.poll(nonce, gateway=gateway)
            found += poll.messages
            if poll.end or not poll.messages:
                return found
            nonce = poll.messages[-1].nonce + 1
        raise Inconclusive("the queue does not end")

    async def mine(self, *, gateway: Identity | None = None) -> list[Message]:
        """This session's messages in a queue, in order; no tombstones."""
        return [message for message in await self.queue(gateway=gateway) if message.outer == self.outer]

    async def stream(self, count: int, *, gateway: Identity | None = None) -> list[Message]:
        """This session's numbered messages, once there are so many.

        Raises:
            Failed: they do not come.
        """
        found: list[Message] = []
        for _ in range(_TRIES):
            found = [message for message in await self.mine(gateway=gateway) if message.seq > 0]
            if len(found) >= count:
                break
            await asyncio.sleep(_BEHIND_S)
        if len(found) < count:
            self.blame(f"{len(found)} of {count} messages are in the queue")
        return found

    async def head(self, *, who: Identity | None = None) -> dict[str, Any] | None:
        """The session's certified head, and the epoch in it as ``epoch``; None where there is provably none.

        Args:
            who: who asks, by default the session key.

        Raises:
            Failed: it is refused, or something does not verify.
        """
        session, floor_ns = self.key.principal.raw, self.tested.ic.floor_ns
        for _ in range(_TRIES):
            told = await self.query(who or self.key, "ws_audit", interface.audit_arg([session]))
            if not told.ok:
                self.blame(f"an audit was answered with {told}")
            found = self.fields(told, ("epoch", "heads", "cert", "tree"), "ws_audit")
            witness, time_ns = self.witness(found["cert"], found["tree"])
            if time_ns >= floor_ns:
                return self._head(found, witness, session)
            await asyncio.sleep(_BEHIND_S)
        raise Inconclusive("the nodes' answers stay behind")

    def witness(self, certificate: bytes | None, tree: bytes | None) -> tuple[Tree, int]:
        """A witness that is the canister's, and the time of its certificate.

        Raises:
            Failed: something does not verify.
        """
        if not certificate or not tree:
            self.blame("an answer comes without certificate or witness")
        try:
            opened = self.tested.ic.verify(certificate, self.canister)
            witness = read_tree(tree)
            root = opened.tree.find(b"canister", self.canister.raw, b"certified_data")
        except CertificateFault as error:
            self.blame(f"what came does not verify: {error}")
        if root != witness.digest:
            self.blame("the witness' digest is not the certified data")
        return witness, opened.time_ns

    def _message(self, who: Identity, each: Mapping[str, Any], witness: Tree, time_ns: int) -> Message:
        key, content = each["key"], each["content"]
        prefix = f"{who.principal.to_text()}_"
        digits = key.removeprefix(prefix)
        if not key.startswith(prefix) or len(digits) != 20 or not (digits.isascii() and digits.isdigit()):
            self.blame(f"a message's key is {key!r}, asked for by {who.principal}")
        try:
            leaf = witness.find(b"websocket", key.encode())
        except CertificateFault as error:
            self.blame(f"a message is not in its witness: {error}")
        if leaf != hashlib.sha256(content).digest():
            self.blame(f"the leaf of {key} is not the hash of the content")
        outer = each["client_key"]["client_principal"], each["client_key"]["client_nonce"]
        fields: dict[str, Any] = {}
        if content:
            fields = self._fields(content, outer)
        elif outer != (b"", 0):
            self.blame("an entry without content has a client key")
        return Message(int(digits), key, content, outer, fields, time_ns)

    def _fields(self, content: bytes, outer: tuple[bytes, int]) -> dict[str, Any]:
        try:
            value = cbor2.loads(content)
        except (cbor2.CBORDecodeError, ValueError, TypeError, RecursionError):
            self.blame("a message's content is no CBOR")
        if isinstance(value, cbor2.CBORTag):
            value = value.value
        if not content.startswith(_SELF_DESCRIBED) or not isinstance(value, Mapping):
            self.blame("a message's content is no self-described map")
        fields = dict(value)
        key = fields.get("client_key", {})
        if (key.get("client_principal"), key.get("client_nonce")) != outer:
            self.blame("a message names another client inside than outside")
        return fields

    def _head(self, found: Mapping[str, Any], witness: Tree, session: bytes) -> dict[str, Any] | None:
        try:
            epoch = leb128(witness.find(b"icws", b"epoch"))
            leaf = witness.find(b"icws", b"head", session)
        except CertificateFault as error:
            self.blame(f"the audit's witness does not show what it should: {error}")
        if found["heads"] != [leaf] or found["epoch"] != epoch:
            self.blame("the audit says other than its witness")
        if leaf is None:
            return None
        try:
            head = cbor2.loads(leaf)
        except (cbor2.CBORDecodeError, ValueError):
            head = None
        if not isinstance(head, Mapping) or not set(head) >= set(HEAD):
            self.blame("the certified head is no CBOR map of all its fields")
        return {**head, "epoch": epoch}

    # Small things -----------------------------------------------------------------------------------------------------

    @property
    def now_ns(self) -> int:
        """The IC's present."""
        return self.tested.ic.now_ns

    @property
    def client_key(self) -> dict[str, Any]:
        """The session's client key, as Candid takes it."""
        return {"client_principal": self.key.principal.raw, "client_nonce": self.client_nonce}

    @property
    def outer(self) -> tuple[bytes, int]:
        """The session's client key, as messages carry it."""
        return self.key.principal.raw, self.client_nonce

    def _role(self, who: Identity) -> str:
        """Who calls, for the wire log."""
        names = {"the owner": self.owner, "the session key": self.key, "the gateway": self.gateway}
        found = [name for name, each in names.items() if each.principal == who.principal]
        return f"{found[0] if found else 'somebody else'}, {who.principal},"

    def in_seconds(self, seconds: float) -> int:
        """A time from now on."""
        return self.now_ns + int(seconds * NS_PER_S)

    def fields(self, told: Told, names: Sequence[str], method: str) -> dict[str, Any]:
        """The record of an answer, which must have these fields.

        Raises:
            Failed: it has not.
        """
        value = told.value
        if not isinstance(value, dict) or not set(names) <= set(value):
            self.blame(f"the answer of {method} is no record with {', '.join(names)}")
        return value

    def blame(self, what: str) -> NoReturn:
        """End the case as failed, with a mark in the log.

        Raises:
            Failed: always.
        """
        self.log.note(what, source="canister", blamed=True)
        raise Failed(what)

    def _told(self, told: Told, method: str) -> Told:
        if told.early or told.trapped:
            self.log.note(f"{method}: {told}", source="IC")
        return told
