"""Every oracle accepts its good histories, and refuses its own bad ones by the right records."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness import registry
from harness.vocab.verdict import Finding, Verdict
from harness.wire.histfile import load
from tests.oracles.scenarios import FOLDER, SCENARIOS, Scenario

COMPLETENESS = "exercised"
FILES = sorted(FOLDER.glob("*.jsonl"))
NAMES = sorted(SCENARIOS)
RELATED: dict[str, dict[str, str]] = {
    "bad-availability_returns-wrong-value": {
        "loads_give_all_ones": "the probe's wrong value is a wrong value of a load as well"
    },
    "bad-availability_returns-value-is-not-forgiven-like-a-refusal": {
        "loads_give_all_ones": "the probe's wrong value is a wrong value of a load as well"
    },
    "bad-resources_return-capacity": {
        "availability_returns": "what leaked is missing when the AFU is filled up: it is not available"
    },
    "bad-others_undisturbed-purged": {
        "recovery_confirmed": "the other card was purged without an error that was confirmed"
    },
    "bad-others_undisturbed-load-fails": {
        "loads_give_all_ones": "a load of all Fs from a card without an error is wrong by itself"
    },
}
"""Other oracles that rightly complain of a bad history, and why; nobody else may, and these must."""


def findings(data: bytes) -> list[Finding]:
    """What all oracles of the platform say."""
    history = load(data)
    asked = [o for o in registry.oracles().values() if history.topology.platform in o.platforms]
    return [finding for oracle in asked for finding in oracle.findings(history)]


def test_files_are_the_scenarios() -> None:
    assert [path.stem for path in FILES] == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_file_tells_its_scenario(name: str) -> None:
    assert (FOLDER / f"{name}.jsonl").read_bytes() == SCENARIOS[name].data


@pytest.mark.parametrize("path", [p for p in FILES if p.stem.startswith("ok-")], ids=lambda path: path.stem)
def test_good_history_is_accepted(path: Path) -> None:
    is_complete = SCENARIOS[path.stem].oracle == COMPLETENESS
    assert [f for f in findings(path.read_bytes()) if is_complete or f.oracle != COMPLETENESS] == []


@pytest.mark.parametrize("path", [p for p in FILES if p.stem.startswith("bad-")], ids=lambda path: path.stem)
def test_bad_history_is_refused(path: Path) -> None:
    scenario = SCENARIOS[path.stem]
    found = findings(path.read_bytes())
    mine = [f for f in found if f.oracle == scenario.oracle]
    assert scenario.kind in {f.kind for f in mine}
    proof = {record for f in mine if f.kind == scenario.kind for record in f.records}
    assert set(scenario.expected) <= proof
    related = RELATED.get(path.stem, {})
    assert {f.oracle for f in found} - {scenario.oracle, COMPLETENESS} == set(related), (
        "each bad history is caught by its own oracle and by those that RELATED gives a reason for"
    )
    others = [f for f in found if f.oracle == COMPLETENESS != scenario.oracle]
    assert all(f.verdict is Verdict.UNKNOWN for f in others)


@pytest.mark.parametrize("path", [p for p in FILES if p.stem.startswith("bad-")], ids=lambda path: path.stem)
def test_finding_is_a_sentence_with_proof_and_a_slug(path: Path) -> None:
    data = path.read_bytes()
    records = len(load(data).records)
    for finding in findings(data):
        assert finding.message
        assert finding.kind == finding.kind.lower()
        assert " " not in finding.kind
        assert all(0 <= record < records for record in finding.records)
        is_judgement = finding.verdict is Verdict.FAIL
        assert is_judgement == (finding.oracle != COMPLETENESS)
        assert finding.records or not is_judgement


def of(oracle: str, is_ok: bool) -> list[Scenario]:
    return [s for s in SCENARIOS.values() if s.oracle == oracle and s.is_ok == is_ok]


@pytest.mark.parametrize("oracle", sorted(registry.oracles()))
def test_oracle_has_a_good_and_a_bad_history(oracle: str) -> None:
    assert of(oracle, is_ok=True)
    assert of(oracle, is_ok=False)
