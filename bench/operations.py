"""Device operations through the agent, against one SSH command an operation."""

from __future__ import annotations

import json
import time

from bench.figure import Figure, in_turn
from harness.hosts import urls

PATH = "/sys/class/cxl/afu0.0/mode"
URL = "sim://powernv"


def agent_against_commands(operations: int, commands: int, rounds: int) -> Figure:
    """Reads of one sysfs attribute: looped by the agent in one case, and by ``cat`` in a command each."""
    host = urls.opener(URL)()
    try:

        def by_agent() -> float:
            loops = 100
            part = {
                "part": 0,
                "who": "a0",
                "do": "read_file",
                "args": {"path": PATH, "count": operations // loops},
            }
            steps = [{"step": number, **part} for number in range(loops)]
            by_agent.number += 1  # type: ignore[attr-defined]
            play = {"run": f"bench-{by_agent.number}", "schedule": 1, "steps": steps}  # type: ignore[attr-defined]
            before = time.perf_counter()
            host.begin(json.dumps({"play": play}).encode())
            while not any(b'"is":"end"' in line for line in host.replies(60)):
                pass
            return operations / (time.perf_counter() - before)

        by_agent.number = 0  # type: ignore[attr-defined]

        def by_command() -> float:
            before = time.perf_counter()
            for _ in range(commands):
                outcome = host.run(f"cat {PATH}", 10)  # type: ignore[attr-defined]
                if outcome.exit_status != 0 or outcome.stdout != b"afu_directed\n":
                    raise RuntimeError(f"cat gave {outcome}")
            return commands / (time.perf_counter() - before)

        agent, command, ratio = in_turn(by_agent, by_command, rounds)
    finally:
        host.close()
    return Figure(
        "device operations/s through the agent ÷ one SSH command each",
        ratio,
        100,
        f"{agent:,.0f} ÷ {command:,.0f} operations/s; TCP_NODELAY on both",
    )
