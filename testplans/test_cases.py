"""Every saved case on a host of its platform: what it was saved for must not show again."""

from __future__ import annotations

from harness.pytest_plugin import CaseItem
from harness.vocab.verdict import Cause, Verdict


def test_saved_case_does_not_fail(capi_case: CaseItem) -> None:
    """FAIL is never right; neither is a run that could not be decided."""
    judgement = capi_case.perform()
    told = "\n".join(f"{finding.signature}: {finding.message}" for finding in judgement.findings)
    assert judgement.verdict is not Verdict.FAIL, told
    # A case made minimal for one defect may show nothing on a good host; anything else must be decided.
    assert judgement.cause in {None, Cause.VACUOUS}, told
