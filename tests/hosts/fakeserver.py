"""The simulated host's server process, with the tests' own stand-in for the simulator."""

import sys
from pathlib import Path

from harness.hosts import simserver

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))
    from tests.run.fake import FakeSimulated

    sys.exit(simserver.main(sys.argv[1:], FakeSimulated))
