"""What the terminal client shows, and where: messages on standard output, news on standard error."""

from __future__ import annotations

import sys
import time
from typing import Final

from rich.console import Console
from rich.markup import escape

from icws_client import Connection
from icws_secure.errors import IcwsError
from icws_secure.session.client import Attached, Event, GatewayLost, Registered

__all__ = ["Screen"]

CLEAR_LINE: Final = "\r\x1b[K"
PROMPT: Final = "> "


class Screen:
    """Standard output and standard error; with a prompt where a person sits at both ends.

    Args:
        form: ``text`` or ``hex``: how messages are shown.
    """

    def __init__(self, form: str) -> None:
        self._form = form
        self._console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._terminal = sys.stdout.isatty()
        self._interactive = sys.stdin.isatty() and self._terminal and self._console.is_terminal
        self._typing = False  # whether a prompt is to stand on the last line

    def message(self, data: bytes, note: str = "") -> None:
        """Show one verified message."""
        shown = self._shown(data)
        self._clear()
        sys.stdout.buffer.write((b"< " if self._terminal else b"") + shown + b"\n")
        sys.stdout.buffer.flush()
        if note:
            self._console.print(f"  [dim]{escape(note)}[/]")
        self._prompt()

    def news(self, text: str, style: str = "dim") -> None:
        """Show a line that is no message."""
        self._clear()
        self._console.print(f"[{style}]{escape(text)}[/]")
        self._prompt()

    def error(self, error: IcwsError, prefix: str = "") -> None:
        """Show what went wrong, and which requirement was broken."""
        self.news(f"{prefix}{type(error).__name__}: {error}", "red")

    def begin_typing(self) -> None:
        """Keep a prompt on the last line from now on, where somebody is there to type."""
        self._typing = self._interactive
        self._prompt()

    def end_typing(self) -> None:
        """No prompt any more."""
        self._clear()
        self._typing = False

    def status(self, connection: Connection[bytes]) -> None:
        """Show where the session is, and what it lost last."""
        self.news(f"{connection.state}, attach {connection.attach}, gateway {_gateway(connection)}")
        if connection.last_loss is not None:
            self.error(connection.last_loss.error, "last lost: ")

    def session(self, connection: Connection[bytes], root_key: str) -> None:
        """Show what was opened, and what it rests on."""
        parameters = connection.parameters
        rows = {
            "profile": f"{parameters.profile} (certified)" if parameters is not None else "omnia/1",
            "session": connection.session_principal.to_text(),
            "gateway": _gateway(connection),
            "attach": str(connection.attach),
            "root key": root_key,
        }
        if parameters is not None:
            rows["expires"] = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(parameters.expires_at_ns // 10**9))
        for name, value in rows.items():
            self.news(f"{name:<9} {value}")

    def event(self, event: Event) -> None:
        """Show what happens beneath: gateways that come and go."""
        match event:
            case Registered():
                self.news("registered: certified reply verified")
            case Attached(target, gateway, attach):
                place = "the IC itself" if target is None else target.url
                self.news(f"attached through {place} as {gateway.to_text()}, attach {attach}", "green")
            case GatewayLost(target, error, _):
                place = "the IC itself" if target is None else target.url
                self.error(error, f"lost {place}: ")

    def typed(self) -> None:
        """A line was typed; the cursor stands on a new one."""
        self._prompt()

    def _shown(self, data: bytes) -> bytes:
        if self._form == "hex":
            return data.hex().encode()
        # To a terminal nothing goes that could steer it: a message is for reading only.
        return _harmless(data).encode() if self._terminal else data

    def _prompt(self) -> None:
        if self._typing:
            sys.stdout.write(PROMPT)
            sys.stdout.flush()

    def _clear(self) -> None:
        if self._typing:
            sys.stdout.write(CLEAR_LINE)
            sys.stdout.flush()


def _gateway(connection: Connection[bytes]) -> str:
    if connection.gateway is None:
        return "none at the moment"
    if connection.target is None:
        return "none: the IC is polled directly"
    return f"{connection.target.url} as {connection.gateway.to_text()}"


def _harmless(data: bytes) -> str:
    """Return *data* as text in which nothing but printable characters is left."""
    text = data.decode("utf-8", "backslashreplace")
    return "".join(char if char.isprintable() or char == "\t" else f"\\x{ord(char):02x}" for char in text)
