"""Each benchmark in its quick form: it runs, and says what it should. How fast anything is, no test asserts."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

BENCH = Path(__file__).parents[2] / "bench"

NAMES = {
    "verify": {
        "verify.bare",
        "verify.message.cold",
        "verify.poll_of_50.cold.rate",
        "verify.poll_of_50.rate",
    },
    "payload": {"payload.hpke.seal.100", "payload.vetkd.open.100", "payload.vetkey.decrypt_and_verify"},
    "relaying": {
        "relay.bytes.content_100",
        "relay.cpu.one_frame_each",
        "relay.cpu.one_frame_each.tls",
        "relay.cpu.node_signature",
        "relay.cpu.poll",
        "relay.cpu.shared_certificate.1_a_poll",
        "relay.cpu.shared_certificate.10_a_poll",
        "relay.cpu.call",
        "relay.cpu.head",
        "relay.cpu.open.secure",
    },
    "sharing": {"sharing.cpu.one_process", "sharing.cpu.two_processes", "sharing.cpu.redis"},
    "latency": {"latency.1000_a_second.p50", "latency.1000_a_second.p99", "throughput.5000_a_second.p99"},
    "long_queue": {"long_queue.serial", "long_queue.ahead"},
    "neighbours": {"neighbours.stalled_reader.p99.during", "neighbours.stopped_canister.p99.during"},
    "growth": {"growth.canisters", "growth.queue"},
    "crowd": {"growth.clients"},
}


def run(name: str, folder: Path) -> list[dict[str, Any]]:
    file = folder / "results.json"
    command = [sys.executable, str(BENCH / f"{name}.py"), "--quick", "--json", str(file)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=280, check=False)  # noqa: S603
    assert done.returncode == 0, done.stdout + done.stderr
    rows: list[dict[str, Any]] = json.loads(file.read_text())
    for row in rows:
        assert row["name"] in done.stdout
    return rows


def check(rows: list[dict[str, Any]]) -> None:
    assert len({row["name"] for row in rows}) == len(rows)
    for row in rows:
        assert row["value"] > 0
        assert row["unit"]
        assert ("ratio" in row) == ("against" in row)
        assert ("target" in row) == ("met" in row)


def needs(name: str) -> tuple[pytest.MarkDecorator, ...]:
    missing = name == "sharing" and not (shutil.which("redis-server") or shutil.which("valkey-server"))
    marks = (pytest.mark.redis,) if name == "sharing" else ()
    return (
        *marks,
        pytest.mark.skipif(missing, reason="needs Redis (Debian: apt-get install redis-server)"),
    )


@pytest.mark.parametrize("name", [pytest.param(name, marks=needs(name)) for name in NAMES])
def test_a_benchmark_runs_and_names_its_figures(name: str, tmp_path: Path) -> None:
    rows = run(name, tmp_path)
    check(rows)
    assert NAMES[name] <= {row["name"] for row in rows}


@pytest.mark.node
def test_the_javascript_client_accepts_and_is_measured_beside_ours(tmp_path: Path) -> None:
    rows = run("beside_js", tmp_path)
    check(rows)
    assert {row["name"] for row in rows} == {"beside_js.ic_websocket_js", "beside_js.ours"}


def test_all_benchmarks_are_part_of_the_whole() -> None:
    alone = {path.stem for path in BENCH.glob("*.py") if "\n    main(__doc__, measure)\n" in path.read_text()} - {"run"}
    assert alone == {*NAMES, "beside_js"}
    whole = (BENCH / "run.py").read_text()
    assert all(f"import {name}\n" in whole for name in alone)
