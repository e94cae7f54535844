"""Replies of the IC over HTTP: what is one, what is none, and what the end of a connection says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icws_gateway.http_reply import MAX_HEAD_BYTES, HttpFault, HttpReply, ReplyReader, ReplyTooLarge

OK = b"HTTP/1.1 200 OK\r\n"
SIMPLE = OK + b"Content-Length: 3\r\n\r\nabc"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: u\r\n\r\n"
TO_THE_END = b"HTTP/1.0 200 OK\r\n\r\nabc"
MOST = 1_000


def read(*pieces: bytes, end: bool = False, reader: ReplyReader | None = None) -> HttpReply | None:
    reader = reader or ReplyReader(MOST)
    reader.expect()
    for piece in pieces:
        if (reply := reader.feed(piece)) is not None:
            return reply
    return reader.end() if end else None


@pytest.mark.parametrize(
    ("data", "reply"),
    [
        (SIMPLE, HttpReply(200, b"abc")),
        (CHUNKED, HttpReply(200, b"abcde")),
        (b"HTTP/1.1 204 No Content\r\n\r\n", HttpReply(204, b"")),
        (b"HTTP/1.1 503 \r\nContent-Length: 0\r\n\r\n", HttpReply(503, b"")),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + SIMPLE, HttpReply(200, b"abc")),
    ],
    ids=["length", "chunked", "no-content", "empty", "announced"],
)
def test_reply_is_read_however_it_is_cut(data, reply):
    assert read(data) == reply
    for cut in range(1, len(data)):
        assert read(data[:cut]) is None
        assert read(data[:cut], data[cut:]) == reply
    assert read(*(data[at : at + 1] for at in range(len(data)))) == reply


@pytest.mark.req("ICWS-LIB-026")
def test_reply_does_not_show_what_it_says():
    assert repr(read(SIMPLE)) == f"{read(SIMPLE)!s}" == "HttpReply(status=200, 3 bytes)"


def test_end_of_the_connection_ends_a_body_of_no_told_length():
    assert read(TO_THE_END) is None
    assert read(TO_THE_END, end=True) == HttpReply(200, b"abc")


@pytest.mark.parametrize("data", [b"", b"HTTP/1.1 200", OK, SIMPLE[:-1], CHUNKED[:-2]])
def test_reply_that_is_cut_off_is_none(data):
    with pytest.raises(HttpFault, match="the connection ended"):
        read(*([data] if data else []), end=True)


@pytest.mark.parametrize(
    "data",
    [
        b"\x00",
        b"SSH-2.0-x\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        OK + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
        OK + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        OK + b"Content-Length: +3\r\n\r\nabc",
        OK + b"Content-Length : 3\r\n\r\nabc",
        OK.replace(b"\r", b"") + b"Content-Length: 3\n\nabc",
        OK + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        SIMPLE + SIMPLE,
        SIMPLE + b"x",
        SIMPLE.replace(b"OK\r\n", b"OK\r\nConnection: close\r\n") + b"x",
    ],
)
def test_what_two_readers_could_read_differently_is_no_reply(data):
    with pytest.raises(HttpFault):
        read(data)


@pytest.mark.req("ICWS-GWY-018")
@pytest.mark.parametrize(
    "data",
    [
        OK + b"Content-Length: %d\r\n\r\n" % (MOST + 1),
        OK + b"Content-Length: 99999999999999999999999\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\na\r\n" * (MOST + 1),
        b"HTTP/1.0 200 OK\r\n\r\n" + bytes(MOST + 1),
        OK + b"X: " + b"x" * MAX_HEAD_BYTES + b"\r\n\r\n",
        OK + b"X: y\r\n" * (MAX_HEAD_BYTES // 6) + b"\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n3;" + b"x" * MAX_HEAD_BYTES,
        OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + b"X: y\r\n" * (MAX_HEAD_BYTES // 6),
        b"HTTP/1.1 100 Continue\r\n\r\n" * (MAX_HEAD_BYTES // 25 + 1),
    ],
    ids=["length", "huge", "chunks", "to-the-end", "header", "headers", "extension", "trailers", "announcements"],
)
@pytest.mark.parametrize("step", [7, 1 << 20])
def test_everything_is_bounded(data, step):
    with pytest.raises(HttpFault) as caught:
        read(*(data[at : at + step] for at in range(0, len(data), step)))
    # numbers that no computer holds are refused as what they are; all else as too large
    assert isinstance(caught.value, ReplyTooLarge) or b"99999999" in data


def test_most_that_is_allowed_is_read():
    body = bytes(MOST)
    assert read(OK + b"Content-Length: %d\r\n\r\n" % MOST + body) == HttpReply(200, body)
    padding = b"X: " + b"x" * (MAX_HEAD_BYTES - 100) + b"\r\n"
    assert read(OK + padding + b"Content-Length: 3\r\n\r\nabc") == HttpReply(200, b"abc")


def test_connection_that_stays_carries_one_reply_after_another():
    reader = ReplyReader(MOST)
    assert not reader.reusable
    for data, reply in ((SIMPLE, b"abc"), (CHUNKED, b"abcde"), (SIMPLE, b"abc")):
        assert read(data, reader=reader) == HttpReply(200, reply)
        assert reader.reusable
    assert read(SIMPLE.replace(b"OK\r\n", b"OK\r\nConnection: close\r\n"), reader=reader) == HttpReply(200, b"abc")
    assert not reader.reusable


def test_bytes_that_nobody_asked_for_are_a_fault():
    reader = ReplyReader(MOST)
    read(SIMPLE, reader=reader)
    with pytest.raises(HttpFault, match="nobody asked"):
        reader.feed(SIMPLE)


def test_it_tells_whether_anything_of_a_reply_has_come():
    reader = ReplyReader(MOST)
    assert not reader.untouched
    reader.expect()
    assert reader.untouched
    reader.feed(b"H")
    assert not reader.untouched


@given(
    st.lists(
        st.one_of(
            st.sampled_from([OK, SIMPLE, CHUNKED, TO_THE_END, b"\r\n", b"Content-Length: 3\r\n", b"0\r\n\r\n", b"abc"]),
            st.binary(max_size=20),
        ),
        max_size=8,
    ),
    st.integers(1, 40),
)
def test_any_bytes_give_a_reply_or_a_fault_and_the_same_however_they_are_cut(pieces, step):
    def outcome(parts):
        try:
            return read(*parts, end=True)
        except HttpFault:
            return "fault"

    data = b"".join(pieces)
    whole = outcome([data] if data else [])
    cut = outcome([data[at : at + step] for at in range(0, len(data), step)])
    # cut after a whole reply, the rest is a fault of its own: the connection is not used again
    assert whole == cut or (whole == "fault" and isinstance(cut, HttpReply))
