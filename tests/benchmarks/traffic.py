"""How do messages flow under load?  Closed loops: what arrives makes room for more."""

import time
from dataclasses import dataclass, field
from typing import Protocol

from socp_twisted.client.outbox import LATER_MS, MANY, MAX_RECEIPTS, SOON_MS
from tests.benchmarks.lines import Line
from tests.benchmarks.words import filler, frame, message


class Loop(Protocol):
    """What traffic needs of whoever serves the connections."""

    lines: dict[str, Line]

    def spend(self, seconds: float) -> None:
        """Serve all connections for so long."""

    def note_error(self, text: bytes) -> None:
        """Count an ERROR."""

    def expect_errors(self, line: Line, text: bytes) -> None:
        """Take what comes to a writer: nothing but errors counts."""


class Flow:
    """Direct messages of many pairs, each with a window of its own."""

    def __init__(self, load: Loop, pairs: list[tuple[str, str]]) -> None:
        self._load = load
        self.going = True
        self.delivered = self.waiting = 0
        self.is_signed = False
        self._frames = [message("MSG_DIRECT", one, other) for one, other in pairs]
        self._writers = [load.lines[one] for one, _ in pairs]
        for number, (one, other) in enumerate(pairs):
            load.lines[one].heard = load.lines[other].heard = self._heard
            load.lines[one].state["pair"] = load.lines[other].state["pair"] = number

    def start(self, window: int) -> None:
        """Fill all windows."""
        for number in range(len(self._frames)):
            for _ in range(window):
                self._write(number)

    def count(self, seconds: float) -> tuple[int, float]:
        """Return what is delivered from now on for so many seconds, and how long."""
        before, began = self.delivered, time.perf_counter()
        self._load.spend(seconds)
        return self.delivered - before, time.perf_counter() - began

    def _write(self, number: int) -> None:
        self.waiting += 1
        self._writers[number].write(self._frames[number].next())

    def _heard(self, line: Line, text: bytes) -> None:
        if b'"USER_DELIVER"' in text:
            self.delivered += 1
            self.is_signed = b'"sig"' in text
        elif b'"ERROR"' in text:
            self._load.note_error(text)
        else:
            return
        self.waiting -= 1
        if self.going:
            self._write(line.state["pair"])


@dataclass(slots=True)
class _Owed:
    """Receipts that a member has not given yet."""

    refs: list[str] = field(default_factory=list)
    since: float = 0.0

    def is_due(self, now: float) -> bool:
        """Say whether a client of this project would give them now."""
        wait = SOON_MS if len(self.refs) <= MANY else LATER_MS
        late = now - self.since >= wait / 1000
        return late or len(self.refs) >= MAX_RECEIPTS


class Broadcast:
    """Messages to everybody; each is over when everybody has it."""

    def __init__(self, load: Loop, sender: str, members: list[str], bare: int) -> None:
        """``bare`` is the size of what a server passes on as it is; else 0."""
        self._load = load
        self._writer = load.lines[sender]
        self._members = [load.lines[name] for name in members]
        self._frames = message("MSG_PUBLIC_CHANNEL", sender, "public")
        self._wanted = b'"MSG_PUBLIC_CHANNEL"'
        if bare:
            self._frames, self._wanted = filler(bare), b""
        self.going = True
        self.delivered = self.size = self._sent = self._window = 0
        for line in self._members:
            line.heard = self._heard
        if not bare:
            self._writer.heard = load.expect_errors
        self._owed = {line.name: _Owed() for line in self._members}

    @property
    def waiting(self) -> int:
        """How many deliveries are still to come."""
        return self._sent * len(self._members) - self.delivered

    def start(self, window: int) -> None:
        """Fill the window."""
        self._window = window
        for _ in range(window):
            self._write()

    def count(self, seconds: float) -> tuple[int, float]:
        """Return what is delivered from now on for so many seconds, and how long."""
        before, began = self.delivered, time.perf_counter()
        self._load.spend(seconds)
        return self.delivered - before, time.perf_counter() - began

    def acknowledge(self) -> None:
        """Send the receipts that are still owed."""
        for line in self._members:
            self._receipts(line)

    def _write(self) -> None:
        self._sent += 1
        self._writer.write(self._frames.next())

    def _heard(self, line: Line, text: bytes) -> None:
        if self._wanted not in text:
            return
        self.delivered += 1
        self.size = len(text)
        at = text.find(b'"msg_id":"')
        if at >= 0:
            owed, now = self._owed[line.name], time.monotonic()
            if not owed.refs:
                owed.since = now
            owed.refs.append(text[at + 10 : text.index(b'"', at + 10)].decode("ascii"))
            if owed.is_due(now):
                self._receipts(line)
        if self.going and self.waiting <= (self._window - 1) * len(self._members):
            self._write()

    def _receipts(self, line: Line) -> None:
        owed, self._owed[line.name] = self._owed[line.name], _Owed()
        if owed.refs:
            line.say(frame("ACK", line.name, "*", {"msg_refs": owed.refs}))
