"""Campaigns over SSH and in process, CPU with two hosts, memory over many cases."""

from __future__ import annotations

import gc
import os
import resource
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from bench.figure import Figure, in_turn
from bench.statemachine import state_machine_rate
from harness.hosts import urls
from harness.hosts.host import Host
from harness.hosts.inproc import InprocHost
from harness.plan.budget import parse_budget
from harness.run import prepare
from harness.run.campaign import Setup, perform
from harness.run.corpus import no_corpus
from harness.run.planrun import new_directory
from harness.sim.host import SimulatedHost
from harness.vocab.campaign import Campaign
from harness.vocab.topology import Platform

PLAN = Path("testplans/nightly.toml")
URLS = ("sim://powernv", "sim://powervm")
SEED = 20_261_121


def _inproc(url: str) -> Host:
    return InprocHost(url, SimulatedHost(Platform(url.removeprefix("sim://"))))


def campaign(hosts: tuple[str, ...], cases: int, *, over_ssh: bool) -> Campaign:
    """Perform the nightly plan's drawn cases on `hosts`; every one of them must pass or be vacuous."""
    read = prepare.read_plan(PLAN)
    setup = prepare.setup(read, hosts, f"{cases}cases", SEED)
    openers = tuple((url, urls.opener(url) if over_ssh else (lambda url=url: _inproc(url))) for url in hosts)
    orders = replace(setup.orders, corpus=no_corpus)
    budget = parse_budget(f"{cases}cases", "bench")
    setup = Setup(setup.plan, setup.title, budget, openers, orders, setup.keep)
    with tempfile.TemporaryDirectory() as folder:
        directory = new_directory(Path(folder) / "run")
        try:
            done = perform(setup, directory)
        finally:
            directory.close()
    if done.trouble or done.counts.get("fail") or done.runs < cases:
        raise RuntimeError(f"the campaign measured something else: {dict(done.counts)} {done.trouble}")
    return done


def rate(hosts: tuple[str, ...], cases: int, *, over_ssh: bool) -> float:
    """Cases a second, the opening of the hosts included."""
    return cases / campaign(hosts, cases, over_ssh=over_ssh).duration_s


def ssh_against_inprocess(cases: int, rounds: int) -> Figure:
    ssh, inproc, ratio = in_turn(
        lambda: rate(URLS[:1], cases, over_ssh=True), lambda: rate(URLS[:1], cases, over_ssh=False), rounds
    )
    return Figure(
        "campaign cases/s over SSH ÷ in process",
        ratio,
        0.8,
        f"{ssh:.0f} ÷ {inproc:.0f} cases/s, one powernv host",
    )


def ssh_against_state_machine(cases: int, rounds: int) -> Figure:
    ssh, machine, ratio = in_turn(
        lambda: rate(URLS[:1] * 2, cases, over_ssh=True),
        lambda: state_machine_rate(max(50, cases // 4)),
        rounds,
    )
    return Figure(
        "campaign cases/s over SSH ÷ RuleBasedStateMachine in process",
        ratio,
        2,
        f"{ssh:.0f} ÷ {machine:.0f} cases/s; two powernv hosts, one powernv machine, the same probes",
    )


def cpu_seconds() -> float:
    """CPU time of this process and of its children that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def cpu_with_two_hosts(cases: int, rounds: int) -> Figure:
    def cpu_a_case(hosts: tuple[str, ...]) -> float:
        before = cpu_seconds()
        campaign(hosts, cases * len(hosts), over_ssh=True)
        return 1000 * (cpu_seconds() - before) / (cases * len(hosts))

    two, one, ratio = in_turn(lambda: cpu_a_case((URLS[0], URLS[0])), lambda: cpu_a_case(URLS[:1]), rounds)
    return Figure(
        "CPU per case with two hosts ÷ with one", ratio, 1.1, f"{two:.2f} ÷ {one:.2f} ms", is_at_least=False
    )


def memory_slope(cases: int) -> Figure:
    """Growth of the controller's memory over a campaign, by least squares over samples of its second half."""
    samples: list[tuple[int, float]] = []
    read = prepare.read_plan(PLAN)
    setup = prepare.setup(read, URLS[:1], f"{cases}cases", SEED)
    setup = replace(setup, orders=replace(setup.orders, corpus=no_corpus))
    with tempfile.TemporaryDirectory() as folder:
        directory = new_directory(Path(folder) / "run")
        try:
            perform(setup, directory, lambda progress, _s: samples.append((progress.runs, _resident_kib())))
        finally:
            directory.close()
    late = [(runs, kib) for runs, kib in samples if runs > cases / 4]
    slope = _slope(late)
    grown = slope * cases * 0.75 / late[0][1] * 100
    sides = f"{slope * 1000:+.1f} KiB for 1,000 cases over {cases:,}, from {late[0][1] / 1024:.0f} MiB"
    return Figure("controller memory growth over the campaign, percent", grown, 5, sides, is_at_least=False)


def _resident_kib() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1024


def _slope(points: list[tuple[int, float]]) -> float:
    n = len(points)
    mean_x, mean_y = sum(x for x, _ in points) / n, sum(y for _, y in points) / n
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread if spread else 0.0


def settle() -> None:
    """Let the garbage of one benchmark not be paid for by the next."""
    gc.collect()
    time.sleep(0.2)
