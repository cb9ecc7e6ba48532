"""Coverage from a History: which events were performed in which phase of recovery on contexts in which state.

The rules:
1. An event is covered by its first request that was begun. What ends a case (waits, probes) does not count.
2. The phase is the last that was marked for the AFU or its card, whichever the event names; for an event that
   names neither, the last of all. After an error has acted it is `undetected` until the first mark.
3. A context is `closed` from a quiesce of its AFU until its descriptor is closed.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from harness.vocab.coverage import IDLE, UNDETECTED, ContextState, Covered
from harness.vocab.event import Role
from harness.vocab.history import History, Intent, Kind, Record
from harness.vocab.phase import Phase
from harness.vocab.topology import Topology


def covered(history: History) -> frozenset[Covered]:
    """Everything that the case covered."""
    return frozenset(_Reader(history).found())


_NAMES = {phase: phase.value for phase in Phase}


class _Reader:
    """Goes through the records once."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._reach = _reach(history.topology)
        self._phases: dict[str, str] = {}  # by AFU
        self._last = IDLE
        self._contexts: dict[str, tuple[str, ContextState]] = {}  # AFU and state, by fd
        self._begun: set[int] = set()

    def found(self) -> Iterator[Covered]:
        """What each first request covered."""
        intents = self._history.intents
        for record in self._history.records:
            kind = record.kind
            if record.phase is not None:
                self._mark(record.phase, record.subject)
            elif kind is Kind.INVOKE:
                intent = intents[record.step]
                if record.step not in self._begun and intent.role is not Role.CLOSING:
                    self._begun.add(record.step)
                    yield self._covered(intent)
                if record.name == "close":
                    self._contexts.pop(str(record.data.get("fd", "")), None)
            elif kind is Kind.OK:
                self._answered(record, intents[record.step])

    def _mark(self, phase: Phase, subject: str) -> None:
        self._last = name = _NAMES[phase]
        afus = self._reach.get(subject, ())
        for afu in afus:
            self._phases[afu] = name
        if phase is Phase.QUIESCE:
            for fd, (afu, _) in self._contexts.items():
                if afu in afus:
                    self._contexts[fd] = (afu, ContextState.CLOSED)

    def _answered(self, record: Record, intent: Intent) -> None:
        if intent.role is Role.ERROR:
            self._last = UNDETECTED
            for afu in intent.disturbs:
                self._phases[afu] = UNDETECTED
        elif record.name == "open" and intent.event == "Open":
            self._contexts[intent.details["fd"]] = (intent.details["afu"], ContextState.OPENED)
        elif record.name == "ioctl" and intent.event == "Attach" and intent.details["fd"] in self._contexts:
            fd = intent.details["fd"]
            self._contexts[fd] = (self._contexts[fd][0], ContextState.STARTED)

    def _covered(self, intent: Intent) -> Covered:
        details = intent.details
        fd = details.get("fd") or str(details.get("map", "")).partition(".")[0]
        afu, state = self._contexts.get(fd, ("", ContextState.NONE))
        subject = afu or details.get("afu") or details.get("card") or details.get("device") or ""
        afus = self._reach.get(subject, ())
        phase = self._phases.get(afus[0], IDLE) if afus else self._last
        return Covered(intent.event, phase, state.value)


@lru_cache(maxsize=16)
def _reach(topology: Topology) -> dict[str, tuple[str, ...]]:
    """The AFUs that each name of an AFU or a card stands for."""
    reach: dict[str, tuple[str, ...]] = {afu.name: (afu.name,) for afu in topology.afus}
    reach |= {device.name: (device.name,) for device in topology.devices}
    return reach | {card.name: tuple(afu.name for afu in card.afus) for card in topology.cards}
