"""``ssh://NAME``: a lab host of the inventory, with what the inventory knows merged into its hello line."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

from harness.hosts import inventory as inventories
from harness.hosts.inventory import Inventory
from harness.hosts.inventory import LabHost as Entry
from harness.hosts.lines import escaped
from harness.hosts.ssh import Outcome, SshAgentHost
from harness.vocab.errors import InfraError, Problem, ProtocolError, UsageError
from harness.vocab.topology import Topology

SCHEME = "ssh://"


class LabHost:
    """A Host over the agent on a lab host. `allowed` names the cards that may be disturbed."""

    window = 1

    def __init__(self, agent: SshAgentHost, entry: Entry) -> None:
        self.url = agent.url
        self.hello = merged(agent.hello, entry, agent.url)
        self.allowed = frozenset(entry.allow_destructive)
        self.console_command = entry.console.command if entry.console else ()
        self._agent = agent

    def begin(self, play: bytes) -> None:
        """Send one play line: see Host."""
        self._agent.begin(play)

    def replies(self, timeout_s: float) -> Sequence[bytes]:
        """Return the whole lines that have come: see Host."""
        return self._agent.replies(timeout_s)

    def run(self, command: str, timeout_s: float = 20.0) -> Outcome:
        """Execute one command that only reads: see SshAgentHost.run."""
        return self._agent.run(command, timeout_s)

    def close(self) -> None:
        """Leave the host: see Host."""
        self._agent.close()


def open_lab(url: str, inventory: Inventory | None = None, timeout_s: float = 20.0) -> LabHost:
    """Connect to the host that `url` names in `inventory`, by default the one that `inventory.find` finds.

    Raises UsageError for mistakes in URL or inventory, InfraError when the host cannot be reached or used.
    """
    inventory = inventory or inventories.load(inventories.find())
    name = url.removeprefix(SCHEME)
    entry = inventory.host(name)
    agent = SshAgentHost.open(url, inventory.login(name), timeout_s=timeout_s)
    try:
        return LabHost(agent, entry)
    except InfraError:
        agent.close()
        raise


def check_name(name: str) -> Iterator[Problem]:
    """What is wrong with a host's name, or with the inventory that should have it; opens nothing."""
    try:
        inventories.load(inventories.find()).login(name)
    except UsageError as error:
        yield from error.problems


def merged(hello: bytes, entry: Entry, url: str) -> bytes:
    """The hello line with the inventory's facts, which win. Raises InfraError when both contradict."""
    try:
        line = json.loads(hello)
        told: dict[str, Any] = line["hello"]
        platform, facts = told.get("platform", ""), dict(told.get("facts", {}))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ProtocolError(f"{url}: the hello line makes no sense: {escaped(hello[:200])}") from error
    if entry.platform and platform and platform != entry.platform:
        raise InfraError(
            f"{url}: the host says that it is {escaped(str(platform).encode())}, "
            f"the inventory says {entry.platform}; correct the inventory"
        )
    for name, more in entry.facts.items():
        facts[name] = {**facts[name], **more} if isinstance(facts.get(name), dict) else more
    told["platform"], told["facts"] = platform or entry.platform or "", facts
    return json.dumps(line, separators=(",", ":")).encode()


def refusals(topology: Topology, disturbed: Iterable[str], allowed: Collection[str]) -> list[Problem]:
    """Why a case that disturbs these AFUs must not be performed: one Problem for each card not on the list.

    `allowed` are names of cards; devices without CAPI are in the topology only when they are allowed.
    An AFU that the host has not is a Problem too.
    """
    cards = {afu.name: afu.card for afu in topology.afus}
    devices = {device.name for device in topology.devices}  # on the list, or they would not be in it
    problems = {}
    for afu in sorted(set(disturbed) - devices):
        card = cards.get(afu)
        if card is None:
            problems[afu] = Problem(f"the host has no {afu}", allowed=", ".join(sorted(cards)) or "no AFU")
        elif card not in allowed:
            problems[card] = Problem(
                f"{card} must not be disturbed",
                allowed=", ".join(sorted(allowed)) or "no card",
                next_step=f"if it may, add {card} to allow_destructive of this host in the inventory",
            )
    return list(problems.values())
