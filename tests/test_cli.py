"""The command line: every documented exit code, mistakes told without traceback, files that work again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness import cli, registry
from harness.hosts import urls
from harness.hosts.inproc import InprocHost
from harness.run import replay
from harness.run.judge import judge
from harness.run.runner import Runner
from harness.vocab.errors import InfraError
from harness.wire import casefile
from tests.run.cases import BAD_CASE, GOOD_CASE, NO_BAD_VALUE, RAISES, UNDECIDED
from tests.run.fake import FakeSimulated

ROOT = Path(__file__).parents[1]
PLAN = """
schema = 1
name = "tiny"
title = "A tiny plan"
hosts = ["sim://powervm"]
budget = "20cases"
[draw]
steps = [3, 3]
errors = [0, 0]
[cases]
saved = ["cases"]
[must_see]
events = [{events}]
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A directory with a plan and a saved case, where ``sim://`` is the stand-in and one oracle judges."""
    (tmp_path / "cases").mkdir()
    (tmp_path / "cases" / "bad.json").write_text(casefile.dump(BAD_CASE, "no_bad_value/bad-value"))
    (tmp_path / "plan.toml").write_text(PLAN.format(events='"Open"'))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        urls, "SCHEMES", {**urls.SCHEMES, "sim": urls.SCHEMES["sim"]._replace(open=fake_host)}
    )
    judge_by(monkeypatch, NO_BAD_VALUE)
    return tmp_path


def fake_host(parts: urls.Parts) -> InprocHost:
    mutant = os.environ.get("TEST_MUTANT", "")
    if mutant == "absent":
        raise InfraError("nobody answers")
    return InprocHost(parts.url, FakeSimulated(mutant=mutant))


def judge_by(monkeypatch, *oracles) -> None:
    monkeypatch.setattr(registry, "oracles", lambda: {oracle.name: oracle for oracle in oracles})


def harness(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        cli.main([str(argument) for argument in arguments])
    assert isinstance(ended.value.code, int)
    return ended.value.code


def test_a_run_without_complaints_exits_0_and_leaves_every_report(place, capsys) -> None:
    assert harness("run", "plan.toml", "--seed", 3) == 0
    latest = place / "reports" / "runs" / "latest"
    for name in (
        "plan.toml",
        "campaign.json",
        "runs.jsonl",
        "summary.md",
        "junit.xml",
        "gate.json",
        "report.html",
    ):
        assert (latest / name).stat().st_size
    said = capsys.readouterr().out
    assert "seed 3" in said
    assert "report.html" in said
    assert json.loads((latest / "gate.json").read_text())["counts"]["pass"] == 20


def test_a_bug_exits_1_and_its_case_fails_again_by_replay(place, monkeypatch, capsys) -> None:
    monkeypatch.setenv("TEST_MUTANT", "bad")
    assert harness("run", "plan.toml", "--out", "out") == 1
    assert "no_bad_value/bad-value" in capsys.readouterr().out
    saved = place / "out" / "bugs" / "no-bad-value-bad-value.json"
    assert harness("replay", saved, "--times", 4) == 1
    assert "refail rate: 4 of 4" in capsys.readouterr().out
    assert harness("judge", "out") == 1
    assert harness("gate", "out", "--explain") == 1
    (place / "out" / "report.html").unlink()
    assert harness("report", "out") == 0
    assert "no_bad_value" in (place / "out" / "report.html").read_text()
    monkeypatch.delenv("TEST_MUTANT")
    assert harness("replay", saved) == 0


def test_what_cannot_be_decided_exits_2(place, monkeypatch) -> None:
    judge_by(monkeypatch, NO_BAD_VALUE, RAISES)
    assert harness("run", "plan.toml") == 2
    assert harness("judge", "reports/runs/latest") == 2


def test_a_host_that_cannot_be_reached_exits_3(place, monkeypatch, capsys) -> None:
    monkeypatch.setenv("TEST_MUTANT", "absent")
    assert harness("run", "plan.toml") == 3
    assert harness("replay", "cases/bad.json") == 3
    assert harness("hosts", "check", "sim://powervm") == 3
    assert "nobody answers" in capsys.readouterr().err


def test_what_was_not_seen_or_did_nothing_exits_5(place, monkeypatch) -> None:
    (place / "plan.toml").write_text(PLAN.format(events='"Open", "RaiseRecoverableError"'))
    assert harness("run", "plan.toml") == 5
    judge_by(monkeypatch, UNDECIDED)
    assert harness("replay", "cases/bad.json") == 5
    assert harness("judge", "reports/runs/latest") == 5


def test_a_bug_dominates_lab_trouble(place, monkeypatch) -> None:
    monkeypatch.setenv("TEST_MUTANT", "bad")
    judge_by(monkeypatch, NO_BAD_VALUE, RAISES)
    assert harness("run", "plan.toml", "--host", "sim://powervm", "--host", "sim://powervm") == 1


MISTAKES = {
    "no command": (),
    "unknown command": ("fly",),
    "missing argument": ("run",),
    "missing file": ("run", "nowhere.toml"),
    "bad budget": ("run", "plan.toml", "--budget", "5 parsecs"),
    "bad seed": ("run", "plan.toml", "--seed", "-1"),
    "bad scheme": ("run", "plan.toml", "--host", "gopher://x"),
    "bad platform": ("hosts", "check", "sim://x86"),
    "bad mutant": ("replay", "cases", "--host", "sim://powervm?mutant=Nobody"),
    "bad query": ("hosts", "check", "sim://powervm?speed=9"),
    "no case": ("replay", "nowhere.json"),
    "no run directory": ("judge", "cases"),
    "no campaign": ("gate", "cases"),
    "not a report": ("report", "nowhere"),
    "occupied": ("run", "plan.toml", "--out", "cases"),
    "bad list": ("list", "wishes"),
    "bad times": ("replay", "cases", "--times", "0"),
}


@pytest.mark.parametrize("arguments", MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_exits_4_with_words_and_no_traceback(arguments, place, capsys) -> None:
    assert harness(*arguments) == 4
    said = capsys.readouterr().err
    assert said.strip()
    assert "Traceback" not in said


def test_all_mistakes_of_all_cases_are_told_at_once_and_nothing_is_performed(place, capsys) -> None:
    good = casefile.dump(GOOD_CASE)
    texts = {
        "cut.json": good[: len(good) // 2],
        "type.json": good.replace('"schema": 2', '"schema": "one"'),
        "future.json": good.replace('"schema": 2', '"schema": 99'),
        "event.json": good.replace('"Open"', '"Opne"'),
        "path.json": good.replace('"c0"', '"../../etc/passwd"'),
        "long.json": good.replace('"steps": [', '"steps": [' + '{"actor": "a0"},' * 1_000_000),
    }
    for name, text in texts.items():
        (place / "cases" / name).write_text(text)
    assert harness("run", "plan.toml") == 4
    said = capsys.readouterr().err
    assert all(name in said for name in texts)
    assert "did you mean" in said
    assert not (place / "reports").exists()


def test_a_plan_with_mistakes_lists_all_of_them(place, capsys) -> None:
    (place / "plan.toml").write_text(PLAN.format(events='"Opne"') + "\n[keep]\npasing = 3\n")
    assert harness("run", "plan.toml", "--host", "sim://powervm") == 4
    said = capsys.readouterr().err
    assert "Opne" in said
    assert "pasing" in said


def test_a_defect_of_the_harness_is_shown_and_does_not_look_like_a_bug_found(
    place, monkeypatch, capsys
) -> None:
    def broken() -> None:
        raise LookupError("a defect")

    monkeypatch.setattr(registry, "oracles", broken)
    assert harness("list", "oracles") == 3
    assert "LookupError: a defect" in capsys.readouterr().err


def test_json_is_all_that_is_printed_when_asked_for(place, capsys) -> None:
    assert harness("run", "plan.toml", "--json") == 0
    assert json.loads(capsys.readouterr().out)["exit_code"] == 0
    assert harness("list", "oracles", "--json") == 0
    assert json.loads(capsys.readouterr().out)[0]["name"] == "no_bad_value"


def test_a_case_is_shown_one_line_a_step(place, capsys) -> None:
    assert harness("show", "cases/bad.json") == 0
    said = capsys.readouterr().out
    assert sum(f" {type(step.event).__name__}" in said for step in BAD_CASE.steps) == len(BAD_CASE.steps)


@pytest.mark.parametrize(("oracle", "code"), [(NO_BAD_VALUE, 1), (UNDECIDED, 130)], ids=["fails", "unknown"])
def test_a_failure_that_a_replay_has_seen_outlives_its_interruption(monkeypatch, oracle, code) -> None:
    def interrupted(*_arguments):
        history = Runner(lambda: InprocHost("inproc:", FakeSimulated(mutant="bad"))).perform(BAD_CASE).history
        yield replay.Replayed(
            Path("one.json"), casefile.SavedCase(BAD_CASE, ""), "a:", [judge(history, [oracle])]
        )
        raise KeyboardInterrupt

    monkeypatch.setattr(replay, "replay", interrupted)
    path = next(iter(sorted(Path("fixtures/cases/regress").rglob("*.json"))))
    assert cli._exit_code(["replay", str(path)]) == code


@pytest.mark.parametrize("command", ["run", "replay", "judge", "gate", "hosts check"])
def test_help_documents_the_exit_codes(command, capsys) -> None:
    assert harness(*command.split(), "--help") == 0
    said = " ".join(capsys.readouterr().out.split())
    codes = "0 pass, 1 fail, 2 unknown, 3 infrastructure, 4 usage, 5 nothing ran or vacuous, 130 interrupted"
    assert codes in said
    assert f"harness {command}" in said.replace("Usage: harness", "")


def test_help_is_quick() -> None:
    began = time.monotonic()
    subprocess.run([sys.executable, "-m", "harness.cli", "--help"], check=True, capture_output=True, cwd=ROOT)
    assert time.monotonic() - began < 2
    program = (
        "import harness.cli, sys\n"
        "print([name for name in ('pydantic', 'paramiko', 'hypothesis') if name in sys.modules])"
    )
    told = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, cwd=ROOT
    )
    assert told.stdout == "[]\n"


# From here on with the simulator itself, over SSH, in processes of their own.


def start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "harness.cli", *arguments],
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
def test_an_interrupted_run_ends_in_seconds_with_reports(number, tmp_path) -> None:
    process = start("run", "testplans/nightly.toml", "--budget", "60s", "--out", str(tmp_path / "out"))
    wait_for_runs(process, tmp_path / "out", 5)
    process.send_signal(number)
    began = time.monotonic()
    out, err = process.communicate(timeout=30)
    assert time.monotonic() - began < 15
    gate = json.loads((tmp_path / "out" / "gate.json").read_text())
    assert process.returncode == gate["exit_code"]
    assert gate["exit_code"] == (1 if gate["bugs"] else 130)
    assert gate["ended"] == "interrupted"
    assert "Traceback" not in out + err
    assert (tmp_path / "out" / "report.html").exists()


def test_a_run_killed_at_any_moment_leaves_valid_prefixes_and_can_be_judged_and_gated(tmp_path) -> None:
    process = start("run", "testplans/nightly.toml", "--budget", "60s", "--out", str(tmp_path / "out"))
    wait_for_runs(process, tmp_path / "out", 5)
    process.kill()
    process.communicate()
    assert list((tmp_path / "out" / "inflight").iterdir())
    judged = start("judge", str(tmp_path / "out"))
    said, errors = judged.communicate(timeout=60)
    assert "inflight/" in said
    assert "cannot be read" not in said
    assert not errors
    assert judged.returncode in {1, 2, 5}
    gated = start("gate", str(tmp_path / "out"))
    gated.communicate(timeout=60)
    assert gated.returncode in {1, 130}


def wait_for_runs(process: subprocess.Popen[str], directory: Path, count: int) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end and process.poll() is None:
        try:
            if len((directory / "runs.jsonl").read_bytes().splitlines()) >= count:
                return
        except OSError:
            pass
        time.sleep(0.05)
    process.kill()
    raise AssertionError(f"the campaign did not begin: {process.communicate()}")


def test_a_served_host_prints_a_line_that_works_and_ends_on_ctrl_c() -> None:
    process = start("sim", "serve", "--platform", "powernv")
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith("ssh -i ")
    key = Path(line.split()[2])
    assert key.exists()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert process.returncode == 0
    assert not key.exists()


def test_a_simulated_host_passes_its_check() -> None:
    process = start("hosts", "check", "sim://powernv")
    said, errors = process.communicate(timeout=60)
    assert process.returncode == 0, said + errors
    assert "afu0.0" in said
