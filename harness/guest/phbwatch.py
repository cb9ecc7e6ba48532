"""The thread that lets the PHBs of a guest do what QEMU's do not: see `phb.py`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from threading import Event, Thread

from harness.guest.phb import Phb
from harness.guest.qtest import Qtest
from harness.vocab.errors import InfraError

PERIOD_S = 0.02
"""How long an injection that was armed may wait."""

THAW_PERIOD_S = 0.1
"""How long it may take until a thaw is noticed. To look costs a frozen guest a millisecond."""


class PhbWatch:
    """Watches PHBs until `stop`, or until QEMU ends. `fault` is a defect that ended it early."""

    def __init__(self, phbs: Sequence[Phb], qtest: Qtest) -> None:
        self.fault: BaseException | None = None
        self._phbs = phbs
        self._qtest = qtest
        self._is_over = Event()
        self._thread = Thread(target=self._watch, name="phbs", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread. Never raises."""
        self._is_over.set()
        self._thread.join()

    def _watch(self) -> None:
        registers = [register for phb in self._phbs for register in phb.injection_registers]
        looked_s = 0.0
        try:
            while not self._is_over.wait(PERIOD_S):
                values = self._qtest.readq(*registers)
                for phb, armed, outbound in zip(self._phbs, values[::2], values[1::2], strict=True):
                    phb.inject(armed, outbound)
                if time.monotonic() - looked_s > THAW_PERIOD_S:
                    looked_s = time.monotonic()
                    for phb in self._phbs:
                        phb.look()
        except InfraError:  # QEMU has ended, which is seen elsewhere
            pass
        except Exception as error:  # noqa: BLE001 a defect here costs the guest: its host says so
            self.fault = error
