"""How small the cases of named mutants become: the first kill of each is minimised, as in a campaign.

The shortest known case of each mutant and signature is the saved one in ``fixtures/cases/regress``, or a
shorter one that was noted in ``shortest.toml`` there.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness import registry
from harness.hosts.inproc import InprocHost
from harness.run.deadline import Deadline
from harness.run.runner import Runner
from harness.run.shrink import Shrinking, shrink
from harness.score.sources import REGRESS
from harness.sim.host import SimulatedHost
from harness.vocab.topology import Platform
from harness.wire import casefile

MINIMISE_S = 120.0
"""How long one case may take: on a host that hangs each candidate is slow."""
SHORTEST = REGRESS / "shortest.toml"


def opener(platform: Platform, mutant: str = "") -> InprocHost:
    """A simulated host in this process."""
    query = f"?mutant={mutant}" if mutant else ""
    return InprocHost(f"sim://{platform.value}{query}", SimulatedHost(platform, mutant))


def minimise_kill(platform: Platform, mutant: str, case_text: str) -> dict[str, Any]:
    """Minimise the saved case on the mutant; gives what became of it as plain values."""
    case, signature = casefile.load(case_text, registry.events(), f"the kill of {mutant}")
    runner = Runner(lambda: opener(platform, mutant))
    oracles = tuple(registry.oracles().values())
    shrinking = Shrinking(
        signature, oracles, until=Deadline.after(MINIMISE_S), healthy=lambda: opener(platform)
    )
    found = shrink(runner, case, shrinking)
    return {
        "signature": signature,
        "from": len(case.steps),
        "steps": len(found.case.steps),
        "executions": found.executions,
        "is_one_minimal": found.is_one_minimal,
        "host_downs": found.host_downs,
        "fails_on_healthy": found.fails_on_healthy,
        "case": casefile.dump(found.case, signature),
    }


def shortest_known(path: Path = SHORTEST) -> Mapping[str, int]:
    """The fewest steps by ``platform/Mutant signature``; empty when there is no such file."""
    if not path.exists():
        return {}
    tables = tomllib.loads(path.read_text(encoding="utf-8"))
    return {
        f"{platform}/{mutant} {signature}": steps
        for platform, by_mutant in tables.items()
        for mutant, by_signature in by_mutant.items()
        for signature, steps in by_signature.items()
    }
