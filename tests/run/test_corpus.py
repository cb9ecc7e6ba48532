"""The corpus: what is kept comes back, trouble is contained and named, and two campaigns lose nothing."""

from __future__ import annotations

import json
import multiprocessing
from pathlib import Path

import pytest

from harness.registry import events
from harness.run.corpus import Corpus
from harness.run.search import Found
from harness.vocab.coverage import Covered
from harness.vocab.topology import Platform
from harness.wire import casefile
from tests.run.cases import GOOD_CASE, OPEN, case, pause

VM = Platform.POWERVM


def opened(path, told=None, platform=VM) -> Corpus:
    return Corpus(path, platform, events(), (told if told is not None else []).append)


def found(number: int) -> Found:
    return Found(case(OPEN, pause(number)), frozenset({Covered("Open", f"phase-{number}", "opened")}))


def test_what_is_added_comes_back_with_what_it_covers(tmp_path) -> None:
    first = opened(tmp_path / "corpus")
    assert first.add(found(1))
    assert first.add(found(2))
    first.add_flaky(GOOD_CASE)
    first.close()
    told: list[str] = []
    again = opened(tmp_path / "corpus", told)
    assert {kept.id for kept in again.cases} == {found(1).case.id, found(2).case.id}
    assert [kept.id for kept in again.flaky] == [GOOD_CASE.id]
    assert again.covered == found(1).new | found(2).new
    assert opened(tmp_path / "corpus", platform=Platform.POWERNV).cases == ()
    assert told == []


def test_what_another_case_covers_already_is_not_kept_again(tmp_path) -> None:
    opened(tmp_path).add(found(1))
    again = opened(tmp_path)
    assert not again.add(Found(case(OPEN, pause(99)), found(1).new))
    assert len(opened(tmp_path).cases) == 1


def test_damaged_and_foreign_files_are_named_left_alone_and_not_used(tmp_path) -> None:
    first = opened(tmp_path)
    first.add(found(1))
    first.add(found(2))
    first.close()
    folder = tmp_path / "powervm"
    torn = folder / f"{found(1).case.id}.json"
    torn.write_text(torn.read_text()[:100])
    (folder / "README.txt").write_text("mine")
    (folder / "0123456789ab.json").mkdir()
    (folder / "ffffffffffff.json").write_bytes(b"\xff\x00\x1b[31m")
    (tmp_path / "index" / "bad.jsonl").write_text('{"case": 1}\n')
    (tmp_path / "index" / "worse.jsonl").write_text("[" * 100_000 + "\n")
    (tmp_path / "index" / "cut.jsonl").write_text('{"case": "x", "platform": "powervm", "covers": [["A", "b"')
    told: list[str] = []
    again = opened(tmp_path, told)
    assert [kept.id for kept in again.cases] == [found(2).case.id]
    for name in (
        torn.name,
        "README.txt",
        "0123456789ab.json",
        "ffffffffffff.json",
        "bad.jsonl",
        "worse.jsonl",
    ):
        assert sum(name in sentence for sentence in told) == 1, name
    assert not any("cut.jsonl" in sentence for sentence in told), "another campaign may be writing it"
    assert (folder / "README.txt").read_text() == "mine"
    assert again.add(found(3))


def test_a_file_in_the_place_of_a_folder_holds_nothing_up(tmp_path) -> None:
    (tmp_path / "powervm").write_text("not a folder")
    told: list[str] = []
    corpus = opened(tmp_path, told)
    assert not corpus.add(found(1))
    assert not corpus.add(found(2))
    assert len(told) == 1
    assert "powervm" in told[0]


@pytest.mark.parametrize("place", ["/proc/nowhere/corpus", "/dev/null/corpus"])
def test_a_place_that_cannot_be_written_to_is_said_once(place) -> None:
    told: list[str] = []
    corpus = opened(Path(place), told)
    assert not corpus.add(found(1))
    corpus.add_flaky(GOOD_CASE)
    assert len(told) == 1


def _add_many(path, first: int, count: int) -> None:
    corpus = opened(path)
    for number in range(first, first + count):
        corpus.add(found(number))


def test_two_campaigns_on_one_corpus_at_once_lose_nothing(tmp_path) -> None:
    """Half of what they add is the same."""
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_add_many, args=(tmp_path, first, 100)) for first in (0, 50, 100)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(30)
        assert process.exitcode == 0
    told: list[str] = []
    corpus = opened(tmp_path, told)
    assert {kept.id for kept in corpus.cases} == {found(number).case.id for number in range(200)}
    assert len(corpus.covered) == 200
    assert told == []
    for path in (tmp_path / "powervm").iterdir():
        casefile.load(path.read_text(), events(), str(path))
    lines = [line for path in (tmp_path / "index").iterdir() for line in path.read_text().splitlines()]
    assert all(json.loads(line)["covers"] for line in lines)
