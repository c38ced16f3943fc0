"""
How does the client reach its server?  Ten attempts in all, 5 s apart.  (SOCP 5)

The rules are those of the servers among themselves: an attempt succeeded when somebody
is logged in, not when a socket opened; a connection that was up and is lost begins a
new cycle of ten.
"""

from typing import Any, Final, Protocol

from autobahn.twisted.websocket import (
    WebSocketClientFactory,
    WebSocketClientProtocol,
    connectWS,
)
from twisted.internet.interfaces import (
    IAddress,
    IConnector,
    IOpenSSLClientConnectionCreator,
)
from twisted.internet.protocol import ReconnectingClientFactory
from twisted.python.failure import Failure

from socp_twisted.net.reasons import why_not_connected
from socp_twisted.net.tls import Checked, Trust, tls_exporter
from socp_twisted.wire.limits import Limits
from socp_twisted.wire.vocabulary import (
    CLOSE_NORMAL,
    HEARTBEAT_INTERVAL,
    MAX_ATTEMPTS,
    RETRY_DELAY,
)

_CONNECT_TIMEOUT: Final = 5.0
"""Of TCP: the default of 30 s would stretch the cadence of the attempts."""

_LIMIT: Final = Limits().frame


class Owner(Protocol):
    """Who has the connection made, and hears what becomes of it."""

    def attempting(self, attempt: int) -> None:
        """The ``attempt``-th connection of this cycle is being opened."""

    def opened(self, link: "Link") -> None:
        """The WebSocket is open."""

    def received(self, link: "Link", frame: bytes) -> None:
        """A message has come."""

    def closed(self, link: "Link", reason: str) -> None:
        """A WebSocket that was open is closed."""

    def failed(self, attempt: int, reason: str) -> None:
        """That attempt ended before anybody was logged in."""

    def gave_up(self, reason: str) -> None:
        """No further attempt will be made."""


class Link(WebSocketClientProtocol):
    """Carry frames between Autobahn and the client; decide nothing."""

    factory: "Dialing"
    reason = ""
    _open = False

    def connectionMade(self) -> None:
        """Autobahn's own attempt at TCP_NODELAY fails in silence: 40 ms a message."""
        super().connectionMade()
        set_no_delay = getattr(self.transport, "setTcpNoDelay", None)
        if set_no_delay is not None:
            set_no_delay(True)

    def onOpen(self) -> None:
        """Begin: the session speaks first."""
        self._open = True
        self.factory.owner.opened(self)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """Hand the frame on; text or binary makes no difference to JSON."""
        self.factory.owner.received(self, payload)

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        """Keep the true reason: the factory may only see "closed cleanly"."""
        said = f": {reason}" if reason else ""
        self.reason = f"the server closed the connection ({code}){said}"
        if code is None or code in (1005, 1006):
            self.reason = f"the connection was lost{said}"
        if self._open:
            self._open = False
            self.factory.owner.closed(self, self.reason)
        else:
            self.reason = reason or "the server did not answer as a WebSocket"

    def send(self, frame: bytes) -> None:
        """Send one frame; one for a connection that is closing goes nowhere."""
        if self._open and self.state == self.STATE_OPEN:
            self.sendMessage(frame, isBinary=False)

    def tls_exporter(self) -> str:
        """Return what names this TLS connection and no other, or nothing (RFC 9266)."""
        return tls_exporter(self.transport)

    def hang_up(self, code: int = CLOSE_NORMAL) -> None:
        """Close, with the ordinary closing handshake."""
        if self._open:
            self.sendClose(code)
        elif self.transport is not None:
            self.transport.loseConnection()


class CheckedLink(Checked, Link):
    """A link that opens only where the certificate is the server's."""


class Dialing(WebSocketClientFactory, ReconnectingClientFactory):
    """
    Keep one connection to one server: ten attempts in all, 5 s apart.

    Only a login calls ``logged_in``.  A server that accepts the connection and then
    hangs up is still using up its attempts.
    """

    protocol = CheckedLink
    noisy = False
    maxRetries = MAX_ATTEMPTS - 1  # type: ignore[assignment]  # after the first
    initialDelay = delay = RETRY_DELAY  # both: the first wait is ``delay``
    factor = 1.0  # no growth
    jitter = 0.0  # and no random walk

    def __init__(
        self,
        reactor: Any,
        url: str,
        owner: Owner,
        tls: IOpenSSLClientConnectionCreator | None = None,
    ) -> None:
        super().__init__(url, reactor=reactor)
        self.setProtocolOptions(
            maxFramePayloadSize=_LIMIT,
            maxMessagePayloadSize=_LIMIT,
            failByDrop=False,
            openHandshakeTimeout=5,
            closeHandshakeTimeout=3,
            autoPingInterval=HEARTBEAT_INTERVAL,
            autoPingTimeout=2 * HEARTBEAT_INTERVAL,
        )
        self.owner = owner
        self.clock = reactor
        if self.isSecure and tls is None:
            tls = Trust().expect(self.host)  # Autobahn alone would verify nothing
        self._tls = tls if self.isSecure else None
        self._up = False
        self._link: Link | None = None
        self._current: IConnector | None = None

    def dial(self) -> None:
        """Begin a cycle of ten attempts."""
        self.resetDelay()
        # Not an endpoint: its wrapper would swallow the retries.
        connectWS(self, contextFactory=self._tls, timeout=_CONNECT_TIMEOUT)

    def logged_in(self) -> None:
        """The attempt has succeeded: the next loss begins a new cycle."""
        self._up = True
        self.resetDelay()

    def stop(self) -> None:
        """Make no further attempt, and hang up what there is."""
        self.stopTrying()
        if self._link is not None:
            self._link.hang_up()

    @property
    def attempts(self) -> int:
        """Say how many attempts this cycle has had: 1 to 10."""
        return min(max(self.retries, 0) + 1, MAX_ATTEMPTS)

    @property
    def up(self) -> bool:
        """Say whether somebody was logged in on the latest connection."""
        return self._up

    def startedConnecting(self, connector: IConnector) -> None:
        """Twisted dials: say which attempt this is."""
        self.connector = self._current = connector
        self.owner.attempting(self.retries + 1)

    def buildProtocol(self, addr: IAddress | None) -> Link:
        """Remember the link, which alone knows why it was lost."""
        link = super().buildProtocol(addr)
        assert isinstance(link, CheckedLink)
        link.tls, link.tls_host = self._tls, self.host
        self._link = link
        return link

    def clientConnectionFailed(self, connector: IConnector, reason: Failure) -> None:
        """Nobody listens there."""
        self._ended(connector, why_not_connected(reason, _CONNECT_TIMEOUT))

    def clientConnectionLost(self, connector: IConnector, reason: Failure) -> None:
        """A handshake that failed arrives here too."""
        said = self._link.reason if self._link is not None else ""
        self._ended(connector, said or reason.getErrorMessage())

    def _ended(self, connector: IConnector, reason: str) -> None:
        if connector is not self._current:
            return  # an older connection, from before the user began again
        self._link = None
        if self._up:
            self._up = False
            self.retries = -1  # the redial in 5 s is the first of ten
        elif self.continueTrying:
            self.owner.failed(self.retries + 1, reason)
        if self.continueTrying:
            self.connector = connector
            self.retry()
            if self.retries > self.maxRetries:
                self.owner.gave_up(reason)
