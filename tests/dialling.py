"""A node in memory that dials, and what its log promises meanwhile."""

from twisted.internet.protocol import Factory, Protocol
from twisted.logger import (
    ILogObserver,
    LogEvent,
    formatEvent,
    globalLogPublisher,
)
from zope.interface import implementer

from socp_twisted.net.peers import PeerFactory
from tests.memory_network import Network
from tests.support import MeshTestCase, Site

B = "ws://127.0.0.1:8766"


@implementer(ILogObserver)
class Listener:
    """Keeps the lines of the log that promise something, with their time."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self.events: list[LogEvent] = []
        self.lines: list[tuple[float, str]] = []

    def __call__(self, event: LogEvent) -> None:
        """Keep a line of ours."""
        text = formatEvent(event)
        if text.startswith("[bootstrap]"):
            self.events.append(event)
            self.lines.append((self._network.seconds(), text))


class DiallingTestCase(MeshTestCase):
    """One node that dials another address, and all that the log says meanwhile."""

    def setUp(self) -> None:
        """Listen to the log, with the time of each line."""
        super().setUp()
        self.heard = Listener(self.network)
        self.events, self.lines = self.heard.events, self.heard.lines
        globalLogPublisher.addObserver(self.heard)
        self.addCleanup(globalLogPublisher.removeObserver, self.heard)

    def dial(self, url: str = B) -> Site:
        """Start a node with one entry on its bootstrap list."""
        return self.start("srv-a", 8765, [(url, "srv-b")])

    def listen(self, protocol: type[Protocol]) -> None:
        """Let something that is no SOCP server listen where srv-b should."""
        self.network.listeners[8766] = Factory.forProtocol(protocol)

    def texts(self, start: str = "") -> list[str]:
        """Return the lines that begin so."""
        return [text for _, text in self.lines if text[12:].startswith(start)]

    def times(self, start: str) -> list[float]:
        """Return when the lines were said that begin so."""
        return [when for when, text in self.lines if text[12:].startswith(start)]

    def waiting(self, site: Site) -> list[float]:
        """Return the times of what is still to happen, but for the node's tick."""
        tick = site.node._ticking.call
        return [call.getTime() for call in site.machine.calls if call is not tick]

    def peer_of(self, site: Site) -> PeerFactory:
        """Return the factory that dials."""
        [peer] = site.mesh._peers.values()
        return peer
