"""The gateway's HTTP client against servers that do as the test wants: kept connections, broken ones, limits, TLS."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import pytest

from icws_gateway.http_client import HttpClient
from icws_gateway.http_reply import HttpFault, HttpReply, ReplyTooLarge

REPLY = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CLOSING = REPLY.replace(b"OK\r\n", b"OK\r\nConnection: close\r\n")


@dataclass
class Origin:
    """A server.

    Attributes:
        answer: what to send for a request, and whether to close the connection then.
        requests: what came, head and body.
        connections: how many there were.
        open: how many there are.
    """

    answer: Callable[[bytes], Awaitable[tuple[bytes, bool]]]
    url: str = ""
    requests: list[bytes] = field(default_factory=list)
    connections: int = 0
    open: int = 0
    writers: list[asyncio.StreamWriter] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        self.writers.append(writer)
        try:
            while True:
                request = await reader.readuntil(b"\r\n\r\n")
                if b"Content-Length: " in request:
                    request += await reader.readexactly(int(request.split(b"Content-Length: ")[1].split(b"\r\n")[0]))
                self.requests.append(request)
                data, close = await self.answer(request)
                writer.write(data)
                if close:
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.open -= 1
            writer.close()


async def always(_: bytes) -> tuple[bytes, bool]:
    return REPLY, False


def silence() -> tuple[Callable[[bytes], Awaitable[tuple[bytes, bool]]], asyncio.Event]:
    """What answers nothing before the event."""
    over = asyncio.Event()

    async def silent(_: bytes) -> tuple[bytes, bool]:
        await over.wait()
        return REPLY, False

    return silent, over


Make = Callable[..., Awaitable[tuple[Origin, HttpClient]]]


@pytest.fixture
async def make() -> AsyncIterator[Make]:
    """An origin and a client of it."""
    async with AsyncExitStack() as stack:

        async def start(
            answer=always, *, most=4, path="", tls: ssl.SSLContext | None = None, host="127.0.0.1"
        ) -> tuple[Origin, HttpClient]:
            origin = Origin(answer)
            server = await asyncio.start_server(origin.serve, "127.0.0.1", 0, ssl=tls)
            stack.callback(server.close)
            scheme = "https" if tls else "http"
            origin.url = f"{scheme}://{host}:{server.sockets[0].getsockname()[1]}{path}"
            client = HttpClient(origin.url, headers={"Accept": "x/y"}, most_connections=most, max_body_bytes=1_000)
            stack.push_async_callback(client.close)
            return origin, client

        yield start


async def test_request_says_what_it_must(make):
    origin, client = await make(path="/base/")
    assert await client.request("POST", "/api", b"body", 60) == HttpReply(200, b"ok")
    assert await client.request("GET", "/status", None, 60) == HttpReply(200, b"ok")
    host = origin.url.split("/")[2].encode()
    head = b"Host: " + host + b"\r\nAccept: x/y\r\n"
    assert origin.requests == [
        b"POST /base/api HTTP/1.1\r\n" + head + b"Content-Length: 4\r\n\r\nbody",
        b"GET /base/status HTTP/1.1\r\n" + head + b"\r\n",
    ]


async def test_connection_is_kept_for_the_next_request(make):
    origin, client = await make()
    for _ in range(5):
        await client.request("GET", "/", None, 60)
    assert (origin.connections, origin.open) == (1, 1)


async def test_connection_that_the_other_side_ends_is_not_used_again(make, eventually):
    async def closing(_):
        return CLOSING, True

    origin, client = await make(closing)
    for _ in range(3):
        await client.request("GET", "/", None, 60)
    assert origin.connections == 3
    await eventually(lambda: not origin.open)


async def test_kept_connection_that_was_closed_meanwhile_costs_no_failure(make):
    async def once(_):
        return REPLY, True  # closed behind the reply, without a word before

    origin, client = await make(once)
    for _ in range(5):
        assert await client.request("POST", "/", b"x", 60) == HttpReply(200, b"ok")
    assert origin.connections == 5


async def test_kept_connection_that_is_closed_at_the_request_is_replaced_once(make):
    async def fickle(request):
        if b"second" in request and origin.connections == 1:
            return b"", True
        return REPLY, False

    origin, client = await make(fickle)
    await client.request("GET", "/first", None, 60)
    assert await client.request("GET", "/second", None, 60) == HttpReply(200, b"ok")
    assert origin.connections == 2


@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 20", REPLY[:-1]])
async def test_new_connection_that_breaks_is_a_failure_at_once(make, sent):
    async def broken(_):
        return sent, True

    origin, client = await make(broken)
    with pytest.raises((HttpFault, ConnectionError)):
        await client.request("GET", "/", None, 60)
    assert origin.connections == 1


async def test_kept_connection_that_breaks_within_a_reply_is_a_failure(make):
    async def later(request):
        return (REPLY[:-1], True) if b"second" in request else (REPLY, False)

    origin, client = await make(later)
    await client.request("GET", "/first", None, 60)
    with pytest.raises(HttpFault, match="ended within a reply"):
        await client.request("GET", "/second", None, 60)
    assert origin.connections == 1


async def test_reply_that_comes_too_late_is_not_taken_for_the_next_ones(make, eventually):
    release = asyncio.Event()

    async def slow(request):
        if b"slow" in request:
            await release.wait()
            return REPLY.replace(b"ok", b"no"), False
        return REPLY, False

    origin, client = await make(slow)
    with pytest.raises(TimeoutError):
        await client.request("GET", "/slow", None, 0.05)
    assert await client.request("GET", "/", None, 60) == HttpReply(200, b"ok")
    release.set()
    await eventually(lambda: origin.open == 1)
    assert await client.request("GET", "/", None, 60) == HttpReply(200, b"ok")


async def test_request_that_is_given_up_closes_its_connection(make, eventually):
    silent, over = silence()
    origin, client = await make(silent)
    task = asyncio.create_task(client.request("GET", "/", None, 60))
    await eventually(lambda: origin.requests)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    over.set()
    await eventually(lambda: not origin.open)


async def test_bytes_that_nobody_asked_for_end_the_connection(make, eventually):
    origin, client = await make()
    await client.request("GET", "/", None, 60)
    origin.writers[0].write(REPLY.replace(b"ok", b"no"))
    await eventually(lambda: not origin.open)
    assert await client.request("GET", "/", None, 60) == HttpReply(200, b"ok")
    assert origin.connections == 2


@pytest.mark.req("ICWS-GWY-018")
async def test_reply_that_is_too_large_ends_the_connection_and_nothing_else(make, eventually):
    async def large(request):
        if b"large" in request:
            return b"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n" + bytes(1001), False
        return REPLY, False

    origin, client = await make(large)
    with pytest.raises(ReplyTooLarge):
        await client.request("GET", "/large", None, 60)
    assert await client.request("GET", "/", None, 60) == HttpReply(200, b"ok")
    await eventually(lambda: origin.open == 1)


@pytest.mark.req("ICWS-GWY-018")
async def test_requests_beyond_the_connections_wait_for_one(make):
    under_way = most = 0

    async def counted(_):
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.01)
        under_way -= 1
        return REPLY, False

    origin, client = await make(counted, most=3)
    replies = await asyncio.gather(*(client.request("GET", "/", None, 60) for _ in range(20)))
    assert replies == [HttpReply(200, b"ok")] * 20
    assert most <= 3
    assert origin.connections <= 3


async def test_waiting_for_a_connection_counts_as_waiting(make, eventually):
    silent, over = silence()
    origin, client = await make(silent, most=1)
    first = asyncio.create_task(client.request("GET", "/", None, 60))
    await eventually(lambda: origin.requests)
    with pytest.raises(TimeoutError):
        await client.request("GET", "/", None, 0.05)
    over.set()
    assert await first == HttpReply(200, b"ok")
    assert origin.connections == 1


async def test_nobody_there_is_an_error_of_the_system():
    lost = HttpClient("http://127.0.0.1:1", headers={}, most_connections=1, max_body_bytes=10)
    with pytest.raises(OSError, match=r"refused|Connect call failed"):
        await lost.request("GET", "/", None, 60)
    nameless = HttpClient("http://name.invalid", headers={}, most_connections=1, max_body_bytes=10)
    with pytest.raises(OSError, match=r".+"):
        await nameless.request("GET", "/", None, 60)


async def test_end_fails_what_is_under_way(make, eventually):
    silent, over = silence()
    origin, client = await make(silent)
    task = asyncio.create_task(client.request("GET", "/", None, 60))
    await eventually(lambda: origin.requests)
    await client.close()
    with pytest.raises(ConnectionError):
        await task
    over.set()


async def test_https_is_believed_only_under_a_trusted_certificate(make, write_certificate, tmp_path, monkeypatch):
    chain, secret = write_certificate(tmp_path, "localhost")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(chain, secret)
    origin, stranger = await make(tls=context, host="localhost")
    with pytest.raises(ssl.SSLCertVerificationError):
        await stranger.request("GET", "/", None, 60)
    assert not origin.requests
    monkeypatch.setenv("SSL_CERT_FILE", str(chain))
    trusted, client = await make(tls=context, host="localhost")
    assert await client.request("GET", "/", None, 60) == HttpReply(200, b"ok")
    misnamed, other = await make(tls=context, host="127.0.0.1")
    with pytest.raises(ssl.SSLCertVerificationError):
        await other.request("GET", "/", None, 60)
    assert (len(trusted.requests), len(misnamed.requests)) == (1, 0)
