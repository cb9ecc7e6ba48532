"""Whether a host can be used at all: open it, read what it has, and perform one case that injects nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from harness.events.probe_availability import ProbeAvailability
from harness.events.snapshot import Snapshot
from harness.hosts.host import Host
from harness.run.deadline import Stopwatch
from harness.run.proofs import Proof, proofs
from harness.run.runner import Runner
from harness.vocab.case import Case, Step
from harness.vocab.event import PROBE
from harness.vocab.history import Operation
from harness.vocab.topology import Topology
from harness.vocab.verdict import ExitCode


class Checked(NamedTuple):
    """What a host has, and what became of the case. `failed` are operations that should have succeeded."""

    topology: Topology
    operations: int
    failed: tuple[Operation, ...]
    elapsed_s: float
    trouble: str
    proofs: tuple[Proof, ...] = ()

    @property
    def exit_code(self) -> ExitCode:
        """3 when the lab failed, 1 when the host answered but not as it should, else 0."""
        if self.trouble:
            return ExitCode.INFRA
        if self.failed or not all(proof.is_complete for proof in self.proofs):
            return ExitCode.FAIL
        return ExitCode.PASS if self.operations else ExitCode.NOTHING_RAN


def check_host(opener: Callable[[], Host]) -> Checked:
    """Open a host and use every AFU once, as an application does. Raises InfraError."""
    runner = Runner(opener)
    try:
        stopwatch = Stopwatch()
        performance = runner.perform(smoke_case(runner.topology))
        operations = performance.history.operations
        return Checked(
            runner.topology,
            len(operations),
            tuple(operation for operation in operations if not operation.is_ok),
            stopwatch.elapsed_s,
            performance.trouble,
            tuple(proofs(performance.history)),
        )
    finally:
        runner.close()


def smoke_case(topology: Topology) -> Case:
    """Open, attach, map, load and close on every AFU and node; nothing is injected or reset."""
    probes = [ProbeAvailability.of(afu, kind) for afu in topology.afus for kind in afu.kinds]
    steps = (Snapshot(), *probes, Snapshot())
    return Case(tuple(Step(PROBE, event) for event in steps), topology.platform, origin="hosts check")
