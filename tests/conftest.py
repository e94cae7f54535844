"""Test vectors as parameters: a test marked ``vectors(kind)`` runs once for each vector of that kind.

Interrupts reach the programs that tests start, also where the tests themselves run in the background.

Properties are tried on the same examples in each run, so that a run says something about the change at hand; other
examples are looked for with ``--hypothesis-profile=explore``.
"""

from __future__ import annotations

import json
import signal
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# nothing is said about time: a busy machine draws slowly, too
_UNHURRIED: Any = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("repeatable", derandomize=True, **_UNHURRIED)
settings.register_profile("explore", **_UNHURRIED)
settings.load_profile("repeatable")

VECTORS = Path(__file__).parent / "vectors"


def pytest_configure(config: pytest.Config) -> None:
    # a shell starts background jobs with SIGINT ignored, and children inherit that
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    config.addinivalue_line("markers", "vectors(kind): run once for each test vector of a kind, as argument `vector`")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    marker = metafunc.definition.get_closest_marker("vectors")
    if marker is not None:
        found = vectors_of(marker.args[0])
        metafunc.parametrize("vector", [vector for _, vector in found], ids=[name for name, _ in found])


@cache
def vectors_of(kind: str) -> list[tuple[str, dict[str, Any]]]:
    """Every vector of a kind, with a name that tells its file."""
    found: list[tuple[str, dict[str, Any]]] = []
    for path in sorted(VECTORS.glob("*.json")):
        document = json.loads(path.read_text())
        if document["kind"] == kind:
            found += [(f"{path.stem}: {vector['name']}", vector) for vector in document["vectors"]]
    return found
