"""A gateway that is not ours, with its own flags: each known weakness of deployed ones is found, and nothing else.

The gateway is a model of the deployed ones, since those cannot be run here.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest

from icws_conformance.clients.world import open_world
from icws_conformance.gateways.cases import gateway_cases
from icws_conformance.gateways.target import GatewayOptions, open_target
from icws_conformance.runner import run_cases
from icws_conformance.verdict import Verdict

PROGRAM: Final = Path(__file__).with_name("deployed_gateway.py")
COMMAND: Final = (sys.executable, str(PROGRAM), "--gateway-address", "{listen}", "--ic-network-url", "{ic_url}")
PASS, FAIL, NOT_APPLICABLE = Verdict.PASS, Verdict.FAIL, Verdict.NOT_APPLICABLE

#: Case: verdict, and the requirement that it is meant for.
WEAKNESSES: Final[Mapping[str, tuple[Verdict, str]]] = {
    "opening/greets": (PASS, "ICWS-GWY-001"),
    "calls/duplicates": (FAIL, "ICWS-GWY-021"),
    "opening/forged": (FAIL, "ICWS-GWY-002"),
    "opening/for-another-gateway": (FAIL, "ICWS-GWY-002"),
    "attach/connected-key": (FAIL, "ICWS-GWY-003"),
    "attach/forged-for-connected": (FAIL, "ICWS-GWY-003"),
    "calls/one-at-a-time": (FAIL, "ICWS-GWY-009"),
    "calls/to-another-canister": (FAIL, "ICWS-GWY-004"),
    "delivery/own-messages-only": (FAIL, "ICWS-GWY-008"),
    "delivery/fitting-witness-omnia": (PASS, "ICWS-GWY-008"),
    "polls/altered": (FAIL, "ICWS-GWY-007"),
    "polls/failing": (FAIL, "ICWS-GWY-012"),
    "polls/restarted": (FAIL, "ICWS-GWY-019"),
    "delivery/slow-reader": (FAIL, "ICWS-GWY-018"),
    "codes/open-with-junk": (FAIL, "ICWS-GWY-011"),
    "endpoints/old-clients": (PASS, "ICWS-GWY-014"),
    "leaving/closes": (PASS, "ICWS-GWY-013"),
    "receipts/certificate": (NOT_APPLICABLE, "ICWS-GWY-010"),
    "attach/heads": (NOT_APPLICABLE, "ICWS-GWY-017"),
    "endpoints/node-signatures": (NOT_APPLICABLE, "ICWS-GWY-016"),
    "operation/key-file": (NOT_APPLICABLE, "ICWS-GWY-015"),
    "operation/drain": (FAIL, "ICWS-GWY-022"),
}


@pytest.mark.alone
@pytest.mark.timeout(240)
async def test_weaknesses_of_deployed_gateways_are_found_with_evidence() -> None:
    async with open_world(0) as world, open_target(world, GatewayOptions(COMMAND)) as tested:
        cases = [case for case in gateway_cases(tested) if case.id in WEAKNESSES]
        run = await run_cases(cases, target="gateway", implementation="deployed", command="test", at_once=1)
    assert {result.case: (result.verdict, result.requirements[0]) for result in run.results} == WEAKNESSES
    for result in run.results:
        if result.verdict is FAIL:
            assert result.seen
            assert any(entry.blamed for entry in result.log), f"{result.case}: no line of the log shows it"
        if result.verdict is NOT_APPLICABLE:
            assert result.reason
