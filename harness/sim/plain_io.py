"""Traffic through the simulated host's devices without CAPI, as the agent makes it on a real one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.sim.machine import SystemCallError
from harness.sim.plain import GOOD, PlainDevice
from harness.sim.plain_eeh import PlainEeh
from harness.sim.process import Process
from harness.sim.scheduler import Flow

_SETTLE_US = 100_000
_GONE_US = 30_000_000


class PlainIo:
    """The primitives that are about devices."""

    def __init__(self, eeh: PlainEeh) -> None:
        self.eeh = eeh
        self.machine = eeh.machine

    def device(self, bdf: str) -> PlainDevice:
        """The device with that address. Raises SystemCallError ENODEV when it is not there."""
        device = self.eeh.drivers.devices.get(bdf)
        if device is None or not device.is_present:
            raise SystemCallError("ENODEV")
        return device

    def claim(self, args: Mapping[str, Any]) -> Flow:
        """Nothing of a simulated host is used by itself."""
        yield "claim"
        self.device(args["device"])

    def freeze(self, details: Mapping[str, Any]) -> None:
        """The console freezes the EEH PE of a device."""
        self.device(details["device"]).hardware.freeze()

    def numbered(self, text: str, bdf: str) -> str:
        """`text` with the number of the device's EEH PE. Raises SystemCallError ENODEV."""
        return text.replace("{eeh_pe}", f"{self.eeh.eeh_pes[self.device(bdf).name].number:x}")

    def traffic(self, process: Process, args: Mapping[str, Any]) -> Flow:
        """Request after request, until the time is over, enough were good in a row, or it is stopped."""
        machine, device = self.machine, self.eeh.drivers.devices.get(args["device"])
        if device is None:
            raise SystemCallError("ENODEV")
        process.is_stopped = False
        until_us = machine.now_us + int(args["for_ms"]) * 1000
        if args.get("settle") and not (yield from self._settle(device, until_us)):
            return {"runs": []}
        runs: list[list[Any]] = []
        wanted, in_a_row = args.get("good", 0), 0
        while machine.now_us < until_us and not process.is_stopped:
            outcome = yield from self.eeh.drivers.request(device)
            if runs and runs[-1][0] == outcome:
                runs[-1][1] += 1
                runs[-1][3] = machine.case_us
            else:
                runs.append([outcome, 1, machine.case_us, machine.case_us])
            in_a_row = in_a_row + 1 if outcome == GOOD else 0
            if wanted and in_a_row >= wanted:
                break
            yield max(1, int(args.get("pause_ms", 0)) * 1000)
        return {"runs": runs}

    def _settle(self, device: PlainDevice, until_us: int) -> Flow:
        """Wait until EEH is done with it; False when it is not in time, or the device stays away."""
        seen_us = self.machine.now_us
        while self.machine.now_us < until_us and self.machine.now_us - seen_us <= _GONE_US:
            if self._is_settled(device):
                return True
            if device.is_present:
                seen_us = self.machine.now_us
            yield _SETTLE_US
        return False

    def _is_settled(self, device: PlainDevice) -> bool:
        eeh_pe = self.eeh.eeh_pes[device.name]
        return device.is_present and not (eeh_pe.is_isolated or eeh_pe.is_recovering)
