"""Whatever the documentation shows is run here: programs, settings, commands, links."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import importlib.util
import inspect
import io
import json
import os
import re
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest

from icws_canister_mock.replica import Replica, serve_replica
from icws_cli.group import PARTS, _load
from icws_client import Agent, connect
from icws_client.identities import generate
from icws_gateway import GatewayConfig
from icws_gateway.metrics import GatewayMetrics
from icws_secure.errors import CanisterRejected, Reason
from icws_secure.sign import DelegationChain, sign_delegation
from icws_secure.sign.pem import identity_to_pem
from icws_secure.wire.close_codes import CloseCode
from icws_secure.wire.envelope import Delegation

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(path for path in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")] if path.name != "CHANGELOG.md")
EXAMPLES = ROOT / "examples"
FAR = 4_000_000_000_000_000_000


def ids(paths: list[Path]) -> list[str]:
    return [path.name if path.parent == ROOT else f"{path.parent.name}/{path.name}" for path in paths]


# programs in pages


async def run_block(source: str, names: dict[str, Any]) -> None:
    """Run the code of a block, which may await at its top level; if it does not, it may block, so not in this loop."""
    code = compile(source, "<documentation>", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    if code.co_flags & inspect.CO_COROUTINE:
        await eval(code, names)  # noqa: S307 - our own pages
    else:
        await asyncio.to_thread(exec, code, names)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with the files that the pages speak of."""
    monkeypatch.chdir(tmp_path)
    owner, session = generate(), generate()
    Path("identity.pem").write_bytes(identity_to_pem(owner))
    Path("session.pem").write_bytes(identity_to_pem(session))
    link = sign_delegation(owner, Delegation(session.public_key_der, FAR, None, None))
    Path("delegation.json").write_text(DelegationChain(owner.public_key_der, (link,)).to_json())
    return tmp_path


@pytest.mark.parametrize("page", PAGES, ids=ids(PAGES))
async def test_programs_in_pages_run(page: Path, dev: Any, blocks: Any, folder: Path) -> None:
    names: dict[str, Any] = {}
    for source in blocks(page, "python"):
        with contextlib.redirect_stdout(io.StringIO()):
            async with asyncio.timeout(120):
                await run_block(dev.here(source), names)


# files in examples/


async def run(script: str, *arguments: str, stdin: bytes = b"", answer: bytes = b"") -> str:
    """Run an example as users do, and give what it prints. Its input ends once it has printed a line with *answer*."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(EXAMPLES / script), *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    said = b""
    async with asyncio.timeout(120):
        process.stdin.write(stdin)
        while answer not in said and (line := await process.stdout.readline()):
            said += line
        out, err = await process.communicate(b"")
    assert process.returncode == 0, err.decode()
    assert err == b""
    return (said + out).decode()


def address(dev: Any) -> list[str]:
    return ["--gateway", dev.gateway, "--ic-url", dev.ic_url]


async def test_echo_client(dev: Any) -> None:
    lines = (await run("echo_client.py", *address(dev))).splitlines()
    assert [line.split()[0] for line in lines] == ["one", "two", "three"]


async def test_sync_client(dev: Any) -> None:
    assert (await run("sync_client.py", *address(dev))).split() == ["one", "two", "three"]


async def test_ticker(dev: Any) -> None:
    assert await run("ticker.py", *address(dev)) == "ICP 12.5\nICP 12.75\nICP 12.6\n"


async def test_chat(dev: Any, folder: Path) -> None:
    first = await run(
        "chat.py", *address(dev), "--identity", str(folder / "identity.pem"), stdin=b"hello\n", answer=b": hello\n"
    )
    assert re.search(r"^[a-z0-9-]{63}: hello$", first, re.MULTILINE)
    second = await run("chat.py", *address(dev), stdin=b"I am late\n", answer=b": I am late\n")
    assert "hello" in second
    assert "I am late" in second


async def test_guestbook(dev: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    guestbook = importlib.import_module("guestbook").Guestbook
    replica = Replica()
    canister = replica.install(guestbook())
    async with serve_replica(replica) as server:
        where: dict[str, Any] = {"ic_url": server.url, "root_key": replica.root_key_der}
        async with connect(None, canister_id=canister, **where) as ws, Agent(**where) as agent:
            assert await ws.recv() == b"Welcome. 0 people were here before you."
            await ws.send(b"a nice place")
            assert (await ws.recv()).endswith(b": a nice place")
            with pytest.raises(CanisterRejected) as caught:
                await ws.send(b" ")
            assert caught.value.reason is Reason.HANDLER_TRAPPED
            assert b"Not written" in await ws.recv()
            replica.upgrade(canister, guestbook())
            assert len(json.loads(await agent.query(canister, "pages"))) == 1


async def test_sealed_room() -> None:
    lines = (await run("sealed_room.py")).splitlines()
    assert lines[0] == "bob reads: the cake is in the oven"
    assert lines[-1] == "carol gets no key of the new epoch"


def test_every_example_is_run_here() -> None:
    here = Path(__file__).read_text()
    assert {path.stem for path in EXAMPLES.glob("*.py")} <= set(re.findall(r"async def test_(\w+)\(", here))


# settings, commands, tables, links


@pytest.mark.parametrize("page", PAGES, ids=ids(PAGES))
def test_settings_in_pages_are_accepted(page: Path, blocks: Any, tmp_path: Path) -> None:
    for number, block in enumerate(blocks(page, "toml")):
        file = tmp_path / f"{number}.toml"
        file.write_text(block)
        assert GatewayConfig.load(file)


def commands(page: Path) -> list[list[str]]:
    """Commands in a page: indented lines, and words in backquotes."""
    text = page.read_text()
    lines = re.findall(r"^    (\S.*)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE)
    lines += re.findall(r"`((?:icws|make) [^`]+)`", text)
    words = [shlex.split(line, comments=True) for line in lines]
    return [[word for word in line if not re.fullmatch(r"[A-Z]+=\S+", word)] for line in words]


@pytest.mark.parametrize("page", PAGES, ids=ids(PAGES))
def test_commands_in_pages_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for line in commands(page):
        if line[0] == "make":
            assert line[1] in targets, line
        if line[0] == "icws" and len(line) > 1 and importlib.util.find_spec(PARTS[line[1]].module) is not None:
            command = _load(PARTS[line[1]])
            within = getattr(command, "commands", None)  # of a group of commands
            if within is not None and len(line) > 2 and not line[2].startswith("--"):
                assert line[2] in within, line
                command = within[line[2]]
            known = {"--help"} | {name for option in command.params for name in option.opts}
            assert {word for word in line[2:] if word.startswith("--")} <= known, line


def test_close_codes_in_the_operators_page_are_the_protocols() -> None:
    rows = re.findall(r"^\| (\d{4}) \| (\w+) \|", (ROOT / "docs/operator.md").read_text(), re.MULTILINE)
    assert rows
    for code, name in rows:
        assert CloseCode(int(code)).label == name


def test_what_the_operators_page_names_is_in_the_gateway() -> None:
    named = set(re.findall(r"`([a-z]+(?:_[a-z]+)+)`", (ROOT / "docs/operator.md").read_text()))
    sources = "\n".join(path.read_text() for path in (ROOT / "gateway/icws_gateway").rglob("*.py"))
    sources += GatewayMetrics().render().decode()
    assert [name for name in sorted(named) if name not in sources] == []


@pytest.mark.parametrize("page", PAGES, ids=ids(PAGES))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
        if not target.startswith(("http://", "https://")):
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=ids(PAGES))
def test_files_named_in_pages_exist(page: Path) -> None:
    named = re.findall(r"`((?:spec|docs|examples|tests|icws_secure|client|gateway)/[\w./-]+)`", page.read_text())
    for name in named:
        assert (ROOT / name).exists(), name
