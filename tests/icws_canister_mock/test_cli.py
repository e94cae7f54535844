"""``icws replica``."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from icws_canister_mock.cli import app, load_canister
from icws_canister_mock.replica import Canister
from icws_secure.errors import MisuseError
from icws_secure.verify.root_key import RootKey
from icws_secure.vetkd import MasterPublicKey

CANISTER = "mine=icws_canister_mock.replica.canister_api:Canister"


async def run_until_ready(*arguments: str) -> dict[str, str]:
    """Start the command, read what it prints up to its first canister, and stop it as a terminal would."""
    code = "from icws_canister_mock.cli import app; app()"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, "--listen", "127.0.0.1:0", "--canister", CANISTER, *arguments, stdout=-1, stderr=-1
    )
    assert process.stdout is not None
    printed: dict[str, str] = {}
    async with asyncio.timeout(60):
        while "canister" not in printed:
            line = (await process.stdout.readline()).decode()
            assert line, (await process.communicate())[1].decode()
            name, _, value = line.strip().partition("  ")
            printed[name] = value.strip()
        process.terminate()
        await process.wait()
    assert process.returncode == 0
    return printed


async def test_prints_and_writes_the_root_key_and_ends_when_told_to(tmp_path: Path) -> None:
    key_file = tmp_path / "root.key"
    printed = await run_until_ready("--root-key-file", str(key_file))
    assert printed["replica"].startswith("http://127.0.0.1:")
    assert printed["canister"] == "bnz7o-iuaaa-aaaaa-qaaaa-cai  mine"
    RootKey.from_der(bytes.fromhex(printed["root key"]))
    assert key_file.read_text() == printed["root key"] + "\n"


async def test_prints_the_vetkd_key_that_is_asked_for() -> None:
    printed = await run_until_ready("--vetkd-key", "test_key_1")
    line = next(line for line in printed if line.startswith("vetKD key "))
    MasterPublicKey(bytes.fromhex(line.removeprefix("vetKD key ")))
    assert printed[line] == "test_key_1"


async def test_same_seed_gives_the_same_keys() -> None:
    arguments = ("--seed", "a seed", "--start-time", "2030-01-31T12:00:00Z")
    first, second = await asyncio.gather(run_until_ready(*arguments), run_until_ready(*arguments))
    assert first["root key"] == second["root key"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--canister", "no-such-sample"],
        ["--canister", "x=no.such.module:Class"],
        ["--canister", "x=icws_canister_mock.cli:app"],
        ["--canister", CANISTER, "--listen", "nowhere"],
        ["--canister", CANISTER, "--listen", "127.0.0.1:99999"],
        ["--canister", CANISTER, "--start-time", "tomorrow"],
        ["--canister", CANISTER, "--vetkd-key", "no_key"],
    ],
)
def test_wrong_options_are_answered_with_a_sentence(arguments: list[str]) -> None:
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 1
    assert result.output.startswith("icws replica: ")
    assert "Traceback" not in result.output


def test_canister_is_found_by_module_and_class() -> None:
    name, canister = load_canister(CANISTER)
    assert (name, type(canister)) == ("mine", Canister)
    with pytest.raises(MisuseError):
        load_canister("x=icws_canister_mock.replica.canister_api:CanisterTrap")
