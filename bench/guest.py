"""The guest in QEMU: restored for each case against booted for each, the harness's share, and PHYP's answers.

All three come from the same run of drawn cases; each case is written to a run directory and judged by every
oracle, as in a campaign, but new bugs are not minimised.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import NamedTuple

from bench.figure import Figure, median
from harness import registry
from harness.guest import cache as guest_cache
from harness.guest.pseries import Clock
from harness.hosts.guests import Guest, Guests
from harness.hosts.qemu import QemuHost
from harness.run import prepare
from harness.run.judge import judge
from harness.run.planrun import new_directory
from harness.run.runner import Runner
from harness.vocab.case import Case
from harness.vocab.errors import InfraError
from harness.vocab.topology import Topology

URL = "qemu://powervm"
PLAN = Path("testplans/nightly.toml")
SEED = 20_261_121
_HELLO_S = 180.0
_SLICE_S = 1.0


class Measured(NamedTuple):
    """One run: cases a second, the share of the time that is the harness's, and how long PHYP took."""

    rate: float
    share_percent: float
    hcall_ms: float
    hcalls: int
    sides: str


def missing() -> str:
    """Why there is no guest to measure, or nothing."""
    try:
        guest_cache.finished()
    except InfraError as error:
        return str(error)
    return ""


def drawn(topology: Topology, count: int, url: str = URL) -> list[Case]:
    """The first cases that the nightly plan draws."""
    orders = prepare.setup(prepare.read_plan(PLAN), [url], "1cases", SEED).orders
    return [orders.draw.fresh(SEED + number, topology) for number in range(count)]


def judged(runner: Runner, cases: Sequence[Case]) -> float:
    """Perform and judge cases as a campaign does; gives how long that took, in seconds."""
    oracles = tuple(registry.oracles().values())
    with tempfile.TemporaryDirectory() as folder:
        directory = new_directory(Path(folder) / "run")
        began = time.perf_counter()
        for number, case in enumerate(cases, 1):
            runner.begin(case, number, record=directory.entry)
            performance = runner.collect()
            judge(performance.history, oracles, performance.trouble)
        wall_s = time.perf_counter() - began
        directory.close()
    return wall_s


@cache
def restored(cases: int) -> Measured:
    """Perform cases on one host, each in a restored guest."""
    host = QemuHost.open(URL)
    runner = Runner(lambda: host)
    try:
        first, *todo = drawn(runner.topology, cases + 1)
        runner.perform(first)  # what is measured begins like any other case: behind one
        before = replace(host.spent)
        wall_s = judged(runner, todo)
        spent, durations = replace(host.spent), host.hcall_durations_us
    finally:
        runner.close()
    guest_s, waited_s = spent.guest_s - before.guest_s, spent.waited_s - before.waited_s
    own_s = max(0.0, wall_s - guest_s - waited_s)
    parts = [1000 * part / cases for part in (own_s, wall_s, guest_s, waited_s)]
    sides = "{:.0f} of {:.0f} ms a case; {:.0f} in the guest, {:.0f} waiting for one".format(*parts)
    hcall_ms = median(durations) / 1000
    return Measured(cases / wall_s, 100 * own_s / wall_s, hcall_ms, len(durations), sides)


def booted_rate(cases: int) -> float:
    """Cases a second when each boots a guest of its own, in real time: as one would without all this."""
    build = guest_cache.finished()
    host = QemuHost.open(URL)
    topology = Runner(lambda: host).topology
    host.close()
    began = time.perf_counter()
    for case in drawn(topology, cases):
        guests = Guests(build, Clock.REAL)
        guest = guests.boot()
        try:
            Runner(lambda guest=guest: _Booted(guest, host.hello)).perform(case)
        finally:
            guest.end()
            guests.close()
    return cases / (time.perf_counter() - began)


class _Booted:
    """A Host over a guest that boots, for one case."""

    url = URL
    window = 1

    def __init__(self, guest: Guest, hello: bytes) -> None:
        self.hello = hello
        self._port = guest.port
        self._port.send_agent()
        if not self._port.greeting(_HELLO_S):
            raise InfraError("the guest did not boot")

    def begin(self, play: bytes) -> None:
        self._port.begin(play)

    def replies(self, timeout_s: float) -> Sequence[bytes]:
        return self._port.lines(timeout_s)

    def close(self) -> None:
        pass


def restored_against_booted(cases: int, boots: int) -> Figure:
    one, other = restored(cases).rate, booted_rate(boots)
    sides = f"{one:.2f} ÷ {other:.3f} cases/s, drawn by the nightly plan"
    return Figure("guest cases/s restored, virtual time ÷ booted, real time", one / other, 10, sides)


def own_share(cases: int) -> Figure:
    found = restored(cases)
    name = "harness's share of a guest case's time, percent"
    return Figure(name, found.share_percent, 20, found.sides, is_at_least=False)


def hcall_answer(cases: int) -> Figure:
    found = restored(cases)
    name = "PHYP's answer to an hcall, median ms"
    return Figure(name, found.hcall_ms, 0.5, f"{found.hcalls:,} calls", is_at_least=False)


def figures(quick: bool) -> Iterator[Callable[[], Figure]]:
    """The three figures of one run."""
    cases, boots = (20, 1) if quick else (100, 5)
    yield lambda: restored_against_booted(cases, boots)
    yield lambda: own_share(cases)
    yield lambda: hcall_answer(cases)
