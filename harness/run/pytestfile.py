"""Writes a saved case as a test file that stands alone: to attach to a bug report, and to run with pytest.

The file needs this package and nothing beside it. It fails as long as the bug is there.
"""

from __future__ import annotations

import re

from harness.wire import casefile
from harness.wire.casefile import SavedCase

_TEMPLATE = '''"""A case that shows {signature} on {url}, made by ``harness replay --pytest``.

{story}

Run it with: pytest {file}
It fails as long as the bug is there. CAPI_HOST=URL performs it elsewhere, CAPI_TIMES=N so many times.
"""

from __future__ import annotations

import os

from harness import registry
from harness.hosts import urls
from harness.run.judge import judge
from harness.run.lane import is_for
from harness.run.runner import Runner
from harness.wire import casefile

HOST = os.environ.get("CAPI_HOST", {url!r})
TIMES = int(os.environ.get("CAPI_TIMES", "{times}"))
SIGNATURE = {signature!r}
CASE = r"""
{case}"""


def test_{name}() -> None:
    """The signature must not show."""
    case = casefile.load(CASE, registry.events(), "the case in this file").case
    urls.check([HOST], registry.mutants)
    runner = Runner(urls.opener(HOST))
    try:
        assert is_for(case, runner.topology), f"{{HOST}} lacks what the case needs: {{sorted(case.needs)}}"
        performances = [runner.perform(case) for _ in range(TIMES)]
    finally:
        runner.close()
    assert not [performance.trouble for performance in performances if performance.trouble]
    judgements = [judge(p.history, tuple(registry.oracles().values())) for p in performances]
    shown = [f.message for j in judgements for f in j.findings if f.signature == SIGNATURE]
    assert not shown, f"{{SIGNATURE}} in {{len(shown)}} findings of {{TIMES}} performances: {{shown[0]}}"
'''


def pytest_text(saved: SavedCase, url: str, times: int, file: str, story: str) -> str:
    """The text of the test file called `file`."""
    name = re.sub(r"[^a-z0-9]+", "_", saved.signature.lower()).strip("_") or "case"
    return _TEMPLATE.format(
        signature=saved.signature or "nothing",
        url=url,
        story=story.replace("\\", "/").replace('"""', "'''"),
        file=file,
        times=times,
        case=casefile.dump(saved.case, saved.signature),
        name=name,
    )
