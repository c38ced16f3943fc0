"""Does a client work over a real WebSocket, on a real thread?"""

import socket
from pathlib import Path
from typing import Any

from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from socp_twisted.client import Client, connect
from socp_twisted.client import events as told
from socp_twisted.client.files import Policy
from socp_twisted.client.outbox import Output
from socp_twisted.client.pins import Pins
from socp_twisted.errors import Refused
from tests.client_peer import Server, User
from tests.vector_files import private


class Desk(WebSocketServerProtocol):  # type: ignore[misc]
    """One WebSocket of the server in memory."""

    factory: "Desks"

    def onOpen(self) -> None:
        """Somebody has come."""
        self.frames: list[bytes] = []
        self.user = User(self, self.factory.server)
        self.factory.server.users.append(self.user)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """Let the server read and answer."""
        self.frames.append(payload)
        self.factory.server.now = int(self.factory.reactor.seconds() * 1000)
        self.factory.server.pump()

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        """Somebody has gone."""
        if self.user in self.factory.server.users:
            self.factory.server.leave(self.user)

    def drain(self) -> Output:
        """What the server in memory takes from a session."""
        frames, self.frames = tuple(self.frames), []
        return Output(frames)

    def receive(self, frame: bytes, now: int) -> None:
        """What the server in memory gives to a session."""
        self.sendMessage(frame)


class Desks(WebSocketServerFactory):  # type: ignore[misc]
    """Listens on the loopback for the server in memory."""

    protocol = Desk

    def __init__(self) -> None:
        super().__init__(reactor=reactor)
        self.server = Server()


class SocketTests(TestCase):
    """Two clients, one server, real sockets."""

    timeout = 20

    def setUp(self) -> None:
        """Listen on a free port."""
        self.desks = Desks()
        net: Any = reactor
        self.port = net.listenTCP(0, self.desks, interface="127.0.0.1")
        self.addCleanup(self.port.stopListening)
        self.url = f"ws://127.0.0.1:{self.port.getHost().port}"
        self.home = Path(self.mktemp())
        self.home.mkdir(parents=True)

    async def enter(self, user_id: str, **options: Any) -> Client:
        """Return a client that is logged in, and is closed after the test."""
        client = await connect(
            reactor,
            self.url,
            user_id=user_id,
            key=private(user_id),
            pins=Pins(None),
            downloads=self.home / user_id,
            **options,
        )
        self.addCleanup(lambda: Deferred.fromCoroutine(client.close()))
        return client

    async def next(self, client: Client, kind: type) -> Any:
        """Return the next event of one kind."""
        async for event in client.events():
            if isinstance(event, kind):
                return event
        raise AssertionError("the events have ended")

    async def test_conversation(self) -> None:
        """Short texts, long texts, a list and a file, both ways."""
        alice = await self.enter("alice")
        bob = await self.enter("bob", policy=Policy.ALWAYS)
        await self.next(alice, told.UserJoined)
        await alice.tell("bob", "hello")
        await bob.tell("alice", "x" * 65_536)
        self.assertEqual((await self.next(bob, told.TextReceived)).text, "hello")
        self.assertEqual(len((await self.next(alice, told.TextReceived)).text), 65_536)
        [one] = await alice.list()
        self.assertEqual(one.user_id, "bob")
        path = self.home / "a.bin"
        path.write_bytes(bytes(500_000))
        self.assertEqual(await alice.send_file("public", path), {})
        got = await self.next(bob, told.FileReceived)
        self.assertEqual(got.path.stat().st_size, 500_000)

    async def test_no_delay(self) -> None:
        """TCP_NODELAY is on: without it a message may wait for 40 ms."""
        alice = await self.enter("alice")
        assert alice._link is not None
        handle = alice._link.transport.getHandle()
        level, option = socket.IPPROTO_TCP, socket.TCP_NODELAY
        self.assertNotEqual(handle.getsockopt(level, option), 0)

    async def test_too_big(self) -> None:
        """A frame of more than 1 MiB ends the connection, with a reason."""
        alice = await self.enter("alice")
        [user] = self.desks.server.users
        user.session.sendMessage(b"x" * (1024 * 1024 + 1))  # type: ignore[attr-defined]
        lost = await self.next(alice, told.ConnectionLost)
        self.assertNotEqual(lost.reason, "")

    async def test_refused(self) -> None:
        """A refusal of the login comes back as an exception."""
        self.desks.server.answers["USER_LOGIN"] = lambda user, fields: (
            self.desks.server.error(user, fields, "BAD_KEY", "wrong user or password")
        )
        with self.assertRaises(Refused):
            await self.enter("alice")
