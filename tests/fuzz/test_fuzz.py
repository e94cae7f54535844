"""A short run of the fuzz targets, so that none rots and each is a reader that keeps its promise."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

RUN = Path(__file__).resolve().parents[2] / "fuzz/run.py"


@pytest.mark.req("ICWS-LIB-023")
def test_no_reader_of_the_core_raises_anything_but_errors_of_the_project() -> None:
    done = subprocess.run(  # noqa: S603  our own script
        [sys.executable, str(RUN), "--examples", "40", "--seed", "1"], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert ", 0 targets failed" in done.stdout
