"""Test plans: what is read, and that every mistake is told with its place and what is allowed."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.plan import knownissues
from harness.plan.testplan import Budget, Known, load, parse_budget
from harness.run.prepare import read_plan
from harness.vocab.errors import UsageError
from harness.vocab.topology import BOTH_PLATFORMS, Platform

ROOT = Path(__file__).parents[2]
KNOWN = Known(
    events={"Attach": BOTH_PLATFORMS, "Detach": BOTH_PLATFORMS, "DropLink": frozenset({Platform.POWERNV})},
    oracles=("contexts_purged", "exercised", "loads_give_all_ones"),
)
SMALLEST = 'schema = 1\nname = "n"\nhosts = ["sim://powernv"]\nbudget = "60s"\n'


def mistakes(text: str) -> list[str]:
    with pytest.raises(UsageError) as caught:
        load(text, "p.toml", KNOWN)
    return [str(problem) for problem in caught.value.problems]


def test_the_smallest_plan_has_the_documented_defaults():
    plan = load(SMALLEST, "p.toml", KNOWN)
    assert plan.budget == Budget(seconds=60)
    assert (plan.draw.steps, plan.draw.errors, plan.draw.overlap) == ((4, 24), (1, 3), 40)
    assert plan.judge.select(KNOWN.oracles) == KNOWN.oracles
    assert (plan.gate.vacuous_percent, plan.gate.unknown_percent) == (20, 0)
    assert (plan.keep.passing, plan.keep.failing) == (3, 20)
    assert (plan.must_see.phases, plan.must_see.events, plan.must_see.runs) == ((), (), 1)


@pytest.mark.parametrize("name", ["nightly", "smoke"])
def test_the_plans_of_this_project_are_good(name):
    path = ROOT / "testplans" / f"{name}.toml"
    plan = load(path.read_text(), str(path), KNOWN)
    assert plan.name == name
    assert plan.hosts == ("sim://powernv", "sim://powervm")
    knownissues.load((ROOT / plan.gate.known_issues).read_text(), plan.gate.known_issues)


def test_values_are_read():
    plan = load(
        SMALLEST
        + '[draw]\nsteps=[2,3]\n[draw.weights]\nAttach=5\nDetach=0\n[cases]\nsaved=["a/b","c.json"]\n'
        '[judge]\noracles=["all","-exercised"]\n[must_see]\nevents=["Attach"]\nruns=7\n',
        "p.toml",
        KNOWN,
    )
    assert plan.draw.weights == {"Attach": 5, "Detach": 0}
    assert plan.cases.saved == ("a/b", "c.json")
    assert plan.judge.select(KNOWN.oracles) == ("contexts_purged", "loads_give_all_ones")
    assert plan.must_see.runs == 7


def test_only_what_is_left_out_leaves_all_others():
    plan = load(SMALLEST + '[judge]\noracles=["-exercised"]', "p.toml", KNOWN)
    assert plan.judge.select(KNOWN.oracles) == ("contexts_purged", "loads_give_all_ones")


def test_what_a_platform_lacks_is_not_expected_of_it():
    text = SMALLEST + '[must_see]\nphases=["confirmed","reset"]\nevents=["Attach","DropLink"]\n'
    must_see = load(text, "p.toml", KNOWN).must_see
    assert must_see.expected_on("powervm") == ("phase:reset", "event:Attach")
    assert must_see.expected_on("powernv") == (
        "phase:confirmed",
        "phase:reset",
        "event:Attach",
        "event:DropLink",
    )
    assert must_see.expected_on("") == must_see.expected_on("powernv")


@pytest.mark.parametrize(
    ("addition", "said"),
    [
        ("bugdet = 1",
         "p.toml: bugdet: this key is unknown; allowed: schema, name, title, hosts, budget, draw,"),
        ("bugdet = 1", "did you mean 'budget'?"),
        ("[draw]\nstep = [1,2]",
         "p.toml: draw.step: this key is unknown; allowed: subject, steps, errors, overlap, weights"),
        ("[draw]\nsteps = [9,2]", "p.toml: draw.steps: [9, 2] begins above its end; allowed: [fewest, most]"),
        ("[draw]\nsteps = [0,2]", "p.toml: draw.steps[0]: 0 is not allowed here; allowed: at least 1"),
        ("[draw]\nsteps = [1]", "p.toml: draw.steps[1]: this key is missing"),
        ("[draw]\nsteps = 3", "p.toml: draw.steps: 3 is not allowed here; allowed: a list in [brackets]"),
        ("[draw]\noverlap = 101", "p.toml: draw.overlap: 101 is not allowed here; allowed: at most 100"),
        ('[draw]\noverlap = "4"', "p.toml: draw.overlap: '4' is not allowed here; allowed: a whole number"),
        ("[draw]\noverlap = true", "p.toml: draw.overlap: True is not allowed here; allowed: a whole number"),
        ("[draw.weights]\nAtach = 1",
         "no event is called 'Atach'; allowed: Attach, Detach, DropLink; did you mean"),
        ("[draw.weights]\nAttach = -1",
         "p.toml: draw.weights.Attach: -1 is not allowed here; allowed: at least 0"),
        ("draw = 3", "p.toml: draw: 3 is not allowed here; allowed: a table"),
        ('[judge]\noracles = ["al"]', "p.toml: judge.oracles[0]: no oracle is called 'al'"),
        ('[judge]\noracles = ["-exercise"]', "did you mean 'exercised'?"),
        ("[judge]\noracles = []", "p.toml: judge.oracles: [] is not allowed here; allowed: fewest items: 1"),
        ('[must_see]\nphases = ["rest"]', "p.toml: must_see.phases[0]: no phase is called 'rest'; allowed:"),
        ('[must_see]\nphases = ["hcall:H_NO"]', "no phase is called 'hcall:H_NO'"),
        ('[must_see]\nevents = ["Fly"]', "no event is called 'Fly'; allowed: Attach, Detach, DropLink"),
        ("[must_see]\nruns = 0", "p.toml: must_see.runs: 0 is not allowed here; allowed: at least 1"),
        ('[cases]\nsaved = [""]', "p.toml: cases.saved[0]: '' is not allowed here; allowed: text that is"),
        ("[keep]\nfailing = 0", "p.toml: keep.failing: 0 is not allowed here; allowed: at least 1"),
        ('[judge]\noracles = ["exercised","-exercised"]', "p.toml: judge.oracles: no oracle is left"),
        ("[draw]\nsteps=[1,2]\nerrors=[3,3]",
         "p.toml: draw.errors: at least 3 errors do not fit into at most 2"),
        ("[draw.weights]\nAttach=0\nDetach=0\nDropLink=0", "p.toml: draw.weights: every event has weight 0"),
        ('[draw.weights]\nAttach=0\n[must_see]\nevents=["Attach"]', "Attach must be seen, but its weight is"),
    ],
)  # fmt: skip
def test_a_mistake_is_told(addition, said):
    assert any(said in text for text in mistakes(SMALLEST + addition)), mistakes(SMALLEST + addition)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("schema = 2", "p.toml: schema: 2 is not allowed here; allowed: only 1"),
        ('name = "../up"', "p.toml: name: '../up' is not allowed here; allowed: text that matches"),
        ("name = 3", "p.toml: name: 3 is not allowed here"),
        ("hosts = []", "p.toml: hosts: [] is not allowed here; allowed: fewest items: 1"),
        ('hosts = ["sm://powernv"]', "p.toml: hosts[0]: no host scheme is called 'sm'; allowed: qemu, sim"),
        ('hosts = ["sim://powervn"]', "no sim host is called 'powervn'; allowed: powernv, powervm; did"),
        ('hosts = ["ssh://"]', "p.toml: hosts[0]: 'ssh://' names no host; allowed: ssh://NAME"),
        ('hosts = ["powernv"]', "'powernv' is no host URL; allowed: SCHEME://NAME, such as sim://powernv"),
        ('budget = "60"', "p.toml: budget: '60' is no budget; allowed: a number above 0 and its unit: s, m"),
        ('budget = "60 days"', "p.toml: budget: '60 days' is no budget"),
        ("budget = 60", "p.toml: budget: 60 is no budget"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_key_that_must_be_there_is_told(line, said):
    key = line.partition(" ")[0]
    rows = [row for row in SMALLEST.splitlines() if not row.startswith(key)]
    told = mistakes("\n".join([*rows, line]))
    assert len(told) == 1
    assert said in told[0]


def test_all_mistakes_are_told_at_once():
    told = mistakes(
        'schema = 2\nhosts = ["x://y", "sim://z"]\nbudget = "no"\nzzz = 1\n'
        '[draw.weights]\nA = 1\nB = 1\n[judge]\noracles = ["a", "b"]\n'
    )
    places = sorted(text.split(": ")[1] for text in told)
    assert places == [
        "budget", "draw.weights.A", "draw.weights.B", "hosts[0]", "hosts[1]",
        "judge.oracles[0]", "judge.oracles[1]", "name", "schema", "zzz",
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["schema = ", "= 1", "\x00", "[a", "a = [" + "[" * 5000])
def test_what_is_no_toml_is_refused_with_its_place(text):
    (told,) = mistakes(text)
    assert told.startswith("p.toml: this is not TOML: ")


def test_hostile_text_is_not_repeated_raw():
    evil = '"\\u001b[31m' + "x" * 10_000 + '"'
    told = mistakes(SMALLEST + f"{evil} = 1\n[draw.weights]\n{evil} = 1\n[judge]\noracles=[{evil}]\n")
    assert len(told) == 3
    assert "\x1b" not in "".join(told)
    assert all(len(text) < 1000 for text in told)


def test_a_mutant_in_a_host_url_is_left_to_the_host():
    text = SMALLEST.replace("sim://powernv", "sim://powernv?mutant=StaleMmio")
    assert load(text, "p.toml", KNOWN).hosts == ("sim://powernv?mutant=StaleMmio",)


@pytest.mark.parametrize(
    ("text", "budget"),
    [("60s", Budget(seconds=60)), ("90m", Budget(seconds=5400)), ("4h", Budget(seconds=14_400)),
     ("1.5h", Budget(seconds=5400)), ("500cases", Budget(cases=500)), ("500 cases", Budget(cases=500))],
)  # fmt: skip
def test_budgets_are_read(text, budget):
    assert parse_budget(text) == budget
    assert parse_budget(str(budget)) == budget


@pytest.mark.parametrize(
    "text", ["", "60", "s", "0s", "-1s", "1.5cases", "1e3s", "60S", "0cases", "٣s", "9" * 99 + "s", "inf s"]
)
def test_what_is_no_budget_is_refused(text):
    with pytest.raises(UsageError, match="is no budget; allowed: a number above 0"):
        parse_budget(text, "--budget")


def test_the_corpus_and_the_share_of_cases_performed_twice_have_defaults_and_bounds() -> None:
    cases = load(SMALLEST, "p.toml", KNOWN).cases
    assert (cases.corpus, cases.twice_every) == ("", 50)
    given = load(SMALLEST + '[cases]\ncorpus = "a/corpus"\ntwice_every = 0\n', "p.toml", KNOWN).cases
    assert (given.corpus, given.twice_every) == ("a/corpus", 0)
    wrong = mistakes(SMALLEST + "[cases]\ncorpus = 5\ntwice_every = -1\n")
    assert len(wrong) == 2
    assert "cases.corpus" in wrong[0]
    assert "cases.twice_every" in wrong[1]


def test_a_plan_is_about_cards_unless_it_says_devices() -> None:
    assert load(SMALLEST, "p.toml", KNOWN).draw.subject == "cards"
    assert load(SMALLEST + '\n[draw]\nsubject = "devices"\n', "p.toml", KNOWN).draw.subject == "devices"


def test_the_plan_of_devices_is_good() -> None:
    plan = read_plan(ROOT / "testplans" / "eeh.toml").plan
    assert (plan.name, plan.draw.subject, plan.hosts) == ("eeh", "devices", ("sim://powernv",))
