"""The chaos run is a program; its modules are found beside it."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

HERE = Path(__file__).parent


@pytest.fixture
def chaos_module(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """Import one of the program's modules."""
    monkeypatch.syspath_prepend(HERE)
    return importlib.import_module
