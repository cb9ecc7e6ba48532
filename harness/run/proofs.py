"""What one performance of the check proves of a host, a line each: from the driver's probe to the detach."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from harness.vocab.history import History, Operation
from harness.vocab.registers import Register


class Proof(NamedTuple):
    """One thing that a host must be able to do; `shown` and `missing` is where it was tried."""

    name: str
    shown: tuple[str, ...]
    missing: tuple[str, ...]

    @property
    def is_complete(self) -> bool:
        """Whether it was shown wherever it was tried, and tried at all."""
        return bool(self.shown) and not self.missing


def proofs(history: History) -> Iterator[Proof]:
    """All proofs, in the order in which one needs the other."""
    cards = history.topology.cards
    yield Proof(
        "driver probed",
        tuple(f"{card.name} with {' '.join(afu.name for afu in card.afus)}" for card in cards if card.afus),
        tuple(card.name for card in cards if not card.afus),
    )
    by_node = _by_node(history.operations)
    for name, is_tried, is_shown in _PROOFS:
        tried = {node: found for node, all_ in by_node.items() if (found := list(filter(is_tried, all_)))}
        shown = tuple(node for node, found in tried.items() if all(is_shown(o, by_node[node]) for o in found))
        if tried or name not in _OPTIONAL:
            yield Proof(name, shown, tuple(node for node in tried if node not in shown))


def _by_node(operations: Sequence[Operation]) -> Mapping[str, list[Operation]]:
    """What was done to each device node, by the descriptors and mappings that the check named for it."""
    nodes: dict[str, list[Operation]] = {}
    names: dict[str, str] = {}
    for operation in operations:
        args = operation.args
        if operation.verb == "open":
            names[args["fd"]] = str(args["path"]).rpartition("/")[2]
        if operation.verb == "mmap" and args["fd"] in names:
            names[args["map"]] = names[args["fd"]]
        node = names.get(args.get("fd", "")) or names.get(args.get("map", ""))
        if node:
            nodes.setdefault(node, []).append(operation)
    return nodes


def _wed_is_read_back(load: Operation, of_node: Sequence[Operation]) -> bool:
    """Whether the AFU gives the work element descriptor that the driver was told to attach."""
    weds = [operation.args["fields"].get("wed") for operation in of_node if operation.verb == "ioctl"]
    return load.is_ok and [run[0] for run in load.answer["runs"]] == weds


def _is_interrupt(read: Operation, _of_node: Sequence[Operation]) -> bool:
    return read.is_ok and read.answer.get("type") == "afu_interrupt" and read.answer.get("irq") == 1


def _is_ok(operation: Operation, _of_node: Sequence[Operation]) -> bool:
    return operation.is_ok


def _does(verb: str) -> Callable[[Operation], bool]:
    return lambda operation: operation.verb == verb


def _loads_wed(operation: Operation) -> bool:
    return operation.verb == "load" and operation.args["offset"] == Register.WED


# Name, which operations are about it, and whether one of them shows it.
_PROOFS: tuple[
    tuple[str, Callable[[Operation], bool], Callable[[Operation, Sequence[Operation]], bool]], ...
] = (
    ("device node", _does("open"), _is_ok),
    ("attach", _does("ioctl"), _is_ok),
    ("MMIO", _loads_wed, _wed_is_read_back),
    ("interrupt", _does("read"), _is_interrupt),
    ("detach", _does("close"), _is_ok),
)
_OPTIONAL = frozenset({"MMIO", "interrupt"})  # nobody knows the registers of a customer's AFU
