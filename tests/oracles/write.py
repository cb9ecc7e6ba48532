"""Writes the golden histories from their scenarios: ``python -m tests.oracles.write``."""

from __future__ import annotations

from tests.oracles.scenarios import FOLDER, SCENARIOS


def write() -> None:
    """Write all golden histories, and leave no other behind."""
    for path in FOLDER.glob("*.jsonl"):
        path.unlink()
    for scenario in SCENARIOS.values():
        (FOLDER / f"{scenario.name}.jsonl").write_bytes(scenario.data)


if __name__ == "__main__":
    write()
