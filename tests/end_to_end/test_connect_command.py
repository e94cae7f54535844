"""``icws connect`` as a user runs it: a process with a pipe or a terminal before it."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
import termios
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

PYTHON_PATH = os.pathsep.join(filter(None, sys.path))


async def start(network: Any, *arguments: str, **streams: Any) -> asyncio.subprocess.Process:
    environment = os.environ | {"PYTHONPATH": PYTHON_PATH, "NO_COLOR": "1", "COLUMNS": "300"}
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "icws_cli.main", "connect", network.canister.to_text(), *arguments),
        *("--ic-url", network.ic_url),
        env=environment,
        **streams,
    )


async def run(network: Any, *arguments: str, stdin: bytes = b"", answers: int = 0) -> tuple[int, bytes, str]:
    """Give *stdin* to the command, and end it after so many lines of output; return exit code, output, errors."""
    pipe = asyncio.subprocess.PIPE
    process = await start(network, *arguments, stdin=pipe, stdout=pipe, stderr=pipe)
    assert process.stdin is not None
    assert process.stdout is not None
    async with asyncio.timeout(60):
        process.stdin.write(stdin)
        said = [await process.stdout.readline() for _ in range(answers)]
        out, err = await process.communicate(b"")
    assert process.returncode is not None
    return process.returncode, b"".join(said) + out, err.decode()


@pytest.mark.parametrize("profile", ["secure", "omnia"])
async def test_piped_lines_are_messages_and_replies_are_lines(network: Any, profile: str) -> None:
    gateway = await network.gateway()
    code, out, err = await run(network, gateway.url, "--profile", profile, stdin=b"one\ntwo\n//three\n", answers=3)
    assert (code, out) == (0, b"one\ntwo\n/three\n"), err
    assert f"profile   {'icws-secure/1 (certified)' if profile == 'secure' else 'omnia/1'}" in err
    assert f"gateway   {gateway.url} as {gateway.principal.to_text()}" in err


async def test_without_gateways_the_ic_is_polled(network: Any) -> None:
    code, out, err = await run(network, "--format", "hex", "-v", stdin=b"00ff\n", answers=1)
    assert (code, out) == (0, b"00ff\n"), err
    assert "gateway   none: the IC is polled directly" in err
    assert "executed after" in err
    assert "number 1, certified at" in err


async def test_a_message_that_was_not_executed_is_an_error(network: Any) -> None:
    gateway = await network.gateway()
    code, out, err = await run(network, gateway.url, stdin=b"trap\nfine\n", answers=1)
    assert (code, out) == (1, b"fine\n")
    assert "HandlerTrapped" in err


async def test_a_session_that_the_canister_closes_ends_the_command(network: Any) -> None:
    gateway = await network.gateway()
    code, _, err = await run(network, gateway.url, "--wait", "30", stdin=b"close\n")
    assert code == 0
    assert "closed: ApplicationClosed" in err


async def test_what_prevents_a_session_is_said_in_one_line(network: Any, tmp_path: Path) -> None:
    (tmp_path / "key").write_text(network.root_key.hex()[:-2] + "00")
    for arguments, words in [
        (("--root-key", "fetch"), None),
        (("--root-key", str(tmp_path / "key")), "Error"),
        (("http://gateway",), "ws:// or wss://"),
        (("--identity", str(tmp_path / "none")), "cannot read the file: No such file or directory, file none"),
        (("--gateway-principal", "aaaaa-aa"), "gateway_principal"),
    ]:
        code, _, err = await run(network, *arguments, "--wait", "0", "--open-timeout", "5")
        assert code == (0 if words is None else 1), err
        assert "Traceback" not in err
        if words is not None:
            assert words in err


class Terminal:
    """The command at a pseudo-terminal."""

    def __init__(self, process: asyncio.subprocess.Process, master: int) -> None:
        self.process = process
        self._master = master
        self.shown = ""
        self._changed = asyncio.Event()
        asyncio.get_running_loop().add_reader(master, self._read)

    def _read(self) -> None:
        try:
            self.shown += os.read(self._master, 1 << 16).decode("utf-8", "replace")
        except OSError:  # the other end is gone
            asyncio.get_running_loop().remove_reader(self._master)
        self._changed.set()

    async def hidden(self) -> None:
        """Wait until what is typed is not shown: what was typed before that is thrown away."""
        async with asyncio.timeout(60):
            while termios.tcgetattr(self._master)[3] & termios.ECHO:  # noqa: ASYNC110 - a terminal tells nobody
                await asyncio.sleep(0.01)

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    async def until(self, pattern: str) -> None:
        try:
            async with asyncio.timeout(60):
                while not re.search(pattern, self.shown):
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            pytest.fail(f"{pattern} was not shown but {self.shown!r}")

    async def exit_code(self) -> int:
        async with asyncio.timeout(60):
            return await self.process.wait()


@pytest.fixture
async def at_terminal(network: Any) -> AsyncIterator[Callable[..., Any]]:
    terminals: list[tuple[Terminal, int]] = []

    async def open_terminal(*arguments: str) -> Terminal:
        master, slave = os.openpty()
        process = await start(network, *arguments, stdin=slave, stdout=slave, stderr=slave, start_new_session=True)
        os.close(slave)
        terminal = Terminal(process, master)
        terminals.append((terminal, master))
        return terminal

    yield open_terminal
    for terminal, master in terminals:
        if terminal.process.returncode is None:
            terminal.process.kill()
            await terminal.process.wait()
        asyncio.get_running_loop().remove_reader(master)
        os.close(master)


async def test_a_person_at_a_terminal_is_served(network: Any, at_terminal: Callable[..., Any]) -> None:
    gateway = await network.gateway()
    terminal = await at_terminal(gateway.url)
    await terminal.until("> $")
    terminal.type("hello\n")
    await terminal.until("< hello")
    terminal.type("/status\n")
    await terminal.until("attached, attach 1, gateway ws://")
    terminal.type("/audit\n")
    await terminal.until("certified head")
    terminal.type("/what\n")
    await terminal.until("/status  /audit")
    terminal.type("/quit\n")
    assert await terminal.exit_code() == 0


async def test_the_end_of_input_ends_the_command(network: Any, at_terminal: Callable[..., Any]) -> None:
    gateway = await network.gateway()
    terminal = await at_terminal(gateway.url, "--wait", "0.2")
    await terminal.until("> $")
    terminal.type("\x04")
    assert await terminal.exit_code() == 0


async def test_an_interrupt_closes_the_session(network: Any, at_terminal: Callable[..., Any]) -> None:
    gateway = await network.gateway()
    terminal = await at_terminal(gateway.url)
    await terminal.until("> $")
    terminal.process.send_signal(signal.SIGINT)
    assert await terminal.exit_code() == 130
    assert "Traceback" not in terminal.shown


async def test_a_session_kept_in_a_file_is_resumed(
    network: Any, tmp_path: Path, at_terminal: Callable[..., Any]
) -> None:
    gateway = await network.gateway()
    file = tmp_path / "session"
    terminal = await at_terminal(gateway.url, "--state-file", str(file))
    await terminal.until("Passphrase")
    await terminal.hidden()
    terminal.type("passphrase\n")
    await terminal.until("> $")
    terminal.process.kill()  # as a crash would
    await terminal.exit_code()
    session = re.search(r"session   (\S+)", terminal.shown)
    assert session is not None
    again = await at_terminal(gateway.url, "--state-file", str(file))
    await again.until("Passphrase")
    await again.hidden()
    again.type("passphrase\n")
    await again.until("> $")
    assert session[1] in again.shown
    again.type("hello\n")
    await again.until("< hello")
    again.type("/quit\n")
    assert await again.exit_code() == 0
