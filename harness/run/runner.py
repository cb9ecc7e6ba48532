"""Performs cases on one host, several under way at once where the host allows it, and gives back Histories.

The rules:

1. A case is sent once. When the host is lost, every case under way has trouble, in words, and keeps the
   records that came; it is never sent again.
2. Histories come in the order in which their cases were begun.
3. A host has a deadline for each case; one that says too much, or what the protocol does not allow, is lost.
4. A lost host stays lost until `reopen`.
5. A case that disturbs a card of a lab host which must not be disturbed is refused, and nothing is sent.
"""

from __future__ import annotations

import hashlib
import secrets
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple, Protocol

from harness.hosts.host import Host
from harness.hosts.lab import LabHost, refusals
from harness.run.deadline import Deadline, Stopwatch
from harness.vocab.case import Case
from harness.vocab.errors import InfraError, ProtocolError, UsageError
from harness.vocab.history import History, Intent
from harness.vocab.topology import Topology
from harness.wire import casefile, histfile, lines, sysfs

RECORDS_MAX = 100_000
"""Most records of one case; a host that says more is lost."""
BYTES_MAX = 64 << 20
"""Most bytes of replies to one case."""
DEADLINE_S = 120.0
"""How long a case may take beside what it asks to wait for; on a host whose time is virtual, in all."""

_WAITING_ARGS = ("timeout_ms", "retry_ms", "ms")


class Recording(Protocol):
    """Where the replies of one run are written as they come."""

    def append(self, lines: Sequence[bytes], /) -> None:
        """Add reply lines."""
        ...


class Performance(NamedTuple):
    """One case performed. `trouble` says what the lab did; `digest` is a deterministic host's.

    `took_s` is how long it took since it was begun, with what was under way before it.
    """

    number: int
    case: Case
    seed: int
    history: History
    digest: str
    trouble: str
    took_s: float = 0.0


@dataclass(slots=True)
class _UnderWay:
    """A case that was sent, and what has come of it."""

    number: int
    case: Case
    seed: int
    decoder: lines.Decoder
    history: History
    recording: Recording | None
    stopwatch: Stopwatch = field(default_factory=Stopwatch)
    digest: hashlib._Hash | None = None
    received_bytes: int = 0


class Runner:
    """One host and the cases that are under way on it. Raises InfraError when the host cannot be opened."""

    def __init__(self, opener: Callable[[], Host]) -> None:
        self._opener = opener
        self._run_prefix = secrets.token_hex(4)  # a run's name is never used twice on a host
        self._sent = 0
        self._under_way: deque[_UnderWay] = deque()
        self._unread: list[bytes] = []
        self._trouble = ""
        self._open()

    def _open(self) -> None:
        self.host = self._opener()
        try:
            self.topology: Topology = sysfs.topology(self.host.hello)
        except InfraError:
            self.host.close()
            raise
        self._is_deterministic = "deterministic" in self.topology.features
        self._is_virtual = "virtual-time" in self.topology.features

    @property
    def drawable(self) -> Topology:
        """The topology to draw cases for: what may be disturbed of the host."""
        if not isinstance(self.host, LabHost):
            return self.topology
        allowed = self.host.allowed
        return replace(self.topology, cards=tuple(c for c in self.topology.cards if c.name in allowed))

    def _refuse(self, intents: Sequence[Intent]) -> None:
        if isinstance(self.host, LabHost):
            disturbed = {afu for intent in intents for afu in intent.disturbs}
            if problems := refusals(self.topology, disturbed, self.host.allowed):
                raise UsageError(problems)

    @property
    def is_deterministic(self) -> bool:
        """Whether the same case must give the same history."""
        return self._is_deterministic

    @property
    def url(self) -> str:
        """The host's URL."""
        return self.host.url

    @property
    def is_lost(self) -> bool:
        """Whether the host was lost and has not been reopened."""
        return bool(self._trouble)

    @property
    def under_way(self) -> int:
        """How many cases were begun and not yet collected."""
        return len(self._under_way)

    @property
    def has_room(self) -> bool:
        """Whether another case may be begun now."""
        return not self._trouble and len(self._under_way) < self.host.window

    def begin(
        self,
        case: Case,
        number: int = 0,
        seed: int = 0,
        record: Callable[[int, str, bytes], Recording] | None = None,
        is_recorded: bool = False,
    ) -> None:
        """Send `case`. `number` and `seed` are given back with its Performance.

        `record` is asked for a Recording, with the number, the case's text and the header of its history,
        before anything is sent. With `is_recorded` a deterministic host ends with the decisions that it took.
        A host that is lost meanwhile shows when the case is collected. Raises
        UsageError for a case that this host cannot or must not perform.
        """
        self._sent += 1
        play = lines.encode_play(case, self.topology, f"{self._run_prefix}-{self._sent}", is_recorded)
        intents = lines.intents(case, self.topology)
        self._refuse(intents)
        history = History(case.id, self.topology, intents)
        recording = None
        if record:
            header = histfile.encode_header(case.id, self.url, self.topology, intents)
            recording = record(number, casefile.dump(case), header)
        under_way = _UnderWay(number, case, seed, lines.Decoder(self.topology, intents), history, recording)
        if self._is_deterministic:
            under_way.digest = hashlib.sha256()
        self._under_way.append(under_way)
        if self._trouble:
            return
        try:
            self.host.begin(play)
        except InfraError as error:
            self._lose(str(error))

    def collect(self) -> Performance:
        """Wait for the end of the case that was begun first, or for the host to be lost."""
        current = self._under_way[0]
        deadline = Deadline.after(self._allowed_s(current.case))
        while not self._trouble and not current.decoder.is_finished:
            try:
                self._take(current, deadline)
            except InfraError as error:
                self._lose(str(error))
        self._under_way.popleft()
        history = replace(current.history, records=tuple(current.decoder.records))
        trouble = self._trouble
        if current.decoder.is_finished:
            refusal = history.refusal
            trouble = f"{self.url}: the agent did not play the case: {refusal}" if refusal else ""
        if isinstance(self.host, LabHost) and not trouble and history.renaming:
            self._lose(f"{self.url}: its cards changed their names, so it has to be opened anew")
        digest = current.digest.hexdigest() if current.digest and not trouble else ""
        took_s = current.stopwatch.elapsed_s
        return Performance(current.number, current.case, current.seed, history, digest, trouble, took_s)

    def perform(self, case: Case, number: int = 0, is_recorded: bool = False) -> Performance:
        """Begin `case` and collect it; nothing else may be under way."""
        self.begin(case, number, is_recorded=is_recorded)
        return self.collect()

    def reopen(self) -> None:
        """Open the host anew, once everything under way is collected. Raises InfraError."""
        platform = self.topology.platform
        self.host.close()
        self._unread = []
        self._open()
        if self.topology.platform is not platform:
            self.host.close()
            raise InfraError(f"{self.url} came back as another platform: {self.topology.platform.value}")
        self._trouble = ""

    def close(self) -> None:
        """Leave the host. Never raises."""
        self.host.close()

    def _take(self, current: _UnderWay, deadline: Deadline) -> None:
        """Take in one batch of replies, or the rest of one, as far as it is about `current`."""
        if not self._unread:
            if deadline.is_over:
                raise InfraError(f"{self.url}: case {current.case.id} has not ended in time")
            self._unread = list(self.host.replies(deadline.left_s))
        batch, decoder = self._unread, current.decoder
        try:
            decoder.feed(batch)
        finally:  # what is written is a valid history, up to garbage: the error quotes that
            is_whole = decoder.consumed == len(batch)
            self._unread = [] if is_whole else batch[decoder.consumed :]  # the next case's
            self._note(current, batch if is_whole else batch[: decoder.consumed])
        if len(decoder.records) > RECORDS_MAX or current.received_bytes > BYTES_MAX:
            raise ProtocolError(
                f"{self.url}: too much was said about one case: {len(decoder.records)} records, "
                f"{current.received_bytes} bytes; allowed: {RECORDS_MAX} records, {BYTES_MAX} bytes"
            )

    def _note(self, current: _UnderWay, batch: list[bytes]) -> None:
        if not batch:
            return
        current.received_bytes += sum(map(len, batch))
        if current.digest:
            current.digest.update(b"\n".join((*batch, b"")))
        if current.recording:
            current.recording.append(batch)

    def _lose(self, trouble: str) -> None:
        self._trouble = trouble or f"{self.url}: the host was lost"
        self._unread = []
        self.host.close()

    def _allowed_s(self, case: Case) -> float:
        """How long `case` may take."""
        if self._is_virtual:
            return DEADLINE_S
        waits_ms = 0
        for step in case.steps:
            waits_ms += step.when.after_ms + (step.when.within_ms if step.when.phase else 0)
            for request in step.event.lower(self.topology):
                waits_ms += sum(request.args.get(name, 0) for name in _WAITING_ARGS)
        return DEADLINE_S + waits_ms / 1000
