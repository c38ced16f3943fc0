"""Where does somebody listen whose connections can fail?  One TCP proxy for each."""

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from twisted.internet.protocol import ClientFactory, Protocol, ServerFactory
from twisted.python.failure import Failure

from tests.chaos.weather import Flow, Weather

LOOPBACK = "127.0.0.1"


class Half(Protocol):
    """One of the two TCP connections that make a carried one."""

    flow: Flow | None = None  # of what is read here
    other: "Half | None" = None

    def connectionMade(self) -> None:
        """Bytes go on as they come."""
        self.transport.setTcpNoDelay(True)  # type: ignore[union-attr]

    def dataReceived(self, data: bytes) -> None:
        """Pass bytes to the weather."""
        if self.flow is not None:
            self.flow.take(data)

    def connectionLost(self, reason: Failure = None) -> None:  # type: ignore[assignment]
        """Let the other half end when the weather lets it know."""
        if self.other is not None and self.other.flow is not None:
            self.other.flow.gone()
        if self.flow is not None:
            self.flow.end()
        elif self.other is not None and self.other.transport is not None:
            self.other.transport.abortConnection()  # type: ignore[attr-defined]


class Caller(Half):
    """The half that somebody opened to a gate."""

    factory: "Gate"

    def connectionMade(self) -> None:
        """Find out who it is, and connect to whom they want."""
        super().connectionMade()
        gate, transport = self.factory, self.transport
        name = gate.who(transport.getPeer().port)  # type: ignore[union-attr]
        if not name or gate.weather.is_cut(name, gate.name):
            gate.weather.counts["refused"] += 1
            transport.abortConnection()  # type: ignore[union-attr]
            return
        gate.weather.counts["carried"] += 1
        transport.pauseProducing()  # type: ignore[union-attr]
        callee = Callee(self, name, gate)
        gate.weather.reactor.connectTCP(LOOPBACK, gate.target, callee, timeout=5)


class Callee(ClientFactory):
    """Makes the half from a gate to whom it stands before."""

    noisy = False

    def __init__(self, caller: Caller, name: str, gate: "Gate") -> None:
        self._caller, self._name, self._gate = caller, name, gate

    def buildProtocol(self, addr: Any) -> Half:
        """Join the halves once the second is connected."""
        return Joining(self._caller, self._name, self._gate)

    def clientConnectionFailed(self, connector: Any, reason: Failure) -> None:
        """Nobody listens there: neither does the gate."""
        if self._caller.transport is not None:
            self._caller.transport.abortConnection()  # type: ignore[attr-defined]


class Joining(Half):
    """The half from a gate to whom it stands before."""

    def __init__(self, caller: Caller, name: str, gate: "Gate") -> None:
        self._caller, self._name, self._gate = caller, name, gate

    def connectionMade(self) -> None:
        """Begin both flows, unless the caller has left."""
        super().connectionMade()
        near, far = self._caller.transport, self.transport
        if near is None or not self._caller.connected:
            far.abortConnection()  # type: ignore[union-attr]
            return
        weather, name, there = self._gate.weather, self._name, self._gate.name
        self._caller.other, self.other = self, self._caller
        self._caller.flow = Flow(weather, (name, there), near, far)
        self.flow = Flow(weather, (there, name), far, near)
        near.resumeProducing()  # type: ignore[attr-defined]
        self._caller.flow.pump()


class Gate(ServerFactory):
    """Listens before one server; ``who`` says of a port who calls from it."""

    noisy = False
    protocol = Caller  # type: ignore[assignment]

    def __init__(
        self, weather: Weather, name: str, target: int, who: Callable[[int], str]
    ) -> None:
        """Stand before the server ``name``, which listens on port ``target``."""
        self.weather, self.name, self.target, self.who = weather, name, target, who
        self._listening = weather.reactor.listenTCP(0, self, interface=LOOPBACK)

    @property
    def port(self) -> int:
        """Where the gate listens."""
        return int(self._listening.getHost().port)

    def close(self) -> Any:
        """Take no more connections."""
        return self._listening.stopListening()


def owner_of(port: int, pids: Iterable[tuple[str, int]]) -> str:
    """Return the name of the process that has this end of a connection, or ""."""
    local = f"0100007F:{port:04X}"
    inodes = {
        row.split()[9]
        for row in Path("/proc/self/net/tcp").read_text().splitlines()[1:]
        if row.split()[1] == local
    }
    inodes.discard("0")
    for name, pid in pids:
        try:
            for descriptor in os.scandir(f"/proc/{pid}/fd"):
                target = os.readlink(descriptor.path)
                if target.startswith("socket:[") and target[8:-1] in inodes:
                    return name
        except OSError:
            continue  # it has died meanwhile
    return ""
