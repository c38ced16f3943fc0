"""Nodes in memory: real links and rules, neither sockets nor waiting."""

import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import txaio
from autobahn.twisted.websocket import WebSocketClientFactory
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from socp_twisted.accounts import Accounts
from socp_twisted.net.link import Link
from socp_twisted.net.listener import make_site
from socp_twisted.net.mesh import MeshService
from socp_twisted.node import Node
from socp_twisted.overlay.admission import is_wanted
from socp_twisted.post import Post
from socp_twisted.trust.keys import SigningKey
from socp_twisted.wire.limits import Limits
from tests.inline_store import inline_store
from tests.keyring import NOON, pub_of, signature, signer_of
from tests.memory_network import Machine, Network, Wire
from tests.raw_ends import PeerEnd, RawEnd, UserEnd, Visitor


class CachingSigner:
    """Signs at once, and what any test has had signed before for nothing."""

    waiting = 0

    def __init__(self, key_name: str) -> None:
        self._key_name = key_name
        self._signed: set[bytes] = set()

    @property
    def made(self) -> int:
        """How many had to be made: the same data once, as a cache does."""
        return len(self._signed)

    def sign(self, data: bytes, done: Callable[[str], None], lane: int = 0) -> None:
        """Call ``done`` before returning."""
        self._signed.add(data)
        done(signature(self._key_name, data))

    def start(self) -> None:
        """Nothing to do."""

    def stop(self) -> None:
        """Nothing to do."""


_TYPE = re.compile(rb'"type":"([A-Z_]+)"')


class CountedNode(Node):
    """A node that counts the frames that come in, by type, and shows them to others."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.counted: Counter[str] = Counter()
        """Frames received, by type."""
        self.observers: list[Callable[[Link, bytes], None]] = []
        """Who is shown each frame before the node reads it."""

    def frame_received(self, link: Link, frame: bytes) -> None:
        """Count the frame, show it, and go on as usual."""
        found = _TYPE.search(frame)
        kind = found[1].decode("ascii") if found is not None else ""
        self.counted[kind] += 1
        for observer in self.observers:
            observer(link, frame)
        super().frame_received(link, frame)


@dataclass
class Site:
    """One node of a test, with what a real one finds around it."""

    node: CountedNode
    mesh: MeshService
    machine: Machine
    port: int
    key: SigningKey
    signer: CachingSigner

    @property
    def id(self) -> str:
        """The node's id."""
        return self.node.mesh.server_id

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"ws://127.0.0.1:{self.port}"

    def linked(self) -> list[str]:
        """Return the servers that it is linked to, once for each link."""
        servers = self.node.mesh.directory.servers.values()
        return sorted(one.id for one in servers for _ in one.links)

    def online(self) -> dict[str, str]:
        """Return the users whom it would list, with their servers."""
        return {
            user_id: location.server_id
            for user_id, location in self.node.mesh.directory.online()
        }


class MeshTestCase(SynchronousTestCase):
    """Tests with nodes in memory: real links and rules, neither sockets nor waiting."""

    def setUp(self) -> None:
        """Make an empty network, on whose time Autobahn runs, too."""
        self.network = Network()
        self.patch(txaio.config, "loop", self.network)  # type: ignore[attr-defined]
        self.sites: dict[str, Site] = {}

    def start(
        self,
        name: str,
        port: int,
        bootstrap: Iterable[Site | tuple[str, str]] = (),
        *,
        key: str = "",
        limits: Limits | None = None,
        kind: type[CountedNode] = CountedNode,
        sign_always: bool = False,
    ) -> Site:
        """
        Start a node that listens on ``port``; it dials when time goes on.

        ``bootstrap`` has nodes, or pairs of URL and name of the pinned test key.
        """
        key_name = key or name
        machine = Machine(self.network, port)
        signer = CachingSigner(key_name)
        node = kind(
            machine,
            signer,
            lambda: NOON + self.network.seconds(),
            server_id=name,
            host="127.0.0.1",
            port=port,
            pubkey=pub_of(key_name),
            limits=limits or Limits(),
            patience=5.0,
            sign_always=sign_always,
        )
        mesh = MeshService(
            machine,  # type: ignore[arg-type]
            node,
            node.adopt,
            attempts=10,
            delay=5.0,
            is_wanted=partial(is_wanted, node.mesh),
        )
        node.service = mesh
        for entry in bootstrap:
            if isinstance(entry, Site):
                mesh.add(entry.url, entry.key.public.text)
            else:
                mesh.add(entry[0], pub_of(entry[1]))
        site = Site(node, mesh, machine, port, signer_of(key_name), signer)
        self.network.listeners[port] = make_site(
            node,
            node.adopt,
            machine,
        )
        self.sites[name] = site
        self.remember(site)
        node.start()
        mesh.startService()
        return site

    def remember(self, site: Site) -> None:
        """Give a node a database of its own; nothing in it is held for anybody."""
        node = site.node
        store = inline_store(Path(self.mktemp()) / "socp.db")
        accounts = Accounts(node.mesh, store, _at_once)
        post = Post(node.mesh, store, node.perform, hold=0.0)
        for opened in (store.open(int(NOON * 1000)), accounts.open(), post.open()):
            self.successResultOf(Deferred.fromCoroutine(opened))
        node.accounts, node.post = accounts, post
        self.addCleanup(
            lambda: self.successResultOf(Deferred.fromCoroutine(store.close()))
        )

    def kill(self, site: Site) -> None:
        """End a node as SIGKILL does: no goodbye; its sockets close."""
        del self.network.listeners[site.port]
        site.machine.dead = True
        site.mesh.running = False
        self.network.frozen.discard(site.port)
        for wire in self.network.of(site.port):
            wire.held = False
            for end, port in zip((wire.client, wire.server), wire.ports, strict=True):
                if port == site.port:
                    end.disconnected = True  # nothing of the dead node's runs any more
                else:
                    end.stream.clear()
            wire.cut()
        self.network.settle()

    def freeze(self, site: Site) -> None:
        """Stop a node as SIGSTOP does: sockets stay open, the kernel accepts."""
        site.machine.frozen = True
        self.network.frozen.add(site.port)
        for wire in self.network.of(site.port):
            wire.held = True

    def thaw(self, site: Site) -> None:
        """Let a node go on, as SIGCONT does."""
        self.network.frozen.discard(site.port)
        for wire in self.network.of(site.port):
            wire.held = False
        site.machine.frozen = False
        self.network.settle()

    def stop(self, site: Site) -> None:
        """Stop a node as its service does: no more dialling, then goodbye."""
        del self.network.listeners[site.port]
        site.mesh.stopService()
        done = Deferred.fromCoroutine(site.node.stop())
        self.network.pass_time(2)
        self.successResultOf(done)
        site.machine.dead = True

    def connect(self, site: Site) -> tuple[RawEnd, Wire]:
        """Open a WebSocket to a node."""
        factory = WebSocketClientFactory(site.url)
        factory.noisy = False
        factory.protocol = RawEnd
        wire = self.network.join(factory, ("127.0.0.1", site.port))
        self.network.settle()
        end = wire.client.protocol
        return getattr(end, "wrappedProtocol", end), wire

    def visit(self, site: Site) -> Visitor:
        """Connect to a node, and say nothing yet."""
        return Visitor(*self.connect(site), self.network)

    def peer(self, site: Site) -> PeerEnd:
        """Connect to a node, to play a server."""
        return PeerEnd(*self.connect(site), self.network)

    def user(self, site: Site, user_id: str = "", key: str = "") -> UserEnd:
        """Connect to a node, and log in if ``user_id`` is given."""
        user = UserEnd(*self.connect(site), self.network)
        if user_id:
            user.hello(user_id, key)
        return user

    def assert_mesh(self, *sites: Site) -> None:
        """Every pair is linked with exactly one link, counted at both ends."""
        for site in sites:
            others = sorted(other.id for other in sites if other is not site)
            self.assertEqual(site.linked(), others, f"the links of {site.id}")

    def assert_online(self, users: dict[str, str], *sites: Site) -> None:
        """Every node lists exactly these users, each at that server."""
        for site in sites:
            self.assertEqual(site.online(), users, f"the users that {site.id} lists")


class NodeTestCase(MeshTestCase):
    """One node, and whoever the test plays."""

    def setUp(self) -> None:
        """Start the node."""
        super().setUp()
        self.a = self.start("srv-a", 8765)

    def linked_peer(self, name: str = "srv-b", key: str = "", **how: Any) -> PeerEnd:
        """Connect as a server, with all that it takes to be one."""
        peer = self.peer(self.a)
        peer.link(name, key or name, **how)
        self.assertIn(name, self.a.linked())
        return peer

    def closed(self, visitor: Any) -> int | None:
        """Return the code with which a connection was closed, or ``None``."""
        return visitor.close[0] if visitor.close is not None else None


async def _at_once(check: Callable[[], bool]) -> bool:
    return check()
