"""A network without sockets: ports, wires, scissors, and a clock the test moves."""

from collections.abc import Callable
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.error import (
    ConnectionDone,
    ConnectionLost,
    ConnectionRefusedError,
    NotConnectingError,
    TimeoutError,
    UserError,
)
from twisted.internet.interfaces import IConnector, IDelayedCall
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from twisted.test import iosim
from zope.interface import implementer

from socp_twisted.net.certificate import SecureFactory

KERNEL = 64 * 1024
"""Bytes that a connection takes before it tells its producer to pause."""


class End(iosim.FakeTransport):
    """One end of a wire: a transport that fills up, pauses, and can be aborted."""

    aborted = False
    reading = True
    full = False

    def write(self, data: bytes) -> None:
        """Take bytes; ask the producer to pause when they are many."""
        super().write(data)
        if not self.full and sum(map(len, self.stream)) > KERNEL:
            self.full = True
            if self.producer is not None:
                self.producer.pauseProducing()

    def emptied(self) -> None:
        """Let the producer go on."""
        if self.full:
            self.full = False
            if self.producer is not None:
                self.producer.resumeProducing()

    def abortConnection(self) -> None:
        """Close without sending what is buffered."""
        self.stream.clear()
        self.aborted = self.disconnecting = True

    def pauseProducing(self) -> None:
        """Read no more for now."""
        self.reading = False

    def resumeProducing(self) -> None:
        """Read again."""
        self.reading = True

    def lose(self, reason: Failure) -> None:
        """Tell the protocol that the connection is gone, once."""
        if not self.disconnected:
            self.disconnecting = self.disconnected = True
            self.protocol.connectionLost(reason)


class Wire:
    """One connection: the bytes between two ends, and a pair of scissors."""

    held = False
    """Whether the network swallows what is sent, and neither end can tell."""

    def __init__(self, client: End, server: End, ports: tuple[int, int]) -> None:
        """``ports`` name the two machines: the dialling one, 0 for a user's."""
        self.client, self.server, self.ports = client, server, ports
        self.over: Callable[[Failure], None] = lambda reason: None

    @property
    def gone(self) -> bool:
        """Whether neither end has anything more to learn."""
        return bool(self.client.disconnected and self.server.disconnected)

    def pump(self) -> bool:
        """Carry what either end has written; say whether there was anything."""
        ends = ((self.client, self.server), (self.server, self.client))
        for here, there in ends:
            if here.aborted and not here.disconnected:
                self._lose(here, Failure(ConnectionLost("aborted")))
                return True
            if here.disconnected and not there.disconnected and not self.held:
                self._lose(there, Failure(ConnectionDone()))
                return True
        if self.held or self.gone:
            return False
        moved = False
        for here, there in ends:
            if there.reading and (data := here.getOutBuffer()):
                there.bufferReceived(data)
                here.emptied()
                moved = True
        if not moved:
            for end in (self.client, self.server):
                if end.disconnecting and not end.stream:
                    self._lose(end, Failure(ConnectionDone()))
                    return True
        return moved

    def cut(self) -> None:
        """End the connection: both ends notice at once."""
        for end in (self.client, self.server):
            self._lose(end, Failure(ConnectionLost("cut")))

    def _lose(self, end: End, reason: Failure) -> None:
        if not end.disconnected:
            end.lose(reason)
            if end is self.client:
                self.over(reason)


@implementer(IConnector)
class MemoryConnector:
    """A connector whose network is a dictionary."""

    def __init__(
        self, machine: "Machine", host: str, port: int, factory: Any, timeout: float
    ) -> None:
        self._machine = machine
        self._address = (host, port)
        self._factory = factory
        self._timeout = timeout
        self._pending: IDelayedCall | None = None

    def connect(self) -> None:
        """Reach the other end, or be refused, in the next instant."""
        assert self._pending is None, "an attempt is under way"
        self._factory.doStart()
        network, (host, port) = self._machine.network, self._address
        silent = frozenset((self._machine.port, port)) in network.silent
        self._pending = self._machine.callLater(
            self._timeout if silent else 0,
            self._fail if silent or host in network.failures else self._arrive,
            *([TimeoutError()] if silent else []),
            *([network.failures[host]] if host in network.failures else []),
        )
        self._factory.startedConnecting(self)

    def stopConnecting(self) -> None:
        """Give up an attempt that is under way."""
        if self._pending is None:
            raise NotConnectingError("the connection is made, or has failed")
        self._pending.cancel()
        self._fail(UserError())

    def disconnect(self) -> None:
        """Be the interface; nobody here asks."""

    def getDestination(self) -> IPv4Address:
        """Return where this goes."""
        return IPv4Address("TCP", *self._address)

    def _arrive(self) -> None:
        listener = self._machine.network.listeners.get(self._address[1])
        if listener is None:
            self._fail(ConnectionRefusedError())
            return
        self._pending = None
        wire = self._machine.network.join(
            self._factory, self._address, self._machine.port
        )
        wire.over = lambda reason: self._factory.clientConnectionLost(self, reason)

    def _fail(self, why: Exception) -> None:
        self._pending = None
        self._factory.clientConnectionFailed(self, Failure(why))


class Machine(Clock):
    """What one node takes for the reactor: it can be frozen, and it can die."""

    def __init__(self, network: "Network", port: int) -> None:
        super().__init__()
        self.rightNow = network.seconds()
        self.network = network
        self.port = port
        self.dead = False
        self.frozen = False
        network.machines.append(self)

    def keep_up(self) -> None:
        """Do what is due by now, unless nothing runs here."""
        if not self.dead and not self.frozen:
            self.rightNow = self.network.seconds()
            self.advance(0)

    def is_due(self) -> bool:
        """Say whether something should have been done by now."""
        runs = not self.dead and not self.frozen
        return runs and any(call.getTime() <= self.rightNow for call in self.calls)

    def connectTCP(
        self, host: str, port: int, factory: Any, timeout: float = 30, bind: Any = None
    ) -> MemoryConnector:
        """Connect in memory."""
        connector = MemoryConnector(self, host, port, factory, timeout)
        connector.connect()
        return connector


class Network(MemoryReactorClock):
    """A loopback without a kernel: listening ports, wires, and time."""

    def __init__(self) -> None:
        super().__init__()
        self.listeners: dict[int, Any] = {}
        self.frozen: set[int] = set()
        """Ports where the kernel accepts, and nobody reads."""
        self.silent: set[frozenset[int]] = set()
        """Pairs of machines between which packets vanish when they connect."""
        self.failures: dict[str, Exception] = {}
        """Host names and what comes of dialling them."""
        self.tls: tuple[Any, Any] | None = None
        """What makes the servers' ends of TLS connections, and the others' ends."""
        self.wires: list[Wire] = []
        self.machines: list[Machine] = []

    def advance(self, amount: float) -> None:
        """Let time pass on every machine."""
        super().advance(amount)
        for machine in list(self.machines):
            machine.keep_up()

    def join(self, factory: Any, address: tuple[str, int], caller: int = 0) -> Wire:
        """Join a dialling factory to whoever listens on a port."""
        here = IPv4Address("TCP", "127.0.0.1", 50_000 + len(self.wires))
        there = IPv4Address("TCP", "127.0.0.1", address[1])
        listener = self.listeners[address[1]]
        if self.tls is not None:
            listener = SecureFactory(self.tls[0], listener, self)
            factory = TLSMemoryBIOFactory(self.tls[1], True, factory, self)
        client = factory.buildProtocol(there)
        server = listener.buildProtocol(here)
        near, far = End(client, False, here, there), End(server, True, there, here)
        wire = Wire(near, far, (caller, address[1]))
        wire.held = bool(self.frozen.intersection(wire.ports))
        self.wires.append(wire)
        server.makeConnection(far)
        client.makeConnection(near)
        return wire

    def between(self, one: int, other: int) -> list[Wire]:
        """Return the wires between two machines, by their ports."""
        return [wire for wire in self.wires if {*wire.ports} == {one, other}]

    def of(self, port: int) -> list[Wire]:
        """Return the wires from and to one machine, its users' included."""
        return [wire for wire in self.wires if port in wire.ports]

    def settle(self) -> None:
        """Carry bytes until nobody has any more to say at this instant."""
        for _ in range(10_000):
            self.advance(0)
            moved = [wire.pump() for wire in self.wires]  # all, not up to the first
            if not any(moved):
                self.wires = [wire for wire in self.wires if not wire.gone]
                due = any(call.getTime() <= self.seconds() for call in self.calls)
                if not due and not any(one.is_due() for one in self.machines):
                    return
        raise AssertionError("they will not stop talking")

    def pass_time(self, seconds: float, step: float = 0.5) -> None:
        """Let time pass, in steps, with everybody talking in between."""
        self.settle()
        for _ in range(round(seconds / step)):
            self.advance(step)
            self.settle()
