"""How a closing probe takes a context through all that a context can do, once it lets itself be opened."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from harness.events._beliefs import map_of
from harness.events._requests import START_WORK_ERR_FF, start_work, store_command
from harness.events.map import LENGTH_BYTES
from harness.vocab.registers import STORE_LOG_SLOTS, Command, Register
from harness.vocab.request import Request, Verb
from harness.vocab.topology import Afu

_RETRY: dict[str, Any] = {"retry_ms": 60_000, "retry_on": ["EIO", "ENOENT", "ENODEV", "EBUSY", "ENXIO"]}
_READ_TIMEOUT_MS = 1000
_WED = 0x9B0B << 48


@lru_cache(maxsize=256)
def begin(afu: Afu, kind: str, fd: str) -> tuple[Request, ...]:
    """Open and attach, again and again for a minute; map, load, raise an interrupt and read it.

    One kind of them also reads the log of stores, which outlives resets.
    """
    # The last bytes of the node's name make the WED unlike any other's, and readable in a dump.
    wed = _WED | int.from_bytes(f"{afu.name}{kind}".encode()[-6:], "big")
    return (
        Request(Verb.OPEN, {"fd": fd, "path": afu.node(kind), **_RETRY}),
        start_work(fd, {"flags": START_WORK_ERR_FF, "wed": wed}, **_RETRY),
        Request(Verb.MMAP, {"fd": fd, "map": map_of(fd), "length": LENGTH_BYTES}),
        *(_use(afu, kind, fd) if kind in afu.kinds_with_registers else ()),
    )


def _use(afu: Afu, kind: str, fd: str) -> tuple[Request, ...]:
    mapping = map_of(fd)
    interrupt = (
        store_command(mapping, Command.RAISE_INTERRUPT, 1),
        Request(Verb.READ, {"fd": fd, "timeout_ms": _READ_TIMEOUT_MS}),
    )
    log = _load(mapping, Register.STORE_LOG, STORE_LOG_SLOTS)
    return (
        _load(mapping, Register.WED),
        *(interrupt if afu.irqs_min else ()),
        *((log,) if kind == afu.kinds_with_registers[0] else ()),
        _load(mapping, Register.SCRATCH),
    )


def _load(mapping: str, register: Register, count: int = 1) -> Request:
    many = {"count": count, "stride": 8} if count > 1 else {}
    return Request(Verb.LOAD, {"map": mapping, "offset": int(register), "width": 8, **many})
