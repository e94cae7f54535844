"""The command's own behaviour: what it lists, what it loads, what it says where something is missing."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from icws_cli import group
from icws_cli.group import PARTS, Part

RUNNER = CliRunner(env={"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"})


def test_all_parts_are_listed_and_none_is_imported() -> None:
    program = (
        "import sys; from typer.testing import CliRunner; from icws_cli.group import app;"
        "print(CliRunner().invoke(app, ['--help'], env={'COLUMNS': '200'}).output);"
        "print(sorted({name.split('.')[0] for name in sys.modules if name.startswith('icws_')}))"
    )
    command = [sys.executable, "-c", program]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout  # noqa: S603
    for name, part in PARTS.items():
        assert name in shown
        assert part.help in shown
    assert shown.strip().endswith("['icws_cli']")


def test_the_version_is_that_of_the_distribution(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group, "version", lambda name: f"1.2.3 of {name}")
    assert RUNNER.invoke(group.app, ["--version"]).output == "icws 1.2.3 of icws-secure\n"


def test_an_unknown_command_is_an_error() -> None:
    assert RUNNER.invoke(group.app, ["nonsense"]).exit_code == 2


def test_a_part_that_is_not_installed_is_said_to_be_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PARTS, "gateway", Part("gateway", "icws_absent.cli", "app", "gateway", "Run a gateway."))
    result = RUNNER.invoke(group.app, ["gateway", "--listen", "x"])
    assert (result.exit_code, result.output) == (1, "icws gateway: this part is not in this installation.\n")


def test_a_missing_package_is_named_with_the_extra_that_brings_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "icws_needy.py").write_text("import a_package_that_nobody_has\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(PARTS, "gateway", Part("gateway", "icws_needy", "app", "gateway", "Run a gateway."))
    result = RUNNER.invoke(group.app, ["gateway"])
    assert result.exit_code == 1
    assert result.output == "icws gateway needs a_package_that_nobody_has: pip install 'icws-secure[gateway]'\n"


def test_arguments_reach_the_part(monkeypatch: pytest.MonkeyPatch) -> None:
    app = typer.Typer()

    @app.command()
    def command(word: str, times: int = 1) -> None:
        typer.echo(word * times)

    monkeypatch.setitem(PARTS, "connect", Part("connect", __name__, "app", "client", "Say a word."))
    monkeypatch.setattr(sys.modules[__name__], "app", app, raising=False)
    assert RUNNER.invoke(group.app, ["connect", "ha", "--times", "3"]).output == "hahaha\n"
    assert RUNNER.invoke(group.app, ["connect"]).exit_code == 2


@pytest.mark.parametrize("part", PARTS.values(), ids=lambda part: part.name)
def test_every_part_is_where_it_is_said_to_be(part: Part) -> None:
    if importlib.util.find_spec(part.module) is None:
        pytest.skip("this part is not in this installation")
    assert group._load(part).name == part.name


def test_the_entry_point_is_installed() -> None:
    found = [entry for entry in entry_points(group="console_scripts") if entry.name == "icws"]
    if not found:
        pytest.skip("the distribution is not installed")
    assert found[0].value == "icws_cli.main:main"


def test_without_its_own_packages_the_command_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "typer.py").write_text("raise ModuleNotFoundError('No module named typer', name='typer')\n")
    path = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    result = subprocess.run(
        [sys.executable, "-m", "icws_cli.main", "--help"],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": path},
    )
    assert result.returncode == 1
    assert result.stderr == "icws needs packages that are not installed: pip install 'icws-secure[cli]'\n"
