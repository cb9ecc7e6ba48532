"""Plays hand-written steps on a simulated host, and finds things in the replies."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable
from typing import Any

from harness.sim.host import SimulatedHost
from harness.vocab.topology import Platform

NV, VM = Platform.POWERNV, Platform.POWERVM
ALL_ONES = (1 << 64) - 1
BDF = "0000:01:00.0"
CHECK = ("nemesis", "write_file", {"path": "/sys/kernel/debug/powerpc/eeh_dev_check", "text": BDF})
IN_PLACE = (
    "nemesis",
    "write_file",
    {"path": "/sys/class/cxl/card0/perst_reloads_same_image", "text": "1"},
)
LINK_DOWN = ("nemesis", "inject", {"what": "link_down", "with": {"card": "card0"}})

Item = tuple[Any, ...]  # who, do, args, and perhaps a trigger


def work(fd: str, wed: int = 0x5EED, *, err_ff: bool = True, irqs: int = 2) -> dict[str, Any]:
    """Arguments of a START_WORK."""
    flags = 2 | 4 * err_ff
    return {
        "fd": fd,
        "request": 0x8040CA00,
        "data": struct.pack("<QQQhHi4Q", flags, wed, 0, irqs, *[0] * 6).hex(),
    }


def attached(who: str = "a0", fd: str = "c0", node: str = "afu0.0s", **options: Any) -> list[Item]:
    """Open, attach and map."""
    return [
        (who, "open", {"fd": fd, "path": f"/dev/cxl/{node}"}),
        (who, "ioctl", work(fd, **options)),
        (who, "mmap", {"fd": fd, "map": f"{fd}.mmio", "length": 4096}),
    ]


def load(who: str = "a0", fd: str = "c0", offset: int = 0, count: int = 1) -> Item:
    return (who, "load", {"map": f"{fd}.mmio", "offset": offset, "width": 8, "count": count})


def store(value: int, who: str = "a0", fd: str = "c0", offset: int = 8) -> Item:
    return (who, "store", {"map": f"{fd}.mmio", "offset": offset, "width": 8, "value": value})


def wait(timeout_ms: int = 20_000, *, interrupt: bool = False) -> Item:
    return ("harness", "wait", {"actors": "all", "timeout_ms": timeout_ms, "interrupt": interrupt})


def sleep(ms: int) -> Item:
    return ("harness", "sleep", {"ms": ms})


def play_line(items: Iterable[Item], seed: int = 1) -> bytes:
    steps = []
    for number, (who, do, args, *when) in enumerate(items):
        step = {"step": number, "part": 0, "who": who, "do": do, "args": args}
        steps.append(step | ({"when": when[0]} if when else {}))
    return json.dumps({"play": {"run": "t-1", "schedule": seed, "steps": steps}}).encode()


class Played:
    """The replies of one case."""

    def __init__(
        self,
        platform: Platform,
        items: Iterable[Item],
        *,
        seed: int = 1,
        mutant: str = "",
        driver: str = "",
    ) -> None:
        batches = SimulatedHost(platform, mutant, driver).play(play_line(items, seed))
        self.raw = b"\n".join(batches)
        self.replies = [json.loads(line) for line in self.raw.split(b"\n")]

    def answer(self, step: int) -> dict[str, Any]:
        """What became of a step: its `got` with `is` added."""
        found = [r for r in self.replies if r.get("step") == step and r["is"] in ("ok", "fail", "info")]
        assert found, f"step {step} was not answered"
        return {"is": found[-1]["is"], **found[-1]["got"]}

    def values(self, step: int) -> list[int]:
        return [run[0] for run in self.answer(step)["runs"]]

    def lines(self, source: str) -> list[str]:
        return [reply["raw"] for reply in self.replies if reply["is"] == source]

    def says(self, text: str) -> int:
        """How many log and trace lines contain `text`."""
        return sum(text in line for line in self.lines("log") + self.lines("trace"))

    def order(self, *texts: str) -> bool:
        """Whether lines with these texts appear in this order."""
        lines = iter(reply.get("raw", "") for reply in self.replies)
        return all(any(text in line for line in lines) for text in texts)
