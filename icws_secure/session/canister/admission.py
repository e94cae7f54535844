"""What ``inspect_message`` refuses: free of charge, on one node, and never the only check."""

from __future__ import annotations

from typing import Final

from icws_secure.limits import SMALL_ARGUMENT_BYTES
from icws_secure.wire.principal import Principal
from icws_secure.wire.refusal import RefusalCode
from icws_secure.wire.registration import SessionState

from .config import CanisterConfig
from .refusal import refuse
from .state import CanisterState

__all__ = ["OMNIA_METHODS", "QUERIES", "SECURE_METHODS", "argument_limit", "check_size", "inspect"]

OMNIA_METHODS: Final = frozenset({"ws_open", "ws_close", "ws_message", "ws_get_messages"})
"""Methods of both profiles."""

SECURE_METHODS: Final = frozenset(
    {"ws_register", "ws_params", "ws_message_batch", "ws_audit", "ws_revoke", "ws_sessions"}
)
"""Methods of ``icws-secure/1`` alone."""

QUERIES: Final = frozenset({"ws_get_messages", "ws_audit", "ws_sessions"})
"""Methods that are queries."""

_MESSAGE_OVERHEAD: Final = 1 << 10  # bytes around a message's content


def argument_limit(config: CanisterConfig, method: str) -> int:
    """Most bytes of the argument of a method."""
    if method == "ws_message":
        return config.max_content_bytes + _MESSAGE_OVERHEAD
    if method == "ws_message_batch":
        return max(config.max_content_bytes, config.window_bytes) + config.window_messages * _MESSAGE_OVERHEAD
    return SMALL_ARGUMENT_BYTES


def check_size(config: CanisterConfig, method: str, size: int) -> None:
    """Refuse an argument that is too large to be looked at.

    Raises:
        RefusalError: ``ContentTooLarge`` or ``MalformedArgument``.
    """
    # [ICWS-CAN-070]
    if size > argument_limit(config, method):
        content = method in ("ws_message", "ws_message_batch")
        # [ICWS-CAN-035]
        code = RefusalCode.CONTENT_TOO_LARGE if content else RefusalCode.MALFORMED_ARGUMENT
        refuse(code, f"the argument has {size} bytes")


def inspect(state: CanisterState, config: CanisterConfig, caller: Principal, method: str, size: int) -> bool:
    """Whether a user's update call of a session method is worth an execution.

    Args:
        state: the present one.
        config: the settings.
        caller: who signed.
        method: one of the session methods.
        size: bytes of the argument.
    """
    # [ICWS-CAN-070]
    if caller.is_anonymous or size > argument_limit(config, method):
        return False
    session = state.sessions.get(caller)
    if method == "ws_open":
        return config.omnia or session is not None or caller in state.pending_owners
    if method in ("ws_message", "ws_message_batch"):
        return session is not None and session.state is not SessionState.CLOSED
    if method == "ws_close":
        return caller in state.queues
    if not config.secure:
        return False
    if method == "ws_register":
        full = len(state.sessions) + len(state.pending) >= config.max_sessions
        return caller.is_self_authenticating and (not full or caller in state.owners)
    if method == "ws_params":
        return session is not None or caller in state.pending_owners
    if method == "ws_audit":
        return session is not None or caller in state.pending_owners or caller in state.queues
    return method == "ws_revoke" and caller.is_self_authenticating
