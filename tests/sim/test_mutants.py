"""The mutants: each is wired in and has a saved case for each platform; the easy ones are found by chance."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

from harness import registry
from harness.gen.cases import case_from_seed
from harness.gen.rules import DrawRules
from harness.hosts.inproc import InprocHost
from harness.run.judge import judge
from harness.run.runner import Runner
from harness.sim.card import CardHardware
from harness.sim.driver.guest import GuestDriver
from harness.sim.driver.native import NativeDriver
from harness.sim.host import SimulatedHost
from harness.sim.phyp import Phyp
from harness.sim.plain import PlainDrivers
from harness.sim.plain_eeh import PlainEeh
from harness.vocab.case import Case
from harness.vocab.oracle import Mutant
from harness.vocab.topology import Platform
from harness.wire import casefile

REGRESS = Path(__file__).parents[2] / "fixtures" / "cases" / "regress"
PAIRS = [
    pytest.param(mutant, platform, id=f"{mutant.name}-{platform.value}")
    for mutant in registry.mutants().values()
    for platform in sorted(mutant.platforms, key=lambda platform: platform.value)
]
COMPONENTS: dict[tuple[str, Platform], type] = {
    ("driver", Platform.POWERNV): NativeDriver,
    ("driver", Platform.POWERVM): GuestDriver,
    ("eeh", Platform.POWERNV): PlainEeh,
    ("device", Platform.POWERNV): PlainDrivers,
    ("phyp", Platform.POWERVM): Phyp,
    ("card", Platform.POWERNV): CardHardware,
    ("card", Platform.POWERVM): CardHardware,
}
RULES = DrawRules((4, 24), (1, 3), 40)
SEED = 20
WITHIN = 100
"""So many drawn cases find an easy mutant: one that every sixth case shows, at the least."""
EASY_ANYWHERE = (
    "DisturbsOtherCards",
    "ForgetsErrFf",
    "ForgetsGarbage",
    "FreesAtInterruptLevel",
    "FreesWhileOpen",
    "LeaksInterrupts",
    "LeaksPids",
    "LeaksSlots",
    "NeverResumes",
    "PurgesTwice",
    "ResetsBeforePurge",
    "SkipsLastContext",
    "WarnsInRecovery",
)
EASY = {
    Platform.POWERNV: (*EASY_ANYWHERE, "ForgetsSecondAfu", "RecoversOnSuspicion", "ResumesWithoutReset"),
    Platform.POWERVM: (*EASY_ANYWHERE, "PollStopsAfterRecovery", "PollsTooSeldom", "SkipsReset"),
}


def runner(platform: Platform, mutant: str = "") -> Runner:
    return Runner(lambda: InprocHost(f"sim://{platform.value}", SimulatedHost(platform, mutant)))


@cache
def drawn(platform: Platform) -> tuple[Case, ...]:
    topology = runner(platform).topology
    events = tuple(registry.events().values())
    return tuple(case_from_seed(SEED * 1000 + n, topology, RULES, events) for n in range(WITHIN))


@pytest.mark.parametrize(("mutant", "platform"), PAIRS)
def test_every_mutant_has_a_saved_case_on_each_of_its_platforms(mutant: Mutant, platform: Platform) -> None:
    """`tests/run/test_saved_cases.py` performs it."""
    name = re.sub(r"(?<!^)(?=[A-Z])", "-", mutant.name).lower()
    path = REGRESS / platform.value / f"{name}.json"
    assert path.exists(), (
        f"no saved case shows {mutant.name}: harness run testplans/nightly.toml "
        f"--host 'sim://{platform.value}?mutant={mutant.name}', then copy its bugs/*.json to {path}"
    )
    saved = casefile.load(path.read_text(encoding="utf-8"), registry.events(), str(path))
    assert saved.signature.partition("/")[0] in mutant.killed_by


@pytest.mark.parametrize("platform", list(Platform), ids=lambda platform: platform.value)
def test_every_oracle_has_a_mutant_on_each_of_its_platforms(platform: Platform) -> None:
    judging = {name for name, oracle in registry.oracles().items() if platform in oracle.platforms}
    mutants = [mutant for mutant in registry.mutants().values() if platform in mutant.platforms]
    killing = {name for mutant in mutants for name in mutant.killed_by}
    assert judging - killing == {"exercised"}, "exercised gives UNKNOWN only; all others must kill a mutant"


@pytest.mark.parametrize("mutant", registry.mutants().values(), ids=lambda mutant: mutant.name)
def test_a_mutant_overrides_what_its_component_has(mutant: Mutant) -> None:
    """A transition that was renamed would leave a mutant that is the healthy host."""
    components = [COMPONENTS[mutant.component, platform] for platform in mutant.platforms]
    changed = {name for name in vars(mutant.override) if not name.startswith("_")}
    assert changed, f"{mutant.name} overrides nothing"
    changed -= {name for name, value in vars(mutant.override).items() if not callable(value)}  # its own state
    unknown = {name for name in changed if not any(hasattr(component, name) for component in components)}
    assert not unknown, f"{mutant.name} overrides {unknown}, which its component does not have"


@pytest.mark.parametrize(
    ("name", "platform"),
    [
        pytest.param(name, platform, id=f"{name}-{platform.value}")
        for platform, names in EASY.items()
        for name in names
    ],
)
def test_an_easy_mutant_is_found_from_drawn_cases(name: str, platform: Platform) -> None:
    """By each oracle that it names, within WITHIN cases."""
    missing = {oracle: registry.oracle(oracle) for oracle in registry.mutant(name).killed_by}
    used = runner(platform, name)
    for case in drawn(platform):
        judgement = judge(used.perform(case).history, tuple(missing.values()))
        for signature in judgement.signatures:
            missing.pop(signature.partition("/")[0], None)
        if not missing:
            return
    pytest.fail(f"{', '.join(missing)} did not see {name} in {WITHIN} cases")
