"""Oracle: EEH counts the failures of a device one by one, and recovers none that has failed too often.

The kernel says before each recovery how often the device has failed and how many failures are tolerated, or
that it has been disabled. Counts are compared where the host begins each case anew; a device that was removed
and found again is counted from 1 on.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from harness.oracles._memo import ms
from harness.vocab.history import History
from harness.vocab.oracle import ABOUT_BOTH, Oracle
from harness.vocab.topology import Platform
from harness.vocab.verdict import Finding

NAME = "freeze_limit_holds"
_PHB = re.compile(r"EEH: Recovering PHB#([0-9a-f]+)")
_FAILED = re.compile(r"has failed (\d+) times in the last hour")
_LIMIT = re.compile(r"permanently disabled after (\d+) failures")
_FREEZE_LIMIT = "/eeh_max_freezes"
_RESCAN = "/pci/rescan"


def judge(history: History) -> Iterator[Finding]:
    """Follow what eehd says, which recovers one device at a time."""
    is_exact = "deterministic" in history.topology.features
    has_new_limit = any(
        str(o.args["path"]).endswith(_FREEZE_LIMIT) for o in history.operations_of("write_file")
    )
    is_found_anew = any(
        o.verb == "write_file" and str(o.args["path"]).endswith(_RESCAN) for o in history.operations
    )
    counts: dict[str, int] = {}
    phb, tolerated = "", None
    for record in history.log:
        text = record.data["text"]
        if recovering := _PHB.search(text):
            phb = recovering[1]
        failed = _FAILED.search(text)
        if failed is None:
            continue
        times, limit = int(failed[1]), _LIMIT.search(text)
        at = f"at {ms(record.time_us)}"
        if limit:
            tolerated = int(limit[1])
            if times > tolerated:
                message = f"PHB {phb} was recovered {at} after {times} failures; {tolerated} are tolerated"
                yield Finding(NAME, "recovered-over-limit", message, (record.seq,))
        elif tolerated is not None and times <= tolerated and not has_new_limit:
            message = f"PHB {phb} was disabled {at} after {times} failures; {tolerated} are tolerated"
            yield Finding(NAME, "disabled-below-limit", message, (record.seq,))
        if is_exact and times != counts.get(phb, 0) + 1 and not (times == 1 and is_found_anew):
            message = f"failure {counts.get(phb, 0) + 1} of PHB {phb} was counted as {times} {at}"
            yield Finding(NAME, "miscounted", message, (record.seq,))
        counts[phb] = times


ORACLE = Oracle(
    NAME,
    "EEH counts failures one by one, and recovers no device that failed too often",
    judge,
    frozenset({Platform.POWERNV}),
    ABOUT_BOTH,
)
