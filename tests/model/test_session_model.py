"""Exactly once and in order, or an error: under every interleaving that hypothesis finds."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test


@pytest.mark.req("ICWS-CLT-035", "ICWS-CLT-041", "ICWS-CLT-042", "ICWS-CLT-070")
@pytest.mark.parametrize(("machine", "examples"), [("SecureSession", 60), ("SealedSession", 30), ("OmniaSession", 30)])
def test_each_message_arrives_once_and_in_order_or_an_error_is_raised(
    model_module: Callable[[str], ModuleType], machine: str, examples: int
) -> None:
    run_state_machine_as_test(
        getattr(model_module("model_session"), machine),
        settings=settings(
            max_examples=examples,
            stateful_step_count=50,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            print_blob=True,
        ),
    )
