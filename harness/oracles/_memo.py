"""What all oracles share: a memo kept with a History, and the small words of their messages."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TypeVar, cast

from harness.vocab.history import History

T = TypeVar("T")

SECOND_US = 1_000_000
LOST_EVENTS = "lost_events"  # the trace's own word for "events were dropped here"


def once(build: Callable[[History], T]) -> Callable[[History], T]:
    """Let `build` run once for each History; the value lives and dies with the History.

    A History is frozen, so it is kept where `cached_property` keeps its values: in the instance's dictionary.
    """
    key = f"{build.__module__}.{build.__qualname__}"

    @wraps(build)
    def kept(history: History) -> T:
        values = history.__dict__
        if key not in values:
            values[key] = build(history)
        return cast("T", values[key])

    return kept


def ms(time_us: int) -> str:
    """A time or a length in milliseconds, for a message."""
    return f"{time_us / 1000:g} ms"


def has_whole_trace(history: History) -> bool:
    """Whether the trace can prove that something did not happen: it is there, and no event of it was lost."""
    traces = history.traces
    return bool(traces) and LOST_EVENTS not in traces


def end_us(history: History) -> int:
    """When the last record was made, 0 for an empty history."""
    return history.records[-1].time_us if history.records else 0
