"""Feed every reader of the core, and the gateway's of polls, with damaged and arbitrary bytes, and count what it does
with them.

    python fuzz/run.py [--examples N] [--seed N] [--target NAME]... [--list]

Ends with 1 if anything but a value or an error of the project came out, or if an input took longer than
:data:`PATIENCE` seconds; the input, made as small as possible, is shown in hex.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter

from hypothesis import HealthCheck, Phase, given, seed, settings
from inputs import inputs
from target import Target
from targets import TARGETS

from icws_secure.errors import IcwsError

PATIENCE = 5.0
"""Seconds an input may take; the largest ones allowed take a fraction of one."""


class Outcome:
    """What became of the inputs of one target."""

    def __init__(self) -> None:
        self.taken = 0
        self.refused: Counter[str] = Counter()
        self.slowest = 0.0
        self.failure: tuple[bytes, BaseException] | None = None

    def feed(self, target: Target, data: bytes) -> None:
        started = time.perf_counter()
        try:
            target.read(data)
            self.taken += 1
        except IcwsError as error:
            self.refused[error.reason] += 1
        except BaseException as error:
            self.failure = data, error
            raise
        took = time.perf_counter() - started
        self.slowest = max(self.slowest, took)
        if took > PATIENCE:
            late = TimeoutError(f"took {took:.1f} s")
            self.failure = data, late
            raise late

    @property
    def inputs(self) -> int:
        return self.taken + self.refused.total()


def fuzz(target: Target, examples: int, start: int) -> Outcome:
    """Feed one target."""
    outcome = Outcome()
    for data in target.seeds:
        outcome.feed(target, data)

    @seed(start)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
        print_blob=False,
    )
    @given(inputs(target.seeds))
    def run(data: bytes) -> None:
        outcome.feed(target, data)

    try:
        run()
    except Exception as error:  # noqa: BLE001  whatever came out is what is reported
        if outcome.failure is None:
            outcome.failure = b"", error
    return outcome


def main(arguments: list[str] | None = None) -> int:
    """Fuzz, print a table, and return the exit code."""
    parser = argparse.ArgumentParser(description="Fuzz the readers of the core.")
    parser.add_argument("--examples", type=int, default=2_000, help="inputs for each target (default: 2000)")
    parser.add_argument("--seed", type=int, default=None, help="start of the generator (default: from the clock)")
    parser.add_argument("--target", action="append", help="only this one; may be repeated")
    parser.add_argument("--list", action="store_true", help="print the names of the targets and stop")
    options = parser.parse_args(arguments)
    names = {target.name for target in TARGETS}
    if options.list:
        sys.stdout.write("\n".join(sorted(names)) + "\n")
        return 0
    if unknown := set(options.target or ()) - names:
        parser.error(f"no such target: {', '.join(sorted(unknown))}")
    start = time.time_ns() if options.seed is None else options.seed

    sys.stdout.write(f"seed {start}\n{'target':<24}{'inputs':>8}{'taken':>8}{'refused':>9}{'slowest':>11}  reasons\n")
    failed = total = 0
    for target in TARGETS:
        if options.target and target.name not in options.target:
            continue
        outcome = fuzz(target, options.examples, start)
        total += outcome.inputs
        reasons = ", ".join(f"{reason} {count}" for reason, count in outcome.refused.most_common(3))
        sys.stdout.write(
            f"{target.name:<24}{outcome.inputs:>8}{outcome.taken:>8}{outcome.refused.total():>9}"
            f"{outcome.slowest * 1000:>8.1f} ms  {reasons}\n"
        )
        sys.stdout.flush()
        if outcome.failure is not None:
            failed += 1
            data, error = outcome.failure
            sys.stdout.write(f"  FAILED: {type(error).__name__}: {error}\n  input: {data.hex()}\n")
    sys.stdout.write(f"{total} inputs, {failed} targets failed\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
