"""How is one server dialled?  Ten times in all, five seconds apart.  (SOCP 8.1)"""

from collections.abc import Callable

from autobahn.twisted.websocket import WebSocketClientFactory, connectWS
from twisted.internet.interfaces import (
    IAddress,
    IConnector,
    IReactorTCP,
    IReactorTime,
)
from twisted.internet.protocol import ReconnectingClientFactory
from twisted.logger import Logger
from twisted.python.failure import Failure

from socp_twisted.net.link import DialledLink, Link, Owner, shared_options
from socp_twisted.net.reasons import why_no_link, why_not_connected
from socp_twisted.net.tls import Trust
from socp_twisted.wire.addresses import is_loopback

CONNECT_TIMEOUT = 5
"""Seconds for TCP alone; Autobahn's 30 would stretch the five seconds of a cycle."""


class IReactorDialling(IReactorTCP, IReactorTime):
    """A reactor that connects and keeps time."""


class PeerFactory(WebSocketClientFactory, ReconnectingClientFactory):
    """
    Keep one link to one server: dial 10 times in all, 5 s apart, then give up.

    Only a peer that has finished the SOCP handshake with the key that is expected of it
    counts as connected.  One that accepts the connection and then hangs up is still
    using up its attempts.  A link that was up and is lost begins a new cycle, and so
    does ``begin``: any sign of life of a server that was given up on.
    """

    noisy = False
    clock: IReactorDialling  # type: ignore[assignment]
    maxRetries: int  # type: ignore[assignment]
    factor = 1.0  # no growth
    jitter = 0.0  # and no random walk
    _log = Logger()

    def __init__(
        self,
        reactor: IReactorDialling,
        owner: Owner,
        adopt: Callable[[Link], None],
        url: str,
        key: str,
        *,
        pinned: bool,
        server_id: str = "",
        attempts: int = 10,
        delay: float = 5.0,
        trust: Trust | None = None,
        wanted: Callable[["PeerFactory"], bool] = lambda peer: True,
        finished: Callable[["PeerFactory"], None] = lambda peer: None,
    ) -> None:
        """
        Prepare to dial ``url``, where ``key`` is expected; ``begin`` starts.

        ``trust`` has the authorities of wss://, the system's if it is not given.
        ``wanted`` is asked before each attempt: no second link to whom we have one.
        ``finished`` is called when the peer was given up on.
        """
        super().__init__(url, reactor=reactor)
        self.setProtocolOptions(**shared_options(owner.limits))
        self.clock = reactor
        self.key = key
        self.pinned = pinned
        self.server_id = server_id
        # Both: the first wait is ``delay``, 1 s if inherited; later ones start over.
        self.initialDelay = self.delay = delay
        self.maxRetries = attempts - 1  # after the first attempt
        # Never none for wss://: Autobahn would verify nothing.
        self._tls = (trust or Trust()).expect(self.host) if self.isSecure else None
        self._adopt = adopt
        self._wanted = wanted
        self._finished = finished
        self._busy = False
        self._up_at: float | None = None
        self.link: Link | None = None

    @property
    def active(self) -> bool:
        """Whether an attempt or a link is under way, or a wait for the next attempt."""
        return self._busy

    def begin(self) -> None:
        """Start a cycle of attempts now, unless one is under way or we were stopped."""
        if self._busy or not self.continueTrying or not self._wanted(self):
            return
        self._busy = True
        self.retries = 0
        self.delay = self.initialDelay
        if self.connector is None:
            if self._tls is None and not is_loopback(self.host):
                self._log.warn(
                    "{url} is not encrypted: whoever is on the way sees who writes to "
                    "whom; wss:// hides it",
                    url=self.url,
                )
            self.connector = connectWS(
                self, contextFactory=self._tls, timeout=CONNECT_TIMEOUT
            )
        else:
            self.connector.connect()

    def linked(self) -> None:
        """The SOCP handshake is done: the attempt has succeeded."""
        self._log.info("[bootstrap] successfully connected to {url}", url=self.url)
        self._up_at = self.clock.seconds()
        if self.continueTrying:  # resetDelay() would undo stopTrying()
            self.resetDelay()

    def stand_down(self) -> None:
        """Do not dial again: the server has linked to us, or we have on another way."""
        if self._callID is not None and self._callID.active():
            self._callID.cancel()
            self._callID = None
            self._busy = False

    def stop(self) -> None:
        """Dial no more; links that are up are the node's to close."""
        self.stopTrying()
        self._busy = self.link is not None

    # -- what Twisted calls ------------------------------------------------------------

    def startedConnecting(self, connector: IConnector) -> None:
        """Say which attempt this is."""
        self.connector = connector
        self._up_at = None
        self._log.info(
            "[bootstrap] attempting to connect to {url} (attempt {attempt}/{attempts})",
            url=self.url,
            attempt=self.retries + 1,
            attempts=self.maxRetries + 1,
        )

    def buildProtocol(self, addr: IAddress | None) -> DialledLink:
        """Make the link for one connection."""
        link = DialledLink()
        link.factory = self
        link.url, link.key, link.pinned = self.url, self.key, self.pinned
        link.server_id = self.server_id
        link.tls, link.tls_host = self._tls, self.host
        self._adopt(link)
        self.link = link
        return link

    def clientConnectionFailed(self, connector: IConnector, reason: Failure) -> None:
        """No connection: refused, unreachable, no such name, no answer."""
        self._failed(connector, why_not_connected(reason, CONNECT_TIMEOUT))

    def clientConnectionLost(self, connector: IConnector, reason: Failure) -> None:
        """The connection is gone; the link knows why better than Twisted does."""
        link, self.link = self.link, None
        fault = link.fault if link is not None else ""
        if self._up_at is None:
            self._failed(connector, why_no_link(fault))
            return
        lasted = self.clock.seconds() - self._up_at
        self._up_at = None
        self._log.info(
            "[bootstrap] lost the link to {url}: {reason}", url=self.url, reason=fault
        )
        self._busy = False
        if lasted >= self.initialDelay:
            self.begin()
        elif self.continueTrying and self._wanted(self):
            # Up and gone at once: whoever does that would have us dial in a circle.
            self._busy = True
            self.retries = -1  # counted up before the attempt, which is the first
            self.retry(connector)

    def retry(self, connector: IConnector | None = None) -> None:
        """Dial again after the delay, or say that nobody will."""
        if self.retries >= self.maxRetries:
            self._busy = False
            self._log.error(
                "[bootstrap] giving up on {url} after {attempts} attempts",
                url=self.url,
                attempts=self.maxRetries + 1,
            )
            self._finished(self)
            return
        self._log.info(
            "[bootstrap] retrying in {delay:g} seconds...", delay=self.initialDelay
        )
        super().retry(connector)

    def _failed(self, connector: IConnector, why: str) -> None:
        if not self.continueTrying:
            self._busy = False
            return
        self._log.warn(
            "[bootstrap] failed to connect {url} (attempt {attempt}/{attempts}): "
            "{reason}",
            url=self.url,
            attempt=self.retries + 1,
            attempts=self.maxRetries + 1,
            reason=why,
        )
        if not self._wanted(self):
            self._busy = False  # it has linked to us meanwhile
            return
        self.retry(connector)
