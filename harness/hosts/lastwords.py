"""What a dead guest still says: its console's lines as replies, and an end that tells of the death.

The agent passes the kernel's log on as long as it lives. What the kernel said later is on the console only,
with the same times, so that the history goes on where the agent's part of it ends.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence

from harness.vocab.oops import said_by_kernel, stamp, troubles

_TIME = re.compile(rb'"t":(\d{1,18})\b')
_LOG = b'{"is":"log"'
_END = b'{"is":"end"'
_RECORD = re.compile(rb'"raw":"\d+,\d+,(\d{1,18}),')
_SHOWN = 160
_LEVEL = 4  # a console does not say how grave a line is; whoever judges it reads its text


def is_end(line: bytes) -> bool:
    """Whether an agent's reply is the end of its case."""
    return line.startswith(_END)


def is_log(line: bytes) -> bool:
    """Whether an agent's reply is a line of the kernel's log."""
    return line.startswith(_LOG)


class LastWords:
    """Follows one case's replies, and continues them from the console."""

    def __init__(self) -> None:
        self._time_us = 0  # of the last reply, counted from the beginning of the case
        self._kernel_us = -1  # of the last line of the log that the agent passed on, since boot
        self._began_us = -1  # when the case began, since boot, as far as log lines tell

    def follow(self, lines: Iterable[bytes]) -> None:
        """Take notice of replies that the agent gave."""
        for line in lines:
            if said := _TIME.search(line):
                self._time_us = max(self._time_us, int(said[1]))
            if is_log(line) and said and (record := _RECORD.search(line)):
                self._kernel_us = int(record[1])
                self._began_us = max(self._began_us, self._kernel_us - int(said[1]))

    def replies(self, console: Iterable[str], why: str) -> list[bytes]:
        """Replies for those lines of the console that the agent did not pass on, and the case's end."""
        stamped = [(at, text) for at, text in map(stamp, console) if at is not None and at > self._kernel_us]
        if stamped and self._began_us < 0:
            self._began_us = stamped[0][0] - self._time_us
        replies = [self._log(number, at, text) for number, (at, text) in enumerate(stamped)]
        got = {"error": why}
        return [*replies, _reply({"is": "end", "t": self._time_us, "who": "harness", "got": got})]

    def _log(self, number: int, at_us: int, text: str) -> bytes:
        self._time_us = max(self._time_us, at_us - self._began_us)
        return _reply({"is": "log", "t": self._time_us, "raw": f"{_LEVEL},{number},{at_us},-;{text}"})


def in_short(console: Sequence[str], lines_max: int = 5) -> str:
    """What a console says, for a sentence: the kernel's complaints, or if there are none the last lines."""
    complaints = [f"{trouble.title} in {trouble.function}" for trouble in troubles(said_by_kernel(console))]
    if complaints:
        return f"the kernel said: {'; '.join(complaints[:lines_max])}"
    last = [line.strip()[:_SHOWN] for line in console[-lines_max:] if line.strip()]
    return f"the console's last lines: {' | '.join(last) or 'none'}"


def _reply(value: dict[str, object]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
