"""The base class of canisters that speak WebSocket.

Every handler runs in an execution of its own, a call of the canister to itself, so that a handler that traps undoes
what it did and nothing else: the message stays accepted, its number is consumed, and ``on_error`` is told.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Awaitable, Iterable
from dataclasses import replace
from types import MappingProxyType
from typing import Any, ClassVar, Final, Self

from icws_canister_mock.replica.canister_api import CallRejected, Canister, query, update
from icws_secure.errors import DecodeError
from icws_secure.limits import BATCH_MESSAGES, NS_PER_S
from icws_secure.session.canister import (
    OMNIA_METHODS,
    SECURE_METHODS,
    CanisterConfig,
    CanisterEvent,
    CanisterSessions,
    Deliver,
    Delivery,
    DeliveryKind,
    Outcome,
)
from icws_secure.wire import cbor
from icws_secure.wire.interface import ClientKey
from icws_secure.wire.principal import Principal

from .interface import CANDID_SERVICE, describe
from .sockets import Client, WebSockets

__all__ = ["WebSocketCanister"]

_HANDLE: Final = "icws_handle"
_ERROR: Final = "icws_error"
_RUN: Final = "icws_run"
_TICK: Final = "icws_tick"
_INTERNAL: Final = frozenset({_HANDLE, _ERROR, _RUN, _TICK})
_CANISTER_REJECT: Final = 4
_CANISTER_ERROR: Final = 5


class WebSocketCanister(Canister):
    """Override the handlers; ``self.ws`` has the clients.

    Handlers may be ``async def``. ``__init__`` and ``init`` are the kit's: set up your state in :meth:`on_init`.

    Attributes:
        candid: the class's own methods that speak Candid, as they stand in a service: ``"add : (nat) -> (nat);"``. With
            the protocol's they are published as the metadata ``candid:service``, unless ``metadata`` has its own.
        config: the settings of the class; see :meth:`configured`.
        ws: the canister's sessions. Reach it through ``self`` after every await.
    """

    candid: ClassVar[str] = ""
    config: ClassVar[CanisterConfig] = CanisterConfig()
    ws: WebSockets
    _describes_itself: ClassVar[bool] = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        methods = {name: method for name, method in cls.methods.items() if name not in OMNIA_METHODS | SECURE_METHODS}
        served = OMNIA_METHODS | SECURE_METHODS if cls.config.secure else OMNIA_METHODS
        # [ICWS-CAN-073] a canister of omnia/1 alone has no other methods: its callers are told that they do not exist
        methods.update({name: _PROTOCOL_METHODS[name] for name in sorted(served)})
        cls.methods = MappingProxyType(methods)
        if "metadata" in vars(cls):
            cls._describes_itself = CANDID_SERVICE in cls.metadata
        if not cls._describes_itself:
            cls.metadata = MappingProxyType({**cls.metadata, CANDID_SERVICE: describe(served, cls.candid)})

    @classmethod
    def configured(cls, **settings: Any) -> type[Self]:
        """The same class with other settings: ``Echo.configured(profiles=frozenset({"omnia"}))``.

        Args:
            settings: fields of :class:`~icws_secure.session.canister.CanisterConfig`.

        Raises:
            MisuseError: a value is out of its bounds.
        """
        return type(cls.__name__, (cls,), {"config": replace(cls.config, **settings), "__module__": cls.__module__})

    # Handlers ---------------------------------------------------------------------------------------------------------

    def on_init(self, arg: bytes) -> None:
        """Set up the canister's own state. ``arg`` is that of the installation."""

    def on_save(self) -> bytes:
        """Give the canister's own state for an upgrade; sessions are kept by the kit."""
        return b""

    def on_restore(self, arg: bytes, saved: bytes) -> None:
        """Set up after an upgrade, by default as at the installation.

        Args:
            arg: that of the upgrade.
            saved: what :meth:`on_save` gave.
        """
        self.on_init(arg)

    def on_open(self, client: Client) -> Awaitable[None] | None:
        """A client has opened a session. Attaching it again, through whatever gateway, is not an event."""

    def on_message(self, client: Client, data: bytes) -> Awaitable[None] | None:
        """A client has sent a message. Each is handled once, in order, and the next waits until this returns."""

    def on_close(self, client: Client, code: str) -> Awaitable[None] | None:
        """A session is over; the last that is heard of it.

        Args:
            client: whose.
            code: ``ClientClosed``, ``ApplicationClosed``, ``Expired``, ``Revoked``, ``ResumeWindow``; in ``omnia/1``
                also
                ``KeepAliveTimeout``, ``WrongSequenceNumber``, ``InvalidServiceMessage``.
        """

    def on_error(self, client: Client, error: str) -> Awaitable[None] | None:
        """A handler for ``client`` has trapped; ``error`` is the reject message."""

    def on_inspect(self, caller: Principal, method: str, arg: bytes) -> bool:
        """``inspect_message`` for the canister's own update methods."""
        return True

    def allow_register(self, owner: Principal) -> bool:
        """Whether a new owner may register although three quarters of all places are taken."""
        return False

    # The canister's life ----------------------------------------------------------------------------------------------

    def init(self, arg: bytes) -> None:
        """Set up the kit, then the canister."""
        self._set_up(b"")
        with self.ws.batch():
            self.on_init(arg)

    def pre_upgrade(self) -> bytes:
        """The sessions and what the canister saves."""
        return cbor.encode({"sessions": self.ws._sessions.to_stable(), "application": self.on_save()})

    def post_upgrade(self, arg: bytes, stable: bytes) -> None:
        """Set up the kit from what was saved, then the canister. If nothing was, the epoch is another."""
        saved: Any = {"sessions": b"", "application": b""}
        if stable:
            saved = cbor.decode(stable, what="the saved state", max_bytes=1 << 40, max_items=1 << 32)
        self._set_up(saved["sessions"])
        with self.ws.batch():
            self.on_restore(arg, saved["application"])

    def _set_up(self, saved: bytes) -> None:
        ic = self.ic
        # a first seed that is no secret; before anybody registers the kit mixes in 32 bytes that are
        seed = hashlib.sha256(b"icws seed" + ic.id.raw + ic.time_ns.to_bytes(8, "big")).digest()
        config = replace(self.config, allow_register=self.allow_register, suites=self.config.suites.for_canister(ic.id))
        sessions = CanisterSessions.from_stable(config, saved, now=ic.time_ns, seed=seed)
        self.ws = WebSockets(self, sessions)
        self.ws._seeded = bool(saved)
        # [ICWS-CAN-071] certified data and timer, before anything of the canister's own
        self.ws._changed()

    async def on_timer(self) -> None:
        """Arm the timer again, then do what is due in an execution of its own: no trap in it stops the clock."""
        # [ICWS-CAN-041]
        self.ic.set_timer_at(self.ic.time_ns + NS_PER_S)
        try:
            await self._seed()
            await self._renew_keys()
            await self.ic.call(self.ic.id, _TICK, b"")
        except CallRejected as error:
            self.ic.log(f"the timer failed: {error}")

    def inspect_message(self, caller: Principal, method: str, arg: bytes) -> bool:
        """Refuse what is not worth an execution."""
        # [ICWS-CAN-070]
        if method in OMNIA_METHODS or method in SECURE_METHODS:
            return self.ws._sessions.inspect(caller, method, len(arg))
        return method not in _INTERNAL and self.on_inspect(caller, method, arg)

    # Methods of the protocol ------------------------------------------------------------------------------------------

    @update("ws_register")
    async def _ws_register(self, arg: bytes) -> bytes:
        caller = self.ic.caller
        await self._seed()
        await self._renew_keys()
        return self._done(self.ws._sessions.register(caller, arg, self.ic.time_ns))

    @update("ws_params")
    async def _ws_params(self, arg: bytes) -> bytes:
        caller = self.ic.caller
        await self._renew_keys()
        return self._done(self.ws._sessions.params(caller, arg, self.ic.time_ns))

    @update("ws_open")
    def _ws_open(self, arg: bytes) -> bytes:
        return self._done(self.ws._sessions.open(self.ic.caller, arg, self.ic.time_ns))

    @update("ws_close")
    def _ws_close(self, arg: bytes) -> bytes:
        return self._done(self.ws._sessions.close(self.ic.caller, arg, self.ic.time_ns))

    @update("ws_message")
    async def _ws_message(self, arg: bytes) -> bytes:
        return await self._accepted(self.ws._sessions.message(self.ic.caller, arg, self.ic.time_ns))

    @update("ws_message_batch")
    async def _ws_message_batch(self, arg: bytes) -> bytes:
        return await self._accepted(self.ws._sessions.message_batch(self.ic.caller, arg, self.ic.time_ns))

    @update("ws_revoke")
    def _ws_revoke(self, arg: bytes) -> bytes:
        return self._done(self.ws._sessions.revoke(self.ic.caller, arg, self.ic.time_ns))

    @query("ws_sessions")
    def _ws_sessions(self, arg: bytes) -> bytes:
        return self.ws._sessions.sessions(self.ic.caller, arg)

    @query("ws_audit")
    def _ws_audit(self, arg: bytes) -> bytes:
        return self.ws._sessions.audit(self.ic.caller, arg, self.ic.data_certificate())

    @query("ws_get_messages")
    def _ws_get_messages(self, arg: bytes) -> bytes:
        return self.ws._sessions.get_messages(self.ic.caller, arg, self.ic.data_certificate())

    # Handing over -----------------------------------------------------------------------------------------------------

    def _done(self, outcome: Outcome) -> bytes:
        """End of a method: certify what it did and hand over what it led to."""
        self.ws._changed(outcome.events)
        return outcome.reply

    def _hand_over(self, events: Iterable[CanisterEvent]) -> None:
        for event in events:
            if isinstance(event, Deliver):
                self.ic.notify(self.ic.id, _RUN, _encode(event.client_key))

    async def _accepted(self, outcome: Outcome) -> bytes:
        """Run the handler of a message that was accepted, and answer how far it came."""
        accepted = outcome.accepted
        if accepted is None:
            return self._done(outcome)
        own = Deliver(accepted.client_key)
        self.ws._changed(event for event in outcome.events if event != own)
        return await self._run_handlers(accepted.client_key, outcome)

    async def _run_handlers(self, key: ClientKey, outcome: Outcome) -> bytes:
        """Have what waits for a session handled, one execution each, and not without end; gives the reply after it."""
        # [ICWS-CAN-034]
        for _ in range(BATCH_MESSAGES):
            # each time, since an omnia session that a handler closes is forgotten as soon as on_close has run
            outcome = replace(outcome, reply=self.ws._sessions.message_reply(outcome))
            delivery = self.ws._sessions.next_delivery(key)
            if delivery is None:
                return outcome.reply
            # [ICWS-CAN-032]
            try:
                await self.ic.call(self.ic.id, _HANDLE, _encode(key, delivery.seq))
            except CallRejected as error:
                if not _has_run(error):
                    return outcome.reply  # the timer comes back to it
                await self._trapped(key, delivery, error)
        self._hand_over([Deliver(key)])
        return self.ws._sessions.message_reply(outcome)

    async def _trapped(self, key: ClientKey, delivery: Delivery, error: CallRejected) -> None:
        """The handler's execution is undone: its number is consumed here, and the canister told."""
        outcome = self.ws._sessions.finish_delivery(key, delivery.seq, self.ic.time_ns, trapped=True)
        own = Deliver(key)
        self.ws._changed(event for event in outcome.events if event != own)
        try:
            await self.ic.call(self.ic.id, _ERROR, _encode(key, delivery.seq, error.message[:1000]))
        except CallRejected as second:
            self.ic.log(f"on_error failed: {second}")

    @update(_RUN)
    async def _icws_run(self, arg: bytes) -> bytes:
        key, *_ = self._own(arg)
        return await self._run_handlers(key, Outcome(b""))

    @update(_HANDLE)
    async def _icws_handle(self, arg: bytes) -> bytes:
        key, seq, _ = self._own(arg)
        sessions = self.ws._sessions
        client = self.ws.find(key)
        delivery = sessions.next_delivery(key)
        if delivery is None or client is None or delivery.seq != seq:
            return b""  # somebody else was faster
        sessions.take_delivery(key, self.ic.time_ns)
        with self.ws.batch():
            handling = self._handle(client, delivery)
            if not inspect.isawaitable(handling):
                self._finished(key, seq)
                return b""
        await handling
        self._finished(key, seq)
        return b""

    def _handle(self, client: Client, delivery: Delivery) -> Awaitable[None] | None:
        if delivery.kind is DeliveryKind.OPENED:
            return self.on_open(client)
        if delivery.kind is DeliveryKind.CLOSED:
            return self.on_close(client, delivery.code)
        return self.on_message(client, delivery.data)

    def _finished(self, key: ClientKey, seq: int) -> None:
        outcome = self.ws._sessions.finish_delivery(key, seq, self.ic.time_ns)
        own = Deliver(key)
        # whoever asked for this handler goes on with the session's next
        self.ws._changed(event for event in outcome.events if event != own)

    @update(_ERROR)
    async def _icws_error(self, arg: bytes) -> bytes:
        key, _, text = self._own(arg)
        client = self.ws.find(key)
        if client is not None:
            with self.ws.batch():
                handling = self.on_error(client, text)
            if inspect.isawaitable(handling):
                await handling
        return b""

    @update(_TICK)
    def _icws_tick(self, arg: bytes) -> bytes:
        self._check_own()
        self.ws._changed(self.ws._sessions.on_timer(self.ic.time_ns))
        return b""

    def _own(self, arg: bytes) -> tuple[ClientKey, int, str]:
        """The argument of a call by the canister to itself."""
        self._check_own()
        return _decode(arg)

    def _check_own(self) -> None:
        """Trap for every other caller."""
        if self.ic.caller != self.ic.id:
            self.ic.trap("this method is the canister's own")

    async def _seed(self) -> None:
        if not self.ws._seeded:
            entropy = await self.ic.raw_rand()
            self.ws._sessions.reseed(entropy)
            self.ws._seeded = True

    async def _renew_keys(self) -> None:
        """Replace and forget keys of the payload suites that have had their time."""
        # [ICWS-PAY-013]
        if self.ws._suite_keys_are_due():
            entropy = await self.ic.raw_rand()
            if self.ws._suite_keys_are_due():  # others may have been faster
                self.ws._sessions.renew_suite_keys(entropy, self.ic.time_ns)
                self.ws._changed()


_PROTOCOL_METHODS: Final = MappingProxyType(
    {name: method for name, method in WebSocketCanister.methods.items() if name in OMNIA_METHODS | SECURE_METHODS}
)


def _has_run(error: CallRejected) -> bool:
    """Whether a handler has run and failed; a canister that is stopping refuses its own calls with the same code."""
    if error.code not in (_CANISTER_REJECT, _CANISTER_ERROR):
        return False
    return "is stopping" not in error.message and "is stopped" not in error.message


def _encode(key: ClientKey, seq: int = 0, text: str = "") -> bytes:
    return cbor.encode([key.client_principal.raw, key.client_nonce, seq, text])


def _decode(arg: bytes) -> tuple[ClientKey, int, str]:
    match cbor.decode(arg, what="the canister's own argument"):
        case [bytes(principal), int(nonce), int(seq), str(text)]:
            return ClientKey(Principal(principal), nonce), seq, text
    raise DecodeError("not an argument of the canister's own")
