"""One client of the gateway as a table: what may happen to it, and what it leaves behind.

The machine knows nothing of sockets or of the IC. Its shell (:mod:`icws_gateway.connection`) reports events and does
what the transition says.

=============== ==================================================================================================
state           meaning
=============== ==================================================================================================
AWAITING_OPEN   the handshake frame went out; nothing is known of the client and nothing is kept for it
OPENING         its ws_open passed every check and is being relayed; messages of the canister are delivered already
OPEN            the ws_open was answered, or may still be executed; its calls are relayed
CLOSED          it left or was refused; final
=============== ==================================================================================================
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from types import MappingProxyType
from typing import Final

from icws_secure.errors import MisuseError, Reason

__all__ = ["TRANSITIONS", "ConnectionEvent", "ConnectionMachine", "ConnectionState", "Transition"]


class ConnectionState(Enum):
    """Where a connection stands; see the module."""

    AWAITING_OPEN = auto()
    OPENING = auto()
    OPEN = auto()
    CLOSED = auto()


class ConnectionEvent(Enum):
    """What can happen to a connection."""

    OPEN_VERIFIED = auto()
    """A ws_open passed every check of the gateway."""
    OPEN_ANSWERED = auto()
    """The call was executed, or accepted without an answer: the canister may have attached the client."""
    OPEN_REFUSED = auto()
    """The canister refused the ws_open, so there is nothing to close there."""
    SUPERSEDED = auto()
    """A verified open with a higher attach number took the client key over."""
    ENDED = auto()
    """The client left, or the gateway closed the connection for any other reason."""


@dataclass(frozen=True, slots=True)
class Transition:
    """What an event leads to.

    Attributes:
        state: the next state.
        release: the client key is to be taken out of the directory.
        ws_close: the canister is to be told that the client left.
    """

    state: ConnectionState
    release: bool = False
    ws_close: bool = False


_S, _E = ConnectionState, ConnectionEvent

TRANSITIONS: Final = MappingProxyType(
    {
        (_S.AWAITING_OPEN, _E.OPEN_VERIFIED): Transition(_S.OPENING),
        (_S.AWAITING_OPEN, _E.ENDED): Transition(_S.CLOSED),
        (_S.OPENING, _E.OPEN_ANSWERED): Transition(_S.OPEN),
        (_S.OPENING, _E.OPEN_REFUSED): Transition(_S.CLOSED, release=True),
        # the higher attach makes a close of this one void, and its entry in the directory is the other's already
        (_S.OPENING, _E.SUPERSEDED): Transition(_S.CLOSED),
        # [ICWS-GWY-013] the open may have been executed although nobody heard of it
        (_S.OPENING, _E.ENDED): Transition(_S.CLOSED, release=True, ws_close=True),
        (_S.OPEN, _E.SUPERSEDED): Transition(_S.CLOSED),
        # [ICWS-GWY-013]
        (_S.OPEN, _E.ENDED): Transition(_S.CLOSED, release=True, ws_close=True),
        # late events of a connection that is gone: the answer to its open, or its socket's end
        (_S.CLOSED, _E.OPEN_ANSWERED): Transition(_S.CLOSED),
        (_S.CLOSED, _E.OPEN_REFUSED): Transition(_S.CLOSED),
        (_S.CLOSED, _E.SUPERSEDED): Transition(_S.CLOSED),
        (_S.CLOSED, _E.ENDED): Transition(_S.CLOSED),
    }
)
"""Every pair that may occur. Any other is a mistake of the shell."""


class ConnectionMachine:
    """The state of one connection. Only :meth:`handle` changes it."""

    __slots__ = ("_state",)

    def __init__(self) -> None:
        self._state = ConnectionState.AWAITING_OPEN

    @property
    def state(self) -> ConnectionState:
        """Where the connection stands."""
        return self._state

    def handle(self, event: ConnectionEvent) -> Transition:
        """Applies ``event`` and says what must be done.

        Raises:
            MisuseError: WRONG_STATE, the event cannot occur here; the state is unchanged.
        """
        transition = TRANSITIONS.get((self._state, event))
        if transition is None:
            raise MisuseError(
                "this event cannot occur here", reason=Reason.WRONG_STATE, state=self._state.name, event=event.name
            )
        self._state = transition.state
        return transition
