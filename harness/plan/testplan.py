"""A Testplan, read from TOML: what to draw, where, which oracles judge, what must be seen, the gate's rules.

Rules: every key is known and has its type; every name exists; a mistake is reported with its place, what is
allowed and the nearest right word, and all mistakes are reported together.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
    ValidationInfo,
)

from harness.plan.budget import Budget, BudgetText, parse_budget
from harness.plan.mistakes import Known, as_problems, must_be_known, parse_toml, wrong
from harness.vocab.errors import Problem, UsageError
from harness.vocab.phase import phases as phases_of
from harness.vocab.topology import BOTH_PLATFORMS, Platform

__all__ = ["Budget", "Known", "Testplan", "load", "parse_budget"]


def _event(name: str, info: ValidationInfo) -> str:
    return must_be_known(name, "event", _known(info).events)


def _phase(name: str, info: ValidationInfo) -> str:
    return must_be_known(name, "phase", _known(info).phases)


def _oracle(name: str, info: ValidationInfo) -> str:
    if name != "all":
        must_be_known(name.removeprefix("-"), "oracle", _known(info).oracles)
    return name


def _host(url: str, info: ValidationInfo) -> str:
    scheme, separator, rest = url.partition("://")
    schemes = _known(info).schemes
    if not separator:
        raise wrong(f"{url!r} is no host URL", "SCHEME://NAME, such as sim://powernv")
    must_be_known(scheme, "host scheme", schemes)
    name = rest.partition("?")[0]
    if not name:
        raise wrong(f"{url!r} names no host", f"{scheme}://{'|'.join(schemes[scheme]) or 'NAME'}")
    if schemes[scheme]:
        must_be_known(name, f"{scheme} host", schemes[scheme])
    return url


def _range(bounds: tuple[int, int]) -> tuple[int, int]:
    if bounds[0] > bounds[1]:
        raise wrong(f"[{bounds[0]}, {bounds[1]}] begins above its end", "[fewest, most]")
    return bounds


def _known(info: ValidationInfo) -> Known:
    known = info.context
    if not isinstance(known, Known):
        raise TypeError("a Testplan is made by load(), which knows the names that exist")
    return known


Percent = Annotated[int, Field(ge=0, le=100)]
EventName = Annotated[str, AfterValidator(_event)]
PhaseName = Annotated[str, AfterValidator(_phase)]
OracleName = Annotated[str, AfterValidator(_oracle)]
HostUrl = Annotated[str, AfterValidator(_host)]
PathText = Annotated[str, Field(min_length=1, max_length=4096)]


class _Table(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Draw(_Table):
    """How cases are drawn: about what, bounds of steps and ERROR events, percent of overlap, weights."""

    subject: Literal["cards", "devices"] = "cards"

    steps: Annotated[
        tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(le=1000)]], AfterValidator(_range)
    ] = (4, 24)
    errors: Annotated[
        tuple[Annotated[int, Field(ge=0)], Annotated[int, Field(le=100)]], AfterValidator(_range)
    ] = (1, 3)
    overlap: Percent = 40
    weights: dict[EventName, Annotated[int, Field(ge=0, le=1_000_000)]] = Field(default_factory=dict)


class Cases(_Table):
    """Saved cases that run first: directories, searched for ``*.json``, or files.

    `corpus` is a directory of cases that covered something new, kept from one campaign to the next; nothing:
    what a campaign finds it keeps to itself. One case of `twice_every` is performed twice on a deterministic
    host, and must give the same history; 0 is none.
    """

    saved: tuple[PathText, ...] = ()
    corpus: Annotated[str, Field(max_length=4096)] = ""
    twice_every: Annotated[int, Field(ge=0, le=1_000_000)] = 50


class Judge(_Table):
    """Which oracles judge: ``all``, names, and ``-name`` for one to leave out."""

    oracles: Annotated[tuple[OracleName, ...], Field(min_length=1)] = ("all",)

    def select(self, names: Iterable[str]) -> tuple[str, ...]:
        """Of the oracles that exist, those that this plan asks for, in the order of `names`."""
        asked = {name for name in self.oracles if not name.startswith("-")}
        left_out = {name[1:] for name in self.oracles if name.startswith("-")}
        is_all = "all" in asked or not asked
        return tuple(name for name in names if (is_all or name in asked) and name not in left_out)


class MustSee(_Table):
    """What each host must show at least once, where its platform has it, in at least `runs` judged runs."""

    phases: tuple[PhaseName, ...] = ()
    events: tuple[EventName, ...] = ()
    runs: Annotated[int, Field(ge=1)] = 1
    _platforms_of: Mapping[str, frozenset[Platform]] = PrivateAttr(default_factory=dict)

    def model_post_init(self, context: Any) -> None:
        """Remember which platforms have the events: what a platform lacks cannot be asked of its hosts."""
        self._platforms_of = context.events if isinstance(context, Known) else {}

    def expected_on(self, platform: str) -> tuple[str, ...]:
        """Keys of Campaign.seen (``phase:detected``) expected of a host; all when `platform` is unknown."""
        values = {item.value: item for item in Platform}
        if platform not in values:
            return (*(f"phase:{name}" for name in self.phases), *(f"event:{name}" for name in self.events))
        there = values[platform]
        had = phases_of(there)
        return (
            *(f"phase:{name}" for name in self.phases if name in had),
            *(
                f"event:{name}"
                for name in self.events
                if there in self._platforms_of.get(name, BOTH_PLATFORMS)
            ),
        )


class GateRules(_Table):
    """The most percent of vacuous runs and of other unknown runs; the file of known issues, or nothing."""

    vacuous_percent: Percent = 20
    unknown_percent: Percent = 0
    known_issues: str = ""


class Keep(_Table):
    """Runs kept with their history: passing ones of each host, and failing ones in all."""

    passing: Annotated[int, Field(ge=0, le=10_000)] = 3
    failing: Annotated[int, Field(ge=1, le=10_000)] = 20


class Testplan(_Table):
    """One campaign, as a person wrote it. Made by `load`."""

    __test__ = False  # the name is the field's, not pytest's

    schema_number: Literal[1] = Field(alias="schema")
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
    title: str = ""
    hosts: Annotated[tuple[HostUrl, ...], Field(min_length=1)]
    budget: BudgetText
    draw: Draw = Draw()
    cases: Cases = Cases()
    judge: Judge = Judge()
    must_see: MustSee = MustSee()
    gate: GateRules = GateRules()
    keep: Keep = Keep()


def load(text: str, where: str, known: Known) -> Testplan:
    """The plan in `text`; `where` names the file in messages. Raises UsageError with every problem."""
    document = parse_toml(text, where)
    try:
        plan = Testplan.model_validate(document, context=known)
    except ValidationError as error:
        raise UsageError(as_problems(error, where, Testplan)) from None
    problems = tuple(_contradictions(plan, where, known))
    if problems:
        raise UsageError(problems)
    return plan


def _contradictions(plan: Testplan, where: str, known: Known) -> Iterator[Problem]:
    """Mistakes that only show when two keys are read together."""
    if not plan.judge.select(known.oracles):
        yield Problem(
            "no oracle is left to judge", f"{where}: judge.oracles", "at least one that is not left out"
        )
    if plan.draw.errors[0] > plan.draw.steps[1]:
        yield Problem(
            f"at least {plan.draw.errors[0]} errors do not fit into at most {plan.draw.steps[1]} steps",
            f"{where}: draw.errors",
            "a fewest of errors that is no more than the most steps",
        )
    if known.events and all(plan.draw.weights.get(name) == 0 for name in known.events):
        yield Problem("every event has weight 0", f"{where}: draw.weights", "at least one event above 0")
    for name in sorted(set(plan.must_see.events) & {n for n, w in plan.draw.weights.items() if w == 0}):
        if not plan.cases.saved:
            yield Problem(
                f"{name} must be seen, but its weight is 0 and no saved cases are run",
                f"{where}: must_see.events",
                next_step="give it a weight in [draw.weights], or leave it out of must_see",
            )
