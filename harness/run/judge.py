"""Judgement of one History: every oracle is asked, and the worst that they say wins.

The rules:

1. A verdict starts UNKNOWN. It becomes PASS only when at least one oracle judged a history that the host
   played to its end, and none complained.
2. FAIL dominates: what a valid prefix proves stays proven when the lab breaks afterwards. So it is when the
   kernel dies: what it did afterwards proves nothing, but for the death itself (`Oracle.sees_all`). So it is
   when cards change their names, but that is VACUOUS and no fault of anybody's.
3. Lab trouble gives UNKNOWN (infra); a cut-off history gives UNKNOWN (indeterminate).
4. An oracle that raises says nothing about the host: its error is a finding, UNKNOWN (oracle-error). So it is
   when one takes longer than ORACLE_LIMIT_S; one that does so again and again is not asked any more.
"""

from __future__ import annotations

import traceback
from collections import Counter
from collections.abc import Sequence
from itertools import islice
from pathlib import PurePath

from harness.run.deadline import TimeIsUpError, Watchdog
from harness.vocab.history import History
from harness.vocab.oracle import Oracle
from harness.vocab.verdict import Cause, Finding, Judgement, Verdict, worst

JUDGE = "judge"
FINDINGS_MAX = 50
"""Most findings that one oracle may give for one history; a further one says how many more there were."""
RAW_FINDINGS_MAX = 100_000
"""After so many an oracle is not asked for more: one that never ends must not fill the memory."""

ORACLE_LIMIT_S = 20.0
"""How long one oracle may think about one history: some thousand times what it takes."""
SLOW_MAX = 3
"""How often an oracle may take longer before it is not asked any more in this process."""

_MESSAGE_MAX = 400
_watchdog = Watchdog()
_slow: Counter[str] = Counter()
# Of several causes the one that explains most comes first: what broke the run before what it then lacked.
_CAUSES = (Cause.INFRA, Cause.NONDETERMINISM, Cause.ORACLE_ERROR, Cause.INDETERMINATE, Cause.VACUOUS)


def judge(
    history: History, oracles: Sequence[Oracle], trouble: str = "", more: Sequence[Finding] = ()
) -> Judgement:
    """Ask all `oracles` that apply to the history's platform and to what it is about.

    `trouble` says in words what the lab did to this run, and is empty when it did nothing; `more` is what
    others found. Never raises for what an oracle does.
    """
    asked = [oracle for oracle in oracles if oracle.applies_to(history)]
    findings: list[Finding] = []
    for oracle in asked:
        findings += _ask(oracle, history)
    findings += _about_the_run(history, bool(asked), trouble)
    findings += more
    verdict = worst(f.verdict for f in findings) if findings else Verdict.PASS
    cause = _cause(findings) if verdict is Verdict.UNKNOWN else None
    return Judgement(verdict, tuple(findings), tuple(oracle.name for oracle in asked), cause)


def _ask(oracle: Oracle, history: History) -> list[Finding]:
    if _slow[oracle.name] >= SLOW_MAX:
        return [_too_slow(oracle, f"was not asked, because it took longer than that {SLOW_MAX} times")]
    try:
        _watchdog.watch(ORACLE_LIMIT_S)
        try:
            findings = list(islice(oracle.findings(history), RAW_FINDINGS_MAX))
        finally:
            _watchdog.unwatch()
    except TimeIsUpError:
        _slow[oracle.name] += 1
        return [_too_slow(oracle, "was broken off")]
    except Exception as error:  # noqa: BLE001 - whatever an oracle raises is a finding about the oracle
        return [_oracle_error(oracle, error)]
    if len(findings) > FINDINGS_MAX:
        rest = len(findings) - FINDINGS_MAX
        message = f"{oracle.name} has {rest} more findings than the {FINDINGS_MAX} that are kept"
        last = findings[FINDINGS_MAX]
        findings[FINDINGS_MAX:] = [Finding(oracle.name, last.kind, message, (), last.verdict, last.cause)]
    return findings


def _too_slow(oracle: Oracle, what: str) -> Finding:
    message = f"{oracle.name} may take {ORACLE_LIMIT_S:g} s for a history, and {what}"
    return Finding(oracle.name, "takes-too-long", message, (), Verdict.UNKNOWN, Cause.ORACLE_ERROR)


def _oracle_error(oracle: Oracle, error: Exception) -> Finding:
    frames = traceback.extract_tb(error.__traceback__)
    place = f"{PurePath(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "an unknown place"
    message = f"{oracle.name} raised {type(error).__name__} at {place}: {error}"[:_MESSAGE_MAX]
    kind = f"raises-{type(error).__name__}"
    return Finding(oracle.name, kind, message, (), Verdict.UNKNOWN, Cause.ORACLE_ERROR)


def _about_the_run(history: History, was_judged: bool, trouble: str) -> list[Finding]:
    """What keeps the run from being evidence, whatever the oracles think."""
    last = (len(history.records) - 1,) if history.records else ()
    if trouble:
        return [_unknown("lab-trouble", trouble[:_MESSAGE_MAX], last, Cause.INFRA)]
    found = []
    if not history.is_complete:
        message = (
            f"the history stops after {len(history.records)} records, before the host had played the case"
        )
        found.append(_unknown("cut-off", message, last, Cause.INDETERMINATE))
    if death := history.death:
        message = "something died in the kernel: what came after proves nothing of its own"
        found.append(_unknown("kernel-died", message, (death.seq,), Cause.INDETERMINATE))
    if renaming := history.renaming:
        message = (
            f"a card got the name of another, {renaming.data['text']!r}: what came after says nothing of it"
        )
        found.append(_unknown("cards-renamed", message, (renaming.seq,), Cause.VACUOUS))
    if not was_judged:
        found.append(_unknown("no-oracle", "no oracle judged this run", (), Cause.VACUOUS))
    return found


def _unknown(kind: str, message: str, records: tuple[int, ...], cause: Cause) -> Finding:
    return Finding(JUDGE, kind, message, records, Verdict.UNKNOWN, cause)


def _cause(findings: Sequence[Finding]) -> Cause:
    causes = {f.cause for f in findings if f.verdict is Verdict.UNKNOWN}
    return next((cause for cause in _CAUSES if cause in causes), Cause.INDETERMINATE)
