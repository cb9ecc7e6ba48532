"""Runs all benchmarks and prints the table: ``python -m bench``. Ends with 1 when a limit is missed."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from bench import baremetal, campaigns, generation, guest, operations
from bench.figure import HEAD, Figure


def figures(quick: bool) -> list[Callable[[], Figure]]:
    """The benchmarks in the order of their length."""
    cases, rounds = (300, 1) if quick else (1500, 3)
    return [
        lambda: generation.bulk_against_hypothesis(1000 if quick else 3000, rounds),
        lambda: operations.agent_against_commands(200_000, 200 if quick else 1000, rounds),
        lambda: campaigns.ssh_against_inprocess(cases, rounds),
        lambda: campaigns.ssh_against_state_machine(cases, rounds),
        lambda: campaigns.cpu_with_two_hosts(cases, rounds),
        lambda: campaigns.memory_slope(4000 if quick else 100_000),
        *(() if guest.missing() else (*guest.figures(quick), *baremetal.figures(quick))),
    ]


def main() -> int:
    """Print each figure as it is measured."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="fewer cases and one round: a look, not a figure"
    )
    quick = parser.parse_args().quick
    print(HEAD, flush=True)
    missed = 0
    for measure in figures(quick):
        figure = measure()
        print(figure.row, flush=True)
        missed += not figure.is_met
        campaigns.settle()
    if why := guest.missing():
        print(f"\nThe guest's figures were not measured: {why}")
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
