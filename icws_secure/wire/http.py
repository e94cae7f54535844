"""The HTTPS interface of the Internet Computer, without HTTP: paths to ask, and answers to read.

Nothing in an answer is certified but the certificates that it may hold; those are returned as bytes for the
verifier. A status other than success becomes :class:`~icws_secure.errors.TransportError`. Source: IC interface
specification, "HTTPS interface".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias, cast

from ..errors import DecodeError, MisuseError, Reason, TransportError
from ..limits import MAX_CERTIFICATE_BYTES, MAX_NODE_SIGNATURES, MAX_REPLY_BYTES
from . import cbor
from .principal import Principal

__all__ = [
    "CONTENT_TYPE",
    "STATUS_PATH",
    "CallAccepted",
    "CallCertificate",
    "CallRejected",
    "CallResponse",
    "NodeSignature",
    "QueryRejected",
    "QueryReplied",
    "QueryResponse",
    "ReplicaStatus",
    "call_path",
    "parse_call_response",
    "parse_query_response",
    "parse_read_state_response",
    "parse_status_response",
    "query_path",
    "read_state_path",
    "subnet_read_state_path",
]

CONTENT_TYPE: Final = "application/cbor"
"""The content type of every request and of every successful answer."""

STATUS_PATH: Final = "/api/v2/status"
"""Where a replica tells its version and, if it is for development, its root key."""

_OK: Final = 200
_ACCEPTED: Final = 202
_DETAIL_CHARACTERS: Final = 200  # of the text of an HTTP error that go into ours
_OVERHEAD: Final = 64 << 10  # bytes around the reply or certificate of an answer
_REJECT_CODES: Final = range(1, 7)
_REJECT: Final[dict[str, type]] = {"reject_code": int, "reject_message": str}
_ERROR_CODE: Final[dict[str, type]] = {"error_code": str}


@dataclass(frozen=True, slots=True)
class CallAccepted:
    """The call was taken, its outcome is not known yet: ask with ``read_state``."""


@dataclass(frozen=True, slots=True)
class CallCertificate:
    """The call has a status.

    Attributes:
        certificate: an encoded certificate, in which the status is to be looked up; it need not be ``replied``.
    """

    certificate: bytes


@dataclass(frozen=True, slots=True)
class CallRejected:
    """One node refused the call, which proves nothing.

    Attributes:
        reject_code: 1 to 6.
        reject_message: words, from the node or from the canister.
        error_code: such as ``IC0503``, or None.
    """

    reject_code: int
    reject_message: str
    error_code: str | None


@dataclass(frozen=True, slots=True)
class NodeSignature:
    """A node's signature on its answer to a query.

    Attributes:
        timestamp_ns: when the node answered, nanoseconds since 1970.
        signature: 64 bytes, Ed25519.
        identity: the node.
    """

    timestamp_ns: int
    signature: bytes
    identity: Principal


@dataclass(frozen=True, slots=True)
class QueryReplied:
    """The canister's reply to a query, as one node tells it.

    Attributes:
        arg: what the canister returned.
        signatures: of the nodes that say so; may be empty.
    """

    arg: bytes = field(repr=False)
    signatures: tuple[NodeSignature, ...]


@dataclass(frozen=True, slots=True)
class QueryRejected:
    """A query was rejected, as one node tells it.

    Attributes:
        reject_code: 1 to 6.
        reject_message: words, from the node or from the canister.
        error_code: such as ``IC0503``, or None.
        signatures: of the nodes that say so; may be empty.
    """

    reject_code: int
    reject_message: str
    error_code: str | None
    signatures: tuple[NodeSignature, ...]


@dataclass(frozen=True, slots=True)
class ReplicaStatus:
    """What a replica tells about itself.

    Attributes:
        root_key: DER public key; only development instances tell it, and only of those may it be believed.
        health: ``healthy`` if it takes requests; None if it does not say.
    """

    root_key: bytes | None
    health: str | None


CallResponse: TypeAlias = CallAccepted | CallCertificate | CallRejected
"""What :func:`parse_call_response` returns."""

QueryResponse: TypeAlias = QueryReplied | QueryRejected
"""What :func:`parse_query_response` returns."""


def call_path(canister_id: Principal, version: Literal[2, 3, 4] = 4) -> str:
    """Where update calls go; ``canister_id`` is the effective one. Version 2 answers without waiting for the outcome.

    Raises:
        MisuseError: there is no such version.
    """
    return _path("canister", canister_id, "call", version, (2, 3, 4))


def query_path(canister_id: Principal, version: Literal[2, 3] = 3) -> str:
    """Where queries go; ``canister_id`` is the effective one.

    Data certificates that a canister hands out carry the old form of canister ranges in version 2, the sharded form
    in version 3.

    Raises:
        MisuseError: there is no such version.
    """
    return _path("canister", canister_id, "query", version, (2, 3))


def read_state_path(canister_id: Principal, version: Literal[2, 3] = 3) -> str:
    """Where certificates are asked for; ``canister_id`` is the effective one.

    Raises:
        MisuseError: there is no such version.
    """
    return _path("canister", canister_id, "read_state", version, (2, 3))


def subnet_read_state_path(subnet_id: Principal, version: Literal[2, 3] = 3) -> str:
    """Where certificates about a subnet itself are asked for.

    Raises:
        MisuseError: there is no such version.
    """
    return _path("subnet", subnet_id, "read_state", version, (2, 3))


def parse_call_response(status: int, body: bytes) -> CallResponse:
    """Read the answer to an update call, of any version.

    Args:
        status: the HTTP status.
        body: the whole body.

    Raises:
        TransportError: the status is neither 200 nor 202.
        DecodeError: the body is not such an answer.
    """
    if status == _ACCEPTED:
        return CallAccepted()
    value = _body(status, body, "the answer to a call", MAX_CERTIFICATE_BYTES)
    kind = value.get("status")
    if kind == "replied":
        found = _fields(value, "the answer to a call", {"status": str, "certificate": bytes})
        return CallCertificate(found["certificate"])
    # The answers of version 2 have no status.
    if kind == "non_replicated_rejection" or "status" not in value:
        found = _fields(value, "the rejection of a call", _REJECT, {"status": str} | _ERROR_CODE)
        return CallRejected(*_reject(found))
    raise _unknown_status(kind)


def parse_query_response(status: int, body: bytes) -> QueryResponse:
    """Read the answer to a query.

    Raises:
        TransportError: the status is not 200.
        DecodeError: the body is not such an answer.
    """
    value = _body(status, body, "the answer to a query", MAX_REPLY_BYTES)
    kind = value.get("status")
    signatures: dict[str, type] = {"signatures": list}
    if kind == "replied":
        found = _fields(value, "the answer to a query", {"status": str, "reply": dict}, signatures)
        reply = _fields(found["reply"], "the reply to a query", {"arg": bytes})
        return QueryReplied(reply["arg"], _signatures(found))
    if kind == "rejected":
        found = _fields(value, "the rejection of a query", {"status": str} | _REJECT, signatures | _ERROR_CODE)
        return QueryRejected(*_reject(found), _signatures(found))
    raise _unknown_status(kind)


def parse_read_state_response(status: int, body: bytes) -> bytes:
    """Read the answer to a ``read_state``; returns the encoded certificate.

    Raises:
        TransportError: the status is not 200.
        DecodeError: the body is not such an answer.
    """
    what = "the answer to a read_state"
    value = _body(status, body, what, MAX_CERTIFICATE_BYTES)
    return cast(bytes, _fields(value, what, {"certificate": bytes})["certificate"])


def parse_status_response(status: int, body: bytes) -> ReplicaStatus:
    """Read the answer at :data:`STATUS_PATH`; fields that are not known are passed over.

    Raises:
        TransportError: the status is not 200.
        DecodeError: the body is not such an answer.
    """
    what = "the status of a replica"
    value = _body(status, body, what, 0)
    found = _fields(value, what, {}, {"root_key": bytes, "replica_health_status": str})
    return ReplicaStatus(found.get("root_key"), found.get("replica_health_status"))


def _path(kind: str, target: Principal, request: str, version: int, known: tuple[int, ...]) -> str:
    if version not in known:
        raise MisuseError("the interface has no such version", request=request, version=version)
    return f"/api/v{version}/{kind}/{target.to_text()}/{request}"


def _body(status: int, body: bytes, what: str, payload: int) -> dict[object, object]:
    """Decode a body that may hold ``payload`` bytes and what is around them."""
    if status != _OK:
        raise TransportError(
            "the replica answered with an HTTP error",
            reason=Reason.HTTP_STATUS,
            status=status,
            detail=_printable(body[:_DETAIL_CHARACTERS]),
        )
    # [ICWS-LIB-027]
    value = cbor.decode(body, what=what, max_bytes=payload + _OVERHEAD, allow_indefinite=True)
    if not isinstance(value, dict):
        raise DecodeError(f"{what} is not a map", reason=Reason.WRONG_TYPE, requirement="ICWS-LIB-001")
    return value


def _fields(
    value: object, what: str, required: dict[str, type], optional: dict[str, type] | None = None
) -> dict[str, Any]:
    # Answers grow fields with time, and what counts in them is certified or signed on its own.
    return cbor.fields(value, what=what, required=required, optional=optional, allow_unknown=True, null_is_absent=True)


def _reject(found: dict[str, Any]) -> tuple[int, str, str | None]:
    code = found["reject_code"]
    if code not in _REJECT_CODES:
        raise DecodeError(
            "a reject code is unknown", reason=Reason.MALFORMED, requirement="ICWS-LIB-001", received=code
        )
    return code, found["reject_message"], found.get("error_code")


def _signatures(found: dict[str, Any]) -> tuple[NodeSignature, ...]:
    items = found.get("signatures", [])
    if len(items) > MAX_NODE_SIGNATURES:
        raise DecodeError(
            "an answer has too many signatures",
            reason=Reason.TOO_MANY,
            requirement="ICWS-LIB-001",
            limit=MAX_NODE_SIGNATURES,
        )
    signatures: list[NodeSignature] = []
    for item in items:
        one = _fields(item, "a node's signature", {"timestamp": int, "signature": bytes, "identity": bytes})
        signatures.append(NodeSignature(one["timestamp"], one["signature"], Principal(one["identity"])))
    return tuple(signatures)


def _unknown_status(kind: object) -> DecodeError:
    return DecodeError(
        "an answer has an unknown status", reason=Reason.MALFORMED, requirement="ICWS-LIB-001", received=repr(kind)[:40]
    )


def _printable(text: bytes) -> str:
    return "".join(char if char.isprintable() else " " for char in text.decode("utf-8", "replace"))
