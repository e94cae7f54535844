"""Replies of one HTTP/1.1 connection: bytes in, replies out; bounded, and strict wherever two readers could disagree.

The grammar is llhttp's, through ``httptools``, with none of its leniencies. What is added: a bound on everything, what
the end of the connection means, and that no byte that nobody asked for becomes part of the next reply.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

__all__ = ["MAX_HEAD_BYTES", "HttpFault", "HttpReply", "ReplyReader", "ReplyTooLarge"]

MAX_HEAD_BYTES: Final = 64 << 10
"""Of all that is not body: status line and headers, heads of chunks, trailers."""

_FRAMING: Final = (b"content-length", b"transfer-encoding")
_FIRST_FINAL: Final = 200  # statuses below it announce another reply


class HttpFault(Exception):  # noqa: N818 - named for what it is
    """What came is not the reply to what was asked. The connection is of no more use."""


class ReplyTooLarge(HttpFault):
    """The reply passes a bound."""


class HttpReply(NamedTuple):
    """A whole reply."""

    status: int
    body: bytes

    def __repr__(self) -> str:
        # [ICWS-LIB-026] what the canister says to its clients is for them
        return f"HttpReply(status={self.status}, {len(self.body)} bytes)"


class ReplyReader:
    """Reads the replies of one connection, of which one at a time is expected.

    Args:
        max_body_bytes: of one reply.
    """

    __slots__ = (
        "_body",
        "_done",
        "_expecting",
        "_framed",
        "_in_head",
        "_max_body",
        "_parser",
        "_read",
        "_size",
        "_stays",
    )

    def __init__(self, max_body_bytes: int) -> None:
        self._max_body = max_body_bytes
        self._parser = HttpResponseParser(self)
        self._expecting = self._stays = False
        self._begin()

    def _begin(self) -> None:
        self._body: list[bytes] = []
        self._size = self._read = 0
        self._in_head, self._framed, self._done = True, False, False

    @property
    def reusable(self) -> bool:
        """Whether the connection may carry another request: nothing is expected, and the other side stays."""
        return not self._expecting and self._stays

    def expect(self) -> None:
        """A request was sent; its reply is the next thing that may come."""
        self._expecting = True
        self._begin()

    def feed(self, data: bytes) -> HttpReply | None:
        """Takes what came; gives the reply once it is whole.

        Raises:
            ReplyTooLarge: a bound is passed.
            HttpFault: it is not HTTP, changes the protocol, or nothing was asked.
        """
        if not self._expecting:
            raise HttpFault("bytes came that nobody asked for")
        self._read += len(data)
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade as error:
            raise HttpFault("the other side changes the protocol") from error
        except HttpParserError as error:
            cause = error.__context__
            if isinstance(cause, HttpFault):
                raise cause from None
            raise HttpFault(f"this is not an HTTP reply: {error}") from error
        # [ICWS-GWY-018] the head is bounded, and so is what stands around a body in chunks
        if self._read > self._size + MAX_HEAD_BYTES:
            raise ReplyTooLarge("what stands around the body is too large")
        return self._finish() if self._done else None

    def end(self) -> HttpReply | None:
        """The other side has ended the connection. Gives the reply if that is how its end was to be told.

        Raises:
            HttpFault: the reply is not whole.
        """
        if not self._expecting:
            return None
        if self._in_head or self._framed:
            raise HttpFault("the connection ended within a reply" if self._read else "the connection ended")
        return self._finish()

    @property
    def untouched(self) -> bool:
        """Whether a reply is expected of which nothing has come."""
        return self._expecting and not self._read

    def _finish(self) -> HttpReply:
        self._expecting = False
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        self._body = []
        return HttpReply(self._parser.get_status_code(), body)

    # what the parser calls

    def on_message_begin(self) -> None:
        """The first byte of a reply."""
        if self._done:
            raise HttpFault("a second reply follows the first")

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header, whole."""
        if name.lower() in _FRAMING:
            self._framed = True
            # [ICWS-GWY-018] the length is the other side's word; what is read is bounded all the same
            if value.isdigit() and int(value[:19]) > self._max_body:
                raise ReplyTooLarge("the body is too large")

    def on_headers_complete(self) -> None:
        """The end of the head."""
        self._in_head, self._stays = False, self._parser.should_keep_alive()

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._size += len(body)
        if self._size > self._max_body:
            raise ReplyTooLarge("the body is too large")
        self._body.append(body)

    def on_message_complete(self) -> None:
        """The end of a reply."""
        if self._parser.get_status_code() < _FIRST_FINAL:
            self._in_head, self._framed = True, False
            return
        self._done = True
