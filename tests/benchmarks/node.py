"""
A server in a process that answers questions: ``python -m tests.benchmarks.node``.

The first line of the standard input says what to be; each further one is a question,
answered with one line of JSON.  At its end the process ends.
"""

import cProfile
import json
import os
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from autobahn.twisted.websocket import (
    WebSocketServerFactory,
    WebSocketServerProtocol,
)
from twisted.internet import reactor as global_reactor
from twisted.internet.stdio import StandardIO
from twisted.logger import (
    FileLogObserver,
    formatEventAsClassicLogText,
    globalLogBeginner,
)
from twisted.protocols.basic import LineReceiver
from twisted.python.failure import Failure

from socp_twisted.service import NodeService
from socp_twisted.tap import Options, makeService
from tests.fuzz.watched import ReactorWatch

reactor: Any = global_reactor


class NoSigner:
    """A signer that does nothing: what a node costs without its signatures."""

    waiting = 0
    made = 0

    def sign(self, data: bytes, done: Callable[[str], None], lane: int = 0) -> None:
        """Call ``done`` with what has the size of a signature, and is none."""
        done("A" * 683)

    def start(self) -> None:
        """Nothing to do."""

    def stop(self) -> None:
        """Nothing to do."""


class Bare(WebSocketServerProtocol):  # type: ignore[misc]
    """A connection of Autobahn's, with nothing of ours around it."""

    factory: "BareFactory"

    def onOpen(self) -> None:
        """Be one of those to whom everything goes."""
        self.transport.setTcpNoDelay(True)
        self.factory.everybody.append(self)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """Send it to all others."""
        prepared = self.factory.prepareMessage(payload)
        for one in self.factory.everybody:
            if one is not self:
                one.sendPreparedMessage(prepared)


class BareFactory(WebSocketServerFactory):  # type: ignore[misc]
    """Autobahn alone: whatever anybody says goes to everybody else."""

    protocol = Bare
    noisy = False

    def __init__(self) -> None:
        super().__init__()
        self.everybody: list[Bare] = []


def rss() -> int:
    """Return the bytes of memory that this process holds."""
    status = Path("/proc/self/status").read_text().split()
    return int(status[status.index("VmRSS:") + 1]) * 1024


class Questions(LineReceiver):
    """What the measuring process asks."""

    delimiter = b"\n"
    MAX_LENGTH = 1024 * 1024

    def __init__(self) -> None:
        self._service: Any = None
        self._watch: ReactorWatch | None = None

    def lineReceived(self, line: bytes) -> None:
        """Be something, or say how it goes."""
        told = json.loads(line)
        answer = getattr(self, f"do_{told.pop('do')}")(**told)
        self.transport.write(json.dumps(answer).encode("ascii") + b"\n")  # type: ignore[union-attr]

    def do_serve(self, signer: str, options: list[str]) -> dict[str, Any]:
        """Be a node, with its own signer or with one that does nothing."""
        told = Options()
        told.parseOptions(options)
        if signer == "none":
            self._service = NodeService(
                reactor, told.configuration, told.private_key, signer=NoSigner()
            )
        else:
            self._service = makeService(told)
        self._service.startService()
        reactor.addSystemEventTrigger("before", "shutdown", self._service.stopService)
        return {}

    def do_bare(self, port: int) -> dict[str, Any]:
        """Be Autobahn alone."""
        reactor.listenTCP(port, BareFactory(), interface="127.0.0.1", backlog=500)
        return {}

    def do_watch(self) -> dict[str, Any]:
        """Measure the reactor's turns from now on, or anew."""
        if self._watch is None:
            self._watch = ReactorWatch()
            self._watch.install()
        watch = self._watch
        watch.longest_call = watch.longest_turn = watch.longest_wall = 0.0
        watch.longest_collection = 0.0
        watch.heaviest.clear()
        return {}

    def do_see(self) -> dict[str, Any]:
        """Say what this process costs, and what a node has done."""
        used = resource.getrusage(resource.RUSAGE_SELF)
        seen: dict[str, Any] = {
            "at": time.monotonic(),
            "cpu": used.ru_utime + used.ru_stime,
            "rss": rss(),
            "pid": os.getpid(),
        }
        if self._service is not None:
            node = self._service.node
            directory = node.mesh.directory
            seen["made"] = node._signer.made
            seen["users"] = len(directory.user_locations)
            seen["links"] = sum(len(one.links) for one in directory.servers.values())
        if self._watch is not None:
            seen["longest_turn"] = self._watch.longest_turn
            seen["longest_wall"] = self._watch.longest_wall
            seen["longest_collection"] = self._watch.longest_collection
            seen["longest_call"] = self._watch.longest_call
        return seen

    def connectionLost(self, reason: Failure | None = None) -> None:
        """The measuring process is done, or dead."""
        reactor.stop()


def main() -> None:
    """Run until the standard input ends; ``SOCP_PROFILE`` names a file for cProfile."""
    log = open("node.log", "a", encoding="utf-8")  # noqa: SIM115
    observer = FileLogObserver(log, formatEventAsClassicLogText)
    globalLogBeginner.beginLoggingTo([observer], redirectStandardIO=False)
    StandardIO(Questions())
    path = os.environ.get("SOCP_PROFILE")
    if path is None:
        reactor.run()
        return
    profile = cProfile.Profile()
    try:
        profile.runcall(reactor.run)
    finally:
        profile.dump_stats(f"{path}.{os.getpid()}")


if __name__ == "__main__":
    main()
