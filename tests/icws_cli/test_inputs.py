from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from icws_cli import inputs
from icws_cli.inputs import find_root_key, lines_of_stdin, read_identity
from icws_client import MAINNET_ROOT_KEY
from icws_client.identities import generate
from icws_secure.errors import MisuseError, TransportError
from icws_secure.sign import Ed25519Identity, identity_to_pem, sign_delegation
from icws_secure.sign.delegation_json import DelegationChain
from icws_secure.wire.envelope import Delegation

DER = MAINNET_ROOT_KEY.der
MAINNET = "https://icp-api.io"


@pytest.fixture
def stdin(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A pipe in place of standard input; gives the end to write to."""
    reader, writer = os.pipe()
    with os.fdopen(reader) as file:
        monkeypatch.setattr(sys, "stdin", file)
        yield writer


async def lines() -> list[bytes]:
    return [line async for line in lines_of_stdin()]


async def test_lines_are_read_whole_whatever_their_ends(stdin: int) -> None:
    os.write(stdin, b"one\ntwo\r\n\nlast\xff")
    os.close(stdin)
    assert await lines() == [b"one", b"two", b"", b"last\xff"]


async def test_no_input_is_no_lines(stdin: int) -> None:
    os.close(stdin)
    assert await lines() == []


async def test_a_line_that_no_message_could_hold_is_refused(stdin: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inputs, "MAX_LINE_BYTES", 10)
    os.write(stdin, b"fine\n" + b"x" * 11)
    os.close(stdin)
    with pytest.raises(MisuseError):
        await lines()


async def test_more_lines_than_are_kept_ahead_all_arrive(stdin: int) -> None:
    os.write(stdin, b"".join(b"%d\n" % n for n in range(500)))
    os.close(stdin)
    assert await lines() == [b"%d" % n for n in range(500)]


async def test_the_main_networks_root_key_is_the_default() -> None:
    assert (await find_root_key(None, MAINNET))[0] == MAINNET_ROOT_KEY


async def test_root_keys_are_read_from_files_and_from_hexadecimal(tmp_path: Path) -> None:
    raw, spelled = tmp_path / "raw", tmp_path / "hex"
    raw.write_bytes(DER)
    spelled.write_text(DER.hex() + "\n")
    for given in (str(raw), str(spelled), DER.hex()):
        assert (await find_root_key(given, MAINNET))[0] == MAINNET_ROOT_KEY


@pytest.mark.parametrize("given", ["", "no such file", "00ff", "fetch"])
async def test_a_root_key_that_is_none_is_refused(given: str) -> None:
    with pytest.raises(MisuseError):
        await find_root_key(given, MAINNET)


async def test_the_root_key_of_this_machine_is_fetched() -> None:
    with pytest.raises(TransportError):  # nobody listens there
        await find_root_key(None, "http://127.0.0.1:1")


def test_without_a_file_the_identity_is_new() -> None:
    assert read_identity(None, None).principal != read_identity(None, None).principal
    with pytest.raises(MisuseError):
        read_identity(None, Path("chain.json"))


def test_identities_and_delegations_are_read(tmp_path: Path) -> None:
    key = Ed25519Identity(bytes(range(32)))
    pem = tmp_path / "key.pem"
    pem.write_bytes(identity_to_pem(key))
    assert read_identity(pem, None).principal == key.principal
    owner = generate()
    link = sign_delegation(owner, Delegation(key.public_key_der, 1 << 60, None, None))
    chain = tmp_path / "chain.json"
    chain.write_text(DelegationChain(owner.public_key_der, (link,)).to_json())
    assert read_identity(pem, chain).principal == owner.principal


def test_a_password_is_asked_for_where_somebody_can_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = Ed25519Identity(bytes(range(32)))
    pem = tmp_path / "key.pem"
    pem.write_bytes(identity_to_pem(key, b"secret"))
    with pytest.raises(MisuseError):
        read_identity(pem, None)
    asked: list[Any] = []

    class Terminal:
        def isatty(self) -> bool:
            return True

    def prompt(text: str, **options: Any) -> str:
        asked.append(options["hide_input"])
        return "secret"

    monkeypatch.setattr(sys, "stdin", Terminal())
    monkeypatch.setattr(inputs.typer, "prompt", prompt)
    assert read_identity(pem, None).principal == key.principal
    assert asked == [True]
