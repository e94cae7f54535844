"""The command: both acts, and an exit code that means something."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import time
from pathlib import Path
from typing import Annotated, Final

import typer

from icws_cli.demo.attacks import ALL, SHOWN, Shown
from icws_cli.demo.conversation import converse
from icws_cli.demo.gateways import GatewayProcess, run_gateway
from icws_cli.demo.players import play
from icws_cli.demo.show import Show
from icws_cli.demo.stage import Stage, raise_stage
from icws_cli.demo.verdict import Outcome, Verdict, judge
from icws_secure.errors import IcwsError

__all__ = ["app", "run"]

END_S: Final = 26.0  # seconds from the start at which clients that have not come to an end count as lost ...
LEAST_S: Final = 10.0  # ... but for a slow machine they have so many from the start of their attack
AT_ONCE: Final = 8  # attacks: clients that are short of time would take it for somebody's silence

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    every: Annotated[
        bool, typer.Option("--all", help="Play every attack of the catalogue, not only the main ones.")
    ] = False,
) -> None:
    """Show authenticated messages between clients and a canister, and a hostile gateway that fails.

    Ends by itself within half a minute (with --all within a whole one); exit code 0 only if nothing was lost and every
    attack was caught.
    """
    try:
        good = asyncio.run(run(Show(), ALL if every else SHOWN))
    except (IcwsError, OSError) as error:
        typer.echo(f"icws demo: {error}", err=True)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    raise typer.Exit(0 if good else 1)


async def run(show: Show, attacks: tuple[Shown, ...]) -> bool:
    """Play both acts; return whether all went well.

    Raises:
        IcwsError: the stage could not be set.
        OSError: no address to listen on, or no place for files.
    """
    started = time.monotonic()
    show.title("icws demo: a conversation that no gateway can touch")
    with tempfile.TemporaryDirectory(prefix="icws-demo-") as folder:
        async with contextlib.AsyncExitStack() as stack:
            # acknowledgements come once a minute at most: where they are attacked, the clock leaps
            stage, leaping = [await stack.enter_async_context(raise_stage()) for _ in range(2)]
            first, second, third = await _start_gateways(stack, Path(folder), [stage, stage, leaping])
            _show_parts(show, stage, first, second)
            early = {
                shown: asyncio.create_task(play(shown, leaping, third.url, END_S)) for shown in attacks if shown.leaps
            }
            whole = await converse(stage, first, second, show)
            show.step("A hostile gateway tries everything")
            show.note(
                "Each time a client sends six messages to a canister that echoes them, through the hostile gateway "
                "first, with B as its second choice. Caught means: the attack struck, and the client has in the end "
                "those six echoes, in order, once, nothing else, with proof that its own six were executed."
            )
            turns = asyncio.Semaphore(AT_ONCE)

            async def play_in_turn(shown: Shown) -> Outcome:
                async with turns:
                    limit_s = max(LEAST_S, started + END_S - time.monotonic())
                    return await play(shown, stage, second.url, limit_s)

            running = early | {shown: asyncio.create_task(play_in_turn(shown)) for shown in attacks if not shown.leaps}
            verdicts: list[tuple[Shown, Verdict]] = []
            for number, shown in enumerate(attacks, 1):
                verdict = judge(await running[shown])
                verdicts.append((shown, verdict))
                show.attack(number, shown, verdict)
    show.table(verdicts)
    return _conclude(show, whole, [verdict for _, verdict in verdicts], time.monotonic() - started)


async def _start_gateways(stack: contextlib.AsyncExitStack, folder: Path, stages: list[Stage]) -> list[GatewayProcess]:
    """Start one gateway a stage, all at the same time."""
    contexts = [run_gateway(stage.ic_url, folder / f"gateway-{n}.pem") for n, stage in enumerate(stages)]
    starting = [asyncio.create_task(context.__aenter__()) for context in contexts]
    await asyncio.wait(starting)
    for context, task in zip(contexts, starting, strict=True):
        if task.exception() is None:
            stack.push_async_exit(context)
    return [task.result() for task in starting]


def _show_parts(show: Show, stage: Stage, first: GatewayProcess, second: GatewayProcess) -> None:
    show.step("The parts, all on this machine; the clients trust the IC's root key alone")
    show.fact("IC", f"{stage.ic_url}, root key ..{stage.replica.root_key_der.hex()[-16:]}")
    show.fact("canister", f"{stage.chat.to_text()}, a chat room")
    for name, gateway in (("A", first), ("B", second)):
        show.fact(f"gateway {name}", f"{gateway.url}, {gateway.principal[:11]}.., process {gateway.process.pid}")


def _conclude(show: Show, whole: bool, verdicts: list[Verdict], seconds: float) -> bool:
    caught = sum(verdict.is_caught for verdict in verdicts)
    good = whole and caught == len(verdicts)
    chat = "The chat survived its gateway." if whole else "The chat did NOT survive its gateway."
    show.end(f"{chat} {caught} of {len(verdicts)} attacks came to nothing. {seconds:.1f} s", good=good)
    return good
