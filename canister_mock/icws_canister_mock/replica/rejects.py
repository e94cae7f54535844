"""Reject codes, error codes, and the two ways in which a call ends.

Source: IC interface specification, "Reject codes"; the replica's list of error codes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum, StrEnum

__all__ = ["ErrorCode", "RejectCode", "Rejected", "Replied", "Result"]


class RejectCode(IntEnum):
    """Why a call was rejected, as the interface specification classifies it."""

    SYS_FATAL = 1
    SYS_TRANSIENT = 2
    DESTINATION_INVALID = 3
    CANISTER_REJECT = 4
    CANISTER_ERROR = 5


class ErrorCode(StrEnum):
    """Why a call was rejected, more finely. The digit after ``IC0`` is the reject code."""

    INGRESS_HISTORY_FULL = "IC0204"
    CANISTER_NOT_FOUND = "IC0301"
    REJECTED_BY_CANISTER = "IC0406"
    UNKNOWN_MANAGEMENT_METHOD = "IC0407"
    TRAPPED = "IC0502"
    TRAPPED_EXPLICITLY = "IC0503"
    CONTRACT_VIOLATION = "IC0504"
    DID_NOT_REPLY = "IC0506"
    STOPPED = "IC0508"
    STOPPING = "IC0509"
    METHOD_NOT_FOUND = "IC0536"
    NO_MODULE = "IC0537"

    @property
    def reject_code(self) -> RejectCode:
        """The reject code that belongs to it."""
        return RejectCode(int(self.value[3]))


@dataclass(frozen=True, slots=True)
class Replied:
    """The call was answered.

    Attributes:
        arg: the reply's bytes, as the method gave them.
    """

    arg: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Rejected:
    """The call was rejected.

    Attributes:
        error: error code; the reject code follows from it.
        message: one sentence for people.
    """

    error: ErrorCode
    message: str

    @property
    def code(self) -> RejectCode:
        """The reject code."""
        return self.error.reject_code


Result = Replied | Rejected
