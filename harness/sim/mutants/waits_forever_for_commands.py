"""Process element commands have no time-out, and a hung AFU holds its callers (as before 4.0)."""

from __future__ import annotations

from harness.sim.driver.context import Context
from harness.sim.driver.native import COMMAND_POLL_US, COMMAND_US
from harness.sim.scheduler import Flow
from harness.vocab.oracle import Mutant
from harness.vocab.topology import Platform


class WaitsForeverForCommands:
    """The defect: a command that the PSL does not complete is waited for without end."""

    def command(self, context: Context, word: str) -> Flow:
        """Wait for as long as it takes."""
        yield COMMAND_US
        answer = context.afu.hardware.take_answer(word)
        while answer or context.afu.hardware.is_hung or context.afu.card.hardware.is_frozen:
            yield COMMAND_POLL_US
        return 0


MUTANT = Mutant(
    name="WaitsForeverForCommands",
    title="a command that the PSL does not complete is waited for without end",
    platforms=frozenset({Platform.POWERNV}),
    killed_by=("blocked_calls_return", "availability_returns"),
    component="driver",
    override=WaitsForeverForCommands,
)
