"""ProbeAvailability: one context of an AFU is taken through all that a context can do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, ClassVar, Self

from harness.events._beliefs import map_of
from harness.events._requests import START_WORK_ERR_FF, one_of, start_work, store_command
from harness.events.map import LENGTH_BYTES
from harness.vocab.event import PROBE, Chooser, Event, Role, Target
from harness.vocab.registers import STORE_LOG_SLOTS, Command, Register
from harness.vocab.request import Request, Verb
from harness.vocab.sketch import Sketch
from harness.vocab.topology import Afu, Topology

_RETRY: dict[str, Any] = {"retry_ms": 60_000, "retry_on": ["EIO", "ENOENT", "ENODEV", "EBUSY", "ENXIO"]}
_READ_TIMEOUT_MS = 1000
_WED = 0x9B0B << 48


@dataclass(frozen=True)
class ProbeAvailability(Event):
    """Open the node of `kind` of `afu` as `fd`, attach, map, load, raise and read an interrupt, undo it all.

    Opening and attaching are tried again for a minute, because a recovery may still be going on. A master or
    a dedicated context also reads the log of stores, which outlives resets.
    """

    role: ClassVar[Role] = Role.CLOSING

    afu: str
    kind: str = field(metadata=one_of("m", "s", "d"))
    fd: str

    @classmethod
    def enabled(cls, sketch: Sketch, topology: Topology) -> Sequence[Target]:
        """Every AFU."""
        return [(PROBE, afu.name) for afu in topology.afus]

    @classmethod
    def draw(cls, target: Target, sketch: Sketch, topology: Topology, choose: Chooser) -> Self:
        """Any kind of context that the AFU has."""
        return cls.of(topology.afu(target[1]), choose.pick(topology.afu(target[1]).kinds))

    @classmethod
    def of(cls, afu: Afu, kind: str) -> Self:
        """The probe of `afu` by a context of `kind`, whose name does not collide with an application's."""
        return cls(afu.name, kind, f"probe.{afu.name}{kind}")

    def lower(self, topology: Topology) -> tuple[Request, ...]:
        """From open to close; the last two run whatever came before."""
        return _probe(topology.afu(self.afu), self.kind, self.fd)


@lru_cache(maxsize=256)
def _probe(afu: Afu, kind: str, fd: str) -> tuple[Request, ...]:
    mapping = map_of(fd)
    # The last bytes of the node's name make the WED unlike any other's, and readable in a dump.
    wed = _WED | int.from_bytes(f"{afu.name}{kind}".encode()[-6:], "big")
    return (
        Request(Verb.OPEN, {"fd": fd, "path": afu.node(kind), **_RETRY}),
        start_work(fd, {"flags": START_WORK_ERR_FF, "wed": wed}, **_RETRY),
        Request(Verb.MMAP, {"fd": fd, "map": mapping, "length": LENGTH_BYTES}),
        *(_use(afu, kind, fd) if afu.has_test_registers else ()),
        Request(Verb.MUNMAP, {"map": mapping}, is_always=True),
        Request(Verb.CLOSE, {"fd": fd}, is_always=True),
    )


def _use(afu: Afu, kind: str, fd: str) -> tuple[Request, ...]:
    mapping = map_of(fd)
    interrupt = (
        store_command(mapping, Command.RAISE_INTERRUPT, 1),
        Request(Verb.READ, {"fd": fd, "timeout_ms": _READ_TIMEOUT_MS}),
    )
    log = _load(mapping, Register.STORE_LOG, STORE_LOG_SLOTS)  # each load gives the next slot
    return (
        _load(mapping, Register.WED),
        *(interrupt if afu.irqs_min else ()),
        *((log,) if kind != "s" else ()),
        _load(mapping, Register.SCRATCH),
    )


def _load(mapping: str, register: Register, count: int = 1) -> Request:
    many = {"count": count} if count > 1 else {}
    return Request(Verb.LOAD, {"map": mapping, "offset": int(register), "width": 8, **many})
