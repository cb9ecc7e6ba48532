"""Tests of saved cases: they come back as they were, and nothing wrong comes in."""

from __future__ import annotations

import json
import re
from dataclasses import MISSING, fields, replace
from typing import Any, get_type_hints

import pytest

from harness import registry
from harness.vocab.case import Case, Step, When
from harness.vocab.errors import UsageError
from harness.vocab.event import Event
from harness.vocab.schedule import UNTIL_IT_WAITS, Schedule, Strategy
from harness.vocab.topology import Platform
from harness.wire.casefile import PROBLEMS_SHOWN, STEPS_LIMIT, TEXT_LIMIT_BYTES, dump, load
from tests.wire.samples import SAMPLES, Aim, Bare

CASE = Case(
    (
        Step("a0", Aim("afu0.0", width=4)),
        Step("nemesis", Bare(), When(after_ms=5, phase="quiesce", nth=2)),
        Step("harness", Aim("afu0.1", is_hard=True)),
    ),
    Platform.POWERNV,
    schedule=Schedule.of_seed(77),
    needs=frozenset({"kprobes", "debugfs"}),
    cards=2,
    origin="seed 5, minimised",
)


def saved(**changes: Any) -> str:
    return json.dumps({**json.loads(dump(CASE)), **changes})


def problems(text: str | bytes) -> list[str]:
    with pytest.raises(UsageError) as caught:
        load(text, SAMPLES, "x.json")
    found = [str(problem) for problem in caught.value.problems]
    assert all(problem.startswith("x.json") for problem in found)
    return found


def test_a_case_comes_back_as_it_was() -> None:
    text = dump(CASE, "loads_give_all_ones/valid-after-all-ones")
    found, signature = load(text, SAMPLES, "x.json")
    assert found == CASE
    assert found.id == CASE.id
    assert signature == "loads_give_all_ones/valid-after-all-ones"
    assert dump(found, signature) == text


@pytest.mark.parametrize(
    "schedule",
    [
        Schedule(),
        Schedule.of_seed((1 << 64) - 1),
        Schedule(Strategy.PRIORITY, 7, 3, 400),
        UNTIL_IT_WAITS,
        Schedule(Strategy.DECISIONS, decisions=((0, 2), (12, 1))),
    ],
    ids=str,
)
def test_a_schedule_comes_back_as_it_was_and_is_part_of_the_id(schedule: Schedule) -> None:
    case = replace(CASE, schedule=schedule)
    found = load(dump(case), SAMPLES, "x.json").case
    assert found == case
    assert found.id == case.id != CASE.id


def test_a_case_of_schema_1_still_loads() -> None:
    old = {key: value for key, value in json.loads(dump(CASE)).items() if key != "schedule"}
    text = json.dumps({**old, "schema": 1, "schedule_seed": 77})
    assert load(text, SAMPLES, "x.json").case == CASE
    (problem,) = problems(json.dumps({**old, "schema": 1, "schedule_seed": {"strategy": "decisions"}}))
    assert problem.startswith("x.json: schedule_seed")


def test_a_saved_case_has_one_line_a_step_and_no_defaults_in_when() -> None:
    lines = [line for line in dump(CASE).splitlines() if '"actor"' in line]
    assert len(lines) == len(CASE.steps)
    assert "when" not in lines[0]
    assert lines[1].endswith('"when": {"after_ms": 5, "phase": "quiesce", "nth": 2}},')


def test_a_case_without_steps_comes_back() -> None:
    empty = Case((), Platform.POWERVM)
    assert load(dump(empty), SAMPLES).case == empty


def test_fields_with_defaults_may_be_left_out() -> None:
    steps = [{"actor": "a0", "event": "Aim", "with": {"target": "afu0.0"}}, {"actor": "a1", "event": "Bare"}]
    case = load(saved(steps=steps), SAMPLES).case
    assert case.steps == (Step("a0", Aim("afu0.0")), Step("a1", Bare()))


def sample(event: type[Event]) -> Event:
    """The event with the first allowed value of every field that has no default."""
    plain = {str: "c0", int: 1, bool: True}
    kinds = get_type_hints(event)
    given = {
        item.name: next(iter(item.metadata.get("allowed", [plain[kinds[item.name]]])))
        for item in fields(event)
        if item.default is MISSING
    }
    return event(**given)


@pytest.mark.parametrize("name", sorted(registry.events()))
def test_every_event_can_be_saved_and_loaded(name: str) -> None:
    event = sample(registry.event(name))
    platform = min(event.platforms, key=lambda item: item.value)
    case = Case((Step("a0", event),), platform)
    assert load(dump(case), registry.events()).case == case


@pytest.mark.parametrize(
    ("change", "place", "says"),
    [
        ({"schema": 3}, "schema", "unknown schema number 3"),
        ({"schema": "1"}, "schema", "wrong type"),
        ({"platform": "powernvm"}, "platform", "did you mean powervm?"),
        ({"schedule": -1}, "schedule", "0 to"),
        ({"schedule": True}, "schedule", "0 to"),
        ({"schedule": {"strategy": "prioritty"}}, "schedule.strategy", "did you mean priority?"),
        ({"schedule": {"strategy": ["random"]}}, "schedule.strategy", "random, priority, decisions"),
        ({"schedule": {"strategy": "random", "seed": 1, "within": 2}}, "schedule", "strategy, seed"),
        (
            {"schedule": {"strategy": "priority", "seed": 1, "changes": 2, "within": 0}},
            "schedule.within",
            "1 to",
        ),
        (
            {"schedule": {"strategy": "decisions", "decisions": [[4, 1], [4, 2]]}},
            "schedule.decisions",
            "ascending",
        ),
        (
            {"schedule": {"strategy": "decisions", "decisions": [[4, 0]]}},
            "schedule.decisions",
            "choices from 1",
        ),
        (
            {"schedule": {"strategy": "decisions", "decisions": [[4, 1.0]]}},
            "schedule.decisions",
            "[index, choice]",
        ),
        ({"schedule": {"strategy": "decisions", "decisions": 5}}, "schedule.decisions", "[index, choice]"),
        ({"schedule_seed": 4}, "", "unknown key"),
        ({"cards": 1.0}, "cards", "a whole number"),
        ({"needs": ["../x"]}, "needs[0]", "feature"),
        ({"signature": "../../etc/passwd"}, "signature", "oracle_name"),
        ({"origin": "\x1b[2J"}, "origin", "printable"),
        ({"origin": "\ud800"}, "origin", "printable"),
        ({"stepz": []}, "", "did you mean steps?"),
        ({"steps": {}}, "steps", "a list"),
        ({"steps": [7]}, "steps[0]", "an object"),
    ],
)
def test_a_wrong_header_is_refused_with_its_place(change: dict[str, Any], place: str, says: str) -> None:
    (problem,) = problems(saved(**change))
    assert problem.startswith(f"x.json: {place}")
    assert says in problem


@pytest.mark.parametrize(
    ("change", "place", "says"),
    [
        ({"actor": "A0"}, "actor", "small letter"),
        ({"actor": "../../a"}, "actor", "small letter"),
        ({"actor": "kernel"}, "actor", "not kernel"),
        ({"actor": None}, "actor", "a text"),
        ({"event": "Aims"}, "event", "did you mean Aim?"),
        ({"event": "os.system"}, "event", "Aim, Bare"),
        ({"event": "OnlyVm", "with": {}}, "event", "powervm"),
        ({"events": "Aim"}, "", "did you mean event?"),
        ({"with": {"target": "afu0.0", "widht": 4}}, "with", "did you mean width?"),
        ({"with": {"target": "afu0.0", "width": 5}}, "with.width", "4, 8"),
        ({"with": {"target": "afu0.0", "width": True}}, "with.width", "4, 8"),
        ({"with": {"target": "afu0.0", "irqs": 9}}, "with.irqs", "from 0 to 8"),
        ({"with": {"target": "afu0.0", "is_hard": 1}}, "with.is_hard", "true or false"),
        ({"with": {"target": "../../dev/sda"}}, "with.target", "never a path"),
        ({"with": {"target": "afu0..0"}}, "with.target", "never a path"),
        ({"with": {"target": "a\nb"}}, "with.target", "never a path"),
        ({"with": {}}, "with.target", "missing"),
        ({"with": {"target": "odd"}}, "with", "refuses"),
        ({"when": {"phase": "quiesced"}}, "when.phase", "did you mean quiesce?"),
        ({"when": {"nth": 0}}, "when.nth", "1 to 1000"),
        ({"when": {"after_ms": 1 << 40}}, "when.after_ms", "0 to"),
        ({"when": "quiesce"}, "when", "an object"),
    ],
)
def test_a_wrong_step_is_refused_with_its_place(change: dict[str, Any], place: str, says: str) -> None:
    step = {"actor": "a0", "event": "Aim", "with": {"target": "afu0.0"}, **change}
    (problem,) = problems(saved(steps=[step]))
    assert problem.startswith(f"x.json: steps[0]{'.' if place else ''}{place}")
    assert says in problem


def test_all_problems_are_said_at_once() -> None:
    steps = [{"actor": "A", "event": "Aim", "with": {"width": 3}}, {"event": "Nothing"}]
    found = problems(saved(platform="x", cards="two", steps=steps))
    places = [re.split(r": ", problem)[1] for problem in found]
    assert places == [
        "platform",
        "cards",
        "steps[0].actor",
        "steps[0].with.target",
        "steps[0].with.width",
        "steps[1].actor",
        "steps[1].event",
    ]


def test_every_cut_of_a_file_is_refused() -> None:
    text = dump(CASE).rstrip()
    for length in range(len(text)):
        assert problems(text[:length])


def test_a_key_that_stands_twice_is_refused() -> None:
    text = dump(CASE).replace('"cards": 2,', '"cards": 2, "cards": 3,')
    assert "twice" in problems(text)[0]


def test_too_large_files_are_refused_without_reading_their_steps() -> None:
    assert str(STEPS_LIMIT) in problems(saved(steps=[{}] * (STEPS_LIMIT + 1)))[0]
    assert str(TEXT_LIMIT_BYTES) in problems(" " * (TEXT_LIMIT_BYTES + 1))[0]
    assert "not JSON" in problems("[" * 1_000_000)[0]
    assert "not JSON" in problems(b"\xff\xfe")[0]


def test_a_thousand_problems_are_told_in_a_few_lines() -> None:
    found = problems(saved(steps=[7] * 1000))
    assert len(found) == PROBLEMS_SHOWN + 1
    assert "950 more" in found[-1]
