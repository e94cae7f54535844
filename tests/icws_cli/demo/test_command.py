"""The whole demo, as users run it; and with clients that check too little, which must fail it."""

from __future__ import annotations

import asyncio
import io
import re
import sys
from dataclasses import replace

import pytest
from rich.console import Console

from icws_cli.demo.attacks import SHOWN
from icws_cli.demo.command import run
from icws_cli.demo.show import Show
from icws_conformance.hostile import PassThrough
from icws_secure.verify import message as message_verifier

pytestmark = pytest.mark.alone

TITLES = {shown.title: shown for shown in SHOWN}


async def test_it_ends_by_itself_with_every_attack_caught() -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "icws_cli.main", "demo"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 120)
    text = out.decode()
    assert process.returncode == 0, text + err.decode()
    assert err == b""
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= 80
    assert len(re.findall(r"^ +caught", text, re.MULTILINE)) == len(SHOWN)
    assert "FAILED" not in text


async def played(*titles: str) -> tuple[bool, str]:
    """Play these attacks only."""
    file = io.StringIO()
    good = await run(Show(Console(file=file, width=80)), tuple(TITLES[title] for title in titles))
    return good, file.getvalue()


async def test_a_client_that_believes_altered_content_fails_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def anything_goes(_left: bytes, _right: bytes) -> bool:
        return True

    monkeypatch.setattr(message_verifier, "compare_digest", anything_goes)
    good, text = await played("altered content", "altered witness")
    assert not good
    assert re.search(r"FAILED +1\. altered content", text)
    assert re.search(r"caught +2\. altered witness", text)
    assert "The chat survived its gateway. 1 of 2 attacks came to nothing." in text


async def test_an_attack_that_never_strikes_shows_nothing_and_fails_it(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = TITLES["replay"]
    assert shown.entry is not None
    idle = replace(shown, entry=replace(shown.entry, make=lambda _scene: PassThrough()))
    monkeypatch.setitem(TITLES, "replay", idle)
    good, text = await played("replay")
    assert not good
    assert "never struck" in text
