"""Nodes in this process that serve wss://, their users, and who is in between."""

from collections.abc import Callable
from typing import Any

from twisted.internet import reactor as global_reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import (
    TCP4ClientEndpoint,
    connectProtocol,
    wrapClientTLS,
)
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Protocol, ServerFactory
from twisted.python.failure import Failure

from socp_twisted.client import Client, connect
from socp_twisted.client.pins import Pins
from socp_twisted.net.certificate import SecureFactory, ServerCertificate
from socp_twisted.net.tls import Trust
from socp_twisted.service import NodeService
from socp_twisted.wire.envelope import Envelope
from tests.certificates import GOOD, OURS
from tests.keyring import key_of, pub_of
from tests.loopback import loopback
from tests.neighbours import InteropTestCase

reactor: Any = global_reactor


class Node:
    """A node in this process, on a port that is free."""

    def __init__(self, service: NodeService, port: int, *, secure: bool) -> None:
        self.service = service
        self.port = port
        self.url = f"{'wss' if secure else 'ws'}://localhost:{port}"
        self.heard: list[Envelope] = []
        """What came in from anybody, but for garbage."""
        receive = service.node.frame_received

        def note(link: Any, frame: bytes) -> None:
            self.heard.append(Envelope.parse(frame, complete=False))
            receive(link, frame)

        service.node.frame_received = note  # type: ignore[method-assign]

    def linked(self) -> list[str]:
        """Return the servers that it is linked to, once for each link."""
        servers = self.service.node.mesh.directory.servers.values()
        return sorted(one.id for one in servers for _ in one.links)

    def bound(self) -> dict[str, bool]:
        """Return whose links need no signature, and whose do."""
        parties = self.service.node.mesh.parties.values()
        return {one.name: one.tls_bound for one in parties}


class Pipe(Protocol):
    """One end of a connection that goes on elsewhere."""

    other: "Pipe"

    def __init__(self, ends: "set[Pipe]") -> None:
        self._ends = ends
        self._unsent = b""

    def connectionMade(self) -> None:
        """Pass on what came before we were there."""
        self._ends.add(self)
        self.send(b"")

    def dataReceived(self, data: bytes) -> None:
        """Pass on."""
        self.other.send(data)

    def send(self, data: bytes) -> None:
        """Send bytes, once there is somebody to send them to."""
        self._unsent += data
        if self.transport is not None and self.connected:
            unsent, self._unsent = self._unsent, b""
            self.transport.write(unsent)

    def connectionLost(self, reason: Failure = None) -> None:  # type: ignore[assignment]
        """Close the other end as well."""
        self._ends.discard(self)
        if self.other.connected and self.other.transport is not None:
            self.other.transport.loseConnection()


class Between(ServerFactory):
    """A proxy: it dials ``port`` for whoever connects, over TLS if it has ``tls``."""

    noisy = False

    def __init__(self, port: int, tls: Any = None) -> None:
        self._port = port
        self._tls = tls
        self.ends: set[Pipe] = set()
        self.dialled: list[Pipe] = []

    def buildProtocol(self, addr: IAddress | None) -> Pipe:
        """Take a connection, and open the other one."""
        near, far = Pipe(self.ends), Pipe(self.ends)
        near.other, far.other = far, near
        endpoint: Any = TCP4ClientEndpoint(reactor, "127.0.0.1", self._port)
        if self._tls is not None:
            endpoint = wrapClientTLS(self._tls, endpoint)
        connectProtocol(endpoint, far)
        self.dialled.append(far)
        return near


class SecureCase(InteropTestCase):
    """Nodes that serve wss://, and users who trust their authority."""

    def setUp(self) -> None:
        """Write down whom we trust."""
        super().setUp()
        self.ca = self._home / "ca.pem"
        self.ca.write_bytes(OURS.pem)

    async def node(
        self,
        name: str,
        *introducers: tuple[str, str],
        secure: bool = True,
        sign_always: bool = False,
    ) -> Node:
        """Start a node; ``introducers`` are URLs and the names of the keys there."""
        cert, key = GOOD.write(self._home / name)
        port = self.ports.take()
        configuration = loopback(
            name,
            port,
            self._home,
            [(url, pub_of(one)) for url, one in introducers],
            host="localhost",
            tls_cert=cert if secure else None,
            tls_key=key if secure else None,
            tls_ca=self.ca,
            sign_always=sign_always,
        )
        clock: Any = self.clock
        service = NodeService(clock, configuration, key_of(name))
        self.addCleanup(service.stopService)
        node = Node(service, port, secure=secure)
        service.privilegedStartService()
        service.startService()
        await self.until(lambda: service.mesh.running)
        return node

    async def user(self, owner: str, node: Node, url: str = "") -> Client:  # type: ignore[override]
        """Log a user in with our own client; ``url`` is of who is in between."""
        client = await connect(
            reactor,
            url or node.url,
            user_id=owner,
            key=key_of(owner),
            pins=Pins(None),
            downloads=self._home,
            tls_ca=self.ca,
        )
        self.addCleanup(lambda: Deferred.fromCoroutine(client.close()))
        return client

    def expect(self) -> Any:
        """Return what makes TLS connections to us."""
        return Trust(self.ca).expect("localhost")

    def proxy(
        self,
        to: int,
        *,
        tls: bool = True,
        onward: bool = True,
        adjust: Callable[[ServerCertificate], None] = lambda certificate: None,
    ) -> tuple[Between, int]:
        """
        Start a proxy; return it and its port.

        With ``tls`` it shows a certificate that is as good as the server's own, with
        ``onward`` it dials by TLS; ``adjust`` changes how it speaks TLS.
        """
        between = Between(to, self.expect() if onward else None)
        factory: Any = between
        if tls:
            certificate = ServerCertificate(*GOOD.write(self._home / "proxy"))
            adjust(certificate)
            factory = SecureFactory(certificate, between, reactor)
        listening = reactor.listenTCP(0, factory, interface="127.0.0.1")

        async def close() -> None:
            await listening.stopListening()
            for end in list(between.ends):
                end.transport.abortConnection()  # type: ignore[union-attr]
            await self.until(lambda: not between.ends)

        self.addCleanup(lambda: Deferred.fromCoroutine(close()))
        return between, int(listening.getHost().port)
