"""Tests of reading a host's hello: all that is wrong is said at once."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from harness.vocab.errors import ProtocolError
from harness.wire import sysfs

HELLOS = json.loads((Path(__file__).parents[2] / "fixtures" / "wire" / "hello.json").read_text())["vectors"]


def hello(index: int) -> dict[str, Any]:
    return copy.deepcopy(HELLOS[index]["wire"])


def test_all_that_is_missing_or_wrong_is_said_at_once() -> None:
    value = hello(0)
    body = value["hello"]
    body["protocol"] = 2
    body["platform"] = ""
    del body["facts"]["afu0.0"]["contexts_max"]
    body["facts"]["afu1.0"]["test_registers"] = "yes"
    body["files"]["/sys/class/cxl/afu1.0/irqs_min"] = "\x1b[31mmany"
    body["files"]["/sys/class/cxl/card1/device"] = "../../etc/passwd"
    body["files"]["/sys/class/cxl/afu0.1/modes_supported"] = "shared\n"
    with pytest.raises(ProtocolError) as caught:
        sysfs.topology(value)
    message = str(caught.value)
    for place in (
        "hello.protocol",
        "hello.platform",
        "hello.facts.afu0.0.contexts_max",
        "hello.facts.afu1.0.test_registers",
        "afu1.0/irqs_min",
        "card1/device",
        "afu0.1/modes_supported",
    ):
        assert place in message
    assert "\x1b" not in message


def test_powervm_needs_unit_addresses() -> None:
    value = hello(1)
    del value["hello"]["facts"]["afu0.1"]["unit"]
    with pytest.raises(ProtocolError, match=r"afu0\.1\.unit"):
        sysfs.topology(value)


@pytest.mark.parametrize("line", [b"", b"bash: python3: command not found\n", b"[]", b'{"hello":3}', b"{}"])
def test_what_is_no_hello_is_refused(line: bytes) -> None:
    with pytest.raises(ProtocolError):
        sysfs.topology(line)


def test_cards_and_afus_come_in_numerical_order() -> None:
    value = hello(1)
    files, facts = value["hello"]["files"], value["hello"]["facts"]
    for path in [path for path in files if "afu0.0/" in path]:
        files[path.replace("afu0.0", "afu10.0")] = files[path]
        files[path.replace("afu0.0", "afu2.0")] = files[path]
    facts["afu10.0"] = facts["afu2.0"] = facts["afu0.0"]
    assert [card.name for card in sysfs.topology(value).cards] == ["card0", "card2", "card10"]
