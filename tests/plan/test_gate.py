"""The gate's truth table: FAIL dominates, no evidence is no pass, and each reason has its numbers."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from harness.plan import knownissues
from harness.plan.gate import decide, name_known_issues
from harness.plan.testplan import Known, load
from harness.vocab.campaign import Bug, Campaign, Ended, HostIdentity
from harness.vocab.topology import BOTH_PLATFORMS, Platform
from harness.vocab.verdict import ExitCode, Verdict

NV, VM = "sim://powernv", "sim://powervm"
TODAY = date(2026, 11, 21)
KNOWN = Known(
    {"Attach": BOTH_PLATFORMS, "DropLink": frozenset({Platform.POWERNV})}, ("contexts_purged", "exercised")
)
PLAN = load(
    """schema = 1
name = "n"
hosts = ["sim://powernv", "sim://powervm"]
budget = "60s"
[must_see]
phases = ["confirmed", "reset"]
events = ["Attach", "DropLink"]
runs = 50
[gate]
vacuous_percent = 20
unknown_percent = 1
""",
    "n.toml",
    KNOWN,
)
ISSUES = knownissues.load(
    'schema = 1\n[[issue]]\nsignature = "contexts_purged/twice"\nreason = "tracked as 7"\nowner = "ann"\n'
    "expires = 2026-12-31\n",
    "k.toml",
)
NONE = knownissues.NO_KNOWN_ISSUES
BUG = Bug("contexts_purged/twice", "pe 1 was purged twice", 4, 17, NV)


def campaign(
    nv: dict[str, int] | None = None, vm: dict[str, int] | None = None, **changes: object
) -> Campaign:
    """A good campaign of 200 runs, with the counts of either host changed."""
    by_host = {NV: {"pass": 100, **(nv or {})}, VM: {"pass": 100, **(vm or {})}}
    counts: dict[str, int] = {}
    for own in by_host.values():
        for key, number in own.items():
            counts[key] = counts.get(key, 0) + number
    seen = {f"{key}@{url}": 9 for key in ("phase:reset", "event:Attach") for url in (NV, VM)}
    seen |= {f"phase:confirmed@{NV}": 9, f"event:DropLink@{NV}": 9}
    good = Campaign(
        "n", "N", 1, "2026-11-21T02:00:00Z", 60.0, Ended.BUDGET, "60s",
        hosts=(HostIdentity(NV, "powernv", "6.1"), HostIdentity(VM, "powervm", "6.1")),
        counts=counts, by_host=by_host, seen=seen, oracles=KNOWN.oracles,
    )  # fmt: skip
    return replace(good, **changes)


def without(key: str) -> dict[str, int]:
    return {name: number for name, number in campaign().seen.items() if name != key}


def only(url: str) -> Campaign:
    """The campaign of one host, whose `seen` has totals only."""
    good = campaign()
    seen = {key.partition("@")[0]: n for key, n in good.seen.items() if key.endswith(url)}
    hosts = tuple(host for host in good.hosts if host.url == url)
    return replace(good, hosts=hosts, by_host={url: {"pass": 100}}, counts={"pass": 100}, seen=seen)


LOST = {"unknown-infra": 9}
EMPTY = {"counts": {}, "by_host": {}, "seen": {}}
TRUTH = [
    # name, campaign, issues, exit code, a part of a reason
    ("good", campaign(), NONE, ExitCode.PASS,
     "200 runs judged by 2 oracles on sim://powernv, sim://powervm."),
    ("one host with totals only", only(NV), NONE, ExitCode.PASS, "100 runs judged"),
    ("tolerated vacuous", campaign({"unknown-vacuous": 25}), NONE, ExitCode.PASS, "25 of 225 runs (11.1 %)"),
    ("tolerated unknown", campaign({"unknown-infra": 2}), NONE, ExitCode.PASS, "2 of 202 runs (1.0 %)"),
    ("tolerated, exhausted", campaign(ended=Ended.EXHAUSTED), NONE, ExitCode.PASS, "200 runs"),
    ("trouble that lost no run", campaign(trouble=("reopened",)), NONE, ExitCode.PASS, "200 runs"),
    ("known bug", campaign({"fail": 4}, bugs=(BUG,)), ISSUES, ExitCode.PASS,
     "excused until 2026-12-31: tracked as 7"),
    ("new bug", campaign({"fail": 4}, bugs=(BUG,)), NONE, ExitCode.FAIL,
     "1 bug not known before: contexts_purged/tw"),
    ("nameless failure", campaign({"fail": 4}), NONE, ExitCode.FAIL,
     "4 runs failed without a signature on record."),
    ("nothing ran", campaign(**EMPTY), NONE, ExitCode.NOTHING_RAN, "Nothing ran, so nothing is known."),
    ("no host at all", campaign(hosts=(), **EMPTY), NONE, ExitCode.NOTHING_RAN, "Nothing ran"),
    ("a host did nothing", campaign(by_host={NV: {"pass": 200}}), NONE, ExitCode.NOTHING_RAN,
     f"0 judged runs on {VM};"),
    ("too few runs", campaign(vm={"pass": 49}), NONE, ExitCode.NOTHING_RAN,
     f"49 judged runs on {VM}; the plan asks for 50"),
    ("too vacuous", campaign(vm={"unknown-vacuous": 26}), NONE, ExitCode.NOTHING_RAN,
     f"26 of 126 runs (20.6 %) on {VM}"),
    ("phase not seen", campaign(seen=without(f"phase:reset@{VM}")), NONE, ExitCode.NOTHING_RAN,
     f"{VM} never showed the phase reset."),
    ("event not seen", campaign(seen=without(f"event:DropLink@{NV}")), NONE, ExitCode.NOTHING_RAN,
     f"{NV} never showed the event DropLink."),
    ("totals of two hosts prove nothing", campaign(seen={"phase:reset": 9}), NONE, ExitCode.NOTHING_RAN,
     "never showed"),
    ("lab trouble", campaign({"unknown-infra": 3}), NONE, ExitCode.INFRA,
     "3 of 203 runs (1.5 %) lost to lab trouble"),
    ("no host was left", campaign(ended=Ended.INFRA), NONE, ExitCode.INFRA,
     "No host was left after 200 runs."),
    ("only lab trouble", campaign(counts=LOST, by_host={NV: LOST}, seen={}), NONE,
     ExitCode.INFRA, "9 of 9 runs (100.0 %) lost to lab trouble"),
    ("undecided", campaign({"unknown-indeterminate": 3}), NONE, ExitCode.UNKNOWN,
     "3 of 203 runs (1.5 %) could not be"),
    ("broken oracle", campaign({"unknown-oracle-error": 3}), NONE, ExitCode.UNKNOWN, "made an oracle break"),
    ("not the same twice", campaign({"unknown-nondeterminism": 3}), NONE, ExitCode.UNKNOWN,
     "3 of 203 runs (1.5 %) were not the same when they were performed again"),
    ("undecided beside lab trouble", campaign({"unknown-infra": 2, "unknown-indeterminate": 2}), NONE,
     ExitCode.UNKNOWN,
     "2 of 204 runs (1.0 %) could not be decided"),
    ("interrupted", campaign(ended=Ended.INTERRUPTED), NONE, ExitCode.INTERRUPTED,
     "interrupted after 200 runs"),
    ("interrupted early", campaign(ended=Ended.INTERRUPTED, **EMPTY), NONE, ExitCode.INTERRUPTED,
     "after 0 runs"),
    ("interrupted with a bug", campaign({"fail": 4}, bugs=(BUG,), ended=Ended.INTERRUPTED), NONE,
     ExitCode.FAIL,
     "1 bug"),
    ("a bug beside lab trouble", campaign({"fail": 4, "unknown-infra": 90}, bugs=(BUG,)), NONE, ExitCode.FAIL,
     "1 bug"),
    ("a known bug beside a new one", campaign({"fail": 8}, bugs=(BUG, replace(BUG, signature="x/y"))), ISSUES,
     ExitCode.FAIL, "1 bug not known before: x/y (4 runs)."),
]  # fmt: skip


@pytest.mark.parametrize(
    ("that", "issues", "code", "said"), [row[1:] for row in TRUTH], ids=[row[0] for row in TRUTH]
)
def test_the_truth_table(that, issues, code, said):
    gate = decide(that, PLAN, issues, TODAY)
    assert gate.exit_code is code, gate.reasons
    assert any(said in reason for reason in gate.reasons), gate.reasons
    expected = {ExitCode.PASS: Verdict.PASS, ExitCode.FAIL: Verdict.FAIL}.get(code, Verdict.UNKNOWN)
    assert gate.verdict is expected
    assert gate.is_released is (code is ExitCode.PASS)
    assert all(reason.endswith(".") for reason in gate.reasons)


def test_an_expired_issue_fails_even_a_good_night():
    gate = decide(campaign(), PLAN, ISSUES, date(2027, 1, 2))
    assert gate.exit_code is ExitCode.FAIL
    assert "contexts_purged/twice of ann expired 2 days ago, on 2026-12-31" in gate.reasons[0]


def test_known_issues_can_be_ignored():
    that = campaign({"fail": 4}, bugs=(BUG,))
    assert decide(that, PLAN, ISSUES, TODAY).exit_code is ExitCode.PASS
    assert decide(that, PLAN, ISSUES, TODAY, ignore_known=True).exit_code is ExitCode.FAIL
    assert decide(campaign(), PLAN, ISSUES, date(2027, 1, 2), ignore_known=True).exit_code is ExitCode.PASS


def test_failing_runs_of_a_known_bug_are_judged_runs():
    that = campaign({"pass": 46, "fail": 4}, bugs=(BUG,))
    assert decide(that, PLAN, ISSUES, TODAY).is_released


def test_many_bugs_are_named_briefly():
    bugs = tuple(replace(BUG, signature=f"oracle/kind-{i}") for i in range(500))
    (reason,) = decide(campaign({"fail": 4}, bugs=bugs), PLAN, NONE, TODAY).reasons
    assert reason.startswith("500 bugs not known before: oracle/kind-0 (4 runs), ")
    assert reason.endswith(" and 492 more.")


def test_bugs_are_told_their_excuse():
    other = replace(BUG, signature="x/y", known_issue="stale words")
    first, second = name_known_issues((BUG, other), ISSUES, TODAY)
    assert first.known_issue == "tracked as 7"
    assert second.known_issue == ""
    assert name_known_issues((BUG,), ISSUES, date(2027, 1, 2))[0].known_issue == ""
