"""What is said of one run and of one host, as plain values: lines of runs.jsonl, verdict.json, identities."""

from __future__ import annotations

import json
from collections.abc import Iterable

from harness.run.runner import Performance
from harness.run.tally import seen
from harness.vocab.campaign import HostIdentity
from harness.vocab.coverage import Covered
from harness.vocab.run import Run
from harness.vocab.topology import Topology
from harness.vocab.verdict import Judgement, Verdict

_VERSION_FILES = frozenset({"caia_version", "psl_revision", "base_image"})


def identity(url: str, topology: Topology, hello: bytes) -> HostIdentity:
    """Who the host says it is. `hello` is one that `sysfs.topology` has accepted."""
    said = json.loads(hello).get("hello", {})
    files = said.get("files", {})
    versions = {
        "/".join(path.split("/")[-2:]): str(text).strip()[:80]
        for path, text in sorted(files.items())
        if path.rpartition("/")[2] in _VERSION_FILES
    }
    guest = said.get("facts", {}).get("host", {}).get("guest_build")
    if isinstance(guest, str):  # a guest that was built here: what of
        versions["guest build"] = guest[:80]
    hostname = str(said.get("uname", {}).get("nodename", ""))[:80]
    return HostIdentity(url, topology.platform.value, topology.kernel, hostname, versions)


def summary(performance: Performance, judgement: Judgement, url: str, cover: Iterable[Covered] = ()) -> Run:
    """What is kept of one performance, whether or not its history is."""
    records = performance.history.records
    return Run(
        number=performance.number,
        case_id=performance.case.id,
        host=url,
        seed=performance.seed,
        verdict=judgement.verdict,
        cause=judgement.cause,
        findings=judgement.findings,
        steps=len(performance.case.steps),
        records=len(records),
        duration_us=records[-1].time_us if records else 0,
        digest=performance.digest,
        seen=seen(performance.history, cover),
    )


def run_facts(run: Run) -> dict[str, object]:
    """A run's line in runs.jsonl."""
    facts: dict[str, object] = {
        "run": run.number,
        "case": run.case_id,
        "host": run.host,
        "seed": run.seed,
        "verdict": run.verdict.value,
        "steps": run.steps,
        "records": run.records,
        "duration_us": run.duration_us,
        "digest": run.digest,
    }
    if run.verdict is not Verdict.PASS:
        facts["cause"] = run.cause.value if run.cause else ""
        facts["findings"] = [[f.signature, f.verdict.value] for f in run.findings]
    if run.path:
        facts["path"] = run.path
    return facts


def verdict_facts(run: Run) -> dict[str, object]:
    """A kept run's verdict.json."""
    return {
        **run_facts(run),
        "findings": [
            {
                "signature": f.signature,
                "verdict": f.verdict.value,
                "cause": f.cause.value if f.cause else "",
                "message": f.message,
                "records": list(f.records),
            }
            for f in run.findings
        ],
    }
