"""The states of a session at its canister, and what moves it from one to another.

Every change of a session's state is one lookup in :data:`SECURE_TABLE` or :data:`OMNIA_TABLE`; what is not in the table
does not happen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import Final

from icws_secure.errors import MisuseError, Reason
from icws_secure.wire.registration import SessionState
from icws_secure.wire.service import CloseReason

__all__ = ["OMNIA_TABLE", "SECURE_TABLE", "Cause", "Transition", "transition"]


class Cause(Enum):
    """What happens to a session."""

    ATTACH = "the client opens, naming a gateway"
    GATEWAY_CLOSE = "the gateway says that the client left"
    SILENT_OPEN = "no call of the session key after the open"
    NO_KEEP_ALIVE = "no call of the session key after an acknowledgement"
    APPLICATION_CLOSE = "the application closes"
    CLIENT_CLOSE = "the client closes"
    REOPEN = "the same principal opens another client key"
    REVOKE = "the owner or the session key revokes"
    EXPIRE = "the registration has expired"
    WINDOW_OVER = "the resume window is over"
    WRONG_NUMBER = "a message has another number than the next"
    BAD_SERVICE_MESSAGE = "a service message cannot be read"


@dataclass(frozen=True, slots=True)
class Transition:
    """What a cause does.

    Attributes:
        to: the state afterwards.
        code: why the session is over, in the words of the session; None while it is not over.
        message: the reason that a close message to the client gives, or None for no message.
        unqueue: whether what is queued for the client becomes tombstones.
        keep_inbox: whether accepted messages are still handled.
    """

    to: SessionState
    code: str | None = None
    message: CloseReason | None = None
    unqueue: bool = False
    keep_inbox: bool = True


_REGISTERED, _OPEN, _DETACHED, _CLOSED = SessionState
_BY_APPLICATION: Final = CloseReason.CLOSED_BY_APPLICATION
_DETACH: Final = Transition(_DETACHED, unqueue=True)
_REVOKE: Final = Transition(_CLOSED, "Revoked", _BY_APPLICATION, unqueue=True, keep_inbox=False)
_EXPIRE: Final = Transition(_CLOSED, "Expired", _BY_APPLICATION, keep_inbox=False)
_APPLICATION_CLOSE: Final = Transition(_CLOSED, "ApplicationClosed", _BY_APPLICATION, keep_inbox=False)
_CLIENT_CLOSE: Final = Transition(_CLOSED, "ClientClosed", unqueue=True, keep_inbox=False)
_WINDOW_OVER: Final = Transition(_CLOSED, "ResumeWindow", _BY_APPLICATION, keep_inbox=False)

SECURE_TABLE: Final[Mapping[tuple[SessionState, Cause], Transition]] = MappingProxyType(
    {
        (_REGISTERED, Cause.ATTACH): Transition(_OPEN),
        (_OPEN, Cause.ATTACH): Transition(_OPEN, unqueue=True),
        (_DETACHED, Cause.ATTACH): Transition(_OPEN),
        # what the application said before it closed can still be fetched, with its close message
        (_CLOSED, Cause.ATTACH): Transition(_CLOSED, "ApplicationClosed", unqueue=True),
        # [ICWS-CAN-063]
        (_OPEN, Cause.GATEWAY_CLOSE): _DETACH,
        # [ICWS-CAN-016]
        (_OPEN, Cause.SILENT_OPEN): _DETACH,
        # [ICWS-CAN-040]
        (_OPEN, Cause.NO_KEEP_ALIVE): _DETACH,
        (_OPEN, Cause.APPLICATION_CLOSE): _APPLICATION_CLOSE,
        (_DETACHED, Cause.APPLICATION_CLOSE): _APPLICATION_CLOSE,
        (_OPEN, Cause.CLIENT_CLOSE): _CLIENT_CLOSE,
        (_DETACHED, Cause.CLIENT_CLOSE): _CLIENT_CLOSE,
        # [ICWS-CAN-064]
        (_OPEN, Cause.REVOKE): _REVOKE,
        (_DETACHED, Cause.REVOKE): _REVOKE,
        (_CLOSED, Cause.REVOKE): _REVOKE,
        # [ICWS-CAN-066]
        (_OPEN, Cause.EXPIRE): _EXPIRE,
        (_DETACHED, Cause.EXPIRE): _EXPIRE,
        (_OPEN, Cause.WINDOW_OVER): _WINDOW_OVER,
        (_DETACHED, Cause.WINDOW_OVER): _WINDOW_OVER,
    }
)
"""``icws-secure/1``: gateways and silence detach; only the parties and the clock end a session."""

OMNIA_TABLE: Final[Mapping[tuple[SessionState, Cause], Transition]] = MappingProxyType(
    {
        (_REGISTERED, Cause.ATTACH): Transition(_OPEN),
        (_OPEN, Cause.GATEWAY_CLOSE): Transition(_CLOSED, "ClientClosed"),
        (_OPEN, Cause.REOPEN): Transition(_CLOSED, "ClientClosed"),
        (_OPEN, Cause.APPLICATION_CLOSE): Transition(_CLOSED, "ApplicationClosed", _BY_APPLICATION, keep_inbox=False),
        # [ICWS-CAN-040]
        (_OPEN, Cause.NO_KEEP_ALIVE): Transition(_CLOSED, "KeepAliveTimeout", CloseReason.KEEP_ALIVE_TIMEOUT),
        # [ICWS-CAN-036]
        (_OPEN, Cause.WRONG_NUMBER): Transition(_CLOSED, "WrongSequenceNumber", CloseReason.WRONG_SEQUENCE_NUMBER),
        (_OPEN, Cause.BAD_SERVICE_MESSAGE): Transition(
            _CLOSED, "InvalidServiceMessage", CloseReason.INVALID_SERVICE_MESSAGE
        ),
    }
)
"""``omnia/1``: a connection is a session, and whatever ends the one ends the other."""


def transition(secure: bool, state: SessionState, cause: Cause) -> Transition:
    """What ``cause`` does in ``state``.

    Args:
        secure: whether the session is of ``icws-secure/1``.
        state: the state before.
        cause: what happens.

    Raises:
        MisuseError: it cannot happen there.
    """
    found = (SECURE_TABLE if secure else OMNIA_TABLE).get((state, cause))
    if found is None:
        raise MisuseError(f"a session that is {state} cannot have: {cause.value}", reason=Reason.WRONG_STATE)
    return found
