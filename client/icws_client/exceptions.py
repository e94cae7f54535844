"""What the end of a session looks like to an application: the habit of the ``websockets`` package.

::

    SessionEnded
      ConnectionClosed              the session is over; nothing more can be sent or received
        ConnectionClosedOK          closed in order, by this client or by the canister's application
        ConnectionClosedError       expired, revoked, out of its resume window, state lost or forked, given up

    StallError
      NoMessage                     no message came within the time that the application gave
      OutcomeUnknown                nothing can be proven about a message: it may or may not have been executed

Both ends carry ``code`` and ``close_reason`` of the table in ``spec/protocol.md``, and all facts of the
:class:`SessionEnded` that the session's state machine ended with, which is also their ``__cause__``.
"""

from __future__ import annotations

from typing import Final

from icws_secure.errors import IcwsError, Reason, SessionEnded, StallError

__all__ = [
    "ConnectionClosed",
    "ConnectionClosedError",
    "ConnectionClosedOK",
    "NoMessage",
    "OutcomeUnknown",
    "closed",
    "unknown",
]

# ClientClosed, ApplicationClosed: somebody who had the right to do so said goodbye.
ORDERLY_CODES: Final = frozenset({1000, 4001})


class ConnectionClosed(SessionEnded):
    """The session is over: sending and receiving raise this from now on."""


class ConnectionClosedOK(ConnectionClosed):
    """The session was closed in order, by this client or by the canister's application."""


class ConnectionClosedError(ConnectionClosed):
    """The session ended for any other reason; ``code`` and ``close_reason`` say which."""


def closed(ended: SessionEnded) -> ConnectionClosed:
    """Return the exception that an application is given for *ended*.

    A new object every time, since an exception that is raised twice collects the tracebacks of both.
    """
    kind = ConnectionClosedOK if ended.code in ORDERLY_CODES else ConnectionClosedError
    facts = {name: value for name, value in ended.facts.items() if name not in ("code", "close_reason")}
    error = kind(
        ended.message,
        code=ended.code,
        close_reason=ended.close_reason,
        reason=ended.reason,
        requirement=ended.requirement,
        **facts,
    )
    error.__cause__ = ended
    return error


class NoMessage(StallError, TimeoutError):  # noqa: N818 - named like Refused and SessionEnded
    """No message came within the time that the application gave; the session goes on. Also a :class:`TimeoutError`."""


class OutcomeUnknown(StallError):  # noqa: N818 - named like Refused and SessionEnded
    """Nothing can be proven about a message that was sent: it may or may not have been executed, or may still be.

    What stood in the way of a proof is the ``__cause__``.
    """

    default_reason = Reason.OUTCOME_UNKNOWN


def unknown(cause: IcwsError) -> OutcomeUnknown:
    """Return what ``send`` raises where *cause* stood in the way of a proof."""
    error = OutcomeUnknown(
        f"the message may or may not have been executed: {cause.message}", requirement=cause.requirement
    )
    error.__cause__ = cause
    return error
