"""Plays a case on the simulated host: lanes, triggers, waits, by the rules of docs/agent-protocol.md."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import orjson

from harness.sim.deciding import Recorded
from harness.sim.driver.fileops import BusError
from harness.sim.lane import Lane, Part, Trigger
from harness.sim.machine import BEGIN_US, Machine, SystemCallError
from harness.sim.scheduler import Flow, Wait, WaitQueue
from harness.sim.surface import Surface

RETRY_US, RETRY_MAX_US = 250_000, 4_000_000
LAST_WAIT_US = 600_000_000
"""How long the end of a case waits for lanes that are still busy: virtual time is free."""

HARNESS = "harness"


class Player:
    """The agent of the simulated host."""

    def __init__(self, machine: Machine, surface: Surface, emit: Callable[[str], None]) -> None:
        self.machine = machine
        self.surface = surface
        self.emit = emit
        self.lanes: dict[str, Lane] = {}
        self.idle = WaitQueue()
        self.performed = 0

    def begin(self, steps: Iterable[Mapping[str, Any]]) -> None:
        """Start to play; the case is over when the scheduler is."""
        parts = [(str(item["who"]), Part(item)) for item in steps]
        for _, part in parts:
            if part.verb == "fork":
                child = str(part.args["child"])
                self.lanes[child] = Lane(child, None)
        for who, _ in parts:
            if who != HARNESS and who not in self.lanes:
                self._bear(Lane(who, self.surface.new_process(who)))
        self.machine.scheduler.spawn(self._conduct(parts), "agent", 99)

    def _bear(self, lane: Lane) -> None:
        assert lane.process is not None
        self.lanes[lane.name] = lane
        lane.task = self.machine.scheduler.spawn(self._live(lane), lane.name, lane.process.pid)

    # Dispatch --------------------------------------------------------------------------------------------

    def _conduct(self, parts: list[tuple[str, Part]]) -> Flow:
        for who, part in parts:
            yield "dispatch"
            if part.when is not None:
                part.trigger = Trigger(self.machine, part.when)
            if who == HARNESS:
                if part.trigger is not None:
                    yield from part.trigger.wait()
                yield from self._perform(who, part, self._harness(part))
                continue
            lane = self.lanes[who]
            child = self.lanes[str(part.args["child"])] if part.verb == "fork" else None
            if lane.is_dead or not (lane.process or lane.is_announced):
                self._reply("info", who, part, {"reason": "actor-gone"})
                if child is not None and not child.is_announced:
                    self._bury(child)  # nobody is left to bear it
                continue
            if child is not None:
                child.is_announced = True
            lane.parts.append(part)
            self.machine.wake(lane.wanted)
        got: dict[str, Any] = {}
        try:
            yield from self._wait_idle(list(self.lanes), LAST_WAIT_US)
        except SystemCallError:
            got["error"] = f"lanes still busy: {', '.join(self._busy(list(self.lanes)))}"
        got["performed"] = self.performed
        decide = self.machine.scheduler.decide
        if isinstance(decide, Recorded):
            got["decisions"], got["options"] = decide.decisions, decide.options
        self.emit(
            f'{{"t":{self.machine.case_us},"is":"end","who":"harness","got":{orjson.dumps(got).decode()}}}'
        )
        self.machine.scheduler.is_over = True

    def _harness(self, part: Part) -> Flow:
        if part.verb == "sleep":
            yield int(part.args["ms"]) * 1000
            return {}
        if part.verb != "wait":
            raise SystemCallError("EOPNOTSUPP")
        wanted = part.args["actors"]
        names = list(self.lanes) if wanted == "all" else [name for name in wanted if name in self.lanes]
        timeout_us = int(part.args["timeout_ms"]) * 1000
        try:
            yield from self._wait_idle(names, timeout_us)
        except SystemCallError:
            if not part.args.get("interrupt"):
                raise
            return {"interrupted": (yield from self._interrupt(names))}
        return {"interrupted": []}

    def _busy(self, names: list[str]) -> list[str]:
        return [name for name in names if not self.lanes[name].is_idle]

    def _wait_idle(self, names: list[str], timeout_us: int) -> Flow:
        deadline_us = self.machine.now_us + timeout_us
        while self._busy(names):
            left_us = deadline_us - self.machine.now_us
            if left_us <= 0:
                raise SystemCallError("ETIMEDOUT")
            yield Wait(self.idle, left_us)

    def _interrupt(self, names: list[str]) -> Flow:
        """Break off whatever blocks, until all lanes are idle; gives the actors that were in a call."""
        interrupted: list[str] = []
        deadline_us = self.machine.now_us + LAST_WAIT_US
        while (busy := self._busy(names)) and self.machine.now_us < deadline_us:
            for name in busy:
                lane = self.lanes[name]
                was_waiting = lane.is_waiting
                is_cut = lane.task is not None and self.machine.scheduler.interrupt(lane.task)
                if is_cut and not was_waiting and name not in interrupted:
                    interrupted.append(name)
            yield Wait(self.idle, 10_000)
        return interrupted

    # Lanes -----------------------------------------------------------------------------------------------

    def _live(self, lane: Lane) -> Flow:
        assert lane.process is not None
        while not lane.is_killed:
            if not lane.parts:
                self.machine.wake(self.idle)
                yield Wait(lane.wanted, is_interruptible=False)
                continue
            part = lane.running = lane.parts.popleft()
            if part.trigger is not None and not (yield from self._is_released(lane, part.trigger)):
                reason = "killed" if lane.is_killed else "not-triggered"
                self._reply("info", lane.name, part, {"reason": reason})
                self._leave_out(lane, part.step, with_always=True)
            else:
                is_ok = yield from self._perform(lane.name, part, self._primitive(lane, part), lane)
                if not is_ok:
                    self._leave_out(lane, part.step, with_always=False)
            if part.verb == "fork":
                self._settle_child(part)
            if not lane.is_killed:
                lane.running = None
        yield from lane.process.exit()
        self._bury(lane)

    def _is_released(self, lane: Lane, trigger: Trigger) -> Flow:
        lane.is_waiting = True
        is_released = yield from trigger.wait()
        lane.is_waiting = False
        return is_released and not lane.is_killed

    def _leave_out(self, lane: Lane, step: int, with_always: bool) -> None:
        dropped = [part for part in lane.parts if part.step == step and (with_always or not part.is_always)]
        for part in dropped:
            lane.parts.remove(part)

    def _bury(self, lane: Lane) -> None:
        lane.is_dead = True
        lane.running = None
        for part in lane.parts:
            self._reply("info", lane.name, part, {"reason": "actor-gone"})
            if part.verb == "fork":
                self._settle_child(part)
        lane.parts.clear()
        self.machine.wake(self.idle)

    def _settle_child(self, part: Part) -> None:
        """A fork is over: a child that it did not bear never comes."""
        lane = self.lanes[str(part.args["child"])]
        if lane.process is None and not lane.is_dead:
            self._bury(lane)

    def _perform(self, who: str, part: Part, body: Flow, lane: Lane | None = None) -> Flow:
        """Perform a part and report it; gives whether it was answered ok."""
        self._reply("invoke", who, part, part.args)
        self.performed += 1
        try:
            kind, got = "ok", (yield from body) or {}
        except SystemCallError as error:
            kind, got = "fail", {"errno": error.errno}
            if error.errno == "ETIMEDOUT" and who == HARNESS:
                got["pending"] = self._busy(list(self.lanes))
        except BusError as error:
            kind, got = "fail", {"signal": "SIGBUS", **(error.args[0] if error.args else {})}
        if lane is not None and lane.is_killed and part.verb != "exit":
            kind, got = "info", {"reason": "killed"}
        self._reply(kind, who, part, got)
        return kind == "ok"

    def _reply(self, kind: str, who: str, part: Part, data: Mapping[str, Any]) -> None:
        key = "args" if kind == "invoke" else "got"
        body = orjson.dumps(data).decode() if data else "{}"
        head = f'{{"t":{self.machine.scheduler.now_us - BEGIN_US},"who":"{who}","is":"{kind}"'
        self.emit(f'{head},"step":{part.step},"part":{part.number},"do":"{part.verb}","{key}":{body}}}')

    # Primitives that concern the player itself -------------------------------------------------------------

    def _primitive(self, lane: Lane, part: Part) -> Flow:
        assert lane.process is not None
        if part.verb == "kill":
            return self._kill(str(part.args["actor"]))
        if part.verb == "stop":
            return self._stop(str(part.args["actor"]))
        if part.verb == "exit":
            return self._exit(lane)
        if part.verb == "fork":
            return self._fork(lane, str(part.args["child"]))
        if "retry_ms" in part.args:
            return self._retry(lane, part)
        return self.surface.primitive(lane.process, part.verb, part.args)

    def _retry(self, lane: Lane, part: Part) -> Flow:
        assert lane.process is not None
        tries, pause_us = 0, RETRY_US
        while True:
            tries += 1
            try:
                got = yield from self.surface.primitive(lane.process, part.verb, part.args)
            except SystemCallError as error:
                is_allowed = error.errno in part.args.get("retry_on", ()) and not lane.is_killed
                if lane.failing_since_us is None:
                    lane.failing_since_us = self.machine.now_us
                deadline_us = lane.failing_since_us + int(part.args["retry_ms"]) * 1000
                if not is_allowed or self.machine.now_us + pause_us > deadline_us:
                    raise
                yield pause_us
                pause_us = min(2 * pause_us, RETRY_MAX_US)
            else:
                lane.failing_since_us = None
                return {**(got or {}), "tries": tries}

    def _kill(self, name: str) -> Flow:
        yield "kill"
        lane = self.lanes.get(name)
        if lane is None or lane.is_dead or lane.process is None:
            raise SystemCallError("ESRCH")
        lane.is_killed = True
        self.machine.wake(lane.wanted)
        if lane.task is not None:
            self.machine.scheduler.interrupt(lane.task)

    def _stop(self, name: str) -> Flow:
        yield "stop"
        lane = self.lanes.get(name)
        if lane is None or lane.is_dead or lane.process is None:
            raise SystemCallError("ESRCH")
        lane.process.is_stopped = True

    def _exit(self, lane: Lane) -> Flow:
        yield "exit"
        assert lane.process is not None
        yield from lane.process.exit()
        lane.is_killed = True

    def _fork(self, lane: Lane, child: str) -> Flow:
        yield "fork"
        assert lane.process is not None
        born = self.lanes[child]
        if born.process is not None or born.is_dead:
            raise SystemCallError("EEXIST")
        born.process = lane.process.fork(child)
        self._bear(born)
        return {"pid": born.process.pid}
