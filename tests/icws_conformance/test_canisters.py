"""The target ``canister``: our kit, plain replicas, broken kits; and what the suite reads answers with."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icws_canister_mock.canister.samples import Counter, Echo
from icws_canister_mock.replica import Replica, serve_replica
from icws_conformance.canisters import candid
from icws_conformance.canisters.candid import BLOB, CandidError, Case, opt, record, variant, vec
from icws_conformance.canisters.cases import canister_cases
from icws_conformance.canisters.certificate import CertificateFault, open_certificate, read_tree
from icws_conformance.canisters.render import rendered
from icws_conformance.canisters.stage import detect
from icws_conformance.canisters.tested import CanisterUnderTest, connected, launched, read_root_key
from icws_conformance.cli import CANISTER
from icws_conformance.requirements import requirements
from icws_conformance.runner import Run, run_cases
from icws_conformance.verdict import Verdict
from icws_secure.errors import MisuseError, TransportError
from icws_secure.wire import candid as library
from icws_secure.wire.principal import Principal

VECTORS = Path(__file__).resolve().parents[2] / "spec/vectors"


async def run_of(tested: CanisterUnderTest, *names: str) -> dict[str, Verdict]:
    cases = [case for case in canister_cases(tested) if case.id in names]
    assert len(cases) == len(names)
    run = await run_cases(cases, target="canister", implementation="test", command="test", at_once=4)
    return verdicts(run)


def verdicts(run: Run) -> dict[str, Verdict]:
    return {result.case: result.verdict for result in run.results}


@asynccontextmanager
async def plain(*withdrawn: str, **settings: Any) -> AsyncIterator[CanisterUnderTest]:
    """A canister on a replica that no driver runs, without some of its endpoints."""
    replica = Replica()
    canister = replica.install(Echo.configured(**settings)())
    async with (
        serve_replica(replica) as server,
        connected(server.url, str(canister), replica.root_key_der) as tested,
    ):
        server.withdrawn |= set(withdrawn)
        await detect(tested)
        yield tested


@pytest.mark.timeout(120)
async def test_our_kit_passes() -> None:
    async with launched(CANISTER) as tested:
        await detect(tested)
        assert tested.secure
        assert tested.omnia
        assert "trap" in tested.commands
        names = (
            *("open/attach-message", "send/trap-among-others", "methods/past-inspect", "omnia/types"),
            *("open/silent", "upgrade/goes-on", "retention/bound"),
        )
        assert await run_of(tested, *names) == dict.fromkeys(names, Verdict.PASS)


async def test_a_plain_replica_leaves_open_what_needs_a_driver() -> None:
    async with plain() as tested:
        assert tested.commands == frozenset()
        found = await run_of(
            tested, "open/attach-message", "poll/fifty", "open/silent", "reinstall/epoch", "omnia/open"
        )
    assert found == {
        "open/attach-message": Verdict.PASS,
        "omnia/open": Verdict.PASS,
        "poll/fifty": Verdict.NOT_APPLICABLE,
        "open/silent": Verdict.INCONCLUSIVE,
        "reinstall/epoch": Verdict.NOT_APPLICABLE,
    }


@pytest.mark.parametrize(("profile", "applies"), [("omnia", "omnia/open"), ("secure", "open/attach-message")])
async def test_profiles_are_taken_from_the_canister_itself(profile: str, applies: str) -> None:
    async with plain(profiles=frozenset({profile})) as tested:
        found = await run_of(tested, "omnia/open", "open/attach-message", "omnia/no-secure-effects")
    assert {name for name, verdict in found.items() if verdict is Verdict.PASS} == {applies}
    assert set(found.values()) == {Verdict.PASS, Verdict.NOT_APPLICABLE}


@pytest.mark.parametrize("withdrawn", [("v4/call",), ("v4/call", "v3/call", "v3/query", "v3/read_state")])
async def test_replicas_of_any_age_will_do(withdrawn: tuple[str, ...]) -> None:
    async with plain(*withdrawn) as tested:
        found = await run_of(tested, "open/attach-message", "register/by-nobody")
    assert set(found.values()) == {Verdict.PASS}


async def test_a_root_key_of_another_ic_shows_at_once() -> None:
    replica = Replica()
    canister = replica.install(Echo())
    async with serve_replica(replica) as server:
        with pytest.raises(TransportError, match="does not verify"):
            async with connected(server.url, str(canister), Replica().root_key_der):
                pass


async def test_a_canister_of_another_kind_cannot_be_tested() -> None:
    replica = Replica()
    canister = replica.install(Counter())
    async with (
        serve_replica(replica) as server,
        connected(server.url, str(canister), None) as tested,
    ):
        with pytest.raises(TransportError, match="neither profile"):
            await detect(tested)


@pytest.mark.parametrize(
    ("mutant", "caught", "passed"),
    [
        ("ICWS-CAN-025/any-queue", "poll/own-queue-only", "messages/certified"),
        ("ICWS-CAN-031/any-content", "send/conflict", "send/duplicate"),
        ("ICWS-CAN-036/gaps-pass", "omnia/wrong-number", "omnia/open"),
    ],
)
async def test_a_broken_kit_fails_in_what_is_broken(mutant: str, caught: str, passed: str) -> None:
    words = [sys.executable, "-m", "icws_conformance.mutants", mutant, "icws_conformance.drivers.canister"]
    async with launched(words) as tested:
        await detect(tested)
        assert await run_of(tested, caught, passed) == {caught: Verdict.FAIL, passed: Verdict.PASS}


@pytest.mark.parametrize(
    "words", [["/no/such/program"], [sys.executable, "-c", "exit(3)"], [sys.executable, "-c", "print('{}')"]]
)
async def test_a_driver_that_does_not_start_is_unreachable(words: list[str]) -> None:
    with pytest.raises(TransportError):
        async with launched(words):
            pass


async def test_misuse_is_told() -> None:
    with pytest.raises(MisuseError, match="canister id"):
        async with connected("http://127.0.0.1:1", "nobody", None):
            pass
    with pytest.raises(MisuseError, match="loopback"):
        async with connected("http://192.0.2.1", "aaaaa-aa", None):
            pass
    for text in ("00", "/no/such/file"):
        with pytest.raises(MisuseError):
            read_root_key(text)


def test_root_keys_are_read_from_hexadecimal_and_files(tmp_path: Path) -> None:
    der = Replica().root_key_der
    for name, data in (("hex", der.hex().encode() + b"\n"), ("der", der)):
        (tmp_path / name).write_bytes(data)
        assert read_root_key(str(tmp_path / name)) == der
    assert read_root_key(der.hex()) == der


def test_every_must_of_canisters_has_a_case() -> None:
    cases = canister_cases(None)
    assert len({case.id for case in cases}) == len(cases)
    named = {name for case in cases for name in case.requirements}
    assert named <= set(requirements())
    assert {name for name, entry in requirements().items() if entry.role == "canister"} <= named


# What answers are read with ------------------------------------------------------------------------------------------


def document(written: str | dict[str, Any]) -> bytes:
    """The bytes of a vector: in hexadecimal, or as pieces that are repeated."""
    if isinstance(written, str):
        return bytes.fromhex(written)
    return b"".join(bytes.fromhex(piece) * times for piece, times in written["pieces"])


def vectors(name: str) -> list[dict[str, Any]]:
    groups = json.loads((VECTORS / f"{name}.json").read_text())["groups"]
    return [{**test, "input": {**group["shared"], **test["input"]}} for group in groups for test in group["tests"]]


#: The labels below a path are no lookup: what is not there has none.
TREES = [vector for vector in vectors("hash_trees") if "labels_below" not in vector["input"]]


@pytest.mark.parametrize("vector", TREES, ids=lambda vector: str(vector["comment"]))
def test_hash_trees_are_read_as_the_vectors_say(vector: dict[str, Any]) -> None:
    data = document(vector["input"]["tree_hex"])
    if vector["verdict"] == "reject":
        with pytest.raises(CertificateFault):
            read_tree(data)
        return
    tree = read_tree(data)
    assert tree.digest.hex() == vector["output"]["root_hash_hex"]
    for path, wanted in zip(vector["input"].get("lookups", ()), vector["output"].get("lookups", ()), strict=True):
        labels = [bytes.fromhex(label) for label in path]
        if wanted["result"] in ("unknown", "error"):
            with pytest.raises(CertificateFault):
                tree.find(*labels)
        else:
            found = tree.find(*labels)
            assert (None if found is None else found.hex()) == wanted.get("value_hex")


#: Ages and witnesses are checked elsewhere, or by nobody, as the documentation says.
CERTIFICATES = [
    vector
    for vector in vectors("certificates")
    if vector["requirements"] != ["ICWS-LIB-014"] and "witness_tree_hex" not in vector["input"]
]


@pytest.mark.parametrize("vector", CERTIFICATES, ids=lambda vector: str(vector["comment"]))
def test_certificates_are_verified_as_the_vectors_say(vector: dict[str, Any]) -> None:
    asked = vector["input"]
    canister = Principal.from_text(asked["canister_id"]).raw
    arguments = document(asked["certificate_hex"]), canister, bytes.fromhex(asked["root_key_der_hex"])
    if vector["verdict"] == "accept":
        open_certificate(*arguments)
        return
    with pytest.raises(CertificateFault):
        open_certificate(*arguments)


TYPE = record(
    name="text",
    key=opt(BLOB),
    numbers=vec("nat64"),
    owner="principal",
    what=variant(Ok="null", Err="text"),
    flag="bool",
)
LIBRARY = library.Arguments(
    library.Record(
        {
            "name": library.Text,
            "key": library.Opt(library.Blob),
            "numbers": library.Vec(library.Nat64),
            "owner": library.PrincipalType,
            "what": library.Variant({"Ok": library.Null, "Err": library.Text}),
            "flag": library.Bool,
        }
    )
)
NAMES = ("name", "key", "numbers", "owner", "what", "flag", "Ok", "Err")


@given(
    st.fixed_dictionaries(
        {
            "name": st.text(),
            "key": st.none() | st.binary(max_size=40),
            "numbers": st.lists(st.integers(0, (1 << 64) - 1), max_size=5),
            "owner": st.binary(max_size=29),
            "what": st.just(Case("Ok")) | st.builds(Case, st.just("Err"), st.text()),
            "flag": st.booleans(),
        }
    )
)
def test_candid_agrees_with_the_library(value: dict[str, Any]) -> None:
    data = candid.encode((TYPE, value))
    (other,) = LIBRARY.decode(data)
    assert (other["name"], other["key"], list(other["numbers"])) == (value["name"], value["key"], value["numbers"])
    assert (other["owner"].raw, other["flag"]) == (value["owner"], value["flag"])
    assert tuple(other["what"]) == (value["what"].name, value["what"].value)
    for encoded in (data, LIBRARY.encode(other)):
        values, types = candid.decode(encoded, NAMES)
        assert values == [value]
        assert types == [TYPE]


def test_values_are_written_for_people() -> None:
    principal = Principal.self_authenticating(b"somebody")
    value = {"name": "a", "key": bytes(40), "numbers": list(range(20)), "owner": principal.raw, "flag": True}
    text = rendered(candid.encode((TYPE, value | {"what": Case("Err", "no")})))
    assert principal.to_text() in text
    assert "Err: 'no'" in text
    assert "(40 bytes)" in text
    assert "7, …]" in text
    assert rendered(b"hello").startswith("5 bytes that are no Candid")


@given(st.binary(max_size=60))
def test_candid_that_is_none_is_refused_in_words(data: bytes) -> None:
    for document in (data, b"DIDL" + data):
        with contextlib.suppress(CandidError):  # and no other
            candid.decode(document, ())
