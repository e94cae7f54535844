"""Actions become sockets, requests and writes; what happens there becomes inputs, in order and never of a link that
was left."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web

from icws_client import driver as driver_module
from icws_client import link as link_module
from icws_client.exceptions import ConnectionClosedOK
from icws_secure.errors import MisuseError, Reason, TransportError
from icws_secure.limits import NS_PER_S
from icws_secure.session.client import Connect, Disconnect, GatewayTarget, HttpRequest, SaveState, SendFrame

Make = Callable[..., Any]


async def test_connect_offers_the_subprotocol_and_reports_what_was_agreed(rig: Any, gateway: Any) -> None:
    rig.connect(gateway.url)
    await rig.until(lambda: rig.session.named("connected"))
    assert rig.session.named("connected") == [("icws-secure.1",)]


async def test_frames_go_out_and_come_in_in_order(rig: Any, gateway: Any) -> None:
    rig.connect(gateway.url)
    await rig.until(lambda: rig.session.named("connected"))
    rig.do(SendFrame(b"1"), SendFrame(b"2"))
    await rig.until(lambda: len(gateway.frames) == 2)
    assert gateway.frames == [b"1", b"2"]
    for frame in (b"a", "text", b"b"):
        await gateway.sockets[0].send(frame)
    await rig.until(lambda: len(rig.session.named("frame")) == 3)
    assert rig.session.named("frame") == [(b"a",), ("text",), (b"b",)]


async def test_a_frame_above_the_limit_ends_the_link(rig: Any, gateway: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "MAX_FRAME_BYTES", 10)
    rig.connect(gateway.url)
    await rig.until(lambda: gateway.sockets)
    await gateway.sockets[0].send(b"x" * 11)
    await rig.until(lambda: rig.session.named("disconnected"))
    assert rig.session.named("frame") == []


async def test_the_gateways_close_is_reported_with_code_and_reason(rig: Any, gateway: Any) -> None:
    rig.connect(gateway.url)
    await rig.until(lambda: gateway.sockets)
    await gateway.sockets[0].close(4503, "Draining")
    await rig.until(lambda: rig.session.named("disconnected"))
    assert rig.session.named("disconnected") == [(4503, "Draining")]


async def test_a_broken_connection_is_reported_as_abnormal(rig: Any, gateway: Any) -> None:
    rig.connect(gateway.url)
    await rig.until(lambda: gateway.sockets)
    gateway.sockets[0].transport.abort()
    await rig.until(lambda: rig.session.named("disconnected"))
    assert rig.session.named("disconnected") == [(1006, "")]


@pytest.mark.parametrize(
    "url", ["ws://127.0.0.1:1", "ws://localhost:1/", "ws://[::1]:1", "ws://nowhere.invalid", "ws://"]
)
async def test_a_gateway_that_cannot_be_reached_is_reported(rig: Any, url: str) -> None:
    rig.connect(url)
    await rig.until(lambda: rig.session.named("connect_failed"))
    assert isinstance(rig.session.named("connect_failed")[0][0], TransportError)


async def test_a_server_that_is_no_gateway_is_reported(rig: Any) -> None:
    async def close_at_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(close_at_once, "127.0.0.1", 0)
    async with server:
        rig.connect(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        await rig.until(lambda: rig.session.named("connect_failed"))


async def test_a_gateway_cannot_send_the_client_elsewhere(rig: Any, gateway: Any) -> None:
    async def redirect(request: web.Request) -> web.Response:
        raise web.HTTPTemporaryRedirect(gateway.url)

    async with _http(redirect) as url:
        rig.connect(url.replace("http", "ws"))
        await rig.until(lambda: rig.session.named("connect_failed"))
    assert gateway.sockets == []


async def test_connecting_is_bounded_in_time(rig: Any) -> None:
    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    async with server:
        rig.connect(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}", timeout_ns=NS_PER_S // 20)
        await rig.until(lambda: rig.session.named("connect_failed"))
        server.close()


async def test_a_link_that_was_left_reports_nothing_more(rig: Any, gateway: Any) -> None:
    rig.connect(gateway.url)
    await rig.until(lambda: gateway.sockets)
    await rig.until(lambda: rig.session.named("connected"))
    rig.do(Disconnect(4000, "VerificationFailed"))
    await rig.until(lambda: gateway.closed)
    assert gateway.closed == [(4000, "VerificationFailed")]
    rig.do(SendFrame(b"into the void"))
    await asyncio.sleep(0)
    assert rig.session.named("frame") == rig.session.named("disconnected") == []


async def test_a_new_link_takes_the_place_of_the_old(rig: Any, gateway: Any) -> None:
    rig.connect(gateway.url)
    await rig.until(lambda: rig.session.named("connected"))
    rig.do(Disconnect(1000, ""), Connect(GatewayTarget(gateway.url), (), 5 * NS_PER_S), SendFrame(b"new"))
    await rig.until(lambda: gateway.frames)
    assert gateway.frames == [b"new"]
    await rig.until(lambda: len(rig.session.named("connected")) == 2)
    assert rig.session.named("connected")[1] == (None,)  # this time no subprotocol was offered


async def test_an_attempt_can_be_called_off(rig: Any, gateway: Any) -> None:
    rig.do(Connect(GatewayTarget(gateway.url), (), 5 * NS_PER_S), Disconnect(1000, ""))
    await rig.until(lambda: not rig.connection._driver._links)
    assert rig.session.named("connected") == rig.session.named("connect_failed") == []


async def test_a_gateway_that_stalls_does_not_hold_up_the_close(
    rig: Any, gateway: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link_module, "CLOSE_TIMEOUT_S", 0.05)
    gateway.reading.clear()
    rig.connect(gateway.url)
    await rig.until(lambda: rig.session.named("connected"))
    gateway.sockets[0].transport.pause_reading()
    async with asyncio.timeout(60):
        await rig.connection.close()
    assert not rig.connection._driver._links


async def test_nothing_is_read_while_the_application_is_behind(rig: Any, gateway: Any) -> None:
    rig.connect(gateway.url)
    await rig.until(lambda: rig.session.named("connected"))
    await gateway.sockets[0].send(b"1")  # the link waits for this one already
    await rig.until(lambda: rig.session.named("frame"))
    rig.connection._driver.pause_reading()
    rig.connection._driver.pause_reading()
    await gateway.sockets[0].send(b"2")
    await gateway.sockets[0].send(b"3")
    await asyncio.sleep(0.05)
    assert len(rig.session.named("frame")) <= 2  # the one that was being waited for, and no more
    rig.connection._driver.resume_reading()
    await rig.until(lambda: len(rig.session.named("frame")) == 3)
    assert len(rig.session.named("reading_paused")) == len(rig.session.named("reading_resumed")) == 1


async def test_sending_waits_for_a_gateway_that_does_not_read(
    rig: Any, gateway: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link_module, "BACKLOG_BYTES", 1_000)
    gateway.reading.clear()
    rig.connect(gateway.url)
    await rig.until(lambda: rig.session.named("connected"))
    gateway.sockets[0].transport.pause_reading()
    rig.do(*(SendFrame(b"x" * (1 << 20)) for _ in range(16)))
    sending = asyncio.create_task(rig.connection.send(b"y", confirm="relayed"))
    await rig.until(lambda: rig.session.named("send"))
    await asyncio.sleep(0.05)
    assert not sending.done()
    gateway.sockets[0].transport.resume_reading()
    gateway.reading.set()
    await sending


async def test_each_request_is_answered_once(make_rig: Make) -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=202 if request.path == "/api/a" else 500, body=await request.read())

    async with _http(answer) as url:
        rig = make_rig(ic_url=url)
        await rig.open()
        rig.do(
            HttpRequest(7, "POST", "/api/a", b"body", NS_PER_S),
            HttpRequest(8, "POST", "/api/b", b"", NS_PER_S),
        )
        await rig.until(lambda: len(rig.session.named("http_response")) == 2)
        assert sorted(rig.session.named("http_response")) == [(7, 202, b"body"), (8, 500, b"")]
        await rig.connection.close()


async def test_a_request_without_an_answer_is_reported(rig: Any) -> None:
    rig.do(HttpRequest(9, "POST", "/x", b"", NS_PER_S))
    await rig.until(lambda: rig.session.named("http_failed"))
    request_id, error = rig.session.named("http_failed")[0]
    assert request_id == 9
    assert isinstance(error, TransportError)


async def test_the_machine_is_told_that_its_deadline_has_come(rig: Any) -> None:
    rig.session.deadline = rig.connection._driver.now() + NS_PER_S // 50
    rig.step()
    await rig.until(lambda: rig.session.named("tick"))


async def test_the_machine_hears_of_a_clock_that_was_set_back(rig: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver_module, "LONGEST_SLEEP_S", 0.01)
    driver = rig.connection._driver
    start = driver.now()
    rig.session.deadline = start + 10 * NS_PER_S
    monkeypatch.setattr(driver, "now", lambda: start - 3_600 * NS_PER_S)
    rig.step()
    await rig.until(lambda: rig.session.named("tick"))


async def test_the_state_is_on_the_disk_before_what_follows_is_done(make_rig: Make, gateway: Any) -> None:
    written, go = [], threading.Event()

    def save(state: bytes) -> None:
        go.wait(60)
        written.append((state, list(gateway.frames)))

    rig = make_rig(file=_File(save))
    await rig.open()
    rig.connect(gateway.url)
    await rig.until(lambda: rig.session.named("connected"))
    rig.do(SaveState(b"state 1"), SendFrame(b"after"))
    await asyncio.sleep(0.02)
    assert gateway.frames == []
    go.set()
    await rig.until(lambda: gateway.frames)
    assert written == [(b"state 1", [])]


async def test_a_state_that_cannot_be_saved_ends_the_connection_with_that_error(make_rig: Make) -> None:
    def save(state: bytes) -> None:
        raise MisuseError("the disk is full", reason=Reason.INVALID_ARGUMENT)

    file = _File(save)
    rig = make_rig(file=file)
    ws = await rig.open()
    rig.do(SaveState(b"state"), SendFrame(b"never"))
    with pytest.raises(MisuseError, match="the disk is full"):
        await ws.recv()
    assert not file.removed  # what was saved before may still be good
    assert file.closed


async def test_the_file_of_a_session_that_is_over_is_removed(make_rig: Make) -> None:
    file = _File(lambda state: None)
    ws = await make_rig(file=file).open()
    await ws.close()
    assert file.removed
    assert file.closed


async def test_a_session_that_found_no_gateway_stays_in_its_file(make_rig: Make) -> None:
    file = _File(lambda state: None)
    rig = make_rig(file=file)
    ws = await rig.open()
    rig.session.end(4022, "NoGateway")
    rig.step()
    await ws.wait_closed()
    assert not file.removed
    assert file.closed


async def test_suspending_leaves_the_session_in_its_file(make_rig: Make) -> None:
    saved: list[bytes] = []
    file = _File(saved.append)
    rig = make_rig(file=file)
    ws = await rig.open()
    await ws.suspend()
    assert saved == [b"exported"]
    assert rig.session.named("close") == []
    assert not file.removed
    assert file.closed
    with pytest.raises(ConnectionClosedOK):
        await ws.recv()


async def test_the_newest_of_several_states_is_enough(make_rig: Make) -> None:
    saved: list[bytes] = []
    rig = make_rig(file=_File(saved.append))
    await rig.open()
    rig.do(SaveState(b"1"), SaveState(b"2"), SendFrame(b"x"))
    await rig.until(lambda: saved)
    assert saved == [b"2"]


async def test_a_suspension_that_cannot_be_written_is_an_error(make_rig: Make) -> None:
    def save(state: bytes) -> None:
        raise MisuseError("the disk is full")

    file = _File(save)
    ws = await make_rig(file=file).open()
    with pytest.raises(MisuseError, match="the disk is full"):
        await ws.suspend()
    assert file.closed


class _File:
    def __init__(self, save: Callable[[bytes], None]) -> None:
        self.save = save
        self.removed = False
        self.closed = False

    def remove(self) -> None:
        self.removed = True

    def close(self) -> None:
        self.closed = True


class _http:  # noqa: N801 - used like a function
    def __init__(self, handler: Any) -> None:
        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", handler)
        self._runner = web.AppRunner(app)

    async def __aenter__(self) -> str:
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        return f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def __aexit__(self, *error: object) -> None:
        await self._runner.cleanup()


async def test_a_link_that_the_machine_has_left_is_not_taken_for_the_next(rig: Any, gateway: Any) -> None:
    rig.connect(gateway.url)
    await rig.until(lambda: rig.session.named("connected"))
    driver = rig.connection._driver
    left = driver._link
    # the machine goes on to the next gateway, for example at an answer over HTTP ...
    rig.do(Disconnect(1001, ""), Connect(GatewayTarget(gateway.url), ("icws-secure.1",), 5 * NS_PER_S))
    # ... and before that is carried out, the old link still reads
    driver.frame(left, b"late")
    driver.closed(left, 1006, "")
    await rig.until(lambda: len(rig.session.named("connected")) == 2)
    assert not rig.session.named("frame")
    assert not rig.session.named("disconnected")
