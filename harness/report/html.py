"""report.html: one page that holds everything it needs, and opens from a file without a network.

Rules: every value passes `_fit` and Jinja's escaping before it is on the page, so that nothing a host said
can become markup, script, or control characters; and the page's own policy runs no script but its own.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from functools import cache
from hashlib import sha256
from typing import Any, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from harness.report import figures
from harness.report.escape import block, details, line
from harness.report.exhibit import Exhibit
from harness.report.lanes import Timeline
from harness.report.summary import ENDED
from harness.report.timeline import timeline
from harness.vocab.campaign import Campaign, Gate
from harness.vocab.verdict import Verdict

MOST_EXHIBITS = 40
"""Exhibits on one page; failing ones come first, and a notice tells of the others."""
MOST_KEPT = 200
"""Kept runs that are listed."""
_MOST_STEPS = 200

LANE_PX = 30
TOP_PX = 60
BOTTOM_PX = 28


class _Shown(NamedTuple):
    """An exhibit with its timeline; `anchor` is its place on the page."""

    anchor: str
    exhibit: Exhibit
    timeline: Timeline | None


def page(campaign: Campaign, gate: Gate, exhibits: Sequence[Exhibit] = ()) -> str:
    """The whole page. Exhibits are runs to be shown with their timelines."""
    ordered = sorted(exhibits, key=lambda exhibit: -exhibit.judgement.verdict.severity)
    shown = [
        _Shown(f"exhibit-{number}", exhibit, timeline(exhibit.history, exhibit.judgement))
        for number, exhibit in enumerate(ordered[:MOST_EXHIBITS], 1)
    ]
    script = _asset("report.js")
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            campaign=campaign,
            gate=gate,
            shown=shown,
            exhibits_left_out=len(ordered) - len(shown),
            kept=campaign.kept[:MOST_KEPT],
            anchors=_anchors(shown),
            urls=figures.urls(campaign),
            phases=figures.exercised(campaign, "phase"),
            events=sorted(figures.exercised(campaign, "event"), key=lambda row: -row.total),
            grid=figures.coverage(campaign),
            verdicts=[(key, word) for key, word in figures.VERDICTS if campaign.counts.get(key)],
            unknown=sum(n for key, n in campaign.counts.items() if key.startswith(Verdict.UNKNOWN.value)),
            ended=ENDED[campaign.ended],
            style=Markup(_asset("report.css")),
            script=Markup(script),
            script_hash=b64encode(sha256(script.encode()).digest()).decode(),
        )
    )


def _anchors(shown: Sequence[_Shown]) -> dict[str, str]:
    """Where on the page the first exhibit of each signature is."""
    found: dict[str, str] = {}
    for item in shown:
        for signature in item.exhibit.judgement.signatures:
            found.setdefault(signature, item.anchor)
    return found


def _fit(value: Any) -> Any:
    """What is printed for `value`: text without control characters, whole numbers with separators."""
    if type(value) is str:
        return block(value)
    if type(value) is int:
        return f"{value:,}"
    return value


@cache
def _asset(name: str) -> str:
    loader = _environment().loader
    assert loader is not None
    return loader.get_source(_environment(), name)[0]


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("harness.report"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_fit,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(line=line, details=details, moment=figures.moment, duration=figures.duration)
    environment.globals.update(
        count=figures.count,
        steps_of=figures.steps_of,
        identity=figures.identity,
        most_steps=_MOST_STEPS,
        lane_px=LANE_PX,
        top_px=TOP_PX,
        bottom_px=BOTTOM_PX,
    )
    return environment
