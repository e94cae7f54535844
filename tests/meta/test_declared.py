"""What a part imports comes with the extra that its documentation names: nobody has to have the rest installed."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
#: Each part with its own extras, those of what it is a guest of included: they are asked for by name at run time.
PARTS = {
    "icws_secure": ("icws_secure", ("blspy", "ibe")),
    "icws_client": ("client/icws_client", ("client", "cli")),
    "icws_gateway": ("gateway/icws_gateway", ("gateway", "cluster", "traces", "cli")),
    "icws_canister_mock": ("canister_mock/icws_canister_mock", ("replica", "cli")),
    "icws_cli": ("cli/icws_cli", ("all",)),
    "icws_conformance": ("spec/conformance/icws_conformance", ("conformance",)),
}
OWN = set(PARTS)
#: Halves of one package, which come together in versions that fit.
WITH = {"pydantic-core": "pydantic"}


def distributions(requirements: list[str]) -> set[str]:
    """The names of what is required, with what our own extras among them require."""
    found = set()
    for requirement in requirements:
        match = re.match(r"([\w.-]+)(?:\[([\w,-]+)\])?", requirement)
        assert match is not None
        if match[1] == PROJECT["name"]:
            for extra in match[2].split(","):
                found |= distributions(PROJECT["optional-dependencies"][extra])
        else:
            found.add(re.sub(r"[-_.]+", "-", match[1]).lower())
    return found


def imported(folder: Path) -> dict[str, set[str]]:
    """Top-level modules of others, and the files that import them."""
    found: dict[str, set[str]] = {}
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names = [node.module]
            for name in {name.partition(".")[0] for name in names} - sys.stdlib_module_names - OWN:
                found.setdefault(name, set()).add(str(path.relative_to(ROOT)))
    return found


@pytest.mark.parametrize("part", PARTS)
def test_what_a_part_imports_is_declared(part: str) -> None:
    folder, extras = PARTS[part]
    declared = distributions(PROJECT["dependencies"])
    for extra in extras:
        declared |= distributions(PROJECT["optional-dependencies"][extra])
    providers = importlib.metadata.packages_distributions()
    for module, files in imported(ROOT / folder).items():
        names = {re.sub(r"[-_.]+", "-", name).lower() for name in providers.get(module, [module])}
        names = {WITH.get(name, name) for name in names}
        assert names & declared, f"{sorted(files)} import {module}, which no extra of {part} brings"
