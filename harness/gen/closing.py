"""How every case ends: wait, let recovery end, let all processes exit, probe what must be available again.

The closing steps are ordinary steps, in the open. A clean-up out of sight would heal the leak it should show.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache, partial

from harness.events._beliefs import FREEZE_LIMIT, GONE, MODE, PERST, REMOVED, TAKEN
from harness.events.await_ import ALL, Await
from harness.events.bind_driver import BindDriver
from harness.events.check_device import CheckDevice
from harness.events.exit_actor import ExitActor
from harness.events.pause import Pause
from harness.events.probe_availability import ProbeAvailability
from harness.events.probe_capacity import ProbeCapacity
from harness.events.rescan_card import RescanCard
from harness.events.return_facility import ReturnFacility
from harness.events.rewrite_mode import RewriteMode
from harness.events.set_freeze_limit import GENEROUS, SetFreezeLimit
from harness.events.set_perst_policy import SetPerstPolicy
from harness.events.snapshot import Snapshot
from harness.vocab.case import Step
from harness.vocab.event import HARNESS, PROBE, Event
from harness.vocab.sketch import Sketch
from harness.vocab.topology import Afu, Platform, Topology

END_TIMEOUT_MS = 20_000
"""How long the actors of a case have to finish before they are interrupted."""
CAPACITY_MAX = 16
"""AFUs with more contexts than this are not filled up at the end of each case."""
_RECOVERY_MS = 15_000
_POLL_SLACK_MS = 1_000

# How a setting is undone, by its prefix.
_RESTORES: dict[str, Callable[[str], Event]] = {
    TAKEN.rstrip(":"): ReturnFacility,
    REMOVED.rstrip(":"): RescanCard,
    GONE.rstrip(":"): BindDriver,
    MODE.rstrip(":"): RewriteMode,
    PERST.rstrip(":"): partial(SetPerstPolicy, same_image=False),
    FREEZE_LIMIT: lambda _: SetFreezeLimit(GENEROUS),
}

END = Step(HARNESS, Await(ALL, END_TIMEOUT_MS, interrupt=True))
"""The wait for all actors that comes twice at the end of every case, before and after they exit."""
_SNAPSHOT = Step(PROBE, Snapshot())

BASELINE: tuple[Step, ...] = (_SNAPSHOT, Step(HARNESS, Await(PROBE, END_TIMEOUT_MS, interrupt=False)))
"""How every case begins: what the host holds before anything happens."""


def closing(topology: Topology, sketch: Sketch, actors: Iterable[str]) -> tuple[Step, ...]:
    """The last steps of a case that ended with `sketch`; `actors` are those that it brought to life.

    Even those believed dead are told to exit, because the step that was to kill them may not have come about.
    """
    exits = [_exit(actor) for actor in actors]
    return (*_settle(topology), *exits, END, *_restore(sketch), *_probes(topology))


@lru_cache(maxsize=16)
def _settle(topology: Topology) -> tuple[Step, ...]:
    """Wait for the actors, have hidden errors noticed, and let the recovery end.

    Where time is real the last is left to the probes, which try again until the AFU is available.
    """
    steps = [END]
    if topology.platform is Platform.POWERVM:
        steps.append(Step(HARNESS, Pause(topology.poll_period_ms + _POLL_SLACK_MS)))
    if topology.platform is Platform.POWERNV:
        if "debugfs" in topology.features:
            steps += [Step(PROBE, CheckDevice(card.name)) for card in topology.cards]
        if "virtual-time" in topology.features:
            steps.append(Step(HARNESS, Pause(_RECOVERY_MS)))
    return tuple(steps)


def _restore(sketch: Sketch) -> list[Step]:
    """Undo the settings that would make the probes, or the next case on this host, fail.

    All that were touched, whatever was written last: that step may not have come about.
    """
    steps: list[Step] = []
    for name, _ in sketch.settings:
        prefix, _, subject = name.partition(":")
        if restore := _RESTORES.get(prefix):
            steps.append(Step(PROBE, restore(subject)))
    return steps


def _probe(afu: Afu) -> tuple[Event, ...]:
    """Fill the AFU up, if it has not too many contexts; else one context of each kind, and a mode change.

    Either shows a context that leaked: it takes a place, or it forbids the change.
    """
    if afu.contexts_max <= CAPACITY_MAX:
        return (ProbeCapacity(afu.name),)
    return (*(ProbeAvailability.of(afu, kind) for kind in afu.kinds), RewriteMode(afu.name))


@lru_cache(maxsize=16)
def _probes(topology: Topology) -> tuple[Step, ...]:
    events = [probe for afu in topology.afus for probe in _probe(afu)]
    return (*(Step(PROBE, event) for event in events), _SNAPSHOT)


@lru_cache(maxsize=64)
def _exit(actor: str) -> Step:
    return Step(actor, ExitActor())
