"""Oracle: after the mask no interrupt of a context is delivered, and none ever to a stranger.

Rules: between afu_release_irqs (without that probe, cxl_detach) and the next cxl_attach of the process
element there is no interrupt of it; an event that a process reads carries its own context's process
element; an AFU interrupt that it reads was raised through its own context.
"""

from __future__ import annotations

from collections.abc import Iterator

from harness.oracles._context import Context, Contexts, Tenancy, contexts
from harness.oracles._memo import has_whole_trace, ms
from harness.vocab.history import History, Operation
from harness.vocab.oracle import Oracle
from harness.vocab.registers import Command, Register
from harness.vocab.verdict import Finding

NAME = "interrupts_stay_masked"
_SLACK_ON_HARDWARE_US = 10_000  # the probe is at the function's entry, and another CPU may be in the handler
_ARGUMENT_BITS = 56


def judge(history: History) -> Iterator[Finding]:
    """Look at the interrupts of every process element, then at the events that were read."""
    found = contexts(history)
    slack_us = 0 if "deterministic" in history.topology.features else _SLACK_ON_HARDWARE_US
    for tenancy in found.tenancies:
        if tenancy.afu_irqs or tenancy.psl_irqs:
            yield from _after_mask(tenancy, slack_us)
    for context in found.contexts:
        for call in context.calls:
            if call.verb == "read" and call.is_ok:
                yield from _stranger(history, found, context, call)


def _after_mask(tenancy: Tenancy, slack_us: int) -> Iterator[Finding]:
    masked = tenancy.masked
    if masked is None:
        return
    for irq in (*tenancy.afu_irqs, *tenancy.psl_irqs):
        if irq.time_us > masked.time_us + slack_us:
            message = (
                f"process element {tenancy.process_element} of {tenancy.afu} was masked at "
                f"{ms(masked.time_us)} and got {irq.name} at {ms(irq.time_us)}"
            )
            yield Finding(NAME, "interrupt-after-mask", message, (masked.seq, irq.seq))


def _stranger(history: History, found: Contexts, context: Context, read: Operation) -> Iterator[Finding]:
    event = read.answer
    assert read.end is not None
    tenancy = context.tenancy
    if tenancy and has_whole_trace(history) and event.get("process_element") != tenancy.process_element:
        message = (
            f"{context.name}, which is process element {tenancy.process_element}, read an event of "
            f"{event.get('process_element')} at {ms(read.ended_us)}"
        )
        yield Finding(NAME, "event-of-another", message, (tenancy.attach.seq, read.end.seq))
    if event.get("type") != "afu_interrupt" or not history.topology.afu(context.afu).has_test_registers:
        return
    irq = event.get("irq")
    if not _has_raised(context, irq, read.ended_us):
        others = [c for c in found.contexts if c is not context and _has_raised(c, irq, read.ended_us)]
        source = f"only {others[-1].name} had raised it" if others else "nobody had raised it"
        message = f"{context.name} read AFU interrupt {irq} at {ms(read.ended_us)}, and {source}"
        kind = "interrupt-of-another" if others else "interrupt-of-nobody"
        yield Finding(NAME, kind, message, (read.invoke.seq, read.end.seq))


def _has_raised(context: Context, irq: object, by_us: int) -> bool:
    for store in context.stores:
        args = store.args
        if args["offset"] == Register.COMMAND and store.began_us <= by_us:
            value = args["value"]
            if (
                value >> _ARGUMENT_BITS == Command.RAISE_INTERRUPT
                and value & (1 << _ARGUMENT_BITS) - 1 == irq
            ):
                return True
    return False


ORACLE = Oracle(NAME, "After the mask no interrupt of a context is delivered, and none to a stranger", judge)
