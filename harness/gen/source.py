"""Where a campaign's cases come from: fresh ones, and variations of those that reached something new."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.gen.cases import case_from_seed
from harness.gen.rarity import NOTHING_SEEN, Rarity
from harness.gen.rules import DrawRules
from harness.gen.vary import varied
from harness.vocab.case import Case
from harness.vocab.event import Event
from harness.vocab.topology import Topology


@dataclass(frozen=True)
class Source:
    """Draws from `events` under `rules`."""

    rules: DrawRules
    events: tuple[type[Event], ...]

    def fresh(self, seed: int, topology: Topology, rarity: Rarity = NOTHING_SEEN) -> Case:
        """The case that `seed` stands for."""
        return case_from_seed(seed, topology, self.rules, self.events, rarity)

    def varied(
        self, seed: int, parents: Sequence[Case], topology: Topology, rarity: Rarity = NOTHING_SEEN
    ) -> Case:
        """A case made of `parents`, of which there is one at the least."""
        return varied(seed, parents, topology, self.rules, self.events, rarity=rarity)
