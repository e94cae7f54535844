"""The examples in the client's docstrings, run against a network in place of the main one."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import re
import textwrap
from collections.abc import Callable
from typing import Any

import pytest

from icws_canister_mock.canister import WebSocketCanister
from icws_canister_mock.canister.samples import Echo
from icws_canister_mock.replica import update
from icws_client import agent, client
from icws_client.http import HttpClient
from icws_client.identities import generate
from icws_client.root_key import RootKey

GATEWAY = "wss://gateway.example"
CANISTER = "bkyz2-fmaaa-aaaaa-qaaaq-cai"
PLACES = [
    "icws_client",
    "icws_client.client:connect",
    "icws_client.sync",
    "icws_client.callbacks",
    "icws_client.agent",
    "icws_client.sessions",
]


class Shop(Echo):
    """An echo canister with a method of its own."""

    @update("transfer")
    def transfer(self, arg: bytes) -> bytes:
        return arg


def examples(place: str) -> list[str]:
    """Return the blocks of code in a docstring, which follow a line that ends in two colons."""
    name, _, attribute = place.partition(":")
    found = importlib.import_module(name)
    docstring = inspect.getdoc(getattr(found, attribute) if attribute else found)
    assert docstring is not None
    blocks = re.findall(r"::\n\n((?:(?:    .*)?\n)+)", docstring + "\n")
    return [textwrap.dedent(block).strip() for block in blocks]


def compiled(source: str, names: dict[str, Any]) -> Callable[[], Any]:
    """Return *source* as a function, a coroutine function where it awaits."""
    kind = "async def" if "await" in source else "def"
    exec(f"{kind} example():\n" + textwrap.indent(source, "    "), names)  # noqa: S102 - our own docstring
    function: Callable[[], Any] = names["example"]
    return function


@pytest.mark.parametrize("place", PLACES)
async def test_examples_run(network: Any, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    gateway = await network.gateway()
    canister: WebSocketCanister = Shop()
    canister_id = network.install(canister)
    key = RootKey.from_der(network.root_key)
    for module in (client, agent):
        monkeypatch.setattr(module, "HttpClient", lambda url, **options: HttpClient(network.ic_url))
        monkeypatch.setattr(module, "as_root_key", lambda value: key)
    sources = examples(place)
    assert sources
    for source in sources:
        here = source.replace(GATEWAY, gateway.url).replace(CANISTER, canister_id.to_text())
        owner = generate()
        names = vars(importlib.import_module(place.partition(":")[0])) | {
            "identity": owner,
            "owner": owner,
            "canister": canister_id,
            "argument": b"DIDL\x00\x00",
            "print": lambda *values: None,
        }
        example = compiled(here, dict(names))
        async with asyncio.timeout(60):
            if inspect.iscoroutinefunction(example):
                await example()
            else:
                await asyncio.to_thread(example)
