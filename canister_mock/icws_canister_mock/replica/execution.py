"""Runs a canister's code, one execution at a time: whole or not at all.

An execution is a method call up to its end or its first await, or the stretch between two awaits. A checkpoint is
taken before it; an exception in it is a trap, after which the canister is as the checkpoint says and nothing was sent.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from icws_canister_mock.replica.canister_api import Canister, CanisterReject, CanisterTrap, Method
from icws_canister_mock.replica.limits import MAX_QUERY_REPLY_BYTES, MAX_UPDATE_REPLY_BYTES
from icws_canister_mock.replica.messages import CallContext, Request
from icws_canister_mock.replica.rejects import ErrorCode, Rejected, Replied, Result
from icws_canister_mock.replica.slot import Slot, Status
from icws_canister_mock.replica.system_api import ContractViolation, Mode, Suspension, SystemApi
from icws_secure.wire.principal import Principal

__all__ = ["Outcome", "fire_timer", "inspect_message", "refusal", "resume", "run_query", "set_up", "start"]

_R = TypeVar("_R")
_log: Final = logging.getLogger("icws.replica.canister")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an execution left behind.

    Attributes:
        result: the call's result; None while it waits for answers of its own.
        requests: calls to send, in order.
    """

    result: Result | None
    requests: list[Request] = field(default_factory=list)


def refusal(slot: Slot | None, canister: Principal) -> Rejected | None:
    """Why a canister takes no new call, whatever the method; None if it does."""
    if slot is None:
        return Rejected(ErrorCode.CANISTER_NOT_FOUND, f"Canister {canister} not found")
    if slot.status is Status.STOPPED:
        return Rejected(ErrorCode.STOPPED, f"Canister {canister} is stopped")
    if slot.status is Status.STOPPING:
        return Rejected(ErrorCode.STOPPING, f"Canister {canister} is stopping")
    if slot.canister is None:
        return Rejected(ErrorCode.NO_MODULE, f"Canister {canister} has no code")
    return None


def start(slot: Slot, context: CallContext, name: str, arg: bytes, time_ns: int) -> Outcome:
    """Begin a call of a method as an update. Query methods may be called so too; they keep nothing then either."""
    canister = _installed(slot)
    method = canister.methods.get(name)
    if method is None:
        return Outcome(_method_not_found(slot, "update", name))
    if method.kind == "query":
        # without a certificate: this is consensus, and nobody knows yet what will be certified
        api = SystemApi(slot, mode=Mode.QUERY, time_ns=time_ns, context=context)
        return Outcome(_query(slot, canister, method, arg, api))
    return _execute(slot, canister, context, time_ns, lambda: getattr(canister, method.attribute)(arg))


def resume(slot: Slot, context: CallContext, result: Result, time_ns: int) -> Outcome:
    """Go on with a call after the answer it waits for has come."""
    canister = _installed(slot)
    return _execute(slot, canister, context, time_ns, lambda: _Waiting, result)


def fire_timer(slot: Slot, context: CallContext, time_ns: int) -> Outcome:
    """Run the timer's handler. The timer is disarmed before, and stays so if the handler traps."""
    canister = _installed(slot)
    slot.timer_ns = None
    return _execute(slot, canister, context, time_ns, canister.on_timer)


def set_up(slot: Slot, run: Callable[[], _R], time_ns: int) -> _R:
    """Run ``init``, ``pre_upgrade`` or ``post_upgrade``; what they raise goes to the caller, who undoes it all."""
    api = _api(slot)
    api.begin(Mode.SET_UP, time_ns, None)
    try:
        return run()
    finally:
        api.begin(Mode.IDLE, time_ns, None)


def run_query(
    slot: Slot, caller: Principal, name: str, arg: bytes, time_ns: int, certificate: Callable[[], bytes]
) -> Result:
    """Answer a query call on a copy of the canister."""
    canister = _installed(slot)
    method = canister.methods.get(name)
    if method is None or method.kind != "query":
        return _method_not_found(slot, "query", name)
    api = SystemApi(slot, mode=Mode.QUERY, time_ns=time_ns, context=CallContext(caller, None), certificate=certificate)
    return _query(slot, canister, method, arg, api)


def inspect_message(slot: Slot, caller: Principal, name: str, arg: bytes, time_ns: int) -> Rejected | None:
    """Ask the canister whether it takes a user's call; None if it does."""
    canister = _installed(slot)
    if type(canister).inspect_message is Canister.inspect_message:
        return None  # the default accepts: no copy is needed to know that
    api = SystemApi(slot, mode=Mode.INSPECT, time_ns=time_ns, context=CallContext(caller, None))
    try:
        accepted = canister.query_view(api).inspect_message(caller, name, arg)
    except Exception as error:  # noqa: BLE001 - whatever the canister raises is its trap, and never the replica's
        return _trapped(slot, error)
    if accepted:
        return None
    return Rejected(ErrorCode.REJECTED_BY_CANISTER, f"Canister {slot.id} rejected the message")


class _Waiting:
    """Stands for a call that did not end in this execution."""


def _execute(
    slot: Slot,
    canister: Canister,
    context: CallContext,
    time_ns: int,
    run: Callable[[], Any],
    answer: Result | None = None,
) -> Outcome:
    try:
        checkpoint = slot.checkpoint(canister)
    except Exception as error:  # noqa: BLE001 - a state that cannot be copied is the canister's fault
        return Outcome(_trapped(slot, error))
    available = context.cycles_available
    api = _api(slot)
    api.begin(Mode.UPDATE, time_ns, context)
    try:
        value = run()
        if inspect.iscoroutine(value):
            context.coroutine = value
            value = _Waiting
        if value is _Waiting:
            value = _advance(context, api, answer)
        result = None if value is _Waiting else _reply(context, value)
    except CanisterReject as reject:
        result = Rejected(ErrorCode.REJECTED_BY_CANISTER, str(reject))
    except Exception as error:  # noqa: BLE001 - whatever the canister raises is its trap, and never the replica's
        slot.roll_back(canister, checkpoint)
        context.cycles_available = available
        api.requests = []
        result = _trapped(slot, error)
    requests = api.requests
    api.begin(Mode.IDLE, time_ns, None)
    return Outcome(result, requests)


def _advance(context: CallContext, api: SystemApi, answer: Result | None) -> Any:
    """Run the coroutine up to its next await or its end."""
    coroutine = context.coroutine
    if coroutine is None:
        raise ContractViolation("an answer came for a call that does not wait")
    try:
        waits_for = coroutine.send(answer)
    except StopIteration as stop:
        context.coroutine = None
        return stop.value
    if not isinstance(waits_for, Suspension):
        coroutine.close()
        raise ContractViolation("a canister can await calls of its own, nothing else")
    api.requests.append(waits_for.request)
    return _Waiting


def _reply(context: CallContext, value: Any) -> Result:
    if context.origin is None:
        return Replied(b"")  # a timer answers nobody
    if value is None:
        return Rejected(ErrorCode.DID_NOT_REPLY, "the method ended without a reply")
    return Replied(_checked_reply(value, MAX_UPDATE_REPLY_BYTES))


def _query(slot: Slot, canister: Canister, method: Method, arg: bytes, api: SystemApi) -> Result:
    try:
        view = canister.query_view(api)
        return Replied(_checked_reply(getattr(view, method.attribute)(arg), MAX_QUERY_REPLY_BYTES))
    except CanisterReject as reject:
        return Rejected(ErrorCode.REJECTED_BY_CANISTER, str(reject))
    except Exception as error:  # noqa: BLE001 - whatever the canister raises is its trap, and never the replica's
        return _trapped(slot, error)


def _checked_reply(value: Any, limit: int) -> bytes:
    if not isinstance(value, (bytes, bytearray, memoryview)):
        raise ContractViolation(f"a reply is bytes, this is {type(value).__name__}")
    reply = bytes(value)
    if len(reply) > limit:
        raise ContractViolation(f"a reply of {len(reply)} bytes, the limit is {limit}")
    return reply


def _trapped(slot: Slot, error: Exception) -> Rejected:
    if isinstance(error, CanisterTrap):
        _log.info("%s trapped: %s", slot.id, error)
    if isinstance(error, ContractViolation):
        return Rejected(ErrorCode.CONTRACT_VIOLATION, f"Canister {slot.id} violated its contract: {error}")
    if isinstance(error, CanisterTrap):
        return Rejected(ErrorCode.TRAPPED_EXPLICITLY, f"Canister {slot.id} trapped explicitly: {error}")
    _log.warning("%s trapped", slot.id, exc_info=error)
    return Rejected(ErrorCode.TRAPPED, f"Canister {slot.id} trapped: {type(error).__name__}: {error}")


def _method_not_found(slot: Slot, kind: str, name: str) -> Rejected:
    return Rejected(ErrorCode.METHOD_NOT_FOUND, f"Canister {slot.id} has no {kind} method {name!r}")


def _installed(slot: Slot) -> Canister:
    if slot.canister is None:
        raise ContractViolation("nothing is installed")
    return slot.canister


def _api(slot: Slot) -> SystemApi:
    api = _installed(slot).ic
    if not isinstance(api, SystemApi):
        raise ContractViolation("the canister has replaced its system interface")
    return api
