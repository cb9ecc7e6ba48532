"""Oracle: a PCI device that EEH has given up is gone, until somebody has the bus scanned.

After FAILED_PERMANENTLY there is no RECOVERED, and after PARTING_US, in which the device is removed, no
request is good and its files are gone.
"""

from __future__ import annotations

from collections.abc import Iterator

from harness.oracles._device import GOOD, PARTING_US, device_episodes, failed_mark, traffic
from harness.oracles._memo import ms
from harness.vocab.history import History, Record
from harness.vocab.oracle import ABOUT_DEVICES, Oracle
from harness.vocab.phase import Phase
from harness.vocab.topology import Platform
from harness.vocab.verdict import Finding

NAME = "failed_device_stays_gone"


def judge(history: History) -> Iterator[Finding]:
    """Look at what happened to each device after it was given up."""
    for device in device_episodes(history):
        for mark in history.marked(Phase.RECOVERED, device):
            failed = failed_mark(history, device, mark.time_us)
            if failed and failed.seq < mark.seq:
                yield _finding("recovered", device, failed, mark, "it recovered")
        yield from _used(history, device)


def _used(history: History, device: str) -> Iterator[Finding]:
    for item in traffic(history).get(device, ()):
        end = item.operation.end
        for run in item.runs:
            failed = failed_mark(history, device, run.last_us)
            if end and failed and run.outcome == GOOD and run.last_us > failed.time_us + PARTING_US:
                yield _finding("works", device, failed, end, f"a request was good at {ms(run.last_us)}")
                break
        yield from _shown(history, device, item.operation.invoke.step)


def _shown(history: History, device: str, step: int) -> Iterator[Finding]:
    for operation in history.operations:
        if operation.invoke.step != step or operation.verb != "read_file" or not operation.is_ok:
            continue
        failed = failed_mark(history, device, operation.began_us)
        if failed and operation.end and operation.began_us > failed.time_us + PARTING_US:
            yield _finding("still-there", device, failed, operation.end, "its files were still there")


def _finding(kind: str, device: str, failed: Record, proof: Record, what: str) -> Finding:
    message = f"{device} was given up at {ms(failed.time_us)}, and {what}, as told at {ms(proof.time_us)}"
    return Finding(NAME, kind, message, (failed.seq, proof.seq))


ORACLE = Oracle(
    NAME,
    "A PCI device that EEH has given up is gone until the bus is scanned",
    judge,
    frozenset({Platform.POWERNV}),
    ABOUT_DEVICES,
)
