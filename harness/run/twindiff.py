"""Two Histories of one case side by side: every difference in what is observable, with a stable signature.

Pure. What differs for a harmless reason is Tolerated, by the rules of TOLERANCES, and counted.
"""

from __future__ import annotations

from harness.run.twindifference import Compared, Difference, Pair, Tolerated
from harness.run.twinkernel import complaints, displaced, hcalls, lives, reactions, reports
from harness.run.twinoperations import Operations
from harness.run.twinstory import Story
from harness.vocab.history import History


def compare(a: History, b: History) -> Compared:
    """Compare the histories of one case on two hosts."""
    pair = Pair(Story(a), Story(b))
    operations = Operations(pair)
    found: list[Difference | Tolerated] = list(operations.differences())
    moved = displaced(pair)
    found += reactions(pair, operations.struck | pair.fleeting, moved)
    operations.blur("timing", *moved, *pair.fleeting)
    for story in pair:
        for afu in story.cut_off:
            operations.blurred.setdefault(afu, "delivery")
    found += reports(pair)
    for part in (lives, hcalls, complaints):
        for told in part(pair):
            rules = (operations.blurred.get(afu, "") for afu in pair.a.members(told.subject))
            rule = next(filter(None, rules), "")
            found.append(Tolerated(rule, told.about) if rule else told)
    differences: dict[str, Difference] = {}
    for item in found:
        if isinstance(item, Difference):
            differences.setdefault(item.signature, item)
    tolerated = tuple(item for item in found if isinstance(item, Tolerated))
    return Compared(tuple(differences.values()), tolerated, operations.compared)
