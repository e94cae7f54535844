"""The target ``client``: the driver's protocol, some cases on our client, and clients that are no good."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from icws_conformance.case import Case
from icws_conformance.clients.cases import client_cases
from icws_conformance.clients.driver import Drivers
from icws_conformance.clients.world import World, open_world
from icws_conformance.hostile.wrapping import in_the_form_of, unwrapped
from icws_conformance.mutants.grounds import listed_cases
from icws_conformance.requirements import requirements
from icws_conformance.runner import Run, run_cases
from icws_conformance.verdict import Verdict
from icws_conformance.wirelog import WireLog
from icws_secure.errors import TransportError

ROOT = Path(__file__).resolve().parents[2]
JS = ROOT / "tests/interop/js"
OURS = [sys.executable, "-m", "icws_conformance.drivers.icws_client"]
CASES = [
    "secure/altered-content",
    "secure/another-clients-message",
    "secure/replay",
    "omnia/altered-content",
    "omnia/another-clients-close",
    "omnia/old-messages",
    "omnia/told-root-key",
    "omnia/only-receives",
    "manners/registers-directly",
    "manners/signs-its-opens",
    "manners/no-fallback",
    "manners/pinned-gateway",
    "registering/of-another-call",
    "opening/another-open",
    "messages/second-of-a-frame",
    "state/another-epoch",
    "state/covers-what-was-taken",
    "sending/accepted",
    "saved/another-key",
    "payload/sealed-once",
    "direct/altered-poll",
]
#: What the review of the protocol has found about clients, and a case of each: spec/threat-model.md tells what it is.
FINDINGS = {
    "A1": "opening/refused-stale-attach",
    "A2": "messages/below-the-attach",
    "A3": "sending/only-ok",
    "A4": "messages/kept-for-the-resume",
    "A5": "opening/another-open",
    "A6": "messages/removed-entry",
    "A7": "messages/good-after-bad",
    "A9": "payload/sealed-once",
    "B2": "registering/delegated-owner",
    "B3": "registering/answer-lost",
    "B5": "secure/anonymous-gateway",
    "B7": "registering/keys-kept-apart",
    "B8": "sending/given-up-without-a-head",
    "C1": "sending/pending",
    "C2": "secure/receipt-of-another-call",
    "C3": "state/stale-audits",
    "C4": "state/no-such-session",
    "C5": "state/lower-next-out",
    "C7": "sending/another-message-under-its-number",
    "C8": "state/covers-what-was-taken",
    "C9": "registering/clock-behind",
    "C12": "direct/polls",
    "D2": "payload/sealed-once",
    "D3": "payload/key-rotated",
    "D10": "registering/certified-missing-method",
    "E5": "manners/converses",
    "G4": "messages/second-of-a-frame",
}
LIAR = """
import json, sys
for line in sys.stdin:
    q = json.loads(line)
    answer = {"id": q["id"], "ok": True, "profiles": ["secure"], "session": "2vxsx-fae"}
    print(json.dumps(answer), flush=True)
    if q["command"] == "send":
        print(json.dumps({"event": "message", "data_hex": "00"}), flush=True)
"""


async def run_of(words: Sequence[str], names: Sequence[str]) -> Run:
    async with open_world() as world, Drivers(words) as drivers:
        cases = [case for case in every_case(world, drivers) if case.id in names]
        assert len(cases) == len(names)
        return await run_cases(cases, target="client", implementation="test", command="test", at_once=4)


def every_case(world: World, drivers: Drivers) -> list[Case]:
    return client_cases(world, drivers)


@pytest.mark.timeout(120)
async def test_our_client_passes() -> None:
    run = await run_of(OURS, CASES)
    assert {
        result.case: (result.verdict, result.seen, result.reason)
        for result in run.results
        if result.verdict is not Verdict.PASS
    } == {}
    assert all(result.log for result in run.results)


async def test_case_that_needs_what_a_client_does_not_offer_is_not_applicable() -> None:
    names = ["saved/resumed", "registering/delegated-owner", "payload/sealed-once", "direct/polls"]
    run = await run_of([sys.executable, "-c", LIAR], names)
    assert {result.verdict for result in run.results} == {Verdict.NOT_APPLICABLE}


async def test_client_that_only_claims_to_have_a_session_fails() -> None:
    run = await run_of([sys.executable, "-c", LIAR], ["manners/registers-directly", "manners/converses"])
    assert [result.verdict for result in run.results] == [Verdict.FAIL, Verdict.FAIL]


async def test_driver_that_ends_is_told_apart_from_one_that_answers() -> None:
    async with Drivers([sys.executable, "-c", "print('no JSON')"]) as drivers:
        with pytest.raises(TransportError):
            async with drivers.lend(WireLog()):
                pass


async def test_cases_name_requirements_that_exist_and_have_names_of_their_own() -> None:
    async with open_world(1) as world, Drivers(OURS) as drivers:
        cases = every_case(world, drivers)
    assert len({case.id for case in cases}) == len(cases)
    assert {name for case in cases for name in case.requirements} <= set(requirements())


def test_every_finding_about_clients_has_a_case() -> None:
    names = {name.removeprefix("client:") for name in listed_cases()}
    assert set(FINDINGS.values()) <= names
    found = re.findall(r"^\| ([A-G]\d+) \|", (ROOT / "spec/threat-model.md").read_text(), flags=re.M)
    assert set(FINDINGS) <= set(found)


#: What the deployed JavaScript client does: verdict, and the requirement that the case is meant for.
DEPLOYED = {
    "manners/converses-omnia": (Verdict.PASS, "ICWS-CLT-029"),
    "omnia/altered-content": (Verdict.PASS, "ICWS-CLT-025"),
    "omnia/another-clients-open": (Verdict.PASS, "ICWS-CLT-028"),
    "secure/replay": (Verdict.NOT_APPLICABLE, "ICWS-CLT-027"),
    "omnia/another-clients-message": (Verdict.FAIL, "ICWS-CLT-028"),
    "omnia/another-clients-ack": (Verdict.FAIL, "ICWS-CLT-028"),
    "omnia/another-clients-close": (Verdict.FAIL, "ICWS-CLT-028"),
    "omnia/leaf-at-the-label": (Verdict.FAIL, "ICWS-CLT-024"),
    "omnia/message-younger-than-its-certificate": (Verdict.FAIL, "ICWS-CLT-030"),
    "omnia/time-goes-back": (Verdict.FAIL, "ICWS-CLT-030"),
    "omnia/old-messages": (Verdict.FAIL, "ICWS-CLT-031"),
    "omnia/only-receives": (Verdict.FAIL, "ICWS-CLT-050"),
    "omnia/told-root-key": (Verdict.FAIL, "ICWS-LIB-022"),
    "omnia/stale-delegation": (Verdict.FAIL, "ICWS-LIB-014"),
    "omnia/ambiguous-witness": (Verdict.FAIL, "ICWS-LIB-008"),
}


@pytest.mark.node
@pytest.mark.alone
@pytest.mark.timeout(240)
async def test_weaknesses_of_the_deployed_client_are_found_with_evidence() -> None:
    node = shutil.which("node")
    if node is None or not (JS / "node_modules").is_dir():
        if os.environ.get("CI"):
            pytest.fail("Node.js and its packages are missing: make node")
        pytest.skip("Node.js and its packages are missing: make node")
    driver = ROOT / "spec/conformance/icws_conformance/drivers/js/ic_websocket_js.mjs"
    run = await run_of([node, str(driver), str(JS)], list(DEPLOYED))
    seen = {result.case: (result.verdict, result.requirements[0]) for result in run.results}
    assert seen == DEPLOYED, [(result.case, result.seen, result.reason) for result in run.results]
    for result in run.results:
        if result.verdict is Verdict.FAIL:
            assert any(entry.blamed for entry in result.log), f"{result.case}: no line of the log shows it"


def test_forged_words_come_in_the_form_that_the_client_knows() -> None:
    wrapped = b"DIDL\x01\x6d\x7b\x01\x00\x05hello"
    assert unwrapped(in_the_form_of(wrapped, b"forged")) == b"forged"
    assert in_the_form_of(wrapped, b"forged").startswith(b"DIDL")
    assert in_the_form_of(b"hello", b"forged") == b"forged"
