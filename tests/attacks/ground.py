"""
Where is an attack carried out?  Real nodes in this reactor, real sockets, real time.

A ``House`` is a node as ``twistd socp`` builds it, with its key, its database and its
port.  Honest users and attackers alike are ``Stranger``s, who share no code with the
project and say whatever they like; whether an honest one noticed an attack is asked of
what came to them.
"""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from twisted.internet import reactor as global_reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.task import deferLater
from twisted.logger import LogEvent, formatEvent, globalLogPublisher
from twisted.trial.unittest import TestCase

from socp_twisted.client import Client, connect
from socp_twisted.client.events import Event
from socp_twisted.client.pins import Pins
from socp_twisted.service import NodeService
from socp_twisted.wire.limits import Limits
from tests.attacks.people import House, Rogue, write
from tests.fuzz.wire import Line
from tests.keyring import key_of as private
from tests.loopback import loopback
from tests.plain_socp import Frame, Key, canonical, key_of, read_message
from tests.processes import Ports, broken
from tests.sockets import Stranger, Watch

# The module has the reactor's methods only once one is installed; mypy has none.
reactor: Any = global_reactor

SOON: Final = 10.0
"""Seconds in which what must happen has happened on a busy machine."""


class AttackCase(TestCase):
    """Tests in which somebody attacks; whatever they start ends with them."""

    timeout = 60

    def setUp(self) -> None:
        """Hold ports, watch, and keep what is logged."""
        self.watch = Watch(reactor)
        self.ports = Ports()
        self.addCleanup(self.ports.give_back)
        self.addCleanup(self.watch.stop)
        self.addCleanup(self._end_timers)
        self.home = Path(self.mktemp())
        self.home.mkdir(parents=True)
        self.logged: list[LogEvent] = []
        note: Any = self._note
        globalLogPublisher.addObserver(note)
        self.addCleanup(globalLogPublisher.removeObserver, note)

    async def _end_timers(self) -> None:
        """Let Autobahn's timers end now: it leaves those of a close that was cut."""
        for call in reactor.getDelayedCalls():
            if "_BatchedTimer" in str(call):
                call.reset(0)
        await deferLater(reactor, 0)

    def _note(self, event: LogEvent) -> None:
        self.logged.append(event)
        self.watch.changed()

    def lines(self, part: str) -> list[str]:
        """Return the log's lines that contain this."""
        lines = [formatEvent(event) for event in self.logged]
        return [line for line in lines if part in line]

    async def until(self, condition: Callable[[], Any], seconds: float = SOON) -> None:
        """Wait for a condition, asked again a few times a second as well."""

        def story() -> str:
            return "\n".join(formatEvent(event) for event in self.logged[-40:])

        end = reactor.seconds() + seconds
        while not condition():
            self.assertLess(reactor.seconds(), end, story())
            await deferLater(reactor, 0.05)

    # -- who is there ------------------------------------------------------------------

    def house(
        self,
        name: str = "srv-a",
        bootstrap: Iterable[House | tuple[str, Key]] = (),
        *,
        key: str = "",
        limits: Limits | None = None,
        folder: Path | None = None,
        port: int = 0,
        start: bool = True,
        signer: Any = None,
        **options: Any,
    ) -> House:
        """
        Start a node; whoever connects waits until its database is open.

        ``bootstrap`` has nodes, or pairs of URL and pinned key.
        """
        port = port or self.ports.take()
        entries = [
            (one.url, one.key.public)
            if isinstance(one, House)
            else (one[0], one[1].public)
            for one in bootstrap
        ]
        folder = folder or self.home / f"{name}-{port}"
        folder.mkdir(exist_ok=True)
        settings: dict[str, Any] = {
            "db": folder / "socp.db",
            "limits": limits or Limits(),
            "retry_delay": 0.5,
            **options,
        }
        told = loopback(name, port, folder, entries, **settings)
        service = NodeService(reactor, told, private(key or name), signer=signer)
        house = House(service, port, key_of(key or name))
        if start:
            self.open(house)
        return house

    def open(self, house: House) -> None:
        """Start a node that was made, and stop it after the test."""
        house.service.privilegedStartService()
        house.service.startService()
        house.is_open = True
        self.addCleanup(self.shut, house)

    async def shut(self, house: House) -> None:
        """Stop a node, once."""
        if house.is_open:
            await self.until(lambda: house.service.running)
            house.is_open = False
            await house.service.stopService()

    async def pair(self, **options: Any) -> tuple[House, House]:
        """Start two nodes that know each other, and wait until they are linked."""
        one = self.house("srv-a", **options)
        two = self.house("srv-b", [one], **options)
        await self.until(lambda: one.linked() == ["srv-b"] and two.linked())
        return one, two

    async def knock(
        self, house: House, name: str, *, key: str = "", rogue: bool = False
    ) -> Any:
        """Open a WebSocket as the owner of a test key, under any name; say nothing."""
        kind = Rogue if rogue else Stranger
        stranger = kind(replace(key_of(key or name), owner=name), house.url, self.watch)
        self.addCleanup(broken, self.watch, stranger)
        where = TCP4ClientEndpoint(reactor, "127.0.0.1", house.port)
        await connectProtocol(where, stranger)
        await self.watch.until(
            lambda: stranger.open or stranger.closed, SOON, stranger.story
        )
        return stranger

    async def crowd(self, house: House, count: int) -> list[Line]:
        """Open many WebSockets at once, of the kind that costs an attacker least."""
        where = TCP4ClientEndpoint(reactor, "127.0.0.1", house.port)
        lines = [Line() for _ in range(count)]
        await gatherResults([connectProtocol(where, line) for line in lines])
        for line in lines:
            self.addCleanup(line.drop)
        opened = await gatherResults([line.ask(house.port) for line in lines])
        self.assertTrue(all(opened))
        return lines

    async def user(self, house: House, name: str, *, key: str = "") -> Stranger:
        """Log a user in as the standard's client does, and read all that comes."""
        user: Stranger = await self.knock(house, name, key=key)
        hello = {"client": "test", "pubkey": user.key.public}
        user.say("USER_HELLO", house.id, {**hello, "enc_pubkey": user.key.public})
        await user.hear("PUBLIC_CHANNEL_SNAPSHOT", seconds=SOON)
        return user

    async def device(self, house: House, name: str) -> Stranger:
        """Log a user in as this project's client does: with a proof."""
        user: Stranger = await self.knock(house, name)
        hello = {"client": "test", "pubkey": user.key.public, "nonce": "mine"}
        user.say("USER_HELLO", house.id, hello)
        shown = (await user.hear("USER_HELLO_ACK", answer="mine"))["payload"]
        digest = hashlib.sha256(house.key.public.encode("ascii")).hexdigest()
        content = {
            "context": "socp-login-1",
            "nonce": shown["nonce"],
            "server_id": house.id,
            "server_key": digest,
            "user_id": name,
        }
        proved = {"user_id": name, "proof": user.key.sign(canonical(content))}
        user.say("USER_LOGIN", house.id, proved)
        await user.hear("PUBLIC_CHANNEL_SNAPSHOT", seconds=SOON)
        return user

    async def rogue(self, house: House, name: str, *, key: str = "") -> Rogue:
        """Connect as a server that claims nothing yet."""
        found: Rogue = await self.knock(house, name, key=key, rogue=True)
        return found

    async def foreigner(self, house: House, name: str) -> Rogue:
        """Join as a server of another implementation, which binds nothing."""
        peer = await self.rogue(house, name)
        peer.claim(house)
        await peer.hear("SERVER_WELCOME", assigned_id=name)
        peer.say("SERVER_HELLO_LINK", house.id, peer.claimed)
        await self.until(lambda: name in house.linked())
        return peer

    async def member(self, house: House, name: str) -> Rogue:
        """Join as a server of this project's kind, which means no good."""
        peer = await self.rogue(house, name)
        await peer.join(house)
        await self.until(lambda: name in house.linked())
        return peer

    async def client(
        self, url: str, user_id: str, *, pins: Pins | None = None, **options: Any
    ) -> tuple[Client, list[Event]]:
        """Log in with this project's client; return it, and its events as they come."""
        settings: dict[str, Any] = {"key": private(user_id), **options}
        client = await connect(
            reactor,
            url,
            user_id=user_id,
            pins=pins or Pins(None),
            downloads=self.home / f"got-{user_id}",
            **settings,
        )
        self.addCleanup(lambda: Deferred.fromCoroutine(client.close()))
        return client, self.follow(client)

    def follow(self, client: Client) -> list[Event]:
        """Return the list to which a client's events are added."""
        seen: list[Event] = []

        async def read() -> None:
            async for event in client.events():
                seen.append(event)
                self.watch.changed()

        Deferred.fromCoroutine(read())
        return seen

    def count(self, seen: list[Event], kind: type) -> int:
        """Return how many events of a kind a client has told."""
        return sum(isinstance(one, kind) for one in seen)

    # -- what they notice --------------------------------------------------------------

    async def news(self, user: Stranger) -> list[Frame]:
        """
        Return what came to a user since the last time, and forget it.

        After a question and its answer: whatever was sent before that has come.
        """
        await user.online()
        await user.online()  # what was being signed with the first answer has come, too
        found = [one for one in user.frames if one["type"] != "LIST_RESPONSE"]
        user.frames.clear()
        return found

    async def calm(self, *users: Stranger) -> None:
        """Forget what came to these users so far."""
        for user in users:
            await self.news(user)

    async def unmoved(self, *users: Stranger) -> None:
        """Fail unless nothing at all has come to these users."""
        for user in users:
            self.assertEqual(await self.news(user), [], f"{user.name} noticed it")

    async def talk(self, sender: Stranger, to: Stranger, text: str = "hello") -> None:
        """Fail unless a message arrives, readable, and its sender is told so."""
        ref = write(sender, to.name, text, to.key)
        got = await to.hear("USER_DELIVER", seconds=SOON, sender=sender.name)
        self.assertEqual(read_message(to.key, got["payload"], sender.key.public), text)
        ack = await sender.hear("ACK", seconds=SOON, msg_ref=ref)
        self.assertIn(ack["payload"]["status"], ("delivered", "sent"))
        to.frames.remove(got)
        sender.frames.remove(ack)

    async def complaints(self, stranger: Stranger, count: int) -> None:
        """Wait until somebody was told so many ERRORs."""
        await self.watch.until(
            lambda: len(stranger.heard("ERROR")) >= count, SOON, stranger.story
        )

    async def refused(self, stranger: Stranger, *codes: str) -> list[str]:
        """Wait for exactly these ERRORs; return their sentences, and forget them."""

        def told() -> list[Frame]:
            return stranger.heard("ERROR")

        await self.watch.until(lambda: len(told()) >= len(codes), SOON, stranger.story)
        found = told()
        self.assertEqual([one["payload"]["code"] for one in found], list(codes))
        for one in found:
            stranger.frames.remove(one)
        return [one["payload"]["detail"] for one in found]
