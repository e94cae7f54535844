"""Hand-made mutants and the hunt: patches fit or are refused, and what is missing is told."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import icws_secure.session.client.inbound as patched_module
from icws_conformance.mutants import mutant, mutants
from icws_conformance.mutants.grounds import UNBROKEN, Grounds
from icws_conformance.mutants.hunt import Catch, cases_for, faults, hunt
from icws_conformance.mutants.matrix import caught_in, update
from icws_conformance.mutants.mutant import handmade, patch
from icws_conformance.mutants.rewrite import rewritten
from icws_secure.errors import MisuseError

MODULE = "icws_secure.session.client.inbound"
PATH = Path(str(patched_module.__file__))
RESUMES = "ICWS-CLT-070/resumes-after-what-was-received"


def made(old: str, new: str, without: tuple[str, ...] = ()) -> ast.Module | None:
    changed = handmade(
        "ICWS-CLT-070", "made-here", "Is made here.", "client:any", patch(MODULE, old, new), without=without
    )
    return rewritten(changed, MODULE, PATH)


def test_patch_replaces_source_and_leaves_the_file_alone() -> None:
    before = PATH.read_text()
    tree = made("return self.taken_through + 1", "return self.taken_through + 2")
    assert tree is not None
    assert "self.taken_through + 2" in ast.unparse(tree)
    assert PATH.read_text() == before


@pytest.mark.parametrize("old", ["no such source", "self._next"])
def test_patch_that_does_not_fit_exactly_once_is_refused(old: str) -> None:
    with pytest.raises(MisuseError):
        made(old, "")


def test_checks_of_other_requirements_go_too_where_a_mutant_says_so() -> None:
    kept = made("return self.taken_through + 1", "return 1")
    gone = made("return self.taken_through + 1", "return 1", ("ICWS-CLT-029",))
    assert kept is not None
    assert gone is not None
    assert ast.unparse(kept).count("if False:") == 0
    assert ast.unparse(gone).count("if False:") == 1


def test_module_that_a_mutant_does_not_touch_is_loaded_as_it_is() -> None:
    assert rewritten(mutant("ICWS-CLT-074"), MODULE, PATH) is None


def test_handmade_mutant_is_given_to_its_own_case_and_an_automatic_one_to_the_known_case_first() -> None:
    assert cases_for(mutants()[RESUMES]) == [mutants()[RESUMES].case]
    known = cases_for(mutant("ICWS-CLT-029"))[-1]
    assert cases_for(mutant("ICWS-CLT-029"), known)[0] == known


def test_what_no_case_was_seen_to_catch_is_a_fault() -> None:
    automatic = Catch("ICWS-CLT-029", "ICWS-CLT-029", "", 3, 0.1)
    meant = Catch(RESUMES, "ICWS-CLT-070", "", 1, 0.1)
    held = Catch("ICWS-CLT-025", "ICWS-CLT-025", "client:secure/altered-content", 1, 0.1)
    found = faults([automatic, meant, held], ["ICWS-CLT-025", "ICWS-CLT-029", "ICWS-CLT-070", "ICWS-CLT-071"])
    assert [fault.partition(":")[0] for fault in found] == ["ICWS-CLT-029", "ICWS-CLT-070", "ICWS-CLT-071", RESUMES]
    assert "no mutant" in found[2]


def test_automatic_mutant_may_survive_beside_a_handmade_one_that_is_caught() -> None:
    survivor = Catch("ICWS-CLT-013", "ICWS-CLT-013", "", 4, 0.1)
    name = "ICWS-CLT-013/one-number-for-all-opens"
    caught = Catch(name, "ICWS-CLT-013", mutants()[name].case, 1, 0.1)
    assert faults([survivor, caught], ["ICWS-CLT-013"]) == []


def test_matrix_keeps_what_was_not_hunted(tmp_path: Path) -> None:
    update(tmp_path, [Catch("ICWS-CLT-025", "ICWS-CLT-025", "client:secure/altered-content", 1, 0.1)])
    update(tmp_path, [Catch("ICWS-CLT-029", "ICWS-CLT-029", "", 1, 0.1)])
    assert caught_in(tmp_path) == {"ICWS-CLT-025": "client:secure/altered-content"}
    update(tmp_path, [Catch("ICWS-CLT-025", "ICWS-CLT-025", "", 1, 0.1)])
    assert caught_in(tmp_path) == {}


@pytest.mark.timeout(120)
async def test_hunt_catches_a_mutant_with_its_case() -> None:
    told: list[Catch] = []
    caught = await hunt([RESUMES], told.append, jobs=1)
    assert told == caught
    assert [(catch.case, catch.state) for catch in caught] == [(mutants()[RESUMES].case, "caught")]


async def test_a_case_that_fails_where_nothing_is_broken_has_caught_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    played: list[str] = []

    async def failing(_grounds: Grounds, broken: str, names: frozenset[str]) -> str:
        played.append(broken)
        return min(names) if broken != UNBROKEN or "bad" in names else ""

    monkeypatch.setattr("icws_conformance.mutants.grounds.GROUNDS", {"client": failing})
    grounds = Grounds()
    for _ in range(2):
        assert await grounds.play(RESUMES, "client", ("good",)) == "good"
        await grounds.demand_sound("client", "good")
    assert played == [RESUMES, UNBROKEN, RESUMES]  # a case that was sound stays so
    with pytest.raises(MisuseError, match="where nothing is broken"):
        await grounds.demand_sound("client", "bad")
