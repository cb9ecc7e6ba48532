"""Cases drawn by a plain RuleBasedStateMachine, as a user of Hypothesis would write it, to compare ours with.

One rule an operation, bundles for contexts, each operation performed to its end before the next; errors,
resets and the passing of time are rules too. Its cases begin and end as ours do and are judged by the same
oracles, so that the difference is the search alone. They do not depend on what a host answers, and are drawn
once for all hosts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    rule,
    run_state_machine_as_test,
)

from harness.events.attach import Attach
from harness.events.await_ import ALL, Await
from harness.events.detach import Detach
from harness.events.load import Load
from harness.events.map import Map
from harness.events.open import Open
from harness.events.pause import Pause
from harness.events.poll_events import PollEvents
from harness.events.query_context import QueryContext
from harness.events.raise_afu_interrupt import RaiseAfuInterrupt
from harness.events.read_event import ReadEvent
from harness.events.store import Store
from harness.events.touch_memory import TouchMemory
from harness.gen.choosers import SeededChooser
from harness.gen.closing import BASELINE, closing
from harness.vocab.case import Case, Step
from harness.vocab.event import HARNESS, Event, Role
from harness.vocab.schedule import Schedule
from harness.vocab.sketch import Sketch
from harness.vocab.topology import Subject, Topology

STEPS = 25
_ACTORS = ("a0", "a1")
_SETTLE = Step(HARNESS, Await(ALL, 5_000, interrupt=False))


def machine_cases(
    number: int, count: int, topology: Topology, events: Sequence[type[Event]]
) -> tuple[Case, ...]:
    """`count` cases that the state machine draws with the seed `number`."""
    drawn: list[Case] = []
    disturbing = [
        event
        for event in events
        if topology.platform in event.platforms
        and event.needs <= topology.features
        and event.role in (Role.ERROR, Role.CONTROL)
        and Subject.CARDS in event.subjects
    ]

    class Machine(_Contexts):
        def __init__(self) -> None:
            super().__init__(topology, disturbing, drawn, f"state machine seed {number}")

    seed(number)(Machine)
    chosen = settings(
        max_examples=count,
        stateful_step_count=STEPS,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(Machine, settings=chosen)
    return tuple(drawn[:count])


class _Contexts(RuleBasedStateMachine):
    """Contexts come and go, and the hardware fails."""

    contexts = Bundle("contexts")

    def __init__(
        self, topology: Topology, disturbing: Sequence[type[Event]], drawn: list[Case], origin: str
    ) -> None:
        super().__init__()
        self._topology = topology
        self._disturbing = disturbing
        self._drawn = drawn
        self._origin = origin
        self._steps = list(BASELINE)
        self._schedule = 0
        self._opened = 0
        self._sketch = Sketch()

    def _do(self, actor: str, *events: Event) -> None:
        """Perform `events` one after the other, and wait for their end."""
        for event in events:
            self._steps.append(Step(actor, event))
            self._sketch = event.advance(actor, self._sketch)
        self._steps.append(_SETTLE)

    @initialize(number=st.integers(0, 1 << 16))
    def choose_schedule(self, number: int) -> None:
        self._schedule = number

    @rule(target=contexts, data=st.data(), actor=st.sampled_from(_ACTORS), err_ff=st.booleans())
    def open_and_attach(self, data: st.DataObject, actor: str, err_ff: bool) -> Any:
        afu = data.draw(st.sampled_from(self._topology.afus))
        kind = data.draw(st.sampled_from(afu.kinds))
        fd = f"c{self._opened}"
        self._opened += 1
        attach = Attach(fd, err_ff, data.draw(st.sampled_from((-1, afu.irqs_max))), 0x5EED + self._opened)
        self._do(actor, Open(fd, afu.name, kind), attach, Map(fd, f"{fd}.mmio"))
        return actor, fd

    @rule(context=contexts, register=st.sampled_from(("WED", "SCRATCH")), count=st.integers(1, 50))
    def load(self, context: tuple[str, str], register: str, count: int) -> None:
        self._do(context[0], Load(f"{context[1]}.mmio", register, 8, count))

    @rule(context=contexts, value=st.integers(1, 1 << 60))
    def store(self, context: tuple[str, str], value: int) -> None:
        self._do(context[0], Store(f"{context[1]}.mmio", value))

    @rule(context=contexts, irq=st.integers(1, 2))
    def raise_interrupt(self, context: tuple[str, str], irq: int) -> None:
        self._do(context[0], RaiseAfuInterrupt(f"{context[1]}.mmio", irq))

    @rule(context=contexts, page=st.integers(0, 3))
    def touch_memory(self, context: tuple[str, str], page: int) -> None:
        self._do(context[0], TouchMemory(f"{context[1]}.mmio", 0x1000_0000 + 0x1000 * page))

    @rule(context=contexts, timeout_ms=st.sampled_from((10, 100, 5000)))
    def read(self, context: tuple[str, str], timeout_ms: int) -> None:
        self._do(context[0], ReadEvent(context[1], timeout_ms))

    @rule(context=contexts, timeout_ms=st.sampled_from((0, 10, 5000)))
    def poll(self, context: tuple[str, str], timeout_ms: int) -> None:
        self._do(context[0], PollEvents(context[1], timeout_ms))

    @rule(context=contexts)
    def query(self, context: tuple[str, str]) -> None:
        self._do(context[0], QueryContext(context[1], "GET_PROCESS_ELEMENT"))

    @rule(context=consumes(contexts))
    def detach(self, context: tuple[str, str]) -> None:
        self._do(context[0], Detach(context[1]))

    @rule(data=st.data())
    def disturb(self, data: st.DataObject) -> None:
        """An error, or an administrator; the event draws its details."""
        event = data.draw(st.sampled_from(self._disturbing))
        targets = event.enabled(self._sketch, self._topology)
        if targets:
            choose = SeededChooser(data.draw(st.integers(0, 1 << 32)))
            target = data.draw(st.sampled_from(targets))
            self._do(target[0], event.draw(target, self._sketch, self._topology, choose))

    @rule(ms=st.sampled_from((10, 1000, 10_000)))
    def pass_time(self, ms: int) -> None:
        self._do(HARNESS, Pause(ms))

    def teardown(self) -> None:
        steps = (*self._steps, *closing(self._topology, self._sketch, _ACTORS))
        needs = frozenset().union(*(type(step.event).needs for step in steps))
        schedule = Schedule.of_seed(self._schedule)
        self._drawn.append(
            Case(steps, self._topology.platform, schedule, needs, len(self._topology.cards), self._origin)
        )
