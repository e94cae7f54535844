"""The manner of a browser's WebSocket."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from icws_client.callbacks import CLOSED, CONNECTING, OPEN, IcWebSocket
from icws_client.codec import Codec
from icws_secure.errors import MisuseError, StallError
from icws_secure.session.client import SendRejected

CANISTER = "bnz7o-iuaaa-aaaaa-qaaaa-cai"


class Log:
    """Callbacks that write down what they are told."""

    def __init__(self) -> None:
        self.entries: list[tuple[Any, ...]] = []
        self.something = asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        def called(*values: Any) -> None:
            self.entries.append((name, *values))
            self.something.set()

        return called

    async def until(self, count: int) -> None:
        async with asyncio.timeout(60):
            while len(self.entries) < count:
                self.something.clear()
                await self.something.wait()


def observed(log: Log, **options: Any) -> IcWebSocket:
    return IcWebSocket(
        canister_id=CANISTER,
        on_open=log.open,
        on_message=log.message,
        on_error=log.error,
        on_close=log.close,
        **options,
    )


async def test_it_opens_tells_and_closes(echoing: list[Any]) -> None:
    log = Log()
    socket = observed(log)
    assert socket.ready_state == CONNECTING
    await log.until(1)
    assert socket.ready_state == OPEN
    socket.send(b"hello")
    await log.until(2)
    socket.close()
    await socket.closed()
    assert socket.ready_state == CLOSED
    assert log.entries == [("open",), ("message", b"hello"), ("close", 1000, "ClientClosed")]


async def test_callbacks_may_be_set_after_it_was_made(echoing: list[Any]) -> None:
    log = Log()
    socket = IcWebSocket(canister_id=CANISTER)
    socket.on_open = log.open
    await log.until(1)
    socket.close()
    await socket.closed()


async def test_callbacks_may_be_coroutines_and_are_called_one_after_another(echoing: list[Any]) -> None:
    log = Log()

    async def slowly(data: bytes) -> None:
        log.entries.append(("begin", data))
        await asyncio.sleep(0)
        log.entries.append(("end", data))
        log.something.set()

    socket = IcWebSocket(canister_id=CANISTER, on_open=log.open, on_message=slowly)
    await log.until(1)
    socket.send(b"1")
    socket.send(b"2")
    await log.until(5)
    socket.close()
    await socket.closed()
    assert log.entries[1:] == [("begin", b"1"), ("end", b"1"), ("begin", b"2"), ("end", b"2")]


async def test_the_application_closing_in_a_callback_is_fine(echoing: list[Any]) -> None:
    socket = IcWebSocket(canister_id=CANISTER)
    socket.on_open = lambda: socket.send(b"x")
    socket.on_message = lambda data: socket.close()
    async with asyncio.timeout(60):
        await socket.closed()


async def test_an_end_out_of_order_is_an_error_and_a_close(echoing: list[Any]) -> None:
    log = Log()
    socket = observed(log)
    await log.until(1)
    echoing[0].end(4014, "EpochChanged")
    assert socket._connection is not None
    socket._connection._driver.wake()
    await socket.closed()
    assert [entry[0] for entry in log.entries] == ["open", "error", "close"]
    assert log.entries[2] == ("close", 4014, "EpochChanged")


async def test_a_message_that_was_not_executed_is_an_error(echoing: list[Any]) -> None:
    log = Log()
    socket = observed(log)
    await log.until(1)
    session = echoing[0]
    session.confirming = False
    session.on_input = lambda: session.pending_events.append(SendRejected(1, StallError("never ran")))
    socket.send(b"x")
    await log.until(2)
    assert isinstance(log.entries[1][1], StallError)
    socket.close()
    await socket.closed()


async def test_a_callback_that_fails_is_shown_to_on_error_and_does_no_harm(echoing: list[Any]) -> None:
    log = Log()

    def fail(data: bytes) -> None:
        raise LookupError

    socket = observed(log)
    socket.on_message = fail
    await log.until(1)
    socket.send(b"x")
    await log.until(2)
    assert isinstance(log.entries[1][1], LookupError)
    socket.on_message = log.message
    socket.send(b"y")
    await log.until(3)
    socket.close()
    await socket.closed()


async def test_sending_before_it_is_open_is_refused(echoing: list[Any]) -> None:
    log = Log()
    socket = observed(log)
    with pytest.raises(MisuseError):
        socket.send(b"early")
    socket.close()
    await socket.closed()
    with pytest.raises(MisuseError):
        socket.send(b"late")
    assert log.entries == [("close", 1000, "ClientClosed")]


async def test_it_may_be_used_from_another_thread(echoing: list[Any]) -> None:
    log = Log()
    socket = observed(log)
    await log.until(1)
    await asyncio.to_thread(socket.send, b"from a thread")
    await log.until(2)
    await asyncio.to_thread(socket.close)
    await socket.closed()
    assert log.entries[1] == ("message", b"from a thread")


async def test_values_pass_through_the_codec(echoing: list[Any]) -> None:
    log = Log()
    socket = observed(log, codec=Codec(lambda value: json.dumps(value).encode(), json.loads))
    await log.until(1)
    socket.send({"a": 1})
    await log.until(2)
    socket.close()
    await socket.closed()
    assert log.entries[1] == ("message", {"a": 1})


async def test_cancelling_the_program_closes_the_session(echoing: list[Any]) -> None:
    log = Log()
    socket = observed(log)
    await log.until(1)
    assert socket._task is not None
    socket._task.cancel()
    await socket.closed()
    assert len(echoing[0].named("close")) == 1
    assert log.entries[-1] == ("close", 1000, "ClientClosed")


def test_a_program_without_an_event_loop_runs_it_to_its_end(echoing: list[Any]) -> None:
    messages: list[bytes] = []
    socket = IcWebSocket(canister_id=CANISTER)

    def on_message(data: bytes) -> None:
        messages.append(data)
        socket.close()

    socket.on_open = lambda: socket.send(b"hello")
    socket.on_message = on_message
    socket.run_forever()
    assert messages == [b"hello"]


async def test_it_runs_in_one_place_only(echoing: list[Any]) -> None:
    socket = IcWebSocket(canister_id=CANISTER)
    with pytest.raises(MisuseError):
        socket.run_forever()
    socket.close()
    await socket.closed()


def test_waiting_needs_the_event_loop_that_it_was_made_in(echoing: list[Any]) -> None:
    socket = IcWebSocket(canister_id=CANISTER)
    with pytest.raises(MisuseError):
        asyncio.run(socket.closed())
