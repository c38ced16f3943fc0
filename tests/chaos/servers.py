"""A node behind its gate, and a user in a process of their own: started, and ended."""

import json
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from twisted.internet import reactor as global_reactor
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from tests.chaos.gate import Gate
from tests.processes import NodeProcess
from tests.sockets import Watch

reactor: Any = global_reactor

RETRY: Final = 0.5
"""Seconds between two attempts of a node, for the standard's 5: runs are short."""

ATTEMPTS: Final = 1000
"""All of them last longer than any fault: a node that gave up needs a sign of life."""


class ChaosNode(NodeProcess):
    """A node that is known to others by its gate's port; its whole log is a file."""

    def __init__(self, name: str, port: int, folder: Path, watch: Watch) -> None:
        super().__init__(name, port, folder, watch)
        self.gate: Gate | None = None

    @property
    def log(self) -> Path:
        """Everything that its processes wrote, the standard error included."""
        return self.folder / "node.log"

    @property
    def pinned(self) -> str:
        """Its entry in a bootstrap list: the gate."""
        assert self.gate is not None
        return f"ws://127.0.0.1:{self.gate.port}#{self.key.public}"

    def prepare(self, others: "list[ChaosNode]") -> None:
        """Write the key file, and remember the command line."""
        assert self.gate is not None
        self.configure(
            others,
            "--advertise",
            f"127.0.0.1:{self.gate.port}",
            "--retry-delay",
            str(RETRY),
            "--max-attempts",
            str(ATTEMPTS),
        )

    def start(self) -> None:
        """Start a process, again with the same key and database."""
        (self.folder / f"socp-{self.name}.pid").unlink(missing_ok=True)
        super().start()

    def outReceived(self, data: bytes) -> None:
        """Keep what was logged."""
        with self.log.open("ab") as file:
            file.write(data)
        super().outReceived(data)

    def errReceived(self, data: bytes) -> None:
        """Keep complaints, too."""
        with self.log.open("ab") as file:
            file.write(data)
        super().errReceived(data)


class ChildUser(ProcessProtocol):
    """A user in a process of their own, through as many processes as it takes."""

    def __init__(self, order: dict[str, str], watch: Watch) -> None:
        """``order`` is the first line that ``tests.chaos.child`` reads."""
        self.user_id = order["user_id"]
        self._order = order
        self._watch = watch
        self.running = False
        self.errors = ""

    def start(self) -> None:
        """Start a process: the same key, the same home, the same journal."""
        assert not self.running
        self.running = True
        path = os.pathsep.join(str(Path(entry).absolute()) for entry in sys.path)
        environ = {**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}
        command = [sys.executable, "-m", "tests.chaos.child"]
        reactor.spawnProcess(self, sys.executable, command, environ, None)

    def tell(self, to: str, text_id: str, text: str, size: int) -> None:
        """Ask for something to be sent; a process that is not there does nothing."""
        if self.running:
            self._say({"to": to, "text_id": text_id, "text": text, "size": size})

    def close(self) -> None:
        """Let the user log out and the process end."""
        if self.running:
            self.transport.closeStdin()  # type: ignore[union-attr]

    def signal(self, name: str) -> None:
        """Send a signal to this process, and to no other."""
        if self.running:
            number = int(getattr(signal, f"SIG{name}"))
            self.transport.signalProcess(number)  # type: ignore[union-attr]

    def _say(self, line: Mapping[str, str | int]) -> None:
        self.transport.write(json.dumps(line).encode() + b"\n")  # type: ignore[union-attr]

    # -- what Twisted calls ------------------------------------------------------------

    def connectionMade(self) -> None:
        """Say who it is."""
        self._say(self._order)

    def outReceived(self, data: bytes) -> None:
        """Nothing is expected there."""
        self.errors += data.decode("utf-8", "replace")

    def errReceived(self, data: bytes) -> None:
        """Take complaints."""
        self.errors += data.decode("utf-8", "replace")

    def processEnded(self, reason: Failure) -> None:
        """Take the end."""
        self.running = False
        self._watch.changed()
