"""The lives of contexts: whose descriptors and mappings they are, and what the kernel traced of them.

Two views are joined. An application opens a context, attaches it, maps it, shares it by fork, and lets go
of it when its last descriptor and mapping are gone. The kernel knows a context by its AFU and process
element, whose number is used again: a Tenancy is the time from one cxl_attach of a process element to the
next. A cxl_attach belongs to the START_WORK during which it was traced and whose work element descriptor it
shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from harness.oracles._memo import once
from harness.vocab.history import FOREVER_US, History, Kind, Operation, Record

FLAG_TID = 8
FLAG_ERR_FF = 4
START_WORK = "START_WORK"


@dataclass(eq=False, slots=True)
class Tenancy:
    """One use of a process element, from its cxl_attach on: the trace records about it, by event."""

    afu: str
    process_element: int
    attach: Record
    context: Context | None = None
    detaches: list[Record] = field(default_factory=list)
    irq_releases: list[Record] = field(default_factory=list)
    afu_irqs: list[Record] = field(default_factory=list)
    psl_irqs: list[Record] = field(default_factory=list)
    misses: list[Record] = field(default_factory=list)
    acks: list[Record] = field(default_factory=list)
    garbage: list[Record] = field(default_factory=list)

    @property
    def masked(self) -> Record | None:
        """The record that says that no interrupt may come any more."""
        found = self.irq_releases or self.detaches
        return found[0] if found else None


@dataclass(eq=False, slots=True)
class Context:
    """One open of an AFU's device node, and all that was done with it by whoever shared it."""

    afu: str
    kind: str
    fd: str
    owner: str
    opened: Operation
    attach: Operation | None = None  # the START_WORK that attached it, or may have
    tenancy: Tenancy | None = None
    last_released: Operation | None = None
    release_began_us: int = FOREVER_US
    release_ended_us: int = FOREVER_US
    holders: set[tuple[str, str]] = field(default_factory=set)
    calls: list[Operation] = field(default_factory=list)  # ioctl, mmap, read, poll, close on its descriptors
    loads: list[Operation] = field(default_factory=list)
    stores: list[Operation] = field(default_factory=list)

    @property
    def name(self) -> str:
        """How a message calls it."""
        return f"{self.owner}'s {self.fd} on {self.afu}"

    @property
    def is_attached(self) -> bool:
        """Whether START_WORK surely succeeded."""
        return self.attach is not None and self.attach.is_ok

    @property
    def wed(self) -> int:
        """The work element descriptor that it was attached with."""
        return int(self.attach.args["fields"].get("wed", 0)) if self.attach else 0

    @property
    def is_err_ff(self) -> bool:
        """Whether loads of a purged context give all Fs and not SIGBUS."""
        return bool(self.attach and self.attach.args["fields"].get("flags", 0) & FLAG_ERR_FF)

    @property
    def detach(self) -> Record | None:
        """The first cxl_detach of it, by a purge or by its last close."""
        return self.tenancy.detaches[0] if self.tenancy and self.tenancy.detaches else None

    @property
    def purge(self) -> Record | None:
        """The cxl_detach of it, unless letting go of the context had begun: then that may be the reason."""
        detach = self.detach
        return detach if detach and detach.time_us < self.release_began_us else None


class Contexts(NamedTuple):
    """All contexts in order of their opens, all tenancies in order of their attach, and all reclaim_ctx."""

    contexts: Sequence[Context]
    tenancies: Sequence[Tenancy]
    reclaims: Sequence[Record]

    @property
    def attached(self) -> list[Context]:
        """The contexts that surely were attached."""
        return [context for context in self.contexts if context.is_attached]


@once
def contexts(history: History) -> Contexts:
    """The contexts of a History."""
    tenancies, reclaims = _tenancies(history)
    reader = _Reader(history)
    for operation in history.operations:
        step = _STEPS.get(operation.verb)
        if step is not None:
            step(reader, operation)
    reader.release_leftovers(history)
    _link(reader.contexts, tenancies)
    return Contexts(reader.contexts, tenancies, reclaims)


_LISTS = {
    "cxl_detach": "detaches",
    "afu_release_irqs": "irq_releases",
    "cxl_afu_irq": "afu_irqs",
    "cxl_psl_irq": "psl_irqs",
    "cxl_psl9_irq": "psl_irqs",
    "cxl_pte_miss": "misses",
    "cxl_psl_irq_ack": "acks",
    "garbage_add": "garbage",
}


def _tenancies(history: History) -> tuple[list[Tenancy], list[Record]]:
    found: list[Tenancy] = []
    # A host whose structs are laid out otherwise cannot say whose memory it was.
    reclaims = [record for record in history.trace("reclaim_ctx") if record.data.get("afu")]
    current: dict[tuple[str, int], Tenancy] = {}
    traces = history.traces
    if "cxl_attach" not in traces:
        return found, reclaims
    for record in history.trace("cxl_attach", *_LISTS):
        data = record.data
        key = (data.get("afu", ""), data.get("pe", -1))
        if record.name == "cxl_attach":
            current[key] = tenancy = Tenancy(*key, record)
            found.append(tenancy)
        elif key in current:
            getattr(current[key], _LISTS[record.name]).append(record)
    return found, reclaims


def _link(found: Sequence[Context], tenancies: Sequence[Tenancy]) -> None:
    """Give each attached context the tenancy that its START_WORK began: the last one, if tried again."""
    by_wed: dict[tuple[str, object], list[Tenancy]] = {}
    for tenancy in tenancies:
        by_wed.setdefault((tenancy.afu, tenancy.attach.data.get("wed")), []).append(tenancy)
    for context in found:
        if context.attach is None:
            continue
        began_us, ended_us = context.attach.began_us, context.attach.ended_us
        for tenancy in by_wed.get((context.afu, context.wed), ()):
            if tenancy.context is None and began_us <= tenancy.attach.time_us <= ended_us:
                context.tenancy = tenancy
        if context.tenancy is not None:
            context.tenancy.context = context


class _Reader:
    """Follows the descriptors and mappings of all actors, operation by operation.

    An actor does one thing at a time, so what an operation leads to can be noted when it is invoked. What may
    have happened is taken as having happened.
    """

    def __init__(self, history: History) -> None:
        self.contexts: list[Context] = []
        self._table: dict[tuple[str, str], Context] = {}
        self._nodes = {afu.node(kind): (afu.name, kind) for afu in history.topology.afus for kind in "dms"}

    def open(self, operation: Operation) -> None:
        node = self._nodes.get(operation.args["path"])
        if node and operation.is_ok:
            actor, fd = operation.invoke.actor, operation.args["fd"]
            context = Context(*node, fd, actor, operation)
            self.contexts.append(context)
            self._hold(context, actor, fd)

    def ioctl(self, operation: Operation) -> None:
        context = self._call(operation)
        if context is None or operation.args["name"] != START_WORK or context.is_attached:
            return
        is_copy_failed = operation.errno == "EFAULT" and operation.args["fields"].get("flags", 0) & FLAG_TID
        if _may_have_happened(operation) or is_copy_failed:
            context.attach = operation

    def call(self, operation: Operation) -> None:
        self._call(operation)

    def close(self, operation: Operation) -> None:
        if self._call(operation) and _may_have_happened(operation):
            self._let_go(operation.invoke.actor, operation.args["fd"], operation)

    def mmap(self, operation: Operation) -> None:
        actor, name = operation.invoke.actor, f"map {operation.args['map']}"
        if (actor, name) in self._table:  # the name is taken: the host refuses before it asks the driver
            return
        context = self._call(operation)
        if context and _may_have_happened(operation):
            self._hold(context, actor, name)

    def munmap(self, operation: Operation) -> None:
        if _may_have_happened(operation):
            self._let_go(operation.invoke.actor, f"map {operation.args['map']}", operation)

    def load(self, operation: Operation) -> None:
        context = self._mapped(operation)
        if context:
            context.loads.append(operation)

    def store(self, operation: Operation) -> None:
        context = self._mapped(operation)
        if context:
            context.stores.append(operation)

    def fork(self, operation: Operation) -> None:
        parent, child = operation.invoke.actor, operation.args["child"]
        if _may_have_happened(operation):
            for (actor, name), context in list(self._table.items()):
                if actor == parent:
                    self._hold(context, child, name)

    def exit(self, operation: Operation) -> None:
        self._die(operation.invoke.actor, operation)

    def kill(self, operation: Operation) -> None:
        if _may_have_happened(operation):
            self._die(operation.args["actor"], operation)

    def release_leftovers(self, history: History) -> None:
        """Note that who was never seen to let go may have: an actor that is lost, and all at the end."""
        held = [context for context in self.contexts if context.holders]
        if not held:
            return
        lost = {
            record.actor
            for record in history.records
            if record.kind is Kind.INFO and record.data.get("reason") == "actor-gone"
        }
        last_us: dict[str, int] = {}
        for operation in history.operations:
            if operation.end is not None:
                last_us[operation.invoke.actor] = operation.ended_us
        over_us = max(last_us.values(), default=0)
        for context in held:
            actors = {actor for actor, _ in context.holders}
            times = [last_us.get(a, 0) for a in actors] if actors <= lost else [over_us]
            context.release_began_us = max(times)

    def _call(self, operation: Operation) -> Context | None:
        context = self._table.get((operation.invoke.actor, operation.args["fd"]))
        if context:
            context.calls.append(operation)
        return context

    def _mapped(self, operation: Operation) -> Context | None:
        return self._table.get((operation.invoke.actor, f"map {operation.args['map']}"))

    def _hold(self, context: Context, actor: str, name: str) -> None:
        self._table[actor, name] = context
        context.holders.add((actor, name))

    def _let_go(self, actor: str, name: str, operation: Operation) -> None:
        context = self._table.pop((actor, name), None)
        if context is None:
            return
        context.holders.discard((actor, name))
        if not context.holders:
            context.last_released = operation
            context.release_began_us = operation.began_us
            context.release_ended_us = operation.ended_us

    def _die(self, actor: str, operation: Operation) -> None:
        for held in [name for holder, name in self._table if holder == actor]:
            self._let_go(actor, held, operation)


def _may_have_happened(operation: Operation) -> bool:
    return operation.end is None or operation.end.kind is not Kind.FAIL


_STEPS = {
    "open": _Reader.open,
    "ioctl": _Reader.ioctl,
    "read": _Reader.call,
    "poll": _Reader.call,
    "close": _Reader.close,
    "mmap": _Reader.mmap,
    "munmap": _Reader.munmap,
    "load": _Reader.load,
    "store": _Reader.store,
    "fork": _Reader.fork,
    "exit": _Reader.exit,
    "kill": _Reader.kill,
}
