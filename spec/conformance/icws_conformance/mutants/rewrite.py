"""Breaks modules while they are imported: takes a requirement's checks out, or replaces some source.

The files stay as they are.
"""

from __future__ import annotations

import ast
import importlib.abc
import importlib.machinery
import importlib.util
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import CodeType, ModuleType
from typing import Final

from icws_conformance.mutants.mutant import Mutant, Patch
from icws_secure.errors import MisuseError, Reason

__all__ = ["PACKAGES", "Site", "install", "mutable_sites", "rewritten"]

#: What mutants are made of.
PACKAGES: Final = ("icws_secure", "icws_client", "icws_gateway", "icws_canister_mock")
_CITATION: Final = re.compile(r"#.*\[(ICWS-[A-Z]+-\d{3})\]")
_ID: Final = re.compile(r"\[(ICWS-[A-Z]+-\d{3})\]")


@dataclass(frozen=True, slots=True)
class Site:
    """A place where a requirement is cited, or is named by the error that is raised there.

    Attributes:
        requirement: which.
        path: the module's file.
        line: of the citation.
        kind: ``check`` (an ``if`` that refuses), ``call`` (a call that only checks) or ``built in``, where the rule is
            how something is computed: there is nothing to take out.
    """

    requirement: str
    path: Path
    line: int
    kind: str


@cache
def mutable_sites() -> tuple[Site, ...]:
    """All places where a requirement is cited in the code, mutable or not."""
    return tuple(site for path in _files() for site in _sites(path, path.read_text(encoding="utf-8")))


def install(mutant: Mutant) -> None:
    """Break whatever is imported from now on as the mutant says."""
    for name in [name for name in sys.modules if name.partition(".")[0] in PACKAGES]:
        del sys.modules[name]
    sys.meta_path.insert(0, _Finder(mutant))


def rewritten(mutant: Mutant, module: str, path: Path) -> ast.Module | None:
    """A module as the mutant has it; None where it leaves it alone.

    Raises:
        MisuseError: a patch does not fit: what it replaces does not stand there exactly once.
    """
    source = path.read_text(encoding="utf-8")
    patched = source
    for entry in mutant.patches:
        if entry.module == module:
            patched = _patched(entry, patched)
    removed = {*mutant.without, *(() if mutant.patches else (mutant.requirement,))}
    named = any(name in patched for name in removed)  # most modules need not be parsed
    sites = _sites(path, patched) if named else []
    lines = {site.line for site in sites if site.requirement in removed and site.kind != "built in"}
    if not lines and patched == source:
        return None
    tree = ast.parse(patched)
    _Removal(lines).visit(tree)
    return ast.fix_missing_locations(tree)


def _patched(entry: Patch, source: str) -> str:
    if source.count(entry.old) != 1:
        raise MisuseError(
            "what the patch replaces does not stand in the module exactly once",
            reason=Reason.INVALID_ARGUMENT,
            module=entry.module,
            old=entry.old,
            times=source.count(entry.old),
        )
    return source.replace(entry.old, entry.new)


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, mutant: Mutant) -> None:
        self._mutant = mutant

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """The usual place of a module, with another loader where it is to be changed."""
        if fullname.partition(".")[0] not in PACKAGES:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is None or spec.origin is None:
            return None
        tree = rewritten(self._mutant, fullname, Path(spec.origin))
        if tree is None:
            return None
        spec.loader = _Loader(fullname, spec.origin, tree)
        return spec


class _Loader(importlib.machinery.SourceFileLoader):
    def __init__(self, fullname: str, path: str, tree: ast.Module) -> None:
        super().__init__(fullname, path)
        self._tree = tree

    def get_code(self, fullname: str) -> CodeType:
        """The broken module's code; nothing is read from or written to a cache."""
        return compile(self._tree, self.get_filename(fullname), "exec")


class _Removal(ast.NodeTransformer):
    """Makes conditions false and leaves calls out, where they stand below one of these lines."""

    def __init__(self, lines: set[int]) -> None:
        self._lines = lines

    def visit_If(self, node: ast.If) -> ast.AST:
        """An ``if`` below a citation never holds."""
        self.generic_visit(node)
        if _cited(node, self._lines) and _refuses(node):
            node.test = ast.Constant(False)
        return node

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        """A call below a citation is not made."""
        if _cited(node, self._lines) and isinstance(node.value, ast.Call):
            return ast.Pass()
        return node


def _files() -> Iterator[Path]:
    for name in PACKAGES:
        spec = importlib.util.find_spec(name)
        for place in () if spec is None else spec.submodule_search_locations or ():
            yield from sorted(Path(place).resolve().rglob("*.py"))


def _sites(path: Path, source: str) -> list[Site]:
    if "[ICWS-" not in source:
        return []
    tree = ast.parse(source)
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.If | ast.Expr)]
    found = [
        Site(name, path, node.lineno - 1, "check")
        for node in nodes
        if isinstance(node, ast.If) and _refuses(node) and (name := _named(node.body[-1], _constants(tree)))
    ]
    for number, line in enumerate(source.splitlines(), 1):
        if _CITATION.search(line) is None:
            continue
        kind = "built in"
        for node in nodes:
            if _cited(node, {number}):
                if isinstance(node, ast.If) and _refuses(node):
                    kind = "check"
                elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
                    kind = "call"
        known = {(site.requirement, site.line) for site in found}
        found += [Site(name, path, number, kind) for name in _ID.findall(line) if (name, number) not in known]
    return found


def _constants(tree: ast.Module) -> dict[str, str]:
    """The module's constants that hold a requirement."""
    return {
        node.target.id: node.value.value
        for node in tree.body
        if isinstance(node, ast.AnnAssign)
        and isinstance(node.target, ast.Name)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
        and _ID.fullmatch(f"[{node.value.value}]")
    }


def _named(refusal: ast.stmt, constants: dict[str, str]) -> str:
    """The requirement that the error of a refusal names; empty for none."""
    for node in ast.walk(refusal):
        if isinstance(node, ast.keyword) and node.arg == "requirement":
            if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
                return node.value.value
            if isinstance(node.value, ast.Name):
                return constants.get(node.value.id, "")
    return ""


def _cited(node: ast.stmt, lines: set[int]) -> bool:
    """Whether a statement is the first below a citation: only comments may stand between."""
    return node.lineno - 1 in lines


def _refuses(node: ast.If) -> bool:
    """Whether a branch of the condition ends in ``raise`` or a call of ``refuse``, or returns a refusal."""
    last = node.body[-1]
    if isinstance(last, ast.Expr) and isinstance(last.value, ast.Call):
        return ast.unparse(last.value.func) == "refuse"
    return isinstance(last, ast.Raise) or (isinstance(last, ast.Return) and "refus" in ast.unparse(last).lower())
