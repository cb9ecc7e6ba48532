"""Oracle: a PCI device that no event of the case reaches notices nothing.

It is not recovered, and its requests are good. A network may lose a frame now and then: FEW in a row.
"""

from __future__ import annotations

from collections.abc import Iterator

from harness.oracles._device import GOOD, LOST, device_episodes, traffic
from harness.oracles._disturbance import disturbances
from harness.oracles._memo import ms
from harness.vocab.history import History
from harness.vocab.oracle import ABOUT_DEVICES, Oracle
from harness.vocab.phase import Phase
from harness.vocab.topology import Platform
from harness.vocab.verdict import Finding

NAME = "other_devices_undisturbed"
_FEW = 3
_RECOVERY = (Phase.DETECTED, Phase.ERROR_DETECTED, Phase.RESET, Phase.FAILED_PERMANENTLY)


def judge(history: History) -> Iterator[Finding]:
    """Look at the devices that nothing reaches, in a case that reaches others."""
    reached = disturbances(history)
    if not reached:
        return
    for device, found in device_episodes(history).items():
        marks = [mark for episode in found for mark in episode.of(*_RECOVERY)]
        if device not in reached and marks:
            message = f"nothing was done to {device}, and a recovery began at {ms(marks[0].time_us)}"
            yield Finding(NAME, "recovered", message, (marks[0].seq,))
    for device, items in traffic(history).items():
        if device not in reached:
            for item in items:
                for run in item.runs:
                    is_noise = run.outcome == LOST and run.count <= _FEW
                    if run.outcome != GOOD and not is_noise and item.operation.end:
                        message = (
                            f"nothing was done to {device}, and {run.count} of its requests gave "
                            f"{run.outcome} from {ms(run.first_us)} on"
                        )
                        yield Finding(NAME, "requests-fail", message, (item.operation.end.seq,))
                        break


ORACLE = Oracle(
    NAME,
    "A PCI device that nothing reaches notices nothing",
    judge,
    frozenset({Platform.POWERNV}),
    ABOUT_DEVICES,
)
