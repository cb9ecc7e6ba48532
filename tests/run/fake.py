"""A tiny stand-in for a simulated host: it answers every part, and misbehaves in a way that is asked for."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator

from harness.vocab.topology import Platform

_FILES = {
    "/sys/class/cxl/card0/psl_revision": "8\n",
    "/sys/class/cxl/afu0.0/mode": "afu_directed\n",
    "/sys/class/cxl/afu0.0/modes_supported": "afu_directed\n",
    "/sys/class/cxl/afu0.0/irqs_min": "1\n",
    "/sys/class/cxl/afu0.0/irqs_max": "8\n",
    "/sys/class/cxl/afu0.0/mmio_size": "4096\n",
}

GOOD_VALUE = 7
BAD_VALUE = 0xBAD


class FakeSimulated:
    """Answers every part. A load gives GOOD_VALUE, but BAD_VALUE after a store on a ``bad`` host."""

    def __init__(self, platform: Platform = Platform.POWERVM, mutant: str = "") -> None:
        self.platform = platform
        self.mutant = mutant
        self.plays: list[dict] = []

    def hello(self) -> bytes:
        facts = {"afu0.0": {"contexts_max": 4, "unit": 16, "test_registers": True}}
        hello = {
            "protocol": 1,
            "uname": {"nodename": "fake", "release": "6.1.0", "machine": "ppc64le"},
            "platform": self.platform.value,
            "features": ["deterministic", "virtual-time"],
            "files": dict(_FILES),
            "facts": facts,
        }
        if self.platform is Platform.POWERNV:
            hello["files"]["/sys/class/cxl/card0/device"] = "../../../0000:01:00.0"
            hello["files"]["/sys/bus/pci/devices/0000:01:00.0/eeh_pe_config_addr"] = "0x1\n"
        return json.dumps({"hello": hello}).encode()

    def play(self, line: bytes) -> Iterator[bytes]:
        play = json.loads(line)["play"]
        self.plays.append(play)
        time_us = 0
        is_spoilt = False
        for part in play["steps"]:
            time_us += 10
            common = {"who": part["who"], "step": part["step"], "part": part["part"], "do": part["do"]}
            yield _line({"is": "invoke", "t": time_us, **common, "args": part["args"]})
            yield from _TROUBLES.get(self.mutant, _no_trouble)(len(self.plays), part)
            is_spoilt |= part["do"] == "store"
            value = BAD_VALUE if self.mutant == "bad" and is_spoilt else GOOD_VALUE
            yield _line({"t": time_us + 5, **common, **_answer(part, value, time_us)})
        if self.mutant == "refuses":
            yield _line({"is": "end", "t": time_us, "who": "harness", "got": {"error": "I would rather not"}})
            return
        yield _line({"is": "end", "t": time_us + 10, "who": "harness", "got": {}})

    def shell(self, command: str) -> tuple[bytes, bytes, int]:
        if command == "uname":
            return b"Linux \xff\n", b"", 0
        return b"", b"no such command\n", 127


def _answer(part: dict, value: int, time_us: int) -> dict:
    match part["do"]:
        case "load":
            return {"is": "ok", "got": {"runs": [[value, 1, time_us, time_us]]}}
        case "ioctl":
            return {"is": "ok", "got": {"data": part["args"]["data"]}}
        case "read":
            return {"is": "fail", "got": {"errno": "EAGAIN"}}
    return {"is": "ok", "got": {}}


def _line(value: dict) -> bytes:
    return json.dumps(value).encode()


def _no_trouble(_plays: int, _part: dict) -> Iterator[bytes]:
    return iter(())


def _crash(plays: int, _part: dict) -> Iterator[bytes]:
    if plays == 3:
        raise RuntimeError("the simulator has a defect")
    return iter(())


def _die(plays: int, _part: dict) -> Iterator[bytes]:
    if plays == 3:
        os._exit(9)
    return iter(())


def _garbage(plays: int, _part: dict) -> Iterator[bytes]:
    if plays == 3:
        yield b"\x1b[31mlogin: \xff\xfe"


def _flood(_plays: int, _part: dict) -> Iterator[bytes]:
    while True:
        yield _line({"is": "log", "t": 1, "raw": "6,1,1,-;" + "x" * 900})


def _long_line(_plays: int, _part: dict) -> Iterator[bytes]:
    yield b"y" * (100 << 20)


_TROUBLES = {
    "crash": _crash,
    "die": _die,
    "garbage": _garbage,
    "flood": _flood,
    "long-line": _long_line,
}
