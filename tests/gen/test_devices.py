"""Cases about devices: well-formed, the same for the same seed, and without effect on cases about cards."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import cache

from harness import registry
from harness.events.await_ import Await
from harness.events.check_pci_device import CheckPciDevice
from harness.events.freeze_device import FreezeDevice
from harness.events.probe_device import ProbeDevice
from harness.events.set_freeze_limit import GENEROUS, SetFreezeLimit
from harness.events.start_traffic import StartTraffic
from harness.events.stop_traffic import StopTraffic
from harness.gen.cases import case_from_seed
from harness.gen.devices import device_case, varied_device_case
from harness.gen.rules import DrawRules
from harness.vocab.case import Case
from harness.vocab.event import Role
from harness.vocab.phase import Phase
from harness.vocab.topology import Subject
from tests.topologies import DEVICES, POWERNV

EVENTS = tuple(registry.events().values())
RULES = DrawRules((2, 8), (1, 3), 40, subject=Subject.DEVICES)


@cache
def sample() -> tuple[Case, ...]:
    return tuple(device_case(seed, DEVICES, RULES, EVENTS) for seed in range(400))


def test_the_same_seed_gives_the_same_case() -> None:
    assert [case.id for case in sample()[:40]] == [
        device_case(seed, DEVICES, RULES, EVENTS).id for seed in range(40)
    ]


def test_every_device_is_probed_before_and_after_its_errors() -> None:
    for case in sample():
        events = [step.event for step in case.steps]
        for index, event in enumerate(events):
            if isinstance(event, FreezeDevice):
                before, after = events[:index], events[index:]
                assert any(isinstance(e, ProbeDevice) and e.device == event.device for e in before)
                assert any(isinstance(e, CheckPciDevice) and e.device == event.device for e in after)
                assert any(isinstance(e, ProbeDevice) and e.device == event.device for e in after)


def test_every_event_about_devices_is_drawn() -> None:
    drawn = {type(step.event) for case in sample() for step in case.steps}
    assert {cls for cls in EVENTS if Subject.DEVICES in cls.subjects} <= drawn


def test_errors_meet_traffic() -> None:
    for case in sample():
        busy: set[str] = set()
        for step in case.steps:
            if isinstance(step.event, StartTraffic):
                busy.add(step.event.device)
            if isinstance(step.event, FreezeDevice):
                assert step.event.device in busy


def test_traffic_ends_before_the_last_wait_interrupts() -> None:
    """An interrupted request would tell nothing of the requests before it."""
    for case in sample():
        started = {step.actor for step in case.steps if isinstance(step.event, StartTraffic)}
        stopped = {step.event.actor for step in case.steps if isinstance(step.event, StopTraffic)}
        assert started <= stopped
        last = [step for step in case.steps if isinstance(step.event, Await)][-1]
        assert case.steps.index(last) == len(case.steps) - 1 or last.event.interrupt


def test_errors_come_into_each_phase_of_a_recovery() -> None:
    phases = Counter(s.when.phase for c in sample() for s in c.steps if s.event.role is Role.ERROR)
    nested = {Phase.DETECTED, Phase.ERROR_DETECTED, Phase.RESET, Phase.SLOT_RESET, Phase.RESUME}
    assert {phase.value for phase in (*nested, Phase.RECOVERED)} <= phases.keys()


def test_a_case_needs_its_devices_and_no_card() -> None:
    for case in sample():
        named = {s.event.details["device"] for s in case.steps if "device" in s.event.details}
        assert {f"device:{name}" for name in named} <= case.needs
        assert case.cards == 0


def test_a_host_that_remembers_freezes_is_given_a_generous_limit_first() -> None:
    lasting = replace(DEVICES, features=DEVICES.features - {"deterministic"})
    for seed in range(30):
        events = [step.event for step in device_case(seed, lasting, RULES, EVENTS).steps]
        first = next(i for i, event in enumerate(events) if isinstance(event, SetFreezeLimit))
        assert events[first] == SetFreezeLimit(GENEROUS)
        assert not any(isinstance(event, FreezeDevice) for event in events[:first])


def test_a_variation_keeps_the_events() -> None:
    for seed, parent in enumerate(sample()[:60]):
        child = varied_device_case(seed, parent)
        assert [step.event for step in child.steps] == [step.event for step in parent.steps]


def test_devices_change_nothing_in_cases_about_cards() -> None:
    both = replace(POWERNV, devices=DEVICES.devices, features=POWERNV.features | DEVICES.features)
    for seed in range(200):
        alone, beside = (case_from_seed(seed, host, DrawRules(), EVENTS) for host in (POWERNV, both))
        assert alone.id == beside.id
