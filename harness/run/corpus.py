"""The corpus: cases that covered something new, kept for later campaigns. Many campaigns may share one.

    reports/corpus/
        powernv/CASE.json      a case that covered something that no case here covered before
        flaky/CASE.json        a case that did not do the same twice: these are performed first
        index/NAME.jsonl       what the cases cover, by one campaign's lane: a line for each case it added

The rules:
1. A file is written under another name and then renamed; a case's name is its id. So two campaigns that add
   the same case write the same file, and nobody reads a part.
2. Nobody writes to another's index. What a case without a line in any index covers is not known.
3. Whatever is damaged or foreign stays where it is, is named, and is not used. A corpus that cannot be read
   or written to holds no campaign up.
"""

from __future__ import annotations

import json
import os
import re
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path

from harness.run.search import Found
from harness.run.store import write_atomically
from harness.vocab.case import Case
from harness.vocab.coverage import Covered
from harness.vocab.errors import UsageError
from harness.vocab.event import Event
from harness.vocab.topology import Platform
from harness.wire import casefile

CASES_MAX = 5_000
"""Most cases of one kind that are read; a corpus with more than that should be thinned out."""
_INDEX_BYTES_MAX = 16 << 20
_NAME = re.compile(r"[0-9a-f]{12}\.json")
_INDEX_NAME = re.compile(r"[a-z0-9-]{1,60}\.jsonl")
_FLAKY = "flaky"
_INDEX = "index"


def no_corpus(platform: Platform, complain: Callable[[str], None]) -> Corpus:
    """A corpus of a campaign that shares none: nothing is read, and nothing kept."""
    return Corpus(None, platform, {}, complain)


class Corpus:
    """The cases of `platform` in `directory`; without a directory a corpus that keeps nothing.

    `complain` is told of each file that cannot be used.
    """

    def __init__(
        self,
        directory: Path | None,
        platform: Platform,
        events: Mapping[str, type[Event]],
        complain: Callable[[str], None],
    ) -> None:
        self._directory = directory
        self._platform = platform
        self._events = events
        self._complain = complain
        self._index: int | None = None
        self.cases: tuple[Case, ...] = ()
        self.flaky: tuple[Case, ...] = ()
        self.covered: set[Covered] = set()
        if directory and directory.exists():
            self.cases = self._read_cases(directory / platform.value)
            self.flaky = self._read_cases(directory / _FLAKY)
            self._read_indexes(directory / _INDEX)

    def add(self, found: Found) -> bool:
        """Keep a case that covered something which no case here is known to cover; says if it was kept."""
        new = found.new - self.covered
        self.covered |= new
        if not new or not self._write(self._platform.value, found.case):
            return False
        covers = [list(item) for item in sorted(new)]
        self._note({"case": found.case.id, "platform": self._platform.value, "covers": covers})
        return True

    def add_flaky(self, case: Case) -> None:
        """Keep a case that did not do the same twice."""
        self._write(_FLAKY, case)

    def close(self) -> None:
        """Close the index."""
        if self._index is not None:
            os.close(self._index)
            self._index = None

    def _write(self, folder: str, case: Case) -> bool:
        if not self._directory:
            return False
        path = self._directory / folder / f"{case.id}.json"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.exists():
                write_atomically(path, casefile.dump(case))
        except OSError as error:
            self._give_up(path, error)
            return False
        return True

    def _note(self, line: dict[str, object]) -> None:
        """Add a line to this lane's own index."""
        if not self._directory:
            return
        path = self._directory / _INDEX / f"{self._platform.value}-{os.getpid()}-{secrets.token_hex(4)}.jsonl"
        try:
            if self._index is None:
                path.parent.mkdir(parents=True, exist_ok=True)
                self._index = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
            os.write(self._index, json.dumps(line, separators=(",", ":")).encode() + b"\n")
        except OSError as error:
            self._give_up(path, error)

    def _give_up(self, path: Path, error: OSError) -> None:
        self._complain(f"the corpus is not added to any more: {path}: {error.strerror}")
        self._directory = None

    def _read_cases(self, folder: Path) -> tuple[Case, ...]:
        """The cases of this platform in `folder`; every other file is named."""
        found: list[Case] = []
        for path in self._files(folder, _NAME)[:CASES_MAX]:
            try:
                case = casefile.load(path.read_bytes(), self._events, str(path)).case
            except (OSError, UsageError) as error:
                self._complain(f"a case of the corpus is left out: {str(error)[:300]}")
                continue
            if case.platform is self._platform:
                found.append(case)
        return tuple(found)

    def _read_indexes(self, folder: Path) -> None:
        for path in self._files(folder, _INDEX_NAME):
            try:
                lines = path.read_bytes()[:_INDEX_BYTES_MAX].split(b"\n")[:-1]  # the last is not whole
                for line in lines:
                    entry = json.loads(line)
                    if entry["platform"] == self._platform.value:
                        self.covered |= {Covered(*map(str, item)) for item in entry["covers"]}
            except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
                self._complain(f"{path} is no index of a corpus: {type(error).__name__}: {str(error)[:200]}")

    def _files(self, folder: Path, name: re.Pattern[str]) -> list[Path]:
        try:
            paths = sorted(folder.iterdir()) if folder.is_dir() else []
        except OSError as error:
            self._complain(f"{folder} cannot be read: {error.strerror}")
            return []
        own = [path for path in paths if name.fullmatch(path.name) and path.is_file()]
        for path in set(paths).difference(own):
            if not path.name.startswith("."):  # those are being written
                self._complain(f"{path} does not belong into a corpus, and is left alone")
        return own
