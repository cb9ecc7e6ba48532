"""The keeper of one QEMU: a small process between the harness and QEMU that leaves nothing behind.

    python3 -I -S keeper.py DIRECTORY COMMAND…

Its standard input is a pipe from the harness. When that ends without a word, the harness is gone, killed
perhaps: QEMU is killed and DIRECTORY removed. When the harness says KEEP_FILES first, only QEMU is killed.
When the keeper itself is killed, so is QEMU, by the kernel: a death signal asks for the parent's thread, and
the harness has many, but the keeper has one.
"""

from __future__ import annotations

import ctypes
import os
import select
import shutil
import signal
import sys

KEEP_FILES = b"keep\n"
"""What the harness says when the directory is to stay."""

_PR_SET_PDEATHSIG = 1


def main(directory: str, command: list[str]) -> int:
    """Run `command` until it ends or the harness says so; gives its exit status."""
    keeper = os.getpid()
    pid = os.fork()
    if pid == 0:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() == keeper:
            _become(command)
        os._exit(127)
    _let_go()
    child = os.pidfd_open(pid)
    ready, _, _ = select.select([0, child], [], [])
    is_abandoned = 0 in ready and not os.read(0, 1)
    if child not in ready:
        os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    if is_abandoned:
        shutil.rmtree(directory, ignore_errors=True)
    return os.waitstatus_to_exitcode(status) & 0xFF


def _become(command: list[str]) -> None:
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    try:
        os.execvp(command[0], command)
    except OSError as error:
        print(f"{command[0]}: {error.strerror}", file=sys.stderr, flush=True)


def _let_go() -> None:
    """Close QEMU's descriptors, so that the harness sees their end when QEMU does."""
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
