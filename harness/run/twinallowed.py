"""The list of understood differences: signatures that two hosts may differ in, each with the reason.

    schema = 1
    hosts = ["sim://powervm", "sim://powervm?driver=linux-6.1"]

    [[allowed]]
    signature = "recovery/first-quiesce-not-nothing"
    reason = "TEMP_UNAVAILABLE: Linux notes it, the reference driver purges"

Rules: an entry allows one signature exactly. A list holds for the hosts that it names, in this order; a ``*``
at the end of a URL stands for any query.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from harness.plan.mistakes import as_problems, parse_toml
from harness.vocab.errors import Problem, UsageError

FOLDER = Path("fixtures/twin")

_Text = Annotated[str, Field(min_length=1, max_length=500)]


class _Entry(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    signature: Annotated[str, Field(pattern=r"^[a-z]+/[a-z0-9_-]+$", max_length=300)]
    reason: _Text


class _List(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    schema_number: Literal[1] = Field(alias="schema")
    hosts: tuple[_Text, _Text]
    allowed: tuple[_Entry, ...] = ()


def load(text: str, where: str, hosts: Sequence[str]) -> Mapping[str, str]:
    """Signature and reason of what `text` allows to `hosts`; nothing when it is a list for other hosts.

    `where` names the file in messages. Raises UsageError with every problem.
    """
    document = parse_toml(text, where)
    try:
        found = _List.model_validate(document)
    except ValidationError as error:
        raise UsageError(as_problems(error, where, _List)) from None
    allowed: dict[str, str] = {}
    for index, entry in enumerate(found.allowed):
        if entry.signature in allowed:
            place = f"{where}: allowed[{index}].signature"
            raise UsageError(Problem(f"{entry.signature} is there twice", place, "", "remove one of the two"))
        allowed[entry.signature] = entry.reason
    is_for = all(_is_host(url, named) for url, named in zip(hosts, found.hosts, strict=True))
    return allowed if is_for else {}


def _is_host(url: str, named: str) -> bool:
    return fnmatchcase(url, named) if named.endswith("*") else url == named


def read(folder: Path, hosts: Sequence[str]) -> Mapping[str, str]:
    """Everything that the lists in `folder` allow to `hosts`. Raises UsageError."""
    allowed: dict[str, str] = {}
    for path in sorted(folder.glob("*.toml")):
        allowed.update(load(path.read_text(encoding="utf-8"), str(path), hosts))
    return allowed
