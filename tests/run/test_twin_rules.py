"""What differs between two hosts for a harmless reason, rule by rule, and what is a difference beside it."""

from __future__ import annotations

from harness.events.answer_hcall import AnswerHcall
from harness.events.await_ import Await
from harness.events.change_mode import ChangeMode
from harness.events.fork import Fork
from harness.events.load import Load
from harness.events.open import Open
from harness.events.open_flash_node import OpenFlashNode
from harness.events.poll_events import PollEvents
from harness.events.raise_recoverable_error import RaiseRecoverableError
from harness.events.raise_transient_error import RaiseTransientError
from harness.events.raise_unrecoverable_error import RaiseUnrecoverableError
from harness.events.reset_afu import ResetAfu
from harness.events.reset_card import ResetCard
from harness.events.rewrite_mode import RewriteMode
from harness.events.store import Store
from harness.run.runner import Runner
from harness.run.twindifference import Compared, Tolerated
from harness.run.twinstory import Story
from harness.vocab.case import Step, When
from tests.run.twins import (
    AFU,
    ATTACHED,
    LINUX_HOST,
    NOTICED,
    OPEN,
    RECOVERABLE,
    REFERENCE_HOST,
    TEMPORARY,
    WAIT,
    case,
    compared,
    rules,
)

UNRECOVERABLE = Step("nemesis", RaiseUnrecoverableError(AFU))
FORCED_RESET = ResetCard("card0", True)
REFUSED = "H_CONTROL_CA_FUNCTION"


def signatures(result: Compared, *kinds: str) -> set[str]:
    return {item.signature for item in result.differences if item.kind in kinds}


def test_a_reset_by_hand_in_the_midst_of_a_recovery_takes_turns_or_overlaps() -> None:
    meanwhile = Step("nemesis", FORCED_RESET, When(phase="reset"))
    result = compared(RECOVERABLE, meanwhile, NOTICED, NOTICED)
    assert Tolerated("overlap", AFU) in result.tolerated
    assert not signatures(result, "recovery")


def test_a_failure_that_a_check_finds_in_the_midst_of_a_reset_by_hand_overlaps_it() -> None:
    """The reset waits for an attach that PHYP keeps busy; the reference driver's check waits, too."""
    steps = (
        Step("nemesis", AnswerHcall("H_ATTACH_CA_PROCESS", 9903, 4)),
        WAIT,
        *ATTACHED,
        Step("nemesis", RaiseUnrecoverableError(AFU), When(after_ms=5)),
        Step("nemesis", FORCED_RESET),
        NOTICED,
    )
    result = compared(*steps)
    assert Tolerated("overlap", AFU) in result.tolerated
    assert not signatures(result, "recovery")


def test_a_recovery_is_under_way_until_its_reset_is_answered() -> None:
    def is_caught(after_ms: int) -> bool:
        reset = Step("nemesis", FORCED_RESET, When(phase="reset", after_ms=after_ms))
        return bool(Story(Runner(LINUX_HOST).perform(case(RECOVERABLE, reset, NOTICED)).history).caught)

    assert is_caught(0)
    assert is_caught(200)
    assert not is_caught(600)


def test_a_reset_by_hand_that_meets_no_recovery_is_compared() -> None:
    recoverable = Step("nemesis", RaiseRecoverableError("afu0.1"))
    worse = Step("nemesis", RaiseUnrecoverableError("afu0.1"), When(phase="reset"))
    result = compared(recoverable, worse, WAIT, NOTICED, Step("nemesis", FORCED_RESET), NOTICED, NOTICED)
    assert "overlap" not in rules(result)
    assert signatures(result, "recovery") == {"recovery/after-failed-permanently-nothing-not-quiesce"}
    silent = Step("nemesis", OpenFlashNode("card0"))
    assert "recovery/first-quiesce-not-reset" in compared(silent, NOTICED).signatures


def test_whoever_meets_a_refusal_first_decides_the_recovery() -> None:
    steps = (
        Step("nemesis", AnswerHcall(REFUSED, -16, 2)),
        Step("nemesis", ResetCard("card0", False)),
        Step("nemesis", RaiseRecoverableError("afu0.1")),
        NOTICED,
        NOTICED,
    )
    result = compared(*steps)
    assert Tolerated("answer", "afu0.1") in result.tolerated
    assert not signatures(result, "recovery")


def test_a_refusal_that_another_afu_has_met_excuses_nothing() -> None:
    steps = (
        Step("nemesis", AnswerHcall(REFUSED, -16, 1)),
        WAIT,
        Step("a0", Open("c0", "afu1.0", "s")),
        WAIT,
        TEMPORARY,
        NOTICED,
    )
    result = compared(*steps)
    assert signatures(result, "recovery") == {"recovery/first-quiesce-not-nothing"}


def test_what_was_done_on_one_host_only_excuses_what_comes_later_whatever_its_step() -> None:
    """The open is the first step, and comes last; the error comes on the reference host only."""
    steps = (
        Step("a0", Open("c0", AFU, "s"), When(after_ms=9_000)),
        Step("nemesis", AnswerHcall("H_ATTACH_CA_PROCESS", -16, 1)),
        Step("nemesis", RaiseTransientError("afu1.0", 3_500)),
        Step("nemesis", RaiseUnrecoverableError(AFU), When(phase="quiesce")),
        WAIT,
        WAIT,
    )
    result = compared(*steps)
    assert {"trigger", "consequence"} <= rules(result)
    assert not signatures(result, "operation")


def test_a_wait_for_somebody_else_leaves_to_chance_who_comes_first() -> None:
    def is_room_chance(waited_for: str) -> bool:
        wait = Step("harness", Await(waited_for, 1_000, False))
        steps = (Step("a1", Open("c0", AFU, "s")), wait, Step("nemesis", ChangeMode(AFU, "none")))
        story = Story(Runner(REFERENCE_HOST).perform(case(*steps)).history)
        [write] = [op for op in story.operations.values() if op.verb == "write_file"]
        return story.is_room_chance(write)

    assert is_room_chance("a0")
    assert not is_room_chance("a1")
    assert not is_room_chance("all")


def test_a_load_beside_the_store_of_a_forked_process_is_a_race() -> None:
    def is_raced(*between: Step) -> bool:
        store, load = Store("c0.mmio", 0xCA91), Load("c0.mmio", "SCRATCH", 8, 1)
        steps = (*ATTACHED, Step("a0", Fork("a1")), WAIT, Step("a1", store), *between, Step("a0", load))
        story = Story(Runner(REFERENCE_HOST).perform(case(*steps)).history)
        [load_op] = [op for op in story.operations.values() if op.verb == "load"]
        return story.is_raced(load_op)

    assert is_raced()
    assert not is_raced(WAIT)


def test_an_actor_who_was_kept_waiting_on_one_host_comes_later_to_another_afu() -> None:
    steps = (
        Step("nemesis", OpenFlashNode("card0"), When(after_ms=5)),
        OPEN,
        Step("nemesis", ResetAfu("afu1.0")),
        Step("a0", PollEvents("c0", 5_000)),
        Step("a0", Open("c1", "afu1.0", "s")),
        NOTICED,
    )
    result = compared(*steps)
    assert Tolerated("consequence", "write_file-reset") in result.tolerated
    assert not signatures(result, "operation")


def test_a_mode_that_could_be_written_on_one_host_only_is_said_once() -> None:
    steps = (
        Step("nemesis", ChangeMode(AFU, "none")),
        UNRECOVERABLE,
        NOTICED,
        Step("probe", RewriteMode(AFU)),
        Step("probe", Open("c0", AFU, "s")),
    )
    result = compared(*steps)
    assert signatures(result, "operation") == {"operation/write_file-mode-settled-eio-not-ok"}
