"""From chunks of bytes to whole lines, with a bound on everything that a host may send."""

from __future__ import annotations

from harness.vocab.errors import ProtocolError

LINE_LIMIT_BYTES = 1 << 20
FLOW_LIMIT_BYTES = 100 << 20


def escaped(data: bytes) -> str:
    """Whatever a host sent, as one line of printable ASCII."""
    return data.decode("utf-8", "backslashreplace").encode("unicode_escape").decode("ascii")


class LineBuffer:
    """Collects chunks; gives whole lines, without their newlines, in batches.

    `rest` is the beginning of a line that is still to come. At most `limit_bytes` may come for each case.
    """

    def __init__(self, limit_bytes: int = FLOW_LIMIT_BYTES) -> None:
        self.lines: list[bytes] = []
        self.rest = b""
        self._limit_bytes = limit_bytes
        self._flow_bytes = 0

    def begin_case(self) -> None:
        """Start counting afresh."""
        self._flow_bytes = 0

    def take(self) -> list[bytes]:
        """Return the lines collected so far, and forget them."""
        lines, self.lines = self.lines, []
        return lines

    def count(self, flow_bytes: int) -> None:
        """Count bytes that are no lines. Raises ProtocolError when there were too many."""
        self._flow_bytes += flow_bytes
        if self._flow_bytes > self._limit_bytes:
            raise ProtocolError(f"over {self._limit_bytes} bytes came for one case")

    def feed(self, chunk: bytes) -> None:
        """Add a chunk, no longer than a line may be. Raises ProtocolError for too long a line or too much."""
        self.count(len(chunk))
        lines = (self.rest + chunk if self.rest else chunk).split(b"\n")
        self.rest = lines.pop()
        # Only the first line, which has an older beginning, and the rest can be longer than the chunk.
        if len(self.rest) > LINE_LIMIT_BYTES or (lines and len(lines[0]) > LINE_LIMIT_BYTES):
            raise ProtocolError(f"a line is longer than {LINE_LIMIT_BYTES} bytes")
        self.lines += lines
