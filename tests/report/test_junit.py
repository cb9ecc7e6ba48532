"""junit.xml: xunit2 that CI servers read, with stable names."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest
from junitparser import Error, Failure, Skipped
from junitparser.xunit2 import JUnitXml

from harness.report import junit
from harness.vocab.campaign import Gate
from harness.vocab.verdict import ExitCode, Verdict
from tests.report.samples import BUG, NV, RELEASED, STOPPED, VM, failing, healthy

UNKNOWN = Gate(Verdict.UNKNOWN, ExitCode.INFRA, ("3 of 2,400 runs (0.1 %) lost to lab trouble.",))

# What the schema of the xunit plugin for Jenkins allows, as far as it is used here.
ATTRIBUTES = {
    "testsuites": {"name", "time", "tests", "failures", "errors"},
    "testsuite": {"name", "tests", "failures", "errors", "skipped", "time", "timestamp", "hostname"},
    "testcase": {"name", "classname", "time"},
    "property": {"name", "value"},
    "failure": {"message", "type"}, "error": {"message", "type"}, "skipped": {"message", "type"},
    "properties": set(), "system-out": set(),
}  # fmt: skip
CHILDREN = {
    "testsuites": {"testsuite"},
    "testsuite": {"properties", "testcase"},
    "testcase": {"failure", "error", "skipped", "system-out"},
    "properties": {"property"},
}


def cases(text: str) -> dict[str, list]:
    """Results by ``classname name``."""
    report = JUnitXml.fromstring(text.encode())
    return {f"{case.classname} {case.name}": case.result for suite in report for case in suite}


def check_structure(element: ET.Element) -> None:
    assert set(element.attrib) <= ATTRIBUTES[element.tag], element.tag
    for child in element:
        assert child.tag in CHILDREN.get(element.tag, ()), f"{child.tag} in {element.tag}"
        check_structure(child)


@pytest.mark.parametrize(
    ("campaign", "gate"), [(healthy(), RELEASED), (failing(), STOPPED), (failing(), UNKNOWN)]
)
def test_it_is_xunit2_and_its_counts_are_right(campaign, gate):
    root = ET.fromstring(junit.render(campaign, gate).encode())
    check_structure(root)
    for suite in root:
        found = {what: len(suite.findall(f"testcase/{what}")) for what in ("failure", "error", "skipped")}
        assert int(suite.attrib["tests"]) == len(suite.findall("testcase"))
        assert int(suite.attrib["failures"]) == found["failure"]
        assert int(suite.attrib["errors"]) == found["error"]
        assert int(suite.attrib["skipped"]) == found["skipped"]


def test_a_good_night_has_no_failure_and_no_error():
    results = cases(junit.render(healthy(), RELEASED))
    assert not any(results.values())
    assert f"nightly.{VM} loads_give_all_ones" in results
    assert f"nightly.{NV} no-vacuous" in results


def test_a_new_bug_is_a_failure_on_the_hosts_that_showed_it():
    results = cases(junit.render(failing(), STOPPED))
    (failure,) = results[f"nightly.{VM} loads_give_all_ones"]
    assert isinstance(failure, Failure)
    assert failure.type == BUG.signature
    assert failure.message == BUG.message
    assert BUG.replay in failure.text
    assert not results[f"nightly.{NV} loads_give_all_ones"]
    assert isinstance(results["nightly.gate release"][0], Failure)


def test_a_known_issue_is_skipped_with_its_reason():
    (skipped,) = cases(junit.render(failing(), STOPPED))[f"nightly.{VM} calls_return_in_time"]
    assert isinstance(skipped, Skipped)
    assert "reader is woken late" in skipped.message


def test_a_known_issue_does_not_hide_a_new_bug_of_the_same_oracle():
    known = replace(BUG, signature="loads_give_all_ones/other", known_issue="tracked")
    campaign = replace(failing(), bugs=(known, BUG))
    (result,) = cases(junit.render(campaign, STOPPED))[f"nightly.{VM} loads_give_all_ones"]
    assert isinstance(result, Failure)
    assert result.type == BUG.signature


def test_unknown_runs_are_errors_with_their_cause_unless_tolerated():
    stopped = cases(junit.render(failing(), UNKNOWN))
    (infra,) = stopped[f"nightly.{VM} no-infra"]
    assert isinstance(infra, Error)
    assert infra.type == "infra"
    assert infra.message == "3 of 1,200 runs were lost to lab trouble"
    assert "connection was lost" in infra.text
    assert isinstance(stopped["nightly.gate release"][0], Error)
    assert not cases(junit.render(healthy(), RELEASED))[f"nightly.{VM} no-vacuous"]


def test_an_oracle_that_judged_nothing_has_not_passed():
    campaign = replace(healthy(), by_host={NV: {"unknown-infra": 3}}, counts={"unknown-infra": 3})
    results = cases(junit.render(campaign, UNKNOWN))
    assert isinstance(results[f"nightly.{NV} contexts_purged"][0], Error)


def test_hostile_text_stays_well_formed_xml():
    evil = "]]> \x00\x1b[31m \ud800 \ufffe <failure/> & \" ' " + "z" * 100_000
    bug = replace(BUG, message=evil, replay=evil, signature="o/" + evil)
    campaign = replace(
        failing(), title=evil, trouble=(evil,), bugs=(bug,), versions={evil: evil}, oracles=(evil,)
    )
    text = junit.render(campaign, replace(STOPPED, reasons=(evil,)))
    root = ET.fromstring(text.encode())
    check_structure(root)
    assert len(text) < 200_000
    assert "]]> \\x00\\x1b[31m \\ud800" in root.findall(".//failure")[0].attrib["message"]
