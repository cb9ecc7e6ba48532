"""Showing untrusted text in a message: bounded, and without anything that a terminal would act upon."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

_LENGTH = 120


def excerpt(value: object) -> str:
    """A short ASCII rendering of what a host or a file said."""
    shown = value[: 2 * _LENGTH] if isinstance(value, str | bytes) else value
    text = ascii(shown)
    is_short = len(text) <= _LENGTH and shown == value
    return text if is_short else f"{text[:_LENGTH]}…"


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint at the known name that was probably meant; empty when there is none."""
    close = get_close_matches(name[:80], list(known), n=1)
    return f"did you mean {close[0]}?" if close else ""
