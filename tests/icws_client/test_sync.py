"""The client for programs without an event loop."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from icws_client import client
from icws_client.exceptions import ConnectionClosedError, ConnectionClosedOK, NoMessage
from icws_client.sync import connect
from icws_secure.errors import MisuseError, Reason, Refused, SessionEnded
from icws_secure.session.client import Ended, SendRejected, SessionState

CANISTER = "bnz7o-iuaaa-aaaaa-qaaaa-cai"


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Any:
    yield
    assert not [thread for thread in threading.enumerate() if thread.name == "icws session"]


def test_messages_go_out_and_come_in(echoing: list[Any]) -> None:
    with connect(canister_id=CANISTER) as ws:
        ws.send(b"one")
        ws.send(b"two")
        assert (ws.recv(), ws.recv()) == (b"one", b"two")
        assert ws.state is SessionState.ATTACHED
    assert echoing[0].named("taken") == [(1,), (2,)]
    assert echoing[0].named("close") == [(1000, "")]


def test_recv_gives_up_after_its_timeout_and_loses_nothing(echoing: list[Any]) -> None:
    with connect(canister_id=CANISTER) as ws:
        for timeout in (0, 0.01):
            with pytest.raises(NoMessage) as caught:
                ws.recv(timeout)
            assert caught.value.reason is Reason.SILENCE
            assert isinstance(caught.value, TimeoutError)
        ws.send(b"late")
        assert ws.recv(timeout=60) == b"late"


def test_a_message_that_comes_while_the_waiting_is_called_off_is_given_next(echoing: list[Any]) -> None:
    with connect(canister_id=CANISTER) as ws:
        ws.send(b"kept")
        ws._loop.run(ws._fetch())  # what an interrupted recv leaves behind
        assert ws.recv(timeout=0) == b"kept"


def test_iteration_ends_with_the_session(echoing: list[Any]) -> None:
    with connect(canister_id=CANISTER) as ws:
        ws.send(b"a")
        ws.send(b"b")
        ws._loop.call(lambda: echoing[0].end(4001, "ApplicationClosed"))
        ws._loop.call(ws._connection._driver.wake)
        assert list(ws) == [b"a", b"b"]


def test_an_end_out_of_order_is_raised(echoing: list[Any]) -> None:
    with connect(canister_id=CANISTER) as ws:
        ws._loop.call(lambda: echoing[0].end(4011, "Revoked"))
        ws._loop.call(ws._connection._driver.wake)
        with pytest.raises(ConnectionClosedError) as caught:
            ws.recv()
        assert caught.value.code == 4011


def test_a_rejection_is_raised(echoing: list[Any]) -> None:
    with connect(canister_id=CANISTER) as ws:
        session = echoing[0]
        session.confirming = False
        session.on_input = lambda: session.pending_events.append(
            SendRejected(1, Refused("no", code="OutOfWindow", certified=True))
        )
        with pytest.raises(Refused):
            ws.send(b"x")


def test_several_threads_may_use_one_connection(echoing: list[Any]) -> None:
    with connect(canister_id=CANISTER) as ws:
        received: list[bytes] = []
        readers = [threading.Thread(target=lambda: received.append(ws.recv())) for _ in range(4)]
        for reader in readers:
            reader.start()
        for n in range(4):
            ws.send(b"%d" % n)
        for reader in readers:
            reader.join(60)
        assert sorted(received) == [b"0", b"1", b"2", b"3"]


def test_an_interrupt_in_the_block_closes_the_session(echoing: list[Any]) -> None:
    with pytest.raises(KeyboardInterrupt), connect(canister_id=CANISTER):
        raise KeyboardInterrupt
    assert len(echoing[0].named("close")) == 1


def test_an_interrupt_while_waiting_loses_no_message(echoing: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    with connect(canister_id=CANISTER) as ws:
        original = ws._loop.run

        def interrupted(coroutine: Any, timeout: float | None = None) -> Any:
            original(coroutine, timeout)
            raise KeyboardInterrupt

        ws.send(b"kept")
        with monkeypatch.context() as patch:
            patch.setattr(ws._loop, "run", interrupted)
            with pytest.raises(KeyboardInterrupt):
                ws.recv()
        assert ws.recv(timeout=0) == b"kept"


def test_what_is_closed_can_be_closed_again_and_used_no_more(echoing: list[Any]) -> None:
    ws = connect(canister_id=CANISTER)
    ws.close(1000, "bye")
    ws.close()
    assert echoing[0].named("close") == [(1000, "bye")]
    with pytest.raises((MisuseError, ConnectionClosedOK)):
        ws.recv()
    with pytest.raises((MisuseError, ConnectionClosedOK)):
        ws.send(b"x")


def test_an_opening_that_fails_leaves_nothing_behind(echoing: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    refusal = Refused("you may not", code="CallerNotAllowed", certified=True)

    def start(self: Any, now: int) -> None:
        ended = SessionEnded("no session", code=4022, close_reason="NoGateway")
        ended.__cause__ = refusal
        self.state = SessionState.ENDED
        self.pending_events.append(Ended(ended))

    made = client.ClientSession
    monkeypatch.setattr(client, "ClientSession", lambda *a, **k: _with_start(made(*a, **k), start))
    with pytest.raises(Refused) as caught:
        connect(canister_id=CANISTER)
    assert caught.value is refusal


def test_the_connection_cannot_be_used_from_its_own_thread(echoing: list[Any]) -> None:
    caught: list[BaseException] = []
    with connect(canister_id=CANISTER) as ws:

        def reenter() -> None:
            try:
                ws.recv()
            except MisuseError as error:
                caught.append(error)

        ws._loop.call(reenter)
    assert len(caught) == 1


def _with_start(session: Any, start: Any) -> Any:
    session.start = start.__get__(session)
    return session
