"""Closing by the application: what is queued is sent, then the close, which is to be confirmed; within a limit."""

from __future__ import annotations

from typing import Final

from ...errors import MisuseError, Reason, SessionEnded
from ...limits import NS_PER_S
from ...wire.close_codes import SessionCloseCode
from ...wire.registration import RevokeArgument, encode_revoke_argument
from .core import Purpose, SessionCore, What
from .endings import ended_by
from .outbox import Kind
from .table import SessionEvent, SessionState

__all__ = ["Closer", "check_close"]

_REVOKE_TTL_NS: Final = 60 * NS_PER_S
_MAX_REASON_BYTES: Final = 123  # RFC 6455: a control frame has 125 bytes, and the code takes two


def check_close(code: int, words: str) -> None:
    """Check that an application may close a WebSocket so (RFC 6455, section 7.4).

    Raises:
        MisuseError: the code is neither 1000 nor from 3000 to 4999, or the words are too long.
    """
    if code != 1000 and not 3000 <= code <= 4999:
        raise MisuseError("a close code is 1000, or from 3000 to 4999", reason=Reason.INVALID_ARGUMENT, received=code)
    size = len(words.encode("utf-8", "replace"))
    if size > _MAX_REASON_BYTES:
        raise MisuseError(
            "the reason of a close is too long", reason=Reason.TOO_LARGE, limit=_MAX_REASON_BYTES, received=size
        )


class Closer:
    """Ends one session on the application's behalf.

    Args:
        core: the session.
    """

    def __init__(self, core: SessionCore) -> None:
        self._core = core
        self._limit_at: int | None = None
        self.code = 1000
        self.words = ""

    def close(self, code: int, words: str) -> None:
        """Begin to close.

        Raises:
            SessionEnded: there is nothing to wait for: the session was never open, or is an omnia session.
        """
        core = self._core
        self.code = code
        self.words = words
        if core.states.state in (SessionState.NEW, SessionState.REGISTERING) or not core.was_opened:
            raise self._end()
        core.states.apply(SessionEvent.CLOSE)
        self._limit_at = core.now + core.config.close_timeout_ns
        if core.is_secure:
            core.outbox.put_close()
            if core.attached is None:
                self._revoke()
        elif core.attached is None:
            raise self._end()

    def tick(self) -> None:
        """See whether the close is done.

        Raises:
            SessionEnded: it is, or the limit has passed.
        """
        core = self._core
        if core.states.state is not SessionState.CLOSING:
            return
        outbox = core.outbox
        is_sent = not outbox.waiting and not outbox.entries
        if not core.is_secure:
            if is_sent or (self._limit_at is not None and core.now >= self._limit_at):
                raise self._end()
            return
        kinds = {item.kind for item in outbox.waiting} | {entry.kind for entry in outbox.entries.values()}
        # The close is confirmed; a head may still have to tell what became of the messages before it.
        is_done = Kind.CLOSE not in kinds and Kind.DATA not in kinds
        if is_done or (self._limit_at is not None and core.now >= self._limit_at):
            raise self._end()

    def revoked(self) -> None:
        """``ws_revoke`` was answered; either way the session is over on this side.

        Raises:
            SessionEnded: always.
        """
        raise self._end()

    def next_deadline(self) -> int | None:
        """Session time at which :meth:`tick` is due."""
        return self._limit_at if self._core.states.state is SessionState.CLOSING else None

    def _revoke(self) -> None:
        """Without an attachment the session key ends the session by a direct call."""
        core = self._core
        argument = encode_revoke_argument(RevokeArgument(core.identity.principal, core.ic))
        core.calls.post(Purpose(What.REVOKE), core.identity, core.sign_call("ws_revoke", argument, _REVOKE_TTL_NS))

    def _end(self) -> SessionEnded:
        return ended_by(SessionCloseCode.CLIENT_CLOSED)
