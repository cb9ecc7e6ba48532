"""The one table of reports: what each file of a run directory is written by."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from harness.report import gatejson, html, junit, summary
from harness.report.exhibit import Exhibit
from harness.vocab.campaign import Campaign, Gate

Writer = Callable[[Campaign, Gate, Sequence[Exhibit]], str]
"""Gives the text of a report. Pure: it reads and writes nothing."""

REPORTS: Mapping[str, Writer] = {
    "summary.md": lambda campaign, gate, _: summary.render(campaign, gate),
    "junit.xml": lambda campaign, gate, _: junit.render(campaign, gate),
    "gate.json": lambda campaign, gate, _: gatejson.render(campaign, gate),
    "report.html": html.page,
}
