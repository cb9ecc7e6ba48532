"""Pairs of simulated hosts, and what comes of performing the same steps on both."""

from __future__ import annotations

from collections.abc import Callable

from harness.events.attach import Attach
from harness.events.await_ import Await
from harness.events.map import Map
from harness.events.open import Open
from harness.events.pause import Pause
from harness.events.raise_recoverable_error import RaiseRecoverableError
from harness.events.raise_transient_error import RaiseTransientError
from harness.hosts.inproc import InprocHost
from harness.run.runner import Runner
from harness.run.twindiff import compare
from harness.run.twindifference import Compared
from harness.sim.host import SimulatedHost
from harness.vocab.case import Case, Step
from harness.vocab.schedule import Schedule
from harness.vocab.topology import Platform

REFERENCE = "sim://powervm"
LINUX = "sim://powervm?driver=linux-6.1"
AFU = "afu0.0"

OPEN = Step("a0", Open("c0", AFU, "s"))
ATTACHED = (OPEN, Step("a0", Attach("c0", True, -1, 0xC0DE)), Step("a0", Map("c0", "c0.mmio")))
WAIT = Step("harness", Await("all", 5_000, False))
NOTICED = Step("harness", Pause(6_000))
TEMPORARY = Step("nemesis", RaiseTransientError(AFU, 3_500))
RECOVERABLE = Step("nemesis", RaiseRecoverableError(AFU))


def case(*steps: Step, seed: int = 1) -> Case:
    return Case(steps, Platform.POWERVM, schedule=Schedule.of_seed(seed), cards=2, origin="a test")


def host(
    mutant: str = "", driver: str = "", platform: Platform = Platform.POWERVM
) -> Callable[[], InprocHost]:
    url = f"sim://{platform.value}?driver={driver}&mutant={mutant}"
    return lambda: InprocHost(url, SimulatedHost(platform, mutant, driver))


REFERENCE_HOST, LINUX_HOST = host(), host(driver="linux-6.1")


def compared(*steps: Step, a: Callable = REFERENCE_HOST, b: Callable = LINUX_HOST) -> Compared:
    histories = [Runner(opener).perform(case(*steps)).history for opener in (a, b)]
    return compare(*histories)


def rules(result: Compared) -> set[str]:
    return {item.rule for item in result.tolerated}
