"""A gateway is caught, the catch is written down, and anyone can check it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from icws_cli.evidence import LIMITS, app
from icws_client.evidence import SUFFIX, EvidenceFolder, read_evidence
from icws_conformance.hostile import Attack, HostileGateway, Wire
from icws_secure.errors import DecodeError, MisuseError
from icws_secure.wire.frames import GatewayFrame, KeyedContent, MessagesFrame

RUNNER = CliRunner(env={"COLUMNS": "300", "NO_COLOR": "1"})


class Alter(Attack):
    """Changes one byte of each message after the attach."""

    async def from_gateway(self, wire: Wire, frame: GatewayFrame) -> None:
        if isinstance(frame, MessagesFrame) and wire.opened:
            self.struck += 1
            altered = tuple(
                KeyedContent(message.key, message.content[:-1] + bytes((message.content[-1] ^ 1,)))
                for message in frame.messages
            )
            frame = replace(frame, messages=altered)
        await wire.to_client(frame)


@pytest.fixture
async def record(network: Any, tmp_path: Path) -> Path:
    """What a client wrote about a hostile gateway, before it went on through an honest one."""
    honest = await network.gateway()
    attack = Alter()
    async with (
        HostileGateway(honest.url, attack) as hostile,
        network.connect([hostile.url, (await network.gateway()).url], evidence_dir=tmp_path / "evidence") as ws,
    ):
        await ws.send(b"hello")
        assert await ws.recv() == b"hello"
        assert attack.struck
    records = sorted((tmp_path / "evidence").iterdir())
    assert len(records) == 1
    return records[0]


def test_a_record_holds_when_it_is_checked_again(record: Path, network: Any) -> None:
    result = RUNNER.invoke(app, [str(record)])
    assert result.exit_code == 0, result.output
    assert "holds: the bytes fail as recorded" in result.output
    assert LIMITS in result.output
    assert network.canister.to_text() in result.output
    assert "LeafMismatch" in result.output
    assert "ICWS-CLT-025" in result.output
    assert record.name.endswith(SUFFIX)
    assert record.stat().st_mode & 0o077 == 0


def test_a_record_of_acceptable_bytes_proves_nothing(record: Path) -> None:
    evidence = read_evidence(record)
    record.write_bytes(replace(evidence, reason="StateRollback").encode())
    result = RUNNER.invoke(app, [str(record)])
    assert result.exit_code == 1
    assert "does not hold" in result.output
    assert LIMITS not in result.output


def test_what_is_no_record_is_said_to_be_none(record: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_bytes(b"nothing \x1b[2J")
    for name in (str(other), str(tmp_path / "absent")):
        result = RUNNER.invoke(app, [name, str(record)])
        assert result.exit_code == 1
        assert "not a record" in result.output
        assert "holds: the bytes" in result.output  # the other one is checked all the same
    with pytest.raises(DecodeError):
        read_evidence(other)
    with pytest.raises(MisuseError):
        read_evidence(tmp_path / "absent")


def test_a_hostile_gateway_cannot_fill_the_disk(record: Path, tmp_path: Path) -> None:
    evidence = read_evidence(record)
    folder = EvidenceFolder(tmp_path / "many")
    written = [folder.write(evidence) for _ in range(100)]
    assert len([path for path in written if path is not None]) == 32
    assert len(list((tmp_path / "many").iterdir())) == 32


def test_a_folder_that_cannot_be_written_costs_no_session(record: Path, tmp_path: Path) -> None:
    evidence = read_evidence(record)
    folder = EvidenceFolder(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert folder.write(evidence) is None
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(MisuseError):
        EvidenceFolder(tmp_path / "file")
