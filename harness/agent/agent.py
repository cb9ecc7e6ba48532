"""The agent: plays one case after another on the host that it was sent to, and says what happened.

One file, standard library only, Python 3.6 or later; nothing of it is installed on the host. It speaks the
agent protocol on standard input and output, and consists of

* the coordinator (`Player`), which alone talks to the client, owns the lanes and their triggers, and watches
  the kernel's log and trace;
* one worker process for each actor (`Worker`), which makes the system calls and stamps them with the time;
* for a worker that loads or stores, one expendable process (`MmioProxy`) that makes the accesses, because an
  access can end in SIGBUS;
* an undertaker, which outlives the coordinator by a moment and kills what it left, however it ended.

No process has a second thread, so each may fork at any time.
"""

import binascii
import collections
import contextlib
import ctypes
import errno
import fcntl
import json
import mmap
import os
import re
import resource
import select
import signal
import socket
import stat
import struct
import sys
import time
import traceback
from typing import Any, Callable, Dict, Iterable, Iterator, List, Optional, Set, Tuple

PROTOCOL = 1
LINE_LIMIT_BYTES = 64 << 20  # of a play line: a million steps
REPLIES_LIMIT_BYTES = 8 << 20  # replies that wait for the client; beyond, nothing more is taken in
LINES_AHEAD = 8  # play lines that may wait while a case is played
FILE_LIMIT_BYTES = 64 << 10
SEARCH_LIMIT_BYTES = 8 << 20  # of a file of which only some lines are wanted
ATTRIBUTE_LIMIT_BYTES = 4096
EVENT_BYTES = 4096  # a read of an AFU's events must have room for this much
CHUNK_BYTES = 64 << 10
RUNS_LIMIT = 4000  # stretches of equal values that one load may answer with
ACTORS_LIMIT = 128
PROBLEMS_SHOWN = 10
RETRY_FIRST_S, RETRY_MOST_S = 0.25, 4.0
PULSE_S = 0.02  # an interruption is repeated, because a signal can come just before a call blocks
FRESH_S = 0.1  # after a wait was interrupted: how long a new part may take before it is interrupted too
INTERRUPT_BUDGET_S = 60.0  # uninterruptible hcalls take this long at most
BURIAL_S = 5.0
BURIAL_POLL_S = 0.001

Json = Dict[str, Any]
Args = Dict[str, Any]

LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.mmap.restype = ctypes.c_void_p
_INT = ctypes.c_int
LIBC.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, _INT, _INT, _INT, ctypes.c_longlong]
LIBC.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
LIBC.signal.restype = ctypes.c_void_p
LIBC.signal.argtypes = [ctypes.c_int, ctypes.c_void_p]
MAP_FAILED = ctypes.c_void_p(-1).value
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36

WORDS = {4: ctypes.c_uint32, 8: ctypes.c_uint64}  # type: Dict[int, Any]

# What each verb takes; "?" means that it may be left out. The client has a table of its own: they are held
# together by the protocol's test vectors.
VERBS = {
    "open": {"fd": str, "path": str, "nonblock?": bool, "retry_ms?": int, "retry_on?": list},
    "close": {"fd": str},
    "ioctl": {"fd": str, "request": int, "data": str, "retry_ms?": int, "retry_on?": list},
    "mmap": {"fd": str, "map": str, "length": int, "offset?": int},
    "munmap": {"map": str},
    "load": {"map": str, "offset": int, "width": int, "count?": int, "stride?": int},
    "store": {"map": str, "offset": int, "width": int, "value": int},
    "read": {"fd": str, "timeout_ms?": int},
    "poll": {"fd": str, "timeout_ms": int},
    "fork": {"child": str},
    "exit": {},
    "kill": {"actor": str},
    "read_file": {"path": str, "count?": int, "only?": str},
    "write_file": {"path": str, "text": str, "device?": str},
    "traffic": {
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
    "stop": {"actor": str},
    "claim": {"device": str},
    "inject": {"what": str, "with?": dict},
    "wait": {"actors": (str, list), "timeout_ms": int, "interrupt?": bool},
    "sleep": {"ms": int},
}  # type: Dict[str, Dict[str, Any]]
WHEN = {"after_ms?": int, "sees?": list, "nth?": int, "within_ms?": int}

BARRIERS = ("wait", "sleep")  # of the actor harness, these hold back what follows
JOURNALLED = ("ioctl", "store", "kill", "write_file", "inject", "traffic")
# These can bring the host down, and its page cache with it. The rest needs to outlive the agent only.
SYNCED = ("kill", "write_file", "inject")

PHYP_CONSOLE = "/dev/phypsim"  # a simulated PHYP below the guest takes orders here
CARD_CONSOLE = "/dev/capicard"  # simulated cards and their PHBs do


class ClientGoneError(Exception):
    """The client has left."""


class RefusedError(Exception):
    """A play line that cannot be played; says why."""


class GivenUpError(Exception):
    """A blocked operation was told to give up."""


class TimeUsedUpError(Exception):
    """A blocked operation has used up its time."""


class AccessFaultError(Exception):
    """An access to a mapping ended in the signal of this name; `runs` is what was loaded before."""

    def __init__(self, signal_name: str) -> None:
        super().__init__(signal_name)
        self.runs = []  # type: List[List[int]]


def compact(value: Any) -> bytes:
    """One line of JSON, with its newline."""
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"


# Of numbers with two names, the kernel's.
ERRNO_NAMES = dict(errno.errorcode)
ERRNO_NAMES.update((getattr(errno, name), name) for name in ("EOPNOTSUPP", "EAGAIN", "EDEADLK"))


def errno_name(number: int) -> str:
    """The name of an errno."""
    return ERRNO_NAMES.get(number, str(number))


def text_of(data: bytes) -> str:
    """Text for a reply; bytes that are not UTF-8 as ``\\xNN``."""
    return data.decode("utf-8", "backslashreplace")


def prctl(option: int, value: int) -> None:
    """Set an attribute of this process."""
    LIBC.prctl(option, ctypes.c_ulong(value), ctypes.c_ulong(0), ctypes.c_ulong(0), ctypes.c_ulong(0))


def close_all_but(kept: Iterable[int]) -> None:
    """Close every file descriptor of this process except those `kept`."""
    kept = set(kept)
    for name in os.listdir("/proc/self/fd"):
        if int(name) not in kept:
            with contextlib.suppress(OSError):  # the descriptor of the listing itself
                os.close(int(name))


def run_child(serve: Callable[..., None], *args: Any) -> None:
    """In a child just forked: serve, and end without returning into the parent's frames."""
    try:
        serve(*args)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(0)


def whole_lines(rest: bytearray, chunk: bytes) -> List[bytes]:
    """Add `chunk` to `rest`, and take the whole lines out of it."""
    rest += chunk
    if b"\n" not in chunk:
        return []
    lines = bytes(rest).split(b"\n")
    rest[:] = lines.pop()
    return lines


# ---------------------------------------------------------------------------------------------------------
# Loads and stores


class MmioProxy:
    """A child of a worker that has the worker's mappings and makes its accesses.

    Python cannot survive SIGBUS in the middle of an access. So the access is made by a fork of the worker,
    which has the same mappings at the same addresses; a fault costs only that process, and the worker keeps
    its descriptors and mappings and can try again with a new one. The proxy holds no descriptor of the
    worker's, dies with it, and is killed before an munmap or an exit: it never keeps a context alive that the
    worker has given up.

    What it has loaded stands in shared memory, so that it is known after a fault. Its SIGBUS handler is the
    C library's _exit, because a signal without a handler would leave a line in the kernel log, which is
    evidence.
    """

    RUN = struct.Struct("=QQdd")  # value, count, seconds of the first and of the last
    HEAD = struct.Struct("=Q")  # number of runs

    def __init__(self) -> None:
        self.shared = mmap.mmap(-1, self.HEAD.size + RUNS_LIMIT * self.RUN.size)
        self.sock, theirs = socket.socketpair()
        parent = os.getpid()
        self.pid = os.fork()
        if self.pid == 0:
            run_child(self._serve, theirs, parent)
        theirs.close()

    def access(self, address: int, width: int, count: int, stride: int, value: Optional[int]) -> None:
        """Load `count` times, `stride` bytes apart, or store `value`. Raises AccessFaultError."""
        self.HEAD.pack_into(self.shared, 0, 0)
        try:
            self.sock.sendall(compact([address, width, count, stride, value]))
            is_done = self.sock.recv(1)
        except (BrokenPipeError, ConnectionResetError):
            is_done = b""
        if not is_done:
            raise AccessFaultError(self._last_signal())

    def runs(self, origin: float) -> List[List[int]]:
        """What the last access has loaded, with times in microseconds since `origin`."""
        found = []
        for index in range(self.HEAD.unpack_from(self.shared, 0)[0]):
            value, count, first, last = self.RUN.unpack_from(
                self.shared, self.HEAD.size + index * self.RUN.size
            )
            found.append([value, count, int((first - origin) * 1e6), int((last - origin) * 1e6)])
        return found

    def stop(self) -> None:
        """Kill the process and wait until its mappings are gone."""
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            self.pid = 0
        self.forget()

    def forget(self) -> None:
        """Let go of a proxy that is gone, or is another process's."""
        self.sock.close()
        self.shared.close()

    def _last_signal(self) -> str:
        _, status = os.waitpid(self.pid, 0)
        self.pid = 0
        number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
        if not number:
            raise OSError(errno.EIO, "the process that accesses the mapping broke")
        return signal.Signals(number).name

    def _serve(self, sock: socket.socket, parent: int) -> None:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            return
        close_all_but([2, sock.fileno()])
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        signal.signal(signal.SIGUSR2, signal.SIG_IGN)
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number in (signal.SIGBUS, signal.SIGSEGV):
            LIBC.signal(number, ctypes.cast(LIBC._exit, ctypes.c_void_p))  # _exit(number)
        rest = bytearray()
        while True:
            chunk = sock.recv(4096)
            if not chunk:
                return
            for line in whole_lines(rest, chunk):
                address, width, count, stride, value = json.loads(line.decode())
                if value is None:
                    self._load(address, WORDS[width], count, stride)
                else:
                    WORDS[width].from_address(address).value = value
                sock.sendall(b".")

    def _load(self, address: int, kind: Any, count: int, stride: int) -> None:
        clock, pack, shared = time.monotonic, self.RUN.pack_into, self.shared
        place, stretches, length, first, previous = 0, 0, 0, 0.0, -1
        word = kind.from_address(address)
        for index in range(count):
            if stride:
                word = kind.from_address(address + index * stride)
            value = word.value
            now = clock()
            if value == previous:
                length += 1
            else:
                if stretches == RUNS_LIMIT:
                    return
                place = self.HEAD.size + stretches * self.RUN.size
                stretches, length, first, previous = stretches + 1, 1, now, value
            pack(shared, place, value, length, first, now)
            if length == 1:
                self.HEAD.pack_into(shared, 0, stretches)


# ---------------------------------------------------------------------------------------------------------
# The worker: one actor


class Worker:
    """An actor's process: takes parts from the coordinator, one at a time, and answers with reply lines.

    Each line to the coordinator has a letter before it: I (invoked), O (ok) or F (failed).
    """

    def __init__(self, name: str, channel: socket.socket, origin: float) -> None:
        self.name = name
        self.channel = channel
        self.origin = origin
        self.fds = {}  # type: Dict[str, int]
        self.maps = {}  # type: Dict[str, Tuple[int, int]]
        self.proxy = None  # type: Optional[MmioProxy]
        self.is_blocking = False
        self.is_stopped = False
        self.deadline = None  # type: Optional[float]
        self.failing_since = None  # type: Optional[float]
        self.passed_fd = -1

    def serve(self) -> None:
        """Perform parts until the coordinator closes the channel."""
        signal.signal(signal.SIGUSR1, self._on_signal)
        signal.signal(signal.SIGALRM, self._on_signal)
        signal.signal(signal.SIGUSR2, self._on_stop)
        rest = bytearray()
        while True:
            chunk = self.channel.recv(CHUNK_BYTES)
            if not chunk:
                return
            for line in whole_lines(rest, chunk):
                self.perform(json.loads(line.decode()))

    def perform(self, part: Json) -> None:
        """Perform one part: an I line, then an O or an F line."""
        head = {"t": 0, "who": self.name, "step": part["step"], "part": part["part"], "do": part["do"]}
        self._say("I", head, "invoke", "args", part["args"])
        try:
            got = getattr(self, "do_" + part["do"])(part["args"]) or {}
        except AccessFaultError as fault:
            self._say("F", head, "fail", "got", {"signal": str(fault), "runs": fault.runs})
        except (GivenUpError, TimeUsedUpError, OSError, ValueError, OverflowError) as error:
            self._say("F", head, "fail", "got", {"errno": self._errno(error)})
        else:
            self._say("O", head, "ok", "got", got)
        self.is_stopped = False

    def _on_stop(self, number: int, frame: Any) -> None:
        """Traffic is to end after the request that is under way."""
        self.is_stopped = True

    @staticmethod
    def _errno(error: Exception) -> str:
        if isinstance(error, OSError) and error.errno:
            return errno_name(error.errno)
        return {GivenUpError: "EINTR", TimeUsedUpError: "EAGAIN"}.get(type(error), "EINVAL")

    def _say(self, letter: str, head: Json, kind: str, key: str, value: Json) -> None:
        head["t"] = int((time.monotonic() - self.origin) * 1e6)
        line = {"is": kind}  # type: Json
        line.update(head)
        line[key] = value
        data = letter.encode() + compact(line)
        if self.passed_fd >= 0:
            # A forked child's channel travels with the line that tells of the child.
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("i", self.passed_fd))]
            data = data[self.channel.sendmsg([data], rights) :]
            os.close(self.passed_fd)
            self.passed_fd = -1
        self.channel.sendall(data)

    # An operation that may block is called through `_blocking`; a signal then raises out of it. In the very
    # instant after the call has returned, a signal still can, and what the call gave is lost: the price of
    # real blocking calls. Interruptions are rare, and the history shows them.

    def _on_signal(self, number: int, frame: Any) -> None:
        if self.is_blocking:
            if number == signal.SIGUSR1:
                self.is_blocking = False
                raise GivenUpError
            if self.deadline is not None and time.monotonic() >= self.deadline:
                self.is_blocking = False
                raise TimeUsedUpError

    def _blocking(self, call: Callable[..., Any], *args: Any, timeout_ms: Optional[int] = None) -> Any:
        """Call something that may block. Raises GivenUpError, and TimeUsedUpError after `timeout_ms`."""
        if timeout_ms is not None:
            self.deadline = time.monotonic() + timeout_ms / 1000
            signal.setitimer(signal.ITIMER_REAL, max(timeout_ms / 1000, 1e-4), PULSE_S)
        self.is_blocking = True
        try:
            return call(*args)
        finally:
            self.is_blocking = False
            if timeout_ms is not None:
                signal.setitimer(signal.ITIMER_REAL, 0)
                self.deadline = None

    def _retrying(self, args: Args, call: Callable[[], Any]) -> Tuple[Any, int]:
        """Call, if allowed until it succeeds or the time is over; and how often it was.

        The time counts from the first failure after a success: what shares a fate is waited for once.
        """
        if "retry_ms" not in args:
            return self._blocking(call), 1
        retry_on = args.get("retry_on", ())
        pause = RETRY_FIRST_S
        tries = 0
        while True:
            tries += 1
            try:
                got = self._blocking(call)
            except OSError as error:
                if self.failing_since is None:
                    self.failing_since = time.monotonic()
                is_last = time.monotonic() + pause > self.failing_since + args["retry_ms"] / 1000
                if is_last or errno_name(error.errno or 0) not in retry_on:
                    raise
            else:
                self.failing_since = None
                return got, tries
            self._blocking(time.sleep, pause)
            pause = min(2 * pause, RETRY_MOST_S)

    def _fd(self, args: Args) -> int:
        try:
            return self.fds[args["fd"]]
        except KeyError:
            raise OSError(errno.EBADF, "no such descriptor") from None

    def _map(self, name: str) -> Tuple[int, int]:
        try:
            return self.maps[name]
        except KeyError:
            raise OSError(errno.EFAULT, "no such mapping") from None

    def do_open(self, args: Args) -> Json:
        """Open a path, read and write where possible."""
        if args["fd"] in self.fds:
            raise OSError(errno.EBADF, "the name is taken")
        flags = os.O_CLOEXEC | (os.O_NONBLOCK if args.get("nonblock") else 0)
        self.fds[args["fd"]], tries = self._retrying(args, lambda: os.open(args["path"], os.O_RDWR | flags))
        return {"tries": tries} if "retry_ms" in args else {}

    def do_close(self, args: Args) -> None:
        """Close a descriptor; a mapping of it stays."""
        fd = self._fd(args)
        del self.fds[args["fd"]]
        os.close(fd)

    def do_ioctl(self, args: Args) -> Json:
        """One ioctl, with a buffer that the kernel may change."""
        fd = self._fd(args)
        data = bytearray.fromhex(args["data"])

        def call() -> None:
            fcntl.ioctl(fd, args["request"], data, True) if data else fcntl.ioctl(fd, args["request"])

        _, tries = self._retrying(args, call)
        got = {"data": data.hex()}  # type: Json
        if "retry_ms" in args:
            got["tries"] = tries
        return got

    def do_mmap(self, args: Args) -> None:
        """Map a descriptor. By hand: Python's mmap keeps a descriptor of its own, and so the context."""
        if args["map"] in self.maps:
            raise OSError(errno.EINVAL, "the name is taken")
        length, offset = args["length"], args.get("offset", 0)
        shared, both = mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE
        address = LIBC.mmap(None, length, both, shared, self._fd(args), offset)
        if address == MAP_FAILED:
            raise OSError(ctypes.get_errno(), "mmap")
        self._drop_proxy()  # it lacks the new mapping; the next access makes another
        self.maps[args["map"]] = (address, length)

    def do_munmap(self, args: Args) -> None:
        """Unmap; the proxy goes first, so that the context's last mapping ends here."""
        address, length = self._map(args["map"])
        self._drop_proxy()
        del self.maps[args["map"]]
        if LIBC.munmap(address, length):
            raise OSError(ctypes.get_errno(), "munmap")

    def do_load(self, args: Args) -> Json:
        """Load one or many times, and answer with the stretches of equal values."""
        count = args.get("count", 1)
        got = {"runs": self._access(args, count, args.get("stride", 0), None)}  # type: Json
        if sum(run[1] for run in got["runs"]) < count:
            got["truncated"] = True
        return got

    def do_store(self, args: Args) -> None:
        """Store once."""
        self._access(args, 1, 0, args["value"])

    def _access(self, args: Args, count: int, stride: int, value: Optional[int]) -> List[List[int]]:
        address, length = self._map(args["map"])
        offset, width = args["offset"], args["width"]
        last = offset + stride * (count - 1)
        is_aligned = width in WORDS and not offset % width and not stride % width
        if not is_aligned or not 0 <= min(offset, last) <= max(offset, last) <= length - width:
            raise OSError(errno.EINVAL, "only aligned accesses of 4 or 8 bytes inside the mapping")
        if self.proxy is None:
            self.proxy = MmioProxy()
            self.channel.sendall(b"P%d\n" % self.proxy.pid)
        proxy = self.proxy
        try:
            self._blocking(proxy.access, address + offset, width, count, stride, value)
        except AccessFaultError as fault:
            fault.runs = proxy.runs(self.origin)
            self._drop_proxy()
            raise
        except GivenUpError:
            self._drop_proxy()
            raise
        return proxy.runs(self.origin)

    def _drop_proxy(self) -> None:
        if self.proxy is not None:
            self.proxy.stop()
            self.proxy = None

    def do_read(self, args: Args) -> Json:
        """One blocking read, with a limit of time or without."""
        data = self._blocking(os.read, self._fd(args), EVENT_BYTES, timeout_ms=args.get("timeout_ms"))
        return {"data": data.hex()}

    def do_poll(self, args: Args) -> Json:
        """Poll for input."""
        poll = select.poll()
        poll.register(self._fd(args), select.POLLIN)
        events = self._blocking(poll.poll, args["timeout_ms"])
        return {"revents": events[0][1] if events else 0}

    def do_fork(self, args: Args) -> Json:
        """Fork; the child serves as an actor of its own."""
        ours, theirs = socket.socketpair()
        pid = os.fork()
        if pid == 0:
            ours.close()
            run_child(self._serve_as, args["child"], theirs)
        theirs.close()
        self.passed_fd = ours.detach()
        return {"pid": pid}

    def _serve_as(self, name: str, channel: socket.socket) -> None:
        """In the forked child: keep descriptors and mappings, but nothing else of the parent's."""
        self.channel.close()
        if self.proxy is not None:
            self.proxy.forget()
            self.proxy = None
        self.name, self.channel = name, channel
        self.serve()

    def do_exit(self, args: Args) -> None:
        """End without closing anything. The coordinator answers, once the kernel has closed it all."""
        self._drop_proxy()
        os._exit(0)

    def do_read_file(self, args: Args) -> Json:
        """Read a file once, or many times, with one answer for each stretch of equal texts."""
        count = args.get("count", 1)
        only = args.get("only", "").encode()
        limit = SEARCH_LIMIT_BYTES if only else FILE_LIMIT_BYTES
        runs = []  # type: List[List[Any]]
        is_truncated = False
        for _ in range(count):
            data = self._blocking(read_bounded, args["path"], limit + 1)
            is_truncated = is_truncated or len(data) > limit
            if only:
                data = lines_with(data, only)
                is_truncated = is_truncated or len(data) > FILE_LIMIT_BYTES
            text = text_of(data[:FILE_LIMIT_BYTES])
            if runs and runs[-1][0] == text:
                runs[-1][1] += 1
            elif sum(len(run[0]) for run in runs) + len(text) <= FILE_LIMIT_BYTES or not runs:
                runs.append([text, 1])
            else:
                is_truncated = True
                break
        got = {"runs": runs} if count > 1 else {"text": runs[0][0] if runs else ""}  # type: Json
        if is_truncated:
            got["truncated"] = True
        return got

    def do_write_file(self, args: Args) -> None:
        """Write a text to an existing file, in one write."""
        text = args["text"]
        if "device" in args:
            text = text.replace("{eeh_pe}", "%x" % eeh_pe_of(Paths().root, args["device"]))
        data = text.encode()
        fd = self._blocking(os.open, args["path"], os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC)
        try:
            if self._blocking(os.write, fd, data) != len(data):
                raise OSError(errno.EIO, "a short write")
        finally:
            os.close(fd)

    def do_inject(self, args: Args) -> None:
        """Ask what stands below the operating system. A lab host has nobody there that could be asked."""
        details = args.get("with", {})
        if "device" in details:  # whoever freezes cannot read the number, which changes
            details = dict(details, eeh_pe=eeh_pe_of(Paths().root, details["device"]))
        order = compact({"what": args["what"], "with": details})
        paths = Paths()
        for console in (paths.phyp, paths.cards):
            if os.path.exists(console):
                break
        else:
            raise OSError(errno.EOPNOTSUPP, "no such injector on this host")
        fd = os.open(console, os.O_WRONLY | os.O_CLOEXEC)
        try:
            self._blocking(os.write, fd, order)
        finally:
            os.close(fd)

    def do_claim(self, args: Args) -> None:
        """Make sure that the system itself uses nothing in a device's EEH PE."""
        root = Paths().root
        eeh_pe_of(root, args["device"])
        reason = use_of_eeh_pe(root, args["device"])
        if reason:
            raise OSError(errno.EBUSY, reason)

    def do_traffic(self, args: Args) -> Json:
        """Request after request to a device, until the time is over, enough were good, or it is stopped."""
        if args["kind"] not in TRAFFIC:
            raise OSError(errno.EINVAL, "no such kind of traffic")
        reason = use_of_eeh_pe(Paths().root, args["device"])
        if reason:
            raise OSError(errno.EBUSY, reason)
        ends_at = time.monotonic() + args["for_ms"] / 1000
        runs = []  # type: List[List[Any]]
        got = {"runs": runs}  # type: Json
        carrier = TRAFFIC[args["kind"]](Paths().root, args)
        try:
            if not args.get("settle") or self._settle(args["device"], ends_at):
                self._send(carrier, args, ends_at, runs)
        except GivenUpError:
            got["interrupted"] = True
        finally:
            carrier.close()
        if carrier.is_blank:
            got["blank"] = True
        return got

    def _settle(self, device: str, ends_at: float) -> bool:
        """Wait until EEH is done with the device; False when it is not in time, or the device is gone."""
        seen_at = time.monotonic()
        while time.monotonic() < ends_at:
            if is_settled(Paths().root, device):
                return True
            if os.path.exists("%s%s/%s" % (Paths().root, PCI_DEVICES, device)):
                seen_at = time.monotonic()
            elif time.monotonic() - seen_at > GONE_S:
                return False
            self._blocking(time.sleep, SETTLE_S)
        return False

    def _send(self, carrier: Any, args: Args, ends_at: float, runs: List[List[Any]]) -> None:
        in_a_row = 0
        while time.monotonic() < ends_at and not self.is_stopped:
            outcome = self._blocking(carrier.request)
            now_us = int((time.monotonic() - self.origin) * 1e6)
            if runs and (runs[-1][0] == outcome or len(runs) == RUNS_LIMIT):
                runs[-1][1] += 1
                runs[-1][3] = now_us
            else:
                runs.append([outcome, 1, now_us, now_us])
            in_a_row = in_a_row + 1 if outcome == GOOD else 0
            if args.get("good") and in_a_row >= args["good"]:
                return
            self._blocking(time.sleep, max(args.get("pause_ms", 0), 1) / 1000)

    def do_sleep(self, args: Args) -> None:
        """Do nothing for a while."""
        self._blocking(time.sleep, args["ms"] / 1000)

    def do_wait(self, args: Args) -> None:
        """Only the harness can wait for other actors."""
        raise OSError(errno.EOPNOTSUPP, "only the actor harness waits")


def read_bounded(path: str, limit_bytes: int) -> bytes:
    """The beginning of a file. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        data = b""
        while len(data) < limit_bytes:
            chunk = os.read(fd, limit_bytes - len(data))
            if not chunk:
                break
            data += chunk
        return data
    finally:
        os.close(fd)


def lines_with(data: bytes, text: bytes) -> bytes:
    """The lines of `data` that contain `text`, each with its newline."""
    return b"".join(line + b"\n" for line in data.split(b"\n") if text in line)


def start_worker(name: str, origin: float) -> Tuple[int, socket.socket]:
    """Fork a worker; return its process id and the channel to it. `origin` is when the case began."""
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        run_child(_serve_worker, name, theirs, origin)
    theirs.close()
    return pid, ours


def _serve_worker(name: str, channel: socket.socket, origin: float) -> None:
    close_all_but([2, channel.fileno()])
    os.open(os.devnull, os.O_RDWR)  # takes the place of standard input,
    os.dup(0)  # and of standard output
    Worker(name, channel, origin).serve()


# ---------------------------------------------------------------------------------------------------------
# PCI devices without CAPI: what they are kept busy with, and whether the system itself uses them

PCI_DEVICES = "/sys/bus/pci/devices"
GOOD, LOST, ALL_ONES, WRONG = "good", "lost", "all-ones", "wrong"
SETTLE_S = 0.5
GONE_S = 30.0  # EEH takes a device away for some 10 s when its driver has no error handlers
BLOCK_BYTES = 4096
RANGE_LIMIT_BYTES = 64 << 20
ECHO_BYTES = 1024
ECHO_S = 0.5  # after this an echo is lost
GOLDEN, MIXING = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9
ETHERTYPE_IP, ETHERTYPE_ARP, ETHERTYPE_ALL = 0x0800, 0x0806, 0x0003
IPV6_SCOPE_LINK, IFA_F_PERMANENT = "20", 0x80
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1


def pattern(number: int, length: int) -> bytes:
    """Contents that no other number has, and no device by itself."""
    words = [(number * GOLDEN + (index + 1) * MIXING) & 0xFFFFFFFFFFFFFFFF for index in range(length // 8)]
    return struct.pack(">%dQ" % len(words), *words)


def compared(data: bytes, expected: bytes) -> str:
    """What was read, as an outcome."""
    if data == expected:
        return GOOD
    return ALL_ONES if data == b"\xff" * len(data) else WRONG


class Blocks:
    """Direct reads of the first blocks of an NVMe or other disk, whose contents are known: a pattern where it
    may be written, else what the first read of each gave.
    """

    def __init__(self, root: str, args: Args) -> None:
        self.root = root
        self.device = args["device"]
        self.may_overwrite = args.get("overwrite", False)
        self.count = max(min(args.get("bytes", 0), RANGE_LIMIT_BYTES) // BLOCK_BYTES, 1)
        self.contents = {}  # type: Dict[int, bytes]
        self.buffer = mmap.mmap(-1, BLOCK_BYTES)  # aligned, as direct reads must be
        self.fd = -1
        self.number = 0

    @property
    def is_blank(self) -> bool:
        """Whether what was read cannot be told from what a failed read may leave behind."""
        known = self.contents.values()
        return bool(known) and all(data in (b"\0" * len(data), b"\xff" * len(data)) for data in known)

    def request(self) -> str:
        """Read the next block."""
        try:
            if self.fd < 0:
                self._open()
            number = self.number
            data = self._read(number)
            expected = self.contents.get(number)
            if expected is None:
                expected = self._known(number, data)
        except OSError as error:
            self.close()
            return errno_name(error.errno or errno.EIO)
        self.number = (number + 1) % self.count
        return compared(data, expected)

    def _open(self) -> None:
        names = disks_of(self.root, self.device)
        if not names:
            raise OSError(errno.ENODEV, "no disk")
        access = os.O_RDWR if self.may_overwrite else os.O_RDONLY
        self.fd = os.open("%s/dev/%s" % (self.root, names[0]), access | os.O_DIRECT | os.O_CLOEXEC)

    def _read(self, number: int) -> bytes:
        os.lseek(self.fd, number * BLOCK_BYTES, os.SEEK_SET)
        if os.readv(self.fd, [self.buffer]) != BLOCK_BYTES:
            raise OSError(errno.ENODATA, "a short read")
        return self.buffer[:]

    def _known(self, number: int, data: bytes) -> bytes:
        """What a block holds that was read for the first time."""
        expected = pattern(number, BLOCK_BYTES)
        if data != expected:
            if not self.may_overwrite:
                expected = data
            elif compared(data, expected) == WRONG:
                self.buffer[:] = expected
                os.lseek(self.fd, number * BLOCK_BYTES, os.SEEK_SET)
                if os.writev(self.fd, [self.buffer]) != BLOCK_BYTES:
                    raise OSError(errno.EIO, "a short write")
                self._read(number)  # what is there now is judged at the next visit
                self.contents[number] = expected
                return data
        self.contents[number] = expected
        return expected

    def close(self) -> None:
        """Let go of the disk; the next request opens it again."""
        if self.fd >= 0:
            with contextlib.suppress(OSError):
                os.close(self.fd)
            self.fd = -1


class Frames:
    """Echo requests with a known payload through a network device, by raw frames: it needs no address of the
    system's, and nothing else is sent through it.
    """

    is_blank = False

    def __init__(self, root: str, args: Args) -> None:
        self.root = root
        self.device = args["device"]
        self.address = socket.inet_aton(args.get("address", ""))
        self.peer = socket.inet_aton(args.get("peer", ""))
        self.ident = os.getpid() & 0xFFFF
        self.number = 0
        self.sock = None  # type: Optional[socket.socket]
        self.mac = b""
        self.peer_mac = b""

    def request(self) -> str:
        """Ask for the peer's hardware address if need be, and have a payload echoed."""
        try:
            if self.sock is None:
                self._open()
            if not self.peer_mac and not self._resolve():
                return LOST
            return self._echo()
        except BlockingIOError:
            return LOST  # the queue is full: nothing is sent
        except OSError as error:
            self.close()
            return errno_name(error.errno or errno.EIO)

    def _open(self) -> None:
        names = listed("%s%s/%s/net" % (self.root, PCI_DEVICES, self.device))
        if not names:
            raise OSError(errno.ENODEV, "no interface")
        self.sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETHERTYPE_ALL))
        self.sock.setblocking(False)
        request = struct.pack("16sH14x", names[0].encode(), 0)
        flags = struct.unpack("16sH14x", fcntl.ioctl(self.sock, SIOCGIFFLAGS, request))[1]
        if not flags & IFF_UP:
            fcntl.ioctl(self.sock, SIOCSIFFLAGS, struct.pack("16sH14x", names[0].encode(), flags | IFF_UP))
        self.sock.bind((names[0], ETHERTYPE_ALL))
        self.mac = self.sock.getsockname()[4]
        self.peer_mac = b""

    def _resolve(self) -> bool:
        """ARP."""
        head = struct.pack(">HHBBH", 1, ETHERTYPE_IP, 6, 4, 1)
        body = head + self.mac + self.address + b"\0" * 6 + self.peer
        self._send(b"\xff" * 6, ETHERTYPE_ARP, body)

        def reply(frame: bytes) -> bool:
            return frame[12:14] == b"\x08\x06" and frame[20:22] == b"\0\x02" and frame[28:32] == self.peer

        found = self._receive(reply)
        if found is not None:
            self.peer_mac = found[22:28]
        return found is not None

    def _echo(self) -> str:
        self.number = (self.number + 1) & 0xFFFF
        payload = pattern(self.ident << 16 | self.number, ECHO_BYTES)
        names = struct.pack(">HH", self.ident, self.number)
        icmp = b"\x08\0" + struct.pack(">H", checksum(b"\x08\0\0\0" + names + payload)) + names + payload
        head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(icmp), self.number, 0, 64, 1, 0)
        head += self.address + self.peer
        head = head[:10] + struct.pack(">H", checksum(head)) + head[12:]
        self._send(self.peer_mac, ETHERTYPE_IP, head + icmp)

        def reply(frame: bytes) -> bool:
            is_icmp = frame[12:14] == b"\x08\0" and frame[23:24] == b"\x01" and frame[26:30] == self.peer
            return is_icmp and frame[34:36] == b"\0\0" and frame[38:42] == names

        found = self._receive(reply)
        return LOST if found is None else compared(found[42 : 42 + ECHO_BYTES], payload)

    def _send(self, to: bytes, ethertype: int, body: bytes) -> None:
        assert self.sock is not None
        frame = to + self.mac + struct.pack(">H", ethertype) + body
        self.sock.send(frame + b"\0" * max(0, 60 - len(frame)))

    def _receive(self, is_wanted: Callable[[bytes], bool]) -> Optional[bytes]:
        """The next frame that is wanted, or nothing in time."""
        assert self.sock is not None
        ends_at = time.monotonic() + ECHO_S
        while True:
            left_s = ends_at - time.monotonic()
            if left_s <= 0 or not select.select([self.sock], [], [], left_s)[0]:
                return None
            frame = self.sock.recv(CHUNK_BYTES)
            if is_wanted(frame):
                return frame

    def close(self) -> None:
        """Let go of the interface; the next request opens it again."""
        if self.sock is not None:
            self.sock.close()
            self.sock = None


TRAFFIC = {"blocks": Blocks, "frames": Frames}  # type: Dict[str, Any]


def checksum(data: bytes) -> int:
    """The Internet checksum of an even number of bytes."""
    total = sum(struct.unpack(">%dH" % (len(data) // 2), data))  # type: int
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def pci_attribute(root: str, device: str, name: str) -> str:
    """The text of an attribute of a PCI device. Raises OSError ENODEV when the device is not there."""
    try:
        data = read_bounded("%s%s/%s/%s" % (root, PCI_DEVICES, device, name), ATTRIBUTE_LIMIT_BYTES)
    except FileNotFoundError:
        raise OSError(errno.ENODEV, "no such PCI device") from None
    return data.decode("ascii", "replace").strip()


def eeh_pe_of(root: str, device: str) -> int:
    """The number that the device's EEH PE has now. Raises OSError."""
    try:
        return int(pci_attribute(root, device, "eeh_pe_config_addr"), 16)
    except ValueError:
        raise OSError(errno.ENODEV, "the device is not under EEH") from None


def is_settled(root: str, device: str) -> bool:
    """Whether EEH is done with the device: its PE is neither isolated nor recovering for the kernel."""
    try:
        words = pci_attribute(root, device, "eeh_pe_state").split()
        return len(words) == 2 and not int(words[1], 16) & 3
    except (OSError, ValueError):
        return False


def disks_of(root: str, device: str) -> List[str]:
    """The names of the disks behind a PCI device; of NVMe with several paths the one that is used."""
    top = root + "/sys/block"
    found = []
    for name in listed(top):
        if "/%s/" % device in os.path.realpath("%s/%s" % (top, name)) + "/":
            found.append(re.sub(r"\A(nvme\d+)c\d+(n\d+)\Z", r"\1\2", name))
    return found


def use_of_eeh_pe(root: str, device: str) -> str:
    """Why the system itself needs a device, or another one in the same EEH PE; nothing, when it does not."""
    domain = device.partition(":")[0]
    eeh_pe = eeh_pe_or_none(root, device)
    for other in listed(root + PCI_DEVICES):
        is_same = other == device or (
            eeh_pe is not None and other.startswith(domain + ":") and eeh_pe_or_none(root, other) == eeh_pe
        )
        reason = use_of(root, other) if is_same else ""
        if reason:
            return "%s %s" % (other, reason)
    return ""


def eeh_pe_or_none(root: str, device: str) -> Optional[int]:
    """The number of a device's EEH PE, None for a device that is not under EEH."""
    try:
        return eeh_pe_of(root, device)
    except OSError:
        return None


def use_of(root: str, device: str) -> str:
    """Why the system itself needs this device: a mounted file system, swap, a route, a bridge."""
    for disk in disks_of(root, device):
        reason = use_of_disk(root, disk)
        if reason:
            return reason
    for name in listed("%s%s/%s/net" % (root, PCI_DEVICES, device)):
        reason = use_of_interface(root, name)
        if reason:
            return reason
    return ""


def use_of_disk(root: str, disk: str) -> str:
    """Why the system needs a disk or one of its partitions."""
    top = "%s/sys/class/block" % root
    parts = [disk] + [name for name in listed("%s/%s" % (top, disk)) if name.startswith(disk)]
    numbers = {text_or_nothing("%s/%s/dev" % (top, part)).strip() for part in parts} - {""}
    nodes = {"/dev/" + part for part in parts}
    for table in ("/proc/self/mountinfo", "/proc/1/mountinfo"):
        for line in text_or_nothing(root + table).splitlines():
            words = line.split()
            if len(words) > 4 and (words[2] in numbers or nodes & set(words[6:])):
                return "is mounted on %s" % words[4]
    for line in text_or_nothing(root + "/proc/swaps").splitlines()[1:]:
        if line.split()[:1] and line.split()[0] in nodes:
            return "is swap"
    for part in parts:
        if listed("%s/%s/holders" % (top, part)):
            return "is part of another block device"
    return ""


def use_of_interface(root: str, name: str) -> str:
    """Why the system needs a network interface: anything that is routed through it, so also the client."""
    for line in text_or_nothing(root + "/proc/net/route").splitlines()[1:]:
        if line.split()[:1] == [name]:
            return "has a route through %s" % name
    for line in text_or_nothing(root + "/proc/net/if_inet6").splitlines():
        words = line.split()
        if len(words) == 6 and words[5] == name:
            # What a router's advertisement made, for an interface that is only up, is no use by itself.
            is_given = words[3] != IPV6_SCOPE_LINK and int(words[4], 16) & IFA_F_PERMANENT
            if is_given or words[0] == client_reaches():
                return "has an IPv6 address on %s" % name
    if [
        link for link in listed("%s/sys/class/net/%s" % (root, name)) if link.startswith(("upper_", "master"))
    ]:
        return "serves another interface through %s" % name
    return ""


def client_reaches() -> str:
    """The IPv6 address, in hexadecimal digits, at which the client reaches this host; nothing without one."""
    words = os.environ.get("SSH_CONNECTION", "").split()
    try:
        return binascii.hexlify(socket.inet_pton(socket.AF_INET6, words[2].partition("%")[0])).decode()
    except (IndexError, OSError):
        return ""


def text_or_nothing(path: str) -> str:
    """The text of a file, nothing when it cannot be read."""
    try:
        return read_bounded(path, SEARCH_LIMIT_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""


# ---------------------------------------------------------------------------------------------------------
# What the kernel says: log and trace


class LineSource:
    """A file that gives lines as they come: the kernel's log, or its trace.

    /dev/kmsg gives one record with each read, in the order of its sequence numbers, to each reader its own;
    nothing is taken away from anybody else.
    """

    READS_PER_TURN = 256

    def __init__(self, name: str, path: str) -> None:
        self.name = name
        self.fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        self._rest = bytearray()

    def skip(self) -> None:
        """Leave out what has been said so far."""
        try:
            os.lseek(self.fd, 0, os.SEEK_END)
        except OSError:  # no file that can be positioned: read on
            self.lines()

    def lines(self) -> List[str]:
        """The lines that have come since the last call."""
        found = []  # type: List[str]
        for _ in range(self.READS_PER_TURN if self.fd >= 0 else 0):
            try:
                chunk = os.read(self.fd, CHUNK_BYTES)
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno != errno.EPIPE:
                    self.close()
                continue  # records were overwritten; the next read goes on after the gap
            if not chunk:
                self.close()
                break
            lines = whole_lines(self._rest, chunk)
            # Below a record of the log stand its properties, each after a space.
            found += [text_of(line) for line in lines if self.name != "log" or line[:1] != b" "]
        return found

    def close(self) -> None:
        """Stop watching."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


HCALLS = {
    0x344: ("H_ATTACH_CA_PROCESS", "ATTACH"),
    0x348: ("H_CONTROL_CA_FUNCTION", "CONTROL"),
    0x34C: ("H_DETACH_CA_PROCESS", "DETACH"),
    0x350: ("H_COLLECT_CA_INT_INFO", "COLLECT"),
    0x354: ("H_CONTROL_CA_FAULTS", "CONTROL"),
    0x364: ("H_DOWNLOAD_CA_FACILITY", "DOWNLOAD"),
    0x368: ("H_CONTROL_CA_FACILITY", "CONTROL"),
}
HCALL_OPS = {
    0x348: {
        1: "RESET",
        2: "SUSPEND_PROCESS",
        3: "RESUME_PROCESS",
        4: "READ_ERR_STATE",
        5: "GET_AFU_ERR",
        6: "GET_CONFIG",
        7: "GET_DOWNLOAD_STATE",
        8: "TERMINATE_PROCESS",
        9: "COLLECT_VPD",
        11: "GET_FUNCTION_ERR_INT",
        12: "ACK_FUNCTION_ERR_INT",
        13: "GET_ERROR_LOG",
    },
    0x354: {1: "RESPOND_PSL", 2: "RESPOND_AFU"},
    0x364: {1: "DOWNLOAD", 2: "VALIDATE"},
    0x368: {1: "RESET", 2: "COLLECT_VPD"},
}  # type: Dict[int, Dict[int, str]]


def hcall_text(fields: Dict[str, str]) -> str:
    """The text of a `capi_hcall_entry` line."""
    opcode, op = int(fields["opcode"], 16), int(fields["op"])
    name, default = HCALLS.get(opcode, (hex(opcode), str(op)))
    return "%s unit=%s op=%s" % (name, fields["unit"], HCALL_OPS.get(opcode, {}).get(op, default))


def eeh_state_text(fields: Dict[str, str]) -> str:
    """The text of a `pnv_eeh_get_state` line: frozen unless both kinds of access are active."""
    state = int(fields["state"])
    is_frozen = state >= 0 and state != 2 and state & 0x18 != 0x18
    return "frozen=%d" % is_frozen


def afu_text(fields: Dict[str, str]) -> str:
    """``afu0.0 pe=1``: the AFU's name, which its error interrupt bears, then what else there is."""
    name = re.match(r'"cxl-(afu\d+\.\d+)-err"\Z', fields.pop("name"))
    if name is None:
        raise ValueError("another layout of the driver's structs")
    return " ".join([name.group(1)] + ["%s=%s" % field for field in fields.items()])


HCALL_ARGUMENTS = "opcode={1}:x64 unit={3}:x64 op={4}:u64"
# Not READ_ERR_STATE: every file operation asks for the state, and nobody waits for that.
HCALL_FILTER = "opcode >= 0x344 && opcode <= 0x368 && (opcode != 0x348 || op != 4)"
# Event of the probe: event in the replies, kind, symbol, arguments, filter, text. A number in braces is an
# argument of the function. The offsets are those of the structs in drivers/misc/cxl/cxl.h of Linux 6.1, built
# without lock debugging: cxl_afu.err_irq_name, cxl_context.afu, .pe and .rcu. A name that does not look like
# one shows that they are others, and the line is left in the kernel's words.
AFU_NAME = "name=+0(+40({1})):string"
CONTEXT_NAME = "name=+0(+40(+0({1}))):string pe=+376({1}):s32"
RCU_HEAD_NAME = "name=+0(+40(-416({1}))):string pe=-40({1}):s32"
# Those of struct eeh_pe, .phb and .addr, and of struct pci_controller, .global_number. A return probe does
# not know what the function was called with, so the call is probed, too.
EEH_PE = "phb=+592(+16({1})):s32 pe=+8({1}):s32"
EEH_ASKED = "capi_eeh_asked"
EEH_STATE = "capi_eeh_state"
PROBES = {
    EEH_ASKED: ("pnv_eeh_get_state", "p", "pnv_eeh_get_state", EEH_PE, "", None),
    "capi_phyp": ("capi_hcall_entry", "p", "phypsim_plpar_hcall", HCALL_ARGUMENTS, HCALL_FILTER, hcall_text),
    "capi_phyp9": (
        "capi_hcall_entry",
        "p",
        "phypsim_plpar_hcall9",
        HCALL_ARGUMENTS,
        HCALL_FILTER,
        hcall_text,
    ),
    "capi_hcall": ("capi_hcall_entry", "p", "plpar_hcall", HCALL_ARGUMENTS, HCALL_FILTER, hcall_text),
    "capi_hcall9": ("capi_hcall_entry", "p", "plpar_hcall9", HCALL_ARGUMENTS, HCALL_FILTER, hcall_text),
    "capi_detach_all": ("cxl_context_detach_all", "p", "cxl_context_detach_all", AFU_NAME, "", afu_text),
    "capi_garbage_add": ("garbage_add", "p", "garbage_add", CONTEXT_NAME, "", afu_text),
    "capi_release_irqs": ("afu_release_irqs", "p", "afu_release_irqs", CONTEXT_NAME, "", afu_text),
    "capi_reclaim": ("reclaim_ctx", "p", "reclaim_ctx", RCU_HEAD_NAME, "", afu_text),
    EEH_STATE: (
        "pnv_eeh_get_state",
        "r",
        "pnv_eeh_get_state",
        "state=$retval:s32",
        "",
        eeh_state_text,
    ),
    "capi_handlers": (
        "pci_error_handlers",
        "p",
        "pci_error_handlers",
        AFU_NAME + " event={2}:u32 state={3}:u32",
        "",
        afu_text,
    ),
}  # type: Dict[str, Tuple[str, str, str, str, str, Optional[Callable[[Dict[str, str]], str]]]]


asked = {}  # type: Dict[str, str]  # which EEH PE a task has asked about, in words


def probe_line(line: str) -> str:
    """A line of one of our probes in the protocol's words; nothing for half of one; any other as it is."""
    head, _, said = line.partition(": ")
    event, _, text = said.partition(": ")
    probe = PROBES.get(event)
    if probe is None:
        return line
    text = text.partition(") ")[2]  # after the address of the probe
    if probe[5] is not None:
        # What does not look so on some version of the kernel stays in the kernel's words.
        with contextlib.suppress(KeyError, ValueError):
            text = probe[5](dict(word.split("=", 1) for word in text.split()))
    task = head.partition(" [")[0].strip().rpartition("-")[2]  # by its number: the name may come to be known
    if event == EEH_ASKED:
        asked[task] = eeh_pe_text(text)
        return ""
    if event == EEH_STATE and asked.get(task):
        text = "%s %s" % (asked.pop(task), text)
    return "%s: %s: %s" % (head, probe[0], text)


def eeh_pe_text(text: str) -> str:
    """``PHB#0 PE#1fd``; nothing when it does not look like such numbers, on another kernel."""
    found = re.match(r"phb=(\d{1,5}) pe=(\d{1,5})\Z", text)
    return "PHB#%x PE#%x" % (int(found.group(1)), int(found.group(2))) if found else ""


def traced_at(line: str) -> Optional[float]:
    """The time that a line of the trace bears, in seconds of the monotonic clock."""
    try:
        return float(line.partition(": ")[0].rsplit(None, 1)[1])
    except (IndexError, ValueError):
        return None


class Tracer:
    """An instance of the kernel's trace of our own, with the driver's tracepoints and our dynamic probes."""

    def __init__(self, root: str, kallsyms: str, name: str) -> None:
        self.root = root
        self.instance = os.path.join(root, "instances", name)
        self.group = re.sub(r"\W", "_", name)
        self.kallsyms = kallsyms
        self.probes = []  # type: List[str]

    def start(self) -> Optional[LineSource]:
        """Set it up; None when the host has no trace, or not for us."""
        try:
            if not os.path.isdir(self.instance):
                os.mkdir(self.instance)
            append(os.path.join(self.instance, "trace_clock"), "mono")
            if os.path.exists(os.path.join(self.instance, "events/cxl/enable")):
                append(os.path.join(self.instance, "events/cxl/enable"), "1")
            self._probe()
            return LineSource("trace", os.path.join(self.instance, "trace_pipe"))
        except OSError:
            self.stop()
            return None

    def _probe(self) -> None:
        symbols = self._symbols()
        argument = "%%gpr%d" if os.uname().machine.startswith("ppc") else "$arg%d"
        shift = 2 if argument[0] == "%" else 0  # the first argument is in register 3
        for event, (_, kind, symbol, arguments, filter_text, _) in PROBES.items():
            if symbol not in symbols:
                continue
            where = re.sub(r"\{(\d)\}", lambda found: argument % (int(found.group(1)) + shift), arguments)
            try:
                definition = "%s:%s/%s %s %s" % (kind, self.group, event, symbol, where)
                append(os.path.join(self.root, "kprobe_events"), definition)
                self.probes.append(event)
                folder = os.path.join(self.instance, "events", self.group, event)
                if filter_text:
                    append(os.path.join(folder, "filter"), filter_text)
                append(os.path.join(folder, "enable"), "1")
            except OSError:  # this kernel cannot have that one
                continue

    def _symbols(self) -> Set[str]:
        wanted = {probe[2] for probe in PROBES.values()}
        try:
            with open(self.kallsyms, "rb") as table:  # over 100,000 lines: too many to look at each
                found = re.findall(b" (%s)[\\n\\t]" % "|".join(wanted).encode(), table.read())
        except OSError:
            return set()
        return {symbol.decode() for symbol in found}

    def stop(self) -> None:
        """Remove what was set up. May be called twice, or by another process."""
        for event in self.probes:
            for path, text in (
                (os.path.join(self.instance, "events", self.group, event, "enable"), "0"),
                (os.path.join(self.root, "kprobe_events"), "-:%s/%s" % (self.group, event)),
            ):
                with contextlib.suppress(OSError):
                    append(path, text)
        self.probes = []
        with contextlib.suppress(OSError):
            os.rmdir(self.instance)


def append(path: str, text: str) -> None:
    """Write a line to an existing file, keeping what it has. Raises OSError."""
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode() + b"\n")
    finally:
        os.close(fd)


# ---------------------------------------------------------------------------------------------------------
# At most once


class Journal:
    """A file for each run, made before anything is done. A run that has one is never played again.

    The run's name is on the disk before the case begins; so is the number of each step that can bring the
    host down before it is dispatched. Lines of other steps survive the agent, not a crash of the host.
    """

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.fd = -1

    def begin(self, run: str) -> None:
        """Claim `run`. Raises RefusedError."""
        self.end()
        if not re.match(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}\Z", run):
            raise RefusedError("run %r: allowed are up to 128 letters, digits, dots, dashes" % run[:40])
        self._check_folder()
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        try:
            self.fd = os.open(os.path.join(self.folder, run), flags, 0o600)
        except FileExistsError:
            raise RefusedError("run %s has been played before; nothing is played twice" % run) from None
        self._sync_folder()

    def note(self, step: int, verbs: Iterable[str]) -> None:
        """Write down a step that changes the host, before it acts."""
        changing = [verb for verb in verbs if verb in JOURNALLED]
        if changing:
            os.write(self.fd, ("%d %s\n" % (step, " ".join(changing))).encode())
            if any(verb in SYNCED for verb in changing):
                os.fsync(self.fd)

    def end(self) -> None:
        """The run is over."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def _check_folder(self) -> None:
        try:
            os.makedirs(self.folder, 0o700, exist_ok=True)
            found = os.lstat(self.folder)
        except OSError as error:
            raise RefusedError("the journal's folder cannot be used: %s" % error) from error
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
            raise RefusedError(
                "%s: the journal's folder must be a directory of mode 0700 of our own" % self.folder
            )

    def _sync_folder(self) -> None:
        os.fsync(self.fd)
        fd = os.open(self.folder, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


# ---------------------------------------------------------------------------------------------------------
# The coordinator


class Client:
    """The client at the other end of standard input and output.

    Both are made non-blocking: a client that does not read must not stop the clock of a case. `wait` is the
    only place where the coordinator rests.
    """

    def __init__(self) -> None:
        for fd in (0, 1):
            os.set_blocking(fd, False)
        self._rest = bytearray()
        self._lines = collections.deque()  # type: collections.deque[bytes]
        self._replies = bytearray()
        while True:  # what was read together with the agent's source
            chunk = sys.stdin.buffer.read1(CHUNK_BYTES)  # type: ignore[union-attr]
            if not chunk:
                break
            self._take(chunk)

    def say(self, line: bytes) -> None:
        """Send a line, as soon as the client reads."""
        self._replies += line

    def next_line(self) -> Optional[bytes]:
        """The next whole line from the client, if there is one."""
        return self._lines.popleft() if self._lines else None

    def wait(self, fds: List[int], timeout_s: Optional[float]) -> List[int]:
        """Rest until one of `fds` can be read, and return those. Raises ClientGoneError."""
        self._flush()
        is_behind = len(self._replies) > REPLIES_LIMIT_BYTES
        readable = [] if is_behind else list(fds)
        if len(self._lines) < LINES_AHEAD:  # its leaving must be seen, too
            readable.append(0)
        ready, _, _ = select.select(readable, [1] if self._replies else [], [], timeout_s)
        if 0 in ready:
            ready.remove(0)
            self._read()
        return ready

    def _read(self) -> None:
        try:
            chunk = os.read(0, CHUNK_BYTES)
        except BlockingIOError:
            return
        except OSError:
            raise ClientGoneError from None
        if not chunk:
            raise ClientGoneError
        self._take(chunk)

    def _take(self, chunk: bytes) -> None:
        self._lines.extend(whole_lines(self._rest, chunk))
        if len(self._rest) > LINE_LIMIT_BYTES:
            raise ClientGoneError

    def _flush(self) -> None:
        try:
            while self._replies:
                del self._replies[: os.write(1, self._replies)]
        except BlockingIOError:
            return
        except OSError:
            raise ClientGoneError from None


class Trigger:
    """When a step that waits is released."""

    def __init__(self, when: Json, now: float) -> None:
        self.after_s = when.get("after_ms", 0) / 1000
        self.sees = when.get("sees") or []
        self.missing = when.get("nth", 1)
        self.release_at = None if self.sees else now + self.after_s  # type: Optional[float]
        self.expires_at = now + when.get("within_ms", 20000) / 1000

    def look(self, source: str, line: str, now: float) -> None:
        """Take notice of a line."""
        if self.release_at is None and any(
            source == name and all(text in line for text in texts) for name, texts in self.sees
        ):
            self.missing -= 1
            if self.missing <= 0:
                self.release_at = now + self.after_s


class Step:
    """A step on its way through a lane: the parts that are left, and what holds it back."""

    def __init__(self, parts: List[Json]) -> None:
        self.number = parts[0]["step"]  # type: int
        self.who = parts[0]["who"]  # type: str
        self.parts = collections.deque(parts)
        self.when = next((part["when"] for part in parts if part.get("when")), None)  # type: Optional[Json]
        self.trigger = None  # type: Optional[Trigger]
        self.has_failed = False


class Lane:
    """An actor as the coordinator sees it: its queue, its process, and the part under way."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.steps = collections.deque()  # type: collections.deque[Step]
        self.current = None  # type: Optional[Tuple[Step, Json]]
        self.began_at = 0.0
        self.channel = None  # type: Optional[socket.socket]
        self.rest = bytearray()
        self.fds = []  # type: List[int]
        self.pids = []  # type: List[int]  # the worker, and its last proxy
        self.is_dying = False
        self.is_dead = False

    @property
    def is_alive(self) -> bool:
        """Whether it has a process that takes parts."""
        return bool(self.pids) and not self.is_dying and not self.is_dead

    @property
    def is_idle(self) -> bool:
        """Whether nothing is under way or waits."""
        return self.current is None and not any(step.parts for step in self.steps)

    def signal(self, number: int) -> None:
        """Send a signal to the worker."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pids[0], number)


def has_ended(pid: int) -> bool:
    """Whether a process of ours is gone, or a zombie: all that it had is closed and unmapped.

    The end of a channel would come too early: the kernel closes one file after the other.
    """
    try:
        status = read_bounded("/proc/%d/stat" % pid, 512)
    except OSError:
        return True
    state, _, group = status.rpartition(b")")[2].split()[:3]
    return state in (b"Z", b"X") or int(group) != os.getpgrp()  # else the number is another's by now


class Player:
    """Plays one case."""

    def __init__(
        self, client: Client, sources: List[LineSource], journal: Journal, steps: List[Step]
    ) -> None:
        self.client = client
        self.sources = [source for source in sources if source.fd >= 0]
        self.journal = journal
        self.to_dispatch = collections.deque(steps)
        self.children = {p["args"]["child"] for s in steps for p in s.parts if p["do"] == "fork"}
        self.lanes = {}  # type: Dict[str, Lane]
        self.armed = []  # type: List[Tuple[Step, Trigger, Lane]]  # what triggers still hold back
        self.kills = []  # type: List[Tuple[Lane, Lane]]  # who kills, and whom
        self.interrupted = []  # type: List[str]
        self.performed = 0
        self.pulse_at = 0.0
        self.log_behind = float("inf")  # seconds, of the clock of the kernel's log behind ours
        for source in self.sources:
            source.skip()
        self.origin = time.monotonic()
        for step in steps:
            self._lane(step.who)

    def play(self) -> None:
        """Play to the end. Raises ClientGoneError when the client leaves meanwhile."""
        left = []  # type: List[str]
        try:
            while True:
                self._dispatch()
                if not self.to_dispatch and all(lane.is_idle for lane in self.lanes.values()):
                    break
                self._rest()
        finally:
            left = self._bury_all()
        self._watch()
        got = {"performed": self.performed}  # type: Json
        if left:
            got["unkilled"] = left
        self._reply("end", {"who": "harness"}, "got", got)

    # Lanes

    def _lane(self, name: str) -> Lane:
        if name not in self.lanes:
            lane = self.lanes[name] = Lane(name)
            if name not in self.children:
                pid, channel = start_worker(name, self.origin)
                self._enliven(lane, pid, channel)
        return self.lanes[name]

    def _enliven(self, lane: Lane, pid: int, channel: socket.socket) -> None:
        lane.pids, lane.channel = [pid], channel

    def _dispatch(self) -> None:
        """Hand out steps, as far as the harness does not hold them back, and start what can start."""
        while True:
            while self.to_dispatch and not self._is_held_back():
                step = self.to_dispatch.popleft()
                self.journal.note(step.number, (part["do"] for part in step.parts))
                lane = self.lanes[step.who]
                lane.steps.append(step)
                if step.when:
                    step.trigger = Trigger(step.when, time.monotonic())
                    self.armed.append((step, step.trigger, lane))
                self._advance(lane)
            has_moved = any(self._advance(lane) for lane in list(self.lanes.values()))
            if not has_moved and not self._look_at_barrier():
                return

    def _is_held_back(self) -> bool:
        harness = self.lanes.get("harness")
        return harness is not None and not harness.is_idle

    def _advance(self, lane: Lane) -> bool:
        """Start the next part of a lane, if it can; return whether anything has changed."""
        if lane.current is not None or not lane.steps or lane.is_dying:
            return False
        step = lane.steps[0]
        if not lane.is_alive:
            if not lane.is_dead and self._is_expected(lane.name):
                return False
            self._leave_out(lane)
            return True
        if step.trigger is not None:
            if step.trigger.release_at is None or time.monotonic() < step.trigger.release_at:
                return False
            self._disarm(step)
        if not step.parts:
            lane.steps.popleft()
            return True
        part = step.parts.popleft()
        if not step.has_failed or part.get("always"):
            self._start(lane, step, part)
        return True

    def _disarm(self, step: Step) -> None:
        step.trigger = None
        self.armed = [item for item in self.armed if item[0] is not step]

    def _is_expected(self, child: str, asking: Tuple[str, ...] = ()) -> bool:
        """Whether a fork that will bear this actor has been dispatched and is not yet answered.

        Those who fork may have to be born themselves; `asking` are those whose own birth depends on `child`.
        """
        for lane in self.lanes.values():
            parts = [part for step in lane.steps for part in step.parts]
            parts += [lane.current[1]] if lane.current else []
            if any(part["do"] == "fork" and part["args"]["child"] == child for part in parts):
                is_unborn = not lane.pids and not lane.is_dead and lane.name not in (*asking, child)
                if lane.is_alive or (is_unborn and self._is_expected(lane.name, (*asking, child))):
                    return True
        return False

    def _start(self, lane: Lane, step: Step, part: Json) -> None:
        lane.current = (step, part)
        lane.began_at = time.monotonic()
        self.performed += 1
        if part["do"] == "kill":
            self._reply("invoke", part, "args", part["args"])
            self._kill(lane, part["args"]["actor"])
        elif part["do"] == "stop":
            self._reply("invoke", part, "args", part["args"])
            self._stop(lane, part["args"]["actor"])
        elif lane.name == "harness" and part["do"] in BARRIERS:
            self.interrupted, self.pulse_at = [], 0.0
            self._reply("invoke", part, "args", part["args"])
        elif part["do"] == "fork" and self._lane(part["args"]["child"]).pids:
            self._reply("invoke", part, "args", part["args"])
            self._answer(lane, "fail", {"errno": "EEXIST"})
        elif lane.channel is not None:
            with contextlib.suppress(OSError):  # it dies at this moment: its channel will say so
                lane.channel.sendall(compact(part))

    def _answer(self, lane: Lane, kind: str, got: Json) -> bool:
        """Answer the part under way. True, always: something has changed."""
        assert lane.current is not None
        step, part = lane.current
        step.has_failed = step.has_failed or kind == "fail"
        lane.current = None
        self._reply(kind, part, "got", got)
        return True

    def _reply(self, kind: str, part: Json, key: str, value: Json) -> None:
        line = {"is": kind, "t": int((time.monotonic() - self.origin) * 1e6), "who": part["who"]}
        line.update((name, part[name]) for name in ("step", "part", "do") if name in part)
        line[key] = value
        self.client.say(compact(line))

    # What the workers say

    def _hear(self, lane: Lane) -> None:
        assert lane.channel is not None
        try:
            data, rights, _, _ = lane.channel.recvmsg(CHUNK_BYTES, socket.CMSG_SPACE(struct.calcsize("i")))
        except OSError:
            data, rights = b"", []
        lane.fds += [struct.unpack("i", right[2][: struct.calcsize("i")])[0] for right in rights]
        for line in whole_lines(lane.rest, data):
            self._heard(lane, line[:1], line[1:])
        if not data:
            lane.channel.close()
            lane.channel = None
            lane.is_dying = True

    def _heard(self, lane: Lane, letter: bytes, line: bytes) -> None:
        if letter == b"P":
            lane.pids[1:] = [int(line)]
            return
        self.client.say(line + b"\n")
        if letter == b"I" or lane.current is None:
            return
        step, part = lane.current
        step.has_failed = step.has_failed or letter == b"F"
        lane.current = None
        if part["do"] == "fork" and letter == b"O":
            channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, lane.fds.pop(0))
            self._enliven(self._lane(part["args"]["child"]), json.loads(line.decode())["got"]["pid"], channel)

    # Death

    def _kill(self, killer: Lane, name: str) -> None:
        victim = self.lanes.get(name)
        if victim is None or not victim.is_alive:
            self._answer(killer, "fail", {"errno": "ESRCH"})
            return
        victim.is_dying = True
        victim.signal(signal.SIGKILL)
        self.kills.append((killer, victim))

    def _stop(self, asking: Lane, name: str) -> None:
        lane = self.lanes.get(name)
        if lane is None or not lane.is_alive:
            self._answer(asking, "fail", {"errno": "ESRCH"})
            return
        if lane.current is not None and lane.current[1]["do"] == "traffic":
            lane.signal(signal.SIGUSR2)
        self._answer(asking, "ok", {})

    def _bury(self, lane: Lane) -> None:
        """An actor's processes have all ended: answer for it, and for whoever killed it."""
        lane.is_dead = True
        lane.is_dying = False
        if lane.channel is not None:
            self._hear_out(lane)
        if lane.current is not None and (lane, lane) not in self.kills:
            has_exited = lane.current[1]["do"] == "exit"
            self._answer(lane, "ok" if has_exited else "info", {} if has_exited else {"reason": "killed"})
        for killer, victim in self.kills:
            if victim is lane:
                self._answer(killer, "ok", {})
        self._leave_out(lane)
        # A killer that died has been answered for already.
        self.kills = [(killer, victim) for killer, victim in self.kills if lane not in (killer, victim)]

    def _hear_out(self, lane: Lane) -> None:
        """Take in what a dead worker has said before."""
        while lane.channel is not None:
            self._hear(lane)
        lane.is_dying = False

    def _leave_out(self, lane: Lane) -> None:
        """Nobody is there to perform what the lane holds."""
        for step in lane.steps:
            for part in step.parts:
                self._reply("info", part, "got", {"reason": "actor-gone"})
        lane.steps.clear()
        self.armed = [item for item in self.armed if item[2] is not lane]

    def _bury_all(self) -> List[str]:
        """Kill all actors; return those that would not die in time."""
        alive = [lane for lane in self.lanes.values() if lane.pids and not lane.is_dead]
        for lane in alive:
            lane.signal(signal.SIGKILL)
        deadline = time.monotonic() + BURIAL_S
        left = alive
        while left and time.monotonic() < deadline:
            left = [lane for lane in left if not all(has_ended(pid) for pid in lane.pids)]
            if left:
                time.sleep(BURIAL_POLL_S)
        for lane in alive:
            if lane.channel is not None:
                lane.channel.close()
        reap()
        return [lane.name for lane in left]

    # Time

    def _rest(self) -> None:
        """Wait for the next thing to happen, and take notice of it."""
        sources = {source.fd: source for source in self.sources if source.fd >= 0}
        channels = {lane.channel.fileno(): lane for lane in self.lanes.values() if lane.channel is not None}
        wake_at = self._wake_at()
        timeout_s = None if wake_at is None else max(0.0, wake_at - time.monotonic())
        ready = self.client.wait(list(sources) + list(channels), timeout_s)
        if any(fd in sources for fd in ready):
            self._watch()
        for fd in ready:
            if fd in channels:
                self._hear(channels[fd])
        for lane in list(self.lanes.values()):
            if lane.is_dying and all(has_ended(pid) for pid in lane.pids):
                self._bury(lane)
        self._expire(time.monotonic())

    def _wake_at(self) -> Optional[float]:
        """When something is to be done although nothing happens."""
        times = []  # type: List[float]
        if any(lane.is_dying for lane in self.lanes.values()):
            times.append(time.monotonic() + BURIAL_POLL_S)
        for step, trigger, lane in self.armed:
            if trigger.release_at is None:
                times.append(trigger.expires_at)
            elif lane.is_alive and lane.current is None and step is lane.steps[0]:
                times.append(trigger.release_at)
        barrier = self._barrier()
        if barrier is not None:
            times.append(max(barrier[1], self.pulse_at))
        return min(times) if times else None

    def _watch(self) -> None:
        """Pass on what the kernel has said since, and show it to the triggers."""
        for source in self.sources:
            for said in source.lines():
                now = at = time.monotonic()
                line = probe_line(said) if source.name == "trace" else said
                if not line:
                    continue
                if source.name == "trace":
                    at = traced_at(line) or now
                    if at < self.origin:
                        continue
                else:
                    at = max(self.origin, self._logged_at(line, now))
                record = {"is": source.name, "t": int((at - self.origin) * 1e6), "raw": line}
                self.client.say(compact(record))
                for _, trigger, _ in self.armed:
                    trigger.look(source.name, line, now)

    def _logged_at(self, line: str, now: float) -> float:
        """When a line of the log was said, as well as can be told, which is read some time later.

        It bears the time of another clock. By how much that is behind ours is at most what the quickest of
        the case's lines shows.
        """
        try:
            stamp = int(line.split(",", 3)[2]) / 1e6
        except (IndexError, ValueError):
            return now
        self.log_behind = min(self.log_behind, now - stamp)
        return stamp + self.log_behind

    def _expire(self, now: float) -> None:
        for step, trigger, lane in list(self.armed):
            if trigger.release_at is None and trigger.expires_at <= now:
                self._give_up(lane, step)

    def _give_up(self, lane: Lane, step: Step) -> None:
        self._reply("info", step.parts[0], "got", {"reason": "not-triggered"})
        lane.steps.remove(step)
        self._disarm(step)

    # The harness's own wait and sleep

    def _barrier(self) -> Optional[Tuple[Json, float]]:
        """What holds back the harness, and when it ends at the latest."""
        lane = self.lanes.get("harness")
        if lane is None or lane.current is None or lane.current[1]["do"] not in BARRIERS:
            return None
        args = lane.current[1]["args"]
        return lane.current[1], lane.began_at + args.get("ms", args.get("timeout_ms", 0)) / 1000

    def _look_at_barrier(self) -> bool:
        """Answer the harness's wait or sleep, if its time has come; return whether it was answered."""
        barrier, now = self._barrier(), time.monotonic()
        if barrier is None:
            return False
        part, ends_at = barrier
        if part["do"] == "sleep":
            return now >= ends_at and self._answer(self.lanes["harness"], "ok", {})
        wanted = part["args"]["actors"]
        names = list(self.lanes) if wanted == "all" else [wanted] if isinstance(wanted, str) else wanted
        lanes = [self.lanes[name] for name in names if name != "harness" and name in self.lanes]
        pending = [lane.name for lane in lanes if not lane.is_idle]
        if not pending:
            return self._answer(self.lanes["harness"], "ok", {"interrupted": self.interrupted})
        if now >= ends_at + (INTERRUPT_BUDGET_S if part["args"].get("interrupt") else 0):
            return self._answer(self.lanes["harness"], "fail", {"errno": "ETIMEDOUT", "pending": pending})
        if now >= ends_at and now >= self.pulse_at:
            self.pulse_at = now + PULSE_S
            return self._interrupt(pending, ends_at, now)
        return False

    def _interrupt(self, names: List[str], ends_at: float, now: float) -> bool:
        """Give up triggers of these lanes, and interrupt what is blocked; return whether a step was given up.

        A part that starts only now gets a moment: it may not block at all.
        """
        has_given_up = False
        for name in names:
            lane = self.lanes[name]
            for step in [step for step, _, owner in self.armed if owner is lane]:
                self._give_up(lane, step)
                has_given_up = True
            if lane.current is None or lane.current[1]["do"] == "kill" or not lane.is_alive:
                continue
            if lane.began_at <= ends_at or now - lane.began_at > FRESH_S:
                if name not in self.interrupted:
                    self.interrupted.append(name)
                lane.signal(signal.SIGUSR1)
        return has_given_up


def reap() -> None:
    """Collect children that have ended."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


# ---------------------------------------------------------------------------------------------------------
# A play line, examined before anything is done


def read_play(line: bytes) -> Tuple[str, List[Step]]:
    """The run's name and its steps. Raises RefusedError, with the first problems."""
    try:
        play = json.loads(line.decode("utf-8"))["play"]
        run, entries = play["run"], play["steps"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise RefusedError("no play line: %s" % ascii(error)[:200]) from error
    if not isinstance(run, str) or not isinstance(entries, list):
        raise RefusedError("run must be a text and steps a list")
    problems = []  # type: List[str]
    for index, entry in enumerate(entries):
        problems.extend("steps[%d]: %s" % (index, problem) for problem in part_problems(entry))
        if len(problems) > PROBLEMS_SHOWN:
            raise RefusedError("; ".join(problems[:PROBLEMS_SHOWN]) + "; and more")
    if problems:
        raise RefusedError("; ".join(problems))
    return run, grouped(entries)


def grouped(entries: List[Json]) -> List[Step]:
    """The steps of valid parts. Raises RefusedError."""
    steps = []  # type: List[List[Json]]
    for entry in entries:
        if steps and steps[-1][0]["step"] == entry["step"]:
            if steps[-1][0]["who"] != entry["who"]:
                raise RefusedError("step %d has more than one actor" % entry["step"])
            steps[-1].append(entry)
        else:
            steps.append([entry])
    actors = {entry["who"] for entry in entries}
    if len(actors) > ACTORS_LIMIT:
        raise RefusedError("%d actors; allowed are %d" % (len(actors), ACTORS_LIMIT))
    return [Step(parts) for parts in steps]


def part_problems(entry: Any) -> Iterator[str]:
    """What is wrong with one part."""
    if not isinstance(entry, dict):
        yield "no object"
        return
    needed = {"step": int, "part": int, "who": str, "do": str, "args": dict, "always?": bool, "when?": dict}
    wrong = list(field_problems(entry, needed))
    if wrong:
        yield from wrong
        return
    if entry["do"] not in VERBS:
        yield "do: %s is none of %s" % (ascii(entry["do"])[:60], " ".join(VERBS))
        return
    yield from ("args." + problem for problem in field_problems(entry["args"], VERBS[entry["do"]]))
    when = entry.get("when", {})
    yield from ("when." + problem for problem in field_problems(when, WHEN))
    for pattern in when.get("sees") or []:
        is_pair = isinstance(pattern, list) and len(pattern) == 2 and pattern[0] in ("log", "trace")
        if not is_pair or not all(isinstance(text, str) for text in pattern[1]):
            yield 'when.sees: a pattern is ["log" or "trace", [text, ...]]'


def field_problems(found: Json, fields: Dict[str, Any]) -> Iterator[str]:
    """What is missing, unknown or of a wrong type; a name that ends in ``?`` may be missing."""
    for name, kind in fields.items():
        key = name.rstrip("?")
        if key not in found:
            if key == name:
                yield "%s is missing" % key
            continue
        kinds = kind if isinstance(kind, tuple) else (kind,)
        if type(found[key]) not in kinds:
            yield "%s must be %s" % (key, " or ".join(kind.__name__ for kind in kinds))
        elif kind is int and found[key] < 0:
            yield "%s must not be negative" % key
    for key in found:
        if key not in fields and key + "?" not in fields:
            yield "%s is unknown" % ascii(key)[:60]


# ---------------------------------------------------------------------------------------------------------
# The host


class Paths:
    """Where things are. Tests point elsewhere by environment variables."""

    def __init__(self) -> None:
        self.root = os.environ.get("CAPI_AGENT_ROOT", "")
        self.phyp = self.root + PHYP_CONSOLE
        self.cards = self.root + CARD_CONSOLE
        self.kmsg = os.environ.get("CAPI_AGENT_KMSG", "/dev/kmsg")
        self.tracefs = os.environ.get("CAPI_AGENT_TRACEFS", "") or self._tracefs()
        self.instance = os.environ.get("CAPI_AGENT_INSTANCE", "capi-%d" % os.getpid())
        self.journal = os.environ.get("CAPI_AGENT_JOURNAL", "/var/tmp/capi-agent-%d" % os.getuid())

    def _tracefs(self) -> str:
        here = "/sys/kernel/tracing"
        return here if os.path.exists(here + "/instances") else "/sys/kernel/debug/tracing"


def host_files(root: str) -> Dict[str, str]:
    """What sysfs says of cards and AFUs."""
    found = {}  # type: Dict[str, str]
    top = "/sys/class/cxl"
    for device in listed(root + top):
        if not device.startswith(("card", "afu")):
            continue
        for name in listed("%s%s/%s" % (root, top, device)):
            keep_attribute(found, root, "%s/%s/%s" % (top, device, name))
        link = "%s/%s/device" % (top, device)
        if device.startswith("card") and os.path.islink(root + link):
            found[link] = os.readlink(root + link)
            bdf = os.path.basename(found[link])
            keep_attribute(found, root, "/sys/bus/pci/devices/%s/eeh_pe_config_addr" % bdf)
    for bdf in plain_devices(root):
        for name in ("class", "eeh_pe_config_addr"):
            keep_attribute(found, root, "%s/%s/%s" % (PCI_DEVICES, bdf, name))
        link = "%s/%s/driver" % (PCI_DEVICES, bdf)
        if os.path.islink(root + link):
            found[link] = os.readlink(root + link)
    return found


def plain_devices(root: str) -> List[str]:
    """PCI addresses of devices under EEH that can be kept busy: NVMe and Ethernet."""
    found = []
    for bdf in listed(root + PCI_DEVICES):
        with contextlib.suppress(OSError):
            if pci_attribute(root, bdf, "class")[:6] in ("0x0108", "0x0200"):
                eeh_pe_of(root, bdf)
                found.append(bdf)
    return found


def listed(folder: str) -> List[str]:
    """The names in a folder, if it is there."""
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def keep_attribute(found: Dict[str, str], root: str, path: str) -> None:
    """Add the text of an attribute, if it is one that can be read and is text."""
    with contextlib.suppress(OSError, UnicodeDecodeError):
        if stat.S_ISREG(os.lstat(root + path).st_mode):
            found[path] = read_bounded(root + path, ATTRIBUTE_LIMIT_BYTES).decode("utf-8")


def platform_of(root: str) -> str:
    """``powernv``, ``powervm``, or nothing for other machines."""
    if os.path.isdir(root + "/sys/firmware/opal"):
        return "powernv"
    try:
        is_pseries = b"pSeries" in read_bounded(root + "/proc/cpuinfo", 1 << 20)
    except OSError:
        return ""
    return "powervm" if is_pseries else ""


def hello_line(root: str, features: List[str]) -> bytes:
    """The first line: which host this is."""
    names = os.uname()
    uname = {"nodename": names.nodename, "release": names.release, "machine": names.machine}
    files, platform = host_files(root), platform_of(root)
    hello = {"protocol": PROTOCOL, "uname": uname, "platform": platform, "features": features}
    hello.update(files=files, facts={})
    in_use = {bdf: use_of_eeh_pe(root, bdf) for bdf in plain_devices(root)}
    if any(in_use.values()):
        hello["in_use"] = {bdf: reason for bdf, reason in in_use.items() if reason}
    return compact({"hello": hello})


def has_allocation_traces(root: str) -> bool:
    """Whether the kernel tells who allocated the objects that live: it was started with slub_debug=U."""
    top = root + "/sys/kernel/debug/slab"
    caches = [name for name in listed(top) if name.startswith("kmalloc-")]
    return any(os.access("%s/%s/alloc_traces" % (top, name), os.R_OK) for name in caches)


def start_undertaker(tracer: Tracer) -> int:
    """Fork a process that waits for the coordinator's end, however it ends, and then cleans up after it.

    Returns the descriptor whose closing it waits for; nobody else may hold it.
    """
    waits, tells = os.pipe()
    if os.fork() == 0:
        run_child(_bury_at_end, waits, tracer)
    os.close(waits)
    return tells


def _bury_at_end(waits: int, tracer: Tracer) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    close_all_but([waits])
    while os.read(waits, 1):
        pass
    tracer.stop()
    os.killpg(os.getpgrp(), signal.SIGKILL)


def serve(client: Client, sources: List[LineSource], journal: Journal) -> None:
    """Play case after case until the client leaves: ClientGoneError."""
    while True:
        line = client.next_line()
        if line is None:
            client.wait([], None)
            continue
        try:
            run, steps = read_play(line)
            journal.begin(run)
        except RefusedError as error:
            got = {"error": str(error)[:2000]}
            client.say(compact({"is": "end", "t": 0, "who": "harness", "got": got}))
            continue
        try:
            Player(client, sources, journal, steps).play()
        finally:
            journal.end()


def main() -> None:
    """Say hello, and serve."""
    with contextlib.suppress(OSError):  # already the leader of its group
        os.setsid()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)  # a worker that is being born is not killed by a stop
    paths = Paths()
    tracer = Tracer(paths.tracefs, paths.root + "/proc/kallsyms", paths.instance)
    sources = []  # type: List[LineSource]
    features = []  # type: List[str]
    with contextlib.suppress(OSError):
        sources.append(LineSource("log", paths.kmsg))
        features.append("kernel-log")
    trace = tracer.start()
    if trace is not None:
        sources.append(trace)
        features.append("tracepoints")
    if tracer.probes:
        features.append("kprobes")
    if os.path.exists(paths.phyp):
        features += ["phyp-console", "hold-points", "facility-removal"]
    if os.path.exists(paths.cards):
        features += ["hardware-console", "command-answers", "psl-interrupts"]
    if os.access(paths.root + "/sys/kernel/debug/powerpc", os.R_OK | os.X_OK):
        features.append("debugfs")
    if has_allocation_traces(paths.root):
        features.append("allocation-traces")
    start_undertaker(tracer)
    client = Client()
    client.say(hello_line(paths.root, features))
    with contextlib.suppress(ClientGoneError):
        serve(client, sources, Journal(paths.journal))


if __name__ == "__main__":
    main()
