"""Tests of the reader of the kernel's reports: whole logs under fixtures/klog/oops, and what spoils them."""

from __future__ import annotations

import re
from itertools import groupby
from pathlib import Path

import pytest

from harness.vocab.oops import is_trouble, said_by_kernel, stamp, troubles
from harness.vocab.trouble import HEADINGS, Frame, Trouble
from harness.wire import klog

LOGS = sorted((Path(__file__).parents[2] / "fixtures" / "klog" / "oops").glob("*.log"))
NAMES = [path.stem for path in LOGS]
Facts = dict[str, str]


def parts(path: Path) -> tuple[list[Facts], list[str]]:
    """What a log's first lines expect of each report, and the log."""
    head, _, log = path.read_text().partition("\n\n")
    facts: list[Facts] = []
    for line in head.splitlines()[1:]:
        key, value = re.fullmatch(r"# (\w+): ?(.*)", line).groups()  # type: ignore[union-attr]
        if key == "kind":
            facts.append({})
        if key != "expect":
            facts[-1][key] = value
    return facts, log.splitlines()


def said(lines: list[str]) -> list[str]:
    """The kernel's texts of a console, or of records of /dev/kmsg."""
    is_kmsg = re.match(r"\d+,\d+,\d+,", lines[0])
    return [klog.parse(raw).text for raw in lines] if is_kmsg else said_by_kernel(lines)


def log(name: str) -> list[str]:
    return said(parts(LOGS[NAMES.index(name)])[1])


def facts_of(trouble: Trouble) -> Facts:
    return {
        "kind": trouble.kind,
        "title": trouble.title,
        "function": trouble.function,
        "module": trouble.module,
        "process": trouble.process,
        "callers": " ".join(trouble.callers),
        "modules": " ".join(trouble.modules),
        "fatal": "yes" if trouble.is_fatal else "no",
        "signature": trouble.signature,
    }


@pytest.mark.parametrize("path", LOGS, ids=NAMES)
def test_a_log_shows_the_trouble_that_its_first_lines_expect(path: Path) -> None:
    expected, lines = parts(path)
    found = troubles(said(lines))
    for facts, trouble in zip(expected, found, strict=True):
        registers = dict(pair.split("=") for pair in facts.pop("registers", "").split())
        assert {name: f"{trouble.registers[name]:#x}" for name in registers} == registers
        told = {"fatal": "no", **facts}
        assert {key: value for key, value in facts_of(trouble).items() if key in told} == told


def test_there_are_logs_of_the_usual_kinds() -> None:
    kinds = {trouble.kind for name in NAMES for trouble in troubles(log(name))}
    assert len(LOGS) > 30
    assert kinds >= {"null-pointer", "bad-access", "bug", "warning", "refcount", "list-corruption", "panic"}
    assert kinds >= {"soft-lockup", "hard-lockup", "rcu-stall", "hung-task", "atomic-schedule", "slab-leak"}


@pytest.mark.parametrize("path", LOGS, ids=NAMES)
def test_a_signature_is_a_slug(path: Path) -> None:
    for trouble in troubles(said(parts(path)[1])):
        assert re.fullmatch(r"[a-z0-9_-]{1,120}", trouble.signature)


def test_a_dump_gives_all_registers() -> None:
    (trouble,) = troubles(log("null-pointer"))
    assert {f"GPR{number:02}" for number in range(32)} < trouble.registers.keys()
    assert trouble.registers["MSR"] == 0x8000000000009033
    assert trouble.registers["CR"] == 0x28002285
    assert trouble.registers["GPR31"] == 0xC0080000003E02F0
    assert trouble.frames[:3] == (
        Frame("trouble_null", "trouble"),
        Frame("trouble_store", "trouble"),
        Frame("proc_reg_write"),
    )


def test_registers_in_kmsg_come_in_one_record() -> None:
    (trouble,) = troubles(log("bug-on-in-kmsg"))
    assert {f"GPR{number:02}" for number in range(32)} < trouble.registers.keys()


@pytest.mark.parametrize("name", NAMES)
def test_addresses_numbers_and_processors_do_not_change_a_signature(name: str) -> None:
    texts = log(name)

    def other(text: str) -> str:
        text = re.sub(r"\b(c0[0-9a-f]{12})[0-9a-f]{2}\b", r"\g<1>42", text)
        text = re.sub(r"(CPU[ #:] ?|PID: |stuck for |\[#)\d+", r"\g<1>7", text)
        return re.sub(r"\+0x([0-9a-f]+)/0x[0-9a-f]+", r"+0x\1/0xfffff", text)

    if name != "jump-to-data":  # where an offset beyond the function's end is what tells
        changed = [trouble.signature for trouble in troubles(map(other, texts))]
        assert changed == [trouble.signature for trouble in troubles(texts)]


@pytest.mark.parametrize("name", NAMES)
def test_other_lines_between_do_not_matter(name: str) -> None:
    """Of the driver, and of a user who has the console."""
    lines = parts(LOGS[NAMES.index(name)])[1]
    noise = ["cxl afu0.0: Activating AFU directed mode", "EEH: Notify device driver to resume"]
    if lines[0].startswith("["):
        mixed = [other for line in lines for other in (line, "percent 50", "BUG: said the user")]
        assert troubles(said(mixed)) == troubles(said(lines))
    texts = said(lines)
    mixed = [other for text in texts for other in (text, noise[0])]
    if "message" not in name and "cut-off" not in name:
        assert signatures(mixed) == signatures(texts)


def signatures(texts: list[str]) -> list[str]:
    return [name for name, _ in groupby(trouble.signature for trouble in troubles(texts))]


@pytest.mark.parametrize("name", NAMES)
def test_a_log_that_is_cut_anywhere_still_shows_trouble(name: str) -> None:
    texts = log(name)
    whole = troubles(texts)
    for trouble in whole[:1]:
        for end in range(trouble.lines[0] + 1, len(texts)):
            assert troubles(texts[:end]), f"cut before line {end}"
    for start in range(len(texts)):
        troubles(texts[start:])


@pytest.mark.parametrize("name", NAMES)
def test_trouble_is_seen_at_once(name: str) -> None:
    texts = log(name)
    assert is_trouble("\n".join(texts)) == bool(troubles(texts))


def test_lines_of_a_good_recovery_are_no_trouble() -> None:
    for path in LOGS[0].parents[1].glob("*.log"):
        texts = [klog.parse(raw).text for raw in path.read_text().splitlines() if not raw.startswith("#")]
        assert not troubles(texts)
        assert not is_trouble("\n".join(texts))


def test_a_time_is_split_from_its_line() -> None:
    assert stamp("[   12.345678] EEH: it") == (12_345_678, "EEH: it")
    assert stamp("[12345.000001][ T1207] EEH: it") == (12_345_000_001, "EEH: it")
    assert stamp("half a line[    1.000000] EEH: it") == (1_000_000, "EEH: it")
    assert stamp("no time") == (None, "no time")
    assert said_by_kernel(["a", "[    1.000000] b"]) == ["b"]


def test_two_reports_without_a_dump_are_two_when_they_are_far_apart() -> None:
    bug = "BUG: Kernel NULL pointer dereference at 0x00000018"
    assert len(troubles([bug, *["x"] * 5, "Oops: Kernel access of bad area, sig: 11 [#1]"])) == 1
    assert len(troubles([bug, *["x"] * 50, bug])) == 2


def test_a_panic_for_another_reason_is_trouble_of_its_own() -> None:
    bug = "BUG: Kernel NULL pointer dereference at 0x00000018"
    end = "---[ end trace 0000000000000000 ]---"
    first, second = troubles([bug, end, "Kernel panic - not syncing: out of ideas"])
    assert (first.is_fatal, second.is_fatal, second.kind) == (False, True, "panic")
    (only,) = troubles([bug, end, "Kernel panic - not syncing: Fatal exception"])
    assert only.is_fatal


def test_the_compilers_suffixes_are_left_out() -> None:
    text = "NIP [c008000000a41234] reclaim_ctx.isra.0.constprop.3+0x54/0x1a0 [cxl]"
    (trouble,) = troubles(["Oops: Kernel access of bad area, sig: 11 [#1]", text])
    assert (trouble.function, trouble.module) == ("reclaim_ctx", "cxl")


def test_hostile_lines_are_bounded() -> None:
    texts = ["BUG: " + "a-b" * 100_000, "Call Trace:", "[" * 100_000, "NIP [" + "0" * 100_000]
    (trouble,) = troubles(texts)
    assert len(trouble.title) <= 300
    assert len(trouble.signature) <= 120


def test_headings_can_be_told_apart() -> None:
    """A row that an earlier one always beats would never be used."""
    for index, heading in enumerate(HEADINGS):
        assert not [early for early in HEADINGS[:index] if early.text in heading.text], heading


@pytest.mark.parametrize("function", ["cxl_context_detach", "schedule_cxl_fault", "cxl_release", "afu_reset"])
def test_a_driver_is_at_fault(function: str) -> None:
    assert not Frame(function, "cxl").is_passing_on
