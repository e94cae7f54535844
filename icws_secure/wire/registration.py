"""The canister's methods for sessions, in Candid: what ``icws-secure/1`` adds to the methods of ``omnia/1``.

Register, read parameters anew, audit, revoke, list. The conventions are those of :mod:`~icws_secure.wire.interface`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from ..errors import MisuseError, Reason
from .candid import Arguments, Blob, Nat64, Null, Opt, PrincipalType, Record, Text, Variant, Vec
from .interface import REGISTRATION_ID_BYTES, check_bytes, ok_or_refusal, result_of
from .principal import Principal
from .refusal import Refusal

__all__ = [
    "Audit",
    "Parameters",
    "RegisterArgument",
    "RevokeArgument",
    "SessionInfo",
    "SessionState",
    "Suite",
    "decode_audit_argument",
    "decode_audit_result",
    "decode_params_argument",
    "decode_params_result",
    "decode_register_argument",
    "decode_register_result",
    "decode_revoke_argument",
    "decode_revoke_result",
    "decode_sessions_argument",
    "decode_sessions_result",
    "encode_audit_argument",
    "encode_audit_result",
    "encode_params_argument",
    "encode_params_result",
    "encode_register_argument",
    "encode_register_result",
    "encode_revoke_argument",
    "encode_revoke_result",
    "encode_sessions_argument",
    "encode_sessions_result",
]


# Values ---------------------------------------------------------------------------------------------------------------


class SessionState(StrEnum):
    """Where a session stands at its canister."""

    REGISTERED = "registered"
    OPEN = "open"
    DETACHED = "detached"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class RegisterArgument:
    """Argument of ``ws_register`` [R1-R4].

    Attributes:
        session_principal: of the session key, self-authenticating.
        created_at_ns: the caller's clock; revoke-all refuses what was created before.
        expires_at_ns: the end the caller wants; the canister's cap if None.
        evict: a session of the caller's to end if there are too many.
        minimum_suite: weakest payload suite the caller would take.
    """

    session_principal: Principal
    created_at_ns: int
    expires_at_ns: int | None = None
    evict: Principal | None = None
    minimum_suite: str | None = None


@dataclass(frozen=True, slots=True)
class Suite:
    """A payload suite a canister offers.

    Attributes:
        name: such as ``none``, ``hpke-x25519``, ``vetkd-bls12-381``.
        key_id: names ``public_key``.
        public_key: of the canister, in the suite's encoding.
        expires_at_ns: when the key is replaced at the latest.
    """

    name: str
    key_id: bytes | None = None
    public_key: bytes | None = None
    expires_at_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Parameters:
    """Result of ``ws_register`` and ``ws_params``: all that a session may rely on, once read from a certificate.

    Attributes:
        registration_id: 16 bytes.
        session_principal: of the session.
        owner: who registered it.
        profile: ``icws-secure/1``.
        epoch: when the canister's session state was made, ns since 1970.
        expires_at_ns: end of the session.
        ack_interval_ns: between acknowledgements of the canister.
        keep_alive_timeout_ns: after which a silent client is detached.
        resume_window_ns: how long a detached session can be resumed.
        detach_after_open_ns: after which an attach without any message of the client is detached.
        window_messages: messages the canister keeps behind a gap.
        window_bytes: bytes the canister keeps behind a gap.
        max_content_bytes: of one message.
        retained_messages: unacknowledged messages the canister keeps.
        retained_bytes: bytes of them.
        suites: payload suites offered, strongest first.
        features: options the canister has, such as ``batch``.

    Raises:
        MisuseError: ``registration_id`` has another length.
    """

    registration_id: bytes
    session_principal: Principal
    owner: Principal
    profile: str
    epoch: int
    expires_at_ns: int
    ack_interval_ns: int
    keep_alive_timeout_ns: int
    resume_window_ns: int
    detach_after_open_ns: int
    window_messages: int
    window_bytes: int
    max_content_bytes: int
    retained_messages: int
    retained_bytes: int
    suites: tuple[Suite, ...]
    features: tuple[str, ...]

    def __post_init__(self) -> None:
        check_bytes("registration_id", self.registration_id, REGISTRATION_ID_BYTES)


@dataclass(frozen=True, slots=True)
class Audit:
    """Result of ``ws_audit``.

    Attributes:
        epoch: of the canister.
        heads: for each session asked for its CBOR head (:mod:`icws_secure.wire.head`), None where there is no such
            session.
        cert: the certificate; None in answers to updates, which are certified themselves.
        tree: the witness of epoch and heads, likewise.
    """

    epoch: int
    heads: tuple[bytes | None, ...]
    cert: bytes | None = None
    tree: bytes | None = None


@dataclass(frozen=True, slots=True)
class RevokeArgument:
    """Argument of ``ws_revoke``.

    Attributes:
        session: which session; None for all of the caller's.
        created_at_ns: the caller's clock; with all, older registrations are refused from then on.
    """

    session: Principal | None
    created_at_ns: int


@dataclass(frozen=True, slots=True)
class SessionInfo:
    """One session of the caller's, in the result of ``ws_sessions``.

    Attributes:
        session_principal: names it.
        registration_id: 16 bytes.
        created_at_ns: when it was registered.
        expires_at_ns: when it ends.
        state: where it stands.
        attach: number of the newest attach, 0 before the first.
        last_seen_ns: when the session key last called.

    Raises:
        MisuseError: ``registration_id`` has another length, or ``state`` is not one of :class:`SessionState`.
    """

    session_principal: Principal
    registration_id: bytes
    created_at_ns: int
    expires_at_ns: int
    state: SessionState
    attach: int
    last_seen_ns: int

    def __post_init__(self) -> None:
        check_bytes("registration_id", self.registration_id, REGISTRATION_ID_BYTES)
        try:
            object.__setattr__(self, "state", SessionState(self.state))
        except ValueError as error:
            raise MisuseError("unknown state of a session", reason=Reason.INVALID_ARGUMENT) from error


# Candid types ---------------------------------------------------------------------------------------------------------

_REGISTER: Final = Arguments(
    Record(
        {
            "session_principal": PrincipalType,
            "created_at": Nat64,
            "expires_at": Opt(Nat64),
            "evict": Opt(PrincipalType),
            "minimum_suite": Opt(Text),
        },
        of=RegisterArgument,
    )
)
_SUITE: Final = Record({"name": Text, "key_id": Opt(Blob), "public_key": Opt(Blob), "expires_at": Opt(Nat64)}, of=Suite)
_PARAMETERS: Final = Record(
    {
        "registration_id": Blob,
        "session_principal": PrincipalType,
        "owner": PrincipalType,
        "profile": Text,
        "epoch": Nat64,
        "expires_at": Nat64,
        "ack_interval_ns": Nat64,
        "keep_alive_timeout_ns": Nat64,
        "resume_window_ns": Nat64,
        "detach_after_open_ns": Nat64,
        "window_messages": Nat64,
        "window_bytes": Nat64,
        "max_content_bytes": Nat64,
        "retained_messages": Nat64,
        "retained_bytes": Nat64,
        "suites": Vec(_SUITE),
        "features": Vec(Text),
    },
    of=Parameters,
)
_PARAMETERS_RESULT: Final = Arguments(Variant({"Ok": _PARAMETERS, "Err": Text}))
_PARAMS: Final = Arguments(Record({"registration_id": Blob}))
_AUDIT: Final = Arguments(Record({"sessions": Vec(PrincipalType)}))
_AUDIT_RESULT: Final = Arguments(
    Variant(
        {
            "Ok": Record({"epoch": Nat64, "heads": Vec(Opt(Blob)), "cert": Opt(Blob), "tree": Opt(Blob)}, of=Audit),
            "Err": Text,
        }
    )
)
_REVOKE: Final = Arguments(Record({"target": Variant({"session": PrincipalType, "all": Null}), "created_at": Nat64}))
_REVOKE_RESULT: Final = Arguments(Variant({"Ok": Nat64, "Err": Text}))
_NOTHING: Final = Arguments()
_SESSION_INFO: Final = Record(
    {
        "session_principal": PrincipalType,
        "registration_id": Blob,
        "created_at": Nat64,
        "expires_at": Nat64,
        "state": Text,
        "attach": Nat64,
        "last_seen": Nat64,
    },
    of=SessionInfo,
)
_SESSIONS_RESULT: Final = Arguments(Variant({"Ok": Vec(_SESSION_INFO), "Err": Text}))


# ws_register, ws_params -----------------------------------------------------------------------------------------------


def encode_register_argument(argument: RegisterArgument) -> bytes:
    """Argument of ``ws_register``."""
    return _REGISTER.encode(argument)


def decode_register_argument(data: bytes) -> RegisterArgument:
    """Argument of ``ws_register``."""
    argument: RegisterArgument = _REGISTER.decode(data)[0]
    return argument


def encode_register_result(result: Parameters | Refusal) -> bytes:
    """Result of ``ws_register``."""
    return _PARAMETERS_RESULT.encode(result_of(result))


def decode_register_result(data: bytes) -> Parameters | Refusal:
    """Result of ``ws_register``."""
    result: Parameters | Refusal = ok_or_refusal(_PARAMETERS_RESULT.decode(data)[0])
    return result


def encode_params_argument(registration_id: bytes) -> bytes:
    """Argument of ``ws_params``: the registration id, 16 bytes."""
    check_bytes("registration_id", registration_id, REGISTRATION_ID_BYTES)
    return _PARAMS.encode({"registration_id": registration_id})


def decode_params_argument(data: bytes) -> bytes:
    """Argument of ``ws_params``: the registration id; of any length, for the canister to compare."""
    registration_id: bytes = _PARAMS.decode(data)[0]["registration_id"]
    return registration_id


encode_params_result = encode_register_result
decode_params_result = decode_register_result


# ws_audit -------------------------------------------------------------------------------------------------------------


def encode_audit_argument(sessions: tuple[Principal, ...]) -> bytes:
    """Argument of ``ws_audit``: session principals."""
    return _AUDIT.encode({"sessions": sessions})


def decode_audit_argument(data: bytes) -> tuple[Principal, ...]:
    """Argument of ``ws_audit``: session principals."""
    sessions: tuple[Principal, ...] = _AUDIT.decode(data)[0]["sessions"]
    return sessions


def encode_audit_result(result: Audit | Refusal) -> bytes:
    """Result of ``ws_audit``."""
    return _AUDIT_RESULT.encode(result_of(result))


def decode_audit_result(data: bytes) -> Audit | Refusal:
    """Result of ``ws_audit``."""
    result: Audit | Refusal = ok_or_refusal(_AUDIT_RESULT.decode(data)[0])
    return result


# ws_revoke ------------------------------------------------------------------------------------------------------------


def encode_revoke_argument(argument: RevokeArgument) -> bytes:
    """Argument of ``ws_revoke``."""
    target: tuple[str, Any] = ("all", None) if argument.session is None else ("session", argument.session)
    return _REVOKE.encode({"target": target, "created_at": argument.created_at_ns})


def decode_revoke_argument(data: bytes) -> RevokeArgument:
    """Argument of ``ws_revoke``."""
    (argument,) = _REVOKE.decode(data)
    return RevokeArgument(session=argument["target"][1], created_at_ns=argument["created_at"])


def encode_revoke_result(result: int | Refusal) -> bytes:
    """Result of ``ws_revoke``: how many sessions have ended."""
    return _REVOKE_RESULT.encode(result_of(result))


def decode_revoke_result(data: bytes) -> int | Refusal:
    """Result of ``ws_revoke``: how many sessions have ended."""
    result: int | Refusal = ok_or_refusal(_REVOKE_RESULT.decode(data)[0])
    return result


# ws_sessions ----------------------------------------------------------------------------------------------------------


def encode_sessions_argument() -> bytes:
    """Arguments of ``ws_sessions``: none."""
    return _NOTHING.encode()


def decode_sessions_argument(data: bytes) -> None:
    """Arguments of ``ws_sessions``: none; extra ones are passed over."""
    _NOTHING.decode(data)


def encode_sessions_result(result: tuple[SessionInfo, ...] | Refusal) -> bytes:
    """Result of ``ws_sessions``: the caller's sessions."""
    return _SESSIONS_RESULT.encode(result_of(result))


def decode_sessions_result(data: bytes) -> tuple[SessionInfo, ...] | Refusal:
    """Result of ``ws_sessions``: the caller's sessions."""
    result: tuple[SessionInfo, ...] | Refusal = ok_or_refusal(_SESSIONS_RESULT.decode(data)[0])
    return result
