"""The lives of contexts in a history: opened, attached, on the garbage list, purged, freed.

A context is known to user space by its file descriptor, and to the kernel by its AFU and process element.
The two are brought together by the trace of the attach that lies within the START_WORK of the descriptor, or
by the answer to GET_PROCESS_ELEMENT. What the kernel alone speaks of gets a life of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, NamedTuple

from harness.vocab.history import History, Kind, Record
from harness.vocab.request import Verb

_NODE = "/dev/cxl/"


class State(Enum):
    """How far a context is."""

    OPENED = "opened"
    ATTACHED = "attached"
    GARBAGE = "garbage"
    PURGED = "purged"
    GONE = "gone"


class Span(NamedTuple):
    """A stretch of a life in one state, between two records; `last` is None when it never ended."""

    state: State
    first: int
    last: int | None


@dataclass
class Life:
    """One context: its descriptor (or empty), its AFU, its process element once known, and its states.

    `step` is the index of the intent that opened it, -1 when only the kernel spoke of it.
    """

    fd: str
    afu: str
    step: int = -1
    process_element: int | None = None
    changes: list[tuple[int, State]] = field(default_factory=list)

    @property
    def state(self) -> State:
        """The last known state."""
        return self.changes[-1][1]

    @property
    def title(self) -> str:
        """``c0 · afu0.0 · element 1``."""
        process_element = "" if self.process_element is None else f"element {self.process_element}"
        return " · ".join(word for word in (self.fd, self.afu, process_element) if word)

    def become(self, state: State, seq: int) -> None:
        """Note that the record `seq` shows the context in `state`."""
        if not self.changes or self.state is not state:
            self.changes.append((seq, state))

    def spans(self) -> Iterator[Span]:
        """The stretches of this life, without the time after its end."""
        ends = [seq for seq, _ in self.changes[1:]]
        for (first, state), last in zip(self.changes, [*ends, None], strict=True):
            if state is not State.GONE:
                yield Span(state, first, last)


_BY_TRACE = {
    "cxl_attach": State.ATTACHED,
    "garbage_add": State.GARBAGE,
    "cxl_detach": State.PURGED,
    "reclaim_ctx": State.GONE,
}


def lives(history: History) -> tuple[Life, ...]:
    """The lives of all contexts of `history`, in the order in which they were first heard of."""
    teller = _Teller()
    for record in history.records:
        teller.tell(record)
    return tuple(teller.found)


class _Teller:
    """Reads records in order."""

    def __init__(self) -> None:
        self.found: list[Life] = []
        self._by_fd: dict[str, Life] = {}
        self._by_process_element: dict[tuple[str, int], Life] = {}
        self._invoked: dict[tuple[int, int], Mapping[str, Any]] = {}
        self._starting: list[Life] = []  # with a START_WORK under way

    def tell(self, record: Record) -> None:
        """Follow what `record` says of a context, if anything."""
        if record.kind is Kind.TRACE:
            self._trace(record)
        elif record.kind is Kind.INVOKE and record.name in _OPERATIONS:
            self._invoked[record.step, record.part] = record.data
            if record.data.get("name") == "START_WORK" and (life := self._of_fd(record.data)):
                self._starting.append(life)
        elif record.kind in {Kind.OK, Kind.FAIL, Kind.INFO} and record.name in _OPERATIONS:
            self._answer(record, self._invoked.pop((record.step, record.part), {}))

    def _answer(self, record: Record, args: Mapping[str, Any]) -> None:
        life = self._of_fd(args)
        what = args.get("name")
        if what == "START_WORK" and life in self._starting:
            self._starting.remove(life)
        if record.kind is not Kind.OK:
            return
        path = args.get("path")
        if record.name == Verb.OPEN.value and isinstance(path, str) and path.startswith(_NODE + "afu"):
            self._by_fd[str(args.get("fd"))] = self._born(
                str(args.get("fd")), path.removeprefix(_NODE)[:-1], State.OPENED, record
            )
        elif life and record.name == Verb.CLOSE.value:
            life.become(State.GONE, record.seq)
        elif life and what == "START_WORK" and life.state is State.OPENED:
            life.become(State.ATTACHED, record.seq)
        elif life and what == "GET_PROCESS_ELEMENT":
            self._name(life, record.data.get("process_element"))

    def _of_fd(self, args: Mapping[str, Any]) -> Life | None:
        return self._by_fd.get(str(args.get("fd")))

    def _trace(self, record: Record) -> None:
        state, afu, number = _BY_TRACE.get(record.name), record.data.get("afu"), record.data.get("pe")
        if state is None or not isinstance(afu, str) or not isinstance(number, int):
            return
        life = self._by_process_element.get((afu, number))
        if state is State.ATTACHED and (life is None or life.state in {State.PURGED, State.GONE}):
            life = next((one for one in self._starting if one.afu == afu), None)
            life = life or self._born("", afu, State.ATTACHED, record)
            self._name(life, number)
        if life:
            life.become(state, record.seq)

    def _name(self, life: Life, process_element: Any) -> None:
        if isinstance(process_element, int):
            life.process_element = process_element
            self._by_process_element[life.afu, process_element] = life

    def _born(self, fd: str, afu: str, state: State, record: Record) -> Life:
        life = Life(fd, afu, record.step)
        life.become(state, record.seq)
        self.found.append(life)
        return life


_OPERATIONS = frozenset({Verb.OPEN.value, Verb.IOCTL.value, Verb.CLOSE.value})
