"""The cases of the target ``gateway``, by what they are about."""

from __future__ import annotations

import contextlib
from functools import partial

from icws_conformance.case import Case, Failed, Finding
from icws_conformance.gateways.cases.attaching import ATTACHING
from icws_conformance.gateways.cases.bounds import BOUND_CASES
from icws_conformance.gateways.cases.calls import CALLS
from icws_conformance.gateways.cases.delivery import DELIVERY
from icws_conformance.gateways.cases.endpoints import ENDPOINTS, WITHDRAWN
from icws_conformance.gateways.cases.leaving import LEAVING
from icws_conformance.gateways.cases.opening import OPENING
from icws_conformance.gateways.cases.operation import OPERATION
from icws_conformance.gateways.cases.polls import POLLS
from icws_conformance.gateways.cases.receipts import RECEIPTS
from icws_conformance.gateways.stage import GatewayCase, Stage
from icws_conformance.gateways.under_test import GatewayUnderTest
from icws_conformance.wirelog import WireLog

__all__ = ["GatewayUnderTest", "gateway_cases"]

#: Those that end the gateway's process come last.
_CASES = (
    *OPENING,
    *CALLS,
    *RECEIPTS,
    *DELIVERY,
    *POLLS,
    *ENDPOINTS,
    *ATTACHING,
    *LEAVING,
    *BOUND_CASES,
    *WITHDRAWN,
    *OPERATION,
)


def gateway_cases(gateway: GatewayUnderTest) -> list[Case]:
    """The cases of this target; run them one at a time, since they share the gateway and its IC."""
    return [
        Case(
            id=entry.name,
            title=entry.title,
            requirements=tuple(f"ICWS-{name}" for name in entry.requirements),
            expected=entry.expected,
            run=partial(_run, gateway, entry),
            limit_s=entry.limit_s,
            gain=entry.gain,
        )
        for entry in _CASES
    ]


async def _run(gateway: GatewayUnderTest, entry: GatewayCase, log: WireLog) -> Finding:
    """Play a case on a gateway that is alive, and see that it still is afterwards."""
    await gateway.revive()
    gateway.answer = None
    failure: Failed | None = None
    finding: Finding | None = None
    try:
        async with contextlib.AsyncExitStack() as stack:
            finding = await entry.play(Stage(gateway, log, stack))
    except Failed as failed:
        failure = failed
    finally:
        gateway.answer = None
    # [ICWS-GWY-012] whatever the case was about: nothing that a client or a replica does may end the process
    ended = await gateway.revive(suspected=failure is not None)
    if ended:
        log.note(ended, source="gateway", blamed=True)
        raise Failed(ended if failure is None else f"{failure}; {ended}")
    if finding is None:
        raise failure or Failed("nothing was found")
    return finding
