"""The list of known issues: signatures that are excused for a reason, by an owner, up to a day.

Rules: an issue excuses one signature exactly, never a pattern, so that it cannot hide a neighbour; with
`host`, only on that host, so that what a real driver does stays a bug of the simulated one. It expires: after
its last day the gate fails until somebody removes it or decides again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from harness.plan.mistakes import as_problems, parse_toml
from harness.vocab.errors import Problem, UsageError

Text = Annotated[str, Field(min_length=1, max_length=500)]


class KnownIssue(BaseModel):
    """One excuse. `expires` is the last day on which it holds; `signature` is ``oracle/kind``.

    `host` is a URL without its query, such as ``qemu://powervm``; empty for every host.
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    signature: Annotated[str, Field(pattern=r"^[a-z0-9_]+/[a-z0-9_-]+$", max_length=200)]
    reason: Text
    owner: Text
    expires: date
    host: Annotated[str, Field(pattern=r"^([a-z]+://[^?]+)?$", max_length=200)] = ""

    def excuses(self, host: str) -> bool:
        """Whether it holds on the host with that URL."""
        return self.host in ("", host.partition("?")[0])


class _File(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    schema_number: Literal[1] = Field(alias="schema")
    issue: tuple[KnownIssue, ...] = ()


@dataclass(frozen=True)
class KnownIssues:
    """All known issues of one file; without any, nothing is excused."""

    issues: tuple[KnownIssue, ...] = ()

    def match(self, signature: str, hosts: Sequence[str] = ()) -> KnownIssue | None:
        """The issue that excuses `signature`, expired or not: on all of `hosts`, by one issue for each.

        Of several the one that expires first.
        """
        of_it = [issue for issue in self.issues if issue.signature == signature]
        if not all(any(issue.excuses(host) for issue in of_it) for host in hosts):
            return None
        mine = [issue for issue in of_it if not hosts or any(issue.excuses(host) for host in hosts)]
        return min(mine, key=lambda issue: issue.expires, default=None)

    def expired(self, today: date) -> tuple[KnownIssue, ...]:
        """Issues whose last day is over."""
        return tuple(issue for issue in self.issues if issue.expires < today)


NO_KNOWN_ISSUES = KnownIssues()


def load(text: str, where: str) -> KnownIssues:
    """The issues in `text`; `where` names the file in messages. Raises UsageError with every problem."""
    document = parse_toml(text, where)
    try:
        issues = _File.model_validate(document).issue
    except ValidationError as error:
        raise UsageError(as_problems(error, where, _File)) from None
    problems = tuple(_duplicates(issues, where))
    if problems:
        raise UsageError(problems)
    return KnownIssues(issues)


def _duplicates(issues: tuple[KnownIssue, ...], where: str) -> Iterator[Problem]:
    first: dict[tuple[str, str], int] = {}
    for index, issue in enumerate(issues):
        key = (issue.signature, issue.host)
        if key in first:
            yield Problem(
                f"{issue.signature} is already excused by issue[{first[key]}]",
                f"{where}: issue[{index}].signature",
                "one issue for each signature and host",
                "remove one of the two",
            )
        first.setdefault(key, index)
