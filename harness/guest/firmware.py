"""The thread that answers the calls of one guest: its Partition behind its Mailbox."""

from __future__ import annotations

import copy
import threading
import time
from collections import deque
from pathlib import Path

from harness.guest.afu import SharedMemory
from harness.guest.mailbox import Mailbox
from harness.guest.partition import CARDS, Partition

_DURATIONS_KEPT = 100_000


class Firmware:
    """The thread that answers the calls of one guest. Its files lie in the guest's `directory`."""

    def __init__(self, directory: Path) -> None:
        """Open ``mailbox.mem``, ``afu0.mem`` and so on. Raises OSError."""
        names = [name for card in CARDS for name in card]
        self._memories = tuple(SharedMemory(directory / f"afu{index}.mem") for index in range(len(names)))
        self._mailbox = Mailbox(directory)
        self._partition = Partition(self._memories)
        self._answering = threading.Lock()  # a QEMU can be killed inside a call, and another come
        self._thread = threading.Thread(target=self._serve, name="phyp", daemon=True)
        self._is_standing, self._may_go_on = threading.Event(), threading.Event()
        self.durations_us: deque[int] = deque(maxlen=_DURATIONS_KEPT)
        self.fault: BaseException | None = None

    @property
    def descriptors(self) -> tuple[int, ...]:
        """What QEMU's process must inherit: see Mailbox."""
        return self._mailbox.descriptors

    @property
    def arguments(self) -> list[str]:
        """Words of QEMU's command line: see Mailbox."""
        return self._mailbox.arguments

    @property
    def is_idle(self) -> bool:
        """Whether the guest, which stands still, is in no call: only then a snapshot makes sense."""
        return self._mailbox.is_idle

    def start(self) -> None:
        """Begin to answer, or go on with another QEMU, that takes the place of one that has ended.

        QEMU's monitor must have answered, and the guest must not have called yet.
        """
        self.go_on()
        with self._answering:  # the guest before this one may have ended while it stood still
            self._is_standing.clear()
            self._may_go_on.clear()
        self._mailbox.settle()
        if not self._thread.is_alive():
            self._thread.start()

    def freeze(self) -> Partition:
        """A copy of all that PHYP knows; the guest must stand still."""
        return copy.deepcopy(self._partition)

    def thaw(self, state: Partition) -> None:
        """Go back to `state`, ours or another's, which stays as it is; the guest must stand still."""
        with self._answering:
            self._partition = copy.deepcopy(state)
            for afu, memory in zip(self._partition.afus, self._memories, strict=True):
                afu.memory = memory
            self._mailbox.reset()

    def wait_standing(self, timeout_s: float) -> bool:
        """Whether the guest has asked to stand still, and now does, within `timeout_s`."""
        return self._is_standing.wait(timeout_s)

    def go_on(self) -> None:
        """Let a guest that stands still go on. Never raises."""
        self._may_go_on.set()

    def stop(self) -> None:
        """End the thread and let go of the files. Never raises."""
        self._mailbox.stop()
        self.go_on()
        if self._thread.is_alive():
            self._thread.join()
        self._mailbox.close()
        for memory in self._memories:
            memory.close()

    def _serve(self) -> None:
        try:
            while self._mailbox.wait():
                began = time.perf_counter_ns()
                with self._answering:
                    call = self._mailbox.take()
                    if call is not None:
                        reply = self._partition.answer(call)
                        if reply.stands_still:
                            self._is_standing.set()
                            self._may_go_on.wait()
                        self._mailbox.answer(call, reply)
                if not (call and reply.stands_still):
                    self.durations_us.append((time.perf_counter_ns() - began) // 1000)
        except Exception as error:  # noqa: BLE001 a defect here costs the guest: its host says so
            self.fault = error
