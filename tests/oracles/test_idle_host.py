"""A silent host that an NMI finds idle has lost a wake-up of its machine: its kernel has no trouble."""

from __future__ import annotations

import pytest

from harness.oracles.kernel_log_is_clean import ORACLE
from harness.wire.histfile import load
from tests.oracles.build import Story
from tests.topologies import POWERVM


@pytest.mark.parametrize(("process", "kinds"), [("swapper/0", []), ("python3", ["oops-cede_processor"])])
def test_an_nmi_tells_of_work_only(process: str, kinds: list[str]) -> None:
    story = Story(POWERVM)
    story.log("Oops: System Reset, sig: 6 [#1]", 4)
    story.log(f"CPU: 0 PID: 0 Comm: {process} Not tainted 6.1.0-50-powerpc64le #1", 4)
    story.log("NIP [c0000000000fbd40] cede_processor+0x20/0x40", 4)
    story.log("Call Trace:", 4)
    story.log("---[ end trace 0000000000000000 ]---", 4)
    assert [finding.kind for finding in ORACLE.judge(load(story.end()))] == kinds
