"""What an application sees of a session that follows a script."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from icws_client import inbox
from icws_client.exceptions import ConnectionClosedError, ConnectionClosedOK, OutcomeUnknown
from icws_secure.errors import MisuseError, Reason, Refused, SessionEnded, StallError, TransportError
from icws_secure.session.client import (
    Ended,
    GatewayLost,
    GatewayTarget,
    SendAccepted,
    SendRejected,
    SendRelayed,
    SendUnknown,
    SessionState,
)

Make = Callable[..., Any]


async def test_messages_come_in_order_and_are_reported_as_taken_when_the_application_has_them(rig: Any) -> None:
    rig.session.message(1, b"a")
    rig.session.message(3, b"b")
    rig.step()
    assert await rig.connection.recv() == b"a"
    assert rig.session.named("taken") == [(1,)]
    received = await rig.connection.recv_message()
    assert (received.data, received.seq, received.timestamp_ns) == (b"b", 3, 3_000_000_000)
    assert rig.session.named("taken") == [(1,), (3,)]


@pytest.mark.req("ICWS-CLT-051")
async def test_a_message_that_nobody_took_is_not_reported_as_taken(rig: Any) -> None:
    rig.session.message(1)
    rig.step()
    await rig.connection.ready()
    assert rig.session.named("taken") == []


async def test_a_cancelled_recv_takes_no_message(rig: Any) -> None:
    first, second = asyncio.create_task(rig.connection.recv()), asyncio.create_task(rig.connection.recv())
    await asyncio.sleep(0)
    rig.session.message(1, b"a")
    rig.connection._driver._on_event(rig.session.pending_events.pop())  # wakes the first reader ...
    first.cancel()  # ... which is cancelled before it runs
    assert await second == b"a"
    assert first.cancelled() or (await asyncio.wait((first,)) and first.cancelled())


async def test_several_readers_share_the_messages(rig: Any) -> None:
    readers = [asyncio.create_task(rig.connection.recv()) for _ in range(3)]
    await asyncio.sleep(0)
    for seq in (1, 2, 3):
        rig.session.message(seq, b"%d" % seq)
    rig.step()
    assert sorted(await asyncio.gather(*readers)) == [b"1", b"2", b"3"]


async def test_reading_pauses_while_the_application_is_behind(rig: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox, "MESSAGES", 2)
    rig.session.message(1)
    rig.session.message(2)
    rig.step()
    await rig.until(lambda: rig.session.named("reading_paused"))
    await rig.connection.recv()
    assert len(rig.session.named("reading_resumed")) == 1


async def test_reading_pauses_by_bytes_too(rig: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox, "BYTES", 3)
    rig.session.message(1, b"abc")
    rig.step()
    await rig.until(lambda: rig.session.named("reading_paused"))


async def test_send_returns_when_the_session_says_so(rig: Any) -> None:
    rig.session.confirming = False
    sending = asyncio.create_task(rig.connection.send(b"x"))
    await rig.until(lambda: rig.session.sent)
    assert not sending.done()
    rig.session.confirm(1)
    rig.step()
    await sending


@pytest.mark.parametrize("event", [SendAccepted(1), SendRelayed(1)])
async def test_send_returns_earlier_by_choice(rig: Any, event: Any) -> None:
    rig.session.confirming = False
    sending = asyncio.create_task(rig.connection.send(b"x", confirm="accepted"))
    await rig.until(lambda: rig.session.sent)
    rig.session.pending_events.append(event)
    rig.session.pending_events.append(SendRejected(1, StallError("later")))  # too late to change anything
    rig.step()
    await sending


async def test_send_raises_the_canisters_own_rejection(rig: Any) -> None:
    rig.session.confirming = False
    sending = asyncio.create_task(rig.connection.send(b"x"))
    await rig.until(lambda: rig.session.sent)
    refusal = Refused("no", code="ContentTooLarge", certified=True)
    rig.session.pending_events.append(SendRejected(1, refusal))
    rig.step()
    with pytest.raises(Refused) as caught:
        await sending
    assert caught.value is refusal


@pytest.mark.req("ICWS-CLT-042")
async def test_send_ends_as_unknown_where_nothing_can_be_proven(rig: Any) -> None:
    rig.session.confirming = False
    sending = asyncio.create_task(rig.connection.send(b"x"))
    await rig.until(lambda: rig.session.sent)
    cause = TransportError("the IC is away")
    rig.session.pending_events.append(SendUnknown(1, cause))
    rig.step()
    with pytest.raises(OutcomeUnknown) as caught:
        await sending
    assert caught.value.reason is Reason.OUTCOME_UNKNOWN
    assert caught.value.__cause__ is cause


async def test_sends_wait_for_room_and_keep_their_order(rig: Any) -> None:
    rig.session.queue_limit = 1
    rig.session.confirming = False
    sends = [asyncio.create_task(rig.connection.send(b"%d" % n)) for n in range(3)]
    for send_id in (1, 2, 3):
        await rig.until(lambda: rig.session.sent)
        rig.session.confirm(send_id)
        rig.step()
    await asyncio.gather(*sends)
    assert [data for data, _ in rig.session.named("send")] == [b"0", b"1", b"2"]


async def test_a_cancelled_send_lets_others_pass(rig: Any) -> None:
    rig.session.queue_limit = 1
    rig.session.confirming = False
    first = asyncio.create_task(rig.connection.send(b"1"))
    await rig.until(lambda: rig.session.sent)
    waiting = asyncio.create_task(rig.connection.send(b"2"))
    last = asyncio.create_task(rig.connection.send(b"3"))
    await asyncio.sleep(0)
    waiting.cancel()
    first.cancel()
    rig.session.confirm(1)  # its message goes on, only nobody waits for it
    rig.session.confirming = True
    rig.step()
    await last
    assert [data for data, _ in rig.session.named("send")] == [b"1", b"3"]


async def test_iteration_ends_when_the_session_is_closed_in_order(rig: Any) -> None:
    rig.session.message(1, b"a")
    rig.session.end(4001, "ApplicationClosed")
    rig.step()
    assert [message async for message in rig.connection] == [b"a"]


async def test_iteration_raises_when_the_session_ends_otherwise(rig: Any) -> None:
    rig.session.message(1, b"a")
    rig.session.end(4014, "EpochChanged")
    rig.step()
    messages = []

    async def read_all() -> None:
        async for message in rig.connection:
            messages.append(message)

    with pytest.raises(ConnectionClosedError) as caught:
        await read_all()
    assert messages == [b"a"]
    assert (caught.value.code, caught.value.close_reason) == (4014, "EpochChanged")
    assert isinstance(caught.value.__cause__, SessionEnded)


@pytest.mark.parametrize(("code", "orderly"), [(1000, True), (4001, True), (4010, False), (4013, False), (4022, False)])
async def test_everybody_who_waits_is_told_of_the_end(rig: Any, code: int, orderly: bool) -> None:
    rig.session.confirming = False
    waiting = [asyncio.create_task(rig.connection.recv()), asyncio.create_task(rig.connection.send(b"x"))]
    await rig.until(lambda: rig.session.sent)
    rig.session.end(code, "Somehow")
    rig.step()
    expected = ConnectionClosedOK if orderly else ConnectionClosedError
    for task in waiting:
        with pytest.raises(expected):
            await task
    with pytest.raises(expected):
        await rig.connection.send(b"y")
    await rig.connection.wait_closed()
    assert rig.connection.state is SessionState.ENDED


async def test_close_ends_the_session_and_may_be_called_twice(rig: Any) -> None:
    await rig.connection.close(1000, "bye")
    await rig.connection.close()
    assert rig.session.named("close") == [(1000, "bye")]
    with pytest.raises(ConnectionClosedOK):
        await rig.connection.recv()


async def test_sending_while_the_session_closes_tells_how_it_ended(make_rig: Make) -> None:
    rig = make_rig(close_timeout_ns=5 * 10**9)
    rig.session.ending = False
    ws = await rig.open()
    closing = asyncio.create_task(ws.close())
    await rig.until(lambda: rig.session.named("close"))
    sending = asyncio.create_task(ws.send(b"late"))
    await asyncio.sleep(0)
    rig.session.end(4001, "ApplicationClosed")
    rig.step()
    with pytest.raises(ConnectionClosedOK) as caught:
        await sending
    assert caught.value.code == 4001
    await closing


async def test_close_is_bounded_in_time(make_rig: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("icws_client.connection.CLOSE_MARGIN_S", 0.05)
    rig = make_rig()
    rig.session.ending = False
    ws = await rig.open()
    async with asyncio.timeout(60):
        await ws.close()
    with pytest.raises(ConnectionClosedOK):
        await ws.recv()


async def test_the_block_closes_the_session_when_its_body_fails(make_rig: Make) -> None:
    rig = make_rig()

    async def body() -> None:
        async with await rig.open():
            raise LookupError

    with pytest.raises(LookupError):
        await body()
    assert len(rig.session.named("close")) == 1
    assert rig.connection._task.done()


async def test_no_task_is_left_after_a_close(rig: Any) -> None:
    reader = asyncio.create_task(rig.connection.recv())
    await asyncio.sleep(0)
    await rig.connection.close()
    await asyncio.wait((reader,))
    await asyncio.sleep(0)
    assert {task.get_name() for task in asyncio.all_tasks()} & {
        "icws session",
        "icws link writer",
        "icws save",
    } == set()


async def test_no_task_is_left_after_the_program_is_cancelled(make_rig: Make) -> None:
    rig = make_rig()

    async def program() -> None:
        async with await rig.open() as ws:
            inside.set()
            await ws.recv()

    inside = asyncio.Event()
    running = asyncio.create_task(program())
    await inside.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert rig.connection._task.done()


async def test_what_prevented_a_session_is_raised_by_the_opening(make_rig: Make) -> None:
    rig = make_rig()
    rig.session.opening = False
    ws = await rig.open()
    refusal = Refused("you may not", code="CallerNotAllowed", certified=True)
    ended = SessionEnded("no session", code=4022, close_reason="NoGateway")
    ended.__cause__ = refusal
    rig.session.state = SessionState.ENDED
    rig.session.pending_events.append(Ended(ended))
    rig.step()
    with pytest.raises(Refused) as caught:
        await ws.wait_open()
    assert caught.value is refusal


async def test_a_cancelled_opening_leaves_the_session_waiting(make_rig: Make) -> None:
    rig = make_rig()
    rig.session.opening = False
    ws = await rig.open()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await ws.wait_open()
    assert not ws._task.done()


async def test_events_are_told_and_a_listener_that_fails_does_no_harm(
    make_rig: Make, caplog: pytest.LogCaptureFixture
) -> None:
    told = []

    def listen(event: Any) -> None:
        told.append(event)
        raise LookupError

    rig = make_rig(on_event=listen)
    ws = await rig.open()
    lost = GatewayLost(GatewayTarget("ws://g"), StallError("silence"), None)
    rig.session.pending_events.append(lost)
    rig.session.message(1)
    rig.step()
    await ws.recv()
    assert lost in told
    assert ws.last_loss is lost
    assert "LookupError" in caplog.text


async def test_a_mistake_in_the_client_is_not_taken_for_an_orderly_end(rig: Any) -> None:
    def broken(now: int) -> None:
        raise ZeroDivisionError

    rig.session.tick = broken
    rig.session.deadline = 1
    rig.step()
    with pytest.raises(Exception, match="the client failed: ZeroDivisionError") as caught:
        await rig.connection.recv()
    assert not isinstance(caught.value, ConnectionClosedOK)
    with pytest.raises(ZeroDivisionError):
        await rig.connection._task


async def test_audit_is_passed_on(rig: Any) -> None:
    rig.connection.audit()
    assert rig.session.named("audit") == [()]


async def test_only_a_session_in_a_file_can_be_suspended(rig: Any) -> None:
    with pytest.raises(MisuseError):
        await rig.connection.suspend()


def test_a_closed_exception_is_new_each_time() -> None:
    from icws_client.exceptions import closed

    ended = SessionEnded("over", code=4010, close_reason="Expired", requirement="ICWS-CLT-035", since=3)
    first, second = closed(ended), closed(ended)
    assert first is not second
    assert (first.requirement, first.facts["since"], str(first)) == ("ICWS-CLT-035", 3, str(ended))
