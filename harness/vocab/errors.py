"""What can go wrong outside the host under test: a user's mistake, or trouble in the lab."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake, said in the order that helps: what, where, what is allowed, what to do next."""

    what: str
    where: str = ""
    allowed: str = ""
    next_step: str = ""

    def __str__(self) -> str:
        parts = [f"{self.where}: {self.what}" if self.where else self.what]
        if self.allowed:
            parts.append(f"allowed: {self.allowed}")
        if self.next_step:
            parts.append(self.next_step)
        return "; ".join(parts)


class UsageError(Exception):
    """The user asked for something that cannot be; carries every problem found, not only the first."""

    def __init__(self, problems: Problem | Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = (problems,) if isinstance(problems, Problem) else tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class InfraError(Exception):
    """The lab failed, not the product: a host unreachable, a channel lost, an answer that makes no sense."""


class ProtocolError(InfraError):
    """A host answered with something that the agent protocol does not allow."""
