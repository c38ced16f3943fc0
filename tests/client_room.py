"""A client on a reactor in memory, and the server's end of its link."""

from collections.abc import Coroutine
from pathlib import Path
from typing import Any, cast

import txaio
from twisted.internet.defer import Deferred
from twisted.internet.error import (
    ConnectionDone,
    ConnectionRefusedError,
    NotConnectingError,
)
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from socp_twisted.client import Client
from socp_twisted.client import events as told
from socp_twisted.client.dialing import Dialing, Link
from socp_twisted.client.outbox import Output
from socp_twisted.client.pins import Pins
from socp_twisted.client.worker import Inline
from tests.client_peer import ADDRESS, NOW, Server, User
from tests.vector_files import private

REFUSED = Failure(ConnectionRefusedError())


class Reactor(MemoryReactorClock):
    """A reactor that counts the attempts; Twisted's own does not redial."""

    dials = 0
    factory: Dialing
    connector: "Connector"

    def connectTCP(self, host: str, port: int, factory: Any, *_: Any) -> Any:
        """Dial for the first time."""
        self.factory, self.connector = factory, Connector(self)
        self.connector.connect()
        return self.connector


class Connector:
    """What a factory is given to dial again with."""

    def __init__(self, reactor: Reactor) -> None:
        self.reactor = reactor

    def connect(self) -> None:
        """Dial."""
        self.reactor.dials += 1
        self.reactor.factory.startedConnecting(self)  # type: ignore[arg-type]

    def stopConnecting(self) -> None:
        """Nothing is under way."""
        raise NotConnectingError


class Room:
    """A client on a reactor that only the test moves, and a server behind its link."""

    def __init__(self, case: SynchronousTestCase, url: str = ADDRESS) -> None:
        self.case = case
        self.reactor = Reactor()
        self.reactor.advance(NOW / 1000)
        case.patch(cast(Any, txaio).config, "loop", self.reactor)
        self.server = Server()
        self.pins = Pins(None)
        self.client = self.make(url)

    def make(self, url: str = ADDRESS, **options: Any) -> Client:
        """Return alice's client, not started."""
        return Client(
            self.reactor,
            url,
            user_id="alice",
            key=private("alice"),
            pins=self.pins,
            downloads=Path(self.case.mktemp()),
            worker=Inline(),
            wall=self.reactor.seconds,
            **options,
        )

    def run(self, what: Coroutine[Deferred[Any], Any, Any]) -> "Deferred[Any]":
        """Begin something asynchronous."""
        return Deferred.fromCoroutine(what)

    def refuse(self) -> None:
        """Let the latest attempt fail: nobody listens there."""
        connector: Any = self.reactor.connector
        self.reactor.factory.clientConnectionFailed(connector, REFUSED)

    def open(self) -> "Ear":
        """Let the latest attempt succeed; return the server's end of it."""
        link = self.reactor.factory.buildProtocol(None)
        link.transport = StringTransport()
        ear = Ear(self, link, self.reactor.factory, self.reactor.connector)
        link.onOpen()
        ear.pump()
        return ear

    def events(self) -> list[told.Event]:
        """Return what the client has told so far."""
        stream, seen = self.client.events(), []
        while stream._unread:
            seen.append(self.case.successResultOf(self.run(stream.__anext__())))
        return seen

    def attempts(self) -> int:
        """Return how often the client has dialled."""
        return self.reactor.dials


class Ear:
    """The server's end of one link: what a WebSocket would carry, without one."""

    def __init__(self, room: Room, link: Link, factory: Any, connector: Any) -> None:
        self.room, self.link = room, link
        self.factory, self.connector = factory, connector
        self.frames: list[bytes] = []
        self.code = 0
        self.user = User(self, room.server)  # type: ignore[arg-type]
        room.server.users.append(self.user)
        link.send = self.frames.append  # type: ignore[assignment,method-assign]
        link.sendClose = self.hung_up

    def drain(self) -> Output:
        """What the server in memory takes from a session."""
        frames, self.frames[:] = tuple(self.frames), []
        return Output(frames)

    def receive(self, frame: bytes, now: int) -> None:
        """What the server in memory gives to a session."""
        self.link.onMessage(frame, False)

    def pump(self) -> None:
        """Let the server read and answer."""
        self.room.server.pump()

    def hung_up(self, code: int) -> None:
        """The client closes: so do we."""
        self.code = code
        self.cut(code)

    def cut(self, code: int | None = 1006) -> None:
        """End the connection."""
        if self.user in self.room.server.users:
            self.room.server.users.remove(self.user)
        self.link.onClose(False, code, None)
        reason = Failure(ConnectionDone())
        self.factory.clientConnectionLost(self.connector, reason)
