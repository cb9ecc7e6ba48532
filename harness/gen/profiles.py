"""The Hypothesis profiles of this project, loaded by name and never by accident.

Hypothesis picks its own ``ci`` profile when it runs under CI, which repeats the same cases every night. So
the names here are ours, and whoever wants one asks for it.
"""

from __future__ import annotations

from pathlib import Path

from hypothesis import HealthCheck, Phase, settings
from hypothesis.database import DirectoryBasedExampleDatabase

from harness.vocab.errors import Problem, UsageError

PROFILES = ("capi-dev", "capi-ci", "capi-nightly", "capi-replay")

_SLOW = (HealthCheck.too_slow, HealthCheck.data_too_large)


def load(name: str, database: Path | None = None) -> settings:
    """Register and load the profile `name`; `database` is the directory of examples of night and replay.

    capi-dev is quick and random, capi-ci always the same, capi-nightly random with a database and blobs to
    reproduce, capi-replay only tries what failed before. Raises UsageError for an unknown name.
    """
    if name not in PROFILES:
        raise UsageError(Problem(f"unknown Hypothesis profile {name!r}", "", ", ".join(PROFILES)))
    chosen = _profile(name, database)
    settings.register_profile(name, chosen)
    settings.load_profile(name)
    return chosen


def _profile(name: str, database: Path | None) -> settings:
    common = settings(deadline=None, suppress_health_check=_SLOW, database=None, derandomize=False)
    kept = DirectoryBasedExampleDatabase(database) if database else None
    if name == "capi-dev":
        return settings(common, max_examples=25)
    if name == "capi-ci":
        return settings(common, max_examples=100, derandomize=True)
    if name == "capi-nightly":
        return settings(common, max_examples=1000, database=kept, print_blob=True)
    phases = (Phase.explicit, Phase.reuse)
    return settings(common, max_examples=1000, database=kept, print_blob=True, phases=phases)
