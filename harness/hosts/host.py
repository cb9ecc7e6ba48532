"""What a Host is: a place where a Case can be performed, chosen by URL.

Five methods. A Host moves lines of the agent protocol; it does not know what they mean. Optional powers (a
console, power control) are separate protocols, asked for with `isinstance`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable


@runtime_checkable
class Host(Protocol):
    """A connected host whose agent has said hello."""

    @property
    def url(self) -> str:
        """The URL that it was opened by."""
        ...

    @property
    def hello(self) -> bytes:
        """The agent's hello line."""
        ...

    @property
    def window(self) -> int:
        """How many cases may be under way at once: 1 on hardware, more where each starts from fresh."""
        ...

    def begin(self, play: bytes) -> None:
        """Send one play line. Raises InfraError when the connection is lost; it is never sent again."""
        ...

    def replies(self, timeout_s: float) -> Sequence[bytes]:
        """Return the whole lines that have come, at least one, without their newlines.

        Raises InfraError when the connection is lost or nothing has come within `timeout_s`.
        """
        ...

    def close(self) -> None:
        """Leave the host: its agent ends and kills what it started. Never raises."""
        ...
