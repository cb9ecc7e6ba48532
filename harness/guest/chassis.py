"""The cards of a bare-metal guest, and what they answer: `harness.sim.card` behind the mailbox of `capicard`.

What is decided here, beyond the card's own model, is what PHB, EEH and the service processor do to a card:
freezes and their end, resets, faults on demand. A PHB can freeze by itself, too (`Phb`), when nobody has
called: so there is one lock, the `guard`, for calls and for that.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Mapping, Sequence
from mmap import mmap
from typing import Any, Protocol

from harness.guest.mailbox import Action, Call, Do, Kind, Reply
from harness.guest.psl import DEDICATED, DIRECTED, SLICES_MAX, CardMemory, Psl
from harness.guest.slice import NativeAfu, SlicePlan
from harness.guest.vsec import ConfigSpace
from harness.sim.card import CardHardware

_SLICES = (
    (SlicePlan("afu0.0", DIRECTED, 3), SlicePlan("afu0.1", DIRECTED | DEDICATED, 3)),
    (SlicePlan("afu1.0", DEDICATED, 1),),
)
"""The AFUs of each card: the same as the simulator's."""
CARD_NAMES = tuple(f"card{index}" for index in range(len(_SLICES)))

_WISHES, _MEND_CDEV = 0x17_F000, 1
_STATE, _STATE_BYTES = 0x18_0000, 0x1000  # in the mailbox's memory: capicard/capicard.h
_FLAG = struct.Struct("<I")
_SPA_BYTES = 16 * 128
_FUNDAMENTAL = 3
_THAW_MMIO, _THAW_DMA = 1, 2
_LINK_LOST_US = 2_000_000  # firmware is busy with the reset until then
_FLUSH, _FLUSH_STATUS, _FLUSHED = 1 << 32, 3 << 34, 3 << 34
_EINVAL, _EOPNOTSUPP = -22, -95


class Phb(Protocol):
    """The host bridge above a card. It may freeze and thaw the card's PE by itself, and says so."""

    on_freeze: Callable[[], None]
    on_thaw: Callable[[], None]

    @property
    def is_frozen(self) -> bool:
        """Whether nothing gets through."""
        ...

    def freeze(self) -> None:
        """Freeze the PE: loads give all Fs, stores are dropped, EEH can find out."""
        ...

    def hold(self, pe: int) -> None:
        """Freeze PE `pe` because the kernel wants it, which is no error."""
        ...

    def fence(self) -> None:
        """Freeze all that is below the bridge."""
        ...

    def let_through(self, pe: int, *, is_mmio: bool, is_dma: bool) -> None:
        """Let accesses, DMA or both through again to the device if it is in `pe`: firmware is about to."""
        ...


_NO_BRIDGES: Mapping[int, Phb] = {}


class NativeCard(CardHardware):
    """One card: its memory, its configuration space, its AFUs. `tell` takes what the module has to do."""

    def __init__(self, index: int, memory: CardMemory, mailbox: mmap, phb: Phb) -> None:
        super().__init__(CARD_NAMES[index], index, ())
        self.memory = memory
        self.config = ConfigSpace(mailbox, index, len(_SLICES[index]))
        self.phb = phb
        self.tell: Callable[[Action], None] = _nobody
        self._mailbox = mailbox
        first = sum(len(slices) for slices in _SLICES[:index])
        self.slices = tuple(
            NativeAfu(plan, self, first + number, number, memory)
            for number, plan in enumerate(_SLICES[index])
        )
        self.afus = self.slices

    def freeze(self, *, is_fenced: bool = False, is_link_down: bool = False) -> None:
        """Isolate the card, and let the bridge know: nothing below it can be reached."""
        if not self.is_frozen:
            if is_fenced:
                self.phb.fence()
            else:
                self.phb.freeze()
        self.isolated(is_fenced=is_fenced, is_link_down=is_link_down)

    def hold(self, pe: int) -> None:
        """Isolate the card for the kernel."""
        self.phb.hold(pe)
        self.isolated()

    def isolated(self, *, is_fenced: bool = False, is_link_down: bool = False) -> None:
        """The bridge lets nothing through any more."""
        super().freeze(is_fenced=is_fenced, is_link_down=is_link_down)
        self._say_isolated()

    def thaw(self) -> None:
        """The bridge lets through again."""
        super().thaw()
        self._say_isolated()

    def look_at_bridge(self) -> None:
        """The bridge has thawed; by now it may have frozen again."""
        if self.is_frozen and not self.phb.is_frozen:
            self.thaw()

    def lose_link(self) -> None:
        """The bridge finds the link down, and fences itself."""
        self.phb.fence()
        self.isolated(is_fenced=True, is_link_down=True)

    def reset_by(self, kind: int, *, is_recovering: bool = False) -> None:
        """A reset: registers, process elements and AFUs are as new. It does not end the isolation.

        EEH recovers with a hot reset, but the driver takes it for one that loads an image; so it does here.
        """
        self.config.reset(is_fundamental=kind == _FUNDAMENTAL or is_recovering)
        self.memory.clear()
        for afu in self.slices:
            afu.power_on()
        self.armed = ""
        self.is_link_down = False

    def step(self, text: bytes) -> None:
        """Take notice of what was stored to the card's registers."""
        control = self.memory.load(Psl.CONTROL)
        wanted = control & ~_FLUSH_STATUS | (_FLUSHED if control & _FLUSH else 0)
        if wanted != control:
            self.memory.store(Psl.CONTROL, wanted)
        for afu in self.slices:
            afu.step(text[afu.number * _SPA_BYTES : (afu.number + 1) * _SPA_BYTES])

    def _say_isolated(self) -> None:
        _FLAG.pack_into(self._mailbox, _STATE + self.index * _STATE_BYTES, self.is_frozen)
        self.tell(Action(Do.ISOLATE if self.is_frozen else Do.EXPOSE, self.index))


class Chassis:
    """The cards of one guest, below their PHBs. Its clock is the guest's, told with each call."""

    def __init__(
        self,
        memories: Sequence[CardMemory],
        mailbox: mmap,
        phbs: Sequence[Phb],
        bridges: Mapping[int, Phb] = _NO_BRIDGES,
        *,
        mends_cdev: bool = False,
    ) -> None:
        """`phbs` are above the cards, in their order; `bridges` above other devices, by their domain.

        `mends_cdev`: spare the driver the defect that capicard/cdev.c tells of.
        """
        _FLAG.pack_into(mailbox, _WISHES, _MEND_CDEV if mends_cdev else 0)
        self._bridges = bridges
        self.guard: Callable[[Callable[[], None]], None] = _at_once
        self._actions: list[Action] | None = None
        self._fences: dict[NativeCard, int] = {}  # when the loss of its link is noticed
        self.cards = tuple(
            NativeCard(index, memory, mailbox, phb)
            for index, (memory, phb) in enumerate(zip(memories, phbs, strict=True))
        )
        for card, phb in zip(self.cards, phbs, strict=True):
            card.tell = self._tell
            for afu in card.slices:
                afu.tell = self._tell
            self._listen(card, phb)

    def answer(self, call: Call) -> Reply:
        """What the cards answer."""
        self._actions = []
        try:
            reply = _ANSWERS[call.kind](self, call) if call.kind in _ANSWERS else Reply(_EINVAL)
            reply.timer_us = self._pass_time(call.time_us)
            reply.actions = [*self._actions, *reply.actions]
        finally:
            self._actions = None
        return reply

    def forget(self) -> None:
        """Another case begins, on cards that have come through one."""
        for card in self.cards:
            for afu in card.slices:
                afu.forget_stores()

    @property
    def facts(self) -> dict[str, dict[str, object]]:
        """What files of the guest do not tell of the AFUs, by name."""
        return {
            plan.name: {
                "contexts_max": plan.processes_max,
                "test_registers": True,
                # A dedicated process owns the area that masters map.
                "master_registers": False,
            }
            for slices in _SLICES
            for plan in slices
        }

    def _listen(self, card: NativeCard, phb: Phb) -> None:
        phb.on_freeze = lambda: self.guard(card.isolated)
        phb.on_thaw = lambda: self.guard(card.look_at_bridge)

    def _tell(self, action: Action) -> None:
        """Let the module do `action`. When nobody has called, the bridge has done it, or it is lost."""
        if self._actions is not None:
            self._actions.append(action)

    def _card(self, call: Call) -> NativeCard:
        return self.cards[call.opcode]

    def _hello(self, _call: Call) -> Reply:
        for card in self.cards:
            card.reset_by(_FUNDAMENTAL)
        return Reply()

    def _registers(self, call: Call) -> Reply:
        if not self._card(call).is_frozen:
            self._card(call).step(call.text.ljust(SLICES_MAX * _SPA_BYTES, b"\0"))
        return Reply()

    def _reset(self, call: Call) -> Reply:
        """A reset that is no part of a recovery takes the link away, which the bridge finds out."""
        card, (kind, is_recovering) = self._card(call), call.args[:2]
        card.reset_by(kind, is_recovering=bool(is_recovering))
        if kind == _FUNDAMENTAL and not is_recovering:
            self._fences[card] = call.time_us + _LINK_LOST_US
        return Reply()

    def _thaw(self, call: Call) -> Reply:
        card = self._card(call)
        if card.is_frozen and call.args[1] & _THAW_MMIO:
            card.thaw()
        return Reply()

    def _thaw_bridge(self, call: Call) -> Reply:
        """The PE of a device that is no card; the bridge that carries the agent never freezes."""
        if bridge := self._bridges.get(call.opcode):
            pe, what = call.args[:2]
            bridge.let_through(pe, is_mmio=bool(what & _THAW_MMIO), is_dma=bool(what & _THAW_DMA))
        return Reply()

    def _freeze(self, call: Call) -> Reply:
        """The kernel freezes the PE itself, as before a reset; that is no error."""
        self._card(call).hold(call.args[0])
        return Reply()

    def _timer(self, _call: Call) -> Reply:
        return Reply()

    def _pass_time(self, now_us: int) -> int:
        """Fence what is due; gives when the next is, negative for never."""
        for card, due_us in tuple(self._fences.items()):
            if due_us <= now_us:
                del self._fences[card]
                card.lose_link()
        return min(self._fences.values(), default=-1)

    # The service processor's door ------------------------------------------------------------------------

    def _console(self, call: Call) -> Reply:
        try:
            order = json.loads(call.text)
            fault = _FAULTS.get(order["what"])
            if fault is None:
                return Reply(_EOPNOTSUPP)
            fault(self, order.get("with", {}))
        except (ValueError, KeyError, TypeError, AttributeError):
            return Reply(_EINVAL)
        return Reply()

    def _card_named(self, details: Mapping[str, Any]) -> NativeCard:
        return {card.name: card for card in self.cards}[details["card"]]

    def _afu_named(self, details: Mapping[str, Any]) -> NativeAfu:
        return {afu.name: afu for card in self.cards for afu in card.slices}[details["afu"]]

    def _freeze_device(self, details: Mapping[str, Any]) -> None:
        """Freeze a device that is no card, by its PCI address."""
        self._bridges[int(details["device"].partition(":")[0], 16)].freeze()

    def _freeze_card(self, details: Mapping[str, Any]) -> None:
        self._card_named(details).freeze()

    def _link_down(self, details: Mapping[str, Any]) -> None:
        self._card_named(details).freeze(is_link_down=True)

    def _fence(self, details: Mapping[str, Any]) -> None:
        self._card_named(details).freeze(is_fenced=True)

    def _psl_error(self, details: Mapping[str, Any]) -> None:
        afu = self._afu_named(details)
        afu.on_slice_error()
        afu.card.freeze()

    def _psl_interrupt(self, details: Mapping[str, Any]) -> None:
        card = self._card_named(details)
        if ivte := card.memory.load(Psl.ERR_IVTE) & 0xFFFF:  # zero between a reset and the driver
            self._tell(Action(Do.RAISE, card.index, ivte))

    def _slice_error(self, details: Mapping[str, Any]) -> None:
        self._afu_named(details).on_slice_error()

    def _hang(self, details: Mapping[str, Any]) -> None:
        self._afu_named(details).is_hung = True

    def _answer_command(self, details: Mapping[str, Any]) -> None:
        times = int(details.get("times", 1))
        self._afu_named(details).answer(details["command"], details["answer"], times)


def _nobody(_: Action) -> None:
    """Before anybody listens."""


def _at_once(act: Callable[[], None]) -> None:
    act()


_ANSWERS: Mapping[Kind, Callable[[Chassis, Call], Reply]] = {
    Kind.HELLO: Chassis._hello,
    Kind.CONSOLE: Chassis._console,
    Kind.TIMER: Chassis._timer,
    Kind.REGISTERS: Chassis._registers,
    Kind.RESET: Chassis._reset,
    Kind.THAW: Chassis._thaw,
    Kind.FREEZE: Chassis._freeze,
    Kind.THAW_PHB: Chassis._thaw_bridge,
}
_FAULTS: Mapping[str, Callable[[Chassis, Mapping[str, Any]], None]] = {
    "freeze": Chassis._freeze_card,
    "freeze_eeh_pe": Chassis._freeze_device,
    "link_down": Chassis._link_down,
    "capp_recovery": Chassis._link_down,
    "fence": Chassis._fence,
    "psl_error": Chassis._psl_error,
    "psl_interrupt": Chassis._psl_interrupt,
    "slice_error": Chassis._slice_error,
    "hang_afu": Chassis._hang,
    "answer_command": Chassis._answer_command,
}
