"""Is a server that is dialled over TLS the one that was meant?  Else: why not?"""

from abc import ABC, abstractmethod
from collections import Counter
from typing import Any, Final

from twisted.internet import ssl
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock, deferLater
from twisted.logger import formatEvent, globalLogPublisher

from socp_twisted.client.dialing import Dialing
from socp_twisted.net.entrance import Entrance
from socp_twisted.net.outbox import Draft
from socp_twisted.net.peers import PeerFactory
from socp_twisted.net.tls import Trust
from socp_twisted.wire.limits import Limits
from tests.certificates import (
    EXPIRED,
    GOOD,
    NOT_YET,
    OURS,
    Authority,
    Certificate,
    self_signed,
)
from tests.tls_sides import Side, TLSTestCase, reactor

OTHERS: Final = Authority("others")
WRONG_NAME: Final = OURS.issue(("chat.example", "192.0.2.1"))
NO_NAME: Final = OURS.issue(())
UNKNOWN: Final = OTHERS.issue()
SELF_SIGNED: Final = self_signed()


class BlindTrust(Trust):
    """Dials as Twisted alone would: a certificate without names passes its check."""

    def expect(self, host: str) -> Any:
        """Return Twisted's own."""
        root = ssl.Certificate.loadPEM(OURS.pem)
        return ssl.optionsForClientTLS(host, trustRoot=root)


class Silent(Protocol):
    """Somebody who accepts, and closes at the first byte."""

    def dataReceived(self, data: bytes) -> None:
        """Close."""
        assert self.transport is not None
        self.transport.loseConnection()


class Refusals(ABC):
    """What each unusable server is refused for; each dialler says the same."""

    @abstractmethod
    async def refusal(
        self,
        certificate: Certificate | None,
        url: str = "wss://localhost",
        factory: Any = None,
    ) -> str:
        """Return why such a server was not linked to."""

    assertEqual: Any
    assertIn: Any

    async def test_wrong_name(self) -> None:
        """A certificate for somebody else."""
        self.assertEqual(
            await self.refusal(WRONG_NAME),
            "its certificate is for chat.example, 192.0.2.1, not localhost",
        )

    async def test_wrong_address(self) -> None:
        """A certificate without the address that was dialled."""
        self.assertEqual(
            await self.refusal(OURS.issue(("localhost",)), "wss://127.0.0.1"),
            "its certificate is for localhost, not 127.0.0.1",
        )

    async def test_no_name(self) -> None:
        """A certificate without subjectAltName: Twisted would let it pass."""
        self.assertEqual(
            await self.refusal(NO_NAME),
            "its certificate has no subjectAltName, so it is not for localhost",
        )

    async def test_expired(self) -> None:
        """A certificate of yesterday: Autobahn alone would let it pass."""
        said = await self.refusal(EXPIRED)
        self.assertIn("its certificate expired on 20", said)

    async def test_not_yet(self) -> None:
        """A certificate of tomorrow."""
        said = await self.refusal(NOT_YET)
        self.assertIn("its certificate is not valid before 20", said)

    async def test_unknown(self) -> None:
        """A certificate from an authority that nobody here trusts."""
        self.assertEqual(
            await self.refusal(UNKNOWN),
            "its certificate is from an authority that is not trusted here",
        )

    async def test_self_signed(self) -> None:
        """A certificate of its own making: Autobahn alone would let it pass."""
        self.assertEqual(
            await self.refusal(SELF_SIGNED),
            "its certificate is self-signed: no authority vouches for it",
        )

    async def test_plain_server(self) -> None:
        """A server that serves ws://, dialled as wss://."""
        self.assertEqual(
            await self.refusal(None),
            "speaks no TLS: it serves ws://, or something else",
        )

    async def test_closes(self) -> None:
        """Somebody else's server that closes when it is not understood."""
        self.assertEqual(
            await self.refusal(None, factory=Factory.forProtocol(Silent)),
            "answers no TLS: perhaps it serves ws:// only",
        )

    async def test_tls_server(self) -> None:
        """A server that serves wss://, dialled as ws://."""
        self.assertEqual(
            await self.refusal(GOOD, "ws://localhost"), "speaks TLS: dial it as wss://"
        )


class ServerTests(Refusals, TLSTestCase):
    """A server says why it does not link to another, and sends it nothing."""

    async def refusal(
        self,
        certificate: Certificate | None,
        url: str = "wss://localhost",
        factory: Any = None,
    ) -> str:
        """Dial once; return the reason of the log's line."""
        port = self.listen_with(factory) if factory else self.listen(certificate)
        [said] = await self.dial(f"{url}:{port}")
        start = f"[bootstrap] failed to connect {url}:{port} (attempt 1/1): "
        self.assertTrue(said.startswith(start), said)
        return said.removeprefix(start)

    async def dial(self, url: str, trust: Trust | None = None) -> list[str]:
        """Dial once, hang up if that leads to a link, and return what failed."""
        lines: list[str] = []

        def observe(event: Any) -> None:
            lines.append(formatEvent(event))

        publisher: Any = globalLogPublisher
        publisher.addObserver(observe)
        self.addCleanup(publisher.removeObserver, observe)
        peer = self.peer(url, trust or Trust(self.ca))
        await self.until(lambda: not peer.active or self.here.links)
        if not self.here.links:
            return [line for line in lines if line.startswith("[bootstrap] failed")]
        self.assertTrue(self.here.links[0].is_secure())
        await self.until(lambda: self.server.links)
        self.assertTrue(self.server.links[0].is_secure())
        await self.end(peer)
        return []

    def peer(self, url: str, trust: Trust) -> PeerFactory:
        """Begin to dial."""
        self.here = Side()
        peer = PeerFactory(
            reactor,
            self.here,
            self.here.adopt,
            url,
            "key",
            pinned=True,
            attempts=1,
            trust=trust,
        )
        peer.begin()
        return peer

    async def end(self, peer: PeerFactory) -> None:
        """Hang up, and dial no more."""
        peer.stop()
        self.here.links[0].drop()
        await self.until(lambda: peer.link is None)

    async def test_good(self) -> None:
        """By its name, and by its address."""
        port = self.listen(GOOD)
        for host in ("localhost", "127.0.0.1"):
            self.assertEqual(await self.dial(f"wss://{host}:{port}"), [])
            self.assertEqual(len(self.here.links), 1)

    async def test_13_checked_again(self) -> None:
        """Whatever the handshake let pass is refused before a frame is sent."""
        port = self.listen(NO_NAME)
        [said] = await self.dial(f"wss://localhost:{port}", BlindTrust())
        self.assertIn("no subjectAltName", said)
        self.assertEqual((self.here.links, self.server.frames), ([], []))
        self.flushLoggedErrors()  # Twisted's: it logs the check that it ignores

    async def test_slow_reader(self) -> None:
        """Behind TLS, too, a link knows that the other end does not read."""
        port = self.listen(GOOD)
        peer = self.peer(f"wss://localhost:{port}", Trust(self.ca))
        await self.until(lambda: self.here.links and self.server.links)
        far, near = self.here.links[0], self.server.links[0]
        far.transport.pauseProducing()
        frame = b"x" * 1024 * 1024
        for _ in range(20):
            near.outbox.push(Draft(frame))
        await self.until(lambda: near.outbox.paused_at is not None)
        self.assertGreater(near.outbox.queued, 0)
        far.transport.resumeProducing()
        await self.until(lambda: len(self.here.frames) == 20)
        self.assertEqual(set(self.here.frames), {frame})
        await self.end(peer)

    async def test_no_request(self) -> None:
        """The name is checked within the handshake: not even HTTP is spoken."""
        for certificate in (WRONG_NAME, NO_NAME):
            await self.refusal(certificate)
            self.assertEqual(self.server.asked, 0)

    async def test_12_system_trust(self) -> None:
        """Without ``--tls-ca`` a private authority is unknown, not everybody's."""
        port = self.listen(GOOD)
        [said] = await self.dial(f"wss://localhost:{port}", Trust())
        self.assertIn("not trusted here", said)


class UnfinishedTests(TLSTestCase):
    """A TLS handshake takes up room from its first packet on, and not for long."""

    async def test_handshake(self) -> None:
        """Who never finishes it is counted, and put out after ten seconds."""
        clock = Clock()
        entrance = Entrance(Limits(), Counter(), clock.seconds)
        self.server.entrance = entrance
        hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
        for begun in (b"", hello):
            port = self.listen(GOOD)
            where = TCP4ClientEndpoint(reactor, "127.0.0.1", port)
            caller: Any = await connectProtocol(where, Protocol())
            caller.transport.write(begun)
            await self.until(lambda: len(entrance) == 1)
            clock.advance(9.5)
            entrance.close_late()
            await deferLater(reactor, 0.01)
            self.assertTrue(caller.transport.connected)
            clock.advance(1)
            entrance.close_late()
            transport = caller.transport
            while transport.connected:
                await deferLater(reactor, 0.005)
            self.assertEqual(len(entrance), 0)


class Waiting:
    """What a client is to its dialling: it waits for the first outcome."""

    def __init__(self) -> None:
        self.outcome: Deferred[str] = Deferred()
        self.links: list[Any] = []

    def attempting(self, attempt: int) -> None:
        """Nothing to do."""

    def opened(self, link: Any) -> None:
        """Here a session would greet."""
        self.links.append(link)
        self.outcome.callback("")

    def received(self, link: Any, frame: bytes) -> None:
        """Nothing to do."""

    def closed(self, link: Any, reason: str) -> None:
        """Nothing to do."""

    def failed(self, attempt: int, reason: str) -> None:
        """Keep the reason."""
        self.outcome.callback(reason)

    def gave_up(self, reason: str) -> None:
        """Nothing to do."""


class ClientTests(Refusals, TLSTestCase):
    """A client says why it does not log in, and sends nothing."""

    async def refusal(
        self,
        certificate: Certificate | None,
        url: str = "wss://localhost",
        factory: Any = None,
    ) -> str:
        """Dial once; return the reason."""
        port = self.listen_with(factory) if factory else self.listen(certificate)
        return await self.dial(f"{url}:{port}", Trust(self.ca).expect(url[6:]))

    async def dial(self, url: str, tls: Any) -> str:
        """Dial once; return what is told of it, nothing if the WebSocket opens."""
        self.here = Waiting()
        dialing = Dialing(reactor, url, self.here, tls)
        dialing.maxRetries = -1
        dialing.dial()
        told = await self.here.outcome
        dialing.stop()
        if self.here.links:
            await self.until(lambda: self.server.gone)
        return told

    async def test_good(self) -> None:
        """By its name."""
        port = self.listen(GOOD)
        tls = Trust(self.ca).expect("localhost")
        self.assertEqual(await self.dial(f"wss://localhost:{port}", tls), "")
        self.assertTrue(self.server.links[0].is_secure())

    async def test_13_checked_again(self) -> None:
        """Whatever another maker of connections lets pass is refused."""
        port = self.listen(NO_NAME)
        tls = BlindTrust().expect("localhost")
        said = await self.dial(f"wss://localhost:{port}", tls)
        self.assertIn("no subjectAltName", said)
        self.assertEqual(self.here.links, [])
        self.flushLoggedErrors()  # Twisted's: it logs the check that it ignores

    async def test_12_system_trust(self) -> None:
        """Without authorities of its own it trusts the system's, not everybody."""
        port = self.listen(GOOD)
        said = await self.dial(f"wss://localhost:{port}", None)
        self.assertIn("not trusted here", said)
