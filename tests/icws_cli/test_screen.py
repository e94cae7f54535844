from __future__ import annotations

import io
import sys
from collections.abc import Callable

import pytest

from icws_cli.screen import CLEAR_LINE, PROMPT, Screen
from icws_secure.errors import StallError
from icws_secure.session.client import Attached, GatewayLost, GatewayTarget
from icws_secure.wire.principal import Principal

GATEWAY = Principal.self_authenticating(b"gateway")


class Stream(io.TextIOWrapper):
    """Standard output that says what it is told about being a terminal."""

    def __init__(self, terminal: bool) -> None:
        super().__init__(io.BytesIO(), encoding="utf-8", write_through=True)
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal

    @property
    def shown(self) -> bytes:
        return self.buffer.getvalue()  # type: ignore[attr-defined, no-any-return]


Streams = Callable[..., tuple[Stream, Stream]]


@pytest.fixture
def streams(monkeypatch: pytest.MonkeyPatch) -> Streams:
    """Put streams of ours in place of the standard ones, once the test has begun and nobody else does so any more."""

    def replace(terminal: bool = False) -> tuple[Stream, Stream]:
        out, err = Stream(terminal), Stream(terminal)
        monkeypatch.setattr(sys, "stdin", Stream(terminal))
        monkeypatch.setattr(sys, "stdout", out)
        monkeypatch.setattr(sys, "stderr", err)
        monkeypatch.setenv("TERM", "dumb")
        return out, err

    return replace


def test_a_pipe_gets_messages_as_they_are_and_no_news(streams: Streams) -> None:
    out, err = streams()
    screen = Screen("text")
    screen.begin_typing()
    screen.news("something happened")
    screen.message(b"\xff\x1b[2J bytes")
    screen.end_typing()
    assert out.shown == b"\xff\x1b[2J bytes\n"
    assert b"something happened" in err.shown


@pytest.mark.parametrize("message", [b"\x1b[2J", "\u202e\u0007".encode(), b"a\rb", b"\x9b31m"])
def test_a_message_cannot_steer_the_terminal(streams: Streams, message: bytes) -> None:
    out, _err = streams(True)
    Screen("text").message(message)
    assert all(char.isprintable() for char in out.shown.decode().removesuffix("\n"))


def test_a_message_takes_the_prompts_line_and_the_prompt_comes_again(streams: Streams) -> None:
    out, _err = streams(True)
    screen = Screen("text")
    screen._interactive = True
    screen.begin_typing()
    screen.message(b"hello")
    assert out.shown.decode() == f"{CLEAR_LINE}{PROMPT}".removeprefix(CLEAR_LINE) + f"{CLEAR_LINE}< hello\n{PROMPT}"


def test_hexadecimal_is_shown_where_it_is_asked_for(streams: Streams) -> None:
    out, _err = streams()
    Screen("hex").message(b"\x00\xff")
    assert out.shown == b"00ff\n"


def test_markup_in_news_is_text(streams: Streams) -> None:
    _out, err = streams()
    Screen("text").news("[bold]not bold[/]")
    assert b"[bold]not bold[/]" in err.shown


def test_gateways_that_come_and_go_are_told_of(streams: Streams) -> None:
    _out, err = streams()
    screen = Screen("text")
    target = GatewayTarget("wss://gateway.example")
    screen.event(Attached(target, GATEWAY, 3))
    screen.event(GatewayLost(target, StallError("no sign of life", requirement="ICWS-CLT-050"), None))
    screen.event(Attached(None, GATEWAY, 4))
    shown = err.shown.decode()
    assert f"attached through wss://gateway.example as {GATEWAY.to_text()}, attach 3" in shown
    assert "lost wss://gateway.example: StallError: Silence: no sign of life [ICWS-CLT-050]" in shown
    assert "attached through the IC itself" in shown
