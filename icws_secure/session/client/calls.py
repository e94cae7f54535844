"""Requests to the IC's HTTPS interface: endpoints, retries, and the life of an update call.

An update call is *posted*, or only *asked* about when somebody else (a gateway) was to post it. Either way it ends in
exactly one outcome:

* :class:`Answered`: a verified receipt, replied or rejected;
* :class:`Missing`: a certificate proves that the IC does not know the call;
* :class:`Unanswered`: nothing was proven before the time was over, or a node refused the call.

Newest endpoints first; where an IC does not have them, the older ones are taken for the rest of the session.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Generic, Literal, TypeVar

from ...errors import (
    CanisterRejected,
    CertificateError,
    DecodeError,
    IcwsError,
    ProtocolViolation,
    Reason,
    StallError,
    TransportError,
)
from ...limits import NS_PER_MS, NS_PER_S
from ...sign.identity import Identity
from ...sign.request import sign_read_state
from ...verify.certificate import CertificateVerifier
from ...verify.receipt import VerifiedReceipt, verify_receipt
from ...verify.request_status import (
    AbsentStatus,
    Done,
    Rejected,
    Replied,
    read_request_status,
)
from ...wire.envelope import Envelope
from ...wire.http import (
    CallAccepted,
    CallCertificate,
    QueryResponse,
    call_path,
    parse_call_response,
    parse_query_response,
    parse_read_state_response,
    query_path,
    read_state_path,
)
from ...wire.principal import Principal
from .actions import HttpRequest
from .clock import SessionClock

__all__ = ["Answered", "IcCalls", "Missing", "Outcome", "QueryAnswered", "QueryFailed", "Unanswered"]

_NO_ENDPOINT: Final = frozenset({404, 405, 501})
_TRY_AGAIN: Final = frozenset({429})
_POLL_NS: Final = (500 * NS_PER_MS, 700 * NS_PER_MS, 1 * NS_PER_S, 2 * NS_PER_S)
_READ_STATE_TTL_NS: Final = 120 * NS_PER_S
_GRACE_NS: Final = 60 * NS_PER_S  # after its expiry a call may still be asked about, to see that it never ran
_MAX_FAILURES: Final = 6  # answers that were unusable, in a row, before an asked call is given up

Purpose = TypeVar("Purpose")


@dataclass(frozen=True, slots=True)
class Answered(Generic[Purpose]):
    """A call has a verified receipt.

    Attributes:
        purpose: what the call was for.
        receipt: the certified answer.
        asked_at: IC time at which the call was first posted, by the local clock.
        answered_at: and at which the answer arrived.
    """

    purpose: Purpose
    receipt: VerifiedReceipt
    asked_at: int
    answered_at: int


@dataclass(frozen=True, slots=True)
class Missing(Generic[Purpose]):
    """The IC did not know the call at a certified time.

    Attributes:
        purpose: what the call was for.
        request_id: of the call.
        certificate_time_ns: when it was absent; fresh.
        expires_ns: ingress expiry of the call; after it, absence is final.
    """

    purpose: Purpose
    request_id: bytes
    certificate_time_ns: int
    expires_ns: int


@dataclass(frozen=True, slots=True)
class Unanswered(Generic[Purpose]):
    """Nothing was proven about a call."""

    purpose: Purpose
    request_id: bytes
    error: IcwsError


@dataclass(frozen=True, slots=True)
class QueryAnswered(Generic[Purpose]):
    """A query has an answer, which proves nothing by itself."""

    purpose: Purpose
    response: QueryResponse
    asked_at: int


@dataclass(frozen=True, slots=True)
class QueryFailed(Generic[Purpose]):
    """A query has no answer."""

    purpose: Purpose
    error: IcwsError


Outcome = Answered[Purpose] | Missing[Purpose] | Unanswered[Purpose] | QueryAnswered[Purpose] | QueryFailed[Purpose]
"""How a request ends."""


@dataclass(slots=True)
class _Call(Generic[Purpose]):
    purpose: Purpose
    identity: Identity
    request_id: bytes
    expires_ns: int
    asked_at: int
    give_up_at: int
    to_post: bytes | None = field(default=None, repr=False)  # the envelope, until it is posted or has expired
    posted: bool = False
    strict: bool = False
    next_at: int | None = 0
    polls: int = 0
    failures: int = 0
    error: IcwsError | None = None


@dataclass(slots=True)
class _Exchange(Generic[Purpose]):
    kind: Literal["call", "read_state", "query"]
    version: int
    call: _Call[Purpose] | None = None
    purpose: Purpose | None = None
    body: bytes = field(default=b"", repr=False)
    asked_at: int = 0


class IcCalls(Generic[Purpose]):
    """All requests of one session to the IC.

    Args:
        canister_id: the canister that is called; its id is the effective one of every request.
        verifier: verifies what comes back.
        clock: the session's clock.
        act: takes the requests to be sent.
        timeout_ns: time for one HTTP request.
    """

    def __init__(
        self,
        canister_id: Principal,
        *,
        verifier: CertificateVerifier,
        clock: SessionClock,
        act: Callable[[HttpRequest], None],
        timeout_ns: int,
    ) -> None:
        self._canister_id = canister_id
        self._verifier = verifier
        self._clock = clock
        self._act = act
        self._timeout_ns = timeout_ns
        self._versions = {"call": 4, "read_state": 3, "query": 3}
        self._calls: dict[bytes, _Call[Purpose]] = {}
        self._exchanges: dict[int, _Exchange[Purpose]] = {}
        self._last_id = 0
        self.last_error: IcwsError | None = None
        """The last thing that went wrong with a call."""

    # requests

    def post(self, purpose: Purpose, identity: Identity, envelope: Envelope, *, strict: bool = False) -> None:
        """Post an update call and follow it to its end.

        Args:
            purpose: comes back with the outcome.
            identity: signs the questions about its status; the sender of ``envelope``.
            envelope: the call.
            strict: an answer that does not verify, or that no certificate covers, ends the call at once.
        """
        give_up_at = self._clock.now + max(0, envelope.content.ingress_expiry_ns - self._clock.ic) + _GRACE_NS
        content = envelope.content
        call = _Call(purpose, identity, content.request_id, content.ingress_expiry_ns, self._clock.ic, give_up_at)
        call.to_post, call.posted, call.strict = envelope.encode(), True, strict
        self._calls[call.request_id] = call
        self._send(call)

    def ask(self, purpose: Purpose, identity: Identity, request_id: bytes, *, expires_ns: int, limit_ns: int) -> None:
        """Ask what became of a call that somebody else was to post; nothing is posted.

        Args:
            purpose: comes back with the outcome.
            identity: the sender of the call.
            request_id: of the call.
            expires_ns: its ingress expiry.
            limit_ns: how long to keep asking while the IC knows the call but has no answer.
        """
        if request_id in self._calls:
            return
        call = _Call(purpose, identity, request_id, expires_ns, self._clock.ic, self._clock.now + limit_ns)
        self._calls[request_id] = call
        self._send(call)

    def query(self, purpose: Purpose, envelope: Envelope) -> None:
        """Send a query once; the caller decides about trying again."""
        self._send_query(purpose, envelope.encode(), self._clock.ic)

    def is_open(self, request_id: bytes) -> bool:
        """Whether that call is being followed."""
        return request_id in self._calls

    def drop(self, request_id: bytes) -> None:
        """Stop following a call; it has no outcome."""
        self._calls.pop(request_id, None)

    def drop_all(self) -> None:
        """Stop following everything."""
        self._calls.clear()
        self._exchanges.clear()

    # answers

    def responded(self, http_id: int, status: int, body: bytes) -> Outcome[Purpose] | None:
        """Take the answer to an HTTP request; returns the outcome if this was the end."""
        exchange = self._exchanges.pop(http_id, None)
        if exchange is None:
            return None
        if status in _NO_ENDPOINT and self._downgrade(exchange):
            return None
        if exchange.kind == "query":
            return self._query_responded(exchange, status, body)
        call = exchange.call
        if call is None or not self._is_followed(call):
            return None
        try:
            if exchange.kind == "call":
                return self._posted(call, status, body)
            return self._asked(call, status, body)
        except TransportError as error:
            return self._failed(call, error, retry=status >= 500 or status in _TRY_AGAIN)
        except ProtocolViolation as error:
            return self._failed(call, error, retry=not call.strict)

    def failed(self, http_id: int, error: TransportError) -> Outcome[Purpose] | None:
        """Take note that an HTTP request has no answer."""
        exchange = self._exchanges.pop(http_id, None)
        if exchange is None:
            return None
        if exchange.kind == "query":
            return None if exchange.purpose is None else QueryFailed(exchange.purpose, error)
        if exchange.call is None or not self._is_followed(exchange.call):
            return None
        return self._failed(exchange.call, error, retry=True)

    def tick(self, now: int) -> list[Outcome[Purpose]]:
        """Send what is due, and give up what is over."""
        outcomes: list[Outcome[Purpose]] = []
        for call in list(self._calls.values()):
            if now >= call.give_up_at:
                outcomes.append(self._unanswered(call))
            elif call.next_at is not None and now >= call.next_at:
                self._send(call)
        return outcomes

    def next_deadline(self) -> int | None:
        """Session time at which :meth:`tick` is due."""
        times = [call.give_up_at for call in self._calls.values()]
        times += [call.next_at for call in self._calls.values() if call.next_at is not None]
        return min(times, default=None)

    # inside

    def _is_followed(self, call: _Call[Purpose]) -> bool:
        """Whether an answer about ``call`` is wanted. It was perhaps dropped, and is followed anew for another purpose:
        an answer of before would end that, and reach nobody."""
        return self._calls.get(call.request_id) is call

    def _posted(self, call: _Call[Purpose], status: int, body: bytes) -> Outcome[Purpose] | None:
        response = parse_call_response(status, body)
        if isinstance(response, CallAccepted):
            self._poll_later(call)
            return None
        if isinstance(response, CallCertificate):
            return self._certificate(call, response.certificate)
        # One node's word: it ends this attempt, and proves nothing.
        del self._calls[call.request_id]
        error = CanisterRejected(
            response.reject_message[:200],
            reject_code=response.reject_code,
            error_code=response.error_code,
            certified=False,
            reason=Reason.NOT_CERTIFIED,
        )
        return Unanswered(call.purpose, call.request_id, error)

    def _asked(self, call: _Call[Purpose], status: int, body: bytes) -> Outcome[Purpose] | None:
        return self._certificate(call, parse_read_state_response(status, body))

    def _certificate(self, call: _Call[Purpose], certificate: bytes) -> Outcome[Purpose] | None:
        verified = self._verifier.verify_ignoring_age(certificate, canister_id=self._canister_id)
        status = read_request_status(verified, call.request_id)
        if isinstance(status, Replied | Rejected):
            receipt = verify_receipt(
                certificate, verifier=self._verifier, canister_id=self._canister_id, request_id=call.request_id
            )
            del self._calls[call.request_id]
            return Answered(call.purpose, receipt, call.asked_at, self._clock.ic)
        if isinstance(status, Done):
            del self._calls[call.request_id]
            return Unanswered(call.purpose, call.request_id, _outcome_lost())
        if isinstance(status, AbsentStatus):
            # An old certificate proves nothing about now.
            verified.require_fresh(self._verifier.policy, self._clock.ic)
            if verified.time_ns > call.expires_ns or (not call.posted and verified.time_ns > call.asked_at - NS_PER_S):
                del self._calls[call.request_id]
                return Missing(call.purpose, call.request_id, verified.time_ns, call.expires_ns)
        call.failures = 0
        self._poll_later(call)
        return None

    def _failed(self, call: _Call[Purpose], error: IcwsError, *, retry: bool) -> Outcome[Purpose] | None:
        call.error = self.last_error = error
        call.failures += 1
        if not retry or (not call.posted and call.failures >= _MAX_FAILURES):
            return self._unanswered(call)
        if self._clock.ic >= call.expires_ns:
            call.to_post = None
        call.next_at = self._clock.now + _POLL_NS[min(call.failures, len(_POLL_NS)) - 1]
        return None

    def _unanswered(self, call: _Call[Purpose]) -> Outcome[Purpose]:
        del self._calls[call.request_id]
        error = call.error or StallError("the IC did not answer the call in time", reason=Reason.OUTCOME_UNKNOWN)
        return Unanswered(call.purpose, call.request_id, error)

    def _poll_later(self, call: _Call[Purpose]) -> None:
        call.to_post = None
        call.next_at = self._clock.now + _POLL_NS[min(call.polls, len(_POLL_NS) - 1)]
        call.polls += 1

    def _send(self, call: _Call[Purpose]) -> None:
        call.next_at = None
        if call.to_post is not None:
            self._exchange(_Exchange("call", self._versions["call"], call), call.to_post)
            return
        question = sign_read_state(
            call.identity,
            paths=[[b"request_status", call.request_id]],
            ingress_expiry_ns=self._clock.ic + _READ_STATE_TTL_NS,
        )
        self._exchange(_Exchange("read_state", self._versions["read_state"], call), question.encode())

    def _send_query(self, purpose: Purpose, body: bytes, asked_at: int) -> None:
        exchange = _Exchange("query", self._versions["query"], None, purpose, body, asked_at)
        self._exchange(exchange, body)

    def _exchange(self, exchange: _Exchange[Purpose], body: bytes) -> None:
        self._last_id += 1
        self._exchanges[self._last_id] = exchange
        self._act(HttpRequest(self._last_id, "POST", self._path(exchange), body, self._timeout_ns))

    def _path(self, exchange: _Exchange[Purpose]) -> str:
        version = exchange.version
        if exchange.kind == "call":
            return call_path(self._canister_id, 4 if version == 4 else 3 if version == 3 else 2)
        path = query_path if exchange.kind == "query" else read_state_path
        return path(self._canister_id, 3 if version == 3 else 2)

    def _downgrade(self, exchange: _Exchange[Purpose]) -> bool:
        """Repeat a request at the next older endpoint, if there is one."""
        if exchange.version <= 2:
            return False
        self._versions[exchange.kind] = min(self._versions[exchange.kind], exchange.version - 1)
        if exchange.kind == "query" and exchange.purpose is not None:
            self._send_query(exchange.purpose, exchange.body, exchange.asked_at)
        elif exchange.call is not None and self._is_followed(exchange.call):
            self._send(exchange.call)
        return True

    def _query_responded(self, exchange: _Exchange[Purpose], status: int, body: bytes) -> Outcome[Purpose] | None:
        if exchange.purpose is None:
            return None
        try:
            return QueryAnswered(exchange.purpose, parse_query_response(status, body), exchange.asked_at)
        except (TransportError, DecodeError, CertificateError) as error:
            return QueryFailed(exchange.purpose, error)


def _outcome_lost() -> StallError:
    return StallError("the IC no longer keeps the outcome of the call", reason=Reason.OUTCOME_UNKNOWN)
