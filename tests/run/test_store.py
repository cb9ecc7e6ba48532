"""Run directories: whole files or none, names that nobody else chooses, and a valid prefix at any moment."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from harness.run.store import RunDirectory, case_text, recordings, slug
from harness.vocab.errors import UsageError

NOW = datetime(2026, 11, 21, 8, 46, 36, tzinfo=UTC)


@pytest.fixture
def directory(tmp_path) -> RunDirectory:
    return RunDirectory.create(NOW, root=tmp_path / "runs")


def test_a_directory_is_dated_and_latest_links_to_the_newest(tmp_path) -> None:
    first = RunDirectory.create(NOW, root=tmp_path)
    second = RunDirectory.create(NOW, root=tmp_path)
    assert first.path.name == "20261121T084636Z"
    assert second.path.name == "20261121T084636Z-2"
    assert (tmp_path / "latest").resolve() == second.path


def test_a_directory_with_something_in_it_is_refused(tmp_path) -> None:
    (tmp_path / "precious").write_text("x")
    with pytest.raises(UsageError, match="new or empty"):
        RunDirectory.create(NOW, out=tmp_path)


def test_a_run_under_way_is_on_disk_before_anything_is_appended(directory) -> None:
    entry = directory.entry(7, '{"a": "case"}\n', b'{"header": 1}\n')
    path = directory.path / "inflight" / "7.jsonl"
    assert case_text(path) == '{"a": "case"}\n'
    entry.append([b"one", b"two"])
    assert list(recordings(directory.path)) == [("inflight/7.jsonl", b'{"header": 1}\none\ntwo\n')]


def test_a_kept_run_has_its_case_its_history_byte_for_byte_and_its_verdict(directory) -> None:
    entry = directory.entry(7, "the case\n", b"header\n")
    entry.append([b"\xff raw", b"two"])
    kept = directory.path / entry.keep("0123456789ab", {"verdict": "fail"})
    assert kept.name == "0123456789ab-7"
    assert (kept / "case.json").read_text() == "the case\n"
    assert (kept / "history.jsonl").read_bytes() == b"header\n\xff raw\ntwo\n"
    assert json.loads((kept / "verdict.json").read_text()) == {"verdict": "fail"}
    assert list((directory.path / "inflight").iterdir()) == []


def test_a_discarded_run_leaves_nothing(directory) -> None:
    directory.entry(1, "", b"h\n").discard()
    assert list(recordings(directory.path)) == []


def test_runs_are_one_line_each_and_flushed(directory) -> None:
    directory.record({"run": 1})
    directory.record({"run": 2})
    assert (directory.path / "runs.jsonl").read_text() == '{"run":1}\n{"run":2}\n'


@pytest.mark.parametrize("name", ["../../etc/passwd", "/abs", "..", "", "a/b", "\x00\n", "x" * 500, "Ünï"])
def test_a_name_never_becomes_a_path(name, directory) -> None:
    made = slug(name)
    assert made.isascii()
    assert 0 < len(made) <= 120
    assert not set(made) & set("/.\\\0")
    saved = directory.path / directory.save_bug(name, "{}\n")
    assert saved.parent == directory.path / "bugs"


def test_a_case_that_cannot_be_read_is_a_mistake_of_the_user(tmp_path) -> None:
    with pytest.raises(UsageError, match=r"nowhere\.json.*cannot be read"):
        case_text(tmp_path / "nowhere.json")
    (tmp_path / "inflight").mkdir()
    (tmp_path / "inflight" / "1.jsonl").write_text("cut o")
    with pytest.raises(UsageError, match="no case stands"):
        case_text(tmp_path / "inflight" / "1.jsonl")


def test_a_run_that_was_killed_before_it_was_sent_is_no_recording(directory) -> None:
    for number, data in enumerate((b"", b'{"run": 1}', b'{"run": 1}\n', b'{"run": 1}\n{"sche')):
        (directory.path / "inflight" / f"{number}.jsonl").write_bytes(data)
    assert list(recordings(directory.path)) == []
