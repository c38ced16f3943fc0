"""Servers on TLS ports of this process, and what their links are told."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet import reactor as global_reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from socp_twisted.net.certificate import SecureFactory, ServerCertificate
from socp_twisted.net.entrance import Entrance
from socp_twisted.net.gathering import Gathering
from socp_twisted.net.link import Link
from socp_twisted.net.listener import make_site
from socp_twisted.overlay.effects import LinkId
from socp_twisted.wire.limits import Limits
from tests.certificates import OURS, Certificate

reactor: Any = global_reactor


class Side:
    """What a node is to the links of one side: it counts what is opened and said."""

    limits = Limits()

    def __init__(self) -> None:
        self.entrance = Entrance(self.limits, Counter(), reactor.seconds)
        self.asked = 0
        """Requests for a WebSocket."""
        self.links: list[Link] = []
        """Those of which the WebSocket is open, or was."""
        self.gone = 0
        self.frames: list[bytes] = []
        self.gathering = Gathering(self.soon, self.seconds)

    def adopt(self, link: Link) -> None:
        """Take a link."""
        self.asked += 1
        link.id = LinkId(1)
        link.owner = self

    def seconds(self) -> float:
        """Return the time."""
        return float(reactor.seconds())

    def is_turn_over(self) -> bool:
        """Never: nobody here reads much."""
        return False

    def soon(self, call: Any) -> None:
        """Call back in the next turn."""
        reactor.callLater(0, call)

    def link_opened(self, link: Link) -> None:
        """Here a node would greet."""
        self.links.append(link)

    def frame_received(self, link: Link, frame: bytes) -> None:
        """Keep the frame."""
        self.frames.append(frame)

    def piece_received(self, link: Link) -> None:
        """Nothing is counted here."""

    def pong_received(self, link: Link) -> None:
        """Take a sign of life."""

    def link_failed(self, link: Link, code: int, reason: str) -> None:
        """Here a node would take it out of its tables."""

    def link_closed(self, link: Link, reason: str) -> None:
        """Count it."""
        self.gone += 1


class TLSTestCase(TestCase):
    """A server on a free port of the loopback, and whoever dials it."""

    timeout = 20

    def setUp(self) -> None:
        """Write down whom we trust."""
        self.folder = Path(self.mktemp())
        self.folder.mkdir(parents=True)
        self.ca = self.folder / "ca.pem"
        self.ca.write_bytes(OURS.pem)
        self.server = Side()

    def listen(self, certificate: Certificate | None) -> int:
        """Serve SOCP's WebSocket over TLS, or in clear; return the port."""
        site: Any = make_site(self.server, self.server.adopt, reactor)
        if certificate is not None:
            files = ServerCertificate(*certificate.write(self.folder))
            site = SecureFactory(files, site, reactor)
        return self.listen_with(site)

    def listen_with(self, factory: Any) -> int:
        """Serve anything; wait in the end until all that it served is gone."""
        ends: list[Any] = []
        build = factory.buildProtocol

        def counted(address: Any) -> Any:
            ends.append(build(address))
            return ends[-1]

        factory.buildProtocol = counted
        port = reactor.listenTCP(0, factory, interface="127.0.0.1")

        async def close() -> None:
            await port.stopListening()
            await self.until(lambda: not any(_is_open(one) for one in ends))

        self.addCleanup(lambda: Deferred.fromCoroutine(close()))
        return int(port.getHost().port)

    async def until(self, condition: Callable[[], Any]) -> None:
        """Turn the reactor until something is so."""
        while not condition():
            await deferLater(reactor, 0.005)


def _is_open(protocol: Any) -> bool:
    transport = getattr(protocol, "transport", None)
    return bool(transport is not None and getattr(transport, "connected", False))
