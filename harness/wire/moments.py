"""What the moments of a case's steps are on a given host: short waits are longer on an emulated processor."""

from __future__ import annotations

from dataclasses import replace

from harness.vocab.case import When
from harness.vocab.topology import Topology

SHORT_MS = 10
TIMES = 20
"""So many times as long is a wait of up to SHORT_MS on a host that says `emulated`: one in real time.

Cases have such waits so that what is under way gets a little further, and there it is that much slower. What
follows a phase, or gives a recovery its time, is as long everywhere.
"""


def moment(when: When, topology: Topology) -> When:
    """When it is on this host."""
    if "emulated" not in topology.features or when.phase or when.after_ms > SHORT_MS:
        return when
    return replace(when, after_ms=TIMES * when.after_ms)
