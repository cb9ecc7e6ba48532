"""What the generator believes about the host while it draws; deliberately poorer than the simulator."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import Enum


class ContextBelief(Enum):
    """How far the generator took a context. Errors are not followed: a purged context is still drawn upon."""

    OPENED = "opened"
    STARTED = "started"


@dataclass(frozen=True, slots=True)
class ContextSketch:
    """One file descriptor on an AFU: who owns it, which node, how far it got, and what it mapped."""

    fd: str
    actor: str
    afu: str
    kind: str
    belief: ContextBelief = ContextBelief.OPENED
    is_mapped: bool = False
    is_err_ff: bool = False
    irqs: int = 0

    @property
    def map_name(self) -> str:
        """Name of the context's only mapping."""
        return f"{self.fd}.mmio"


@dataclass(frozen=True, slots=True)
class Sketch:
    """Contexts by fd, living actors, errors so far, and the numbers to use next.

    `settings` keeps what was last written to a policy file, by a name that the event chooses.
    """

    contexts: tuple[ContextSketch, ...] = ()
    actors: tuple[str, ...] = ("a0", "a1", "a2")
    errors: int = 0
    next_fd: int = 0
    next_actor: int = 3
    next_marker: int = 1
    settings: tuple[tuple[str, str], ...] = field(default=())

    def without_fd(self, fd: str) -> Sketch:
        """This sketch after the close of `fd`."""
        return replace(self, contexts=tuple(c for c in self.contexts if c.fd != fd))

    def without_actor(self, actor: str) -> Sketch:
        """This sketch after the death of `actor`, which closes all that it owned."""
        return replace(
            self,
            actors=tuple(a for a in self.actors if a != actor),
            contexts=tuple(c for c in self.contexts if c.actor != actor),
        )

    def with_setting(self, name: str, value: str) -> Sketch:
        """This sketch after `value` was written to the policy called `name`."""
        kept = tuple(item for item in self.settings if item[0] != name)
        return replace(self, settings=(*kept, (name, value)))

    def without(self, prefix: str) -> Sketch:
        """This sketch after nothing holds any more that was noted under names that begin with `prefix`."""
        return replace(self, settings=tuple(item for item in self.settings if not item[0].startswith(prefix)))

    def setting(self, name: str, default: str = "") -> str:
        """What was last written to the policy called `name`."""
        return dict(self.settings).get(name, default)
