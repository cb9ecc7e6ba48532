"""The self-check: a host that does not do the same twice is found out, with the first record that differs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from harness.hosts.inproc import InprocHost
from harness.plan.budget import Budget
from harness.registry import events
from harness.run.campaign import Setup, perform
from harness.run.corpus import Corpus
from harness.run.orders import Orders
from harness.run.store import RunDirectory
from harness.vocab.topology import Platform
from tests.run.cases import NO_BAD_VALUE, OPEN, Drawn, case, pause
from tests.run.fake import FakeSimulated


class Liar(FakeSimulated):
    """Its clock goes another way in each play, from the second reply on."""

    def play(self, line: bytes) -> Iterator[bytes]:
        for number, reply in enumerate(super().play(line)):
            value = json.loads(reply)
            if number > 0:
                value["t"] += len(self.plays)
            yield json.dumps(value).encode()


def campaign(tmp_path, simulated, every: int, cases: int = 20):
    directory = RunDirectory.create(datetime.now(UTC), root=tmp_path / "runs")
    orders = Orders(
        seed=5,
        draw=Drawn(lambda seed, _: case(OPEN, pause(1), seed=seed)),
        oracles=(NO_BAD_VALUE,),
        twice_every=every,
        corpus=lambda platform, complain: Corpus(tmp_path / "corpus", platform, events(), complain),
    )
    opener = ("inproc:", lambda: InprocHost("inproc:", simulated))
    return directory, perform(Setup("p", "P", Budget(cases=cases), (opener,), orders), directory)


@pytest.mark.parametrize(("every", "twice"), [(0, 0), (50, 0), (5, 4), (1, 20)])
def test_an_honest_host_is_checked_and_the_second_time_is_no_run(tmp_path, every, twice) -> None:
    _, found = campaign(tmp_path, FakeSimulated(), every)
    assert found.counts == {"pass": 20}
    assert found.search.get("cases performed twice, and the same both times", 0) == twice


def test_a_host_that_does_not_do_the_same_twice_is_found_out(tmp_path) -> None:
    directory, found = campaign(tmp_path, Liar(), every=10)
    assert found.counts == {"pass": 20, "unknown-nondeterminism": 2}
    runs = [run for run in found.kept if run.cause and run.cause.value == "nondeterminism"]
    (finding,) = runs[0].findings
    assert finding.signature == "judge/nondeterminism"
    assert "record 1 was ok open" in finding.message
    assert finding.records == (1,)
    flaky = Corpus(tmp_path / "corpus", Platform.POWERVM, events(), [].append).flaky
    assert {kept.id for kept in flaky} == {run.case_id for run in runs}
    assert (directory.path / runs[0].path / "history.jsonl").exists()


def test_flaky_cases_of_earlier_campaigns_come_first(tmp_path) -> None:
    flaky = case(OPEN, pause(77))
    Corpus(tmp_path / "corpus", Platform.POWERVM, events(), [].append).add_flaky(flaky)
    directory, _ = campaign(tmp_path, FakeSimulated(), every=0, cases=3)
    first = json.loads((directory.path / "runs.jsonl").read_text().splitlines()[0])
    assert first["case"] == flaky.id
