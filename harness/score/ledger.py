"""What a score has found so far, on disk: one JSON line a task, so that it can be interrupted and taken up.

The first line says how the score is made: one that was made otherwise, or of another state of the source, is
not taken up. A last line that was cut off is dropped.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from harness.vocab.errors import Problem, UsageError

RESULTS = "results.jsonl"
_DECIDING = ("events", "gen", "oracles", "run", "score", "sim", "vocab", "wire")
"""Packages on which the figures depend."""


def source_digest() -> str:
    """Twelve digits that stand for the source that decides a score."""
    root = Path(__file__).parents[1]
    digest = sha256()
    for package in _DECIDING:
        for path in sorted((root / package).rglob("*.py")):
            digest.update(f"{path.relative_to(root)}\n".encode() + path.read_bytes())
    return digest.hexdigest()[:12]


class Ledger:
    """The results of one score by their keys."""

    def __init__(self, folder: Path, head: Mapping[str, Any]) -> None:
        """Begin in `folder`, or take up what is there. Raises UsageError for results of another score."""
        self.folder = folder
        self.results: dict[str, Any] = {}
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / RESULTS
        head = {**head, "source": source_digest()}
        if path.exists():
            self._take_up(path, dict(head))
        self._file = path.open("w", encoding="utf-8")
        self._write({"head": head})
        for key, result in self.results.items():
            self._write({"key": key, "result": result})

    def _take_up(self, path: Path, head: dict[str, Any]) -> None:
        lines = path.read_text(encoding="utf-8").splitlines()
        read = [value for line in lines if (value := _json(line)) is not None]
        if not read or read[0].get("head") != json.loads(json.dumps(head)):
            why = "these results were made by another version of the source, or with other options"
            raise UsageError(Problem(why, str(path), "an empty folder", "leave out --out, or name a new one"))
        self.results = {value["key"]: value["result"] for value in read[1:] if "key" in value}

    def add(self, key: str, result: Any) -> None:
        """Keep a result, in memory and on disk."""
        self.results[key] = result
        self._write({"key": key, "result": result})

    def _write(self, value: Mapping[str, Any]) -> None:
        self._file.write(json.dumps(value) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _json(line: str) -> dict[str, Any] | None:
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None
