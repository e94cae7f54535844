"""The one exception family of the project.

::

    IcwsError
      MisuseError                   the caller broke the contract of an API
      ProtocolViolation             the peer, the gateway or a replica broke the specification
        DecodeError                 bytes that are malformed, not canonical, or over a limit
        SignatureError              envelope, delegation, canister or node signature
        CertificateError            certificate, delegation of a subnet, canister ranges, witness
        RegistrationViolation       reply of ws_register or ws_params
        AttachViolation             the attach message does not answer our ws_open
        MessageViolation            key, client key, times or content of a canister message
        OrderViolation              sequence number, nonce, acknowledgement
        ReceiptViolation            receipt of a client message
        StateViolation              certified state that went back, forked or was lost
        PayloadViolation            sealed payload that does not open, or is not allowed
      StallError                    silence: a deadline passed; nobody is proven to be at fault
      TrustUnavailable              nothing can be decided: clock, root key, delegation, node keys
      Refused                       the canister refused, with a typed code
      CanisterRejected              the IC or the canister rejected a call
      TransportError                the network, a socket or an HTTP status
      SessionEnded                  the session is over, with close code and reason

Facts are attributes: ``reason`` (a member of a closed enumeration), ``requirement`` (the identifier in
``spec/protocol.md`` that was broken, or None) and ``facts`` (numbers and names worth showing; never payloads or keys).
Tests and programs compare ``reason``; the text is for people.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

__all__ = [
    "AttachViolation",
    "CanisterRejected",
    "CertificateError",
    "DecodeError",
    "IcwsError",
    "MessageViolation",
    "MisuseError",
    "OrderViolation",
    "PayloadViolation",
    "ProtocolViolation",
    "Reason",
    "ReceiptViolation",
    "Refused",
    "RegistrationViolation",
    "SessionEnded",
    "SignatureError",
    "StallError",
    "StateViolation",
    "TransportError",
    "TrustUnavailable",
]


class Reason(StrEnum):
    """What was wrong: the closed list that ``IcwsError.reason`` takes its values from."""

    # use of an API
    INVALID_ARGUMENT = "InvalidArgument"
    WRONG_STATE = "WrongState"
    LIMIT_EXCEEDED = "LimitExceeded"
    UNSUPPORTED = "Unsupported"

    # bytes
    MALFORMED = "Malformed"
    TOO_LARGE = "TooLarge"
    TOO_DEEP = "TooDeep"
    TOO_MANY = "TooMany"
    TRAILING_BYTES = "TrailingBytes"
    NOT_CANONICAL = "NotCanonical"
    DUPLICATE_KEY = "DuplicateKey"
    MISSING_FIELD = "MissingField"
    UNKNOWN_FIELD = "UnknownField"
    WRONG_TYPE = "WrongType"

    # signatures and envelopes
    BAD_SIGNATURE = "BadSignature"
    BAD_PUBLIC_KEY = "BadPublicKey"
    SENDER_MISMATCH = "SenderMismatch"
    ANONYMOUS_SIGNED = "AnonymousSigned"
    SIGNATURE_MISSING = "SignatureMissing"
    INGRESS_EXPIRED = "IngressExpired"
    INGRESS_EXPIRY_TOO_FAR = "IngressExpiryTooFar"
    WRONG_REQUEST_TYPE = "WrongRequestType"
    WRONG_CANISTER = "WrongCanister"
    WRONG_METHOD = "WrongMethod"
    DELEGATION_TOO_LONG = "DelegationTooLong"
    DELEGATION_EXPIRED = "DelegationExpired"
    DELEGATION_CYCLE = "DelegationCycle"
    DELEGATION_TARGET = "DelegationTarget"
    DELEGATION_PERMISSION = "DelegationPermission"
    DELEGATION_NOT_ALLOWED = "DelegationNotAllowed"
    UNKNOWN_NODE = "UnknownNode"

    # certificates and witnesses
    BAD_BLS_SIGNATURE = "BadBlsSignature"
    BAD_BLS_POINT = "BadBlsPoint"
    NESTED_DELEGATION = "NestedDelegation"
    SUBNET_KEY_MISSING = "SubnetKeyMissing"
    CANISTER_NOT_IN_RANGES = "CanisterNotInRanges"
    SUBNET_MISMATCH = "SubnetMismatch"
    SUBNET_TYPE = "SubnetType"
    TIME_MISSING = "TimeMissing"
    CERTIFICATE_STALE = "CertificateStale"
    CERTIFICATE_FROM_FUTURE = "CertificateFromFuture"
    DELEGATION_STALE = "DelegationStale"
    TREE_NOT_WELL_FORMED = "TreeNotWellFormed"
    PATH_ABSENT = "PathAbsent"
    PATH_UNKNOWN = "PathUnknown"
    PATH_ERROR = "PathError"
    CERTIFIED_DATA_MISMATCH = "CertifiedDataMismatch"
    LEAF_MISMATCH = "LeafMismatch"

    # registration and attach
    NOT_CERTIFIED = "NotCertified"
    WRONG_REQUEST = "WrongRequest"
    PROFILE_UNAVAILABLE = "ProfileUnavailable"
    PARAMETER_OUT_OF_RANGE = "ParameterOutOfRange"
    REGISTRATION_MISMATCH = "RegistrationMismatch"
    GATEWAY_PRINCIPAL_INVALID = "GatewayPrincipalInvalid"
    GATEWAY_NOT_PINNED = "GatewayNotPinned"
    ATTACH_MISMATCH = "AttachMismatch"
    OPEN_HASH_MISMATCH = "OpenHashMismatch"
    SESSION_TAKEN = "SessionTaken"

    # canister messages
    WRONG_KEY_FORM = "WrongKeyForm"
    WRONG_GATEWAY = "WrongGateway"
    WRONG_CLIENT_KEY = "WrongClientKey"
    WRONG_SEQUENCE_NUMBER = "WrongSequenceNumber"
    NONCE_NOT_INCREASING = "NonceNotIncreasing"
    TIMESTAMP_AFTER_CERTIFICATE = "TimestampAfterCertificate"
    TIMESTAMP_DECREASING = "TimestampDecreasing"
    MESSAGE_TOO_OLD = "MessageTooOld"
    UNEXPECTED_SERVICE_MESSAGE = "UnexpectedServiceMessage"
    UNEXPECTED_FRAME = "UnexpectedFrame"
    ACK_OUT_OF_RANGE = "AckOutOfRange"
    ACK_DECREASING = "AckDecreasing"

    # receipts
    RECEIPT_UNMATCHED = "ReceiptUnmatched"
    RECEIPT_NOT_FINAL = "ReceiptNotFinal"

    # certified state
    STATE_ROLLBACK = "StateRollback"
    STATE_FORKED = "StateForked"
    EPOCH_CHANGED = "EpochChanged"
    RESUME_GAP = "ResumeGap"
    AUDIT_STALE = "AuditStale"
    MESSAGES_WITHHELD = "MessagesWithheld"

    # silence
    HANDSHAKE_TIMEOUT = "HandshakeTimeout"
    OPEN_TIMEOUT = "OpenTimeout"
    RECEIPT_TIMEOUT = "ReceiptTimeout"
    ACK_TIMEOUT = "AckTimeout"
    SILENCE = "Silence"

    # trust
    CLOCK_SKEW = "ClockSkew"
    ROOT_KEY_UNAVAILABLE = "RootKeyUnavailable"
    NODE_KEYS_UNAVAILABLE = "NodeKeysUnavailable"

    # the canister's answer
    REFUSED = "Refused"
    REJECTED = "Rejected"
    OUTCOME_UNKNOWN = "OutcomeUnknown"
    NOT_EXECUTED = "NotExecuted"
    HANDLER_TRAPPED = "HandlerTrapped"

    # transport and end of a session
    CONNECTION_FAILED = "ConnectionFailed"
    CONNECTION_LOST = "ConnectionLost"
    HTTP_STATUS = "HttpStatus"
    NO_GATEWAY = "NoGateway"
    SESSION_ENDED = "SessionEnded"

    # payload protection
    SUITE_TOO_WEAK = "SuiteTooWeak"
    UNKNOWN_KEY = "UnknownKey"
    UNSEALED = "Unsealed"
    OPEN_FAILED = "OpenFailed"
    REPLAYED = "Replayed"
    STALE_ROOM_EPOCH = "StaleRoomEpoch"


class IcwsError(Exception):
    """Base of every exception that a public call of this project raises.

    Args:
        message: one sentence for people, without payloads or keys.
        reason: what was wrong; see :class:`Reason`.
        requirement: identifier of the broken requirement (``ICWS-CLT-012``), or None where no requirement is concerned.
        facts: what was expected and what was received: numbers, names, sizes.
    """

    default_reason: Reason = Reason.INVALID_ARGUMENT

    def __init__(
        self,
        message: str,
        *,
        reason: Reason | None = None,
        requirement: str | None = None,
        **facts: object,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason if reason is not None else self.default_reason
        self.requirement = requirement
        self.facts: Mapping[str, object] = MappingProxyType(facts)

    def __str__(self) -> str:
        tail = "".join(f", {name} {value}" for name, value in self.facts.items())
        tag = f" [{self.requirement}]" if self.requirement else ""
        return f"{self.reason}: {self.message}{tail}{tag}"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"


class MisuseError(IcwsError):
    """The caller broke the contract of an API: a wrong argument, a call in the wrong state, a limit of ours."""


class ProtocolViolation(IcwsError):
    """The other side, the gateway between, or a replica broke the specification."""

    default_reason = Reason.MALFORMED


class DecodeError(ProtocolViolation):
    """Bytes that are malformed, not canonical, or over a limit."""


class SignatureError(ProtocolViolation):
    """A signature, or what it is bound to (sender, delegation chain, expiry), is not valid."""

    default_reason = Reason.BAD_SIGNATURE


class CertificateError(ProtocolViolation):
    """A certificate, its delegation, its ranges, its time, or a witness tree is not acceptable."""

    default_reason = Reason.BAD_BLS_SIGNATURE


class RegistrationViolation(ProtocolViolation):
    """The answer to a registration is not certified, not for this request, or not usable."""

    default_reason = Reason.NOT_CERTIFIED


class AttachViolation(ProtocolViolation):
    """The attach message does not answer the open that was sent, or the handshake is not acceptable."""

    default_reason = Reason.ATTACH_MISMATCH


class MessageViolation(ProtocolViolation):
    """Key, client key, times or content of a certified message are wrong."""

    default_reason = Reason.WRONG_CLIENT_KEY


class OrderViolation(ProtocolViolation):
    """A sequence number, nonce or acknowledgement is not the one that must come next."""

    default_reason = Reason.WRONG_SEQUENCE_NUMBER


class ReceiptViolation(ProtocolViolation):
    """A receipt does not belong to an outstanding message, or proves nothing."""

    default_reason = Reason.RECEIPT_UNMATCHED


class StateViolation(ProtocolViolation):
    """Certified state went back, forked or was lost."""

    default_reason = Reason.STATE_ROLLBACK


class PayloadViolation(ProtocolViolation):
    """A sealed payload does not open, was replayed, or is weaker than agreed."""

    default_reason = Reason.OPEN_FAILED


class StallError(IcwsError):
    """A deadline passed in silence. Nobody is proven to be at fault; the remedy is another gateway."""

    default_reason = Reason.SILENCE


class TrustUnavailable(IcwsError):
    """Nothing can be decided: the clock, the root key, a delegation or node keys are missing or unusable."""

    default_reason = Reason.ROOT_KEY_UNAVAILABLE


class Refused(IcwsError):
    """The canister refused a call with ``Err "<Code>: <words>"``.

    Attributes:
        code: the code, one of the closed list in ``spec/protocol.md``.
        certified: whether the refusal was read from a verified certificate.
    """

    default_reason = Reason.REFUSED

    def __init__(
        self, message: str, *, code: str, certified: bool, requirement: str | None = None, **facts: object
    ) -> None:
        super().__init__(message, reason=Reason.REFUSED, requirement=requirement, code=code, **facts)
        self.code = code
        self.certified = certified


class CanisterRejected(IcwsError):
    """The IC or the canister rejected a call.

    Attributes:
        reject_code: the IC's reject code, 1 to 6.
        error_code: the IC's error code such as ``IC0503``, or None.
        certified: whether the rejection was read from a verified certificate.
    """

    default_reason = Reason.REJECTED

    def __init__(
        self,
        message: str,
        *,
        reject_code: int,
        error_code: str | None = None,
        certified: bool,
        reason: Reason | None = None,
        requirement: str | None = None,
        **facts: object,
    ) -> None:
        super().__init__(
            message, reason=reason, requirement=requirement, reject_code=reject_code, error_code=error_code, **facts
        )
        self.reject_code = reject_code
        self.error_code = error_code
        self.certified = certified


class TransportError(IcwsError):
    """The network, a socket or an HTTP status stood in the way."""

    default_reason = Reason.CONNECTION_FAILED


class SessionEnded(IcwsError):
    """The session is over.

    Attributes:
        code: the close code, from the table in ``spec/protocol.md``.
        close_reason: the reason that goes with it, one of the closed list there.
    """

    default_reason = Reason.SESSION_ENDED

    def __init__(
        self,
        message: str,
        *,
        code: int,
        close_reason: str,
        reason: Reason | None = None,
        requirement: str | None = None,
        **facts: object,
    ) -> None:
        super().__init__(message, reason=reason, requirement=requirement, code=code, close_reason=close_reason, **facts)
        self.code = code
        self.close_reason = close_reason
