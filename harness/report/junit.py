"""junit.xml in the xunit2 form, for CI servers: one suite a host, one test case an oracle.

Rules: the names of suites and test cases are the same every night, so that a CI server can follow them. An
oracle that found a bug is a failure, unless all its bugs are known issues: then it is skipped, with the
reasons. Unknown runs are an error with their cause, unless the release goes all the same; so is a gate that
is closed for want of evidence.
"""

# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

from collections.abc import Iterator

from junitparser import Error, Failure, Skipped
from junitparser.xunit2 import JUnitXml, TestCase, TestSuite

from harness.report.escape import block, line
from harness.report.figures import CAUSES, count, identity, steps_of, urls
from harness.vocab.campaign import Bug, Campaign, Gate
from harness.vocab.verdict import Verdict

_GATE_SUITE = "gate"
_DECLARATION = '<?xml version="1.0" encoding="utf-8"?>\n'


def render(campaign: Campaign, gate: Gate) -> str:
    """junit.xml as text."""
    report = JUnitXml(line(campaign.plan))
    report.append(_gate_suite(campaign, gate))
    for url in urls(campaign):
        report.append(_host_suite(campaign, gate, url))
    report.update_statistics()
    text = report.tostring()
    return f"{_DECLARATION}{text.decode() if isinstance(text, bytes) else text}\n"


def _gate_suite(campaign: Campaign, gate: Gate) -> TestSuite:
    suite = _suite(campaign, _GATE_SUITE)
    case = _case(campaign, _GATE_SUITE, "release")
    reasons = block("\n".join(gate.reasons))
    if gate.verdict is not Verdict.PASS:
        what = Failure if gate.verdict is Verdict.FAIL else Error
        case.result = [_result(what, line(gate.reasons[0] if gate.reasons else "no reason"), "gate", reasons)]
    case.system_out = reasons
    suite.add_testcase(case)
    return suite


def _host_suite(campaign: Campaign, gate: Gate, url: str) -> TestSuite:
    host = identity(campaign, url)
    suite = _suite(campaign, line(url))
    suite.hostname = line(host.hostname or url)
    facts = {"platform": host.platform, "kernel": host.kernel, **host.versions}
    for name, text in facts.items():
        suite.add_property(line(name), line(text))
    bugs = [bug for bug in campaign.bugs if url in bug.hosts]
    for case in (*_oracle_cases(campaign, url, bugs), *_cause_cases(campaign, gate, url)):
        suite.add_testcase(case)
    return suite


def _oracle_cases(campaign: Campaign, url: str, bugs: list[Bug]) -> Iterator[TestCase]:
    by_oracle: dict[str, list[Bug]] = {name: [] for name in campaign.oracles}
    for bug in bugs:
        by_oracle.setdefault(bug.signature.partition("/")[0], []).append(bug)
    counts = campaign.by_host.get(url, {})
    for oracle, found in by_oracle.items():
        case = _case(campaign, url, oracle)
        new = [bug for bug in found if not bug.known_issue]
        if new:
            text = "\n\n".join(_told(bug) for bug in found)
            case.result = [_result(Failure, line(new[0].message), new[0].signature, block(text))]
        elif found:
            reasons = "; ".join(f"{bug.signature}: {bug.known_issue}" for bug in found)
            case.result = [_result(Skipped, line(f"known issue: {reasons}", 1000), "known-issue", "")]
        elif not counts.get("pass", 0) + counts.get("fail", 0):
            case.result = [_result(Error, "no run was judged", "nothing-ran", "")]
        yield case


def _told(bug: Bug) -> str:
    known = f"Known issue: {bug.known_issue}\n" if bug.known_issue else ""
    replay = f"\nReplay: {bug.replay}" if bug.replay else ""
    return f"{bug.signature}: {bug.message}\n{known}{count(bug.count, 'run')}, {steps_of(bug)}{replay}"


def _cause_cases(campaign: Campaign, gate: Gate, url: str) -> Iterator[TestCase]:
    counts = campaign.by_host.get(url, {})
    runs = sum(counts.values())
    for key, words in CAUSES:
        cause = key.removeprefix("unknown-")
        case = _case(campaign, url, f"no-{cause}")
        if number := counts.get(key, 0):
            told = f"{number:,} of {count(runs, 'run')} {words}"
            trouble = block("\n".join(campaign.trouble)) if cause == "infra" else ""
            if gate.is_released:
                case.system_out = told
            else:
                case.result = [_result(Error, told, cause, trouble)]
        yield case


def _suite(campaign: Campaign, name: str) -> TestSuite:
    suite = TestSuite(f"{line(campaign.plan)} {name}")
    suite.timestamp = line(campaign.started)
    suite.add_property("plan", line(campaign.plan))
    suite.add_property("seed", str(campaign.seed))
    suite.add_property("duration_s", f"{campaign.duration_s:.3f}")
    for key, text in campaign.versions.items():
        suite.add_property(line(key), line(text))
    return suite


def _case(campaign: Campaign, place: str, name: str) -> TestCase:
    return TestCase(line(name), classname=f"{line(campaign.plan)}.{line(place)}", time=0)


def _result(
    what: type[Failure] | type[Error] | type[Skipped], message: str, kind: str, text: str
) -> Failure | Error | Skipped:
    result = what(message, line(kind))
    result.text = text
    return result
