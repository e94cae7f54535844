"""Vectors for every test: ``@pytest.mark.vectors("bls_local", ...)`` runs a test once for each vector of those files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

VECTORS = Path(__file__).parent / "vectors"


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "vectors(*names): the files of tests/vectors that the argument `vector` comes from"
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    marker = metafunc.definition.get_closest_marker("vectors")
    if marker is None:
        return
    vectors: list[dict[str, Any]] = []
    for name in marker.args:
        vectors += json.loads((VECTORS / f"{name}.json").read_text())["vectors"]
    metafunc.parametrize("vector", vectors, ids=[vector["name"] for vector in vectors])
