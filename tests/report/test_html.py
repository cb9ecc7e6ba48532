"""report.html: complete in itself, and nothing that a host says becomes markup or script."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import replace
from hashlib import sha256
from html.parser import HTMLParser

import pytest

from harness.report import html
from harness.report.table import REPORTS
from harness.vocab.event import Role
from harness.vocab.history import History
from harness.vocab.verdict import Judgement, Verdict
from tests.report.samples import (
    BUG,
    FINDING,
    RELEASED,
    STOPPED,
    TOPOLOGY,
    Teller,
    exhibit,
    failing,
    healthy,
    infra_exhibit,
    intent,
)  # fmt: skip

VOID = {"meta", "input", "br"}
SVG_EMPTY = {"rect", "path", "line", "circle"}


class Reader(HTMLParser):
    """Collects elements, texts and mistakes of nesting."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, str] = {}
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag, f"</{tag}> is out of place"

    def handle_data(self, data):
        if self.open:
            self.texts[self.open[-1]] = self.texts.get(self.open[-1], "") + data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]


@pytest.fixture(scope="module")
def failing_page() -> str:
    return html.page(failing(), STOPPED, [infra_exhibit(), exhibit()])


def test_elements_are_nested(failing_page):
    assert Reader(failing_page).open == []
    assert Reader(html.page(healthy(), RELEASED)).open == []


def test_the_page_needs_nothing_else(failing_page):
    for _, attrs in Reader(failing_page).tags:
        assert not {"src", "action", "onclick", "onload", "srcset"} & set(attrs)
        assert (attrs.get("href") or "#").startswith("#")
    for word in ("http:", "https:", "@import", "//cdn", "url(http"):
        assert word not in failing_page


def test_its_policy_allows_its_own_script_only(failing_page):
    reader = Reader(failing_page)
    assert len(reader.all("script")) == 1
    policy = next(
        m["content"] for m in reader.all("meta") if m.get("http-equiv") == "Content-Security-Policy"
    )
    digest = b64encode(sha256(reader.texts["script"].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy


def test_the_verdict_and_the_bugs_stand_on_the_page(failing_page):
    assert "<h1>Not released</h1>" in failing_page
    assert BUG.signature in failing_page
    assert BUG.replay in failing_page
    assert "known issue" in failing_page
    assert "<h1>Released</h1>" in html.page(healthy(), RELEASED)


def test_a_bug_leads_to_the_timeline_that_shows_it(failing_page):
    reader = Reader(failing_page)
    targets = {attrs.get("id") for _, attrs in reader.tags}
    links = [attrs["href"] for attrs in reader.all("a")]
    assert links == ["#exhibit-1"]
    assert "exhibit-1" in targets


def test_failing_runs_come_first_and_the_first_is_open(failing_page):
    shown = [attrs for attrs in Reader(failing_page).all("details") if "exhibit" in (attrs["class"] or "")]
    assert [attrs["id"] for attrs in shown] == ["exhibit-1", "exhibit-2"]
    assert "open" in shown[0]
    assert "open" not in shown[1]


def test_every_drawn_record_can_be_found_in_the_table(failing_page):
    reader = Reader(failing_page)
    rows = {attrs["data-seq"] for attrs in reader.all("tr") if "data-seq" in attrs}
    drawn = {attrs["data-seq"] for tag, attrs in reader.tags if "data-seq" in attrs and tag != "tr"}
    assert drawn
    assert drawn <= rows


def test_numbers_in_places_have_no_separators():
    teller = Teller()
    for number in range(1500):
        teller.after(50_000).log(f"line {number}")
    one = replace(exhibit(History("c", TOPOLOGY, (), tuple(teller.records))))
    reader = Reader(html.page(failing(), STOPPED, [one]))
    for tag, attrs in reader.tags:
        if tag in {*SVG_EMPTY, "svg", "tr"}:
            for name in {"x", "y", "width", "height", "data-seq", "x1", "y2", "cx"} & set(attrs):
                float(attrs[name] or "")


EVILS = (
    "</script><script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "{{ 7*7 }}{% raw %}", "]]>-->",
    "\x1b[2J\x00\x07\u202egnp", "\ud800\udcff", "x" * 100_000, "a\nb" * 5000,
)  # fmt: skip


@pytest.mark.parametrize("evil", EVILS, ids=range(len(EVILS)))
def test_hostile_text_stays_text(evil):
    teller = Teller()
    teller.begin(0, evil, evil, fd=evil, path=evil, name=evil, what=evil, **{evil: evil}).after(2)
    teller.log(evil, level=evil).trace(evil, **{evil: [evil] * 50}, afu=evil, pe=1)
    teller.trace("cxl_attach", afu=evil, pe=3).end(0, evil, evil, errno=evil, runs=[[evil, evil]])
    history = History(
        evil, TOPOLOGY, (intent(evil, evil, Role.ERROR, **{evil: evil}),), tuple(teller.records)
    )
    finding = replace(FINDING, oracle=evil, kind=evil, message=evil, records=(0, 1, 99))
    run = replace(exhibit().run, host=evil, case_id=evil, path=evil, findings=(finding,), seen={evil: 1})
    judgement = Judgement(Verdict.FAIL, (finding,), (evil,))
    bug = replace(
        BUG,
        signature=f"{evil}/{evil}",
        message=evil,
        host=evil,
        case_path=evil,
        replay=evil,
        known_issue=evil,
    )
    host = replace(
        failing().hosts[0], url=evil, platform=evil, kernel=evil, hostname=evil, versions={evil: evil}
    )
    campaign = replace(
        failing(), plan=evil, title=evil, started=evil, budget=evil, bugs=(bug,), kept=(run,),
        trouble=(evil,), by_host={evil: {"pass": 1}}, oracles=(evil,), versions={evil: evil}, hosts=(host,),
        seen={f"phase:{evil}": 1, f"event:{evil}": 2, f"cover:{evil}/{evil}/{evil}": 3}, search={evil: 4},
    )  # fmt: skip
    one = replace(exhibit(history), run=run, judgement=judgement, case_text=evil, replay=evil)
    page = html.page(campaign, replace(STOPPED, reasons=(evil,)), [one])
    page.encode("utf-8")
    reader = Reader(page)
    assert reader.open == []
    assert len(reader.all("script")) == 1
    assert not reader.all("img")
    assert not [c for c in page if not c.isprintable() and c != "\n"]
    assert len(page) < 400_000


def test_very_long_histories_make_a_page_of_bounded_size():
    teller = Teller()
    for number in range(30_000):
        teller.after(3).log(f"line {number} " + "x" * 300)
    one = exhibit(History("c", TOPOLOGY, (), tuple(teller.records)))
    page = html.page(failing(), STOPPED, [one] * 100)
    assert len(page) < 20_000_000
    assert "60 further runs with a history" in page


def test_the_table_of_reports_writes_every_file():
    for name, write in REPORTS.items():
        text = write(failing(), STOPPED, [exhibit()])
        assert text, name
    assert list(REPORTS) == ["summary.md", "junit.xml", "gate.json", "report.html"]
