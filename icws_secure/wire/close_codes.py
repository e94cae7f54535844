"""Close codes: of the WebSocket between client and gateway, and of a session towards its application.

The reason text of a WebSocket close is ``<Name>: <words>``, at most 123 bytes (RFC 6455, 5.5).
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

__all__ = ["MAX_REASON_BYTES", "CloseCode", "SessionCloseCode", "close_reason"]

MAX_REASON_BYTES: Final = 123
"""Bytes of the reason of a WebSocket close; RFC 6455."""


class _Code(IntEnum):
    """A code with the name it has on the wire and a sentence that says what it means."""

    label: str
    description: str

    def __new__(cls, value: int, label: str, description: str) -> _Code:
        member = int.__new__(cls, value)
        member._value_ = value
        member.label = label
        member.description = description
        return member


class CloseCode(_Code):
    """Why a WebSocket is closed, by gateway or client.

    Attributes:
        label: the name at the start of the reason text.
        description: what it means.
    """

    NORMAL = 1000, "Normal", "The client is done, or its session is over."
    GOING_AWAY = 1001, "GoingAway", "The gateway is shutting down; another one, or the same later, will do."
    TOO_BIG = 1009, "TooBig", "A frame is larger than allowed."
    INTERNAL = 1011, "Internal", "The gateway has failed; it is not the client's fault."
    VERIFICATION_FAILED = 4000, "VerificationFailed", "The client has refused what the gateway delivered."
    CLOSED_BY_APPLICATION = 4001, "ClosedByApplication", "The canister's application has closed the session."
    MALFORMED_FRAME = 4400, "MalformedFrame", "A frame is not exactly an envelope, or its content cannot be read."
    INVALID_SIGNATURE = 4401, "InvalidSignature", "The signature of an envelope, or of its delegations, is not valid."
    INGRESS_EXPIRY = 4402, "IngressExpiry", "An envelope has expired, or would expire too late."
    CANISTER_NOT_ALLOWED = 4403, "CanisterNotAllowed", "The gateway does not serve this canister."
    WRONG_CANISTER = 4404, "WrongCanister", "An envelope is for another canister than the one of the open."
    METHOD_NOT_ALLOWED = 4405, "MethodNotAllowed", "An envelope is for a method the gateway does not relay now."
    GATEWAY_MISMATCH = 4406, "GatewayMismatch", "The open names another gateway."
    DELEGATION_NOT_ALLOWED = 4407, "DelegationNotAllowed", "A secure session's envelope carries a delegation."
    OPEN_TIMEOUT = 4408, "OpenTimeout", "The client did not open in time."
    CLIENT_KEY_CONNECTED = 4409, "ClientKeyConnected", "The client key is connected already."
    STALE_ATTACH = 4410, "StaleAttach", "The attach number of the open is not above the connected one."
    SUPERSEDED = 4411, "Superseded", "An open with a higher attach number took this connection's place."
    OPEN_REFUSED = 4412, "OpenRefused", "The canister refused the open."
    ENVELOPE_TOO_LARGE = 4413, "EnvelopeTooLarge", "An envelope is larger than the IC takes."
    SENDER_MISMATCH = 4414, "SenderMismatch", "The sender of an envelope is not the one of the open, or of its key."
    UNSUPPORTED_SUBPROTOCOL = 4415, "UnsupportedSubprotocol", "A frame belongs to a subprotocol not agreed on."
    RATE_LIMITED = 4429, "RateLimited", "The client sends more than the gateway allows."
    TOO_MANY_CONNECTIONS = 4430, "TooManyConnections", "The gateway has as many connections as it takes."
    SLOW_CONSUMER = 4431, "SlowConsumer", "The client does not read what is sent to it."
    IDLE_TIMEOUT = 4432, "IdleTimeout", "The connection was idle for too long."
    REPLICA_ERROR = 4502, "ReplicaError", "The IC could not be reached, or answered with an error."
    DRAINING = 4503, "Draining", "The gateway takes no new clients."


class SessionCloseCode(_Code):
    """Why a session is over, as the application is told (``SessionEnded.code``).

    Attributes:
        label: the name of the reason (``SessionEnded.close_reason``).
        description: what it means.
    """

    CLIENT_CLOSED = 1000, "ClientClosed", "The application on this side has closed the session."
    APPLICATION_CLOSED = 4001, "ApplicationClosed", "The canister's application has closed the session."
    EXPIRED = 4010, "Expired", "The session has reached its certified end."
    REVOKED = 4011, "Revoked", "The owner has revoked the session."
    RESUME_WINDOW = 4012, "ResumeWindow", "The session was detached for longer than it can be resumed."
    KEEP_ALIVE_TIMEOUT = 4013, "KeepAliveTimeout", "The canister missed a keep-alive; omnia/1 only."
    EPOCH_CHANGED = 4014, "EpochChanged", "The canister has lost its session state."
    STATE_ROLLBACK = 4015, "StateRollback", "The canister's certified state went back."
    STATE_FORKED = 4016, "StateForked", "The saved state of the session is behind what the canister has taken."
    SESSION_TAKEN = 4017, "SessionTaken", "Another holder of the session's key has attached."
    RESUME_GAP = 4018, "ResumeGap", "The canister no longer has messages that this side lacks."
    INVALID_SERVICE_MESSAGE = 4019, "InvalidServiceMessage", "The canister could not read a service message."
    WRONG_SEQUENCE_NUMBER = 4020, "WrongSequenceNumber", "A message came out of order; omnia/1 only."
    VERIFICATION_FAILED = 4021, "VerificationFailed", "What was delivered did not verify; omnia/1 only."
    NO_GATEWAY = 4022, "NoGateway", "No gateway could be reached within the limits of the user."


def close_reason(code: CloseCode, words: str = "") -> str:
    """The reason text for a close: the label and what there is to say, cut to 123 bytes."""
    text = f"{code.label}: {words}" if words else code.label
    return text.encode("utf-8", "replace")[:MAX_REASON_BYTES].decode("utf-8", "ignore")
