"""One process of a hunt: a line on standard input names a mutant and cases, a line on standard output what caught it.

``{"mutant": "ICWS-CLT-025", "cases": ["client:secure/altered-content"]}`` is answered with
``{"case": "client:secure/altered-content", "seconds": 3.1}``. Arguments: more files of vectors.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from icws_conformance.mutants.grounds import GROUNDS, Grounds
from icws_secure.errors import IcwsError

_LINE_BYTES: Final = 1 << 20


async def _hunted(grounds: Grounds, mutant: str, cases: Sequence[str]) -> str:
    """The case that fails. The first one is played alone: it is the one that is known to fail."""
    for chosen in (cases[:1], cases[1:]):
        for target in GROUNDS:
            names = [name.partition(":")[2] for name in chosen if name.partition(":")[0] == target]
            if names and (caught := await grounds.play(mutant, target, names)):
                await grounds.demand_sound(target, caught)
                return f"{target}:{caught}"
    return ""


async def _answer(grounds: Grounds, asked: dict[str, Any]) -> dict[str, Any]:
    began = time.monotonic()
    found: dict[str, Any] = {"case": ""}
    try:
        found["case"] = await _hunted(grounds, asked["mutant"], asked["cases"])
    except (IcwsError, OSError, TimeoutError) as error:
        found["trouble"] = str(error)
    return found | {"seconds": round(time.monotonic() - began, 1)}


async def _run() -> None:
    reader = asyncio.StreamReader(limit=_LINE_BYTES)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async with Grounds([Path(name) for name in sys.argv[1:]]) as grounds:
        while line := await reader.readline():
            sys.stdout.write(json.dumps(await _answer(grounds, json.loads(line))) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(_run())
