"""What starts, what stops, and in which order?"""

import gc
import resource
import signal
import time
from collections.abc import Callable
from functools import partial
from typing import Any, cast

from twisted.application.service import MultiService
from twisted.internet.abstract import FileDescriptor
from twisted.internet.defer import Deferred, DeferredSemaphore
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import (
    IListeningPort,
    IProtocolFactory,
    IReactorCore,
    IReactorThreads,
)
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure

from socp_twisted.accounts import Accounts
from socp_twisted.configuration import WANTED_INTRODUCERS, Configuration
from socp_twisted.errors import ConfigurationError
from socp_twisted.net.certificate import SecureFactory, ServerCertificate
from socp_twisted.net.entrance import SURPLUS
from socp_twisted.net.listener import make_site
from socp_twisted.net.mesh import MeshService
from socp_twisted.net.peers import IReactorDialling
from socp_twisted.net.tls import Trust
from socp_twisted.node import Node
from socp_twisted.overlay.admission import is_wanted
from socp_twisted.pins import Pins
from socp_twisted.post import Post
from socp_twisted.store.sqlite import SqliteStore
from socp_twisted.trust.keys import SigningKey
from socp_twisted.trust.signer import Signer, ThreadedSigner
from socp_twisted.wire.addresses import is_loopback, join_url
from socp_twisted.wire.vocabulary import JOINS_KNOWN, JOINS_OPEN, JOINS_PINNED

PASSWORD_CHECKS = 2
"""Password checks at a time; the others wait, and nobody else does."""


OTHER_FILES = 512
"""Files that a node has open beside what others open: links, the database, the log."""

_JOINS = {
    JOINS_OPEN: ", any server",
    JOINS_KNOWN: ", the servers seen before",
    JOINS_PINNED: ", the introducers alone",
}


class IReactorNode(IReactorDialling, IReactorThreads, IReactorCore):
    """A reactor that can do all that a node needs."""


class CannotStart(ConfigurationError, SystemExit):
    """
    One sentence and exit code 1, whether twistd stays in the foreground or not.

    A bare ``SystemExit`` slips through twistd's ``except Exception``: its parent
    process would wait for ever, and the pid file would stay.
    """

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.code = sentence


class NodeService(MultiService):
    """
    A node: listens first, then dials; says goodbye before it closes anything.

    ``MultiService`` stops everything at once, and would close the store under links
    that still say goodbye.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: IReactorNode,
        configuration: Configuration,
        key: SigningKey,
        *,
        signer: Signer | None = None,
        store: SqliteStore | None = None,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        """Build everything; start nothing; raise ``ConfigurationError``."""
        super().__init__()
        self._reactor = reactor
        self._configuration = configuration
        self._checking = DeferredSemaphore(PASSWORD_CHECKS)
        self._port: IListeningPort | None = None
        self._wall_clock = wall_clock
        self._certificate: ServerCertificate | None = None
        if configuration.tls_cert is not None and configuration.tls_key is not None:
            self._certificate = ServerCertificate(
                configuration.tls_cert, configuration.tls_key
            )
        self._hangup: Any = None
        self._store = store or SqliteStore(configuration.db, reactor)
        self.node = Node(
            reactor,
            signer or ThreadedSigner(reactor, key),
            wall_clock,
            server_id=configuration.server_id,
            host=configuration.advertise_host,
            port=configuration.advertise_port,
            pubkey=key.public.text,
            limits=configuration.limits,
            patience=configuration.retry_delay,
            secure=self._certificate is not None,
            sign_always=configuration.sign_always,
        )
        accounts = Accounts(self.node.mesh, self._store, self._in_thread)
        pins = Pins(self.node.mesh, self._store)
        post = Post(
            self.node.mesh,
            self._store,
            self.node.perform,
            hold=configuration.hold,
        )
        self.node.accounts, self.node.pins, self.node.post = accounts, pins, post
        self._memories = (pins, accounts, post)
        self.node.mesh.joins = configuration.joins
        self.node.mesh.introducer_keys = frozenset(
            introducer.key for introducer in configuration.introducers
        )
        self.mesh = MeshService(
            reactor,
            self.node,
            self.node.adopt,
            attempts=configuration.max_attempts,
            delay=configuration.retry_delay,
            is_wanted=partial(is_wanted, self.node.mesh),
            trust=Trust(configuration.tls_ca),
        )
        for introducer in configuration.introducers:
            if introducer.key == key.public.text:
                self._log.info(
                    "[bootstrap] skipping {url}: that is this node", url=introducer.url
                )
            else:
                self.mesh.add(introducer.url, introducer.key)
        self.mesh.setServiceParent(self)
        self.node.service = self.mesh

    def privilegedStartService(self) -> None:
        """Bind the port, or end the process with one sentence."""
        configuration = self._configuration
        site: IProtocolFactory = make_site(self.node, self.node.adopt, self._reactor)
        if self._certificate is not None:
            site = SecureFactory(self._certificate, site, self._reactor)
        try:
            self._store.check(self._now_ms())
        except ConfigurationError as why:
            raise CannotStart(f"socp: {why}") from why
        self._make_room(configuration.limits.connections + SURPLUS + OTHER_FILES)
        try:
            self._port = self._reactor.listenTCP(
                configuration.port,
                site,  # type: ignore[arg-type]
                interface=configuration.host,
            )
        except CannotListenError as why:
            raise CannotStart(
                f"socp: cannot listen on {configuration.host}:{configuration.port}: "
                f"{why.socketError}"
            ) from why
        # Bound, so that nobody else is; but whoever connects waits for the database.
        cast(FileDescriptor, self._port).stopReading()
        super().privilegedStartService()

    def _make_room(self, files: int) -> None:
        """Let this process have so many files open, each connection being one."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        most = files if hard == resource.RLIM_INFINITY else min(files, hard)
        if soft != resource.RLIM_INFINITY and soft < most:
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        if most < files:
            self._log.warn(
                "max-connections needs {files} open files, and the system allows "
                "{hard}: raise 'ulimit -Hn', or lower the limit",
                files=files,
                hard=hard,
            )

    def startService(self) -> None:
        """Say that we listen once signals are handled, and dial from then on."""
        if self._port is None:
            self.privilegedStartService()
        self.node.start()
        self._reactor.callWhenRunning(self._start_soon)

    def _start_soon(self) -> None:
        started = Deferred.fromCoroutine(self._start())
        started.addErrback(self._cannot_start)

    def _cannot_start(self, failure: Failure) -> None:
        self._log.failure("cannot start", failure=failure)
        self._reactor.stop()

    async def _start(self) -> None:
        await self._store.open(self._now_ms())
        for memory in self._memories:
            await memory.open()
        assert self._port is not None
        # What was loaded so far stays: to look through it for garbage again and again
        # would stop everybody for 20 ms.
        gc.freeze()
        cast(FileDescriptor, self._port).startReading()
        self._log.info(
            "[SOCP] server {server_id} listening on {url}",
            server_id=self.node.mesh.server_id,
            url=join_url(
                "ws" if self._certificate is None else "wss",
                self._configuration.host,
                getattr(self._port.getHost(), "port", 0),
            ),
        )
        self._log.info(
            "who may join: {joins}{what}",
            joins=self._configuration.joins,
            what=_JOINS[self._configuration.joins],
        )
        self._watch_encryption()
        if self._configuration.has_few_introducers:
            self._log.warn(
                "the standard asks for at least {wanted} introducers, not {count}",
                count=len(self._configuration.introducers),
                wanted=WANTED_INTRODUCERS,
            )
        super().startService()

    def _watch_encryption(self) -> None:
        """Say what is wrong with it, and read the certificate again on SIGHUP."""
        if self._certificate is None:
            if not is_loopback(self._configuration.host):
                self._log.warn(
                    "listening beyond this machine without TLS: whoever is on the way "
                    "sees who writes to whom; --tls-cert and --tls-key hide it"
                )
            return
        self._warn_of_certificate(self._certificate)
        self._hangup = signal.signal(
            signal.SIGHUP,
            lambda *_: self._reactor.callFromThread(self.reload_certificate),
        )

    def reload_certificate(self) -> None:
        """Read the certificate again, for new connections; keep a good one."""
        if self._certificate is None:
            return
        try:
            self._certificate.reload()
        except ConfigurationError as why:
            self._log.error(
                "kept the certificate that we had: {reason}", reason=str(why)
            )
            return
        self._log.info(
            "read the certificate {path} again", path=str(self._certificate.chain)
        )
        self._warn_of_certificate(self._certificate)

    def _warn_of_certificate(self, certificate: ServerCertificate) -> None:
        host, now = self._configuration.advertise_host, self._wall_clock()
        for warning in certificate.warnings(host, now):
            self._log.warn("{warning}", warning=warning)

    def stopService(self) -> Deferred[None]:
        """Take no more connections, dial no more, say goodbye."""
        self.running = 0
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        if self._hangup is not None:
            signal.signal(signal.SIGHUP, self._hangup)
        self.mesh.stopService()
        closed = None if self._port is None else self._port.stopListening()
        try:
            await self.node.stop()
            if closed is not None:
                await closed
        finally:
            await self._store.close()
        self._log.info(
            "[SOCP] server {server_id} stopped", server_id=self.node.mesh.server_id
        )

    def _now_ms(self) -> int:
        return int(self._wall_clock() * 1000)

    async def _in_thread(self, check: Callable[[], bool]) -> bool:
        """Run a password check: at most two at a time, for each is 45 ms of a core."""
        return await self._checking.run(
            deferToThreadPool, self._reactor, self._reactor.getThreadPool(), check
        )
