"""The small closed set of primitives that a host understands: the only words the agent knows.

A Request is a verb and its arguments, plain JSON values. `VERBS` says what each verb takes; the wire layer
turns the symbolic arguments of `ioctl` and `read` into the kernel's structs and back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

Json = Any  # str | int | bool | None | list[Json] | dict[str, Json]


class Verb(Enum):
    """A primitive. The comment names its arguments (``?``: optional) and what a good answer holds."""

    OPEN = "open"  # fd path nonblock? retry_ms? retry_on? -> {tries?}
    CLOSE = "close"  # fd -> {}
    IOCTL = "ioctl"  # fd name fields retry_ms? retry_on? -> {fields of the struct copied back, tries?}
    MMAP = "mmap"  # fd map length offset? -> {}
    MUNMAP = "munmap"  # map -> {}
    LOAD = "load"  # map offset width count? stride? -> {runs: [[value, count, first_us, last_us], ...]}
    STORE = "store"  # map offset width value -> {}
    READ = "read"  # fd timeout_ms? -> {type, process_element, ...}: one afu_event
    POLL = "poll"  # fd timeout_ms -> {revents}
    FORK = "fork"  # child -> {pid}
    EXIT = "exit"  # -> {}: the process ends without closing anything
    KILL = "kill"  # actor -> {}: SIGKILL
    READ_FILE = "read_file"  # path count? only? -> {text}; count > 1 gives {runs: [[text, count], ...]}
    WRITE_FILE = "write_file"  # path text device? -> {}; {eeh_pe} in the text is the device's EEH PE then
    TRAFFIC = "traffic"  # device kind for_ms … -> {runs: [[outcome, count, first_us, last_us], ...]}
    STOP = "stop"  # actor -> {}: its traffic ends
    CLAIM = "claim"  # device -> {}: fails with EBUSY when the system itself uses what is in its EEH PE
    INJECT = "inject"  # what, and what that needs -> {}: a fault that no file of the host can make
    WAIT = "wait"  # actors timeout_ms interrupt? -> {interrupted: [actor, ...]}
    SLEEP = "sleep"  # ms -> {}


VERBS: dict[Verb, dict[str, type | tuple[type, ...]]] = {
    Verb.OPEN: {"fd": str, "path": str, "nonblock?": bool, "retry_ms?": int, "retry_on?": list},
    Verb.CLOSE: {"fd": str},
    Verb.IOCTL: {"fd": str, "name": str, "fields": dict, "retry_ms?": int, "retry_on?": list},
    Verb.MMAP: {"fd": str, "map": str, "length": int, "offset?": int},
    Verb.MUNMAP: {"map": str},
    Verb.LOAD: {"map": str, "offset": int, "width": int, "count?": int, "stride?": int},
    Verb.STORE: {"map": str, "offset": int, "width": int, "value": int},
    Verb.READ: {"fd": str, "timeout_ms?": int},
    Verb.POLL: {"fd": str, "timeout_ms": int},
    Verb.FORK: {"child": str},
    Verb.EXIT: {},
    Verb.KILL: {"actor": str},
    Verb.READ_FILE: {"path": str, "count?": int, "only?": str},
    Verb.WRITE_FILE: {"path": str, "text": str, "device?": str},
    Verb.TRAFFIC: {
        "device": str,
        "kind": str,
        "for_ms": int,
        "pause_ms?": int,
        "good?": int,
        "settle?": bool,
        "bytes?": int,
        "overwrite?": bool,
        "address?": str,
        "peer?": str,
    },
    Verb.STOP: {"actor": str},
    Verb.CLAIM: {"device": str},
    Verb.INJECT: {"what": str, "with?": dict},
    Verb.WAIT: {"actors": (str, list), "timeout_ms": int, "interrupt?": bool},
    Verb.SLEEP: {"ms": int},
}


@dataclass(frozen=True, slots=True)
class Request:
    """One primitive for one actor. `is_always` requests of a step run even after an earlier one failed."""

    verb: Verb
    args: Mapping[str, Json] = field(default_factory=dict)
    is_always: bool = False
