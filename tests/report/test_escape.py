"""Untrusted text in reports: bounded, and nothing in it acts upon a terminal or a page."""

from __future__ import annotations

import pytest

from harness.report.escape import block, code, details, line, markdown

HOSTILE = (
    "\x1b[31mred\x1b[0m \x00 \x07 \r over \u202egnp.exe \u2066 \ud800 \udc80 \ufeff \x85 \u2028 \ufffe tab\t"
)


@pytest.mark.parametrize("show", [line, block, markdown, code])
def test_no_character_that_acts_is_passed_on(show):
    shown = show(HOSTILE)
    assert shown.isprintable()
    shown.encode("utf-8")
    assert "\\x1b[31mred" in shown.replace("\\\\", "\\").replace("\\[", "[")


def test_what_is_harmless_stays_as_it_is():
    text = "EEH: Frozen PE#1 on PHB#0 detected - 12 µs, größer, 漢字"
    assert line(text) == text
    assert block(text + "\n  two") == text + "\n  two"


def test_a_line_break_is_shown_on_a_line_and_kept_in_a_block():
    assert line("a\nb") == "a\\nb"
    assert block("a\r\nb\n") == "a\nb\n"


@pytest.mark.parametrize("character", ["x", "\x00", "\ud800", "\n", "`", "|"])
@pytest.mark.parametrize("show", [line, block, markdown, code])
def test_a_hundred_megabytes_become_a_short_text(show, character):
    shown = show(character * 3_000_000, 100)
    assert len(shown) < 700
    assert "2,999,900 characters" in shown.replace("\\", "")


def test_data_of_a_record_is_one_bounded_line():
    data = {f"key{i}": [[1 << 60, "x" * 1000, {"deep": "\x1b"}]] * 1000 for i in range(1000)}
    shown = details(data)
    assert shown.isprintable()
    assert len(shown) < 300


def test_values_are_shown_as_people_read_them():
    shown = details({"value": (1 << 64) - 1, "count": 3, "is_up": True, "runs": [[4660, 2]], "none": None})
    assert shown == "value=0xffffffffffffffff count=3 is_up=True runs=[[4660, 2]] none=None"


def test_a_code_span_survives_backticks_and_bars_in_it():
    assert code("a`b``c|d") == "``` a`b``c\\|d ```"
    assert code("") == "` `"


def test_markdown_escapes_markup_but_keeps_identifiers_readable():
    assert markdown("loads_give_all_ones <b> _x_ | # a") == "loads_give_all_ones \\<b\\> \\_x\\_ \\| # a"
    assert markdown("# heading") == "\\# heading"
