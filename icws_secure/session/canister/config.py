"""What may be set at a canister, and within which bounds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from icws_secure import limits
from icws_secure.errors import MisuseError, Reason
from icws_secure.wire.principal import Principal

from .sealing import PlainSuite, SuiteProvider

__all__ = ["OMNIA", "SECURE", "CanisterConfig"]

SECURE: Final = "secure"
"""Name of the profile ``icws-secure/1`` in settings."""

OMNIA: Final = "omnia"
"""Name of the profile ``omnia/1`` in settings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CanisterConfig:
    """Settings of a canister's sessions. Times are nanoseconds.

    Attributes:
        profiles: ``{"secure"}``, ``{"omnia"}`` or both.
        ack_interval_ns: between acknowledgements to one client; at least 60 s where secure sessions are served.
        ack_jitter: part of the interval by which it is shortened at most, 0 to 0.5, so that sessions spread out.
        keep_alive_timeout_ns: time to answer an acknowledgement.
        detach_after_open_ns: an attach without any call of the session key for this long is detached.
        resume_window_ns: how long a detached session can be resumed.
        session_ttl_ns: longest time from registration to expiry, up to 7 days.
        unopened_ttl_ns: how long a registration waits for its first open.
        refused_ttl_ns: how long an ended pair of owner and session principal is refused.
        max_sessions: registrations and sessions in all, those included that have ended and are remembered.
        max_sessions_per_owner: live registrations and sessions of one owner.
        max_ended_per_owner: ended ones of one owner that are remembered.
        allow_register: asked for new owners once three quarters of ``max_sessions`` are taken; without it they are
            refused.
        window_messages: client messages kept that are not handled yet, a session.
        window_bytes: bytes of them, a session.
        window_total_bytes: bytes of them, all sessions.
        gap_ttl_ns: how long a message waits behind a gap.
        max_content_bytes: content of one message, either way.
        retained_messages: unacknowledged messages kept, a session.
        retained_bytes: bytes of them, a session.
        retained_total_bytes: bytes of them, all sessions.
        queue_messages: entries of one gateway's queue.
        queue_bytes: bytes of one gateway's queue.
        queue_total_bytes: bytes of all queues.
        max_gateways: queues in all.
        poll_messages: messages a poll.
        poll_bytes: bytes a poll, witness included.
        suites: the payload suites; none but ``none`` by default.

    Raises:
        MisuseError: a value is out of its bounds.
    """

    profiles: frozenset[str] = frozenset({SECURE, OMNIA})
    ack_interval_ns: int = limits.ACK_INTERVAL_NS
    ack_jitter: float = 0.1
    keep_alive_timeout_ns: int = limits.KEEP_ALIVE_TIMEOUT_NS
    detach_after_open_ns: int = limits.DETACH_AFTER_OPEN_NS
    resume_window_ns: int = limits.RESUME_WINDOW_NS
    session_ttl_ns: int = limits.SESSION_TTL_NS
    unopened_ttl_ns: int = limits.UNOPENED_TTL_NS
    refused_ttl_ns: int = limits.REFUSED_TTL_NS
    max_sessions: int = limits.MAX_SESSIONS
    max_sessions_per_owner: int = limits.SESSIONS_PER_OWNER
    max_ended_per_owner: int = limits.ENDED_PER_OWNER
    allow_register: Callable[[Principal], bool] | None = None
    window_messages: int = limits.REORDER_WINDOW_MESSAGES
    window_bytes: int = limits.REORDER_WINDOW_BYTES
    window_total_bytes: int = limits.REORDER_TOTAL_BYTES
    gap_ttl_ns: int = limits.REORDER_GAP_TTL_NS
    max_content_bytes: int = limits.MAX_CONTENT_BYTES
    retained_messages: int = limits.RETAINED_MESSAGES
    retained_bytes: int = limits.RETAINED_BYTES
    retained_total_bytes: int = limits.RETAINED_TOTAL_BYTES
    queue_messages: int = limits.QUEUE_MESSAGES
    queue_bytes: int = limits.QUEUE_BYTES
    queue_total_bytes: int = limits.QUEUE_TOTAL_BYTES
    max_gateways: int = limits.MAX_GATEWAYS
    poll_messages: int = limits.POLL_MESSAGES
    poll_bytes: int = limits.POLL_BYTES
    suites: SuiteProvider = field(default_factory=PlainSuite)

    def __post_init__(self) -> None:
        if not self.profiles or not self.profiles <= {SECURE, OMNIA}:
            raise MisuseError("profiles are 'secure' and 'omnia'", reason=Reason.INVALID_ARGUMENT)
        if self.secure:
            _within("ack_interval_ns", self.ack_interval_ns, limits.MIN_ACK_INTERVAL_NS)
        _within("resume_window_ns", self.resume_window_ns, 1, limits.MAX_RESUME_WINDOW_NS)
        # [ICWS-CAN-006]
        _within("session_ttl_ns", self.session_ttl_ns, 1, limits.MAX_SESSION_TTL_NS)
        # [ICWS-CAN-005] a shorter refusal would be outlived by a withheld ingress message
        _within("refused_ttl_ns", self.refused_ttl_ns, limits.REFUSED_TTL_NS)
        _within("window_messages", self.window_messages, 1, 1024)
        _within("max_content_bytes", self.max_content_bytes, 1, limits.MAX_CONTENT_BYTES)
        _within("poll_messages", self.poll_messages, 1, limits.POLL_MESSAGES)
        _within("poll_bytes", self.poll_bytes, 1, limits.POLL_BYTES)
        if not 0 <= self.ack_jitter <= 0.5:
            raise MisuseError("ack_jitter is out of range", reason=Reason.INVALID_ARGUMENT)
        for name in (
            *("ack_interval_ns", "keep_alive_timeout_ns", "detach_after_open_ns", "unopened_ttl_ns", "gap_ttl_ns"),
            *("max_sessions", "max_sessions_per_owner", "max_ended_per_owner", "max_gateways"),
            *("window_bytes", "window_total_bytes", "retained_messages", "retained_bytes", "retained_total_bytes"),
            *("queue_messages", "queue_bytes", "queue_total_bytes"),
        ):
            _within(name, getattr(self, name), 1)

    @property
    def secure(self) -> bool:
        """Whether ``icws-secure/1`` is served."""
        return SECURE in self.profiles

    @property
    def omnia(self) -> bool:
        """Whether ``omnia/1`` is served."""
        return OMNIA in self.profiles


def _within(name: str, value: int, low: int, high: int | None = None) -> None:
    if value < low or (high is not None and value > high):
        raise MisuseError(f"{name} is out of range", reason=Reason.INVALID_ARGUMENT, received=value, low=low, high=high)
