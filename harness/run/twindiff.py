"""Two Histories of one case side by side: every difference in what is observable, with a stable signature.

Pure. What differs for a harmless reason is Tolerated, by the rules of TOLERANCES, and counted.
"""

from __future__ import annotations

from harness.run.twindifference import Compared, Difference, Pair, Tolerated
from harness.run.twinkernel import complaints, displaced, hcalls, lives, reactions
from harness.run.twinoperations import Operations
from harness.run.twinstory import Story
from harness.vocab.history import History


def compare(a: History, b: History) -> Compared:
    """Compare the histories of one case on two hosts."""
    pair = Pair(Story(a), Story(b))
    operations = Operations(pair)
    found: list[Difference | Tolerated] = list(operations.differences())
    moved = set(displaced(pair)) | pair.fleeting
    found += reactions(pair, operations.struck | moved)
    rule = "consequence" if operations.parted else "timing" if moved or operations.unsure else ""
    if any(story.is_signal_cut_off for story in pair):
        rule = rule or "delivery"
    for part in (lives, hcalls, complaints):  # which do not say whose doing they are
        alone = list(part(pair))
        found += [Tolerated(rule, item.about) for item in alone] if rule else alone
    differences: dict[str, Difference] = {}
    for item in found:
        if isinstance(item, Difference):
            differences.setdefault(item.signature, item)
    tolerated = tuple(item for item in found if isinstance(item, Tolerated))
    return Compared(tuple(differences.values()), tolerated, operations.compared)
