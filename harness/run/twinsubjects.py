"""Whom each operation of a case is about: AFUs, or PCI devices without CAPI."""

from __future__ import annotations

import re
from collections.abc import Iterable

from harness.vocab.history import Operation
from harness.vocab.topology import Topology

_AFU = re.compile(r"afu\d+\.\d+")
_CARD = re.compile(r"card\d+")
_ADDRESS = re.compile(r"[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.\d")
_OWN = ("exit", "kill")  # they are about what their actor has opened


class Subjects:
    """Learns from the operations of one history who opened and mapped what; then `of` can be asked."""

    def __init__(self, topology: Topology, operations: Iterable[Operation]) -> None:
        self.everybody = (*(afu.name for afu in topology.afus), *(item.name for item in topology.devices))
        self._of_card = {card.name: tuple(afu.name for afu in card.afus) for card in topology.cards}
        self._at = {card.bdf: self._of_card[card.name] for card in topology.cards if card.bdf}
        self._at |= {device.bdf: (device.name,) for device in topology.devices}
        self._files: dict[str, str] = {}  # descriptor -> AFU
        self._maps: dict[str, str] = {}
        self._owners: dict[str, str] = {}  # mapping -> descriptor
        self._opened: dict[str, set[str]] = {}  # actor -> AFUs
        for op in operations:
            self._note(op)

    def _note(self, op: Operation) -> None:
        actor = op.invoke.actor
        if op.verb == "open" and (match := _AFU.search(str(op.args["path"]))):
            self._files[op.args["fd"]] = match[0]
            self._opened.setdefault(actor, set()).add(match[0])
        elif op.verb == "mmap":
            self._maps[op.args["map"]] = self._files.get(op.args["fd"], "")
            self._owners[op.args["map"]] = op.args["fd"]
        elif op.verb == "fork":
            self._opened.setdefault(op.args["child"], set()).update(self._opened.get(actor, ()))

    def handle(self, op: Operation) -> str:
        """The file descriptor that an operation goes through, by itself or by its mapping; or nothing."""
        return str(op.args.get("fd", "")) or self._owners.get(str(op.args.get("map", "")), "")

    def of(self, op: Operation) -> tuple[str, ...]:
        """The AFUs or devices that an operation is about; everybody when it does not say."""
        args = op.args
        afu = self._files.get(str(args.get("fd", ""))) or self._maps.get(str(args.get("map", "")))
        if afu:
            return (afu,)
        path = str(args.get("path", ""))
        if match := _AFU.search(path):
            return (match[0],)
        if match := _CARD.search(path):
            return self._of_card.get(match[0], ())
        if match := _ADDRESS.search(path):
            return self._at.get(match[0], ())
        if op.verb in _OWN:
            return tuple(sorted(self._opened.get(str(args.get("actor", op.invoke.actor)), ())))
        return self._named(op) or self.everybody

    def _named(self, op: Operation) -> tuple[str, ...]:
        """What the step names."""
        details = op.intent.details
        if card := details.get("card"):
            return self._of_card.get(card, ())
        name = details.get("afu") or details.get("device")
        return (name,) if name else ()

    def members(self, subject: str) -> tuple[str, ...]:
        """The AFUs or the device that a line of the kernel is about; one without a subject, everybody."""
        if not subject:
            return self.everybody
        return self._of_card.get(subject) or ((subject,) if subject in self.everybody else ())
