"""The named moments of error handling, and the kernel's own lines that mark them on each platform.

One vocabulary for the simulated host, a guest and a lab host: a Step can wait for a phase, an oracle can ask
about one. The marks are facts about the kernel (arch/powerpc/kernel/eeh_driver.c, drivers/misc/cxl/trace.h):
a log line that contains the text, or a trace event of that name whose line contains the text. Events of the
group ``capi`` are dynamic probes (kprobe_events) on the function of the same name.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from harness.vocab.topology import BOTH_PLATFORMS, Platform


class Phase(Enum):
    """A named moment of error handling."""

    __hash__ = object.__hash__  # Enum's own is slow, and phases are keys wherever much is looked up

    DETECTED = "detected"
    CONFIRMED = "confirmed"
    ERROR_DETECTED = "error-detected"  # the drivers of a device without CAPI are told
    QUIESCE = "quiesce"
    CONTEXT_PURGED = "context-purged"
    RESET = "reset"
    SLOT_RESET = "slot-reset"
    RESUME = "resume"
    RECOVERED = "recovered"
    FAILED_PERMANENTLY = "failed-permanently"


class Source(Enum):
    """Where a mark is seen: the kernel log or the trace."""

    LOG = "log"
    TRACE = "trace"


@dataclass(frozen=True, slots=True)
class Mark:
    """A line that marks a phase: of the log, with `text` in it; or of the trace, of `event` and with `text`.

    A trace line reads ``event: fields``, so ``f"{event}: "`` is the beginning of what a trigger looks for.
    One that is `of_devices` marks nothing of a CAPI card, whose driver tells more of itself.
    """

    phase: Phase
    source: Source
    text: str = ""
    event: str = ""
    platforms: frozenset[Platform] = BOTH_PLATFORMS
    of_devices: bool = False


_NV = frozenset({Platform.POWERNV})
_VM = frozenset({Platform.POWERVM})
_STATE = "cxl_hcall_control_function"
HCALL_ENTRY = "capi_hcall_entry"
"""The dynamic probe on plpar_hcall: ``H_NAME unit=0x%x op=NAME``, emitted before PHYP is called."""

MARKS: tuple[Mark, ...] = (
    # Bare metal: the EEH core says everything in the kernel log.
    Mark(Phase.DETECTED, Source.LOG, "EEH: Frozen P", platforms=_NV),
    Mark(Phase.DETECTED, Source.LOG, "EEH: Fenced PHB", platforms=_NV),
    Mark(Phase.CONFIRMED, Source.TRACE, "frozen=1", "pnv_eeh_get_state", _NV),
    Mark(Phase.ERROR_DETECTED, Source.LOG, "EEH: Beginning: 'error_detected(IO", "", _NV, of_devices=True),
    Mark(Phase.RESET, Source.LOG, "EEH: Reset with", platforms=_NV),
    Mark(Phase.SLOT_RESET, Source.LOG, "EEH: Beginning: 'slot_reset'", platforms=_NV),
    Mark(Phase.RESUME, Source.LOG, "EEH: Notify device driver to resume", platforms=_NV),
    Mark(Phase.RECOVERED, Source.LOG, "EEH: Recovery successful.", platforms=_NV),
    Mark(Phase.FAILED_PERMANENTLY, Source.LOG, "and has been permanently disabled", platforms=_NV),
    Mark(Phase.FAILED_PERMANENTLY, Source.LOG, "EEH: Unable to recover from failure", platforms=_NV),
    # PowerVM: a state other than NORMAL, read by hcall, is detection and confirmation in one.
    Mark(Phase.DETECTED, Source.TRACE, "READ_ERR_STATE(0x0, 0x0, 0x0, 0x0, R4: 0x2)): 0", _STATE, _VM),
    Mark(Phase.DETECTED, Source.TRACE, "READ_ERR_STATE(0x0, 0x0, 0x0, 0x0, R4: 0x3)): 0", _STATE, _VM),
    Mark(Phase.DETECTED, Source.TRACE, "READ_ERR_STATE(0x0, 0x0, 0x0, 0x0, R4: 0x4)): 0", _STATE, _VM),
    Mark(Phase.RESET, Source.TRACE, "op=RESET", HCALL_ENTRY, _VM),
    Mark(Phase.SLOT_RESET, Source.TRACE, "event=2", "pci_error_handlers", _VM),
    Mark(Phase.RECOVERED, Source.TRACE, "event=3", "pci_error_handlers", _VM),
    Mark(Phase.FAILED_PERMANENTLY, Source.LOG, "AFU is in permanent error state", platforms=_VM),
    # Both: what the cxl driver does to its contexts.
    Mark(Phase.QUIESCE, Source.TRACE, "", "cxl_context_detach_all"),
    Mark(Phase.CONTEXT_PURGED, Source.TRACE, "", "cxl_detach"),
)

HCALLS: tuple[str, ...] = (
    "H_ATTACH_CA_PROCESS",
    "H_CONTROL_CA_FUNCTION",
    "H_DETACH_CA_PROCESS",
    "H_COLLECT_CA_INT_INFO",
    "H_CONTROL_CA_FAULTS",
    "H_DOWNLOAD_CA_FACILITY",
    "H_CONTROL_CA_FACILITY",
)
"""The hcalls of PHYP's CoherentAccel; ``hcall:NAME`` is a phase on PowerVM."""


Pattern = tuple[str, tuple[str, ...]]
"""What a trigger looks for: the source (``log`` or ``trace``), and texts that one line must all contain."""


def patterns(phase: str, platform: Platform) -> tuple[Pattern, ...]:
    """What a trigger for `phase` looks for; any of the patterns will do.

    `phase` is a value of Phase or ``hcall:NAME``. Raises ValueError for a phase that `platform` never has.
    """
    if phase.startswith("hcall:"):
        name = phase.removeprefix("hcall:")
        if platform is not Platform.POWERVM or name not in HCALLS:
            raise ValueError(f"no phase {phase!r} on {platform.value}")
        return ((Source.TRACE.value, (f"{HCALL_ENTRY}: {name} ",)),)
    found = []
    for mark in MARKS:
        if mark.phase.value == phase and platform in mark.platforms:
            event = (f"{mark.event}: ",) if mark.source is Source.TRACE else ()
            found.append((mark.source.value, (*event, mark.text) if mark.text else event))
    if not found:
        raise ValueError(f"no phase {phase!r} on {platform.value}")
    return tuple(found)


def phases(platform: Platform) -> tuple[str, ...]:
    """All phases that a Step may wait for on `platform`."""
    names = {mark.phase.value for mark in MARKS if platform in mark.platforms}
    hcalls = [f"hcall:{name}" for name in HCALLS] if platform is Platform.POWERVM else []
    return (*(phase.value for phase in Phase if phase.value in names), *hcalls)
