"""``icws hostile``: the hostile gateway as a program."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import Any

import pytest
from typer.testing import CliRunner

from icws_cli.hostile import app, forge_of
from icws_conformance.hostile import CATALOGUE
from icws_conformance.hostile.cli import hostile_command


def run(*args: str, command: Any = app) -> Any:
    return CliRunner().invoke(command, list(args))


def test_every_attack_is_listed() -> None:
    listed = run("--list")
    assert listed.exit_code == 0
    assert [line.split()[0] for line in listed.output.splitlines()] == list(CATALOGUE)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ((), "give --upstream and --attack"),
        (("--upstream", "ws://127.0.0.1:9", "--attack", "nothing"), "there is no attack 'nothing'"),
        (("--upstream", "ws://127.0.0.1:9", "--attack", "stale-certificate"), "needs the keys of a local IC"),
        (("--upstream", "ws://127.0.0.1:9", "--attack", "withheld-open"), "give --ic-url"),
        (("--upstream", "ws://127.0.0.1:9", "--attack", "drop", "--listen", "nowhere"), "is not an address"),
        (("--upstream", "ws://127.0.0.1:9", "--attack", "drop", "--canister", "x"), "icws hostile:"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_sentence(args: tuple[str, ...], words: str) -> None:
    result = run(*args)
    assert result.exit_code == 1
    assert words in result.stderr
    assert "Traceback" not in result.output


def test_without_a_replica_nobody_has_its_keys() -> None:
    attack = ("--upstream", "ws://127.0.0.1:9", "--attack", "stale-certificate", "--seed", "x")
    assert run(*attack, command=hostile_command()).exit_code == 1


def test_the_seed_gives_the_replicas_keys() -> None:
    assert forge_of("one").now() > 0


async def test_it_listens_until_it_is_interrupted() -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "icws_conformance.hostile", "--upstream", "ws://127.0.0.1:9"),
        *("--attack", "drop", "--listen", "127.0.0.1:0"),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    async with asyncio.timeout(60):
        line = await process.stdout.readline()
        assert line.split()[0] == b"hostile"
        assert line.split()[1].startswith(b"ws://127.0.0.1:")
        process.send_signal(signal.SIGINT)
        assert await process.wait() == 0
