"""The PowerVM driver's periodic check: READ_ERR_STATE asked by a kernel worker, AFU by AFU."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.oracles._memo import once
from harness.vocab.history import History, Record

WORKER = "kworker"
_HCALL = "cxl_hcall_control_function"
_READ_ERR_STATE = "READ_ERR_STATE"


@once
def samples(history: History) -> Mapping[str, Sequence[Record]]:
    """READ_ERR_STATE answers that a kernel worker got, by AFU. Gate calls of applications are left out."""
    found: dict[str, list[Record]] = {}
    for record in history.traces.get(_HCALL, ()):
        data = record.data
        if data.get("op") == _READ_ERR_STATE and str(data.get("comm", "")).startswith(WORKER):
            found.setdefault(str(data.get("afu", "")), []).append(record)
    return found
