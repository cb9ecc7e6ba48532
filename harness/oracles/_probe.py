"""The closing probes: which events they are, when they began, and what excuses a failure of one."""

from __future__ import annotations

from harness.oracles._context import contexts
from harness.oracles._disturbance import has_failed_permanently, is_unbound, scripted_hcalls
from harness.oracles._memo import end_us, once
from harness.vocab.history import History, Operation

PROBES = {
    "ProbeAvailability": "availability",
    "ProbeCapacity": "capacity",
    "RewriteMode": "mode",
}
"""What a message calls a probe, by the name of its event."""


@once
def probing_from_us(history: History) -> int:
    """When the first probe began: an error that strikes later may strike the probes themselves."""
    for operation in history.operations:
        if operation.intent.event in PROBES:
            return operation.began_us
    return end_us(history)


def is_given_up(history: History, afu: str, at_us: int) -> bool:
    """Whether `afu` was declared failed for good, or has no driver, at that moment."""
    return has_failed_permanently(history, afu, at_us) or is_unbound(history, afu, at_us)


def is_refused_by_phyp(history: History, probe: Operation) -> bool:
    """Whether PHYP may have lost count of its process elements, because the case made it refuse a call.

    The driver looks at the state before it asks PHYP to detach a process element, and must leave it to PHYP
    when that look fails; a later attach then finds no room.
    """
    return probe.errno == "EBUSY" and any(
        o.args.get("with", {}).get("rc", 0) < 0 for o in scripted_hcalls(history)
    )


def is_held_by_others(history: History, afu: str, probe: Operation) -> bool:
    """Whether a process other than the probe may still hold a context of `afu`."""
    actor = probe.invoke.actor
    return any(
        context.afu == afu and context.owner != actor and context.release_ended_us >= probe.began_us
        for context in contexts(history).contexts
    )
