"""``make chaos`` in short: gateways are killed, stopped and restarted under a few clients for some seconds."""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.alone

RUN = Path(__file__).with_name("run.py")


@pytest.mark.timeout(1_800)  # a minute is usual; more on a machine that is busy with other things
@pytest.mark.req("ICWS-CLT-070")
def test_nothing_is_lost_while_gateways_are_killed_stopped_and_restarted() -> None:
    run = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, str(RUN), "--seconds", "20", "--clients", "12", "--seed", "4"],
        capture_output=True,
        text=True,
        timeout=1_700,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "nothing lost, nothing twice, everything in order" in run.stdout
    for deed in ("killed", "stopped", "restarted"):
        assert re.search(rf"\d gateways {deed}", run.stdout), run.stdout


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nobody tells a child that its parent is gone")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_no_process_outlives_a_run_that_is_ended_from_outside(number: signal.Signals, tmp_path: Path) -> None:
    with subprocess.Popen(  # noqa: S603 - our own program
        # of a run as long as this, the first gateway is left alone for three seconds: all processes can be counted
        [sys.executable, str(RUN), "--seconds", "600", "--clients", "3", "--seed", "1"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    ) as run:
        try:
            assert run.stdout is not None
            for line in run.stdout:
                if "sessions are open" in line:
                    break
            children = Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text().split()
            assert len(children) == 1 + 3 + 3
            handles = [os.pidfd_open(int(child)) for child in children]
        finally:
            run.send_signal(number)
        try:
            assert all(select.select([handle], [], [], 30)[0] for handle in handles)
        finally:
            for handle in handles:
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(handle, signal.SIGKILL)
                os.close(handle)
