"""Every test plan on each of its hosts: the gate must let the release go."""

from __future__ import annotations

from collections.abc import Callable

from harness.pytest_plugin import PlanItem


def test_plan_releases(capi_plan: PlanItem, record_property: Callable[[str, object], None]) -> None:
    """The reports of a plan are named at the end of the session."""
    outcome = capi_plan.perform()
    record_property("capi_report", str(outcome.directory / "report.html"))  # xdist sends text, no Path
    assert outcome.gate.is_released, "\n".join((*outcome.gate.reasons, *outcome.campaign.trouble))
