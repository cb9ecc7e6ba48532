"""The ledger: results survive an interrupt, and results of another score are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.score import ledger as keeping
from harness.score.ledger import RESULTS, Ledger
from harness.vocab.errors import UsageError

HEAD = {"extent": {"name": "a test"}}


def test_results_are_taken_up(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, HEAD)
    ledger.add("one", {"n": 1})
    ledger.close()
    again = Ledger(tmp_path, HEAD)
    again.add("two", {"n": 2})
    again.close()
    assert Ledger(tmp_path, HEAD).results == {"one": {"n": 1}, "two": {"n": 2}}


def test_a_line_that_was_cut_off_is_dropped(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, HEAD)
    ledger.add("one", 1)
    ledger.add("two", 2)
    ledger.close()
    path = tmp_path / RESULTS
    path.write_bytes(path.read_bytes()[:-5])
    assert Ledger(tmp_path, HEAD).results == {"one": 1}


def test_results_of_another_score_are_refused_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Ledger(tmp_path, HEAD).close()
    before = (tmp_path / RESULTS).read_bytes()
    with pytest.raises(UsageError, match="other options"):
        Ledger(tmp_path, {"extent": {"name": "another"}})
    monkeypatch.setattr(keeping, "source_digest", lambda: "another state")
    with pytest.raises(UsageError, match="another version"):
        Ledger(tmp_path, HEAD)
    assert (tmp_path / RESULTS).read_bytes() == before
