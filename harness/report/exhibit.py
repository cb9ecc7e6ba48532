"""An Exhibit: one run with all that is needed to show it to a person who was not there."""

from __future__ import annotations

from dataclasses import dataclass

from harness.vocab.history import History
from harness.vocab.run import Run
from harness.vocab.verdict import Judgement


@dataclass(frozen=True)
class Exhibit:
    """A run, its history, what the oracles think of it, its case's text, and the command to replay it."""

    run: Run
    history: History
    judgement: Judgement
    case_text: str = ""
    replay: str = ""
