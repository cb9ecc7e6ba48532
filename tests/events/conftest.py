"""The `examples` fixture: the events of one class that a sample of cases has."""

from __future__ import annotations

from collections import defaultdict
from functools import cache

import pytest

from harness import registry
from harness.events.pause import Pause
from harness.events.probe_availability import ProbeAvailability
from harness.gen.cases import case_from_seed
from harness.gen.devices import device_case
from harness.gen.rules import DrawRules


@pytest.fixture(scope="session")
def examples():
    return lambda topology, cls: _sample(topology).get(cls, ())


@cache
def _sample(topology):
    events = tuple(registry.events().values())
    found = defaultdict(dict)
    for seed in range(600):
        draw = device_case if topology.devices else case_from_seed
        for step in draw(seed, topology, DrawRules(), events).steps:
            found[type(step.event)][step.event] = None
    assert Pause in found
    # An AFU with many contexts is probed by one of each kind; those here are filled up.
    for afu in topology.afus:
        for kind in afu.kinds:
            found[ProbeAvailability][ProbeAvailability.of(afu, kind)] = None
    return {cls: tuple(of_cls) for cls, of_cls in found.items()}
