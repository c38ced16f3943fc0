"""``socp mesh``: how do three servers on this machine find each other?  (SOCP 8.1)"""

import argparse
import contextlib
import os
import re
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any, Final, NoReturn

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.error import ProcessExitedAlready, ReactorNotRunning
from twisted.internet.interfaces import IProcessTransport
from twisted.internet.protocol import ProcessProtocol
from twisted.internet.task import react
from twisted.python.failure import Failure

from socp_twisted.configuration import (
    DB_VARIABLE,
    DEFAULT_HOST,
    DEFAULT_PORT,
    KEYFILE_VARIABLE,
    default_keyfile,
)
from socp_twisted.errors import ConfigurationError
from socp_twisted.trust.keyfile import load_or_make_key_file
from socp_twisted.wire.addresses import join_url

SUMMARY: Final = "run three servers on this machine, each a 'twistd -n socp'"

NAMES: Final = ("srv-a", "srv-b", "srv-c")
APART: Final = 3.0
"""Seconds between two starts: long enough to see the first one fail and try again."""

PATIENCE: Final = 5.0
"""Seconds that a node has for its own end before it is killed."""

# Not the twistd script, which may lie anywhere.  A process group of its own: Ctrl-C is
# for us, and a second signal on top of ours makes Twisted log a traceback.
_TWISTD: Final = (
    "-P",
    "-c",
    "import os; os.setpgid(0, 0); from twisted.scripts.twistd import run; run()",
    "-n",
)
_COLOURS: Final = ("\x1b[36m", "\x1b[33m", "\x1b[35m")
_PLAIN: Final = "\x1b[0m"
_MAX_LINE: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Plan:
    """One server of the demonstration: its name, its address and its files."""

    server_id: str
    port: int
    folder: Path

    @property
    def url(self) -> str:
        """Return where it listens."""
        return join_url("ws", DEFAULT_HOST, self.port)

    @property
    def keyfile(self) -> Path:
        """Return the file of its key."""
        return self.folder / default_keyfile(self.server_id, self.port)

    def arguments(self, introducers: Sequence[str]) -> list[str]:
        """Return the command line of its process, after the interpreter."""
        return [
            *_TWISTD,
            *("--pidfile", str(self.folder / f"socp-{self.server_id}.pid")),
            "socp",
            *("--server-id", self.server_id),
            *("--port", str(self.port)),
            *("--keyfile", str(self.keyfile)),
            *("--db", str(self.folder / f"socp-{self.server_id}.db")),
            *("--bootstrap", *introducers),
        ]


_LOG_LINE: Final = re.compile(r"[\d-]+T([\d:]+)\S* \[\S+\] (.*)", re.DOTALL)


def _short(line: str) -> str:
    """Return a log line with its time of day, without its date and its logger."""
    match = _LOG_LINE.match(line)
    return f"{match[1]} {match[2]}" if match else line


class NodeProcess(ProcessProtocol):
    """One running server: its lines go to the mesh, its end fires ``ended``."""

    transport: IProcessTransport

    def __init__(self, mesh: "Mesh", plan: Plan) -> None:
        self.plan = plan
        self.ended: Deferred[None] = Deferred()
        self._mesh = mesh
        self._started_lines: dict[int, bytes] = {}

    def connectionMade(self) -> None:
        """Leave it without an input: it asks nothing."""
        self.transport.closeStdin()

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        """Cut what the server logs into lines, whichever way it came."""
        *lines, rest = (self._started_lines.get(childFD, b"") + data).split(b"\n")
        if len(rest) > _MAX_LINE:
            lines.append(rest)
            rest = b""
        self._started_lines[childFD] = rest
        for line in lines:
            self._mesh.tell(self.plan, line.decode("utf-8", "replace"))

    def processEnded(self, reason: Failure) -> None:
        """Hand on the last line, which may have no end, and say how it ended."""
        for line in filter(None, self._started_lines.values()):
            self._mesh.tell(self.plan, line.decode("utf-8", "replace"))
        status: Any = reason.value  # ProcessDone or ProcessTerminated
        how = (
            f"exit code {status.exitCode}"
            if status.signal is None
            else f"signal {status.signal}"
        )
        self.ended.callback(None)
        self._mesh.lost(self.plan, how)


class Mesh:
    """Starts the servers one after the other, shows what they log, and ends them."""

    def __init__(
        self, reactor: Any, plans: Sequence[Plan], pins: Sequence[str]
    ) -> None:
        self._reactor = reactor
        self._plans = plans
        self._pins = pins
        self._running: list[NodeProcess] = []
        self._silent: set[str] = {plan.server_id for plan in plans}
        self._stopping = False
        self._over: Deferred[str] = Deferred()
        self._colours = dict(zip(NAMES, cycle(_COLOURS), strict=False))
        self._coloured = sys.stdout.isatty() and not os.environ.get("NO_COLOR")

    def start(self) -> Deferred[str]:
        """Start all; the result is how the first one ended that ended on its own."""
        for number, plan in enumerate(self._plans):
            self._reactor.callLater(number * APART, self._spawn, plan)
        return self._over

    def tell(self, plan: Plan, line: str) -> None:
        """Show one line of a server's log, and how to chat once all of them listen."""
        name = f"{plan.server_id} |"
        if self._coloured:
            name = f"{self._colours[plan.server_id]}{name}{_PLAIN}"
        self._say(f"{name} {_short(line)}")
        if f"[SOCP] server {plan.server_id} listening on " in line:
            self._silent.discard(plan.server_id)
            if not self._silent:
                self._say(_how_to_chat(self._plans))

    def lost(self, plan: Plan, how: str) -> None:
        """Take note that a server has ended; unless we ended it, all is over."""
        self._running = [one for one in self._running if one.plan is not plan]
        if not self._stopping and not self._over.called:
            self._over.callback(f"{plan.server_id} ended on its own ({how})")

    def leave(self) -> None:
        """Stop the reactor, unless it is stopping: people press Ctrl-C twice."""
        if not self._stopping:
            self._stopping = True
            with contextlib.suppress(ReactorNotRunning):
                self._reactor.stop()

    async def stop(self) -> None:
        """End every server, and kill those that have not ended after ``PATIENCE``."""
        self._stopping = True
        ended = DeferredList([one.ended for one in self._running])
        self._signal("TERM")
        kill = self._reactor.callLater(PATIENCE, self._signal, "KILL")
        await ended
        if kill.active():
            kill.cancel()

    def _spawn(self, plan: Plan) -> None:
        if self._stopping:
            return
        # One list for all, as long as the standard wants: a node skips itself in it.
        introducers = [
            f"{one.url}#{pin}" for one, pin in zip(self._plans, self._pins, strict=True)
        ]
        process = NodeProcess(self, plan)
        self._running.append(process)
        self._reactor.spawnProcess(
            process,
            sys.executable,
            [sys.executable, *plan.arguments(introducers)],
            env=_environment(),
        )

    def _signal(self, name: str) -> None:
        for process in self._running:
            with contextlib.suppress(ProcessExitedAlready):
                process.transport.signalProcess(name)

    def _say(self, line: str) -> None:
        try:
            print(line, flush=True)
        except OSError:  # whoever read our output has gone: ``socp mesh | head``
            self.leave()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--ports",
        type=_port,
        nargs=len(NAMES),
        metavar="PORT",
        default=[DEFAULT_PORT + number for number in range(len(NAMES))],
        help=f"where they listen on {DEFAULT_HOST} (default: %(default)s)",
    )
    parser.add_argument(
        "--dir",
        type=Path,
        help="keep keys and databases here (default: a folder that is removed)",
    )


def run(arguments: argparse.Namespace) -> NoReturn:
    """Run the mesh until Ctrl-C or SIGTERM (exit code 0) or a server's end (1)."""
    if len(set(arguments.ports)) < len(NAMES):
        raise ConfigurationError("--ports names one port twice")
    # Until the reactor takes over: a folder to be removed is removed all the same.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with _folder(arguments.dir) as folder:
        plans = [
            Plan(server_id, port, folder)
            for server_id, port in zip(NAMES, arguments.ports, strict=True)
        ]
        print(f"keys and databases are in {folder}", flush=True)
        with ThreadPoolExecutor(len(plans)) as pool:
            keys = list(pool.map(load_or_make_key_file, [one.keyfile for one in plans]))
        react(_main, (plans, [key.public.text for key, _ in keys]))


async def _main(reactor: Any, plans: Sequence[Plan], pins: Sequence[str]) -> None:
    mesh = Mesh(reactor, plans, pins)
    reactor.addSystemEventTrigger(
        "before", "shutdown", lambda: Deferred.fromCoroutine(mesh.stop())
    )
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # In place of the reactor's, which would log a traceback for the second one.
        reactor.callWhenRunning(
            signal.signal, number, lambda *_: reactor.callFromThread(mesh.leave)
        )
    why = await mesh.start()
    print(f"socp mesh: {why}; the other servers are stopped too", file=sys.stderr)
    raise SystemExit(1)


@contextlib.contextmanager
def _folder(told: Path | None) -> Iterator[Path]:
    """Yield the folder that was told, made if missing, or one for this time only."""
    if told is None:
        with tempfile.TemporaryDirectory(prefix="socp-mesh-") as name:
            yield Path(name)
        return
    try:
        told.mkdir(parents=True, exist_ok=True)
    except OSError as why:
        raise ConfigurationError(
            f"cannot use the folder {told}: {why.strerror}"
        ) from why
    yield told.resolve()


def _environment() -> Mapping[str, str]:
    """Return the environment of a server: it imports what we import, from anywhere."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name not in (DB_VARIABLE, KEYFILE_VARIABLE)
    }
    path = os.pathsep.join(str(Path(entry).absolute()) for entry in sys.path)
    return {**inherited, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}


def _how_to_chat(plans: Sequence[Plan]) -> str:
    first, second = plans[:2]
    return (
        "\nAll three servers listen. Chat from two other terminals:\n"
        f"    socp chat {first.url} --user alice\n"
        f"    socp chat {second.url} --user bob\n"
        "Ctrl-C here stops all three.\n"
    )


def _port(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port from 1 to 65535")
    return int(text)
