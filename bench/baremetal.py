"""The bare-metal guest: how soon it plays its first case, and how much of the time is not the guest's own.

Cases are drawn by the nightly plan, for the cards, and judged by every oracle. Several are played per boot;
looks at the guest between them, and boots of another guest, count as time that is not the guest's own. A
known defect of the driver, which kills the guest in many cases, is spared it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from typing import NamedTuple

from bench.figure import Figure
from bench.guest import drawn, judged
from harness.hosts.baremetal import BareMetalHost
from harness.run.runner import Runner

URL = "qemu://powernv?mend=cdev"


class Measured(NamedTuple):
    """Seconds from the start to the first case, the share of the time outside cases, and what it is of."""

    first_s: float
    share_percent: float
    sides: str


@cache
def played(cases: int) -> Measured:
    """Perform cases on one host, from its start on."""
    began = time.perf_counter()
    host = BareMetalHost.open(URL, mend="cdev")
    runner = Runner(lambda: host)
    try:
        first, *todo = drawn(runner.topology, cases + 1, URL)
        runner.begin(first)
        first_s = time.perf_counter() - began
        runner.collect()
        before, boots = replace(host.spent), len(host.why_booted)
        wall_s = judged(runner, todo)
        guest_s, boots = host.spent.guest_s - before.guest_s, len(host.why_booted) - boots
    finally:
        runner.close()
    sides = f"{guest_s / cases:.1f} of {wall_s / cases:.1f} s a case in the guest; {boots} more boots"
    return Measured(first_s, 100 * (wall_s - guest_s) / wall_s, sides)


def figures(quick: bool) -> Iterator[Callable[[], Figure]]:
    """The two figures of one run."""
    cases = 3 if quick else 12

    def first_case() -> Figure:
        name = "bare-metal guest: start to first case, seconds"
        return Figure(name, played(cases).first_s, 15, "three emulated processors", is_at_least=False)

    def share() -> Figure:
        found = played(cases)
        name = "bare-metal guest: time outside the guest, percent"
        return Figure(name, found.share_percent, 20, found.sides, is_at_least=False)

    yield first_case
    yield share
