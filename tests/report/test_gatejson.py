"""gate.json: what programs read."""

from __future__ import annotations

import json
from dataclasses import replace

from harness.report import gatejson
from tests.report.samples import BUG, RELEASED, STOPPED, VM, failing, healthy


def test_it_says_whether_the_release_goes():
    document = json.loads(gatejson.render(healthy(), RELEASED))
    assert document["released"] is True
    assert document["verdict"] == "pass"
    assert document["exit_code"] == 0
    assert document["counts"] == {"runs": 2400, "pass": 2380, "unknown-vacuous": 20}
    assert document["hosts"][0]["versions"] == {"psl": "8", "skiboot": "sim"}
    assert document["seeds"] == {"campaign": 8_113_772_154}


def test_it_carries_the_bugs_and_the_reasons():
    document = json.loads(gatejson.render(failing(), STOPPED))
    assert document["released"] is False
    assert document["exit_code"] == 1
    assert document["reasons"] == list(STOPPED.reasons)
    assert document["bugs"][0]["signature"] == BUG.signature
    assert document["bugs"][0]["replay"] == BUG.replay
    assert document["by_host"][VM]["fail"] == 14


def test_hostile_text_is_bounded_ascii():
    evil = "\x1b[31m\ud800" + "z" * 100_000
    campaign = replace(failing(), bugs=(replace(BUG, message=evil),), trouble=(evil,), versions={evil: evil})
    text = gatejson.render(campaign, STOPPED)
    assert text.isascii()
    assert "\x1b" not in text
    assert "\\\\x1b[31m" in text
    assert len(text) < 20_000
