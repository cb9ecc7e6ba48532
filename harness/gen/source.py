"""Where a campaign's cases come from: fresh ones, and variations of those that reached something new."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.gen.cases import case_from_seed
from harness.gen.devices import device_case, varied_device_case
from harness.gen.rarity import NOTHING_SEEN, Rarity
from harness.gen.rules import DrawRules
from harness.gen.vary import varied
from harness.vocab.case import Case
from harness.vocab.event import Event
from harness.vocab.topology import Subject, Topology


@dataclass(frozen=True)
class Source:
    """Draws from `events` under `rules`."""

    rules: DrawRules
    events: tuple[type[Event], ...]

    def fresh(self, seed: int, topology: Topology, rarity: Rarity = NOTHING_SEEN) -> Case:
        """The case that `seed` stands for."""
        draw = device_case if self.rules.subject is Subject.DEVICES else case_from_seed
        return draw(seed, topology, self.rules, self.events, rarity)

    def varied(
        self, seed: int, parents: Sequence[Case], topology: Topology, rarity: Rarity = NOTHING_SEEN
    ) -> Case:
        """A case made of `parents`, of which there is one at the least."""
        if self.rules.subject is Subject.DEVICES:
            return varied_device_case(seed, parents[0])
        return varied(seed, parents, topology, self.rules, self.events, rarity=rarity)
