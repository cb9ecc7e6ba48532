"""What an agent in a guest plays before its cases: once after the boot, and once in each restored guest.

After the boot, so that what the agent needs is in memory when the guest is saved, and the guest is old
enough.

In a restored guest, because a new QEMU translates every instruction afresh that the guest comes to: half of a
short case's time, and time before a case is free while another runs. The rehearsal calls what cases call, on
files that are none of the driver's, and leaves nothing behind. Its last step asks PHYP to let the guest stand
still: the guest's processor is inside that call, and its clock does not go on, until the case is there. So a
case begins at the same moment of the guest's time each time.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from harness.guest.partition import STAND_STILL

AGE_MS = 9000
"""How old a guest must be when it is saved: a new QEMU's decrementer expires after 2**32 ticks, 8.4 s."""

_FILE = {"fd": "f", "path": "/dev/null"}
_MEMORY = {"fd": "m", "path": "/dev/zero"}
_AREA = {"map": "p", "offset": 0, "width": 8}
_HARMLESS_REQUEST = 0xCA_00  # no file of the rehearsal's knows it
_READ = ("/proc/interrupts", "/proc/slabinfo", "/sys/kernel/debug/slab/kmalloc-192/alloc_traces")


def _play(name: str, steps: Iterator[tuple[str, str, dict[str, Any]]]) -> dict[str, Any]:
    parts = [
        {"step": number, "part": 0, "who": who, "do": do, "args": args}
        for number, (who, do, args) in enumerate(steps)
    ]
    return {"run": name, "schedule": 0, "steps": parts}


def _after_boot() -> Iterator[tuple[str, str, dict[str, Any]]]:
    yield "a0", "open", _FILE
    yield "a0", "close", {"fd": "f"}
    yield "harness", "sleep", {"ms": AGE_MS}


def _before_a_case() -> Iterator[tuple[str, str, dict[str, Any]]]:
    yield "a0", "open", _FILE
    yield "a0", "ioctl", {"fd": "f", "request": _HARMLESS_REQUEST, "data": "00" * 64}
    yield "a0", "poll", {"fd": "f", "timeout_ms": 0}
    yield "a1", "open", _MEMORY
    yield "a1", "mmap", {"fd": "m", "map": "p", "length": 0x10000}
    yield "a1", "store", {**_AREA, "value": 1}
    yield "a1", "load", {**_AREA, "count": 16}
    yield "a1", "munmap", {"map": "p"}
    yield "a1", "close", {"fd": "m"}
    yield "a0", "fork", {"child": "a2"}
    for path in _READ:
        yield "nemesis", "read_file", {"path": path, "only": "[cxl] "}
    yield "harness", "wait", {"actors": "all", "timeout_ms": 1000}
    for who in ("a0", "a1", "a2"):
        yield who, "exit", {}
    yield "harness", "wait", {"actors": "all", "timeout_ms": 1000}
    yield "nemesis", "inject", {"what": STAND_STILL}


AFTER_BOOT = _play("after-boot", _after_boot())
BEFORE_A_CASE = _play("before-a-case", _before_a_case())
