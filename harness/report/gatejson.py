"""gate.json: the gate's decision and what it rests on, for programs."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from harness.report.escape import line
from harness.vocab.campaign import Campaign, Gate

SCHEMA = 1
"""The schema number of gate.json; keys are only ever added to it."""


def render(campaign: Campaign, gate: Gate) -> str:
    """gate.json as indented JSON in ASCII."""
    document = {
        "schema": SCHEMA,
        "verdict": gate.verdict.value,
        "released": gate.is_released,
        "exit_code": int(gate.exit_code),
        "reasons": list(gate.reasons),
        "plan": campaign.plan,
        "started": campaign.started,
        "duration_s": campaign.duration_s,
        "ended": campaign.ended.value,
        "budget": campaign.budget,
        "seeds": {"campaign": campaign.seed},
        "counts": {"runs": campaign.runs, **campaign.counts},
        "by_host": {url: dict(counts) for url, counts in campaign.by_host.items()},
        "seen": dict(campaign.seen),
        "oracles": list(campaign.oracles),
        "bugs": [asdict(bug) for bug in campaign.bugs],
        "hosts": [asdict(host) for host in campaign.hosts],
        "versions": dict(campaign.versions),
        "trouble": list(campaign.trouble),
    }
    return json.dumps(_bounded(document), indent=1, allow_nan=False) + "\n"


def _bounded(value: Any) -> Any:
    """`value` with every text on one line and short: some of it came from hosts."""
    if isinstance(value, str):
        return line(value, _TEXT_CHARACTERS)
    if isinstance(value, dict):
        return {line(str(key)): _bounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_bounded(item) for item in value]
    return value


_TEXT_CHARACTERS = 2000
