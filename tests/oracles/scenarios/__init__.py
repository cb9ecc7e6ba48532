"""The stories behind the golden histories: for each oracle what it must accept, and what it must refuse.

After a change, write the files again: ``python -m tests.oracles.write``.
"""

from tests.oracles.scenarios import (
    administration,
    devices,
    events,
    mmio,
    outcome,
    purge,
    recovery,
    surroundings,
)
from tests.oracles.scenarios.base import FOLDER, SCENARIOS, Scenario

__all__ = [
    "FOLDER",
    "SCENARIOS",
    "Scenario",
    "administration",
    "devices",
    "events",
    "mmio",
    "outcome",
    "purge",
    "recovery",
    "surroundings",
]
