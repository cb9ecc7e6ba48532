"""The command line: ``harness run``, ``replay``, ``judge``, ``report``, ``gate``, ``sim``, ``hosts``, ….

Thin: each command turns words into values, calls one function of ``harness.run``, and prints. Heavy modules
are imported within the commands, so that help and lists are quick.
"""

# ruff: noqa: PLC0415, PLR0917 - imports wait for the command that needs them; typer has a parameter an option

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from harness.vocab.errors import InfraError, UsageError
from harness.vocab.verdict import ExitCode

EXIT_CODES = """Exit codes: 0 pass, 1 fail, 2 unknown, 3 infrastructure, 4 usage, 5 nothing ran or vacuous,
130 interrupted. A failure that was found dominates all others."""

app = typer.Typer(
    help=f"Fuzz, judge and gate the error recovery of CAPI accelerators on POWER hosts.\n\n{EXIT_CODES}",
    epilog="Begin with:  harness run testplans/smoke.toml",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
sim_app = typer.Typer(help="The simulated POWER host.", no_args_is_help=True)
hosts_app = typer.Typer(help="Hosts on which cases are performed.", no_args_is_help=True)
app.add_typer(sim_app, name="sim")
app.add_typer(hosts_app, name="hosts")


class Listed(StrEnum):
    """What can be listed."""

    EVENTS = "events"
    ORACLES = "oracles"
    MUTANTS = "mutants"
    PLANS = "plans"


class PlatformName(StrEnum):
    """The platforms that are simulated."""

    POWERNV = "powernv"
    POWERVM = "powervm"


RunDir = Annotated[Path, typer.Argument(metavar="RUNDIR", help="A run directory, or reports/runs/latest.")]
Unexcused = Annotated[bool, typer.Option("--ignore-known-issues", help="Excuse no known issue.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
HOST_HELP = (
    "sim://powernv, sim://powervm?mutant=NAME, sim://powervm?driver=linux-6.1, qemu://powervm, "
    "qemu://powernv, ssh://NAME."
)


@app.command(epilog=EXIT_CODES)
def run(
    plan: Annotated[
        Path, typer.Argument(metavar="PLAN", help="A test plan, such as testplans/nightly.toml.")
    ],
    host: Annotated[
        list[str] | None, typer.Option(help=f"Instead of the plan's hosts; may be repeated. {HOST_HELP}")
    ] = None,
    budget: Annotated[str, typer.Option(help="Instead of the plan's: 60s, 90m, 4h or 500cases.")] = "",
    seed: Annotated[
        int | None, typer.Option(min=0, help="A seed that a run printed: draws the same cases.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="New run directory [default: reports/runs/<UTC>].")] = None,
    as_json: Json = False,
    ignore_known_issues: Unexcused = False,
) -> None:
    """Perform a test plan, judge it, and write its reports.

    \b
    harness run testplans/nightly.toml
    harness run testplans/nightly.toml --budget 4h --host sim://powervm
    harness run testplans/smoke.toml --seed 7 --budget 500cases --json
    """
    from harness.run import console, planrun, prepare

    read = prepare.read_plan(plan)
    setup = prepare.setup(read, host or (), budget, seed)
    directory = planrun.new_directory(out)
    if not as_json:
        _print(f"plan {setup.plan}, seed {setup.orders.seed}, into {directory.path}")
    with console.progress(str(setup.budget)) as watch:
        outcome = planrun.run_plan(read, setup, directory, watch, ignore_known_issues)
    if as_json:
        _print((outcome.directory / "gate.json").read_text().rstrip())
    else:
        _print((outcome.directory / "summary.md").read_text())
        _print(*(f"wrote {path}" for path in outcome.reports))
    raise typer.Exit(outcome.gate.exit_code)


@app.command(epilog=EXIT_CODES)
def replay(
    cases: Annotated[list[Path], typer.Argument(metavar="CASE...", help="Saved cases, or directories.")],
    host: Annotated[
        str, typer.Option(help=f"Default: the healthy simulator of the case's platform. {HOST_HELP}")
    ] = "",
    times: Annotated[int, typer.Option(min=1, max=100_000, help="How often each case is performed.")] = 1,
    pytest_file: Annotated[
        Path | None, typer.Option("--pytest", help="Write this test file for a bug report; perform nothing.")
    ] = None,
) -> None:
    """Perform saved cases again, and see whether they fail, and how reliably.

    \b
    harness replay reports/runs/latest/bugs/*.json --host 'sim://powervm?mutant=NAME'
    harness replay fixtures/cases/regress --times 20
    harness replay BUG.json --host ssh://NAME --pytest test_bug.py
    """
    from harness import registry
    from harness.hosts import urls
    from harness.run import console, prepare
    from harness.run import replay as replaying
    from harness.wire.casefile import SavedCase

    found = prepare.read_cases(cases)
    if not found:
        _print(f"nothing was performed: no saved case in {', '.join(map(str, cases))}")
    by_url: dict[str, list[tuple[Path, SavedCase]]] = {}
    for path, saved in found:
        by_url.setdefault(host or f"sim://{saved.case.platform.value}", []).append((path, saved))
    urls.check(by_url, registry.mutants)
    if pytest_file:
        _print(f"wrote {prepare.write_test(found, host, times, pytest_file)}")
        return
    replayed = []
    oracles = tuple(registry.oracles().values())
    try:
        for url, group in by_url.items():
            with console.counting(f"opening {url}", "performances") as watch:
                for item in replaying.replay(urls.opener(url), group, times, oracles, watch):
                    _print(*console.replay_text(item))
                    replayed.append(item)
    except KeyboardInterrupt:
        if replaying.exit_code(replayed) is not ExitCode.FAIL:  # which dominates
            raise
    raise typer.Exit(replaying.exit_code(replayed))


@app.command(epilog=EXIT_CODES)
def twin(
    host_a: Annotated[str, typer.Argument(metavar="HOST_A", help=HOST_HELP)],
    host_b: Annotated[str, typer.Argument(metavar="HOST_B", help="What it is compared with.")],
    plan: Annotated[
        Path | None, typer.Option(help="Draw as this test plan does, and begin with its saved cases.")
    ] = None,
    cases: Annotated[
        list[Path] | None,
        typer.Option(help="Saved cases, or directories, to begin with; without a budget, these only."),
    ] = None,
    budget: Annotated[str, typer.Option(help="60s, 90m, 4h or 500cases [default: 60s].")] = "",
    seed: Annotated[int | None, typer.Option(min=0, help="A seed that a comparison printed.")] = None,
    times: Annotated[
        int, typer.Option(min=1, max=100, help="How many schedules of a case must show a difference.")
    ] = 3,
    allowed: Annotated[Path, typer.Option(help="Directory of the lists of understood differences.")] = Path(
        "fixtures/twin"
    ),
    out: Annotated[
        Path | None, typer.Option(help="New directory [default: reports/runs/twin/<UTC>].")
    ] = None,
) -> None:
    """Perform the same cases on two hosts, and report every difference in what they show, minimised.

    Compared is what applications and the kernel are told: errnos, values of loads, events, the order of
    recovery, hcalls, complaints in the log. Not compared are times, and operations that lie before the
    detection of an error on one host and after it on the other. A difference is a finding about one of the
    two: the model, or the driver. Those that are understood stand in fixtures/twin/*.toml, each with its
    reason; any other gives exit code 1.

    \b
    harness twin sim://powervm 'sim://powervm?driver=linux-6.1' --budget 500cases
    harness twin qemu://powervm 'sim://powervm?driver=linux-6.1' --plan testplans/nightly.toml
    harness twin qemu://powernv sim://powernv --plan testplans/eeh.toml
    harness twin HOST_A HOST_B --cases reports/runs/twin/latest/bugs/NAME.json
    """
    from harness.run import twinrun, twintext

    asked = twinrun.Asked((host_a, host_b), plan, cases or (), budget, seed, times, allowed, out)
    written = twinrun.compare_hosts(asked, twintext.watching(sys.stderr))
    _print(*twintext.text(written.result, written.paths), f"wrote {written.directory / twintext.REPORT}")
    raise typer.Exit(written.result.exit_code)


@app.command(epilog=EXIT_CODES)
def judge(directory: RunDir) -> None:
    """Judge recorded histories again, offline.

    Kept runs, and what is left of runs that were cut off; with the oracles that exist now.

    \b
    harness judge reports/runs/latest
    """
    from harness import registry
    from harness.run import console, offline

    items = tuple(offline.rejudge(directory, tuple(registry.oracles().values())))
    _print(*console.rejudged_text(items))
    raise typer.Exit(offline.exit_code(items))


@app.command()
def report(directory: RunDir) -> None:
    """Write the reports of a run directory anew.

    \b
    harness report reports/runs/latest
    """
    from harness.run import planrun

    _print(*(f"wrote {path}" for path in planrun.conclude_again(directory).reports))


@app.command(epilog=EXIT_CODES)
def gate(
    directory: RunDir,
    explain: Annotated[bool, typer.Option("--explain", help="Also the numbers behind it.")] = False,
    ignore_known_issues: Unexcused = False,
) -> None:
    """Decide whether the release may go; the exit code is the decision.

    \b
    harness gate reports/runs/latest --explain
    """
    from harness.run import console, planrun

    campaign, decision = planrun.decide_again(directory, ignore_known_issues)
    _print(*console.gate_text(campaign, decision, explain))
    raise typer.Exit(decision.exit_code)


@sim_app.command()
def serve(
    platform: Annotated[PlatformName, typer.Option(help="Bare metal, or a PowerVM guest.")],
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: the system chooses one.")] = 0,
    mutant: Annotated[str, typer.Option(help="A planted defect; see: harness list mutants.")] = "",
) -> None:
    """Serve a simulated host until Ctrl-C.

    It listens on 127.0.0.1; the ssh line by which to look around is printed.

    \b
    harness sim serve --platform powervm
    """
    from harness import registry
    from harness.hosts import urls
    from harness.hosts.simulated import SimulatedServer

    query = f"?mutant={mutant}" if mutant else ""
    urls.check([f"sim://{platform.value}{query}"], registry.mutants)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    server = SimulatedServer.start(platform.value, mutant, port)
    try:
        typer.echo(
            f"{server.door.ssh_command}\ntry: ls /sys/class/cxl, cat FILE, echo TEXT > FILE, dmesg, uname"
        )
        sys.stdout.flush()
        server.process.wait()
        raise InfraError("the simulated host's process ended by itself")
    except KeyboardInterrupt:
        pass
    finally:
        server.stop()


@hosts_app.command(epilog=EXIT_CODES)
def check(url: Annotated[str, typer.Argument(metavar="URL", help=HOST_HELP)]) -> None:
    """Open a host, show what it has, and perform one case that disturbs nothing.

    \b
    harness hosts check sim://powernv
    """
    from harness import registry
    from harness.hosts import urls
    from harness.run import check as checking
    from harness.run import console

    urls.check([url], registry.mutants)
    checked = checking.check_host(urls.opener(url))
    _print(*console.topology_text(checked.topology))
    _print(*console.checked_text(checked))
    raise typer.Exit(checked.exit_code)


@app.command("score", epilog=EXIT_CODES)
def score_(
    out: Annotated[
        Path | None, typer.Option(help="Folder for results; one with results is taken up [default: new].")
    ] = None,
    short: Annotated[bool, typer.Option("--short", help="Named mutants only: a minute or two.")] = False,
    mutant: Annotated[list[str] | None, typer.Option(help="Only this one; may be repeated.")] = None,
    cases: Annotated[int, typer.Option(min=0, help="Most cases of a race. 0: as many as usual.")] = 0,
    sample: Annotated[int, typer.Option(min=-1, help="Generated mutants. -1: as many as usual.")] = -1,
    healthy: Annotated[int, typer.Option(min=0, help="Only this: so many cases without a mutant.")] = 0,
    jobs: Annotated[int, typer.Option(min=0, help="Processes at once. 0: one for each processor.")] = 0,
) -> None:
    """Measure the search: which planted defects it finds, how soon, and how small they become.

    Ours beside a uniform generator and a plain state machine, against named and generated mutants of the
    simulated hosts. Ends with 1 when a target is missed. Ctrl-C leaves a partial table that says so; the
    same command with --out goes on.

    \b
    harness score
    harness score --out reports/score/first
    harness score --short --mutant StaleMmio
    harness score --healthy 200000 --out reports/score/healthy
    """
    from harness.run import console
    from harness.score import command

    chosen = command.extent(short, mutant or (), cases, sample, healthy)
    with console.counting("scoring", "tasks") as watch:
        done = command.perform(chosen, out, jobs, watch)
    _print(done.text.rstrip(), f"wrote {done.path}")
    raise typer.Exit(done.exit_code)


@app.command("list")
def list_(what: Annotated[Listed, typer.Argument(help="What to list.")], as_json: Json = False) -> None:
    """List what there is: events, oracles, mutants or plans.

    \b
    harness list mutants
    """
    from harness.run import listing

    items = listing.LISTS[what.value]()
    if as_json:
        _print(json.dumps([item._asdict() for item in items], indent=1))
        return
    width = max((len(item.name) for item in items), default=0)
    _print(*(f"{item.name:{width}}  {item.title}" for item in items))


@app.command()
def show(case: Annotated[Path, typer.Argument(metavar="CASE", help="A saved case.")]) -> None:
    """Show a saved case as a story, one line a step, and what was found.

    \b
    harness show reports/runs/latest/bugs/NAME.json
    """
    from harness.run import prepare
    from harness.run.story import story

    for path, saved in prepare.read_cases([case]):
        _print(*story(path, saved))


def _print(*lines: str) -> None:
    """Print now. Whoever reads our output may leave early (`| head`), and changes no exit code by that."""
    try:
        sys.stdout.writelines(f"{line}\n" for line in lines)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def main(arguments: list[str] | None = None) -> NoReturn:
    """The command ``harness``: ends the process with a documented exit code, and never with a traceback for a
    user's mistake or for trouble in the lab.
    """
    try:
        code = _exit_code(arguments)
    except Exception:  # noqa: BLE001 - a defect of the harness itself must not look like exit code 1, a bug found
        traceback.print_exc()
        code = ExitCode.INFRA
    sys.exit(code)


def _exit_code(arguments: list[str] | None) -> int:
    try:
        return int(app(arguments, prog_name="harness", standalone_mode=False) or ExitCode.PASS)
    except UsageError as error:
        return _complain(map(str, error.problems), ExitCode.USAGE)
    except InfraError as error:
        return _complain([str(error)], ExitCode.INFRA)
    except typer.TyperException as error:
        return _complain(_advised(error), ExitCode.USAGE)
    except (typer.Abort, KeyboardInterrupt):
        return _complain(["interrupted"], ExitCode.INTERRUPTED)
    except OSError as error:  # a full disk, a directory that may not be written
        return _complain([f"{error.filename or 'the system'}: {error.strerror}"], ExitCode.INFRA)


def _advised(error: typer.TyperException) -> list[str]:
    """The mistake and whose help to read; or the help itself, when a command was called with nothing."""
    said = error.format_message()
    if said.startswith("Usage:"):
        return [said]
    context = getattr(error, "ctx", None)
    return [" ".join(said.split()), f"see: {context.command_path if context else 'harness'} --help"]


def _complain(lines: Iterable[str], code: ExitCode) -> int:
    for line in lines:
        typer.echo(line if line.startswith("Usage:") else f"harness: {line}", err=True)
    return code


if __name__ == "__main__":
    main()
