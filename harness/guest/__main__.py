"""``python -m harness.guest``, which is what ``make guest`` runs: builds the QEMU guest into the cache."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence

from harness.guest import cache, tools
from harness.guest.build import build
from harness.vocab.errors import InfraError
from harness.vocab.verdict import ExitCode

_ABOUT = """Build the QEMU guest from Debian's packages: kernel, programs, our modules, and the driver
redirected to them. It serves both machines, PowerVM and bare metal. What is there already is checked and
kept; an interrupted build goes on where it was."""

_EXIT_CODES = "Exit codes: 0 built, 3 something is missing or failed, 4 usage, 130 interrupted."


def main(arguments: Sequence[str] | None = None) -> int:
    """Build, and return the exit code."""
    parser = argparse.ArgumentParser("python -m harness.guest", description=_ABOUT, epilog=_EXIT_CODES)
    parser.add_argument("--offline", action="store_true", help="ask for nothing newer than what is there")
    parser.add_argument("--missing", action="store_true", help="only print the Debian packages to install")
    try:
        chosen = parser.parse_args(arguments)
    except SystemExit as ended:
        return ExitCode.USAGE if ended.code else ExitCode.PASS
    if chosen.missing:
        print(*tools.missing())
        return ExitCode.PASS
    began_s = time.monotonic()

    def say(step: str) -> None:
        print(f"{time.monotonic() - began_s:7.1f} s  {step}", flush=True)

    say(f"the guest's cache is {cache.root()}")
    try:
        build(say, chosen.offline)
    except InfraError as error:
        print(f"error: {error}", file=sys.stderr)
        return ExitCode.INFRA
    except KeyboardInterrupt:
        print("error: interrupted; `make guest` goes on from what has come", file=sys.stderr)
        return ExitCode.INTERRUPTED
    return ExitCode.PASS


if __name__ == "__main__":
    sys.exit(main())
