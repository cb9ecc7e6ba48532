"""Exchanges: each is a shorter case in which one step does what two did, and nothing needed is lost."""

from __future__ import annotations

import pytest

from harness.events.answer_hcall import AnswerHcall
from harness.events.attach import Attach
from harness.events.await_ import ALL, Await
from harness.events.detach import Detach
from harness.events.exit_actor import ExitActor
from harness.events.fence_phb import FencePhb
from harness.events.fork import Fork
from harness.events.hang_afu import HangAfu
from harness.events.kill_actor import KillActor
from harness.events.open import Open
from harness.events.open_flash_node import OpenFlashNode
from harness.events.pause import Pause
from harness.events.probe_capacity import ProbeCapacity
from harness.events.query_context import QueryContext
from harness.events.raise_psl_error import RaisePslError
from harness.events.raise_recoverable_error import RaiseRecoverableError
from harness.events.raise_transient_error import RaiseTransientError
from harness.events.store import Store
from harness.events.unmap import Unmap
from harness.run.exchange import LATE, MOMENT, SOON, bold_exchanges, exchanges, fewest, plainer
from harness.run.minimise import minimise
from harness.run.smaller import instead_of_waits
from harness.vocab.case import Case, Step, When
from harness.vocab.event import HARNESS, NEMESIS, PROBE
from harness.vocab.topology import Platform
from tests.run.cases import LOAD, OPEN, case, pause, store

ATTACH = Step("a0", Attach("c0", err_ff=True, irqs=1, wed=77))
QUERY = QueryContext("c0", "GET_AFU_ID")
ERROR = Step(NEMESIS, RaiseRecoverableError("afu0.0"))
PURGED = When(phase="context-purged")
LATER = LATE[Platform.POWERVM]


def at(step: Step, when: When) -> Step:
    return Step(step.actor, step.event, when)


def offered(*steps: Step) -> set[tuple[Step, ...]]:
    return {found.steps for found in exchanges(case(*steps))}


@pytest.mark.parametrize("make", [exchanges, bold_exchanges])
def test_every_exchange_is_shorter(make) -> None:
    steps = (OPEN, ATTACH, at(LOAD, PURGED), ERROR, pause(9), at(ERROR, MOMENT), Step("a0", ExitActor()))
    found = list(make(Case(steps, Platform.POWERVM, needs=frozenset({"kprobes"}))))
    assert found
    assert all(len(one.steps) < len(steps) for one in found)


def test_a_moment_is_handed_on_over_waits() -> None:
    wait = Step(HARNESS, Await(ALL, 1000, interrupt=False))
    assert (OPEN, at(store(1), PURGED)) in offered(OPEN, at(LOAD, PURGED), wait, store(1))
    assert (OPEN, at(store(1), LATER)) in offered(OPEN, at(LOAD, PURGED), wait, store(1))


def test_two_errors_become_one_at_the_place_of_the_first() -> None:
    transient = Step(NEMESIS, RaiseTransientError("afu0.1", 3000), PURGED)
    found = offered(OPEN, ERROR, LOAD, transient)
    assert (OPEN, Step(NEMESIS, OpenFlashNode("card0"), MOMENT), LOAD) in found
    assert (OPEN, Step(NEMESIS, RaiseRecoverableError("afu0.1"), MOMENT), LOAD) in found


def test_a_parent_does_what_its_child_did() -> None:
    stored = Store("c0.mmio", 5, 8)
    found = offered(OPEN, Step("a0", Fork("a3")), Step("a3", stored, PURGED))
    assert (OPEN, Step("a0", stored, PURGED)) in found


def test_a_probe_stands_for_a_context() -> None:
    assert (ERROR, Step(PROBE, ProbeCapacity("afu0.0"))) in offered(OPEN, ERROR, ATTACH)


def test_a_probe_stands_for_a_context_whose_owner_is_killed() -> None:
    assert (Step(PROBE, ProbeCapacity("afu0.0")),) in offered(OPEN, Step(NEMESIS, KillActor("a0")))


def test_whoever_unmaps_and_closes_exits_instead() -> None:
    leaving = Step("a0", Unmap("c0.mmio")), Step("a0", Detach("c0"))
    assert (OPEN, ATTACH, Step("a0", ExitActor())) in offered(OPEN, ATTACH, *leaving)


def test_what_waits_for_a_phase_waits_a_moment_and_no_error_leads_to_it() -> None:
    assert (OPEN, at(LOAD, MOMENT)) in offered(OPEN, ERROR, at(LOAD, PURGED))


def test_a_case_takes_the_plainest_course() -> None:
    wait = Step(HARNESS, Await(ALL, 1000, interrupt=False))
    assert (OPEN, at(ERROR, MOMENT), at(LOAD, SOON)) in offered(OPEN, store(1), wait, ERROR, store(2), LOAD)


def test_a_refused_probe_stands_for_an_attach_that_meets_an_error() -> None:
    wait = Step(HARNESS, Await(ALL, 1000, interrupt=True))
    refused = Step(NEMESIS, AnswerHcall("H_ATTACH_CA_PROCESS", -75, 3)), Step(PROBE, ProbeCapacity("afu0.0"))
    found = [one.steps for one in bold_exchanges(case(OPEN, ATTACH, ERROR, wait))]
    assert refused in found
    assert (*refused, wait) in found


def test_an_exit_stands_for_an_error() -> None:
    found = {one.steps for one in bold_exchanges(case(OPEN, ATTACH, ERROR, at(ERROR, PURGED)))}
    assert (OPEN, ATTACH, Step("a0", ExitActor())) in found


def test_errors_that_wait_for_something_become_errors_of_what_is_used() -> None:
    steps = (Step("a0", Open("c0", "afu1.2", "s")), Step(NEMESIS, HangAfu("afu1.2")))
    made = [one.steps[1].event for one in plainer(Case(steps, Platform.POWERNV))]
    assert made[:2] == [FencePhb("card1"), RaisePslError("afu1.2")]


def test_an_exchange_says_what_it_needs_of_a_host() -> None:
    steps = (OPEN, Step(NEMESIS, HangAfu("afu0.0")), LOAD)
    one = next(plainer(Case(steps, Platform.POWERNV, needs=frozenset({"kprobes"}))))
    assert one.needs == {"kprobes"} | FencePhb.needs


def test_counts_become_the_least_that_is_allowed_and_times_stay() -> None:
    answers = Step(NEMESIS, AnswerHcall("H_DETACH_CA_PROCESS", 9902, 3))
    transient = Step(NEMESIS, RaiseTransientError("afu0.0", 3000))
    (found,) = fewest(case(answers, transient))
    assert found.steps == (Step(NEMESIS, AnswerHcall("H_DETACH_CA_PROCESS", 9902, 1)), transient)
    assert not list(fewest(found))


def test_after_a_pause_each_actor_comes_later_by_itself_one_after_the_other() -> None:
    probe = Step(PROBE, ProbeCapacity("afu0.0"))
    found = [one.steps for one in instead_of_waits(case(ERROR, pause(4000), LOAD, store(1), probe))]
    assert (ERROR, at(LOAD, LATER), store(1), at(probe, When(after_ms=2 * LATER.after_ms))) in found


def test_the_minimiser_exchanges_when_nothing_can_be_removed() -> None:
    """The query shows the bug late only: after something that takes long, or when it waits itself."""
    query = Step("a0", QUERY)

    def shows(candidate: Case) -> bool:
        steps = candidate.steps
        index = next((i for i, step in enumerate(steps) if step.event == QUERY), -1)
        is_late = index >= 0 and (
            steps[index].when.after_ms >= 3000
            or any(isinstance(step.event, Pause) or step.when.phase for step in steps[:index])
        )
        return OPEN in steps and ERROR.event in [step.event for step in steps] and is_late

    found = minimise(case(OPEN, ERROR, at(LOAD, When(phase="recovered")), query), shows)
    assert len(found.case.steps) == 3
    assert found.is_one_minimal


def test_what_is_to_be_kept_is_not_exchanged() -> None:
    wait = Step(HARNESS, Pause(4000))
    found = minimise(case(OPEN, ERROR, wait, LOAD), lambda c: OPEN in c.steps, keeps=lambda s: s == wait)
    assert set(found.case.steps) == {OPEN, wait}
