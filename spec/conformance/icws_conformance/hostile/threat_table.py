"""The tables of ``spec/threat-model.md`` that are made from the catalogue.

``python -m icws_conformance.hostile.threat_table spec/threat-model.md`` writes them anew between their markers.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from icws_conformance.hostile.catalogue import CATALOGUE, NODE_CATALOGUE, AttackEntry, NodeEntry, Profile

__all__ = ["TESTS", "render", "with_tables"]

GATEWAY: Final = "gateway"
NODE: Final = "node"
TESTS: Final = {
    "another-clients-acknowledgement": (
        "attacks/test_acknowledgements.py::test_another_clients_acknowledgement_is_refused"
    ),
    "registration-of-another-call": "attacks/test_nodes.py::test_registration_of_another_call_is_no_answer",
    "old-audit": "attacks/test_nodes.py::test_old_answers_to_audits_do_not_cover_for_a_gateway",
    "altered-poll": "attacks/test_nodes.py::test_polls_of_a_client_without_gateway_are_verified",
}
"""Attacks that have a test of their own; all others are parameters of the two below."""

_OF_GATEWAYS: Final = "attacks/test_catalogue.py::test_attack_gains_nothing"
_OF_NODES: Final = "attacks/test_nodes.py::test_registration_that_is_not_the_canisters_ends_the_attempt"


def render(kind: str) -> str:
    """One table, as Markdown.

    Args:
        kind: ``gateway`` or ``node``.
    """
    if kind == GATEWAY:
        head = ["attack", "what the attacker would gain", "what the client or canister does", "requirements"]
        rows = [[*_common(entry), _scope(entry), _test(entry.name, _OF_GATEWAYS)] for entry in CATALOGUE.values()]
        return _table([*head, "struck at, in", "test"], rows)
    head = ["attack", "what the attacker would gain", "what the client does", "requirements", "test"]
    return _table(head, [[*_common(entry), _test(entry.name, _OF_NODES)] for entry in NODE_CATALOGUE.values()])


def with_tables(text: str) -> str:
    """The threat model with its tables as the catalogue has them.

    Raises:
        ValueError: a marker is missing.
    """
    for kind in (GATEWAY, NODE):
        start, end = f"<!-- {kind} attacks -->\n", f"<!-- end of {kind} attacks -->"
        before, _, rest = text.partition(start)
        _, found, after = rest.partition(end)
        if not found:
            raise ValueError(f"there is no place for the {kind} attacks")
        text = f"{before}{start}\n{render(kind)}\n{end}{after}"
    return text


def _common(entry: AttackEntry | NodeEntry) -> list[str]:
    return [f"`{entry.name}`", entry.gain, entry.answer, " ".join(entry.requirements)]


def _scope(entry: AttackEntry) -> str:
    stages = ", ".join(stage.value for stage in entry.stages)
    return f"{stages}; {', '.join(profile.value for profile in Profile if profile in entry.profiles)}"


def _test(name: str, general: str) -> str:
    return f"`{TESTS[name]}`" if name in TESTS else f"`{general}`"


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(with_tables(path.read_text()))
