"""The states of a session and of an attachment, and every change between them, as tables.

Nothing else changes a state: :class:`SessionStates` and :class:`AttachmentPhases` look the change up here, and a
change that is not in the table is an error. ``ENDED`` and ``OVER`` are final.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, Generic, TypeVar

from ...errors import MisuseError, Reason

__all__ = [
    "PHASE_TABLE",
    "SESSION_TABLE",
    "AttachmentPhases",
    "Phase",
    "PhaseEvent",
    "SessionEvent",
    "SessionState",
    "SessionStates",
]


class SessionState(StrEnum):
    """Where a session is."""

    NEW = "new"
    """Not started."""
    REGISTERING = "registering"
    """Waiting for the certified reply of the registration."""
    DETACHED = "detached"
    """Registered (omnia: started), and without a verified attachment; one is being sought."""
    ATTACHED = "attached"
    """Messages flow."""
    CLOSING = "closing"
    """The application has closed; what is queued is sent, and the close itself is to be confirmed."""
    ENDED = "ended"
    """Over, for good."""


class SessionEvent(StrEnum):
    """What changes the state of a session."""

    REGISTER = "register"
    SEEK = "seek"
    REGISTERED = "registered"
    ATTACHED = "attached"
    LOST = "lost"
    CLOSE = "close"
    END = "end"


_S = SessionState
_E = SessionEvent

SESSION_TABLE: Final[Mapping[tuple[SessionState, SessionEvent], SessionState]] = {
    (_S.NEW, _E.REGISTER): _S.REGISTERING,
    (_S.NEW, _E.SEEK): _S.DETACHED,
    (_S.NEW, _E.END): _S.ENDED,
    (_S.REGISTERING, _E.REGISTERED): _S.DETACHED,
    (_S.REGISTERING, _E.END): _S.ENDED,
    (_S.DETACHED, _E.ATTACHED): _S.ATTACHED,
    (_S.DETACHED, _E.LOST): _S.DETACHED,
    (_S.DETACHED, _E.CLOSE): _S.CLOSING,
    (_S.DETACHED, _E.END): _S.ENDED,
    (_S.ATTACHED, _E.ATTACHED): _S.ATTACHED,
    (_S.ATTACHED, _E.LOST): _S.DETACHED,
    (_S.ATTACHED, _E.CLOSE): _S.CLOSING,
    (_S.ATTACHED, _E.END): _S.ENDED,
    (_S.CLOSING, _E.ATTACHED): _S.CLOSING,
    (_S.CLOSING, _E.LOST): _S.CLOSING,
    (_S.CLOSING, _E.END): _S.ENDED,
}


class Phase(StrEnum):
    """Where an attachment is."""

    CONNECTING = "connecting"
    """The shell opens the WebSocket. A direct attachment has no such phase."""
    HANDSHAKE = "handshake"
    """Connected; the gateway is to name its principal."""
    OPENING = "opening"
    """``ws_open`` is sent; the certified attach message (omnia: open message) is to come, and nothing else counts."""
    ATTACHED = "attached"
    """Verified; messages flow."""
    OVER = "over"
    """Lost, refused or left."""


class PhaseEvent(StrEnum):
    """What changes the phase of an attachment."""

    CONNECTED = "connected"
    OPEN_SENT = "open sent"
    ATTACH_VERIFIED = "attach verified"
    LEFT = "left"


_P = Phase
_F = PhaseEvent

PHASE_TABLE: Final[Mapping[tuple[Phase, PhaseEvent], Phase]] = {
    (_P.CONNECTING, _F.CONNECTED): _P.HANDSHAKE,
    (_P.CONNECTING, _F.OPEN_SENT): _P.OPENING,  # a direct attachment needs neither connection nor handshake
    (_P.CONNECTING, _F.LEFT): _P.OVER,
    (_P.HANDSHAKE, _F.OPEN_SENT): _P.OPENING,
    (_P.HANDSHAKE, _F.LEFT): _P.OVER,
    (_P.OPENING, _F.ATTACH_VERIFIED): _P.ATTACHED,
    (_P.OPENING, _F.LEFT): _P.OVER,
    (_P.ATTACHED, _F.LEFT): _P.OVER,
}

_State = TypeVar("_State", bound=StrEnum)
_Event = TypeVar("_Event", bound=StrEnum)


class _States(Generic[_State, _Event]):
    """A state that only a table changes."""

    __slots__ = ("_table", "state")

    def __init__(self, state: _State, table: Mapping[tuple[_State, _Event], _State]) -> None:
        self.state = state
        self._table = table

    def apply(self, event: _Event) -> None:
        """Take the change for ``event``.

        Raises:
            MisuseError: there is none in this state.
        """
        try:
            self.state = self._table[self.state, event]
        except KeyError as error:
            raise MisuseError(
                "this cannot happen in this state",
                reason=Reason.WRONG_STATE,
                state=str(self.state),
                event=str(event),
            ) from error

    def allows(self, event: _Event) -> bool:
        """Whether the table has a change for ``event`` in this state."""
        return (self.state, event) in self._table


class SessionStates(_States[SessionState, SessionEvent]):
    """The state of one session."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(SessionState.NEW, SESSION_TABLE)


class AttachmentPhases(_States[Phase, PhaseEvent]):
    """The phase of one attachment."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(Phase.CONNECTING, PHASE_TABLE)
