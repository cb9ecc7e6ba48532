"""Saved cases: reviewed, pretty JSON with a schema number, one step a line so that it reads like a story.

Reading is strict and only makes values: whatever is unknown, of another type, not allowed or too large is a
problem, all problems are said at once, and nothing is performed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import MISSING, fields
from functools import cache, lru_cache
from typing import Any, NamedTuple, TypeVar, get_type_hints

from harness.vocab.case import NOW, Case, Step, When
from harness.vocab.errors import Problem, UsageError
from harness.vocab.event import KERNEL, Event
from harness.vocab.phase import phases
from harness.vocab.schedule import Schedule
from harness.vocab.topology import Platform
from harness.wire.excerpt import excerpt, nearest
from harness.wire.schedulejson import read_schedule

SCHEMA = 2
"""The schema number that is written. Schema 1, which is still read, has `schedule_seed`: a random walk's."""
TEXT_LIMIT_BYTES = 8 << 20
STEPS_LIMIT = 10_000
PROBLEMS_SHOWN = 50
"""A file of ten thousand wrong steps is told of in fifty lines."""

_T = TypeVar("_T", str, int, list[Any], dict[str, Any])
_ACTOR = re.compile(r"[a-z][a-z0-9]{0,15}")
_WORD = re.compile(r"[a-z][a-z0-9_.:-]{0,39}")
_SIGNATURE = re.compile(r"[a-z][a-z0-9_]{0,79}/[a-z0-9][a-z0-9_-]{0,199}")
_NAME = re.compile(r"[ -.0-\[\]-~]{0,256}")  # printable ASCII without slashes: names, never paths
_HOUR_MS = 3_600_000
_U64 = (1 << 64) - 1
_LIMITS = {"after_ms": (0, _HOUR_MS), "nth": (1, 1000), "within_ms": (0, _HOUR_MS)}
_SCHEDULE_KEYS = {1: "schedule_seed", SCHEMA: "schedule"}
_CASE_KEYS = ("schema", "platform", "needs", "cards", "origin", "signature", "steps")
_STEP_KEYS = ("actor", "event", "with", "when")
_WHEN_KEYS = ("after_ms", "phase", "nth", "within_ms")
_KINDS: dict[type, str] = {str: "a text", int: "a whole number", bool: "true or false"}
_KINDS |= {list: "a list", dict: "an object"}


class SavedCase(NamedTuple):
    """A case as it was saved, and the signature that it is expected to show; empty when it should pass."""

    case: Case
    signature: str


def dump(case: Case, signature: str = "") -> str:
    """Return the text of the file that saves `case`."""
    head: dict[str, Any] = {
        "schema": SCHEMA,
        "platform": case.platform.value,
        "schedule": case.schedule.to_json(),
        "needs": sorted(case.needs),
        "cards": case.cards,
        "origin": case.origin,
    }
    if signature:
        head["signature"] = signature
    lines = [f"  {json.dumps(key)}: {json.dumps(value)}," for key, value in head.items()]
    steps = ",\n".join([_step_text(step) for step in case.steps])
    body = f"[\n{steps}\n  ]" if steps else "[]"
    return "{\n" + "\n".join(lines) + f'\n  "steps": {body}\n}}\n'


@lru_cache(maxsize=4096)
def _step_text(step: Step) -> str:
    """One line of the file; remembered, because most steps of a case end it and are in every case."""
    return f"    {json.dumps(_step_to_json(step))}"


def _step_to_json(step: Step) -> dict[str, Any]:
    value = {"actor": step.actor, "event": type(step.event).__name__, "with": step.event.details}
    when = {key: getattr(step.when, key) for key in _WHEN_KEYS}
    changed = {key: setting for key, setting in when.items() if setting != getattr(NOW, key)}
    return {**value, "when": changed} if changed else value


def load(text: str | bytes, events: Mapping[str, type[Event]], where: str = "case") -> SavedCase:
    """Return the case that `text` saves; `events` are the known classes by name, `where` names the file.

    Raises UsageError with every problem, each with its place.
    """
    reader = _Reader(events, where)
    saved = reader.saved_case(text)
    if saved is None or reader.problems:
        hidden = len(reader.problems) - PROBLEMS_SHOWN
        more = [Problem(f"and {hidden} more problems", where)] if hidden > 0 else []
        raise UsageError([*reader.problems[:PROBLEMS_SHOWN], *more])
    return saved


class _Reader:
    """Reads one file; collects problems and goes on, so that all of them are found."""

    def __init__(self, events: Mapping[str, type[Event]], where: str) -> None:
        self.problems: list[Problem] = []
        self._events = events
        self._where = where
        self._platform: Platform | None = None

    def saved_case(self, text: str | bytes) -> SavedCase | None:
        """The case, or None after problems."""
        value = self._parsed(text)
        if value is None:
            return None
        schedule_key = self._schedule_key(value)
        if not schedule_key:
            return None
        self._only(value, (*_CASE_KEYS, schedule_key), "")
        platform = self._get(value, "platform", str, "", "")
        allowed = tuple(item.value for item in Platform)
        if platform in allowed:
            self._platform = Platform(platform)
        elif platform:
            self._unknown("platform", platform, allowed, "platform")
        schedule = self._schedule(value, schedule_key)
        cards = self._bounded(value, "cards", 1, (0, 64), "")
        signature = self._get({"signature": "", **value}, "signature", str, "", "")
        if signature and not _SIGNATURE.fullmatch(signature):
            self._problem(f"signature {excerpt(signature)}", "signature", "oracle_name/kind-of-complaint")
        needs = self._needs(value)
        origin = self._get({"origin": "", **value}, "origin", str, "", "")
        if not origin.isprintable() or len(origin) > 1000:
            self._problem(f"origin {excerpt(origin)}", "origin", "at most 1000 printable characters")
        steps = self._steps(value)
        if self.problems or self._platform is None:
            return None
        return SavedCase(Case(steps, self._platform, schedule, needs, cards, origin), signature)

    def _parsed(self, text: str | bytes) -> dict[str, Any] | None:
        if len(text) > TEXT_LIMIT_BYTES:
            self._problem(f"{len(text)} bytes long", "", f"at most {TEXT_LIMIT_BYTES} bytes")
            return None
        try:
            value = json.loads(text, object_pairs_hook=_unique)
        except (ValueError, RecursionError) as error:
            self._problem(f"not JSON, or cut off: {excerpt(str(error))}", "", "a saved case")
            return None
        if type(value) is not dict:
            self._problem("not a JSON object", "", "a saved case")
            return None
        return value

    def _schedule_key(self, value: dict[str, Any]) -> str:
        """Where the schema of this file has the schedule; empty when the schema is not known."""
        schema = self._get(value, "schema", int, -1, "")
        if schema != -1 and schema not in _SCHEDULE_KEYS:
            self._problem(f"unknown schema number {schema}", "schema", ", ".join(map(str, _SCHEDULE_KEYS)))
        return _SCHEDULE_KEYS.get(schema, "")

    def _schedule(self, value: dict[str, Any], key: str) -> Schedule:
        found = read_schedule(value.get(key, 0), f"{self._where}: {key}")
        if isinstance(found, Schedule):
            return found
        self.problems += found
        return Schedule()

    def _needs(self, value: dict[str, Any]) -> frozenset[str]:
        needs = self._get({"needs": [], **value}, "needs", list, [], "")
        for index, need in enumerate(needs):
            if type(need) is not str or not _WORD.fullmatch(need):
                self._problem(f"{excerpt(need)} is no feature", f"needs[{index}]", "words such as kprobes")
        return frozenset(need for need in needs if type(need) is str)

    def _steps(self, value: dict[str, Any]) -> tuple[Step, ...]:
        steps = self._get(value, "steps", list, [], "")
        if len(steps) > STEPS_LIMIT:
            self._problem(f"{len(steps)} steps", "steps", f"at most {STEPS_LIMIT}")
            return ()
        found = (self._step(step, f"steps[{index}]") for index, step in enumerate(steps))
        return tuple(step for step in found if step is not None)

    def _step(self, value: Any, where: str) -> Step | None:
        if type(value) is not dict:
            self._problem(f"{excerpt(value)} is no step", where, "an object")
            return None
        self._only(value, _STEP_KEYS, where)
        actor = self._get(value, "actor", str, "", where)
        if actor and (not _ACTOR.fullmatch(actor) or actor == KERNEL):
            allowed = f"a small letter, then at most 15 small letters and digits; not {KERNEL}"
            self._problem(f"{excerpt(actor)} is no actor", f"{where}.actor", allowed)
        when = self._when(self._get({"when": {}, **value}, "when", dict, {}, where), f"{where}.when")
        event = self._event(value, where)
        return Step(actor, event, when) if event else None

    def _when(self, value: dict[str, Any], where: str) -> When:
        self._only(value, _WHEN_KEYS, where)
        phase = self._get({"phase": "", **value}, "phase", str, "", where)
        if phase and self._platform and phase not in (known := phases(self._platform)):
            self._unknown("phase", phase, known, f"{where}.phase")
        moments = {key: self._bounded(value, key, getattr(NOW, key), _LIMITS[key], where) for key in _LIMITS}
        return When(phase=phase, **moments)

    def _event(self, value: dict[str, Any], where: str) -> Event | None:
        name = self._get(value, "event", str, "", where)
        given = self._get({"with": {}, **value}, "with", dict, {}, where)
        event = self._events.get(name)
        if event is None:
            if name:
                self._unknown("event", name, tuple(sorted(self._events)), f"{where}.event")
            return None
        if self._platform and self._platform not in event.platforms:
            allowed = ", ".join(sorted(platform.value for platform in event.platforms))
            self._problem(f"{name} does not exist on {self._platform.value}", f"{where}.event", allowed)
        before = len(self.problems)
        self._details(event, given, f"{where}.with")
        if len(self.problems) > before:
            return None
        try:
            return event(**given)
        except ValueError as error:
            self._problem(f"{name} refuses this: {excerpt(str(error))}", f"{where}.with")
            return None

    def _details(self, event: type[Event], given: dict[str, Any], where: str) -> None:
        known = _fields(event)
        self._only(given, tuple(known), where)
        for name, field in known.items():
            place = f"{where}.{name}"
            if name not in given:
                if field.is_needed:
                    self._problem("missing", place, field.describe())
            elif type(given[name]) is not field.kind or not field.allows(given[name]):
                self._problem(f"{excerpt(given[name])} is not allowed", place, field.describe())

    def _only(self, value: dict[str, Any], keys: tuple[str, ...], where: str) -> None:
        for key in value:
            if key not in keys:
                self._unknown("key", key, keys, where)

    def _get(self, value: Mapping[str, Any], key: str, kind: type[_T], otherwise: _T, where: str) -> _T:
        place = f"{where}.{key}" if where else key
        if key not in value:
            self._problem("missing", place, _KINDS[kind])
        elif type(value[key]) is not kind:
            self._problem(f"{excerpt(value[key])} has the wrong type", place, _KINDS[kind])
        else:
            found: _T = value[key]
            return found
        return otherwise

    def _bounded(
        self, value: Mapping[str, Any], key: str, default: int, bounds: tuple[int, int], where: str
    ) -> int:
        number = self._get({key: default, **value}, key, int, default, where)
        if not bounds[0] <= number <= bounds[1]:
            place = f"{where}.{key}" if where else key
            self._problem(f"{excerpt(number)} is not allowed", place, f"{bounds[0]} to {bounds[1]}")
            return default
        return number

    def _unknown(self, what: str, name: str, known: tuple[str, ...], where: str) -> None:
        self._problem(f"unknown {what} {excerpt(name)}", where, ", ".join(known), nearest(name, known))

    def _problem(self, what: str, where: str, allowed: str = "", next_step: str = "") -> None:
        self.problems.append(
            Problem(what, f"{self._where}: {where}" if where else self._where, allowed, next_step)
        )


class _Field(NamedTuple):
    """What a saved event may have in one of its fields."""

    kind: type
    is_needed: bool
    allowed: Any

    def allows(self, value: Any) -> bool:
        if self.allowed is not None:
            return value in self.allowed
        if self.kind is str:
            return bool(_NAME.fullmatch(value)) and ".." not in value
        return self.kind is bool or -(1 << 63) <= value <= _U64

    def describe(self) -> str:
        if isinstance(self.allowed, range) and self.allowed.step == 1:
            return f"{_KINDS[self.kind]} from {self.allowed.start} to {self.allowed.stop - 1}"
        if self.allowed is not None:
            return ", ".join(map(json.dumps, self.allowed))
        return "a name, never a path" if self.kind is str else _KINDS[self.kind]


@cache
def _fields(event: type[Event]) -> dict[str, _Field]:
    kinds = get_type_hints(event)
    return {
        item.name: _Field(
            kinds[item.name],
            item.default is MISSING and item.default_factory is MISSING,
            item.metadata.get("allowed"),
        )
        for item in fields(event)
    }


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands twice in one object")
    return found
