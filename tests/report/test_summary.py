"""summary.md: short on a good night, and says what to do on a bad one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.report import summary
from harness.vocab.campaign import Campaign, Ended, Gate
from harness.vocab.verdict import ExitCode, Verdict
from tests.report.samples import BUG, NV, RELEASED, STOPPED, VM, failing, healthy


def test_a_good_night_fits_on_a_screen():
    text = summary.render(healthy(), RELEASED)
    assert text.startswith("# Nightly fuzzing of error recovery: released\n")
    assert len(text.splitlines()) < 40
    assert "**PASS** (exit code 0)" in text
    assert "| `sim://powervm` | 1,200 | 1,190 | 0 | 10 |" in text
    assert "| failed-permanently | 68 | 86 |" in text
    assert "Attach 2,400" in text


def test_a_bug_is_told_with_its_replay_command():
    text = summary.render(failing(), STOPPED)
    assert "NOT released" in text
    assert "### `loads_give_all_ones/valid-after-all-ones`: 12 runs" in text
    assert f"    {BUG.replay}\n" in text
    assert "4 steps, minimised from 19, each needed" in text
    assert "Known issue: reader is woken late" in text
    assert "the connection was lost during run 1,204" in text


def test_what_was_not_told_is_not_shown_as_zero():
    campaign = replace(healthy(), seen={"phase:reset": 7})
    assert "| reset | - | - |" in summary.render(campaign, RELEASED)


def test_phases_stand_in_their_order_and_only_where_the_platform_has_them():
    seen = {
        "phase:recovered": 5,
        f"phase:recovered@{NV}": 5,
        "phase:confirmed": 7,
        f"phase:confirmed@{NV}": 7,
    }
    text = summary.render(replace(healthy(), seen=seen), RELEASED)
    assert "| confirmed | 7 | - |\n| recovered | 5 | 0 |" in text


def test_coverage_is_a_table_of_phases_in_their_order_with_what_the_search_did():
    text = summary.render(replace(healthy(), search={"cases that covered something new": 4321}), RELEASED)
    rows = [
        line for line in text.splitlines() if line.startswith(("| undetected", "| detected", "| quiesce"))
    ]
    assert rows[-2:] == ["| detected | 1 | 1 | 12 |", "| quiesce | 2 | 3 | 137 |"]
    assert text.index("| undetected | 1 | 1 | 7 |") < text.index(rows[-2])
    assert "The search: 4,321 cases that covered something new." in text


@pytest.mark.parametrize("ended", list(Ended))
def test_an_empty_campaign_is_told_too(ended):
    campaign = Campaign("p", "", 1, "2026-11-21T02:00:00Z", 0.0, ended, "60s")
    gate = Gate(Verdict.UNKNOWN, ExitCode.NOTHING_RAN, ("Nothing ran, so nothing is known.",))
    text = summary.render(campaign, gate)
    assert "# p: NOT released" in text
    assert "Nothing was exercised." in text


def test_a_thousand_bugs_stay_short():
    bugs = tuple(replace(BUG, signature=f"oracle/kind-{i}") for i in range(1000))
    text = summary.render(replace(failing(), bugs=bugs), STOPPED)
    assert "975 more stand in gate.json." in text
    assert len(text) < 20_000


def test_hostile_text_cannot_leave_its_place():
    evil = "`|\n# fake heading\n\x1b[2J</script> | x | " + "y" * 100_000
    bug = replace(BUG, message=evil, replay=evil, signature="o/k")
    campaign = replace(failing(), title=evil, trouble=(evil,), bugs=(bug,), versions={evil: evil})
    campaign = replace(campaign, hosts=(replace(campaign.hosts[0], hostname=evil, kernel=evil),))
    text = summary.render(campaign, replace(STOPPED, reasons=(evil,)))
    assert "\x1b" not in text
    assert not [row for row in text.splitlines() if row.startswith("# fake")]
    assert len(text) < 20_000
    hosts = [row for row in text.splitlines() if row.startswith(f"| `{VM}`")]
    assert len(hosts) == 1
