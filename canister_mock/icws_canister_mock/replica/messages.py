"""What travels between users, canisters and subnets, and the call contexts that answers find their way back by."""

from __future__ import annotations

from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

from icws_canister_mock.replica.rejects import Result
from icws_secure.wire.principal import Principal

__all__ = ["CallContext", "Ingress", "Message", "Request", "Response"]


@dataclass(frozen=True, slots=True)
class Ingress:
    """A user's call that was accepted.

    Attributes:
        request_id: 32 bytes.
        size: bytes of the whole envelope.
    """

    request_id: bytes
    sender: Principal
    canister: Principal
    method: str
    arg: bytes = field(repr=False)
    ingress_expiry_ns: int
    size: int


@dataclass(eq=False, slots=True)
class CallContext:
    """A call that a canister has not answered yet.

    Attributes:
        caller: who is answered.
        origin: the message that began it; None for a timer.
        cycles_available: cycles that came with it and are not accepted yet.
        coroutine: the method, where it waits for an answer of its own.
        closed: whether it was answered, or can no longer be.
    """

    caller: Principal
    origin: Ingress | Request | None
    cycles_available: int = 0
    coroutine: Coroutine[Any, Any, Any] | None = None
    closed: bool = False


@dataclass(frozen=True, slots=True)
class Request:
    """A canister's call to another.

    Attributes:
        context: the call context that waits for the answer; None if nobody does.
        cycles: taken from the sender's balance; what is not accepted goes back.
    """

    sender: Principal
    receiver: Principal
    method: str
    arg: bytes = field(repr=False)
    cycles: int
    context: CallContext | None


@dataclass(frozen=True, slots=True)
class Response:
    """The answer to a :class:`Request`.

    Attributes:
        refund: cycles that go back to the request's sender.
    """

    request: Request
    result: Result
    refund: int = field(default=0)


Message = Ingress | Request | Response
