"""The pytest plugin: unnoticed where nobody uses it; plans, cases and hosts as items where somebody does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.wire import casefile
from tests.run.cases import GOOD_CASE

ROOT = Path(__file__).parents[1]
PLAN = """
schema = 1
name = "tiny"
hosts = ["sim://powernv", "sim://powervm"]
budget = "4cases"
[gate]
vacuous_percent = 100
unknown_percent = 100
known_issues = "testplans/known-issues.toml"
"""


@pytest.fixture
def project(tmp_path) -> Path:
    """A project of somebody's, with a plan and a saved case."""
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "testplans").mkdir()
    (tmp_path / "testplans" / "tiny.toml").write_text(PLAN)
    (tmp_path / "testplans" / "known-issues.toml").write_text("schema = 1\n")
    (tmp_path / "fixtures" / "cases").mkdir(parents=True)
    (tmp_path / "fixtures" / "cases" / "good.json").write_text(casefile.dump(GOOD_CASE, "no_bad_value/bad"))
    return tmp_path


def run_pytest(place: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "CAPI"))}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments],
        cwd=place,
        env={**clean, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def write_test(place: Path, text: str) -> None:
    (place / "test_it.py").write_text(text)


def test_a_project_that_does_not_use_it_does_not_notice(project) -> None:
    write_test(
        project,
        "import sys\n"
        "def test_it():\n"
        "    loaded = [n for n in sys.modules if n.split('.')[0] in ('paramiko', 'pydantic', 'asyncssh')]\n"
        "    assert not loaded and not [n for n in sys.modules if n.startswith('harness.gen')]\n",
    )
    done = run_pytest(project)
    assert done.returncode == 0, done.stdout
    assert "CAPI" not in done.stdout


def test_hypothesis_keeps_its_own_profile_until_ours_is_asked_for(project) -> None:
    write_test(
        project,
        "from hypothesis import settings\n"
        "def test_it(): print('examples:', settings().max_examples, settings().derandomize)\n",
    )
    assert "examples: 100 False" in run_pytest(project, "-s", CI="").stdout.replace("True", "False")
    assert "examples: 25 False" in run_pytest(project, "-s", "--capi-profile", "capi-dev").stdout
    (project / "pytest.ini").write_text("[pytest]\ncapi_profile = capi-nightly\n")
    assert "examples: 1000 False" in run_pytest(project, "-s", CI="true").stdout
    assert run_pytest(project, "--capi-profile", "nobody").returncode == 4


def test_plans_and_cases_become_items_on_each_host(project) -> None:
    for name in ("test_plans.py", "test_cases.py"):
        (project / name).write_text((ROOT / "testplans" / name).read_text())
    listed = run_pytest(project, "--collect-only", "-q").stdout.splitlines()
    assert [line.partition("::")[2] for line in listed if "::" in line] == [
        "test_saved_case_does_not_fail[good-sim://powervm]",
        "test_plan_releases[tiny-sim://powernv]",
        "test_plan_releases[tiny-sim://powervm]",
    ]
    one = run_pytest(project, "--collect-only", "-q", "--host", "sim://powernv").stdout
    assert "test_plan_releases[tiny-sim://powernv]" in one
    assert "sim://powervm" not in one
    assert run_pytest(project, "--collect-only", "-q", CAPI_HOST="sim://powernv").stdout.split("\n")[0] in one


def test_a_plan_is_performed_and_its_report_named(project) -> None:
    (project / "test_plans.py").write_text((ROOT / "testplans" / "test_plans.py").read_text())
    done = run_pytest(project, "--host", "sim://powernv", "--budget", "3cases")
    assert "1 passed" in done.stdout or "1 failed" in done.stdout
    report = project / "reports" / "runs" / "latest" / "report.html"
    assert report.exists()
    assert str(report.resolve()) in done.stdout


def test_a_seed_draws_the_same_cases(project) -> None:
    (project / "test_plans.py").write_text((ROOT / "testplans" / "test_plans.py").read_text())
    drawn = []
    for seed in ("7", "7", "8"):
        run_pytest(project, "--host", "sim://powernv", "--budget", "3cases", "--capi-seed", seed)
        runs = (project / "reports" / "runs" / "latest" / "runs.jsonl").read_text().splitlines()
        drawn.append([json.loads(run)["case"] for run in runs])
    assert drawn[0] == drawn[1] != drawn[2]


def test_plans_are_performed_by_several_workers(project) -> None:
    (project / "test_plans.py").write_text((ROOT / "testplans" / "test_plans.py").read_text())
    done = run_pytest(project, "-n", "2", "--budget", "3cases")
    assert "INTERNALERROR" not in done.stdout
    assert done.stdout.count("report.html") == 2, done.stdout


def test_a_test_of_ones_own_performs_cases_on_each_host(project) -> None:
    write_test(
        project,
        "from harness.run.check import smoke_case\n"
        "def test_it(capi_host):\n"
        "    judgement = capi_host.perform(smoke_case(capi_host.topology))\n"
        "    assert 'judge' not in {finding.oracle for finding in judgement.findings}\n",
    )
    done = run_pytest(project, "--host", "sim://powernv", "--host", "sim://powervm")
    assert "2 passed" in done.stdout, done.stdout


def test_a_known_issue_must_fail_until_it_is_fixed(project) -> None:
    (project / "test_cases.py").write_text((ROOT / "testplans" / "test_cases.py").read_text())
    (project / "testplans" / "known-issues.toml").write_text(
        'schema = 1\n[[issue]]\nsignature = "no_bad_value/bad"\nreason = "tracked"\nowner = "me"\n'
        "expires = 2999-01-01\n"
    )
    done = run_pytest(project)
    assert "XPASS(strict)" in done.stdout or "1 xfailed" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--host", "sim://x86", "--host", "foo"], ["x86", "foo"]),
        (["--plan", "nowhere.toml"], ["nowhere.toml"]),
        (["--budget", "5 parsecs"], ["parsecs"]),
        (["--capi-seed", "lucky"], ["lucky", "whole number"]),
    ],
)
def test_a_mistake_is_a_usage_error_of_pytest(project, arguments, words) -> None:
    (project / "test_plans.py").write_text((ROOT / "testplans" / "test_plans.py").read_text())
    done = run_pytest(project, *arguments)
    assert done.returncode == 4
    assert all(word in done.stdout + done.stderr for word in words)
    assert "Traceback" not in done.stdout + done.stderr
