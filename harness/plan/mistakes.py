"""How a mistake in a plan's files is said: names that exist, and pydantic's errors turned into Problems."""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import partial
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from harness.vocab.errors import Problem, UsageError
from harness.vocab.phase import phases
from harness.vocab.topology import Platform

_ALL_PHASES = tuple(dict.fromkeys(phase for platform in Platform for phase in phases(platform)))
_SCHEMES: Mapping[str, tuple[str, ...]] = {
    "sim": ("powernv", "powervm"),
    "qemu": ("powervm", "powernv"),
    "ssh": (),
}
_SHOWN = 120
"""Most characters of a wrong value that a message repeats."""


@dataclass(frozen=True)
class Known:
    """The names that exist here: events with the platforms that have them, oracles, phases, host schemes.

    `schemes` gives the names that may follow ``scheme://``; none: any name.
    """

    events: Mapping[str, frozenset[Platform]]
    oracles: Collection[str]
    phases: Collection[str] = _ALL_PHASES
    schemes: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: _SCHEMES)


def parse_toml(text: str, where: str) -> dict[str, Any]:
    """The document in `text`, lists as tuples. Raises UsageError when it is not TOML."""
    try:
        document = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise UsageError(
            Problem(f"this is not TOML: {_shown(str(error))}", where, "a TOML document")
        ) from None
    return {key: _frozen(value) for key, value in document.items()}


def _frozen(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_frozen(item) for item in value)
    if isinstance(value, dict):
        return {key: _frozen(item) for key, item in value.items()}
    return value


def wrong(what: str, allowed: str, next_step: str = "") -> PydanticCustomError:
    """A mistake for a validator to raise: what it is, what is allowed, what to do."""
    context = {"what": what, "allowed": allowed, "next_step": next_step}
    return PydanticCustomError("mistake", "{what}", context)


def must_be_known(name: str, kind: str, names: Collection[str]) -> str:
    """`name` when it is one of `names`; else raises a mistake that lists them and names the nearest."""
    if name in names:
        return name
    raise wrong(
        f"no {kind} is called {_shown(name)}", ", ".join(sorted(names)) or "none", nearest(name, names)
    )


def nearest(name: str, names: Collection[str]) -> str:
    """``did you mean 'x'?`` for the nearest of `names`, or an empty string."""
    found = get_close_matches(name[:_SHOWN], list(names), n=1)
    return f"did you mean {found[0]!r}?" if found else ""


def as_problems(error: ValidationError, where: str, model: type[BaseModel]) -> Iterator[Problem]:
    """Every mistake that pydantic found in `where`, said our way, each once."""
    seen = set()
    for detail in error.errors(include_url=False):
        if detail["type"] == "too_short" and detail["input"]:
            continue  # the list is long enough, its items are wrong: that is told already
        problem = _problem(detail, where, model)
        if problem not in seen:
            seen.add(problem)
            yield problem


def _problem(detail: ErrorDetails, where: str, model: type[BaseModel]) -> Problem:
    path = [part for part in detail["loc"] if part != "[key]"]
    place = f"{where}: {dotted(path)}" if path else where
    context = detail.get("ctx", {})
    kind = detail["type"]
    if kind == "mistake":
        return Problem(context["what"], place, context["allowed"], context["next_step"])
    if kind == "extra_forbidden":
        keys = _keys(model, path[:-1])
        return Problem("this key is unknown", place, ", ".join(keys), nearest(str(path[-1]), keys))
    if kind == "missing":
        return Problem("this key is missing", place, next_step="add it")
    allowed = _ALLOWED.get(kind, lambda _: detail["msg"])(context)
    return Problem(f"{_shown(detail['input'])} is not allowed here", place, allowed)


def dotted(path: list[int | str]) -> str:
    """``draw.steps[1]`` for ``["draw", "steps", 1]``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{_shown_key(part)}"
    return text.removeprefix(".")


def _keys(model: type[BaseModel], path: list[int | str]) -> list[str]:
    """The keys that the table at `path` within `model` may have."""
    for part in path:
        if not isinstance(part, int):
            model = _inner(model.model_fields[part].annotation)
    return [item.alias or name for name, item in model.model_fields.items()]


def _inner(annotation: Any) -> type[BaseModel]:
    """The table that a field holds, directly or as the items of a list."""
    while not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
        annotation = get_args(annotation)[0]
    return annotation


def _bound(words: str, key: str, context: Mapping[str, Any]) -> str:
    return f"{words} {context[key]}"


def _constant(words: str, _context: Mapping[str, Any]) -> str:
    return words


_ALLOWED = {
    "int_type": partial(_constant, "a whole number"),
    "string_type": partial(_constant, 'text in "quotes"'),
    "tuple_type": partial(_constant, "a list in [brackets]"),
    "dict_type": partial(_constant, "a table"),
    "model_type": partial(_constant, "a table"),
    "model_attributes_type": partial(_constant, "a table"),
    "date_type": partial(_constant, "a date, such as 2027-01-31"),
    "string_too_short": partial(_constant, "text that is not empty"),
    "string_pattern_mismatch": partial(_bound, "text that matches", "pattern"),
    "literal_error": partial(_bound, "only", "expected"),
    "greater_than_equal": partial(_bound, "at least", "ge"),
    "less_than_equal": partial(_bound, "at most", "le"),
    "too_short": partial(_bound, "fewest items:", "min_length"),
}


def _shown(value: Any) -> str:
    text = ascii(list(value) if isinstance(value, tuple) else value)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"


def _shown_key(key: str) -> str:
    return key if len(key) <= _SHOWN and key.isprintable() else _shown(key)
