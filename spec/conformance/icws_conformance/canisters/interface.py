"""The methods of ``icws.did`` as the suite writes their arguments and reads their answers, and the known names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from icws_conformance.canisters.candid import BLOB, CandidError, Case, Type, decode, encode, opt, record, variant, vec
from icws_conformance.canisters.ic import Answer
from icws_conformance.case import Failed

__all__ = [
    "ARGUMENT_NAMES",
    "CLIENT_KEY",
    "CODES",
    "HEAD",
    "MESSAGE",
    "MESSAGE_FIELDS",
    "NAMED_CODES",
    "NAMES",
    "OMNIA_SERVICE",
    "PARAMETERS",
    "SECURE",
    "SERVICE",
    "Status",
    "Told",
    "audit_arg",
    "close_arg",
    "message_arg",
    "nonce_arg",
    "open_arg",
    "params_arg",
    "read",
    "register_arg",
    "revoke_arg",
    "service",
]


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


CODES: Final = frozenset(
    _words("""
    AnonymousCaller CallerNotAllowed InvalidSessionPrincipal SessionPrincipalBound TooManySessions RegistrationFull
    RegistrationTooOld RecentlyRevoked Expired NotRegistered WrongRegistration SecureFieldsMissing StaleAttach ResumeGap
    InvalidGatewayPrincipal UnknownSuite SuiteTooWeak UnknownKey UnsealedContent WrongClientKey AlreadyOpen NotOpen
    Detached SequenceConflict Stale OutOfWindow ContentTooLarge InvalidServiceMessage AckOutOfRange NotYourGateway
    NotYourSession RetentionFull TooMany NoDataCertificate MalformedArgument Closed CycleFloor Budget NotMember
    StaleRoomEpoch
    """)
)
"""The closed list of refusals, section 14.4."""

NAMED_CODES: Final = frozenset(
    _words("TooManySessions SecureFieldsMissing StaleAttach ResumeGap SequenceConflict Stale UnknownKey")
)
"""Refusals that requirements name, and that peers act on; which of the others is given is the canister's choice."""

NAMES: Final = _words("""
    Ok Err client_principal client_nonce client_key sequence_num timestamp is_service_message content accepted_through
    executed_through status key messages cert tree is_end_of_queue OpenMessage AckMessage KeepAliveMessage CloseMessage
    AttachMessage SkipMessage last_incoming_sequence_num reason code WrongSequenceNumber InvalidServiceMessage
    KeepAliveTimeout ClosedByApplication registration_id attach epoch resume_from next_in next_out oldest_retained
    open_hash name key_id public_key expires_at session_principal owner profile ack_interval_ns keep_alive_timeout_ns
    resume_window_ns detach_after_open_ns window_messages window_bytes max_content_bytes retained_messages
    retained_bytes suites features created_at state last_seen heads
""")
"""Names of fields and cases that answers may have."""

ARGUMENT_NAMES: Final = _words("""
    msg msgs nonce gateway_principal secure suite enc evict minimum_suite sessions target session all later padding
""")
"""Further names that arguments have."""

PARAMETERS: Final = _words("""
    registration_id session_principal owner profile epoch expires_at ack_interval_ns keep_alive_timeout_ns
    resume_window_ns detach_after_open_ns window_messages window_bytes max_content_bytes retained_messages
    retained_bytes suites features
""")
"""The fields of the certified parameters."""

HEAD: Final = _words("""
    registration_id attach state next_out next_in executed_through acked oldest_retained timestamp expires_at
""")
"""The fields that every certified head has, section 14.3."""

CLIENT_KEY: Final = record(client_principal="principal", client_nonce="nat64")
MESSAGE_FIELDS: Final[Mapping[str, Type]] = {
    "client_key": CLIENT_KEY,
    "sequence_num": "nat64",
    "timestamp": "nat64",
    "is_service_message": "bool",
    "content": BLOB,
}
MESSAGE: Final = record(**MESSAGE_FIELDS)
SECURE: Final = record(
    registration_id=BLOB, attach="nat64", resume_from="nat64", suite="text", key_id=opt(BLOB), enc=opt(BLOB)
)
_REASON: Final = variant(
    WrongSequenceNumber="null", InvalidServiceMessage="null", KeepAliveTimeout="null", ClosedByApplication="null"
)
_COUNT: Final = record(last_incoming_sequence_num="nat64")
OMNIA_SERVICE: Final = variant(
    OpenMessage=record(client_key=CLIENT_KEY),
    AckMessage=_COUNT,
    KeepAliveMessage=_COUNT,
    CloseMessage=record(reason=_REASON),
)
"""The type of service messages that peers of ``omnia/1`` can read."""
SERVICE: Final = variant(
    OpenMessage=record(client_key=CLIENT_KEY),
    AckMessage=_COUNT,
    KeepAliveMessage=_COUNT,
    CloseMessage=record(reason=_REASON, code=opt("text")),
    SkipMessage="null",
)
_REFUSAL: Final = re.compile(r"([A-Za-z]+): \S.*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Status:
    """How far a message is, as the canister told it.

    Attributes:
        accepted: accepted through this number.
        executed: executed through this number.
        state: what has become of the message.
    """

    accepted: int
    executed: int
    state: str


@dataclass(frozen=True, slots=True)
class Told:
    """What a method answered.

    Attributes:
        ok: whether it was ``Ok``.
        value: what ``Ok`` held.
        code: of a refusal; empty where the text has none.
        text: of a refusal, or of a rejection.
        early: whether one node refused it, before any execution.
        trapped: whether the execution was rejected.
        status: the second result of a message.
        types: the types that the answer came with.
        time_ns: of the certificate; 0 for queries.
    """

    ok: bool
    value: Any = None
    code: str = ""
    text: str = ""
    early: bool = False
    trapped: bool = False
    status: Status | None = None
    types: tuple[Type, ...] = ()
    time_ns: int = 0

    def __str__(self) -> str:
        if self.ok:
            return "Ok"
        kind = "refused by the node" if self.early else "rejected" if self.trapped else "Err"
        return f"{kind} {self.text!r}"


def read(answer: Answer, method: str, *, update: bool) -> Told:
    """What an answer says.

    Raises:
        Failed: it is no ``variant { Ok; Err }`` in Candid.
    """
    if answer.arg is None:
        early = update and not answer.certified
        return Told(False, text=answer.rejected, early=early, trapped=not early, time_ns=answer.time_ns)
    try:
        values, types = decode(answer.arg, NAMES)
    except CandidError as error:
        raise Failed(f"the answer of {method} cannot be read: {error}") from error
    match values:
        case [Case("Ok", value), *more]:
            return Told(True, value, status=_status(more), types=tuple(types), time_ns=answer.time_ns)
        case [Case("Err", str(text)), *_]:
            found = _REFUSAL.fullmatch(text)
            code = found[1] if found is not None else ""
            return Told(False, code=code, text=text, types=tuple(types), time_ns=answer.time_ns)
    raise Failed(f"the answer of {method} is neither Ok nor Err")


def _status(values: list[Any]) -> Status | None:
    match values:
        case [{"accepted_through": int(accepted), "executed_through": int(executed), "status": str(state)}, *_]:
            return Status(accepted, executed, state)
    return None


# Arguments ------------------------------------------------------------------------------------------------------------


def register_arg(
    session: bytes, created_at_ns: int, expires_at_ns: int | None, evict: bytes | None, minimum: str | None
) -> bytes:
    """Of ``ws_register``."""
    kind = record(
        session_principal="principal",
        created_at="nat64",
        expires_at=opt("nat64"),
        evict=opt("principal"),
        minimum_suite=opt("text"),
    )
    value = {
        "session_principal": session,
        "created_at": created_at_ns,
        "expires_at": expires_at_ns,
        "evict": evict,
        "minimum_suite": minimum,
    }
    return encode((kind, value))


def open_arg(client_nonce: int, gateway: bytes, secure: Mapping[str, Any] | None) -> bytes:
    """Of ``ws_open``; without ``secure`` as clients of ``omnia/1`` send it."""
    value: dict[str, Any] = {"client_nonce": client_nonce, "gateway_principal": gateway}
    if secure is None:
        return encode((record(client_nonce="nat64", gateway_principal="principal"), value))
    kind = record(client_nonce="nat64", gateway_principal="principal", secure=opt(SECURE))
    return encode((kind, value | {"secure": dict(secure)}))


def message_arg(message: Mapping[str, Any]) -> bytes:
    """Of ``ws_message``, with the null that deployed clients send."""
    return encode((record(msg=MESSAGE), {"msg": dict(message)}), (opt(BLOB), None))


def close_arg(client: Mapping[str, Any], attach: int | None) -> bytes:
    """Of ``ws_close``; without ``attach`` as deployed gateways send it."""
    if attach is None:
        return encode((record(client_key=CLIENT_KEY), {"client_key": client}))
    return encode((record(client_key=CLIENT_KEY, attach=opt("nat64")), {"client_key": client, "attach": attach}))


def nonce_arg(nonce: int) -> bytes:
    """Of ``ws_get_messages``."""
    return encode((record(nonce="nat64"), {"nonce": nonce}))


def params_arg(registration_id: bytes) -> bytes:
    """Of ``ws_params``."""
    return encode((record(registration_id=BLOB), {"registration_id": registration_id}))


def audit_arg(sessions: list[bytes]) -> bytes:
    """Of ``ws_audit``."""
    return encode((record(sessions=vec("principal")), {"sessions": sessions}))


def revoke_arg(session: bytes | None, created_at_ns: int) -> bytes:
    """Of ``ws_revoke``; of all sessions for None."""
    kind = record(target=variant(session="principal", all="null"), created_at="nat64")
    target = Case("all") if session is None else Case("session", session)
    return encode((kind, {"target": target, "created_at": created_at_ns}))


def service(name: str, value: Any = None) -> bytes:
    """The content of a service message."""
    known = name in OMNIA_SERVICE[1] and not (isinstance(value, dict) and "code" in value)
    return encode((OMNIA_SERVICE if known else SERVICE, Case(name, value)))
