"""Where do connections come in?  WebSocket behind twisted.web.  (SOCP 6)"""

from collections.abc import Callable

from autobahn.twisted.resource import WebSocketResource
from autobahn.twisted.websocket import WebSocketServerFactory
from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel
from twisted.web.resource import Resource
from twisted.web.server import Request, Site

from socp_twisted.net.certificate import TLS_HANDSHAKE
from socp_twisted.net.entrance import Entrance
from socp_twisted.net.link import AcceptedLink, Link, Owner, shared_options

MAX_BODY = 1024
"""Bytes: nobody has reason to send a SOCP server an HTTP body."""


class AcceptingFactory(WebSocketServerFactory):
    """Makes a link of each connection that asks for WebSocket."""

    noisy = False

    def __init__(self, owner: Owner, adopt: Callable[[Link], None]) -> None:
        """``adopt`` gives a new link its id and its owner."""
        super().__init__("ws://localhost")
        self._adopt = adopt
        self.setProtocolOptions(
            **shared_options(owner.limits),
            webStatus=False,  # its status page is an open redirect
            allowNullOrigin=False,
            # A browser says where its page came from; no page of ours is served, so
            # no page may use a visitor's way to this server.  Programs say nothing.
            allowedOrigins=[],
        )

    def buildProtocol(self, addr: IAddress | None) -> AcceptedLink:
        """Make the link for one connection."""
        link = AcceptedLink()
        link.factory = self
        self._adopt(link)
        return link


class FrontDoor(Resource):
    """What the listening port serves: WebSocket, and a sentence for browsers."""

    def __init__(self, factory: AcceptingFactory) -> None:
        super().__init__()
        self._websocket = WebSocketResource(factory)

    def getChild(self, path: bytes, request: Request) -> "FrontDoor":
        """Answer every path alike."""
        return self

    def render(self, request: Request) -> object:
        """Upgrade to WebSocket, or say what this is."""
        upgrade = request.getHeader(b"upgrade") or b""
        if upgrade.lower() == b"websocket":
            return self._websocket.render(request)
        request.setResponseCode(426)
        request.setHeader(b"upgrade", b"websocket")
        request.setHeader(b"content-type", b"text/plain; charset=utf-8")
        return b"This is a SOCP chat server: connect with WebSocket.\n"


class SmallRequest(Request):
    """A request whose body is no way to fill the disk."""

    def gotLength(self, length: int | None) -> None:
        """Refuse a body before a byte of it is stored."""
        if length is None or length > MAX_BODY:
            self.channel.loseConnection()
            length = 0
        super().gotLength(length)


class Channel(HTTPChannel):
    """One question in HTTP/1.1, by who is counted from the first packet on."""

    site: "Http1Site"
    _begun = False
    _waiting = b""
    _gone = False

    def connectionMade(self) -> None:
        """Count it, or cut it: with TLS this comes before the handshake."""
        super().connectionMade()
        transport = self.transport
        assert transport is not None
        host = str(getattr(transport.getPeer(), "host", ""))
        if not self.site.entrance.came(transport, host):
            transport.abortConnection()  # type: ignore[attr-defined]

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        """Forget it; a link that took the transport over forgets it itself."""
        self._gone = True
        self.site.entrance.gone(self.transport)
        super().connectionLost(reason)

    def checkPersistence(self, request: Request, version: bytes) -> bool:
        """Answer one question: whoever has another one may come again."""
        super().checkPersistence(request, version)
        request.responseHeaders.setRawHeaders(b"connection", [b"close"])
        return False

    def dataReceived(self, data: bytes) -> None:
        """
        Answer when there is time: a thousand who come at once are a second of work.

        Look at the first byte: both ends would wait for each other for 10 s.
        """
        if self.site.owner.is_turn_over():
            assert self.transport is not None
            if not self._waiting:
                self.transport.pauseProducing()  # type: ignore[attr-defined]
                self.site.owner.soon(self._go_on)
            self._waiting += data
            return
        if not self._begun and data[0] == TLS_HANDSHAKE:
            assert self.transport is not None
            self.transport.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            self.transport.loseConnection()
            return
        self._begun = True
        super().dataReceived(data)

    def _go_on(self) -> None:
        if not self._gone:
            assert self.transport is not None
            data, self._waiting = self._waiting, b""
            self.transport.resumeProducing()  # type: ignore[attr-defined]
            self.dataReceived(data)


class Http1Site(Site):
    """A site without HTTP/2, which knows neither ``SmallRequest`` nor WebSocket."""

    noisy = False
    displayTracebacks = False
    entrance: Entrance
    owner: Owner
    protocol = Channel  # type: ignore[assignment]  # Twisted's: this is enough

    def acceptableProtocols(self) -> list[bytes]:
        """Return what may be agreed on within a TLS handshake."""
        return [b"http/1.1"]


def make_site(
    owner: Owner,
    adopt: Callable[[Link], None],
    reactor: IReactorTime | None = None,
) -> Site:
    """
    Return the factory to listen with: a bare WebSocket one has no bounds.

    ``reactor`` keeps the time of HTTP; the global one if none is given.
    """
    site = Http1Site(
        FrontDoor(AcceptingFactory(owner, adopt)),
        requestFactory=SmallRequest,
        timeout=None,  # it begins anew with each byte; the entrance has one that ends
        reactor=reactor,
    )
    site.owner, site.entrance = owner, owner.entrance
    return site
