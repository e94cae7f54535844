"""Nothing secret shows: not in a log, at any level, and not in the representation of any object."""

from __future__ import annotations

import base64
import gc
import logging
from collections.abc import Iterator
from types import BuiltinFunctionType, FrameType, FunctionType, ModuleType
from typing import Any

import pytest

from icws_canister_mock.canister import SECURE, CanisterConfig, Client, WebSocketCanister
from icws_client.identities import generate
from icws_secure.session.canister import SealedSuites

OURS = ("icws_secure", "icws_client", "icws_gateway", "icws_canister_mock")
NO_WAY = (ModuleType, type, FunctionType, BuiltinFunctionType, FrameType)  # from these one comes to everything
WORDS = b"a word that nobody else may read"
LATER = b"and another one after the failover"


class Safe(WebSocketCanister):
    """Echoes what it opens."""

    config = CanisterConfig(profiles=frozenset({SECURE}), suites=SealedSuites())

    def on_message(self, client: Client, data: bytes) -> None:
        self.ws.send(client, data)


def reachable(*roots: object) -> Iterator[object]:
    """Objects of ours that hang together with ``roots``."""
    seen: set[int] = set()
    left = list(roots)
    while left:
        thing = left.pop()
        if id(thing) in seen or issubclass(type(thing), NO_WAY) or (type(thing) is dict and "__spec__" in thing):
            continue
        seen.add(id(thing))
        if type(thing).__module__.startswith(OURS):
            yield thing
        left += gc.get_referents(thing)


def forms(secret: bytes) -> list[str]:
    """How bytes may look in a text."""
    found = [secret.hex(), repr(secret)[2:-1], repr(list(secret))[1:-1], base64.b64encode(secret).decode()[:-2]]
    if secret.isascii():
        found.append(secret.decode())
    return found


def ratchets(*roots: object) -> Iterator[bytes]:
    for thing in reachable(*roots):
        if type(thing).__name__ == "Ratchet":
            yield thing.chain  # type: ignore[attr-defined]


@pytest.mark.req("ICWS-LIB-026")
@pytest.mark.parametrize("payload", ["hpke", "none"])
async def test_no_key_and_no_word_shows_in_logs_and_representations(
    network: Any, payload: str, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str], tmp_path: Any
) -> None:
    caplog.set_level(logging.DEBUG)
    owner = generate()
    _, wire = await network.wire()
    second = await network.gateway(log_level="debug")
    safe = Safe()
    canister = network.install(safe)
    options = {"canister_id": canister, "payload": payload, "identity": owner}
    options |= {"state_file": tmp_path / "state", "state_key": b"\x5a" * 32}
    async with network.connect([wire.url, second.url], **options) as ws:
        await ws.send(WORDS)
        assert await ws.recv() == WORDS
        secrets = {*ratchets(ws, safe)}
        wire.cut()
        await ws.send(LATER)
        assert await ws.recv() == LATER
        secrets |= {*ratchets(ws, safe)}
        sessions = safe.ws._sessions
        secrets |= {key.private_key for key in sessions.state.suite_keys.keys} | {sessions.state.seed}
        machine = next(thing for thing in reachable(ws) if type(thing).__name__ == "ClientSession")
        secrets |= {machine._core.identity.export_secret(), owner.export_secret(), b"\x5a" * 32}
        assert len(secrets) > (8 if payload == "hpke" else 3)
        things = list(reachable(ws, safe, network.replica, owner))
        names = {type(thing).__name__ for thing in things}
        assert {"ClientSession", "CanisterState", "Session", "Entry", "Retained"} <= names
        assert ({"SuiteChannel", "HopChannel"} <= names) is (payload == "hpke")
        shown = {type(thing).__name__: "" for thing in things}
        for thing in things:
            shown[type(thing).__name__] += f"{thing!r} {thing!s}"
    shown["logs"] = caplog.text
    shown["output"] = "".join(capsys.readouterr())
    for secret in (*secrets, WORDS, LATER):
        for form in forms(secret):
            assert [name for name, text in shown.items() if form in text] == []
    assert not list(ratchets(machine))  # they went with the session
