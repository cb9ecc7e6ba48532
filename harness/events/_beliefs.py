"""What several events believe of the host while a case is drawn: names in a Sketch, and how it changes.

Changes that happen many times in each case are written out, because dataclasses.replace takes twice as long.
"""

from __future__ import annotations

from harness.vocab.sketch import ContextBelief, ContextSketch, Sketch

HEIR = "heir:"
"""Prefix of the setting that keeps, for a forked child, which mapped fds it was born with."""
GONE = "gone:"
"""Prefix of the setting that is not empty while a card has no driver."""
TAKEN = "taken:"
"""Prefix of the setting that is not empty while a card is taken away from the partition."""
REMOVED = "removed:"
"""Prefix of the setting that is not empty while a card is removed from the PCI bus."""
MODE = "mode:"
"""Prefix of the setting that keeps the mode last written to an AFU."""
PERST = "perst:"
"""Prefix of the setting that keeps a card's PERST policy."""
FREEZE_LIMIT = "freeze-limit"
"""The setting that keeps the freeze limit."""

CORRECTED = "corrected:"
"""Prefix of the setting that keeps how many errors of an AFU were corrected."""


def context(sketch: Sketch, fd: str) -> ContextSketch | None:
    """What is believed of `fd`; None when its owner has closed it or died (an heir may still map it)."""
    for candidate in sketch.contexts:
        if candidate.fd == fd:
            return candidate
    return None


def has_driver(sketch: Sketch, card: str) -> bool:
    """Whether `card` is there, with its driver."""
    return not any(sketch.setting(prefix + card) for prefix in (GONE, REMOVED, TAKEN))


def map_of(fd: str) -> str:
    """The name of the only mapping of `fd`."""
    return f"{fd}.mmio"


def changed(
    sketch: Sketch, contexts: tuple[ContextSketch, ...], fds: int = 0, markers: int = 0, errors: int = 0
) -> Sketch:
    """`sketch` with `contexts`, so many more names of fds and markers used up, and so many more errors."""
    return Sketch(
        contexts,
        sketch.actors,
        sketch.errors + errors,
        sketch.next_fd + fds,
        sketch.next_actor,
        sketch.next_marker + markers,
        sketch.settings,
    )


def attached(context: ContextSketch, is_err_ff: bool, irqs: int) -> ContextSketch:
    """`context` after it was given to its AFU."""
    c = context
    return ContextSketch(c.fd, c.actor, c.afu, c.kind, ContextBelief.STARTED, c.is_mapped, is_err_ff, irqs)


def remapped(context: ContextSketch, is_mapped: bool) -> ContextSketch:
    """`context` with or without its mapping."""
    c = context
    return ContextSketch(c.fd, c.actor, c.afu, c.kind, c.belief, is_mapped, c.is_err_ff, c.irqs)
