"""
Real nodes: ``twistd socp`` as child processes, their logs, and their ends.

Nothing sleeps: a test waits for a condition, asked again with each line that any
process logs and each frame that any connection brings.
"""

import json
import os
import re
import signal
import socket
import sys
import time
from collections.abc import Coroutine, Iterable
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any, Final, TypeVar

from twisted.internet import reactor as global_reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.interfaces import IProcessTransport
from twisted.internet.process import Process
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from tests.plain_socp import FOLDERS, Key, key_of
from tests.sockets import Stranger, Watch

T = TypeVar("T")

# The module has the reactor's methods only once one is installed; mypy has none.
reactor: Any = global_reactor

TWISTD: Final = ("-P", "-c", "from twisted.scripts.twistd import run; run()", "-n")
START: Final = 20.0
"""Seconds in which a process must listen; a busy machine takes a few."""

_LINE: Final = re.compile(r"\S+ \[([^\]#]*)#?(\w*)\] (.*)")
_LINKED: Final = re.compile(r"linked to (\S+) (?:at wss?://\S+|from \S+)")
_LOST: Final = re.compile(r"lost (\S+): .+")


class Ports:
    """Ports of the loopback that nobody else takes, not even before they are used."""

    def __init__(self) -> None:
        self._held: list[socket.socket] = []

    def take(self) -> int:
        """Return a port that a process with SO_REUSEADDR can listen on."""
        # Bound, not listening: connections are refused, and no outgoing connection
        # gets this port for its own and ends up talking to itself.
        held = socket.socket()
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        self._held.append(held)
        return int(held.getsockname()[1])

    def give_back(self) -> None:
        """Let all of them go."""
        for held in self._held:
            held.close()


class NodeProcess(ProcessProtocol):
    """One node, through as many processes as it is started in."""

    def __init__(self, name: str, port: int, folder: Path, watch: Watch) -> None:
        """Prepare a node whose key is a test key; ``start`` starts it."""
        self.name, self.port, self.folder = name, port, folder
        self.key: Key = key_of(name)
        self._watch = watch
        self.options: list[str] = []
        self.running = False
        self.code: int | None = None
        """The exit code, or the signal that ended it as a negative number."""
        self.lines: list[str] = []
        """What the last process logged, without time and origin."""
        self.levels: list[str] = []
        self.errors = ""
        """What it wrote to its standard error."""
        self.listening_at = 0.0
        """When it said so, by ``time.monotonic()``."""
        self.links: set[str] = set()
        """The servers that it is linked to, as its log says."""
        self.linked_at = 0.0
        """When it said that of the last one."""
        self._rest = b""

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"ws://127.0.0.1:{self.port}"

    @property
    def pinned(self) -> str:
        """Its entry in a bootstrap list."""
        return f"{self.url}#{self.key.public}"

    def configure(self, bootstrap: Iterable["NodeProcess"], *options: str) -> None:
        """Write the key file, and remember the command line."""
        self.folder.mkdir()
        keyfile = self.folder / f"server_key_{self.name}.json"
        [pem] = [path for one in FOLDERS if (path := one / f"{self.name}.pem").exists()]
        stored = {"private_pem": pem.read_text(), "pub_spki_b64u": self.key.public}
        keyfile.write_text(json.dumps(stored))
        self.options = ["--server-id", self.name, "--port", str(self.port), *options]
        urls = [other.pinned for other in bootstrap]
        if urls:
            self.options += ["--bootstrap", *urls]

    def start(self) -> None:
        """Start a process."""
        assert not self.running
        self.lines, self.levels, self.errors, self._rest = [], [], "", b""
        self.links, self.code, self.running = set(), None, True
        path = os.pathsep.join(str(Path(entry).absolute()) for entry in sys.path)
        environ = {**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}
        command = [sys.executable, *TWISTD, "socp", *self.options]
        # The working folder is the node's, where its key file and database lie.
        reactor.spawnProcess(
            self, sys.executable, command, environ, str(self.folder.absolute())
        )

    def signal(self, name: str) -> None:
        """Send a signal to this process, and to no other."""
        transport: IProcessTransport = self.transport  # type: ignore[assignment]
        transport.signalProcess(int(getattr(signal, f"SIG{name}")))

    @property
    def pid(self) -> int:
        """The process id."""
        assert isinstance(self.transport, Process) and self.transport.pid
        return self.transport.pid

    def said(self, pattern: str) -> list[str]:
        """Return the lines that a regular expression matches as a whole."""
        return [line for line in self.lines if re.fullmatch(pattern, line)]

    @property
    def listening(self) -> bool:
        """Whether it said that it listens."""
        line = f"[SOCP] server {self.name} listening on {self.url}"
        return self.running and line in self.lines

    def story(self) -> str:
        """Return the log, for whoever reads of a failed test."""
        return f"--- {self.name} {self.code}\n" + "\n".join(self.lines) + self.errors

    # -- what Twisted calls ------------------------------------------------------------

    def outReceived(self, data: bytes) -> None:
        """Take what was logged."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._logged(line.decode("utf-8", "replace"))
        self._watch.changed()

    def errReceived(self, data: bytes) -> None:
        """Take complaints."""
        self.errors += data.decode("utf-8", "replace")

    def processEnded(self, reason: Failure) -> None:
        """Take the end."""
        value: Any = reason.value
        self.running = False
        self.links = set()
        self.code = -value.signal if value.signal is not None else value.exitCode
        self._watch.changed()

    def _logged(self, line: str) -> None:
        found = _LINE.fullmatch(line)
        level, text = (found[2], found[3]) if found else ("", line)
        self.lines.append(text)
        self.levels.append(level)
        if " listening on " in text:
            self.listening_at = time.monotonic()
        elif linked := _LINKED.fullmatch(text):
            self.links.add(linked[1])
            self.linked_at = time.monotonic()
        elif lost := _LOST.fullmatch(text):
            self.links.discard(lost[1])


def is_mesh(nodes: Iterable[NodeProcess]) -> bool:
    """Say whether each of these nodes says that it is linked to all the others."""
    nodes = list(nodes)
    names = {node.name for node in nodes}
    return all(node.links >= names - {node.name} for node in nodes)


def connections(nodes: Iterable[NodeProcess]) -> dict[frozenset[str], int]:
    """Count the TCP connections of each pair of nodes, as the kernel sees them."""
    nodes = list(nodes)
    ends: dict[str, set[tuple[str, str]]] = {node.name: set() for node in nodes}
    for node in nodes:
        inodes = set()
        for descriptor in Path(f"/proc/{node.pid}/fd").iterdir():
            try:
                target = os.readlink(descriptor)
            except FileNotFoundError:  # closed since it was listed
                continue
            if target.startswith("socket:["):
                inodes.add(target.removeprefix("socket:[").rstrip("]"))
        for row in Path(f"/proc/{node.pid}/net/tcp").read_text().splitlines()[1:]:
            _, local, remote, state, *rest = row.split()
            if state == "01" and rest[5] in inodes:  # established, and this process's
                ends[node.name].add((local, remote))
    return {
        frozenset(pair): sum(
            (remote, local) in ends[pair[1]] for local, remote in ends[pair[0]]
        )
        for pair in combinations(ends, 2)
    }


def is_single(nodes: Iterable[NodeProcess]) -> bool:
    """Say whether each pair of nodes has one connection, not none and not two."""
    return set(connections(nodes).values()) == {1}


class ProcessTestCase(TestCase):
    """Tests with real processes and sockets; whatever they start ends with them."""

    timeout = 110

    def setUp(self) -> None:
        """Hold ports, and watch."""
        self.watch = Watch(reactor)
        self.ports = Ports()
        self.addCleanup(self.ports.give_back)
        self.addCleanup(self.watch.stop)
        self._home = Path(self.mktemp())
        self._home.mkdir(parents=True)
        self._nodes = 0

    def node(self, name: str) -> NodeProcess:
        """Return a node that is not started yet, with a port and a folder."""
        self._nodes += 1
        folder = self._home / f"{name}-{self._nodes}"
        node = NodeProcess(name, self.ports.take(), folder, self.watch)
        self.addCleanup(self._end, node)
        return node

    def nodes(self, names: str, *options: str) -> list[NodeProcess]:
        """Return nodes of which each has all the others for introducers."""
        nodes = [self.node(f"srv-{letter}") for letter in names]
        for node in nodes:
            node.configure([one for one in nodes if one is not node], *options)
        return nodes

    async def start(self, *nodes: NodeProcess) -> None:
        """Start processes at the same time, and wait until all of them listen."""
        for node in nodes:
            node.start()
        await self.until(lambda: all(node.listening for node in nodes), START, *nodes)

    async def kill(self, *nodes: NodeProcess) -> None:
        """End processes as SIGKILL does, and wait until they are gone."""
        for node in nodes:
            node.signal("KILL")
        await self.until(lambda: not any(node.running for node in nodes), 5, *nodes)

    async def until(self, condition: Any, seconds: float, *nodes: NodeProcess) -> None:
        """Wait for a condition; the nodes' logs say what happened instead."""

        def story() -> str:
            return "\n".join(node.story() for node in nodes)

        await self.watch.until(condition, seconds, story)

    async def meshed(self, nodes: Iterable[NodeProcess], seconds: float) -> float:
        """
        Wait until each pair has one link, and return how long it took.

        The time is counted from the moment at which the last of them listened.
        """
        nodes = list(nodes)
        began = max(node.listening_at for node in nodes)
        await self.until(lambda: is_mesh(nodes), seconds, *nodes)
        took = max(node.linked_at for node in nodes) - began
        await self.single(nodes)
        return took

    async def single(self, nodes: Iterable[NodeProcess]) -> None:
        """Wait until no pair has a second connection: closing one takes a moment."""
        nodes = list(nodes)
        for _ in range(50):
            if is_single(nodes):
                return
            await self.after(0.1)
        self.fail(f"not one connection for each pair: {connections(nodes)}")

    async def after(self, seconds: float) -> None:
        """Let time pass that is itself the subject: a gap, or a hang."""
        passed: Deferred[None] = Deferred()
        reactor.callLater(seconds, passed.callback, None)
        await passed

    async def dial(self, key: Key, node: NodeProcess) -> Stranger:
        """Connect as the owner of a key, with somebody else's WebSocket library."""
        return await dial(self, self.watch, key, node.url, node.port)

    async def user(self, owner: str, node: NodeProcess, *, key: str = "") -> Stranger:
        """
        Connect a user who shows their key as the standard's hello can: signed.

        There are few test keys: ``key`` names another owner's to be used.
        """
        stranger = await self.dial(replace(key_of(key or owner), owner=owner), node)
        hello = {"client": "test", "pubkey": stranger.key.public}
        hello["enc_pubkey"] = stranger.key.public
        stranger.say("USER_HELLO", node.name, hello)
        await stranger.hear("USER_HELLO_ACK", status="ok")
        return stranger

    async def peer(self, name: str, node: NodeProcess) -> Stranger:
        """Join as a server of others, which listens nowhere."""
        stranger = await self.dial(key_of(name), node)
        where = {"host": "127.0.0.1", "port": self.ports.take()}
        hello = {**where, "pubkey": stranger.key.public}
        stranger.say("SERVER_HELLO_JOIN", f"127.0.0.1:{node.port}", hello)
        await stranger.hear("SERVER_WELCOME", assigned_id=name)
        stranger.say("SERVER_HELLO_LINK", node.name, hello)
        return stranger

    async def sees(
        self, user: Stranger, expected: dict[str, str], seconds: float = 5
    ) -> None:
        """Wait until a user is told of these users, each on this server."""
        late = time.monotonic() + seconds
        while (found := await user.online()) != expected:
            if time.monotonic() > late:
                self.assertEqual(found, expected, f"as {user.name} sees it")
            await self.after(0.1)

    async def _end(self, node: NodeProcess) -> None:
        if node.running:
            await self.kill(node)


async def dial(case: TestCase, watch: Watch, key: Key, url: str, port: int) -> Stranger:
    """Open a WebSocket; ``case`` breaks it when it ends."""
    stranger = Stranger(key, url, watch)
    case.addCleanup(broken, watch, stranger)
    await connectProtocol(TCP4ClientEndpoint(reactor, "127.0.0.1", port), stranger)
    await watch.until(lambda: stranger.open, 10, stranger.story)
    return stranger


async def broken(watch: Watch, stranger: Stranger) -> None:
    """Break a connection, and wait until it is."""
    if stranger.connected and stranger.closed is None:
        stranger.abort()
        await watch.until(lambda: stranger.closed, 5)


async def together(*tasks: Coroutine[Any, Any, T]) -> list[T]:
    """Wait for several coroutines that go on at the same time."""
    started = [Deferred.fromCoroutine(task) for task in tasks]
    return await gatherResults(started, consumeErrors=True)
