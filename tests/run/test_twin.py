"""Two hosts side by side: what is a difference and what is not, what is minimised, and how it is said."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from harness import cli, registry
from harness.events.answer_hcall import AnswerHcall
from harness.events.attach import Attach
from harness.events.change_mode import ChangeMode
from harness.events.exit_actor import ExitActor
from harness.events.kill_actor import KillActor
from harness.events.open import Open
from harness.events.pause import Pause
from harness.events.query_context import QueryContext
from harness.events.raise_recoverable_error import RaiseRecoverableError
from harness.events.raise_transient_error import RaiseTransientError
from harness.events.raise_unrecoverable_error import RaiseUnrecoverableError
from harness.events.read_error_buffer import ReadErrorBuffer
from harness.events.reset_card import ResetCard
from harness.hosts.inproc import InprocHost
from harness.run.deadline import Deadline
from harness.run.runner import Runner
from harness.run.twin import Result, Twins
from harness.run.twinallowed import load, read
from harness.run.twindiff import compare
from harness.run.twindifference import TOLERANCES
from harness.run.twintext import text
from harness.sim.host import SimulatedHost
from harness.vocab.case import Case, Step, When
from harness.vocab.errors import InfraError, UsageError
from harness.vocab.topology import Platform
from harness.vocab.verdict import ExitCode
from harness.wire import casefile
from tests.run.fake import FakeSimulated
from tests.run.twins import (
    AFU,
    ATTACHED,
    LINUX,
    LINUX_HOST,
    NOTICED,
    OPEN,
    RECOVERABLE,
    REFERENCE,
    REFERENCE_HOST,
    TEMPORARY,
    WAIT,
    case,
    compared,
    host,
    rules,
)

# What is a difference ---------------------------------------------------------------------------------------


def test_a_host_does_not_differ_from_itself() -> None:
    result = compared(*ATTACHED, WAIT, RECOVERABLE, NOTICED, Step("a0", ExitActor()), WAIT, b=host())
    assert result.differences == ()
    assert result.tolerated == ()
    assert result.operations == 8


@pytest.mark.parametrize(
    ("steps", "signature"),
    [
        ((TEMPORARY, NOTICED), "recovery/first-quiesce-not-nothing"),
        (
            (Step("nemesis", RaiseUnrecoverableError(AFU)), NOTICED),
            "recovery/first-quiesce-not-failed-permanently",
        ),
        (
            (
                RECOVERABLE,
                Step("nemesis", RaiseRecoverableError(AFU), When(phase="reset")),
                NOTICED,
                NOTICED,
            ),
            "recovery/after-reset-slot-reset-not-quiesce",
        ),
        ((*ATTACHED, WAIT, RECOVERABLE, NOTICED), "context/life-attach-release-irqs-detach-not-nothing"),
        (
            (
                *ATTACHED,
                WAIT,
                Step("nemesis", AnswerHcall("H_DETACH_CA_PROCESS", -1, 1)),
                WAIT,
                Step("a0", ExitActor()),
                WAIT,
            ),
            "log/says-nothing-not-warning-in-__detach_context",
        ),
        (
            (
                Step("nemesis", RaiseTransientError("afu0.1", 3_500)),
                Step("nemesis", ResetCard("card0", True)),
                Step("nemesis", RaiseRecoverableError("afu0.1")),
                NOTICED,
            ),
            "recovery/after-quiesce-reset-not-slot-reset",
        ),
    ],
    ids=["temporary", "permanent", "failed-reset", "detach-tracepoint", "failed-detach", "reset-unasked"],
)
def test_the_differences_that_the_architecture_names_are_found(
    steps: tuple[Step, ...], signature: str
) -> None:
    assert signature in compared(*steps).signatures


def test_an_errno_is_a_difference_and_names_the_moment() -> None:
    steps = (Step("nemesis", ResetCard("card0", False)), NOTICED, OPEN, Step("a0", Attach("c0", True, -1, 1)))
    result = compared(*steps)
    assert "operation/ioctl-start_work-settled-ok-not-ebusy" in result.signatures
    [difference] = [item for item in result.differences if item.kind == "operation"]
    assert difference.step == 3
    assert difference.records_a
    assert difference.records_b
    assert "EBUSY" in difference.sentence


def test_a_value_is_a_difference() -> None:
    assert (
        "value/read_file-afu_err_buff-text-not-empty" in compared(Step("a0", ReadErrorBuffer(AFU))).signatures
    )
    asked = compared(OPEN, Step("a0", QueryContext("c0", "GET_PROCESS_ELEMENT")))
    assert "value/ioctl-get_process_element-number-not-another-number" in asked.signatures


# What is none ----------------------------------------------------------------------------------------------


def test_what_follows_from_a_difference_is_a_consequence() -> None:
    again = Step("a0", QueryContext("c0", "GET_AFU_ID"))
    steps = (Step("nemesis", ResetCard("card0", False)), NOTICED, *ATTACHED, again)
    result = compared(*steps)
    assert {item.signature for item in result.differences if item.kind == "operation"} == {
        "operation/ioctl-start_work-settled-ok-not-ebusy"
    }
    assert "consequence" in rules(result)


def test_before_the_reaction_and_after_it_is_only_timing() -> None:
    early, late = Step("harness", Pause(200)), Step("harness", Pause(1_500))
    query = Step("a0", QueryContext("c0", "GET_AFU_ID"))
    first = Runner(host()).perform(case(*ATTACHED, WAIT, RECOVERABLE, early, query)).history
    second = Runner(host()).perform(case(*ATTACHED, WAIT, RECOVERABLE, late, query)).history
    result = compare(first, second)
    assert not [item for item in result.differences if item.kind == "operation"]


def test_a_step_whose_moment_never_comes_is_no_difference_of_its_own() -> None:
    steps = (
        *ATTACHED,
        WAIT,
        TEMPORARY,
        Step("a0", QueryContext("c0", "GET_AFU_ID"), When(phase="quiesce")),
        WAIT,
    )
    result = compared(*steps)
    assert "trigger" in rules(result)
    assert not [item for item in result.differences if item.kind == "operation"]


def test_a_kill_on_one_host_only_excuses_its_victim() -> None:
    kill = Step("nemesis", KillActor("a0"), When(phase="quiesce"))
    result = compared(
        *ATTACHED, WAIT, TEMPORARY, kill, NOTICED, Step("a0", QueryContext("c0", "GET_AFU_ID")), WAIT
    )
    assert not [item for item in result.differences if item.kind == "operation"]


def test_a_history_that_ends_early_says_nothing_of_what_would_have_followed() -> None:
    result = compared(TEMPORARY, Step("harness", Pause(2_000)))
    assert "recovery/first-quiesce-not-nothing" not in result.signatures
    assert rules(result) == {"unfinished"}


def test_every_rule_has_its_reason() -> None:
    assert all(reason for reason in TOLERANCES.values())


# Two hosts -------------------------------------------------------------------------------------------------

NOISE = tuple(Step("harness", Pause(n)) for n in range(1, 12))
BIG = case(*NOISE[:5], Step("a1", Open("c9", "afu1.0", "s")), *NOISE[5:], TEMPORARY, NOTICED, WAIT)


def run(
    *cases: Case,
    a: Callable = REFERENCE_HOST,
    b: Callable = LINUX_HOST,
    allowed: dict[str, str] | None = None,
) -> Result:
    twins = Twins((a, b), allowed or {}, times=2)
    try:
        return twins.run(iter(cases), Deadline.after(20))
    finally:
        twins.close()


def test_a_difference_is_minimised_and_counted() -> None:
    result = run(BIG, case(TEMPORARY, NOTICED))
    [found] = result.found.values()
    assert found.difference.signature == "recovery/first-quiesce-not-nothing"
    assert found.minimised_from == len(BIG.steps)
    trouble, pause = found.case.steps  # another trouble may show it, too
    assert (trouble.actor, pause) == ("nemesis", NOTICED)
    assert found.is_one_minimal
    assert found.count == 2
    assert result.exit_code is ExitCode.FAIL


def test_what_is_allowed_is_found_and_passes() -> None:
    result = run(BIG, allowed={"recovery/first-quiesce-not-nothing": "Linux notes it"})
    [found] = result.found.values()
    assert found.reason == "Linux notes it"
    assert result.exit_code is ExitCode.PASS
    assert any("Linux notes it" in line for line in text(result, {}))


def test_the_same_host_twice_passes_and_nothing_performed_is_told_apart() -> None:
    assert run(BIG, b=host()).exit_code is ExitCode.PASS
    assert run().exit_code is ExitCode.NOTHING_RAN


def test_a_mutant_is_found() -> None:
    result = run(case(RECOVERABLE, NOTICED), b=host("SkipsReset"))
    assert "recovery/after-quiesce-reset-not-nothing" in result.found


def test_hosts_that_do_not_match_are_refused_with_every_reason() -> None:
    with pytest.raises(UsageError, match="platforms: powervm and powernv"):
        Twins((host(), host(platform=Platform.POWERNV)), {})
    with pytest.raises(UsageError, match="AFUs"):
        Twins((host(), lambda: InprocHost("fake", FakeSimulated())), {})


def test_a_case_that_the_hosts_cannot_perform_is_trouble() -> None:
    result = run(Case((OPEN,), Platform.POWERVM, needs=frozenset({"teleport"})))
    assert result.exit_code is ExitCode.INFRA
    assert "lacks what case" in result.troubles[0]


def test_what_only_one_schedule_showed_is_named() -> None:
    result = Result((REFERENCE, LINUX), 1, 2)
    result.chance["case/end-null-pointer-cxl_remove-not-played"] += 1
    assert any("cxl_remove" in line for line in text(result, {}))


def test_a_lost_host_is_opened_again_and_a_hopeless_one_ends_it() -> None:
    class Dying(InprocHost):
        def replies(self, timeout_s: float) -> list[bytes]:
            raise InfraError("the host has gone")

    def dying() -> InprocHost:
        return Dying("dying", SimulatedHost(Platform.POWERVM))

    result = run(*[case(OPEN, seed=n) for n in range(20)], b=dying)
    assert result.cases == 0
    assert result.exit_code is ExitCode.INFRA
    assert 2 <= len(result.troubles) < 20


def test_a_difference_dominates_lab_trouble() -> None:
    result = run(BIG, Case((OPEN,), Platform.POWERVM, needs=frozenset({"teleport"})))
    assert result.troubles
    assert result.exit_code is ExitCode.FAIL


def test_a_mode_change_that_is_refused_on_one_host_is_a_difference() -> None:
    steps = (Step("nemesis", RaiseUnrecoverableError(AFU)), NOTICED, Step("nemesis", ChangeMode(AFU, "none")))
    assert "operation/write_file-mode-settled-eio-not-ok" in compared(*steps).signatures


# The list and the command -----------------------------------------------------------------------------------

LIST = """schema = 1
hosts = ["qemu://powervm*", "sim://powervm?driver=linux-6.1"]
[[allowed]]
signature = "log/says-x-not-nothing"
reason = "understood"
"""


def test_a_list_is_for_its_hosts_in_their_order() -> None:
    allowed = {"log/says-x-not-nothing": "understood"}
    assert load(LIST, "l", ("qemu://powervm?clock=real", LINUX)) == allowed
    assert load(LIST, "l", ("qemu://powervm", LINUX)) == allowed
    assert load(LIST, "l", (LINUX, "qemu://powervm")) == {}
    assert load(LIST, "l", (REFERENCE, LINUX)) == {}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("reason", "because"), "l: allowed[0].because: this key is unknown"),
        (('"understood"', '""'), "l: allowed[0].reason"),
        (("log/says", "says"), "l: allowed[0].signature"),
        (("schema = 1", "schema = 2"), "l: schema"),
        (('"qemu://powervm*", ', ""), "l: hosts"),
    ],
)
def test_mistakes_in_a_list_are_said_with_their_place(change: tuple[str, str], says: str) -> None:
    with pytest.raises(UsageError) as raised:
        load(LIST.replace(*change), "l", (REFERENCE, LINUX))
    assert says in str(raised.value)


def test_an_entry_that_is_there_twice_is_a_mistake() -> None:
    with pytest.raises(UsageError, match="is there twice"):
        load(LIST + LIST.partition("]\n")[2], "l", (REFERENCE, LINUX))


def test_the_command_writes_a_report_and_the_smallest_cases(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "big.json").write_text(casefile.dump(BIG))
    arguments = ["twin", REFERENCE, LINUX, "--cases", "big.json"]
    done = CliRunner().invoke(cli.app, [*arguments, "--out", "out"])
    assert done.exit_code == ExitCode.FAIL
    assert "1 cases" not in done.stdout
    report = json.loads((tmp_path / "out/twin.json").read_text())
    assert report["hosts"] == [REFERENCE, LINUX]
    [difference] = report["differences"]
    assert difference["a"]["excerpt"]
    assert difference["steps"] < difference["minimised_from"]
    smallest = casefile.load((tmp_path / difference["case"]).read_text(), registry.events())
    assert smallest.signature == difference["signature"] == "recovery/first-quiesce-not-nothing"
    drawn = CliRunner().invoke(cli.app, ["twin", REFERENCE, REFERENCE, "--budget", "2cases", "--seed", "5"])
    assert drawn.exit_code == ExitCode.PASS
    assert (tmp_path / "reports/runs/twin/latest/twin.json").exists()


def test_every_mistake_of_the_command_is_said_at_once() -> None:
    done = CliRunner().invoke(
        cli.app, ["twin", "sim://nowhere", "sim://powervm?driver=bsd", "--budget", "soon"]
    )
    assert isinstance(done.exception, UsageError)
    said = str(done.exception)
    assert "nowhere" in said
    assert "bsd" in said
    assert "--budget" in said


def test_the_list_of_the_reference_driver_has_what_the_architecture_names() -> None:
    allowed = read(Path(__file__).parents[2] / "fixtures/twin", (REFERENCE, LINUX))
    assert {
        "recovery/first-quiesce-not-nothing",
        "recovery/first-quiesce-not-failed-permanently",
        "recovery/after-reset-slot-reset-not-quiesce",
        "context/life-attach-release-irqs-detach-not-nothing",
        "log/says-nothing-not-warning-in-__detach_context",
    } <= allowed.keys()
