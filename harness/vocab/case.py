"""Intent: a Case is a header and a tuple of Steps, and its id is the hash of its canonical text."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from hashlib import sha256

from harness.vocab.event import Event
from harness.vocab.schedule import ANY, Schedule
from harness.vocab.topology import Platform


@dataclass(frozen=True, slots=True)
class When:
    """When a step is released: now, `after_ms` from its turn, or once `phase` is seen after its turn.

    With a phase, `after_ms` counts from the phase, `nth` (1-based) skips earlier sightings, and a step whose
    phase is not seen within `within_ms` is not performed: its record says so.
    """

    after_ms: int = 0
    phase: str = ""
    nth: int = 1
    within_ms: int = 20_000


NOW = When()
_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode


@dataclass(frozen=True, slots=True)
class Step:
    """An Event given to an actor, with its trigger."""

    actor: str
    event: Event
    when: When = NOW


@dataclass(frozen=True)
class Case:
    """What we mean to do. `origin` says where it came from (a seed, a plan, a minimiser), for people only.

    `platform` and `needs` (features) say where it can be performed; `cards` is how many cards it needs.
    `schedule` decides who goes next on a deterministic host.
    """

    steps: tuple[Step, ...]
    platform: Platform
    schedule: Schedule = ANY
    needs: frozenset[str] = frozenset()
    cards: int = 1
    origin: str = ""

    @cached_property
    def id(self) -> str:
        """Twelve hexadecimal digits: the hash of all that decides what is done (so not of `origin`)."""
        head = json.dumps([self.platform.value, self.schedule.to_json()])
        text = "\n".join([head, *[_essence(step) for step in self.steps]])
        return sha256(text.encode()).hexdigest()[:12]

    def with_steps(self, steps: tuple[Step, ...]) -> Case:
        """The same header over other steps."""
        return replace(self, steps=steps)


@lru_cache(maxsize=4096)
def _essence(step: Step) -> str:
    """What of a step decides what is done; remembered, because many cases share many steps."""
    when = step.when
    trigger = [when.after_ms, when.phase, when.nth, when.within_ms]
    essence = [step.actor, type(step.event).__name__, step.event.details, trigger]
    return _encode(essence)
