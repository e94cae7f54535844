"""The deployed JavaScript client, ic-websocket-js, verifies the same messages in the same run, under Node.

python bench/beside_js.py [--quick] [--json FILE]

Its own check of a message (certificate, witness, leaf) is called as it calls it, once a message: it knows no poll.
Needs Node.js and the packages of tests/interop/js (``make node``); without them it says so and gives no row.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from table import Row, at_least, main, microseconds
from verify import POLL, Poll

from icws_secure.verify.certificate import CertificateVerifier

ROOT = Path(__file__).parents[1]
PACKAGES = ROOT / "tests" / "interop" / "js"
SCRIPT = Path(__file__).with_name("beside_js.mjs")


def node(poll: Poll, count: int) -> dict[str, float]:
    """What the JavaScript client measures: microseconds of CPU a message, and how many it accepted."""
    with tempfile.TemporaryDirectory(prefix="icws-bench-") as folder:
        file = Path(folder) / "poll.json"
        file.write_text(
            json.dumps(
                {
                    "rootKey": poll.root_key_der.hex(),
                    "canister": poll.canister.to_text(),
                    "certificate": poll.certificate.hex(),
                    "tree": poll.witness.hex(),
                    "messages": [{"key": m.key, "content": m.content.hex()} for m in poll.messages[:count]],
                }
            )
        )
        command = ["node", str(SCRIPT), str(PACKAGES), str(file)]
        done = subprocess.run(command, check=True, capture_output=True)  # noqa: S603 - our own script
    found: dict[str, float] = json.loads(done.stdout)
    if found["accepted"] != count:
        raise RuntimeError(f"ic-websocket-js accepted {found['accepted']} of {count} messages")
    return found


def measure(quick: bool) -> Iterator[Row]:
    """Its rate and ours."""
    if shutil.which("node") is None or not (PACKAGES / "node_modules" / ".created").exists():
        sys.stdout.write("beside_js: left out, it needs Node.js and `make node`\n")
        return
    poll = Poll()
    theirs = 1e6 / node(poll, 2 if quick else POLL)["us"]
    ours = POLL / microseconds(lambda: poll.verify(CertificateVerifier(poll.root_key), POLL)) * 1e6
    yield Row("beside_js.ic_websocket_js", theirs, "messages/s")
    yield Row("beside_js.ours", ours, "messages/s", ours / theirs, "ic-websocket-js", at_least(50, ratio=True))


if __name__ == "__main__":
    main(__doc__, measure)
