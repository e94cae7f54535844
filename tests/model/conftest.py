"""The model's world: modules beside the tests, and certificates that cost nothing to verify."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

HERE = Path(__file__).parent


@pytest.fixture
def model_module(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """Import one of the modules beside the tests."""
    monkeypatch.syspath_prepend(HERE)
    backend = importlib.import_module("model_ic").HashBackend()
    monkeypatch.setattr("icws_secure.verify.certificate._default_backend", lambda: backend)
    return importlib.import_module
