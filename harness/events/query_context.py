"""QueryContext: an application asks the driver which process element or which AFU it has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Self

from harness.events._requests import one_of
from harness.events._targets import every_fd
from harness.vocab.event import Chooser, Event, Target
from harness.vocab.request import Request, Verb
from harness.vocab.sketch import Sketch
from harness.vocab.topology import Topology

_QUERIES = ("GET_PROCESS_ELEMENT", "GET_AFU_ID")


@dataclass(frozen=True)
class QueryContext(Event):
    """Ask for `what` by an ioctl on `fd`."""

    weight: ClassVar[int] = 8

    fd: str
    what: str = field(metadata=one_of(*_QUERIES))

    @classmethod
    def enabled(cls, sketch: Sketch, topology: Topology) -> Sequence[Target]:
        """Any open file descriptor."""
        return every_fd(sketch)

    @classmethod
    def draw(cls, target: Target, sketch: Sketch, topology: Topology, choose: Chooser) -> Self:
        """Either query."""
        return cls(target[1], choose.pick(_QUERIES))

    def lower(self, topology: Topology) -> tuple[Request, ...]:
        """One ioctl."""
        return (Request(Verb.IOCTL, {"fd": self.fd, "name": self.what, "fields": {}}),)
