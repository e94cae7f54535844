"""Polling: the direct attachment's way to the canister's messages. The client is its own gateway. [ICWS-CLT-073]

What a poll brings is put into the same form as a gateway's frame and goes the same way. An empty poll proves nothing:
whether messages are held back, an audit tells.
"""

from __future__ import annotations

from typing import Final

from ...errors import DecodeError, IcwsError, Reason, TransportError
from ...limits import NS_PER_S
from ...wire.frames import KeyedContent
from ...wire.http import QueryReplied
from ...wire.interface import (
    CertifiedMessages,
    Refusal,
    decode_get_messages_result,
    encode_get_messages_argument,
)
from ...wire.message import TOMBSTONE_CLIENT_KEY, parse_message_key
from .attachment import Attachment
from .calls import Outcome, QueryAnswered, QueryFailed
from .core import Purpose, SessionCore, What
from .receiving import Receiver
from .table import Phase

__all__ = ["Poller"]

_QUERY_TTL_NS: Final = 60 * NS_PER_S
_MAX_FAILURES: Final = 5  # in a row, before the direct attachment is given up


class Poller:
    """Polls for one session while its attachment is direct.

    Args:
        core: the session.
        receiver: takes the messages.
    """

    def __init__(self, core: SessionCore, receiver: Receiver) -> None:
        self._core = core
        self._receiver = receiver
        self._serial = 0
        self._is_asking = False
        self._next_at = 0
        self._interval_ns = 0
        self._nonce = 0
        self._verified_nonce = 0  # after the last message that was proven to be there
        self._failures = 0
        self._paused = False

    def pause(self, paused: bool) -> None:
        """The application is behind, or no longer: nothing more is fetched meanwhile."""
        self._paused = paused

    def _attachment(self) -> Attachment | None:
        attachment = self._core.attachment
        if attachment is None or not attachment.is_direct or not attachment.is_polling:
            return None  # another attachment than a direct one, or its open is not answered
        return attachment if attachment.phase in (Phase.OPENING, Phase.ATTACHED) else None

    def tick(self) -> None:
        """Send a poll if one is due."""
        core = self._core
        attachment = self._attachment()
        if attachment is None:
            return
        if attachment.serial != self._serial:
            self._serial = attachment.serial
            self._is_asking = False
            self._next_at = core.now
            self._interval_ns = core.config.poll_interval_ns
            self._failures = 0
            self._nonce = self._verified_nonce  # one false answer must not make the queue seem read for good
        if self._is_asking or self._paused or core.now < self._next_at:
            return
        self._is_asking = True
        envelope = core.sign_query("ws_get_messages", encode_get_messages_argument(self._nonce), _QUERY_TTL_NS)
        core.calls.query(Purpose(What.POLL, attachment.serial), envelope)

    def next_deadline(self) -> int | None:
        """Session time at which :meth:`tick` is due."""
        attachment = self._attachment()
        if attachment is None:
            return None
        if attachment.serial != self._serial:
            return self._core.now
        return None if self._is_asking or self._paused else self._next_at

    def soon(self) -> None:
        """The canister has executed a message of ours, and may have answered it."""
        self._interval_ns = self._core.config.poll_interval_ns
        self._next_at = min(self._next_at, self._core.now + self._interval_ns)

    def outcome(self, outcome: Outcome[Purpose]) -> None:
        """Take the answer to a poll.

        Raises:
            IcwsError: as :meth:`Receiver.messages`; TransportError when polls fail again and again.
        """
        attachment = self._attachment()
        if attachment is None or outcome.purpose.serial != attachment.serial:
            return
        self._is_asking = False
        if isinstance(outcome, QueryFailed):
            self._failed(outcome.error)
        elif isinstance(outcome, QueryAnswered):
            if not isinstance(outcome.response, QueryReplied):
                self._failed(_unanswered("a poll was rejected"))
                return
            try:
                result = decode_get_messages_result(outcome.response.arg)
            except DecodeError as error:
                self._failed(error)
                return
            if isinstance(result, Refusal):
                self._failed(_unanswered("a poll was refused"))
                return
            self._messages(attachment, result)

    def _messages(self, attachment: Attachment, result: CertifiedMessages) -> None:
        core = self._core
        # What is claimed to be another client's is of no use to us; a claim that is false is a loss, which an audit
        # shows.
        own = (core.client_key, TOMBSTONE_CLIENT_KEY)
        messages = [KeyedContent(item.key, item.content) for item in result.messages if item.client_key in own]
        if messages:
            self._receiver.messages(attachment, messages, result.cert, result.tree)
            self._verified_nonce = parse_message_key(messages[-1].key)[1] + 1
        if result.messages:
            # The others were queued for earlier clients of this principal; they must not be polled for ever.
            self._nonce = max(self._nonce, parse_message_key(result.messages[-1].key)[1] + 1)
        self._failures = 0
        if result.messages:
            self._interval_ns = core.config.poll_interval_ns
        else:
            self._interval_ns = min(self._interval_ns * 3 // 2, core.config.poll_interval_max_ns)
        more = bool(result.messages) and not result.is_end_of_queue
        self._next_at = core.now if more else core.now + self._interval_ns

    def _failed(self, error: IcwsError) -> None:
        self._failures += 1
        self._interval_ns = min(self._interval_ns * 2, self._core.config.backoff_max_ns)
        self._next_at = self._core.now + self._interval_ns
        if self._failures >= _MAX_FAILURES:
            raise error


def _unanswered(words: str) -> TransportError:
    return TransportError(words, reason=Reason.CONNECTION_FAILED)
