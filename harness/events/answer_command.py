"""AnswerCommand: the PSL does not do the next process element commands of an AFU: they hang, or they fail."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Self

from harness.events._requests import between, inject, one_of
from harness.vocab.event import NEMESIS, Chooser, Event, Role, Target
from harness.vocab.request import Request
from harness.vocab.sketch import Sketch
from harness.vocab.topology import Mode, Platform, Topology

_COMMANDS = ("add", "terminate", "remove")  # of an attach; of a detach, one after the other
_ANSWERS = ("fail", "hang")


@dataclass(frozen=True)
class AnswerCommand(Event):
    """Let the next `times` commands `command` for process elements of `afu` fail, or hang until a time-out.

    Only an AFU in AFU-directed mode is given such commands. A reset forgets what has not come true.
    """

    platforms: ClassVar[frozenset[Platform]] = frozenset({Platform.POWERNV})
    role: ClassVar[Role] = Role.CONTROL
    needs: ClassVar[frozenset[str]] = frozenset({"command-answers"})
    weight: ClassVar[int] = 3

    afu: str
    command: str = field(metadata=one_of(*_COMMANDS))
    answer: str = field(metadata=one_of(*_ANSWERS))
    times: int = field(metadata=between(1, 3))

    @classmethod
    def enabled(cls, sketch: Sketch, topology: Topology) -> Sequence[Target]:
        """Any AFU that can be AFU-directed."""
        return [(NEMESIS, afu.name) for afu in topology.afus if Mode.DIRECTED in afu.modes]

    @classmethod
    def draw(cls, target: Target, sketch: Sketch, topology: Topology, choose: Chooser) -> Self:
        """Mostly once: a command that hangs takes five seconds."""
        return cls(target[1], choose.pick(_COMMANDS), choose.pick(_ANSWERS), choose.weighted((1, 2), (4, 1)))

    def lower(self, topology: Topology) -> tuple[Request, ...]:
        """One injection."""
        details = {"command": self.command, "answer": self.answer, "times": self.times}
        return (inject("answer_command", afu=self.afu, **details),)

    def disturbs(self, topology: Topology) -> frozenset[str]:
        """The AFU: whoever attaches or detaches there."""
        return frozenset({self.afu})
