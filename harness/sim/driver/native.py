"""The reference driver above EEH: process element commands, and the callbacks of the kernel's error recovery.

The rules (drivers/misc/cxl/native.c and pci.c; the order is the disclosure's):
1. A process element command that the device does not complete within COMMAND_TIMEOUT_US has timed out; the
   driver then lets EEH read the state of the device, and does not guess.
   One that the PSL refuses has failed. An attach fails then, and leaves no trace; a detach tries again while
   the card is there, because what the PSL keeps would act for a context that is gone.
2. An error interrupt that reads all Fs is a suspicion, confirmed in the same way.
3. error_detected quiesces. With perst_reloads_same_image unset the image may change over a reset, so the
   driver opts out and is removed and probed anew; else it keeps its card and is told slot_reset and resume.
"""

from __future__ import annotations

from collections.abc import Sequence

from harness.sim.card import FAIL, HANG
from harness.sim.driver.context import Context, DriverAfu, DriverCard
from harness.sim.driver.fileops import FileOperations
from harness.sim.eeh import EehCore
from harness.sim.machine import Machine, SystemCallError
from harness.sim.scheduler import Flow

COMMAND_TIMEOUT_US = 5_000_000
COMMAND_POLL_US = 250_000
COMMAND_US = 20
"""How long the PSL takes for a process element command."""
DETACH_TRIES = 5
_REFUSED, _LOST, _LATE = -1, -5, -16  # what a command gives: as Linux' do_process_element_cmd

_MODE_WORDS = {"afu_directed": "AFU directed", "dedicated_process": "dedicated process"}


class NativeDriver(FileOperations):
    """The cxl driver on bare metal."""

    def __init__(self, machine: Machine, cards: Sequence[DriverCard], eeh: EehCore) -> None:
        super().__init__(machine, cards)
        self.eeh = eeh
        for card in cards:
            self._connect_card(card)
            for afu in card.afus:
                self.connect(afu)

    def _connect_card(self, card: DriverCard) -> None:
        line = self.machine.request_irq(f"cxl-{card.name}-err", lambda: self.error_interrupt(card))
        card.hardware.on_error = lambda: self.machine.raise_irq(line)

    # What file operations ask for ------------------------------------------------------------------------

    def link_ok(self, afu: DriverAfu) -> Flow:
        """Whether the PCI channel is online, as far as EEH has said."""
        yield "link-ok"
        return afu.card.is_present and afu.card.is_channel_ok

    def attach_process(self, context: Context, wed: int) -> Flow:
        """Add the process element to the scheduled process area and tell the PSL."""
        rc = yield from self.command(context, "add")
        if rc:
            raise SystemCallError("EBUSY" if rc == _LATE else "EIO")
        context.afu.hardware.attach(context.number, wed)

    def detach_process(self, context: Context) -> Flow:
        """Terminate and remove the process element. One that the PSL refuses to the end stays there."""
        rc = 0
        for word in ("terminate", "remove"):
            rc = yield from self.insist(context, word)
            if rc:
                break
        if rc in (0, _LOST) or self.is_lost(context.afu.card):
            context.afu.hardware.detach(context.number)

    def insist(self, context: Context, word: str) -> Flow:
        """A process element command, again while it fails although the card is there."""
        rc = 0
        for _ in range(DETACH_TRIES):
            rc = yield from self.command(context, word)
            if rc in (0, _LOST) or self.is_lost(context.afu.card):
                break
        return rc

    def is_lost(self, card: DriverCard) -> bool:
        """Whether EEH knows that the card is frozen."""
        return self.eeh.eeh_pes[card.name].is_isolated

    def command(self, context: Context, word: str) -> Flow:
        """One process element command: 0, or negative when it fails, the link is down or time is over."""
        machine, card = self.machine, context.afu.card
        deadline_us = machine.now_us + COMMAND_TIMEOUT_US
        rc = 0
        yield COMMAND_US
        answer = context.afu.hardware.take_answer(word)
        if answer == FAIL:
            machine.log(3, "cxl: Error adding process element to AFU")  # whatever the command was
            return _REFUSED
        while answer == HANG or context.afu.hardware.is_hung or card.hardware.is_frozen:
            if not (card.is_channel_ok and card.is_present):
                text = "WARNING: Device link down, aborting Process Element Command!"
                machine.log(4, f"cxl {context.afu.name}: {text}")
                rc = _LOST
                break
            if machine.now_us >= deadline_us:
                machine.log(4, f"cxl {context.afu.name}: WARNING: Process Element Command timed out!")
                yield from self.eeh.check(card)
                rc = _LATE
                break
            yield COMMAND_POLL_US
        return rc

    def error_interrupt(self, card: DriverCard) -> Flow:
        """The error interrupt of the card itself: say it; or all Fs, which means that the card is lost."""
        if card.hardware.is_frozen:
            self.machine.spawn(self.eeh.check(card))
            return
        self.machine.log(2, f"cxl {card.name}: PSL_ErrIVTE: 0x{card.hardware.index:016x}")
        self.machine.log(2, f"cxl {card.name}: PSL_FIR: 0x0000000000000000")
        yield "card-error-irq"

    def slice_interrupt(self, afu: DriverAfu) -> Flow:
        """A slice error: say it; or all Fs, which means that the card is lost."""
        if afu.card.hardware.is_frozen:
            self.machine.log(4, f"cxl {afu.name}: Ignoring slice interrupt(0) due to fenced card")
            self.machine.spawn(self.eeh.check(afu.card))
            return
        self.machine.log(2, f"cxl {afu.name}: PSL Slice error received. Check AFU for root cause.")
        self.machine.log(2, f"cxl {afu.name}: PSL_SERR_An: 0x0000000000800000")
        yield "slice-irq"

    # What EEH asks for -----------------------------------------------------------------------------------

    def error_detected(self, card: DriverCard) -> Flow:
        """Quiesce, and say whether a reset in place will do: ``need reset`` or ``none``."""
        yield from self.quiesce(card.afus)
        self.lock(card)
        for afu in card.afus:
            if afu.mode in _MODE_WORDS:
                self.machine.log(6, f"cxl {afu.name}: Deactivating {_MODE_WORDS[afu.mode]} mode")
            afu.mode = "none"
        if card.perst_reloads_same_image:
            return "need reset"
        self.machine.log(6, f"cxl-pci {card.hardware.bdf}: reflashing, so opting out of EEH!")
        return "none"

    def lock(self, card: DriverCard) -> None:
        """Let nobody attach until the card is configured again."""
        card.is_locked = True

    def slot_reset(self, card: DriverCard) -> Flow:
        """Configure the card after a reset in place: ``recovered``, or ``disconnect`` if lost again."""
        yield "configure-card"
        if card.hardware.is_frozen:
            return "disconnect"
        yield from self.configure(card)
        return "recovered"

    def configure(self, card: DriverCard) -> Flow:
        """Make all AFUs of the card usable in their best mode."""
        for afu in card.afus:
            yield "configure-afu"
            afu.mode = afu.modes[0]
            self.machine.log(6, f"cxl {afu.name}: Activating {_MODE_WORDS[afu.mode]} mode")
        card.is_locked = False

    def remove(self, card: DriverCard) -> Flow:
        """The driver is unbound: no node and no context is left behind."""
        if card.is_present:
            card.is_present = False
            if not all(afu.is_quiesced for afu in card.afus):
                yield from self.quiesce(card.afus)
            for afu in card.afus:
                afu.mode = "none"
                if not card.hardware.is_frozen:
                    afu.hardware.reset()

    def probe(self, card: DriverCard) -> Flow:
        """The driver is bound: the card and its AFUs are new objects, with contexts of their own."""
        yield "probe"
        if card.hardware.is_frozen or card.is_present:
            return card.is_present
        for afu in card.afus:
            afu.contexts = {}
            afu.generation += 1
        card.is_present = True
        yield from self.configure(card)
        self.resume(card.afus)
        return True

    # What the administrator asks for ---------------------------------------------------------------------

    def reset_card(self, card: DriverCard, is_forced: bool) -> Flow:
        """PERST. The card vanishes and EEH finds out later, when somebody looks."""
        yield "reset-card"
        if card.perst_reloads_same_image:
            text = "cxl: refusing to reset/reflash when perst_reloads_same_image is set."
            self.machine.log(3, f"{text}")
            raise SystemCallError("EINVAL")
        if not is_forced:
            if card.contexts_num or card.is_locked:
                raise SystemCallError("EBUSY")
            self.lock(card)
        self.machine.log(6, f"cxl-pci {card.hardware.bdf}: CXL reset")
        card.hardware.freeze(is_link_down=True)

    def reset_afu(self, afu: DriverAfu) -> Flow:
        """Reset one AFU that nobody uses."""
        yield "reset-afu"
        if afu.contexts:
            raise SystemCallError("EBUSY")
        if not (yield from self.link_ok(afu)) or afu.is_quiesced:
            raise SystemCallError("EIO")
        if not afu.card.hardware.is_frozen:
            afu.hardware.reset()
