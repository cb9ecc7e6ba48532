"""Oracle: the kernel log tells of no crash, no warning, no lockup and no driver's alarm.

One finding for each signature: a report of the kernel's is named by its kind and the functions at fault, an
alarm of the driver's by its words. Some warnings are what the driver must say when the case did something
that it is not told of; they are excused in such a case only, and never when the kernel panicked.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from harness.oracles._memo import ms
from harness.vocab.history import History, Record
from harness.vocab.oops import is_trouble, troubles
from harness.vocab.oracle import ABOUT_BOTH, Oracle
from harness.vocab.trouble import Trouble
from harness.vocab.verdict import Finding

NAME = "kernel_log_is_clean"

_ALARMS = (
    "Unable to demultiplex CXL PSL IRQ for PE",
    "Unable to get CXL IRQ Info",
    "Unable to get IRQ info",
    "Unhandled CXL PSL IRQ",
    "Received AFU IRQ out of range",
    "Received AFU IRQ for context with no IRQ bitmap",
    "Adapter context unlocked with",
    "psl_purge request while AFU not disabled",
    "Refusing to enable afu while link down",
    "Device link is down, refusing to attach process",
    "Device link is down, refusing to activate",
    "afu_read must be buggy",
    "Default context started",
    "Translation fault regs changed",
    "Unexpected return code",
    "WARNING: AFU control timed out",
    "WARNING: PSL Purge timed out",
    "WARNING: Process Element Command timed out",
    "WARNING: CXL AFU SLBIA timed out",
)
_HANGS = frozenset({"HangAfu"})
_REFUSALS = frozenset({"AnswerCommand"})
_BEHIND_BACK = frozenset({"ResetSilently", "OpenFlashNode", "RaiseTransientError", "AnswerHcall"})
_FAR_AWAY = frozenset(
    {"ResetCard", "FreezeEehPe", "FencePhb", "DropLink", "RaisePslError", "RecoverCapp", "ThawEehPe"}
)
_LINK_DOWN = _FAR_AWAY | _HANGS | {"ForceRecovery"}  # EEH tells drivers so, error or not

# What a warning or an alarm may say in a case with one of these events. A dedicated context's fault registers
# are cleared by any purge, and the kernel itself says that it is most likely harmless. A function stands here
# where it has one warning only: the words of that can be lost among other processors' lines.
_EXCUSED: dict[str, frozenset[str]] = {
    "__detach_context": _BEHIND_BACK | _REFUSALS,
    "native_attach_process": _LINK_DOWN,
    "native_afu_activate_mode": _LINK_DOWN,
    "native_irq_err": frozenset({"RaisePslInterrupt"}),
    "Unexpected return code": frozenset({"AnswerHcall"}),
    "Unable to get IRQ info": _BEHIND_BACK,
    "Device link is down, refusing to attach process": _LINK_DOWN,
    "Device link is down, refusing to activate": _LINK_DOWN,
    "Refusing to enable afu while link down": _LINK_DOWN,
    "Adapter context unlocked with": frozenset({"ForceRecovery"}),
    "dev_watchdog": frozenset({"FreezeDevice"}),  # frames that a frozen network device does not send
}
_EXCUSED_ALARMS = _EXCUSED | {
    "WARNING: AFU control timed out": _FAR_AWAY | _HANGS,
    "WARNING: PSL Purge timed out": _FAR_AWAY | _HANGS,
    "WARNING: Process Element Command timed out": _FAR_AWAY | _HANGS | _REFUSALS,
    "WARNING: CXL AFU SLBIA timed out": _FAR_AWAY | _HANGS,
}
"""Some lines are no warning's title: another processor's driver may say them in the midst of a report."""
_CORRUPTING = frozenset(
    {
        "atomic-schedule",
        "bad-access",
        "bad-jump",
        "double-free",
        "list-corruption",
        "null-pointer",
        "slab-corruption",
        "stack",
        "use-after-free",
    }
)
_TOLERATED_IN_DEDICATED_MODE = "Translation fault regs changed"
_NUMBERS = re.compile(r"0x[0-9a-f]+|\b[0-9a-f]{8,}\b|\d+", re.IGNORECASE)
_NOT_A_LETTER = re.compile(r"[^a-z]+")
_SLUG_LENGTH = 60


def judge(history: History) -> Iterator[Finding]:
    """Search the whole log at once, and read it only when there is something."""
    log = history.log
    if not log:
        return
    texts = [record.data["text"] for record in log]
    whole = "\n".join(texts)
    alarms = [text for text in _ALARMS if text in whole]
    reports = _up_to_corruption(troubles(texts)) if is_trouble(whole) else []
    if not alarms and not reports:
        return
    events = {intent.event for intent in history.intents}
    seen: set[str] = set()
    for finding in (*_reported(history, reports, events), *_alarming(history, reports, alarms, events)):
        if finding.kind not in seen:
            seen.add(finding.kind)
            yield finding


def _up_to_corruption(reports: Sequence[Trouble]) -> Sequence[Trouble]:
    """What a kernel says after its memory or stack went wrong proves nothing of its own."""
    for index, trouble in enumerate(reports):
        if trouble.kind in _CORRUPTING:
            return reports[: index + 1]
    return reports


def _reported(history: History, reports: Sequence[Trouble], events: set[str]) -> Iterator[Finding]:
    for trouble in reports:
        if _was_idle(trouble):
            continue
        words = f"{trouble.title} {trouble.function}"
        is_harmless = trouble.kind == "warning" and not trouble.is_fatal
        if not is_harmless or not _is_excused(history, words, events, _EXCUSED):
            records = [history.log[index] for index in trouble.lines]
            message = f"the kernel said at {ms(records[0].time_us)}: {_story(trouble)}"
            yield Finding(NAME, trouble.signature, message, tuple(record.seq for record in records))


def _was_idle(trouble: Trouble) -> bool:
    """Whether an NMI, by which a silent host is asked where it hangs, found nobody at work."""
    return "System Reset" in trouble.title and trouble.process.startswith("swapper")


def _story(trouble: Trouble) -> str:
    """A report in one line."""
    told = [trouble.title.strip()]
    if trouble.function:
        told.append(f"in {trouble.function} [{trouble.module or 'kernel'}]")
    if trouble.callers:
        told.append(f"called by {', '.join(trouble.callers[:3])}")
    if trouble.process:
        told.append(f"process {trouble.process}")
    return "; ".join(told) + ("; then it panicked" if trouble.is_fatal else "")


def _alarming(
    history: History, reports: Sequence[Trouble], alarms: Sequence[str], events: set[str]
) -> Iterator[Finding]:
    headings = {index for trouble in reports for index in trouble.lines}
    for index, record in enumerate(history.log):
        line = record.data["text"]
        is_alarm = index not in headings and any(text in line for text in alarms)
        if is_alarm and not _is_excused(history, line, events, _EXCUSED_ALARMS):
            yield _alarm(record)


def _is_excused(
    history: History, words: str, events: set[str], excuses: Mapping[str, frozenset[str]]
) -> bool:
    if _TOLERATED_IN_DEDICATED_MODE in words and not all(afu.is_directed for afu in history.topology.afus):
        return True
    return any(text in words and events & excusing for text, excusing in excuses.items())


def _slug(line: str) -> str:
    """The words of a line without numbers and addresses: the same for the same complaint."""
    words = _NOT_A_LETTER.sub("-", _NUMBERS.sub(" ", line).lower()).strip("-")
    return words[:_SLUG_LENGTH].rstrip("-")


def _alarm(record: Record) -> Finding:
    line = record.data["text"]
    return Finding(NAME, _slug(line), f"the kernel said at {ms(record.time_us)}: {line}", (record.seq,))


ORACLE = Oracle(
    NAME,
    "The kernel log tells of no crash, warning or lockup",
    judge,
    subjects=ABOUT_BOTH,
    sees_all=True,
)
