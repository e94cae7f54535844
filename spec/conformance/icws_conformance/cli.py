"""``icws conformance``: what an implementation holds to, and what it does not, with evidence."""

from __future__ import annotations

import contextlib
import fnmatch
import os
import shlex
import sys
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn

import typer
from rich.console import Console
from rich.table import Table

from icws_conformance.canisters.cases import canister_cases
from icws_conformance.canisters.stage import detect
from icws_conformance.canisters.tested import connected, launched, read_root_key
from icws_conformance.case import Case
from icws_conformance.clients.cases import client_cases
from icws_conformance.clients.driver import Drivers
from icws_conformance.clients.world import open_world
from icws_conformance.expected import read_expected
from icws_conformance.gateways.cases import gateway_cases
from icws_conformance.gateways.target import OWN_GATEWAY, GatewayOptions, open_target
from icws_conformance.gateways.under_test import BOUNDS, FEATURES, GatewayUnderTest
from icws_conformance.interruption import run_until_told
from icws_conformance.mutants import mutants as all_mutants
from icws_conformance.mutants.hunt import Catch, faults, hunt
from icws_conformance.mutants.matrix import published, update
from icws_conformance.mutants.rules import rules_of
from icws_conformance.reports import html_page, read_run, write_reports
from icws_conformance.reports.terminal import Terminal, UnheardConsole
from icws_conformance.requirements import requirements
from icws_conformance.resources import data_path
from icws_conformance.runner import Run, run_cases, select
from icws_conformance.vectors.generate import check_folder, write_folder
from icws_conformance.vectors.lint import lint_file
from icws_conformance.vectors.program import split_command
from icws_conformance.vectors.target import VectorTarget
from icws_conformance.vectors.vector import read_vectors
from icws_conformance.verdict import ExitCode
from icws_conformance.wirelog import WireLog
from icws_secure.errors import IcwsError, MisuseError, TransportError

__all__ = ["app"]

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Test an implementation against the specification.",
    epilog="Exit codes: 0 conforms, 1 fails, 2 misuse, 3 inconclusive, 4 the implementation does not start.",
)

LIBRARY: Final = (sys.executable, "-m", "icws_conformance.drivers.library")
GATEWAY: Final = (sys.executable, "-m", *OWN_GATEWAY)
CLIENT: Final = (sys.executable, "-m", "icws_conformance.drivers.icws_client")
CANISTER: Final = (sys.executable, "-m", "icws_conformance.drivers.canister")

CaseOption = Annotated[list[str] | None, typer.Option("--case", help="Only this case; * stands for anything.")]
RequirementOption = Annotated[list[str] | None, typer.Option("--requirement", help="Only cases of this requirement.")]
ExpectedOption = Annotated[Path | None, typer.Option("--expected", help="TOML file of expected failures.")]
ReportOption = Annotated[Path | None, typer.Option("--report", help="Folder for JSON, JUnit and HTML.")]
NameOption = Annotated[str | None, typer.Option("--name", help="Name of the implementation in the reports.")]
ListOption = Annotated[bool, typer.Option("--list", help="List the cases and their requirements; run nothing.")]
AtOnceOption = Annotated[int, typer.Option("--at-once", min=1, max=32, help="Cases at a time.")]
VerboseOption = Annotated[bool, typer.Option("--verbose", "-v", help="Show what passed, too.")]


@app.command()
def vectors(
    files: Annotated[list[Path] | None, typer.Argument(help="Files of vectors. Default: the published ones.")] = None,
    start: Annotated[str | None, typer.Option(help="Program under test. Default: this library.")] = None,
    strict: Annotated[
        bool | None, typer.Option(help="Whether reasons of refusals are compared. Default: for this library.")
    ] = None,
    case: CaseOption = None,
    requirement: RequirementOption = None,
    expected: ExpectedOption = None,
    report: ReportOption = None,
    name: NameOption = None,
    listed: ListOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Play test vectors to a program that answers in JSON lines."""

    async def run() -> Run | None:
        paths = files or sorted(data_path("vectors").glob("*.json"))
        found = [vector for path in paths for vector in read_vectors(path)]
        words = list(LIBRARY) if start is None else split_command(start)
        target = VectorTarget(words, strict=start is None if strict is None else strict)
        cases = select(target.cases(found), case or (), requirement or ())
        if listed:
            _list(cases)
            return None
        async with target:
            return await _play(
                "vectors",
                name or ("icws-secure" if start is None else start),
                cases,
                expected=None if expected is None else read_expected(expected),
                at_once=1,
                verbose=verbose,
            )

    _finish(run, report)


@app.command()
def client(
    start: Annotated[str | None, typer.Option(help="Driver of the client under test. Default: icws_client.")] = None,
    case: CaseOption = None,
    requirement: RequirementOption = None,
    expected: ExpectedOption = None,
    report: ReportOption = None,
    name: NameOption = None,
    at_once: AtOnceOption = 4,
    listed: ListOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Start a client through its driver, and be the IC, the canister and hostile gateways for it."""

    async def run() -> Run | None:
        words = list(CLIENT) if start is None else split_command(start)
        async with open_world() as world, Drivers(words) as drivers:
            every = client_cases(world, drivers)
            cases = select(every, case or (), requirement or ())
            if listed:
                _list(cases)
                return None
            known = None if expected is None else read_expected(expected, {entry.id for entry in every})
            async with drivers.lend(WireLog()) as driver:
                hello = driver.hello
            return await _play(
                "client",
                name or str(hello.get("name", start)),
                cases,
                expected=known,
                at_once=at_once,
                verbose=verbose,
            )

    _finish(run, report)


@app.command()
def gateway(
    start: Annotated[
        str | None, typer.Option(help="Command with {ic_url} and {listen} in it. Default: this project's gateway.")
    ] = None,
    url: Annotated[
        str | None,
        typer.Option(
            help="Address of a gateway that runs already; with --start, where it listens: wss://{listen}/path."
        ),
    ] = None,
    ic_url_for_gateway: Annotated[
        str | None,
        typer.Option(help="Address of the IC in the gateway's settings; the suite's IC listens there."),
    ] = None,
    ic_listen: Annotated[
        str | None, typer.Option(help="host:port where the suite's IC listens, if not as in --ic-url-for-gateway.")
    ] = None,
    ca: Annotated[Path | None, typer.Option(help="PEM file of certificates that vouch for a wss gateway.")] = None,
    insecure: Annotated[
        bool, typer.Option("--insecure-skip-tls-verification", help="Take any certificate of a wss gateway.")
    ] = False,
    feature: Annotated[
        list[str] | None, typer.Option("--feature", help="What it does that cannot be seen: node-signatures.")
    ] = None,
    bound: Annotated[
        list[str] | None,
        typer.Option("--bound", metavar="NAME=NUMBER", help=f"A bound that was configured: {', '.join(BOUNDS)}."),
    ] = None,
    case: CaseOption = None,
    requirement: RequirementOption = None,
    expected: ExpectedOption = None,
    report: ReportOption = None,
    name: NameOption = None,
    listed: ListOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Be the IC, canisters and clients for a gateway: one that is started, or one that runs already.

    In the command of --start stand {ic_url} for the address of the suite's IC, {listen} for the host:port where the
    gateway is to listen ({host} and {port} for its parts), {identity} for a key file and {folder} for a fresh folder.
    """
    own = start is None and url is None

    async def run() -> Run | None:
        words = list(GATEWAY) if own else split_command(start) if start is not None else []
        options = GatewayOptions(
            start=words,
            url=url or "",
            ic_url_for_gateway=ic_url_for_gateway or "",
            ic_listen=ic_listen or "",
            ca=ca,
            insecure_tls=insecure,
            features=list(FEATURES) if own and not feature else feature or (),
            bounds=bound or (),
        )
        options.check()
        async with contextlib.AsyncExitStack() as stack:
            world = await stack.enter_async_context(open_world(0))
            every = gateway_cases(GatewayUnderTest("", world))
            if listed:
                _list(select(every, case or (), requirement or ()))
                return None
            known = None if expected is None else read_expected(expected, {entry.id for entry in every})
            select(every, case or (), requirement or ())
            tested = await stack.enter_async_context(open_target(world, options, typer.echo))
            cases = select(gateway_cases(tested), case or (), requirement or ())
            implementation = name or ("icws_gateway" if own else str(start or url))
            return await _play("gateway", implementation, cases, expected=known, at_once=1, verbose=verbose)

    _finish(run, report)


@app.command()
def canister(
    ic_url: Annotated[str | None, typer.Option(help="Replica or boundary node, for --canister.")] = None,
    canister: Annotated[str | None, typer.Option(help="Canister id, for --ic-url.")] = None,
    root_key: Annotated[
        str | None, typer.Option(help="The IC's key: DER in hexadecimal, or a file of it. Default: asked on loopback.")
    ] = None,
    start: Annotated[
        str | None, typer.Option(help="Driver of a replica and the canister. Default: this project's kit.")
    ] = None,
    case: CaseOption = None,
    requirement: RequirementOption = None,
    expected: ExpectedOption = None,
    report: ReportOption = None,
    name: NameOption = None,
    at_once: AtOnceOption = 16,
    listed: ListOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Be gateways and clients, honest and hostile, for a canister on any replica."""
    if (ic_url is None) != (canister is None) or (ic_url is not None and start is not None):
        _stop("icws conformance: --ic-url with --canister, or --start, or neither", ExitCode.MISUSE)

    async def run() -> Run | None:
        if listed:
            _list(select(canister_cases(None), case or (), requirement or ()))
            return None
        if ic_url is not None and canister is not None:
            place = connected(ic_url, canister, None if root_key is None else read_root_key(root_key))
        else:
            place = launched(list(CANISTER) if start is None else split_command(start))
        async with place as tested:
            await detect(tested)
            every = canister_cases(tested)
            hello = {} if tested.driver is None else tested.driver.hello
            return await _play(
                "canister",
                name or str(hello.get("name", canister or start)),
                select(every, case or (), requirement or ()),
                expected=None if expected is None else read_expected(expected, {entry.id for entry in every}),
                at_once=at_once,
                verbose=verbose,
            )

    _finish(run, report)


@app.command()
def mutants(
    requirement: RequirementOption = None,
    role: Annotated[str | None, typer.Option(help="Only requirements of this role.")] = None,
    mutant: Annotated[
        list[str] | None, typer.Option("--mutant", help="Only this mutant; * stands for anything.")
    ] = None,
    listed: Annotated[bool, typer.Option("--list", help="List the mutants; hunt nothing.")] = False,
    jobs: Annotated[int, typer.Option(min=1, max=64, help="Processes. Default: two a core.")] = 2
    * (os.cpu_count() or 1),
    matrix: Annotated[Path | None, typer.Option(help="Folder of the kill matrix, to bring up to date.")] = None,
    more: Annotated[list[Path] | None, typer.Option("--vectors", help="More files of vectors.")] = None,
) -> None:
    """Break this project's code, one requirement at a time, and see whether a case notices."""
    names = [name for name, entry in requirements().items() if role in (None, entry.role)]
    names = [name for name in names if not requirement or name in requirement]
    chosen = [entry for entry in all_mutants().values() if entry.requirement in names]
    chosen = [entry for entry in chosen if not mutant or any(fnmatch.fnmatchcase(entry.name, m) for m in mutant)]
    console = Console(highlight=False, soft_wrap=True)
    if listed:
        for entry in chosen:
            console.print(f"{entry.name}\t{entry.case}\t{entry.breaks}", markup=False)
        return

    def show(catch: Catch) -> None:
        told = catch.trouble or catch.case or f"{catch.tried} cases passed"
        console.print(f"{catch.state:9} {catch.seconds:5.1f} s  {catch.mutant}  {told}", markup=False)

    hunted = [entry.name for entry in chosen]
    try:
        for path in more or ():
            read_vectors(path)
        caught = run_until_told(partial(hunt, hunted, show, known=published(), more=more or (), jobs=jobs))
    except (IcwsError, OSError) as error:
        _stop(f"icws conformance: {error}", ExitCode.MISUSE)
    counted = Counter(catch.state for catch in caught)
    console.print(", ".join(f"{count} {state}" for state, count in sorted(counted.items())))
    if matrix is not None:
        update(matrix, caught)
    missing = faults(caught, names if not mutant else [])
    for fault in missing:
        console.print(fault, markup=False)
    if missing:
        raise typer.Exit(ExitCode.FAILS)


@app.command()
def rules(
    files: Annotated[list[Path] | None, typer.Argument(help="Files of vectors. Default: the published ones.")] = None,
    verbose: VerboseOption = False,
) -> None:
    """Switch each refusal of this library's decoders and verifiers off, and see which vector notices."""
    paths = files or sorted(data_path("vectors").glob("*.json"))
    console = Console(highlight=False, soft_wrap=True)
    try:
        for path in paths:
            read_vectors(path)
    except IcwsError as error:
        _stop(f"icws conformance: {error}", ExitCode.MISUSE)
    found = rules_of(paths)
    for rule in found:
        if verbose or not rule.shown_by:
            told = rule.shown_by or (f"met by {rule.met}, and another stands behind" if rule.met else "not met")
            console.print(f"{rule.path}:{rule.line}  {told}  {rule.condition}", markup=False)
    console.print(f"{sum(bool(rule.shown_by) for rule in found)} of {len(found)} rules are shown by a vector")


@app.command("report")
def merge(
    files: Annotated[list[Path], typer.Argument(help="JSON reports of runs.")],
    html: Annotated[Path, typer.Option(help="The page to write.")],
) -> None:
    """Put several runs side by side on one page."""
    try:
        runs = [read_run(path) for path in files]
        html.parent.mkdir(parents=True, exist_ok=True)
        records = [Path(os.path.relpath(path, html.parent)).as_posix() for path in files]
        html.write_text(html_page(runs, records), encoding="utf-8")
    except (IcwsError, OSError) as error:
        _stop(f"icws conformance: {error}", ExitCode.MISUSE)


@app.command("requirements")
def show_requirements(
    role: Annotated[str | None, typer.Option(help="client, gateway, canister, library or payload.")] = None,
) -> None:
    """List the requirements, with the reason for each and the attack that it stops."""
    table = Table("id", "level", "what it says", "why", "attack", show_lines=True)
    for entry in requirements().values():
        if role in (None, entry.role):
            table.add_row(entry.id, entry.level, entry.title, entry.rationale, entry.attack)
    Console().print(table)


@app.command("lint")
def lint(
    files: Annotated[list[Path] | None, typer.Argument(help="Files of vectors. Default: the published ones.")] = None,
) -> None:
    """Check files of vectors against their schema and their own words."""
    console = Console(highlight=False, soft_wrap=True)
    try:
        paths = files or sorted(data_path("vectors").glob("*.json"))
        faults = [(path, fault) for path in paths for fault in lint_file(path)]
    except IcwsError as error:
        _stop(f"icws conformance: {error}", ExitCode.MISUSE)
    for path, fault in faults:
        console.print(f"{path}: {fault}", markup=False)
    if faults:
        raise typer.Exit(ExitCode.FAILS)


@app.command("generate")
def generate(
    folder: Annotated[Path, typer.Argument(help="Where the vectors go.")],
    check: Annotated[bool, typer.Option("--check", help="Compare with what is there; write nothing.")] = False,
) -> None:
    """Write the project's vectors: the same bytes every time."""
    try:
        if not check:
            write_folder(folder)
        elif differing := check_folder(folder):
            _stop(f"icws conformance: not as generated: {', '.join(differing)}", ExitCode.FAILS)
    except (IcwsError, OSError) as error:
        _stop(f"icws conformance: {error}", ExitCode.MISUSE)


# What the targets share ----------------------------------------------------------------------------------------------


async def _play(
    target: str,
    implementation: str,
    cases: Sequence[Case],
    *,
    expected: Mapping[str, str] | None,
    at_once: int,
    verbose: bool,
) -> Run:
    console = UnheardConsole(highlight=False, soft_wrap=True)
    with Terminal(console, len(cases), verbose=verbose) as shown:
        run = await run_cases(
            cases,
            target=target,
            implementation=implementation,
            command=_command(),
            expected=expected,
            at_once=at_once,
            progress=shown.result,
        )
    shown.summary(run)
    return run


def _command() -> str:
    """The present command, without what is about reports or selects cases."""
    words = ["icws", *(["conformance"] if "conformance" not in sys.argv[1:2] else []), *sys.argv[1:]]
    dropped = ("--report", "--case", "--requirement")
    kept: list[str] = []
    skip = False
    for word in words:
        if skip:
            skip = False
        elif word in dropped:
            skip = True
        elif not word.startswith(tuple(f"{name}=" for name in dropped)) and word not in ("-v", "--verbose"):
            kept.append(word)
    return shlex.join(kept)


def _list(cases: Sequence[Case]) -> None:
    for entry in cases:
        typer.echo(f"{entry.id}\t{' '.join(entry.requirements)}\t{entry.title}")


def _finish(run: Callable[[], Coroutine[Any, Any, Run | None]], folder: Path | None) -> None:
    """Run, write the reports, and exit as the verdicts say."""

    try:
        done = run_until_told(run)
        if done is None:
            return
        if folder is not None:
            for path in write_reports([done], folder):
                typer.echo(f"written   {path}")
    except MisuseError as error:
        _stop(f"icws conformance: {error}", ExitCode.MISUSE)
    except TransportError as error:
        _stop(f"icws conformance: {error}", ExitCode.UNREACHABLE)
    except (IcwsError, OSError) as error:
        _stop(f"icws conformance: {error}", ExitCode.MISUSE)
    raise typer.Exit(done.exit_code)


def _stop(message: str, code: ExitCode) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(code)


if __name__ == "__main__":
    app(prog_name="icws conformance")
