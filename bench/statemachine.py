"""An idiomatic RuleBasedStateMachine over the same simulator in process, to compare campaigns with.

It opens, attaches, maps, loads, stores, breaks the link, as a user of Hypothesis would write it: one
rule an operation, each performed at once on a live machine, assertions in the rules, and at the end the same
probes as in a campaign's case. It writes no history and asks no oracles, so it does less than a campaign.
"""

from __future__ import annotations

import struct
import time
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from harness.gen.closing import closing
from harness.sim.host import SimulatedHost
from harness.sim.machine import SystemCallError
from harness.sim.process import Process
from harness.sim.scheduler import Flow
from harness.vocab.event import PROBE
from harness.vocab.request import Verb
from harness.vocab.sketch import Sketch
from harness.vocab.topology import Platform
from harness.wire import sysfs
from harness.wire.lines import encode_request

STEPS = 25
NODES = ("/dev/cxl/afu0.0m", "/dev/cxl/afu0.0s", "/dev/cxl/afu0.1s", "/dev/cxl/afu1.0d")
ALL_ONES = (1 << 64) - 1
TOPOLOGY = sysfs.topology(SimulatedHost(Platform.POWERNV).hello())


class Recovery(RuleBasedStateMachine):
    """Contexts come and go, the link fails, and at the end everything is available again."""

    contexts = Bundle("contexts")

    def __init__(self) -> None:
        super().__init__()
        self.replies: list[str] = []
        self.machine, self.surface, self.files = SimulatedHost(Platform.POWERNV)._build(1, self.replies)
        self.checked = 0
        self.process: Process = self.surface.new_process("a0")
        self.next_fd = 0
        self.call("write_file", path="/sys/kernel/debug/powerpc/eeh_max_freezes", text="1000")

    def call(self, verb: str, **args: Any) -> dict[str, Any] | str:
        """Perform one primitive to its end; an errno's name when it fails."""
        return self.perform(self.surface.primitive(self.process, verb, args))

    def perform(self, flow: Flow) -> dict[str, Any] | str:
        """Let the machine run until `flow` has ended."""
        answer: list[dict[str, Any] | str] = []

        def body() -> Flow:
            try:
                answer.append((yield from flow) or {})
            except SystemCallError as error:
                answer.append(error.errno)

        task = self.machine.scheduler.spawn(body(), "a0", self.process.pid)
        while not task.is_done:
            self.machine.scheduler.run(1)
        return answer[0]

    def attach(self, fd: str, node: str) -> bool:
        data = struct.pack("<QQQhHi4Q", 6, 0x5EED, 0, 1, *[0] * 6).hex()
        return (
            self.call("open", fd=fd, path=node) == {}
            and isinstance(self.call("ioctl", fd=fd, request=0x8040CA00, data=data), dict)
            and self.call("mmap", fd=fd, map=fd, length=4096) == {}
        )

    @rule(target=contexts, node=st.sampled_from(NODES))
    def open_and_attach(self, node: str) -> Any:
        self.next_fd += 1
        fd = f"c{self.next_fd}"
        return fd if self.attach(fd, node) else multiple()

    @rule(fd=contexts, count=st.integers(1, 50))
    def load(self, fd: str, count: int) -> None:
        got = self.call("load", map=fd, offset=0, width=8, count=count)
        assert isinstance(got, dict)
        assert all(run[0] in (0x5EED, ALL_ONES) for run in got["runs"])

    @rule(fd=contexts, value=st.integers(1, 1 << 60))
    def store(self, fd: str, value: int) -> None:
        assert self.call("store", map=fd, offset=8, width=8, value=value) == {}

    @rule(fd=contexts)
    def poll(self, fd: str) -> None:
        assert isinstance(self.call("poll", fd=fd, timeout_ms=0), dict)

    @rule(fd=consumes(contexts))
    def detach(self, fd: str) -> None:
        self.call("munmap", map=fd)
        self.call("close", fd=fd)

    @rule(card=st.sampled_from(["card0", "card1"]))
    def drop_link(self, card: str) -> None:
        self.call("inject", what="link_down", **{"with": {"card": card}})

    @rule()
    def pass_time(self) -> None:
        self.call("sleep", ms=10_000)

    @invariant()
    def kernel_log_is_clean(self) -> None:
        new, self.checked = self.replies[self.checked :], len(self.replies)
        assert not any(word in line for line in new for word in ("BUG:", "WARNING: CPU", "Oops"))

    @invariant()
    def descriptors_are_as_the_model_says(self) -> None:
        assert set(self.process.maps) <= set(self.process.files)

    def teardown(self) -> None:
        """Exit, let the recovery end, and perform the very probes with which a campaign's case ends."""
        self.perform(self.process.exit())
        self.process = self.surface.new_process("probe")
        self.call("sleep", ms=60_000)  # the probes are tried only once here
        for step in closing(TOPOLOGY, Sketch(), ()):
            for request in step.event.lower(TOPOLOGY):
                if request.verb is Verb.SLEEP or step.actor == PROBE:
                    part = encode_request(request)
                    got = self.call(part["do"], **part["args"])
                    assert isinstance(got, dict) or "retry_ms" not in part["args"], f"{step.event}: {got}"


def state_machine_rate(cases: int) -> float:
    """Cases a second of a run that generates and performs, and has nothing to shrink."""
    chosen = settings(
        max_examples=cases,
        stateful_step_count=STEPS,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    before = time.perf_counter()
    run_state_machine_as_test(Recovery, settings=chosen)
    return cases / (time.perf_counter() - before)
