"""Snapshot: what the host holds now, to be compared with what it held before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, Self

from harness.events._requests import pci_path
from harness.vocab.event import PROBE, Chooser, Event, Role, Target
from harness.vocab.request import Request, Verb
from harness.vocab.sketch import Sketch
from harness.vocab.topology import Platform, Topology

_PATHS: tuple[str, ...] = ("/proc/interrupts", "/proc/slabinfo", "/sys/module/cxl/refcnt")
_TRACES = "allocation-traces"
_CACHES = ("192", "1k", "2k", "32", "512")
"""The sizes of what the driver allocates: AFUs and adapters, interrupts' names, contexts.

Contexts are read last, because they are freed some 10 ms after their last close.
"""
_BY_CXL = "[cxl] "
"""In the line of a call site; lines of call traces below it end with the module's name."""


@dataclass(frozen=True)
class Snapshot(Event):
    """Read interrupts, slabs, the driver's use count and, on bare metal, the state of each EEH PE.

    Also, where the kernel tells, what lives of what the driver allocated with kmalloc, by call site.
    """

    role: ClassVar[Role] = Role.CLOSING

    @classmethod
    def enabled(cls, sketch: Sketch, topology: Topology) -> Sequence[Target]:
        """At any time."""
        return ((PROBE, "host"),)

    @classmethod
    def draw(cls, target: Target, sketch: Sketch, topology: Topology, choose: Chooser) -> Self:
        """Nothing is left to choose."""
        return cls()

    def lower(self, topology: Topology) -> tuple[Request, ...]:
        """One read of each file, whatever became of the one before."""
        return _reads(topology)


@lru_cache(maxsize=16)
def _reads(topology: Topology) -> tuple[Request, ...]:
    paths = _PATHS
    if topology.platform is Platform.POWERNV:
        states = (pci_path(card, "eeh_pe_state") for card in topology.cards)
        paths = (*_PATHS, *states)
    reads = [Request(Verb.READ_FILE, {"path": path}, is_always=True) for path in paths]
    if _TRACES in topology.features:
        traces = (f"/sys/kernel/debug/slab/kmalloc-{cache}/alloc_traces" for cache in _CACHES)
        reads += (Request(Verb.READ_FILE, {"path": path, "only": _BY_CXL}, is_always=True) for path in traces)
    return tuple(reads)
