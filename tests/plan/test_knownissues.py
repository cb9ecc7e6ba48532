"""Known issues: exact, owned, and with an end."""

from __future__ import annotations

from datetime import date

import pytest

from harness.plan.knownissues import NO_KNOWN_ISSUES, load
from harness.vocab.errors import UsageError

ISSUE = '[[issue]]\nsignature = "a_b/c-d"\nreason = "r"\nowner = "o"\nexpires = 2027-01-31\n'


def mistakes(text: str) -> list[str]:
    with pytest.raises(UsageError) as caught:
        load("schema = 1\n" + text, "k.toml")
    return [str(problem) for problem in caught.value.problems]


def test_an_issue_excuses_its_signature_only():
    issues = load("schema = 1\n" + ISSUE, "k.toml")
    assert issues.match("a_b/c-d").owner == "o"
    assert issues.match("a_b/c-d-e") is None
    assert NO_KNOWN_ISSUES.match("a_b/c-d") is None


def test_an_issue_of_one_host_excuses_nothing_elsewhere():
    issues = load("schema = 1\n" + ISSUE + 'host = "qemu://powervm"\n', "k.toml")
    assert issues.match("a_b/c-d", ["qemu://powervm", "qemu://powervm?clock=real"]).owner == "o"
    assert issues.match("a_b/c-d", ["qemu://powervm", "sim://powervm"]) is None
    both = load("schema = 1\n" + ISSUE + 'host = "qemu://powervm"\n' + ISSUE, "k.toml")
    assert both.match("a_b/c-d", ["qemu://powervm", "sim://powervm"]).owner == "o"


def test_the_last_day_still_counts():
    issues = load("schema = 1\n" + ISSUE, "k.toml")
    assert issues.expired(date(2027, 1, 31)) == ()
    assert [issue.signature for issue in issues.expired(date(2027, 2, 1))] == ["a_b/c-d"]


def test_an_empty_list_is_good():
    assert load("schema = 1", "k.toml").issues == ()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("a_b/c-d", "a_b"),
         "k.toml: issue[0].signature: 'a_b' is not allowed here; allowed: text that matches"),
        (("a_b/c-d", "*/*"), "k.toml: issue[0].signature: '*/*' is not allowed here"),
        (('"r"', '""'), "k.toml: issue[0].reason: '' is not allowed here; allowed: text that is not empty"),
        (('owner = "o"\n', ""), "k.toml: issue[0].owner: this key is missing; add it"),
        (("2027-01-31", '"2027-01-31"'), "allowed: a date, such as 2027-01-31"),
        (("2027-01-31", "2027-01-31T10:00:00"), "k.toml: issue[0].expires:"),
        (("reason", "raeson"),
         "k.toml: issue[0].raeson: this key is unknown; allowed: signature, reason, owner"),
        (("[[issue]]", "[[issues]]"),
         "k.toml: issues: this key is unknown; allowed: schema, issue; did you mean"),
    ],
)  # fmt: skip
def test_a_mistake_is_told(change, said):
    assert any(said in text for text in mistakes(ISSUE.replace(*change))), mistakes(ISSUE.replace(*change))


def test_a_signature_is_excused_once():
    assert mistakes(ISSUE + ISSUE) == [
        "k.toml: issue[1].signature: a_b/c-d is already excused by issue[0]; "
        "allowed: one issue for each signature and host; remove one of the two"
    ]
