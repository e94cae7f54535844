"""``make soak`` in short: a crowd before one gateway for some seconds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.alone

RUN = Path(__file__).with_name("run.py")


@pytest.mark.skipif(sys.platform != "linux", reason="reads memory and descriptors of processes from /proc")
@pytest.mark.req("ICWS-GWY-018")
def test_gateway_stays_flat_is_empty_afterwards_and_its_counts_agree() -> None:
    run = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, str(RUN), "--seconds", "12", "--clients", "60", "--seed", "5"],
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "every count agrees" in run.stdout
    for deed in ("echoed", "broke off", "read late", "garbage"):
        assert deed in run.stdout, run.stdout
