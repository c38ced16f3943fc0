"""Do three real servers find each other, and does nothing stay behind?"""

import os
import re
import socket
import sys
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.interfaces import IProcessTransport
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from tests.keyfiles import write_key_file

NAMES = ("srv-a", "srv-b", "srv-c")
PROGRAM = "import sys; from socp_twisted.command import main; sys.exit(main())"


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on."""
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


class MeshProcess(ProcessProtocol):
    """One ``socp mesh``; ``ended`` fires with its exit code."""

    transport: IProcessTransport

    def __init__(self) -> None:
        self.out = self.err = ""
        self.ended: Deferred[int | None] = Deferred()
        self._awaited: list[tuple[re.Pattern[str], Deferred[None]]] = []

    def outReceived(self, data: bytes) -> None:
        """Note what it says, and tell who waits for that."""
        self.out += data.decode()
        for awaited in list(self._awaited):
            words, deferred = awaited
            if words.search(self.out):
                self._awaited.remove(awaited)
                deferred.callback(None)

    def errReceived(self, data: bytes) -> None:
        """Note its last words."""
        self.err += data.decode()

    def processEnded(self, reason: Failure) -> None:
        """Fail who still waits for words: they will not come."""
        for _, deferred in self._awaited:
            deferred.errback(AssertionError(f"it ended first: {self.out}{self.err}"))
        self._awaited = []
        self.ended.callback(getattr(reason.value, "exitCode", None))

    def says(self, words: str) -> Deferred[None]:
        """Wait until it has said something that matches ``words``."""
        deferred: Deferred[None] = Deferred()
        self._awaited.append((re.compile(words, re.MULTILINE), deferred))
        self.outReceived(b"")
        return deferred

    def signal(self, name: str) -> None:
        """Send a signal, unless it has ended."""
        try:
            self.transport.signalProcess(name)
        except ProcessExitedAlready:
            return


class MeshTests(TestCase):
    """``socp mesh`` runs three servers until it is told to stop, or one ends."""

    timeout = 45

    def setUp(self) -> None:
        """Three free ports, and a folder with three keys."""
        self.folder = Path(self.mktemp()).resolve()
        self.folder.mkdir()
        for name in NAMES:
            write_key_file(self.folder / f"server_key_{name}.json", name)
        self.ports = free_ports(len(NAMES))

    def mesh(self) -> MeshProcess:
        """Start it; whatever the test does, it ends with the test."""
        process = MeshProcess()
        path = os.pathsep.join(str(Path(entry).absolute()) for entry in sys.path)
        ports = map(str, self.ports)
        reactor.spawnProcess(
            process,
            sys.executable,
            [
                *(sys.executable, "-P", "-c", PROGRAM, "mesh"),
                *("--dir", str(self.folder), "--ports", *ports),
            ],
            env={**os.environ, "PYTHONPATH": path},
            path=str(self.folder),
        )

        async def end() -> None:
            process.signal("TERM")
            if not process.ended.called:
                await process.ended

        self.addCleanup(lambda: Deferred.fromCoroutine(end()))
        return process

    def assertRefused(self) -> None:
        """Nobody listens on any of the ports."""
        for port in self.ports:
            with socket.socket() as one:
                self.assertNotEqual(one.connect_ex(("127.0.0.1", port)), 0)

    async def test_mesh(self) -> None:
        """The first one fails, tries again and succeeds; all end with exit code 0."""
        process = self.mesh()
        a, b, c = (f"ws://127.0.0.1:{port}" for port in self.ports)
        for name, url in zip(NAMES, (a, b, c), strict=True):
            await process.says(
                rf"^{name} \| .*\[SOCP\] server {name} listening on {url}$"
            )
        await process.says(f"socp chat {a} --user alice")
        failed = (
            f"[bootstrap] attempting to connect to {b} (attempt 1/10)",
            f"[bootstrap] failed to connect {b} (attempt 1/10): ",
            "[bootstrap] retrying in 5 seconds...",
        )
        for words in failed:
            self.assertRegex(process.out, rf"(?m)^srv-a \| .*{re.escape(words)}")
        # Each pair of servers meets, whichever of the two was the one that dialled.
        met = {
            frozenset(("srv-a", "srv-b")): (("srv-a", b), ("srv-b", a)),
            frozenset(("srv-a", "srv-c")): (("srv-a", c), ("srv-c", a)),
            frozenset(("srv-b", "srv-c")): (("srv-b", c), ("srv-c", b)),
        }
        for either in met.values():
            words = "|".join(
                rf"^{name} \| .*\[bootstrap\] successfully connected to {url}$"
                for name, url in either
            )
            await process.says(words)
        process.signal("INT")
        process.signal("INT")  # impatience changes nothing
        self.assertEqual(await process.ended, 0)
        self.assertEqual(process.err, "")
        self.assertRefused()
        self.assertEqual(list(self.folder.glob("*.pid")), [])

    async def test_one_ends(self) -> None:
        """A server that ends on its own takes the others with it, in one sentence."""
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            self.ports[1] = taken.getsockname()[1]
            process = self.mesh()
            self.assertEqual(await process.ended, 1)
        self.assertEqual(
            process.err,
            "socp mesh: srv-b ended on its own (exit code 1); "
            "the other servers are stopped too\n",
        )
        self.assertRegex(process.out, rf"(?m)^srv-b \| .*{self.ports[1]}")
        self.assertNotIn("Traceback", process.out)
        self.assertRefused()

    async def test_stopped_early(self) -> None:
        """SIGTERM while the first one starts: nothing else is started."""
        process = self.mesh()
        await process.says(r"srv-a \|")
        process.signal("TERM")
        self.assertEqual(await process.ended, 0)
        self.assertNotIn("srv-b |", process.out)
        self.assertRefused()
