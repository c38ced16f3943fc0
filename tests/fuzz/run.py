"""One run: a node, two honest users, attackers at three doors, and what was found."""

import json
import os
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from twisted.internet import reactor as global_reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.protocol import ProcessProtocol
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from tests.chaos.logs import find_faults
from tests.fuzz.doors import Attacker, crowd
from tests.plain_socp import FOLDERS, key_of
from tests.processes import Ports

reactor: Any = global_reactor

MAX_GROWTH: Final = 96 * 1024 * 1024
"""Bytes of memory for all that is kept on purpose: caches, seen ids, the allocator."""

MAX_P99: Final = 2.0
"""Seconds for an honest message on a machine that fuzzes with its other core."""

WARM: Final = 0.15
"""The share of the time after which memory is measured first."""

STARTING: Final = 30.0


class Child(ProcessProtocol):
    """A process of ours: what it says, and its end."""

    def __init__(self, command: list[str], folder: Path) -> None:
        self.out = bytearray()
        self.ended: Deferred[None] = Deferred()
        self.running = True
        self.code: Any = None
        path = os.pathsep.join(str(Path(entry).absolute()) for entry in sys.path)
        environ = {**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}
        arguments = [sys.executable, "-m", *command]
        reactor.spawnProcess(self, sys.executable, arguments, environ, str(folder))

    @property
    def lines(self) -> list[str]:
        """What it wrote, its standard error included."""
        return self.out.decode("utf-8", "replace").splitlines()

    def outReceived(self, data: bytes) -> None:
        """Keep it."""
        self.out += data

    errReceived = outReceived

    def processEnded(self, reason: Failure) -> None:
        """Note how it ended."""
        value: Any = reason.value
        self.running, self.code = False, value.exitCode or value.signal
        self.ended.callback(None)

    def signal(self, name: str) -> None:
        """Send a signal to this process, and to no other."""
        if self.running:
            self.transport.signalProcess(name)  # type: ignore[union-attr]

    async def end(self, seconds: float) -> None:
        """Wait for its end, and kill it if that does not come."""
        late = time.monotonic() + seconds
        while self.running:
            if time.monotonic() > late:
                self.signal("KILL")
                late += 3600
            await deferLater(reactor, 0.02)


@dataclass(slots=True)
class Findings:
    """What a run found out."""

    attackers: list[Attacker]
    before: dict[str, Any]
    after: dict[str, Any]
    honest: dict[str, Any]
    log_faults: list[tuple[str, str]]
    violations: list[str] = field(default_factory=list)

    def count(self, name: str) -> dict[str, Counter[str]]:
        """Return one of the attackers' counters, by door."""
        counters: dict[str, Counter[str]] = {}
        for attacker in self.attackers:
            counter: Counter[str] = getattr(attacker, name)
            counters.setdefault(attacker.door.name, Counter()).update(counter)
        return counters


async def run(folder: Path, seed: int, seconds: float, pause: float) -> Findings:
    """Do all of it; whatever happens, what was started is ended."""
    folder.mkdir(parents=True, exist_ok=True)
    ports = Ports()
    port = ports.take()
    key = key_of("srv-a")
    [pem] = [path for one in FOLDERS if (path := one / "srv-a.pem").exists()]
    stored = {"private_pem": pem.read_text(), "pub_spki_b64u": key.public}
    (folder / "server_key_srv-a.json").write_text(json.dumps(stored))
    seen = folder / "seen.json"
    options = ["--server-id", "srv-a", "--port", str(port)]
    # Read as fast as it comes: a stranger who is held back does no harm.
    options += ["--max-stranger-frames", "1000"]
    node = Child(["tests.fuzz.watched", str(seen), "", *options], folder)
    honest: Child | None = None
    attackers = list(crowd(reactor, seed, port, pause, 2))
    try:
        await _until(lambda: any(" listening on " in one for one in node.lines), node)
        url = f"ws://127.0.0.1:{port}#{key.public}"
        honest = Child(["tests.fuzz.honest", url, str(folder), "0.25"], folder)
        await _until(lambda: "ready" in honest.lines, honest)
        began = reactor.seconds()
        attacks = [
            Deferred.fromCoroutine(one.attack(began + seconds)) for one in attackers
        ]
        await deferLater(reactor, WARM * seconds)
        before = json.loads(seen.read_text())
        await gatherResults(attacks)
        await deferLater(reactor, 1.0)
        honest.transport.closeStdin()  # type: ignore[union-attr]
        await _until(lambda: honest.lines[-1].startswith("{"), honest)
        await deferLater(reactor, 1.0)
        after = json.loads(seen.read_text())
    finally:
        if honest is not None:
            await honest.end(5)
        node.signal("TERM")
        await node.end(8)
        ports.give_back()
        (folder / "node.log").write_bytes(bytes(node.out))
    result = Findings(
        attackers,
        before,
        after,
        json.loads(honest.lines[-1]),
        find_faults({"node": node.lines}, ()),
    )
    result.violations = list(violations(result))
    _keep_stalls(folder, result)
    return result


def violations(found: Findings) -> list[str]:
    """Return why a run failed; nothing if it did not."""
    honest, after = found.honest, found.after
    checks = {
        "nobody was let in at a door": [
            one.door.name for one in found.attackers if not one.connections
        ],
        "no honest message was sent": not honest["sent"],
        f"{len(found.log_faults)} unexpected lines in the log": found.log_faults,
        f"{len(after['stalls'])} stalls of more than 100 ms": after["stalls"],
        "memory grew": after["rss"] - found.before["rss"] > MAX_GROWTH,
        f"{after['parties']} connections are left": after["parties"] > 0,
        f"users are left: {after['local']}": after["local"],
        "honest messages did not arrive": honest["arrived"] < honest["sent"],
        "honest messages came twice": honest["doubled"],
        f"honest messages were refused: {honest['why']}": honest["failed"],
        "honest users lost their connection": honest["connections lost"],
        "honest users had to wait": honest["p99"] > MAX_P99,
    }
    return [what for what, is_so in checks.items() if is_so]


def _keep_stalls(folder: Path, found: Findings) -> None:
    """Write down what the connections that kept the node busy had sent."""
    busy = [*found.after["stalls"][:20], *found.after["heaviest"]]
    for number, stall in enumerate(busy):
        for attacker in found.attackers:
            sent = attacker.history.get(stall["peer"])
            if sent is not None:
                stall["door"] = attacker.door.name
                stall["last"] = [name for name, _ in sent][-8:]
                path = folder / f"stall-{number}"
                path.write_bytes(b"\n".join(data for _, data in sent))


async def _until(condition: Any, child: Child) -> None:
    late = time.monotonic() + STARTING
    while not condition():
        if not child.running or time.monotonic() > late:
            raise RuntimeError("a process did not do its part:\n" + child.out.decode())
        await deferLater(reactor, 0.02)
