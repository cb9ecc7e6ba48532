"""The only writer of run directories.

    reports/runs/20261121T084636Z/      `latest` beside it links to the newest
        plan.toml  campaign.json        what was asked for, what came of it so far
        known-issues.toml               as they were, for when the list that the plan names is not there
        runs.jsonl                      one line for each run, as it ends
        inflight/N.jsonl                a run under way: gone when it has ended
        kept/CASE-N/                    case.json  history.jsonl  verdict.json
        bugs/SIGNATURE.json             the smallest case for each signature
        summary.md  junit.xml  …        the reports

The rules:

1. Before a case is sent, the case and the header of its history are in ``inflight``; replies follow as they
   come. Killed at any moment, the harness leaves what is needed to judge the prefix and to replay the case.
2. A file is either whole or not there: it is written under another name and then renamed.
3. Names of files are made here, of numbers, hashes and slugs; never taken from a case or from a host.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import threading
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from harness.vocab.errors import Problem, UsageError

RUNS_ROOT = Path("reports/runs")
HISTORY = "history.jsonl"
CASE = "case.json"
VERDICT = "verdict.json"
CAMPAIGN = "campaign.json"
PLAN = "plan.toml"
KNOWN_ISSUES = "known-issues.toml"

_SLUG_MAX = 120
_NOT_SLUG = re.compile(r"[^a-z0-9]+")


def slug(text: str) -> str:
    """`text` as a file name: lower case letters, digits and dashes; never empty, never a path."""
    return _NOT_SLUG.sub("-", text.lower()).strip("-")[:_SLUG_MAX] or "unnamed"


def write_atomically(path: Path, text: str) -> None:
    """Write `text` to `path` so that a reader sees the old file or the new one, never a part."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text, encoding="utf-8", errors="backslashreplace")
    temporary.replace(path)


class Entry:
    """One run under way: its file grows with the replies."""

    def __init__(self, directory: RunDirectory, number: int, case_text: str, header: bytes) -> None:
        self._directory = directory
        self._number = number
        self._case_text = case_text
        self._path = directory.path / "inflight" / f"{number}.jsonl"
        first = json.dumps({"run": number, "case_text": case_text}, separators=(",", ":")).encode()
        self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
        os.write(self._file, b"%s\n%s" % (first, header))

    def append(self, lines: Sequence[bytes]) -> None:
        """Add reply lines, byte for byte as they came."""
        data = memoryview(b"\n".join(lines) + b"\n")
        while data:
            data = data[os.write(self._file, data) :]

    def leave(self) -> None:
        """The run was given up; what was written of it stays where it is."""
        os.close(self._file)

    def discard(self) -> None:
        """The run has ended and nothing of it is kept."""
        os.close(self._file)
        self._path.unlink()

    def keep(self, case_id: str, verdict: Mapping[str, Any]) -> str:
        """The run has ended and is kept; returns its directory, relative to the run directory."""
        os.close(self._file)
        target = self._directory.path / "kept" / f"{slug(case_id)}-{self._number}"
        temporary = target.with_name(f".{target.name}")
        temporary.mkdir()
        (temporary / CASE).write_text(self._case_text, encoding="utf-8")
        (temporary / VERDICT).write_text(json.dumps(verdict, indent=1) + "\n", encoding="utf-8")
        self._copy_history(temporary / HISTORY)
        temporary.rename(target)
        self._path.unlink()
        return str(target.relative_to(self._directory.path))

    def keep_history(self, path: Path) -> None:
        """The run has ended and only its history is kept, at `path`."""
        os.close(self._file)
        temporary = path.with_name(f".{path.name}")
        self._copy_history(temporary)
        temporary.replace(path)
        self._path.unlink()

    def _copy_history(self, path: Path) -> None:
        with self._path.open("rb") as source, path.open("wb") as copy:
            source.readline()  # the case
            shutil.copyfileobj(source, copy)


class RunDirectory:
    """One campaign's directory. Safe to use from several threads."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._runs = (path / "runs.jsonl").open("a", encoding="utf-8")

    @classmethod
    def create(cls, started: datetime, out: Path | None = None, root: Path = RUNS_ROOT) -> Self:
        """Make a new directory: `out`, or one named for the moment within `root`, with its `latest` link.

        Raises UsageError when `out` cannot be made or has something in it.
        """
        try:
            path = _make(out) if out else _make_dated(root, started)
            for name in ("inflight", "kept", "bugs"):
                (path / name).mkdir()
            if not out:
                _link_latest(root, path.name)
            return cls(path)
        except OSError as error:
            place = error.filename or out or root
            problem = Problem(f"{place} cannot be made: {error.strerror}", "--out", "a place to write to")
            raise UsageError(problem) from error

    def entry(self, number: int, case_text: str, header: bytes) -> Entry:
        """Note that run `number` is about to be sent."""
        return Entry(self, number, case_text, header)

    def record(self, line: Mapping[str, Any]) -> None:
        """Add one line to the list of runs."""
        text = json.dumps(line, separators=(",", ":")) + "\n"
        with self._lock:
            self._runs.write(text)
            self._runs.flush()

    def write(self, name: str, text: str) -> Path:
        """Write a file of the directory itself, such as a report. `name` is never made of others' text."""
        path = self.path / name
        write_atomically(path, text)
        return path

    def bug_path(self, signature: str) -> Path:
        """Where the smallest case for `signature` is saved."""
        return self.path / "bugs" / f"{slug(signature)}.json"

    def history_path(self, signature: str) -> Path:
        """Where the history of that case is saved."""
        return self.bug_path(signature).with_suffix(".jsonl")

    def save_history(self, signature: str, kept: str) -> None:
        """Save the history of a run that is kept, in the directory `kept`, as that of a bug."""
        target = self.history_path(signature)
        temporary = target.with_name(f".{target.name}")
        shutil.copyfile(self.path / kept / HISTORY, temporary)
        temporary.replace(target)

    def save_bug(self, signature: str, case_text: str) -> str:
        """Save the smallest case for `signature`; returns its path, relative to the run directory."""
        path = self.bug_path(signature)
        write_atomically(path, case_text)
        return str(path.relative_to(self.path))

    def close(self) -> None:
        """Close the list of runs."""
        self._runs.close()


def _make(out: Path) -> Path:
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(Problem(f"{out} has something in it", "--out", "a new or empty directory"))
    out.mkdir(parents=True, exist_ok=True)
    return out


def _make_dated(root: Path, started: datetime) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    name = started.strftime("%Y%m%dT%H%M%SZ")
    for suffix in ("", *(f"-{n}" for n in range(2, 1000))):
        path = root / f"{name}{suffix}"
        try:
            path.mkdir()
        except FileExistsError:
            continue
        return path
    raise UsageError(Problem(f"there are a thousand directories called {name}", str(root)))


def _link_latest(root: Path, name: str) -> None:
    temporary = root / f".latest.{os.getpid()}"
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(name)
    temporary.replace(root / "latest")


def recordings(run_directory: Path) -> Iterator[tuple[str, bytes]]:
    """The name and the history of every recorded run: the kept ones, then those that were cut off."""
    for path in sorted((run_directory / "kept").glob(f"*/{HISTORY}")):
        yield path.parent.name, path.read_bytes()
    for path in sorted((run_directory / "inflight").glob("*.jsonl")):
        _, _, history = path.read_bytes().partition(b"\n")
        if b"\n" in history:  # else the harness was killed before it sent the case
            yield f"inflight/{path.name}", history


def case_text(path: Path) -> str:
    """The text of a saved case: of a case file, or the one within a run that was cut off.

    Raises UsageError when there is no such file.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(Problem(f"cannot be read: {error.strerror}", str(path), "a saved case")) from error
    if path.parent.name == "inflight":
        first, _, _ = data.partition(b"\n")
        try:
            return str(json.loads(first)["case_text"])
        except (ValueError, KeyError, TypeError):
            raise UsageError(Problem("no case stands in its first line", str(path))) from None
    return data.decode("utf-8", "backslashreplace")
