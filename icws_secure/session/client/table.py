"""The states of a client session and of its attachment, and every change between them."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["SessionState"]


class SessionState(StrEnum):
    """Where a session is."""

    NEW = "new"
    REGISTERING = "registering"
    DETACHED = "detached"
    ATTACHED = "attached"
    CLOSING = "closing"
    ENDED = "ended"
