"""campaign.json: what was written is read back, and what is not a campaign is refused in full."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.vocab.campaign import Campaign
from harness.vocab.errors import UsageError
from harness.wire.campaignfile import campaign_from_json, campaign_to_json
from tests.report.samples import failing, healthy


def mistakes(change: dict[str, Any]) -> list[str]:
    document = {**json.loads(campaign_to_json(failing())), **change}
    with pytest.raises(UsageError) as caught:
        campaign_from_json(json.dumps(document), "c.json")
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize("campaign", [healthy(), failing()])
def test_a_campaign_survives_the_file(campaign):
    text = campaign_to_json(campaign)
    assert text.isascii()
    assert campaign_from_json(text) == campaign


@given(st.builds(Campaign, duration_s=st.floats(0, 1e9)))
def test_every_campaign_survives_the_file(campaign):
    assert campaign_from_json(campaign_to_json(campaign).encode()) == campaign


def test_text_that_is_no_unicode_survives_too():
    campaign = Campaign(**{**vars_of(healthy()), "title": "\udc80 \ud800\x00\x1b"})
    assert campaign_from_json(campaign_to_json(campaign)) == campaign


def vars_of(campaign: Campaign) -> dict[str, Any]:
    return {name: getattr(campaign, name) for name in Campaign.__slots__}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"schema": 2}, "c.json: schema: the schema number is 2; allowed: 1"),
        ({"schema": True}, "c.json: schema: the schema number is True; allowed: 1"),
        ({"sed": 1}, "c.json: sed: this key is unknown; allowed: plan, title, seed,"),
        ({"seed": "1"}, "c.json: seed: '1' is not allowed here; allowed: a whole number"),
        ({"seed": True}, "c.json: seed: True is not allowed here; allowed: a whole number"),
        (
            {"duration_s": float("nan")},
            "c.json: duration_s: nan",
        ),
        ({"duration_s": 10**400}, "c.json: duration_s: 1000"),
        ({"ended": "soon"}, "c.json: ended: 'soon' is not allowed here; allowed: budget, exhausted,"),
        ({"bugs": {}}, "c.json: bugs: this is an object; allowed: a list"),
        ({"bugs": [7]}, "c.json: bugs[0]: this is a whole number; allowed: an object"),
        ({"bugs": [{}]}, "c.json: bugs[0].signature: this key is missing; allowed: text; add it"),
        (
            {"counts": {"pass": 1.5}},
            "c.json: counts['pass']: 1.5 is not allowed here; allowed: a whole number",
        ),
        ({"by_host": {"x": 3}}, "c.json: by_host['x']: this is a whole number; allowed: an object"),
    ],
)
def test_a_mistake_is_told_with_its_place(change, said):
    assert any(text.startswith(said) for text in mistakes(change)), mistakes(change)


def test_all_mistakes_are_told_at_once():
    told = mistakes({"seed": "x", "ended": 3, "kept": None, "more": 1})
    assert len(told) == 4


def test_a_missing_key_is_told():
    document = json.loads(campaign_to_json(failing()))
    del document["plan"], document["seed"]
    with pytest.raises(UsageError) as caught:
        campaign_from_json(json.dumps(document))
    assert {problem.where for problem in caught.value.problems} == {
        "campaign.json: plan",
        "campaign.json: seed",
    }


@pytest.mark.parametrize(
    "text", ["", "{", "[" * 100_000, "[]", "null", b"\xff\xfe\x00", '{"schema":1}', "1" * 9999]
)
def test_what_is_no_campaign_is_refused_briefly(text):
    with pytest.raises(UsageError) as caught:
        campaign_from_json(text)
    assert len(str(caught.value)) < 4000


def test_a_file_full_of_mistakes_gives_a_bounded_message():
    assert len(mistakes({"counts": {f"k{i}": "x" for i in range(10_000)}})) == 50
