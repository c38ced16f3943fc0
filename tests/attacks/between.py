"""Who sits between two ends?  A relay that hears every frame, and may change any."""

from collections.abc import Callable, Iterable
from typing import Any

from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import ServerFactory
from twisted.python.failure import Failure
from websockets.server import ServerProtocol

from tests.plain_socp import Frame
from tests.processes import reactor
from tests.sockets import Socket, Watch, client_machine

Tamper = Callable[[Frame], Iterable[Frame]]
"""What is passed on instead of a frame."""


def untouched(frame: Frame) -> Iterable[Frame]:
    """Pass a frame on as it came."""
    return (frame,)


class Half(Socket):
    """One half of a relayed connection: the victim's, or the one to the true server."""

    other: "Half | None" = None

    def __init__(self, relay: "Relay", url: str = "") -> None:
        """Dial if there is a URL; else wait for what the victim says."""
        machine = client_machine(url) if url else ServerProtocol()
        super().__init__(machine, relay.watch.changed)
        self._relay = relay
        self._dialled = bool(url)
        self._waiting: list[Frame] = []

    def dataReceived(self, data: bytes) -> None:
        """Take bytes; with the first of them this half may be open to the other."""
        super().dataReceived(data)
        if self.other is not None:
            self.other.flush()

    def received(self, frame: Frame) -> None:
        """Pass it on, or what the relay makes of it."""
        heard = self._relay.down if self._dialled else self._relay.up
        tamper = self._relay.tamper_down if self._dialled else self._relay.tamper_up
        heard.append(frame)
        self._waiting.extend(tamper(frame))
        self.flush()

    def flush(self) -> None:
        """Pass on what waits for the other half to be there."""
        while self._waiting and self.other is not None and self.other.open:
            self.other.write(self._waiting.pop(0))

    def connectionLost(self, reason: Failure = None) -> None:  # type: ignore[assignment]
        """Hang up at the other end as well."""
        super().connectionLost(reason)
        if self.other is not None:
            code, why = self.closed or (None, None)
            self.other.close(code if code and code != 1006 else 1000, why or "")
        self._relay.halves.discard(self)


class Relay(ServerFactory):
    """
    A listener that dials the true server for whoever connects.

    ``up`` is what the victims said, ``down`` what the server did, as they said it.
    """

    noisy = False

    def __init__(self, url: str, port: int, watch: Watch) -> None:
        self.target, self.port, self.watch = url, port, watch
        self.up: list[Frame] = []
        self.down: list[Frame] = []
        self.tamper_up: Tamper = untouched
        self.tamper_down: Tamper = untouched
        self.halves: set[Half] = set()
        self._listening: Any = None

    @property
    def url(self) -> str:
        """Where the victims connect."""
        return f"ws://127.0.0.1:{self._listening.getHost().port}"

    def start(self) -> None:
        """Listen."""
        self._listening = reactor.listenTCP(self.port, self, interface="127.0.0.1")

    async def stop(self) -> None:
        """Listen no more, and break what there is."""
        await self._listening.stopListening()
        for half in list(self.halves):
            half.abort()
        await self.watch.until(lambda: not self.halves, 5)

    def buildProtocol(self, addr: IAddress | None) -> Half:
        """Take a victim, and dial the true server."""
        victim, server = Half(self), Half(self, self.target)
        victim.other, server.other = server, victim
        self.halves |= {victim, server}
        port = int(self.target.rpartition(":")[2])
        dialled = connectProtocol(
            TCP4ClientEndpoint(reactor, "127.0.0.1", port), server
        )
        dialled.addErrback(lambda _: self.halves.discard(server))
        return victim

    def inject(self, frame: Frame) -> None:
        """Say something to the victims, in the server's place."""
        for half in self.halves:
            if not half._dialled and half.open:
                half.write(frame)
