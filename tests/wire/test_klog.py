"""Tests of the kernel log reader, most of them whole logs under fixtures/klog with their expected marks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.vocab.phase import MARKS, Phase, Source
from harness.wire import klog
from harness.wire.histfile import topology_from_json
from harness.wire.klog import KlogReader, parse

FIXTURES = Path(__file__).parents[2] / "fixtures"
TOPOLOGIES = {
    name: topology_from_json(value)
    for name, value in json.loads((FIXTURES / "wire" / "traces.json").read_text())["topologies"].items()
}
LOGS = sorted([*(FIXTURES / "klog").glob("*.log"), *(FIXTURES / "klog" / "eeh").glob("*.log")])


def records_of(text: str) -> list[str]:
    """Records of a log; a line that begins with a space belongs to the record before."""
    records: list[str] = []
    for line in text.splitlines():
        if line.startswith(" "):
            records[-1] += f"\n{line}"
        elif not line.startswith("#"):
            records.append(line)
    return records


@pytest.mark.parametrize("path", LOGS, ids=lambda path: path.stem)
def test_a_log_shows_the_marks_that_its_first_line_expects(path: Path) -> None:
    text = path.read_text()
    expect, topology = (line.partition(": ")[2] for line in text.splitlines()[:2])
    reader = KlogReader(TOPOLOGIES[topology])
    said = [reader.read(raw) for raw in records_of(text)]
    marks = [f"{line.phase.value} {line.subject}" for line in said if line.phase]
    assert marks == expect.split(", ")


def test_there_are_logs() -> None:
    assert len(LOGS) >= 4


def test_a_record_is_taken_apart() -> None:
    assert parse("4,1042,88123456,-;EEH: it") == (4, True, "EEH: it")
    assert parse("6,1,2,-,caller=T1;a;b\n SUBSYSTEM=cxl") == (6, True, "a;b")
    assert parse("30,1,2,-;systemd said") == (6, False, "systemd said")


def test_escaped_bytes_become_text_but_control_characters_do_not() -> None:
    raw = r"6,1,2,-;caf\xc3\xa9 \x1b[31m \x5c \xff \x0a \xc2\x9b"
    assert parse(raw).text == r"café \x1b[31m " + "\\" + r" \xff \x0a \x9b"


@pytest.mark.parametrize("raw", ["", "no record", "x,1,2,-;EEH: Recovery successful.", "99999,1;EEH: "])
def test_what_is_no_record_marks_nothing_and_is_kept(raw: str) -> None:
    said = KlogReader(TOPOLOGIES["powernv"]).read(raw)
    assert said == ("", raw, None, "")


def test_without_an_announcement_nobody_is_named() -> None:
    said = KlogReader(TOPOLOGIES["powernv"]).read("6,1,2,-;EEH: Recovery successful.")
    assert (said.phase, said.subject) == (Phase.RECOVERED, "")


def test_pe_0_stands_for_the_phb() -> None:
    reader = KlogReader(TOPOLOGIES["powernv"])
    said = reader.read("3,1,2,-;EEH: Unable to recover from failure from PHB#a-PE#0.")
    assert (said.phase, said.subject) == (Phase.FAILED_PERMANENTLY, "card1")


def test_lines_that_name_a_device_are_about_it() -> None:
    reader = KlogReader(TOPOLOGIES["powernv"])
    texts = {
        "cxl afu1.0: PSL Purge called with link down, ignoring": "afu1.0",
        "cxl card0: something": "card0",
        "cxl-pci 000a:01:00.0: CXL reset": "card1",
        "PCI 0000:01:00.0#0001: EEH: driver bound too late": "card0",
        "PCI 0005:01:00.0#0001: EEH: driver bound too late": "",
        "usb 1-1: new device": "",
    }
    assert {text: reader.read(f"6,1,2,-;{text}").subject for text in texts} == texts


def test_the_quick_filter_lets_every_mark_through() -> None:
    texts = [mark.text for mark in MARKS if mark.source is Source.LOG]
    assert texts
    beginnings = ("EEH: PHB#0-PE#1 has failed 6 times ", "")
    for text in texts:
        line = text if text.startswith(("EEH", "AFU")) else beginnings[0] + text
        assert any(word in line for word in klog._MARKED), text


def test_what_was_read_once_is_not_taken_for_another_line() -> None:
    reader = KlogReader(TOPOLOGIES["powernv"])
    kernel = reader.read("6,1,2,-;cxl afu0.0: gone")
    assert reader.read("6,7,99,-;cxl afu0.0: gone") == kernel
    assert reader.read("14,7,99,-;cxl afu0.0: gone").subject == "", "a process wrote it"
    assert reader.read("6,1,2,-;").level == "6"
    assert reader.read("6").level == "", "no record of /dev/kmsg"


def test_lines_of_eeh_are_read_anew_because_they_depend_on_others() -> None:
    reader = KlogReader(TOPOLOGIES["powernv"])
    subjects = []
    for place in ("PHB#0-PE#1", "PHB#a-PE#0"):
        reader.read(f"6,1,2,-;EEH: Recovering {place}")
        subjects.append(reader.read("6,1,2,-;EEH: Recovery successful.").subject)
    assert subjects == ["card0", "card1"]


def test_the_only_device_of_a_phb_is_known_by_it_whatever_its_number_is() -> None:
    """A device that was plugged anew may be in another EEH PE than at first."""
    topology = TOPOLOGIES["powernv-devices"]
    read = KlogReader(topology).read
    assert read("3,1,2,-;EEH: Frozen PHB#5-PE#3 detected").subject == "nvme-0"
    assert read("3,1,2,-;EEH: Frozen PHB#6-PE#3 detected").subject == ""


def test_the_drivers_of_cards_are_told_without_a_mark() -> None:
    """Of a card the trace tells more, and one mark more would be another phase to its oracles."""
    read = KlogReader(TOPOLOGIES["powernv"]).read
    read("3,1,2,-;EEH: Recovering PHB#0-PE#1")
    said = read("6,1,2,-;EEH: Beginning: 'error_detected(IO frozen)'")
    assert (said.subject, said.phase) == ("card0", None)
