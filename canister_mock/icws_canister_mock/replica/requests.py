"""Users' requests: what the replica's HTTPS interface answers, without sockets.

Each function takes the body of a request and gives the answer, or, for a call that was accepted, where its outcome will
be. What a user may have got wrong is an HTTP error with one sentence.

Source: IC interface specification, "HTTPS interface"; the limits and texts of the replica.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal, TypeVar

from icws_canister_mock.replica import execution
from icws_canister_mock.replica.certification import RangesForm
from icws_canister_mock.replica.endpoint import Endpoint, HttpError
from icws_canister_mock.replica.limits import MAX_INGRESS_BYTES
from icws_canister_mock.replica.messages import Ingress
from icws_canister_mock.replica.read_state import visible_paths
from icws_canister_mock.replica.rejects import ErrorCode, Rejected, Replied
from icws_canister_mock.replica.replica import Replica
from icws_canister_mock.replica.subnet import Subnet
from icws_secure.errors import IcwsError, Reason
from icws_secure.limits import MAX_INGRESS_TTL_NS
from icws_secure.verify.envelope import VerifiedEnvelope, verify_envelope
from icws_secure.verify.root_key import RootKey
from icws_secure.wire import cbor, domain
from icws_secure.wire.envelope import CallContent, Envelope, QueryContent, ReadStateContent
from icws_secure.wire.principal import MANAGEMENT, Principal
from icws_secure.wire.request_id import Value, hash_of_map

__all__ = ["Answer", "Pending", "Requests"]

_OK: Final = 200
_ACCEPTED: Final = 202
_BAD_REQUEST: Final = 400
_NOT_FOUND: Final = 404
_TOO_LARGE: Final = 413
_TOO_MANY: Final = 429

_EXPIRY: Final = (Reason.INGRESS_EXPIRED, Reason.INGRESS_EXPIRY_TOO_FAR)
_C = TypeVar("_C", CallContent, QueryContent, ReadStateContent)


@dataclass(frozen=True, slots=True)
class Answer:
    """A CBOR answer.

    Attributes:
        status: HTTP status, 200 or 202.
        body: CBOR, or empty for 202.
    """

    status: int
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Pending:
    """A call that was accepted, now or before.

    Attributes:
        subnet: where it is executed.
        request_id: whose status tells the outcome.
        canister: the effective canister id of the request.
    """

    subnet: Subnet
    request_id: bytes
    canister: Principal


class Requests:
    """Answers users' requests to one replica.

    Args:
        replica: whose state is read and whose pools are filled.
    """

    def __init__(self, replica: Replica) -> None:
        self._replica = replica
        self._root_key = RootKey.from_der(replica.root_key_der)
        self._answered = 0

    def status(self) -> Answer:
        """``/api/v2/status``."""
        value = {
            "ic_api_version": "0.18.0",
            "impl_version": "icws-replica",
            "replica_health_status": "healthy",
            "root_key": self._replica.root_key_der,
            "certified_height": self._replica.root.state.height,
        }
        return Answer(_OK, cbor.encode_self_described(value))

    def call(self, endpoint: Endpoint, body: bytes) -> Pending | Rejected:
        """A call, up to its acceptance. A rejection is this node's alone.

        Raises:
            HttpError: the request is malformed, not authentic, too large, or there is no room for it.
        """
        if len(body) > MAX_INGRESS_BYTES:
            raise HttpError(_TOO_LARGE, f"The request has {len(body)} bytes, the limit is {MAX_INGRESS_BYTES}.")
        verified, content = self._verified(body, "call", CallContent, endpoint)
        if content.canister_id == MANAGEMENT:
            return Rejected(
                ErrorCode.UNKNOWN_MANAGEMENT_METHOD,
                f"This replica's management canister takes no calls of users, and so not {content.method_name!r}",
            )
        _demand_effective(content.canister_id, endpoint)
        subnet = self._replica.subnet_of(content.canister_id)
        slot = None if subnet is None else subnet.canisters.get(content.canister_id)
        if subnet is not None and subnet.knows(verified.request_id):
            return Pending(subnet, verified.request_id, content.canister_id)
        refused = execution.refusal(slot, content.canister_id)
        if subnet is None or slot is None or refused is not None:
            return refused or Rejected(ErrorCode.CANISTER_NOT_FOUND, f"Canister {content.canister_id} not found")
        if subnet.pool_is_full:
            raise HttpError(_TOO_MANY, "Too many calls wait for a block.")
        if subnet.history.is_full:
            return Rejected(ErrorCode.INGRESS_HISTORY_FULL, "the ingress history is full")
        refused = execution.inspect_message(
            slot, content.sender, content.method_name, content.arg, subnet.state.time_ns
        )
        if refused is not None:
            return refused
        subnet.accept(
            Ingress(
                verified.request_id,
                content.sender,
                content.canister_id,
                content.method_name,
                content.arg,
                content.ingress_expiry_ns,
                len(body),
            )
        )
        return Pending(subnet, verified.request_id, content.canister_id)

    def outcome(self, pending: Pending, form: RangesForm) -> Answer | None:
        """The answer of a synchronous call endpoint, once the call has ended; None before."""
        entry = pending.subnet.history.get(pending.request_id)
        if entry is None or not entry.status.is_final:
            return None
        delegation = self._replica.delegations.issue(pending.subnet.id, form, pending.canister)
        path = (b"request_status", pending.request_id)
        certificate = pending.subnet.state.certificate([path], delegation)
        return Answer(_OK, cbor.encode_self_described({"status": "replied", "certificate": certificate}))

    @staticmethod
    def rejection(rejected: Rejected, *, with_status: bool) -> Answer:
        """The answer of a call endpoint for a rejection before acceptance; v2 sends no ``status`` with it."""
        value: dict[str, object] = {"status": "non_replicated_rejection"} if with_status else {}
        return Answer(_OK, cbor.encode_self_described(value | _reject_fields(rejected)))

    @staticmethod
    def accepted() -> Answer:
        """The answer that says to poll for the outcome."""
        return Answer(_ACCEPTED, b"")

    def query(self, endpoint: Endpoint, body: bytes) -> Answer:
        """A query call; the answer carries a node's signature.

        Raises:
            HttpError: the request is malformed, not authentic, or too large.
        """
        verified, content = self._verified(body, "query", QueryContent, endpoint)
        _demand_effective(content.canister_id, endpoint)
        result = self._replica.query(
            content.canister_id, content.method_name, content.arg, sender=content.sender, form=endpoint.form
        )
        subnet = self._replica.subnet_of(content.canister_id) or self._replica.root
        fields: dict[str, Value]
        if isinstance(result, Replied):
            fields = {"status": "replied", "reply": {"arg": result.arg}}
        else:
            fields = {"status": "rejected", **_reject_fields(result)}
        signature = self._node_signature(subnet, fields, verified.request_id)
        return Answer(_OK, _open_map({**fields, "signatures": [signature]}))

    def read_state(self, endpoint: Endpoint, body: bytes) -> Answer:
        """A certificate of parts of the state tree.

        Raises:
            HttpError: the request is malformed, not authentic, too large, or asks for what it may not see.
        """
        _, content = self._verified(body, "read_state", ReadStateContent, endpoint)
        if endpoint.kind == "subnet":
            subnet = self._replica.subnet_by_id(endpoint.id)
        else:
            subnet = self._replica.subnet_of(endpoint.id)
        if subnet is None:
            raise HttpError(_NOT_FOUND, f"There is no {endpoint.kind} {endpoint.id}.")
        paths = visible_paths(subnet, self._replica.root.id, endpoint, content)
        canister = endpoint.id if endpoint.kind == "canister" else None
        delegation = self._replica.delegations.issue(subnet.id, endpoint.form, canister)
        return Answer(_OK, cbor.encode_self_described({"certificate": subnet.state.certificate(paths, delegation)}))

    def _verified(
        self, body: bytes, kind: Literal["call", "query", "read_state"], content: type[_C], endpoint: Endpoint
    ) -> tuple[VerifiedEnvelope, _C]:
        now = self._replica.time_ns
        try:
            verified = verify_envelope(
                Envelope.decode(body),
                now=now,
                request_type=kind,
                # stricter than the IC, which lets a delegation for other canisters read what belongs to no call
                effective_canister_id=endpoint.id if endpoint.kind == "canister" else None,
                root_key=self._root_key,
            )
        except IcwsError as error:
            if error.reason in _EXPIRY:
                # agents look for the first words
                raise HttpError(
                    _BAD_REQUEST,
                    f"Invalid request expiry: it must lie between {now} and {now + MAX_INGRESS_TTL_NS}: {error}",
                ) from error
            raise HttpError(_BAD_REQUEST, f"Invalid {kind} request: {error}") from error
        found = verified.envelope.content
        if not isinstance(found, content):
            raise HttpError(_BAD_REQUEST, f"Invalid {kind} request: it is of another kind.")
        return verified, found

    def _node_signature(self, subnet: Subnet, fields: dict[str, Value], request_id: bytes) -> dict[str, object]:
        self._answered += 1
        node = subnet.info.nodes[self._answered % len(subnet.info.nodes)]
        timestamp = self._replica.time_ns
        signed = hash_of_map({**fields, "timestamp": timestamp, "request_id": request_id})
        return {
            "timestamp": timestamp,
            "signature": node.sign(domain.QUERY_RESPONSE + signed),
            "identity": node.principal.raw,
        }


def _reject_fields(rejected: Rejected) -> dict[str, Value]:
    return {
        "reject_code": int(rejected.code),
        "reject_message": rejected.message,
        "error_code": rejected.error.value,
    }


def _demand_effective(canister: Principal, endpoint: Endpoint) -> None:
    if canister != endpoint.id:
        raise HttpError(
            _BAD_REQUEST,
            f"The request is for canister {canister}, the path is that of effective canister {endpoint.id}.",
        )


def _open_map(fields: dict[str, object]) -> bytes:
    """A map of indefinite length, which is how the IC's own replicas write their answers to queries."""
    items = (cbor.encode(name) + cbor.encode(value) for name, value in fields.items())
    return cbor.SELF_DESCRIBE_TAG + b"\xbf" + b"".join(items) + b"\xff"
