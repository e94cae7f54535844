"""The examples in docstrings that need no network are run as they stand; tests/end_to_end runs the others."""

from __future__ import annotations

import doctest
import importlib

import pytest


@pytest.mark.parametrize("name", ["icws_client.codec", "icws_client.identities"])
def test_examples_run(name: str) -> None:
    result = doctest.testmod(importlib.import_module(name))
    assert result.attempted > 0
    assert result.failed == 0
