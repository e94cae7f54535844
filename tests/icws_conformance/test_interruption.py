"""The suite is told to end while a program that it started runs: that program ends with it."""

from __future__ import annotations

import shlex
import signal
import socket
import subprocess
import sys

import pytest

_LIMIT_S = 120.0

#: Connects to the test; the connection ends when the last process that has it has ended. It starts a child of its own,
#: listens or not, and greets nobody.
GATEWAY = """
import signal, socket, subprocess, sys, time
test, host, port, kind = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4]
if kind == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
line = socket.create_connection(("127.0.0.1", test))
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], pass_fds=[line.fileno()])
if kind != "starting":
    listener = socket.create_server((host, port))
    listener.accept()  # the suite sees that it listens
    listener.accept()  # a case has begun
line.sendall(b"runs")
time.sleep(600)
"""


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (signal.SIGTERM, "running"),
        (signal.SIGINT, "running"),
        (signal.SIGHUP, "running"),
        (signal.SIGTERM, "starting"),
        (signal.SIGTERM, "stubborn"),
    ],
)
def test_gateway_that_the_suite_started_ends_when_the_suite_is_told_to_end(number: signal.Signals, kind: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(_LIMIT_S)
        gateway = shlex.join([sys.executable, "-c", GATEWAY, str(listener.getsockname()[1])])
        gateway += f" {{host}} {{port}} {kind} {{ic_url}}"
        words = ["gateway", "--start", gateway, "--case", "opening/greets"]
        suite = subprocess.Popen(  # noqa: S603 - this very program
            [sys.executable, "-m", "icws_conformance.cli", *words], stderr=subprocess.PIPE, text=True
        )
        try:
            line, _ = listener.accept()
            with line:
                line.settimeout(_LIMIT_S)
                assert line.recv(4) == b"runs"
                suite.send_signal(number)
                if kind == "stubborn":
                    suite.send_signal(number)  # twice: nobody waits for what does not end
                _, said = suite.communicate(timeout=_LIMIT_S)
                # Not before the last process has ended that the gateway was, or had started.
                assert line.recv(4) == b""
        finally:
            suite.kill()
            suite.wait()
    assert suite.returncode == 128 + number
    assert f"ended by {number.name}" in said
