"""Who may import whom: the trust boundary is kept by this test, not by good will."""

from __future__ import annotations

import ast
import importlib.util
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PARTS = {
    "icws_secure": ROOT / "icws_secure",
    "icws_client": ROOT / "client/icws_client",
    "icws_gateway": ROOT / "gateway/icws_gateway",
    "icws_canister_mock": ROOT / "canister_mock/icws_canister_mock",
}
# Layers of the core, lowest first: a module imports its own layer or a lower one.
LAYERS = ["errors", "limits", "wire", "bls", "verify", "sign", "vetkd", "payload", "session", "__init__"]
NO_IO = {
    "asyncio",
    "socket",
    "selectors",
    "ssl",
    "time",
    "random",
    "secrets",
    "os",
    "threading",
    "subprocess",
    "http",
    "urllib",
}
# A lock waits for nothing but the few steps of who holds it.
NOT_IO = {"threading.Lock"}


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                package = path.relative_to(next(p for p in PARTS.values() if path.is_relative_to(p)).parent).parts
                base = list(package[: len(package) - node.level])
                module = ".".join([*base, node.module] if node.module else base)
            else:
                module = node.module or ""
            found |= {module} | {f"{module}.{alias.name}" for alias in node.names}
    return found


def io_of(path: Path) -> set[str]:
    """What a module imports that does I/O, or that decides when something happens."""
    found = imports(path)
    allowed = found & NOT_IO
    return {
        name for name in found - allowed - {name.rpartition(".")[0] for name in allowed} if name.split(".")[0] in NO_IO
    }


def modules(part: str) -> list[Path]:
    return sorted(PARTS[part].rglob("*.py"))


def roots(path: Path) -> set[str]:
    return {name.split(".")[0] for name in imports(path)}


@pytest.mark.parametrize("path", modules("icws_secure"), ids=lambda p: str(p.relative_to(ROOT)))
def test_core_imports_no_other_part_and_does_no_io(path: Path) -> None:
    others = {"icws_client", "icws_gateway", "icws_canister_mock", "icws_conformance", "icws_cli"}
    assert roots(path) & others == set()
    assert io_of(path) == set()


@pytest.mark.parametrize(
    ("source", "io"),
    [
        ("from threading import Lock", set()),
        ("from threading import Lock, Thread", {"threading.Thread"}),
        ("import threading", {"threading"}),
        ("from os import path", {"os", "os.path"}),
        ("import urllib.request", {"urllib.request"}),
        ("import asyncio as waiting", {"asyncio"}),
    ],
)
def test_io_is_seen(source: str, io: set[str], tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    module.write_text(source)
    assert io_of(module) == io


@pytest.mark.parametrize("path", modules("icws_secure"), ids=lambda p: str(p.relative_to(ROOT)))
def test_core_imports_point_downhill(path: Path) -> None:
    relative = path.relative_to(PARTS["icws_secure"])
    own = LAYERS.index(relative.parts[0] if len(relative.parts) > 1 else relative.stem)
    for name in imports(path):
        parts = name.split(".")
        if parts[0] == "icws_secure" and len(parts) > 1 and parts[1] in LAYERS:
            assert LAYERS.index(parts[1]) <= own, f"{relative} imports {name}"


@pytest.mark.parametrize("part", ["icws_client", "icws_gateway", "icws_canister_mock"])
def test_parts_do_not_import_each_other(part: str) -> None:
    others = set(PARTS) - {part, "icws_secure"} | {"icws_cli", "icws_conformance"}
    for path in modules(part):
        assert roots(path) & others == set(), path


def test_gateway_imports_neither_session_nor_payload() -> None:
    for path in modules("icws_gateway"):
        for name in imports(path):
            assert not name.startswith(("icws_secure.session", "icws_secure.payload", "icws_secure.vetkd")), path


def test_replica_does_not_use_the_verifier_to_make_certificates() -> None:
    for path in modules("icws_canister_mock"):
        for name in imports(path):
            assert not name.startswith(("icws_secure.verify.certificate", "icws_secure.verify.witness")), path


@pytest.mark.parametrize("part", sorted(PARTS))
def test_tests_run_on_the_installed_package(part: str) -> None:
    spec = importlib.util.find_spec(part)
    assert spec is not None
    assert spec.origin is not None
    assert Path(spec.origin).is_relative_to(sys.prefix), f"{part} comes from {spec.origin}; run `make test`"
