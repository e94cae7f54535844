"""Refusals: the text of ``Err``, which is ``<Code>: <words>``.

The code is from a closed list, for programs; the words are for people. Canisters of ``omnia/1`` send words without a
code.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

__all__ = ["Refusal", "RefusalCode", "format_refusal", "parse_refusal"]

_FORM: Final = re.compile(r"([A-Z][A-Za-z]{1,39}): (.*)", re.DOTALL)


class RefusalCode(StrEnum):
    """Why a canister refuses; the closed list of ``icws-secure/1``."""

    ANONYMOUS_CALLER = "AnonymousCaller"
    CALLER_NOT_ALLOWED = "CallerNotAllowed"
    INVALID_SESSION_PRINCIPAL = "InvalidSessionPrincipal"
    SESSION_PRINCIPAL_BOUND = "SessionPrincipalBound"
    TOO_MANY_SESSIONS = "TooManySessions"
    REGISTRATION_FULL = "RegistrationFull"
    REGISTRATION_TOO_OLD = "RegistrationTooOld"
    RECENTLY_REVOKED = "RecentlyRevoked"
    EXPIRED = "Expired"
    NOT_REGISTERED = "NotRegistered"
    WRONG_REGISTRATION = "WrongRegistration"
    SECURE_FIELDS_MISSING = "SecureFieldsMissing"
    STALE_ATTACH = "StaleAttach"
    RESUME_GAP = "ResumeGap"
    INVALID_GATEWAY_PRINCIPAL = "InvalidGatewayPrincipal"
    UNKNOWN_SUITE = "UnknownSuite"
    SUITE_TOO_WEAK = "SuiteTooWeak"
    UNKNOWN_KEY = "UnknownKey"
    UNSEALED_CONTENT = "UnsealedContent"
    WRONG_CLIENT_KEY = "WrongClientKey"
    ALREADY_OPEN = "AlreadyOpen"
    NOT_OPEN = "NotOpen"
    DETACHED = "Detached"
    SEQUENCE_CONFLICT = "SequenceConflict"
    STALE = "Stale"
    OUT_OF_WINDOW = "OutOfWindow"
    CONTENT_TOO_LARGE = "ContentTooLarge"
    INVALID_SERVICE_MESSAGE = "InvalidServiceMessage"
    ACK_OUT_OF_RANGE = "AckOutOfRange"
    NOT_YOUR_GATEWAY = "NotYourGateway"
    NOT_YOUR_SESSION = "NotYourSession"
    RETENTION_FULL = "RetentionFull"
    TOO_MANY = "TooMany"
    NO_DATA_CERTIFICATE = "NoDataCertificate"
    MALFORMED_ARGUMENT = "MalformedArgument"
    CLOSED = "Closed"
    CYCLE_FLOOR = "CycleFloor"
    BUDGET = "Budget"
    NOT_MEMBER = "NotMember"
    STALE_ROOM_EPOCH = "StaleRoomEpoch"


def format_refusal(code: RefusalCode, words: str) -> str:
    """The text of ``Err`` for a code and a sentence for people."""
    return f"{code}: {words}"


def parse_refusal(text: str) -> tuple[str, str]:
    """Code and words of the text of an ``Err``; the code is empty if the text has not the form."""
    match = _FORM.fullmatch(text)
    return (match[1], match[2]) if match else ("", text)


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a canister answers in place of a result.

    Attributes:
        code: why, normally one of :class:`RefusalCode`; empty where the canister gives words only.
        words: the same for people.
    """

    code: str
    words: str

    @classmethod
    def from_text(cls, text: str) -> Refusal:
        """The refusal that the text of an ``Err`` stands for."""
        return cls(*parse_refusal(text))

    @property
    def text(self) -> str:
        """The text of the ``Err``."""
        return f"{self.code}: {self.words}" if self.code else self.words
