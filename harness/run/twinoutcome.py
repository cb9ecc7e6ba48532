"""How one operation ended and what it gave: in a stable word for signatures, and exactly for comparison."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from harness.run.twinstory import Story
from harness.vocab.history import Kind, Operation
from harness.vocab.procfs import eeh_pe_state
from harness.vocab.registers import ALL_ONES_32, ALL_ONES_64
from harness.vocab.topology import Platform

_WORD_MAX = 20  # a longer text is not told apart from others in a signature
_ROW = re.compile(r"cxl-(afu\d+\.\d+)-pe")
_SLUG = re.compile(r"[^a-z0-9_]+")
_EEH_PE_BITS = ((1, "isolated"), (2, "recovering"))  # arch/powerpc/include/asm/eeh.h
_ACTIVE = 0x18  # loads and stores, and DMA
_OWN = {Platform.POWERNV: ("/config", "/afu_err_buff"), Platform.POWERVM: ("/config",)}
"""Files whose contents are each host's own, but for whether the device answers."""
_NO_VENDOR = r"\xff\xff"  # how a file's bytes that are no text are written
_ALL_ONES = (ALL_ONES_64, ALL_ONES_32)


def slug(text: str) -> str:
    """`text` as a part of a signature."""
    return _SLUG.sub("-", text.lower()).strip("-")[:60] or "none"


class Outcome(NamedTuple):
    """How an operation ended: a stable word, and the exact text; then what it gave, in the same way."""

    ended: str
    value: str = ""
    exact: str = ""


def name(op: Operation) -> str:
    """What kind of operation it is: the verb, and which ioctl or file."""
    if op.verb == "ioctl":
        return f"ioctl-{op.args['name']}"
    if op.verb in ("read_file", "write_file"):
        return f"{op.verb}-{str(op.args['path']).rpartition('/')[2]}"
    if op.verb == "inject":
        return f"inject-{op.args['what']}"
    return op.verb


def outcome(story: Story, op: Operation) -> Outcome:
    """How `op` ended, and what it gave."""
    if op.end is None:
        return Outcome("unanswered")
    if op.end.kind is Kind.INFO:
        return Outcome(str(op.answer.get("reason", "info")))
    ended = "ok" if op.is_ok else op.errno or str(op.answer.get("signal", "fails"))
    give = _GIVES.get(op.verb)
    value, exact = give(story, op) if give and (op.is_ok or "runs" in op.answer) else ("", "")
    return Outcome(ended, value, exact)


def _loaded(_story: Story, op: Operation) -> tuple[str, str]:
    values = [run[0] for run in op.answer.get("runs", ())]
    words = list(dict.fromkeys(_word(value) for value in values))
    return "-then-".join(words), " ".join(f"{value:#x}" for value in values)


def _word(value: int) -> str:
    return "all-ones" if value in _ALL_ONES else "value" if value else "zero"


def _fields(_story: Story, op: Operation) -> tuple[str, str]:
    """The fields that come back; the structs of an attach are the caller's own."""
    if op.verb == "ioctl" and op.args["name"] == "START_WORK":
        return "", ""
    fields = {name: value for name, value in op.answer.items() if name != "tries"}
    return str(fields.get("type", "number")), " ".join(f"{k}={v}" for k, v in sorted(fields.items()))


def _text(story: Story, op: Operation) -> tuple[str, str]:
    path, answer = str(op.args["path"]), op.answer
    if path == "/proc/interrupts":
        rows = [match[1] for match in _ROW.finditer(str(answer.get("text", "")))]
        counts = {afu: rows.count(afu) for afu in sorted(set(rows))}
        return "rows", " ".join(f"{afu}:{count}" for afu, count in counts.items())
    if path.endswith("/refcnt"):
        return "count", str(_number(answer) - _first_number(story, path))
    if path.endswith(_OWN[story.history.topology.platform]):
        text = str(answer.get("text", ""))
        word = "all-ones" if text.startswith(_NO_VENDOR) else "device" if text else "empty"
        return word, word
    if path.endswith("/eeh_pe_state"):
        return _eeh_pe_word(str(answer.get("text", ""))), str(answer.get("text", "")).strip()
    runs: Sequence[Any] = answer.get("runs", ())
    text = " ".join(str(run[0]).strip() for run in runs) if runs else str(answer.get("text", "")).strip()
    return (slug(text) if len(text) <= _WORD_MAX else "text") if text else "empty", text


def _eeh_pe_word(text: str) -> str:
    """What a state of an EEH PE says."""
    try:
        firmware, kernel = eeh_pe_state(text)
    except ValueError:
        return "text"
    words = [word for bit, word in _EEH_PE_BITS if kernel & bit]
    return "-".join([*words, *(["frozen"] if firmware & _ACTIVE != _ACTIVE else [])]) or "fine"


def _used(_story: Story, op: Operation) -> tuple[str, str]:
    """How a probe's use of a device ended; what other traffic meets is timing."""
    if "good" not in op.args:
        return "", ""
    last = [run[0] for run in op.answer.get("runs", ())][-1:]
    return (last[0].lower(), last[0]) if last else ("nothing", "nothing")


def _number(answer: Mapping[str, Any]) -> int:
    text = str(answer.get("text", "")).strip()
    return int(text) if text.isdecimal() else 0


def _first_number(story: Story, path: str) -> int:
    reads = (op for op in story.history.operations if op.args.get("path") == path and op.is_ok)
    first = next(reads, None)
    return _number(first.answer) if first else 0


def _names(_story: Story, op: Operation) -> tuple[str, str]:
    names = sorted(op.answer.get("interrupted", ()))
    return "somebody" if names else "nobody", " ".join(names)


_GIVES = {
    "load": _loaded,
    "ioctl": _fields,
    "read": _fields,
    "poll": _fields,
    "read_file": _text,
    "wait": _names,
    "traffic": _used,
}
"""What an operation gives, as a stable word and exactly."""
