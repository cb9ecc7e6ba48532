"""campaign.json: a Campaign as JSON text and back, so that reports and the gate work from files.

Reading is strict: unknown keys, missing keys, wrong types and other schema numbers are reported all together.
The form follows the dataclasses of `harness.vocab`, so that a new field there needs no word here.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from difflib import get_close_matches
from enum import Enum
from functools import cache
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from harness.vocab.campaign import Campaign
from harness.vocab.errors import Problem, UsageError
from harness.wire.excerpt import excerpt

SCHEMA = 1
"""The schema number of campaign.json."""

_MOST_PROBLEMS = 50
_MOST_EXACT = 1 << 53
_ROOT = "the top level"


def campaign_to_json(campaign: Campaign) -> str:
    """`campaign` as indented JSON in ASCII, ending with a newline."""
    return json.dumps({"schema": SCHEMA, **_plain(campaign)}, indent=1, allow_nan=False) + "\n"


def campaign_from_json(text: str | bytes, where: str = "campaign.json") -> Campaign:
    """The Campaign in `text`; `where` names the file in messages. Raises UsageError with every problem."""
    document = _parse(text, where)
    reader = _Reader(where)
    schema = document.pop("schema", None)
    if schema != SCHEMA or isinstance(schema, bool):
        reader.complain("schema", f"the schema number is {excerpt(schema)}", f"{SCHEMA}")
    campaign = reader.read(document, Campaign, "")
    if reader.problems:
        raise UsageError(reader.problems)
    assert isinstance(campaign, Campaign)
    return campaign


def _parse(text: str | bytes, where: str) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        problem = Problem(
            f"this is not JSON: {excerpt(str(error))}", where, "the campaign.json of a run directory"
        )
        raise UsageError(problem) from None
    if not isinstance(document, dict):
        raise UsageError(Problem(f"this is {_type_name(document)}, not a campaign", where, "a JSON object"))
    return document


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return {item.name: _plain(getattr(value, item.name)) for item in fields(value)}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value


class _Reader:
    """Turns plain JSON values into typed ones; collects problems and goes on, with None in their place."""

    def __init__(self, where: str) -> None:
        self._where = where
        self.problems: list[Problem] = []

    def complain(self, place: str, what: str, allowed: str, next_step: str = "") -> None:
        """Note one problem at `place`; after many, further ones say nothing new."""
        if len(self.problems) < _MOST_PROBLEMS:
            self.problems.append(Problem(what, f"{self._where}: {place or _ROOT}", allowed, next_step))

    def read(self, value: Any, wanted: Any, place: str) -> Any:
        """`value` as the type `wanted`."""
        origin = get_origin(wanted)
        if origin in (Union, UnionType):
            return self._optional(value, wanted, place)
        if origin is tuple:
            return self._tuple(value, get_args(wanted)[0], place)
        if origin is not None and issubclass(origin, Mapping):
            return self._mapping(value, get_args(wanted)[1], place)
        if is_dataclass(wanted):
            return self._dataclass(value, wanted, place)
        if issubclass(wanted, Enum):
            return self._enum(value, wanted, place)
        return self._scalar(value, wanted, place)

    def _optional(self, value: Any, wanted: Any, place: str) -> Any:
        (inner,) = (item for item in get_args(wanted) if item is not NoneType)
        return None if value is None else self.read(value, inner, place)

    def _tuple(self, value: Any, inner: Any, place: str) -> Any:
        if not isinstance(value, list):
            return self.complain(place, f"this is {_type_name(value)}", "a list")
        return tuple(self.read(item, inner, f"{place}[{index}]") for index, item in enumerate(value))

    def _mapping(self, value: Any, inner: Any, place: str) -> Any:
        if not isinstance(value, dict):
            return self.complain(place, f"this is {_type_name(value)}", "an object")
        return {key: self.read(item, inner, f"{place}[{excerpt(key)}]") for key, item in value.items()}

    def _enum(self, value: Any, wanted: type[Enum], place: str) -> Any:
        by_value = {item.value: item for item in wanted}
        if not isinstance(value, str) or value not in by_value:
            return self.complain(place, f"{excerpt(value)} is not allowed here", ", ".join(by_value))
        return by_value[value]

    def _scalar(self, value: Any, wanted: type, place: str) -> Any:
        if wanted is float and type(value) is int and abs(value) <= _MOST_EXACT:
            return float(value)
        if type(value) is not wanted or (isinstance(value, float) and not math.isfinite(value)):
            return self.complain(place, f"{excerpt(value)} is not allowed here", _TYPE_NAMES[wanted])
        return value

    def _dataclass(self, value: Any, wanted: Any, place: str) -> Any:
        if not isinstance(value, dict):
            return self.complain(place, f"this is {_type_name(value)}", "an object")
        known = {item.name: item for item in fields(wanted)}
        for key in value.keys() - known.keys():
            close = get_close_matches(key[:80], known, n=1)
            next_step = f"did you mean {close[0]!r}?" if close else ""
            self.complain(_at(place, key), "this key is unknown", ", ".join(known), next_step)
        hints = _hints(wanted)
        missing = [name for name, item in known.items() if _is_required(item) and name not in value]
        for name in missing:
            self.complain(_at(place, name), "this key is missing", _TYPE_NAMES.get(hints[name], ""), "add it")
        given = {
            name: self.read(value[name], hints[name], _at(place, name)) for name in known if name in value
        }
        return None if missing else wanted(**given)


_TYPE_NAMES = {str: "text", int: "a whole number", float: "a finite number", bool: "true or false"}
_JSON_NAMES = {NoneType: "null", dict: "an object", list: "a list", **_TYPE_NAMES}


def _type_name(value: object) -> str:
    return _JSON_NAMES[type(value)]


@cache
def _hints(wanted: type) -> dict[str, Any]:
    return get_type_hints(wanted)


def _is_required(item: Field[Any]) -> bool:
    return item.default is MISSING and item.default_factory is MISSING


def _at(place: str, key: str) -> str:
    name = key if key.isidentifier() else excerpt(key)
    return f"{place}.{name}" if place else name
