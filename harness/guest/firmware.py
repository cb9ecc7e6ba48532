"""The thread that answers the calls of one guest: PHYP, or cards, behind its Mailbox."""

from __future__ import annotations

import copy
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol, Self

from harness.guest.afu import SharedMemory
from harness.guest.chassis import CARD_NAMES, Chassis, Phb
from harness.guest.doorbell import DoorbellMailbox
from harness.guest.gate import GatedMailbox
from harness.guest.mailbox import Call, Mailbox, Reply
from harness.guest.partition import CARDS, Partition
from harness.guest.psl import CardMemory

_DURATIONS_KEPT = 100_000


class State(Protocol):
    """All that answers depend on."""

    def answer(self, call: Call) -> Reply:
        """What the guest is answered."""
        ...

    @property
    def facts(self) -> dict[str, dict[str, object]]:
        """What files of the guest do not tell of the AFUs, by name."""
        ...


class Memory(Protocol):
    """Memory that is shared with the guest."""

    def close(self) -> None:
        """Let go of it."""
        ...


class Firmware:
    """The thread that answers the calls of one guest. Its files lie in a directory of the guest's."""

    @classmethod
    def of_partition(cls, directory: Path) -> Self:
        """PHYP below a PowerVM guest: ``mailbox.mem``, ``afu0.mem`` and so on. Raises OSError."""
        names = [name for card in CARDS for name in card]
        memories = tuple(SharedMemory(directory / f"afu{index}.mem") for index in range(len(names)))
        return cls(GatedMailbox(directory), Partition(memories), memories)

    @classmethod
    def of_cards(
        cls,
        directory: Path,
        place: str,
        phbs: Sequence[Phb],
        bridges: Mapping[int, Phb],
        *,
        mends_cdev: bool = False,
    ) -> Self:
        """The cards of a bare-metal guest: ``mailbox.mem``, ``card0.mem`` and ``card1.mem``. Raises OSError.

        `place` says where QEMU plugs the mailbox in, and `phbs` are above the cards, in their order;
        `bridges` are those above other devices, by their PCI domain. For `mends_cdev` see Chassis.
        """
        memories = tuple(CardMemory(directory / f"card{index}.mem") for index in range(len(CARD_NAMES)))
        mailbox = DoorbellMailbox(directory, place)
        chassis = Chassis(memories, mailbox.memory, phbs, bridges, mends_cdev=mends_cdev)
        firmware = cls(mailbox, chassis, memories)
        chassis.guard = firmware.undisturbed
        firmware._forget = chassis.forget
        return firmware

    def __init__(self, mailbox: Mailbox, state: State, memories: Sequence[Memory]) -> None:
        self._memories = memories
        self._mailbox = mailbox
        self._state = state
        self._forget: Callable[[], None] = _nothing
        self._answering = threading.Lock()  # a QEMU can be killed inside a call, and another come
        self._thread = threading.Thread(target=self._serve, name="firmware", daemon=True)
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

    @property
    def facts(self) -> dict[str, dict[str, object]]:
        """What files of the guest do not tell of the AFUs, by name."""
        return self._state.facts

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

    def freeze(self) -> State:
        """A copy of all that answers depend on; the guest must stand still."""
        return copy.deepcopy(self._state)

    def adopted(self, state: State, others: Firmware) -> State:
        """A copy of a state that `others` froze, with our memories in the place of theirs."""
        ours = {id(their): our for their, our in zip(others._memories, self._memories, strict=True)}
        return copy.deepcopy(state, ours)

    def thaw(self, state: State) -> None:
        """Go back to `state`, which stays as it is; the guest must stand still."""
        with self._answering:
            self._state = copy.deepcopy(state)
            self._mailbox.reset()

    def wait_standing(self, timeout_s: float) -> bool:
        """Whether the guest has asked to stand still, and now does, within `timeout_s`."""
        return self._is_standing.wait(timeout_s)

    def go_on(self) -> None:
        """Let a guest that stands still go on. Never raises."""
        self._may_go_on.set()

    def undisturbed(self, act: Callable[[], None]) -> None:
        """Perform `act` while no call is being answered."""
        with self._answering:
            act()

    def forget(self) -> None:
        """Another case begins in the same boot: forget what must not be seen of the last one."""
        self.undisturbed(self._forget)

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
                        reply = self._state.answer(call)
                        if reply.stands_still:
                            self._is_standing.set()
                            self._may_go_on.wait()
                        self._mailbox.answer(call, reply)
                if not (call and reply.stands_still):
                    self.durations_us.append((time.perf_counter_ns() - began) // 1000)
        except Exception as error:  # noqa: BLE001 a defect here costs the guest: its host says so
            self.fault = error


def _nothing() -> None:
    """PHYP forgets by going back to a snapshot."""
