"""The canister of a scripted case: honest by itself, and whatever the case makes of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Final

from icws_conformance.hostile import Subnet
from icws_conformance.hostile.forge import Forge
from icws_secure.errors import MisuseError, Reason
from icws_secure.limits import NS_PER_S
from icws_secure.wire.envelope import CallContent, Envelope
from icws_secure.wire.head import SessionHead, encode_epoch
from icws_secure.wire.interface import (
    SECURE_PROFILE,
    ClientKey,
    MessageResult,
    MessageState,
    MessageStatus,
    OpenArgument,
    Refusal,
    WebsocketMessage,
    decode_message_argument,
    decode_message_batch_argument,
    decode_open_argument,
    encode_message_result,
    encode_open_result,
)
from icws_secure.wire.merkle_map import MerkleMap
from icws_secure.wire.message import CanisterMessage, message_key
from icws_secure.wire.principal import Principal
from icws_secure.wire.registration import (
    Audit,
    Parameters,
    RegisterArgument,
    SessionState,
    Suite,
    decode_register_argument,
    encode_audit_result,
    encode_register_result,
    encode_revoke_result,
)
from icws_secure.wire.service import AttachMessage, ServiceMessage, encode_service_message
from icws_secure.wire.tree_codec import encode_tree

__all__ = ["Proof", "Queued", "ScriptedCanister"]

_DAY_NS: Final = 86_400 * NS_PER_S
_REGISTRATION_ID: Final = bytes(range(16))


@dataclass(frozen=True, slots=True)
class Queued:
    """An entry of a gateway's queue.

    Attributes:
        gateway: whose queue.
        nonce: place in it.
        content: the message, CBOR; empty for a tombstone.
    """

    gateway: Principal
    nonce: int
    content: bytes

    @property
    def key(self) -> str:
        """Its key in the tree."""
        return message_key(self.gateway, self.nonce)


@dataclass(frozen=True, slots=True)
class Proof:
    """A certificate and a witness under it."""

    cert: bytes
    tree: bytes


@dataclass
class ScriptedCanister:
    """One session's canister. Whatever starts with ``on_`` is the case's: it is given what an honest canister says.

    Attributes:
        forge: signs what is certified.
        id: the canister's id.
        ahead_ns: how far its time is ahead of the machine's.
        on_parameters: what the registration brings.
        on_open: why an open is refused.
        on_attach: the attach message; None for none.
        on_message: the answer to a message; None for an honest one.
        on_head: the head; None for no session.
        echoes: whether the application's messages come back.
        suites: payload suites that it offers beside ``none``.
        plain: whether it offers ``none``.
        heard: the client's messages, those that came twice too.
        opens: arguments of the client's opens, with the raw ones.
        replies: certified replies by request id, as leaves of the request status.
    """

    forge: Forge
    id: Principal
    ahead_ns: int = 0
    on_parameters: Callable[[Parameters], Parameters | Refusal] = lambda found: found
    on_open: Callable[[OpenArgument], Refusal | None] = lambda argument: None
    on_attach: Callable[[AttachMessage], AttachMessage | None] = lambda message: message
    on_message: Callable[[WebsocketMessage], MessageResult | None] = lambda message: None
    on_head: Callable[[SessionHead], SessionHead | None] = lambda head: head
    echoes: bool = True
    suites: tuple[Suite, ...] = ()
    plain: bool = True
    epoch: int = 0
    registered: RegisterArgument | None = None
    parameters: Parameters | None = None
    key: ClientKey | None = None
    gateway: Principal | None = None
    attach: int = 0
    next_in: int = 1
    next_out: int = 1
    acked: int = 0
    executed_through: int = 0
    attach_nonce: int = 0
    last_attach: AttachMessage | None = None
    timestamp_ns: int = 0
    heard: list[WebsocketMessage] = field(default_factory=list)
    opens: list[tuple[OpenArgument, bytes]] = field(default_factory=list)
    queue: list[Queued] = field(default_factory=list)
    retained: dict[int, bytes] = field(default_factory=dict)
    replies: dict[bytes, dict[str, bytes]] = field(default_factory=dict)
    _last_nonce: int = 0

    def now(self) -> int:
        """Nanoseconds since 1970, by the canister."""
        return time.time_ns() + self.ahead_ns

    # calls

    def execute(self, envelope: Envelope) -> dict[str, bytes]:
        """Execute an update call, once: the leaves of its request status."""
        content = envelope.content
        if not isinstance(content, CallContent):
            raise MisuseError("only calls are executed", reason=Reason.INVALID_ARGUMENT)
        if content.request_id not in self.replies:
            reply = self._reply(content)
            self.replies[content.request_id] = {"status": b"replied", "reply": reply}
        return self.replies[content.request_id]

    def _reply(self, content: CallContent) -> bytes:
        match content.method_name:
            case "ws_register":
                self.registered = decode_register_argument(content.arg)
                return encode_register_result(self._registered(content.sender, self.registered))
            case "ws_params" if self.parameters is not None:
                return encode_register_result(self.on_parameters(self.parameters))
            case "ws_open":
                return encode_open_result(self._open(content))
            case "ws_message":
                return encode_message_result(self._message(decode_message_argument(content.arg)))
            case "ws_message_batch":
                results = [self._message(message) for message in decode_message_batch_argument(content.arg)]
                return encode_message_result(results[-1])
            case "ws_audit":
                return encode_audit_result(Audit(self.epoch, (self._head_leaf(),)))
            case "ws_revoke":
                return encode_revoke_result(1)
        raise MisuseError("the scripted canister has no such method", reason=Reason.UNSUPPORTED)

    def _registered(self, owner: Principal, argument: RegisterArgument) -> Parameters | Refusal:
        now = self.now()
        self.epoch = self.epoch or now - NS_PER_S
        self.parameters = Parameters(
            registration_id=_REGISTRATION_ID,
            session_principal=argument.session_principal,
            owner=owner,
            profile=SECURE_PROFILE,
            epoch=self.epoch,
            expires_at_ns=argument.expires_at_ns or now + _DAY_NS // 3,
            ack_interval_ns=60 * NS_PER_S,
            keep_alive_timeout_ns=60 * NS_PER_S,
            resume_window_ns=600 * NS_PER_S,
            detach_after_open_ns=60 * NS_PER_S,
            window_messages=32,
            window_bytes=256 << 10,
            max_content_bytes=1 << 20,
            retained_messages=2_048,
            retained_bytes=4 << 20,
            suites=(*self.suites, *((Suite("none"),) if self.plain else ())),
            features=(),
        )
        found = self.on_parameters(self.parameters)
        if isinstance(found, Parameters):
            self.parameters = found
        return found

    def rotate(self, suites: tuple[Suite, ...]) -> None:
        """Offer other suites from now on."""
        if self.parameters is not None:
            rest = tuple(suite for suite in self.parameters.suites if suite not in self.suites)
            self.parameters = replace(self.parameters, suites=(*suites, *rest))
        self.suites = suites

    def _open(self, content: CallContent) -> Refusal | None:
        argument = decode_open_argument(content.arg)
        self.opens.append((argument, content.arg))
        refusal = self.on_open(argument)
        if refusal is not None or argument.secure is None or self.parameters is None:
            return refusal
        secure = argument.secure
        self.key = ClientKey(content.sender, argument.client_nonce)
        self.gateway, self.attach = argument.gateway_principal, secure.attach
        message = AttachMessage(
            client_key=self.key,
            registration_id=self.parameters.registration_id,
            attach=secure.attach,
            epoch=self.epoch,
            resume_from=secure.resume_from,
            next_in=self.next_in,
            next_out=self.next_out,
            oldest_retained=1,
            open_hash=sha256(content.arg).digest(),
        )
        self.last_attach = shown = self.on_attach(message)
        self.attach_nonce = self.new_nonce()
        if shown is not None:
            self.enqueue(self.certified_message(shown, seq=0), nonce=self.attach_nonce)
        for seq in range(secure.resume_from, self.next_out):
            if seq in self.retained:
                self.enqueue(self.retained[seq])
        return None

    def _message(self, message: WebsocketMessage) -> MessageResult:
        is_new = message.sequence_num >= self.next_in
        self.heard.append(message)
        result = self.on_message(message)
        if result is not None:
            return result
        self.next_in = max(self.next_in, message.sequence_num + 1)
        self.executed_through = self.next_in - 1
        if is_new and self.echoes and not message.is_service_message:
            self.say(message.content)
        state = MessageState.EXECUTED if is_new else MessageState.DUPLICATE
        return MessageResult(status=MessageStatus(self.next_in - 1, self.executed_through, state))

    # what the canister says

    def new_nonce(self) -> int:
        """The next nonce of a queue, which starts at the canister's time."""
        self._last_nonce = max(self._last_nonce + 1, self.now())
        return self._last_nonce

    def certified_message(
        self,
        content: bytes | ServiceMessage,
        *,
        seq: int | None = None,
        timestamp_ns: int | None = None,
        key: ClientKey | None = None,
        is_service: bool | None = None,
    ) -> bytes:
        """The CBOR of a message to the client.

        Args:
            content: of the application, or of the service.
            seq: its number; None for the next one, which is then used up and kept for later attaches.
            timestamp_ns: when it was made; None for now.
            key: whose it is; None for the client's own.
            is_service: what it says of itself; None for what it is.
        """
        number = self.next_out if seq is None else seq
        owner = key or self.key
        if owner is None:
            raise MisuseError("nobody has opened", reason=Reason.WRONG_STATE)
        says_service = not isinstance(content, bytes) if is_service is None else is_service
        data = content if isinstance(content, bytes) else encode_service_message(content)
        at = self.now() if timestamp_ns is None else timestamp_ns
        encoded = CanisterMessage(owner, number, at, says_service, data, bytes(16)).encode()
        if seq is None:
            self.retained[number] = encoded
            self.next_out += 1
        return encoded

    def enqueue(self, content: bytes, *, nonce: int | None = None, gateway: Principal | None = None) -> Queued:
        """Put a message into the queue of the gateway attached to."""
        owner = gateway or self.gateway
        if owner is None:
            raise MisuseError("nobody is attached", reason=Reason.WRONG_STATE)
        entry = Queued(owner, self.new_nonce() if nonce is None else nonce, content)
        self.queue.append(entry)
        return entry

    def say(self, content: bytes | ServiceMessage) -> Queued:
        """Queue the next message, as an honest canister does."""
        return self.enqueue(self.certified_message(content))

    def take_queue(self, gateway: Principal) -> list[Queued]:
        """What waits for a gateway; it waits no longer."""
        found = [entry for entry in self.queue if entry.gateway == gateway]
        self.queue = [entry for entry in self.queue if entry.gateway != gateway]
        return found

    # what is certified

    def head(self) -> SessionHead:
        """Where the session stands."""
        if self.parameters is None:
            raise MisuseError("nobody has registered", reason=Reason.WRONG_STATE)
        return SessionHead(
            registration_id=self.parameters.registration_id,
            attach=self.attach,
            state=SessionState.OPEN if self.attach else SessionState.REGISTERED,
            next_out=self.next_out,
            next_in=self.next_in,
            executed_through=self.executed_through,
            acked=self.acked,
            oldest_retained=1,
            timestamp_ns=self.timestamp_ns or self.epoch,
            expires_at_ns=self.parameters.expires_at_ns,
        )

    def _head_leaf(self) -> bytes | None:
        head = self.on_head(self.head())
        return None if head is None else head.encode()

    def proof(
        self,
        *entries: Queued,
        time_ns: int | None = None,
        subnet: Subnet = Subnet.OWN,
        canister_id: Principal | None = None,
        padding: int = 0,
    ) -> Proof:
        """Certify entries of queues, the epoch and the head.

        Args:
            entries: what the witness shows beside epoch and head.
            time_ns: of the certificate; None for now.
            subnet: whose key signs.
            canister_id: whose certified data it is shown as; None for this canister's.
            padding: bytes of another leaf that the witness shows.
        """
        messages = MerkleMap()
        for entry in entries:
            messages = messages.insert(entry.key.encode(), sha256(entry.content).digest())
        icws = MerkleMap().insert(b"epoch", encode_epoch(self.epoch))
        leaf = self._head_leaf() if self.registered is not None else None
        paths: list[tuple[bytes, ...]] = [(b"websocket", entry.key.encode()) for entry in entries]
        paths.append((b"icws", b"epoch"))
        if self.registered is not None:
            session = self.registered.session_principal.raw
            heads = MerkleMap().insert(bytes(29), b"") if leaf is None else MerkleMap().insert(session, leaf)
            icws = icws.insert(b"head", heads)
            paths.append((b"icws", b"head", session))
        tree = MerkleMap().insert(b"icws", icws).insert(b"websocket", messages)
        if padding:
            tree = tree.insert(b"padding", bytes(padding))
            paths.append((b"padding",))
        return self.proof_of(tree, paths, time_ns=time_ns, subnet=subnet, canister_id=canister_id)

    def proof_of(
        self,
        tree: MerkleMap,
        paths: Sequence[Sequence[bytes]] = ((),),
        *,
        time_ns: int | None = None,
        subnet: Subnet = Subnet.OWN,
        canister_id: Principal | None = None,
    ) -> Proof:
        """Certify any tree and show some paths of it; the other arguments are those of :meth:`proof`."""
        cert = self.forge.certificate(
            canister_id=canister_id or self.id,
            certified_data=tree.digest(),
            time_ns=self.now() if time_ns is None else time_ns,
            subnet=subnet,
        )
        return Proof(cert, encode_tree(tree.witness(paths)))

    def receipt(self, request_id: bytes, leaves: dict[str, bytes], *, time_ns: int | None = None) -> bytes:
        """A certificate of the status of a request."""
        at = self.now() if time_ns is None else time_ns
        return self.forge.receipt(
            canister_id=self.id, request_id=request_id, status=leaves, time_ns=at, subnet=Subnet.OWN
        )
