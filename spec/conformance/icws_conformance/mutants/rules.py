"""Which refusals of the library the vectors test: ``python -m icws_conformance.mutants.rules FILE...``.

Every condition under which the library's decoders and verifiers raise is one *rule*; each side of an ``or`` is one of
its own. The modules are imported with a switch in each rule. All vectors are played once, to see which rules they
meet. Then each rule is switched off alone, and the vectors that met it are played again: a rule is *shown* if one of
them then gets another answer, that is, if there is a vector that is refused because of this rule and no other.

The modules' files stay as they are.
"""

from __future__ import annotations

import ast
import functools
import gc
import importlib
import importlib.abc
import importlib.machinery
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, Final

__all__ = ["PARTS", "Rule", "play_rules", "rules_of"]

#: The library's decoders and verifiers.
PARTS: Final = tuple(f"icws_secure.{part}" for part in ("bls", "payload", "verify", "vetkd", "wire"))
_SWITCH: Final = "__icws_rule__"


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule and what became of it.

    Attributes:
        path: the module's file, from the library's folder.
        line: of the condition.
        condition: its source.
        raises: the statement that it leads to.
        met: how many vectors meet it.
        shown_by: a vector that is refused by it alone; empty for none.
    """

    path: str
    line: int
    condition: str
    raises: str
    met: int
    shown_by: str


@dataclass(slots=True)
class _Place:
    path: str
    line: int
    condition: str
    raises: str


class _Switches:
    """The rules that were found, those that were met since the last look, and the one that is off."""

    def __init__(self) -> None:
        self.places: list[_Place] = []
        self.met: set[int] = set()
        self.off: int | None = None

    def __call__(self, number: int, value: object) -> bool:
        if not value:
            return False
        self.met.add(number)
        return number != self.off


class _Wiring(ast.NodeTransformer):
    def __init__(self, path: str, switches: _Switches) -> None:
        self._path = path
        self._switches = switches

    def visit_If(self, node: ast.If) -> ast.AST:
        """Put a switch into each side of a condition that leads to ``raise``."""
        self.generic_visit(node)
        last = node.body[-1]
        if isinstance(last, ast.Raise):
            node.test = self._wired(node.test, last)
        return node

    def _wired(self, test: ast.expr, last: ast.Raise) -> ast.expr:
        if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.Or):
            test.values = [self._wired(value, last) for value in test.values]
            return test
        places = self._switches.places
        raised = ast.unparse(last).replace("\n", " ")
        places.append(_Place(self._path, test.lineno, ast.unparse(test), raised))
        call = ast.Call(ast.Name(_SWITCH, ast.Load()), [ast.Constant(len(places) - 1), test], [])
        return ast.copy_location(call, test)


class _Loader(importlib.machinery.SourceFileLoader):
    def __init__(self, fullname: str, path: str, switches: _Switches) -> None:
        super().__init__(fullname, path)
        self._switches = switches

    def get_code(self, fullname: str) -> CodeType:
        """The module's code with its switches; nothing is read from or written to a cache."""
        path = Path(self.get_filename(fullname))
        shown = "/".join(path.parts[-2:])
        tree = _Wiring(shown, self._switches).visit(ast.parse(path.read_text(encoding="utf-8")))
        return compile(ast.fix_missing_locations(tree), str(path), "exec")

    def exec_module(self, module: ModuleType) -> None:
        """Run the module, with the switches within its reach."""
        setattr(module, _SWITCH, self._switches)
        super().exec_module(module)


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, switches: _Switches) -> None:
        self._switches = switches

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """The usual place of a module, with another loader for the parts that have rules."""
        if not fullname.startswith(PARTS):
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.origin is not None:
            spec.loader = _Loader(fullname, spec.origin, self._switches)
        return spec


def play_rules(paths: Sequence[Path]) -> Iterator[Rule]:
    """Play the vectors of these files against each rule.

    Whatever of the library is imported already is imported anew, so call this in a process of its own.
    """
    switches = _Switches()
    for name in [name for name in sys.modules if name.partition(".")[0] in ("icws_secure", "icws_conformance")]:
        del sys.modules[name]
    sys.meta_path.insert(0, _Finder(switches))
    library: Any = importlib.import_module("icws_conformance.drivers.library")
    reader: Any = importlib.import_module("icws_conformance.vectors.vector")
    vectors = [vector for path in paths for vector in reader.read_vectors(path)]
    meeting: dict[int, list[tuple[Any, object]]] = {}
    for vector in vectors:
        answer = _answer(library, vector, switches)
        for number in switches.met:
            meeting.setdefault(number, []).append((vector, answer))
    for number, place in enumerate(switches.places):
        switches.off = number
        met = meeting.get(number, [])
        shown = next((vector.name for vector, before in met if _answer(library, vector, switches) != before), "")
        yield Rule(place.path, place.line, place.condition, place.raises, len(met), shown)
    switches.off = None


def rules_of(paths: Sequence[Path]) -> list[Rule]:
    """What :func:`play_rules` gives, from a process of its own."""
    command = [sys.executable, "-m", "icws_conformance.mutants.rules", *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 - this module
    return [Rule(**json.loads(line)) for line in done.stdout.splitlines()]


def _answer(library: Any, vector: Any, switches: _Switches) -> object:
    """The library's answer, or the name of what it broke on."""
    _forget()
    switches.met.clear()
    try:
        return library.answer({"id": 0, "kind": vector.kind, "input": dict(vector.input)})
    except Exception as error:  # noqa: BLE001 - a rule that is off may break anything
        return type(error).__name__


def _forget() -> None:
    """Empty the caches that functions of the library keep: answers of before are none of now."""
    for cached in _caches():
        cached.cache_clear()


@functools.cache
def _caches() -> tuple[Any, ...]:
    kind = type(functools.lru_cache(lambda: None))
    found = [entry for entry in gc.get_objects() if isinstance(entry, kind)]
    return tuple(entry for entry in found if str(getattr(entry, "__module__", "")).startswith("icws_secure"))


def main() -> None:
    """Print what became of each rule, one JSON document a line."""
    for rule in play_rules([Path(name) for name in sys.argv[1:]]):
        sys.stdout.write(json.dumps(asdict(rule)) + "\n")


if __name__ == "__main__":
    main()
