"""PHYP counts process elements that an error has ended."""

from __future__ import annotations

from harness.sim.phyp import Function, Phyp
from harness.vocab.oracle import Mutant
from harness.vocab.topology import Platform


class KeepsProcessTokens(Phyp):
    """The defect: a function that recovers still counts the processes of before."""

    def end_isolation(self, function: Function) -> None:
        """Enter NORMAL with all tokens."""
        tokens = dict(function.tokens)
        super().end_isolation(function)
        function.tokens.update(tokens)


MUTANT = Mutant(
    name="KeepsProcessTokens",
    title="a function that recovers still counts the processes of before",
    platforms=frozenset({Platform.POWERVM}),
    killed_by=("availability_returns", "resources_return"),
    component="phyp",
    override=KeepsProcessTokens,
)
