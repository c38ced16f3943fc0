"""One run: a node, two honest users, a crowd, and what it cost."""

import ast
import json
import os
import resource
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from twisted.internet import reactor as global_reactor
from twisted.internet.task import LoopingCall, deferLater

from socp_twisted.wire.limits import Limits
from tests.chaos.logs import find_faults
from tests.crowd.callers import Crowd, Kind
from tests.fuzz.run import Child
from tests.plain_socp import key_of
from tests.processes import NodeProcess, Ports
from tests.sockets import Watch

reactor: Any = global_reactor

CACHES: Final = 96 * 1024 * 1024
"""Bytes for what is kept on purpose: signatures, seen ids, frames that wait for a
signature, and what the allocator does not give back."""

EACH: Final = 48 * 1024
"""Bytes for one connection: its objects, 4 KiB of a bite, what waits to be parsed."""

STARTING: Final = 30.0
PAUSE: Final = 0.25
"""Seconds between two messages of each honest user."""


@dataclass(slots=True)
class Memory:
    """The resident memory of a process, in bytes."""

    pid: int
    before: int = 0
    peak: int = 0
    after: int = 0

    def read(self) -> int:
        """Return it now."""
        status = Path(f"/proc/{self.pid}/status").read_text().split()
        now = int(status[status.index("VmRSS:") + 1]) * 1024
        self.peak = max(self.peak, now)
        return now


@dataclass(slots=True)
class Findings:
    """What a run found out."""

    kinds: list[Kind]
    open_at_end: dict[str, int] = field(default_factory=dict)
    memory: Memory = field(default_factory=lambda: Memory(0))
    bound: int = 0
    counters: dict[str, int] = field(default_factory=dict)
    files: tuple[int, int] = (0, 0)
    """Descriptors of the node before and after."""
    calm: list[float] = field(default_factory=list)
    crowded: list[float] = field(default_factory=list)
    """Latencies in seconds, sorted."""
    honest: dict[str, Any] = field(default_factory=dict)
    log_faults: list[tuple[str, str]] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)


def allow_files() -> None:
    """Lift the soft limit of open files to the hard one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def run(
    folder: Path, silent: int, flooding: int, unreading: int, seconds: float
) -> Findings:
    """Do all of it; whatever happens, what was started is ended."""
    allow_files()
    folder.mkdir(parents=True, exist_ok=True)
    watch, ports = Watch(reactor), Ports()
    node = NodeProcess("srv-a", ports.take(), folder / "srv-a", watch)
    node.configure(())
    node.start()
    honest: Child | None = None
    crowd = Crowd(node.port, key_of("srv-j"), silent, flooding, unreading)
    found = Findings(crowd.kinds)
    try:
        await watch.until(lambda: node.listening, STARTING, node.story)
        honest = Child(
            ["tests.fuzz.honest", node.pinned, str(folder), str(PAUSE)], folder
        )
        child = honest
        await _until(lambda: "ready" in child.lines or not child.running)
        memory = found.memory = Memory(node.pid)
        await deferLater(reactor, 0.2 * seconds)
        memory.before, files = memory.read(), _files(node.pid)
        began = time.monotonic()
        reading = LoopingCall(memory.read)
        crowd.start()
        reading.start(0.1)
        await deferLater(reactor, 0.7 * seconds)
        ended = time.monotonic()
        found.open_at_end = {kind.name: kind.tally.open for kind in crowd.kinds}
        crowd.stop()
        await deferLater(reactor, 0.1 * seconds)
        honest.transport.closeStdin()  # type: ignore[union-attr]
        await honest.end(30)
        # Those whom it closes itself may take GOODBYE to go.
        late = time.monotonic() + 8
        while _files(node.pid) > files and time.monotonic() < late:
            await deferLater(reactor, 0.2)
        reading.stop()
        memory.after, found.files = memory.read(), (files, _files(node.pid))
    finally:
        crowd.stop()
        if honest is not None and honest.running:
            honest.signal("KILL")
            await honest.end(5)
        await _end(node)
        ports.give_back()
        watch.stop()
        (folder / "node.log").write_text("\n".join(node.lines), "utf-8")
        if honest is not None:
            (folder / "honest.log").write_bytes(bytes(honest.out))
    found.counters = _counters(node)
    found.log_faults = find_faults({"node": node.lines}, ())
    if not honest.lines or not honest.lines[-1].startswith("{"):
        raise RuntimeError("the honest users failed:\n" + honest.out.decode())
    found.honest = json.loads(honest.lines[-1])
    times = json.loads(honest.lines[-2])["times"]
    found.calm = sorted(seen - sent for sent, seen in times if sent < began)
    found.crowded = sorted(seen - sent for sent, seen in times if began <= sent < ended)
    limits = Limits()
    found.bound = (
        CACHES + EACH * (silent + flooding + unreading) + unreading * limits.queued
    )
    found.violations = list(violations(found))
    return found


def violations(found: Findings) -> list[str]:
    """Return why a run failed; nothing if it did not."""
    honest, memory = found.honest, found.memory
    grown = memory.peak - memory.before
    checks = {
        "honest messages were lost": honest["arrived"] < honest["sent"],
        "honest messages came twice": honest["doubled"],
        f"honest messages were refused: {honest['why']}": honest["failed"],
        "an honest user was disconnected": honest["connections lost"],
        "no honest message was sent meanwhile": not found.crowded,
        f"memory grew by {grown} bytes": grown > found.bound,
        f"connections are left: {found.files}": found.files[1] > found.files[0] + 4,
        f"{len(found.log_faults)} unexpected lines in the log": found.log_faults,
        "somebody of the crowd never came": [
            kind.name for kind in found.kinds if kind.tally.opened < kind.count
        ],
    }
    return [what for what, is_so in checks.items() if is_so]


def _files(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def _counters(node: NodeProcess) -> dict[str, int]:
    """Return what the node said last of its counters."""
    said = [line for line in node.lines if line.startswith("so far: ")]
    return dict(ast.literal_eval(said[-1].removeprefix("so far: "))) if said else {}


async def _until(condition: Any) -> None:
    late = time.monotonic() + STARTING
    while not condition() and time.monotonic() < late:
        await deferLater(reactor, 0.02)


async def _end(node: NodeProcess) -> None:
    late = time.monotonic() + 10
    if node.running:
        node.signal("TERM")
    while node.running:
        if time.monotonic() > late:
            node.signal("KILL")
            late += 3600
        await deferLater(reactor, 0.02)
