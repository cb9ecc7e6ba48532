"""Races that are set up around an error or a reset: who shall be doing what when a recovery comes upon them.

Chance alone seldom puts two things within the few microseconds in which they matter. Each of these functions
adds a few steps that meet an error, or a reset, in one way:

| race | what meets the recovery |
|---|---|
| `intrude` | an attach in the middle of it |
| `hold_an_attach` | an attach that PHYP keeps busy from before the error until after its detection |
| `ambush` | what an owner does with a context at the moment of its purge |
| `come_again` | the use of a purged context once recovery has ended |
| `fall_asleep` | a reader that only it can wake |
| `inherit` | a child's use of a mapping that it was born with |
| `neighbours` | two contexts of one AFU that wait for interrupts, one of which is raised |
| `join` | an attach at the very moment of the reset |
| `meet` | work on contexts at the very moment of the error or reset |
| `catch` | the error or the reset itself, at the moment of an hcall that somebody's work makes |
| `refuse` | PHYP, which does not perform the reset |
| `unbind` | the removal of the driver in the middle of it |
| `reset` | a reset of what is broken |
| `kill` | the death of an owner at the moment of the purge |
| `use` | contexts that are used as if nothing had happened |
| `look_back` | a store that must not arrive, and a load that would show it |
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from harness.events.answer_hcall import AnswerHcall
from harness.events.attach import Attach
from harness.events.await_ import ALL, Await
from harness.events.detach import Detach
from harness.events.fork import Fork
from harness.events.kill_actor import KillActor
from harness.events.load import Load
from harness.events.raise_afu_interrupt import RaiseAfuInterrupt
from harness.events.read_attributes import ReadAttributes
from harness.events.read_event import FOR_EVER, ReadEvent
from harness.events.store import Store
from harness.events.touch_memory import TouchMemory
from harness.events.unbind_driver import UnbindDriver
from harness.gen import acts
from harness.gen.walk import Walk
from harness.vocab.case import NOW, When
from harness.vocab.event import HARNESS, NEMESIS, Event, Target
from harness.vocab.registers import STORE_LOG_SLOTS

MOMENTS = (When(after_ms=1), When(after_ms=2), When(after_ms=5))

_READ_MS = 1_000
_GATHER_PERCENT = 70
_GATHER_MS = 5_000
_LINGER_PERCENT = 40
_LINGER_COUNTS = (1, 2, 20)
_ATTACH = "H_ATTACH_CA_PROCESS"
_LONG_BUSY_1_S = 9903
_LONG_BUSY_100_MS = 9902
_RESETTING = ("H_CONTROL_CA_FACILITY", "H_CONTROL_CA_FACILITY", "H_CONTROL_CA_FUNCTION")  # mostly the card's
_REFUSALS = (-1, -75, -16, _LONG_BUSY_100_MS)  # H_HARDWARE, H_STATE, H_RESOURCE

_CAUSES: Mapping[str, type[Event]] = {
    f"hcall:{_ATTACH}": Attach,
    "hcall:H_DETACH_CA_PROCESS": Detach,
    "hcall:H_COLLECT_CA_INT_INFO": TouchMemory,
    "hcall:H_CONTROL_CA_FAULTS": TouchMemory,
}
"""The work of a process that makes each hcall."""


def gather(walk: Walk) -> None:
    """Mostly wait until all are idle: whoever is busy comes too late for the race."""
    if (walk.is_error_under_way or not walk.held) and walk.choose.chance(_GATHER_PERCENT):
        walk.add(HARNESS, Await(ALL, _GATHER_MS, interrupt=False))


def intrude(walk: Walk, afus: frozenset[str]) -> When | None:
    """An attach in the middle of the recovery to come: all of it, or all but an early open."""
    newcomers = acts.newcomers(walk, afus)
    if newcomers and walk.deck.triggers:
        when = walk.choose.pick(walk.deck.triggers)
        is_open_early = walk.choose.chance(50)
        opens, attaches = (NOW, when) if is_open_early else (when, NOW)
        walk.add_context(walk.choose.pick(newcomers), opens, attaches)
    return None


def hold_an_attach(walk: Walk, afus: frozenset[str]) -> When | None:
    """PHYP is busy with an attach from before the error until after the recovery, or into it."""
    newcomers = acts.newcomers(walk, afus)
    if AnswerHcall not in walk.deck.free.events or not newcomers:
        return intrude(walk, afus)
    # A guest's driver looks every 3 s, and a reset takes a quarter of one.
    busy, times = (_LONG_BUSY_1_S, (3, 6)) if walk.choose.chance(60) else (_LONG_BUSY_100_MS, (1, 6))
    walk.add(NEMESIS, AnswerHcall(_ATTACH, busy, walk.choose.integer(*times)))
    walk.add_context(walk.choose.pick(newcomers))
    return walk.choose.pick(MOMENTS)


def ambush(walk: Walk, afus: frozenset[str]) -> When | None:
    """Owners of contexts act at a moment of the purge to come."""
    for _ in range(walk.choose.integer(1, 2)):
        acts.act(walk, acts.AT_A_PURGE, acts.triggers(walk, acts.PURGE), acts.free(walk, afus, walk.steady))
    return None


def come_again(walk: Walk, afus: frozenset[str]) -> When | None:
    """A context that the recovery purges is used again when it has ended."""
    for _ in range(walk.choose.integer(1, 2)):
        acts.act(walk, acts.AFTERWARDS, acts.triggers(walk, acts.END), acts.free(walk, afus, walk.steady))
    return None


def fall_asleep(walk: Walk, afus: frozenset[str]) -> When | None:
    """A reader of events blocks, and only the recovery can wake it."""
    free = acts.free(walk, afus, walk.steady)
    if free and ReadEvent in walk.deck.free.events:
        sleeper = walk.choose.pick(free)
        walk.add(sleeper.actor, ReadEvent(sleeper.fd, FOR_EVER))
    return None


def inherit(walk: Walk, afus: frozenset[str]) -> When | None:
    """A child is born with a mapping, uses it, and goes on when the recovery to come has taken it away."""
    free = [c for c in acts.free(walk, afus) if c.is_mapped]
    uses = [cls for cls in (Load, Store) if cls in walk.deck.free.events]
    if free and uses and Fork in walk.deck.free.events and Fork.enabled(walk.sketch, walk.topology):
        parent, child = walk.choose.pick(free), Fork(f"a{walk.sketch.next_actor}")
        walk.add(parent.actor, child)
        for moments in ((NOW,), (*MOMENTS, *acts.triggers(walk, acts.PURGE))):
            cls = walk.choose.pick(uses)
            event = cls.draw((child.child, parent.fd), walk.sketch, walk.topology, walk.choose)
            walk.add(child.child, event, walk.pick_when(cls, moments))
    return None


def neighbours(walk: Walk, afus: frozenset[str]) -> When | None:
    """Two contexts of one AFU, one of which raises an interrupt; either waits for it."""
    free = [c for c in acts.free(walk, afus) if c.is_mapped]
    several = [c for c in free if sum(c.afu == other.afu for other in free) > 1]
    if several and RaiseAfuInterrupt in walk.deck.free.events:
        raiser = walk.choose.pick(several)
        walk.perform(RaiseAfuInterrupt, (raiser.actor, raiser.fd), NOW)
        listen(walk, (raiser.actor, raiser.fd))
    return None


def listen(walk: Walk, raiser: Target) -> None:
    """Somebody waits for the interrupt that was raised through a context: its owner, or a neighbour's."""
    afus = {context.afu for context in walk.sketch.contexts if context.fd == raiser[1]}
    readers = acts.free(walk, frozenset(afus))
    if readers and ReadEvent in walk.deck.free.events:
        reader = walk.choose.pick(readers)
        walk.add(reader.actor, ReadEvent(reader.fd, _READ_MS))


def join(walk: Walk, afus: frozenset[str]) -> When | None:
    """An attach at the very moment of the reset."""
    newcomers = [target for target in walk.newcomers() if target[1] in afus]
    if not newcomers:
        return meet(walk, afus)
    moment = walk.choose.pick(MOMENTS)
    walk.add_context(walk.choose.pick(newcomers), NOW, moment)
    return moment


def refuse(walk: Walk, afus: frozenset[str]) -> When | None:
    """PHYP is busy with the reset, or refuses it."""
    if AnswerHcall not in walk.deck.free.events:
        return meet(walk, afus)
    hcall, code = walk.choose.pick(_RESETTING), walk.choose.pick(_REFUSALS)
    walk.add(NEMESIS, AnswerHcall(hcall, code, walk.choose.integer(1, 3)))
    return NOW


def meet(walk: Walk, afus: frozenset[str]) -> When | None:
    """Owners of contexts act at one moment, which is also to be that of the error or the reset."""
    moment = walk.choose.pick(MOMENTS)
    for _ in range(walk.choose.integer(1, 2)):
        acts.act(walk, acts.AT_A_MOMENT, (moment,), acts.free(walk, afus))
    if ReadAttributes in walk.deck.free.events and walk.choose.chance(_LINGER_PERCENT):
        # What was begun then goes on for some microseconds before the nemesis acts.
        subject = walk.choose.pick(sorted(afus))
        walk.add(NEMESIS, ReadAttributes(subject, walk.choose.pick(_LINGER_COUNTS)), moment)
        return NOW
    return moment


def catch(walk: Walk, _afus: frozenset[str]) -> When | None:
    """The error or the reset is to come at an hcall, which somebody makes once it is on its way."""
    hcalls = [phase for phase in _CAUSES if phase in {when.phase for when in walk.deck.triggers}]
    return When(phase=walk.choose.pick(hcalls)) if hcalls else meet(walk, _afus)


def _cause(walk: Walk, afus: frozenset[str], moment: When) -> None:
    """Somebody does what makes the hcall that `moment` waits for."""
    cls = _CAUSES[moment.phase]
    if cls is not Attach:
        acts.act(walk, {cls: 1}, (NOW,), acts.free(walk, afus))
    elif newcomers := [target for target in walk.newcomers() if target[1] in afus]:
        walk.add_context(walk.choose.pick(newcomers))


def unbind(walk: Walk, afus: frozenset[str], _moment: When | None) -> None:
    """The nemesis takes the driver away at a moment of the recovery."""
    cards = [card.name for card in walk.topology.cards for afu in card.afus if afu.name in afus]
    targets = [t for t in UnbindDriver.enabled(walk.sketch, walk.topology) if t[1] in cards]
    if targets and UnbindDriver in walk.deck.free.events and walk.deck.nested:
        walk.perform(UnbindDriver, targets[0], walk.pick_when(UnbindDriver, walk.deck.nested))


def reset(walk: Walk, afus: frozenset[str], _moment: When | None) -> None:
    """An administrator resets what is broken, before or in the middle of its recovery."""
    drawn = walk.deck.resets.draw(walk.choose, walk.sketch, walk.topology)
    if drawn is None:
        return
    cls, everywhere = drawn
    if targets := [target for target in everywhere if walk.reach(target[1]) >= afus]:
        walk.perform(cls, walk.choose.pick(targets), walk.pick_when(cls, (*MOMENTS, *walk.deck.nested)))


def kill(walk: Walk, afus: frozenset[str], _moment: When | None) -> None:
    """The nemesis, which causes the errors too, kills an owner of a context at a moment of the purge."""
    acts.act(walk, {KillActor: 1}, acts.triggers(walk, acts.PURGE), acts.free(walk, afus))


def use(walk: Walk, afus: frozenset[str], moment: When | None) -> None:
    """Owners of contexts go on as if nothing had happened, and one of them may notice."""
    for _ in range(walk.choose.integer(1, 2)):
        when = walk.choose.pick((moment if moment and not moment.phase else NOW, *MOMENTS))
        acts.act(walk, acts.UNDETECTED, (when,), acts.free(walk, afus))


def look_back(walk: Walk, afus: frozenset[str], _moment: When | None) -> None:
    """A store to a device that was given up, and a new context that looks for it after the recovery."""
    acts.act(walk, {Store: 1}, acts.triggers(walk, acts.PURGE), acts.free(walk, afus))
    newcomers = [target for target in walk.newcomers() if target[1] in afus]
    if newcomers and (ends := acts.triggers(walk, acts.END)):
        before = len(walk.sketch.contexts)
        walk.add_context(walk.choose.pick(newcomers), walk.choose.pick(ends))
        context = walk.sketch.contexts[before]
        if context.is_mapped and Load in walk.deck.free.events:
            walk.add(context.actor, Load(context.map_name, "STORE_LOG", 8, STORE_LOG_SLOTS))


_BEFORE_AN_ERROR: dict[Callable[[Walk, frozenset[str]], When | None], int] = {
    intrude: 4,
    hold_an_attach: 2,
    ambush: 4,
    come_again: 3,
    fall_asleep: 2,
    inherit: 2,
    neighbours: 2,
    meet: 3,
    catch: 2,
}
_BEFORE_A_RESET: dict[Callable[[Walk, frozenset[str]], When | None], int] = {
    join: 4,
    hold_an_attach: 2,
    meet: 6,
    catch: 4,
    refuse: 4,
}
_AFTER_AN_ERROR: dict[Callable[[Walk, frozenset[str], When | None], None], int] = {
    use: 4,
    look_back: 2,
    kill: 2,
    unbind: 1,
    reset: 2,
}


def before_an_error(walk: Walk, afus: frozenset[str]) -> When | None:
    """Set up one race with an error of `afus` that is to come; gives its moment, if that matters."""
    return _set_up(_BEFORE_AN_ERROR, walk, afus)


def before_a_reset(walk: Walk, afus: frozenset[str]) -> When | None:
    """Set up one race with a reset of `afus` that is to come; gives its moment, if that matters."""
    return _set_up(_BEFORE_A_RESET, walk, afus)


def after_an_error(walk: Walk, afus: frozenset[str], moment: When | None) -> None:
    """What the race needs after the error of `afus` at `moment`; else, perhaps, another race."""
    if not after_a_reset(walk, afus, moment) and walk.choose.chance(walk.rules.overlap_percent):
        before = len(walk.steps)
        races = _AFTER_AN_ERROR
        walk.choose.weighted(tuple(races), tuple(races.values()))(walk, afus, moment)
        walk.on_top += len(walk.steps) - before


def after_a_reset(walk: Walk, afus: frozenset[str], moment: When | None) -> bool:
    """What the race needs after what came at `moment`; False when it needs nothing."""
    if moment is None or moment.phase not in _CAUSES:
        return False
    before = len(walk.steps)
    _cause(walk, afus, moment)
    walk.on_top += len(walk.steps) - before
    return True


def _set_up(
    races: Mapping[Callable[[Walk, frozenset[str]], When | None], int], walk: Walk, afus: frozenset[str]
) -> When | None:
    before = len(walk.steps)
    gather(walk)
    moment = walk.choose.weighted(tuple(races), tuple(races.values()))(walk, afus)
    walk.on_top += len(walk.steps) - before
    return moment
