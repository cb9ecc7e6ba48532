"""Oracle: a call on a device node, or a write to the driver's sysfs, fails only as the interface says.

A mode that is read is one of those that the interface has, and an error buffer that is there has contents.

Judged are calls on descriptors of AFU nodes; a descriptor that its actor has not got open gives EBADF, and so
does an open under a name that was opened before: the agent refuses it.
Loads and stores fail with SIGBUS only. EINTR is for what was interrupted: a wait for an event, or between
two tries.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from harness.oracles._context import contexts
from harness.oracles._memo import ms
from harness.vocab.history import History, Kind, Operation
from harness.vocab.oracle import Oracle
from harness.vocab.topology import Mode
from harness.vocab.verdict import Finding

NAME = "answers_as_documented"
_NODES = "/dev/cxl/afu"
_OPEN = frozenset({"ENODEV", "ENXIO", "ENOENT", "EIO", "ENOMEM", "ENOSPC"})
_START_WORK = frozenset({"EFAULT", "EIO", "EINVAL", "ENOSPC", "ENOMEM", "EBUSY", "EPERM", "ENODEV"})
_IOCTLS = {
    "START_WORK": _START_WORK,
    "GET_PROCESS_ELEMENT": frozenset({"EIO", "EFAULT"}),
    "GET_AFU_ID": frozenset({"EIO", "EFAULT"}),
}
_OTHER_IOCTL = _START_WORK | {"ENOTTY"}
_CALLS = {
    "mmap": frozenset({"EIO", "EINVAL", "EBUSY", "ENOMEM"}),
    "read": frozenset({"EIO", "EINVAL", "EAGAIN", "EINTR", "EFAULT"}),
    "poll": frozenset({"EINTR"}),
    "close": frozenset(),
}
_INTERRUPTED, _REFUSED = "EINTR", "EBADF"
_SYSFS = "/sys/class/cxl/"
_MODE = re.compile(r"/sys/class/cxl/afu[0-9.]+/mode")
_ERROR_BUFFER = re.compile(r"/sys/class/cxl/afu[0-9.]+/afu_err_buff")
_MODES = frozenset({*(mode.value for mode in Mode), "none"})
_WRITE = frozenset(
    {"EACCES", "EBUSY", "EINVAL", "EIO", "ENODEV", "ENOENT", "ENOMEM", "ENXIO", "EPERM", _INTERRUPTED}
)


def judge(history: History) -> Iterator[Finding]:
    """Look at every call that failed: opens first, then what was done with each context."""
    names = set[str]()
    for operation in history.operations:
        if operation.invoke.name == "open":
            if operation.errno == _REFUSED and operation.args["fd"] in names:
                continue
            names.add(operation.args["fd"])
        check = _CHECKS.get(operation.invoke.name)
        if check is not None:
            yield from check(operation)
    for context in contexts(history).contexts:
        for call in context.calls:
            if _has_failed(call):
                yield from _check(call, _allowed(call))
        for access in (*context.loads, *context.stores):
            if _has_failed(access) and access.errno != _INTERRUPTED:
                yield from _check(access, frozenset())


def _has_failed(operation: Operation) -> bool:
    return operation.end is not None and operation.end.kind is Kind.FAIL and bool(operation.errno)


def _check_open(operation: Operation) -> Iterator[Finding]:
    if operation.errno and operation.args["path"].startswith(_NODES):
        yield from _check(operation, _OPEN)


def _check_write(operation: Operation) -> Iterator[Finding]:
    if operation.errno and operation.args["path"].startswith(_SYSFS):
        yield from _check(operation, _WRITE)


def _check_read(operation: Operation) -> Iterator[Finding]:
    path = operation.args["path"]
    if path.startswith(_SYSFS):
        if _MODE.fullmatch(path):
            yield from _check_mode(operation)
        elif _ERROR_BUFFER.fullmatch(path):
            yield from _check_error_buffer(operation)


def _check_mode(read: Operation) -> Iterator[Finding]:
    answer = read.answer
    texts = [run[0] for run in answer.get("runs", ())] + [answer[key] for key in ("text",) if key in answer]
    wrong = [text for text in texts if str(text).strip() not in _MODES]
    if wrong and read.end is not None:
        message = f"{read.args['path']} read {str(wrong[0]).strip()!r} at {ms(read.ended_us)}"
        yield Finding(NAME, "mode-unknown", message, (read.invoke.seq, read.end.seq))


def _check_error_buffer(read: Operation) -> Iterator[Finding]:
    if read.is_ok and read.end is not None and read.answer.get("text") == "":
        message = f"{read.args['path']} had no bytes at {ms(read.ended_us)}"
        yield Finding(NAME, "error-buffer-empty", message, (read.invoke.seq, read.end.seq))


_CHECKS = {"open": _check_open, "write_file": _check_write, "read_file": _check_read}


def _allowed(call: Operation) -> frozenset[str]:
    if call.verb == "ioctl":
        return _IOCTLS.get(call.args["name"], _OTHER_IOCTL)
    return _CALLS.get(call.verb, frozenset())


def _check(call: Operation, allowed: frozenset[str]) -> Iterator[Finding]:
    errno = call.errno
    if errno in allowed or (errno == _INTERRUPTED and call.args.get("retry_ms")):
        return
    assert call.end is not None
    what = call.args.get("name", call.verb)
    names = ", ".join(sorted(allowed)) or "none"
    message = f"{what} of {call.invoke.actor} failed with {errno} at {ms(call.ended_us)}; allowed: {names}"
    kind = f"{what}-{errno}".lower().replace("_", "-")
    yield Finding(NAME, kind, message, (call.invoke.seq, call.end.seq))


ORACLE = Oracle(NAME, "Calls fail only as the driver's interface says", judge)
