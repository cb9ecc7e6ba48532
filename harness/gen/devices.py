"""Draws cases about PCI devices without CAPI: traffic, freezes of their EEH PEs, and administrators.

The rules of the walk:

1. Each device of the case is probed first, so that a failure later proves something; then each is kept busy.
2. Errors stand at drawn places between free steps. The first comes into traffic; later ones come into the
   recovery of the one before, or after it. Mostly EEH is asked to look soon, because a freeze that no driver
   meets waits for ever.
3. All errors and what administrators do are one lane: what waits for a phase holds back what comes after it.
4. In the end EEH looks at every device of the case, and each is probed while the traffic goes on; then the
   traffic ends. The limit of freezes is set back, and what was removed is found again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from harness.events._beliefs import FREEZE_LIMIT
from harness.events._devices import AWAY, BUSY
from harness.events.await_ import ALL, Await
from harness.events.check_pci_device import CheckPciDevice
from harness.events.freeze_device import FreezeDevice
from harness.events.pause import Pause
from harness.events.probe_device import FOR_MS, ProbeDevice
from harness.events.rescan_devices import RescanDevices
from harness.events.set_freeze_limit import GENEROUS, SetFreezeLimit
from harness.events.start_traffic import StartTraffic
from harness.events.stop_traffic import StopTraffic
from harness.gen.cases import draw_schedule
from harness.gen.choosers import SeededChooser
from harness.gen.rarity import NOTHING_SEEN, Rarity
from harness.gen.rules import DrawRules
from harness.vocab.case import NOW, Case, Step, When
from harness.vocab.event import HARNESS, NEMESIS, PROBE, Chooser, Event, Role
from harness.vocab.phase import Phase
from harness.vocab.sketch import Sketch
from harness.vocab.topology import Subject, Topology

_FIRST_PROBE_MS = 10_000
_LANE_MS = 200_000
_RECOVERY_MS = 100_000
_TRIGGER_MS = 30_000  # a recovery takes 5 to 15 s, unless the PCI core waits in vain
_NESTED = (Phase.DETECTED, Phase.ERROR_DETECTED, Phase.RESET, Phase.SLOT_RESET, Phase.RESUME)
_MOMENTS = (NOW, When(after_ms=1), When(after_ms=20), When(after_ms=200))
_LIMITED_PERCENT = 25
_LOOK_PERCENT = 75


class DeviceWalk:
    """One walk: the steps so far, and what is believed of the host."""

    def __init__(
        self,
        choose: Chooser,
        topology: Topology,
        rules: DrawRules,
        events: Sequence[type[Event]],
        rarity: Rarity = NOTHING_SEEN,
    ) -> None:
        self.choose = choose
        self.topology = topology
        self.rules = rules
        self.rarity = rarity
        here = [event for event in events if _is_here(event, topology)]
        self.weights = {event: rules.weights.get(event.__name__, event.weight) for event in here}
        self.steps: list[Step] = []
        self.sketch = Sketch()
        self.devices: list[str] = []
        self.has_frozen = False

    def add(self, actor: str, event: Event, when: When = NOW) -> None:
        """Go one step."""
        self.steps.append(Step(actor, event, when))
        self.sketch = event.advance(actor, self.sketch)

    def begin(self) -> None:
        """Choose devices, probe them, and keep them busy."""
        choose = self.choose
        names = [device.name for device in self.topology.devices]
        first = choose.pick(names)
        self.devices = [first, *(name for name in names if name != first and choose.chance(50))]
        for name in self.devices:
            self.add(PROBE, ProbeDevice(name, _FIRST_PROBE_MS))
        self.add(HARNESS, Await(PROBE, 2 * _FIRST_PROBE_MS * len(self.devices), interrupt=False))
        if "deterministic" not in self.topology.features:  # this host remembers the freezes of earlier cases
            self.add(NEMESIS, SetFreezeLimit(GENEROUS))
        elif self.weights.get(SetFreezeLimit) and choose.chance(_LIMITED_PERCENT):
            self.perform(SetFreezeLimit, NEMESIS, "host")
        for name in self.devices:
            if choose.chance(90):
                self.keep_busy(name)
        self.add(HARNESS, Pause(choose.pick((100, 20, 500))))

    def keep_busy(self, device: str) -> None:
        """Start traffic, if somebody is free to make it."""
        targets = [t for t in StartTraffic.enabled(self.sketch, self.topology) if t[1] == device]
        if targets and self.weights.get(StartTraffic):
            self.perform(StartTraffic, *targets[0])

    def perform(self, cls: type[Event], actor: str, subject: str, when: When = NOW) -> None:
        """Draw an event for a target and go that step."""
        event = cls.draw((actor, subject), self.sketch, self.topology, self.choose)
        self.add(actor, event, when)

    def go(self) -> None:
        """Free steps, and the errors between them."""
        choose, rules = self.choose, self.rules
        slots = choose.integer(*rules.steps)
        errors = choose.integer(*rules.errors)
        places = sorted(choose.integer(0, slots) for _ in range(errors))
        for slot in range(slots + 1):
            for _ in range(places.count(slot)):
                self.freeze()
            if slot < slots and choose.chance(50):
                self.act()

    def freeze(self) -> None:
        """An error, and mostly somebody who looks."""
        choose = self.choose
        there = [name for name in self.devices if not self.sketch.setting(AWAY + name)]
        if not there or not self.weights.get(FreezeDevice):
            return
        name = choose.pick(there)
        if not self.sketch.setting(BUSY + name):
            self.keep_busy(name)
        self.perform(FreezeDevice, NEMESIS, name, self._when_to_freeze())
        self.has_frozen = True
        if choose.chance(_LOOK_PERCENT):
            self.add(NEMESIS, CheckPciDevice(name), choose.pick(_MOMENTS))

    def _when_to_freeze(self) -> When:
        choose = self.choose
        if not self.has_frozen:
            return choose.pick(_MOMENTS)
        phase = choose.pick(_NESTED) if choose.chance(self.rules.overlap_percent) else Phase.RECOVERED
        return self._at(phase)

    def _at(self, phase: Phase) -> When:
        return When(phase=phase.value, after_ms=self.choose.pick((0, 0, 5)), within_ms=_TRIGGER_MS)

    def act(self) -> None:
        """Something that no error is; of two draws the one that was seen more seldom."""
        drawn = [found for found in (self._draw(), self._draw()) if found]
        if not drawn:
            return
        cls, (actor, subject) = min(drawn, key=lambda found: self.rarity.of_event(found[0]))
        is_late = self.has_frozen and actor == NEMESIS and self.choose.chance(self.rules.overlap_percent)
        when = self._at(self.choose.pick((*_NESTED, Phase.RECOVERED))) if is_late else NOW
        self.perform(cls, actor, subject, when)

    def _draw(self) -> tuple[type[Event], tuple[str, str]] | None:
        """A free event and its target."""
        enabled = {}
        for cls, weight in self.weights.items():
            if not weight or cls.role not in (Role.WORKLOAD, Role.CONTROL):
                continue
            targets = [t for t in cls.enabled(self.sketch, self.topology) if self._is_of_case(t[1])]
            if targets:
                enabled[cls] = targets
        if not enabled:
            return None
        classes = tuple(enabled)
        cls = self.choose.weighted(classes, [self.weights[cls] for cls in classes])
        return cls, self.choose.pick(enabled[cls])

    def _is_of_case(self, subject: str) -> bool:
        """Whether a target is about what the case is about: no device that was not probed."""
        is_device = any(device.name == subject for device in self.topology.devices)
        return not is_device or subject in self.devices

    def end(self) -> None:
        """Let EEH look, probe, end the traffic, and put things back."""
        self.add(HARNESS, Await(NEMESIS, _LANE_MS, interrupt=True))
        if self.sketch.setting(FREEZE_LIMIT):
            self.add(NEMESIS, SetFreezeLimit(GENEROUS))
        if any(name.startswith(AWAY) for name, _ in self.sketch.settings):
            self.add(NEMESIS, RescanDevices())
        for name in self.devices:
            self.add(NEMESIS, CheckPciDevice(name))
        self.add(HARNESS, Await(NEMESIS, _LANE_MS, interrupt=False))
        for name in self.devices:
            self.add(PROBE, ProbeDevice(name, FOR_MS))
        self.add(HARNESS, Await(PROBE, (FOR_MS + 10_000) * len(self.devices), interrupt=False))
        for actor in sorted({step.actor for step in self.steps if type(step.event) is StartTraffic}):
            self.add(NEMESIS, StopTraffic(actor))
        self.add(HARNESS, Await(ALL, _RECOVERY_MS, interrupt=True))
        if self.sketch.setting(FREEZE_LIMIT):
            self.add(NEMESIS, RescanDevices())  # finds what was given up
            self.add(HARNESS, Await(ALL, _RECOVERY_MS, interrupt=True))


def device_case(
    seed: int,
    topology: Topology,
    rules: DrawRules,
    events: Sequence[type[Event]],
    rarity: Rarity = NOTHING_SEEN,
) -> Case:
    """The case about devices that `seed` stands for. `topology` has some."""
    choose = SeededChooser(seed)
    schedule = draw_schedule(choose)
    walk = DeviceWalk(choose, topology, rules, events, rarity)
    walk.begin()
    walk.go()
    walk.end()
    needs = frozenset().union(*(type(step.event).needs for step in walk.steps))
    needs |= {topology.device(name).feature for name in walk.devices}
    return Case(tuple(walk.steps), topology.platform, schedule, needs, 0, f"seed {seed}")


def varied_device_case(seed: int, parent: Case) -> Case:
    """`parent` in another interleaving, or with other moments."""
    choose = SeededChooser(seed)
    schedule = draw_schedule(choose)
    if choose.chance(50):
        return replace(parent, schedule=schedule, origin=f"seed {seed}, {parent.id} rescheduled")
    steps = tuple(_moved(step, choose) for step in parent.steps)
    return replace(parent, steps=steps, schedule=schedule, origin=f"seed {seed}, {parent.id} moved")


def _moved(step: Step, choose: Chooser) -> Step:
    """Sometimes an error, or what waits for a phase, at another moment."""
    is_movable = step.actor == NEMESIS and (step.when.phase or step.event.role is Role.ERROR)
    if not is_movable or not choose.chance(50):
        return step
    if step.when.phase:
        phase = choose.pick((*_NESTED, Phase.RECOVERED))
        return Step(step.actor, step.event, replace(step.when, phase=phase.value))
    return Step(step.actor, step.event, choose.pick(_MOMENTS))


def _is_here(event: type[Event], topology: Topology) -> bool:
    is_possible = topology.platform in event.platforms and event.needs <= topology.features
    return is_possible and Subject.DEVICES in event.subjects
