"""A gateway's part of the promise: in order, each once, and nobody else's session touched."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from unittest.mock import Mock

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test


@pytest.mark.req("ICWS-GWY-003", "ICWS-GWY-005", "ICWS-GWY-006", "ICWS-GWY-008", "ICWS-GWY-013")
def test_each_connection_gets_its_sessions_messages_once_and_in_order(
    model_module: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("icws_gateway.connection.logger", lambda **_: Mock())
    run_state_machine_as_test(
        model_module("model_gateway").GatewayModel,
        settings=settings(
            max_examples=100,
            stateful_step_count=60,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            print_blob=True,
        ),
    )
