"""Nodes of ours and servers of others, in one process and on one hurried clock."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import txaio
from twisted.internet import reactor as global_reactor
from twisted.trial.unittest import TestCase

from socp_twisted.configuration import Configuration
from socp_twisted.service import NodeService
from tests.hurried import Hurried
from tests.keyring import key_of as private_key
from tests.loopback import loopback
from tests.original import Manner, OriginalServer
from tests.plain_socp import Key, key_of
from tests.processes import Ports, dial
from tests.sockets import Stranger, Watch

reactor: Any = global_reactor


class Ours:
    """A node of this project, in this process, with real sockets."""

    def __init__(self, clock: Hurried, configuration: Configuration) -> None:
        self.key = key_of(configuration.server_id)
        self.id = configuration.server_id
        self.port = configuration.port
        self.service = NodeService(
            clock,  # type: ignore[arg-type]
            configuration,
            private_key(configuration.server_id),
        )

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"ws://127.0.0.1:{self.port}"

    def links(self) -> dict[str, int]:
        """Return how many links are up to each server that there are any to."""
        linked = self.service.node.mesh.directory.linked()
        return {server.id: len(server.links) for server in linked}

    def users(self) -> dict[str, str]:
        """Return the server of each user who is online."""
        known = self.service.node.mesh.directory.user_locations
        return {user_id: known[user_id].server_id for user_id in known}


class InteropTestCase(TestCase):
    """Nodes of ours and servers of others, on a clock that runs ahead."""

    timeout = 60

    def setUp(self) -> None:
        """Start the clock."""
        self.watch = Watch(reactor)
        self.clock = Hurried(reactor)
        self.clock.start()
        # Autobahn's timers outlive its connections, and would its test.
        self.patch(cast(Any, txaio).config, "loop", self.clock)
        self.ports = Ports()
        self.addCleanup(self.ports.give_back)
        self.addCleanup(self.clock.stop)
        self.addCleanup(self.watch.stop)
        self._home = Path(self.mktemp())
        self._home.mkdir()

    def others(self, name: str = "srv-j", **manner: Any) -> OriginalServer:
        """Start a server of others."""
        server = OriginalServer(
            key_of(name), self.ports.take(), self.clock, self.watch, Manner(**manner)
        )
        server.start()
        self.addCleanup(server.stop)
        return server

    async def ours(
        self,
        name: str,
        bootstrap: Iterable[OriginalServer | Ours] = (),
        *,
        port: int = 0,
    ) -> Ours:
        """Start a node of ours; ``port`` is that of one that was ended."""
        urls = [(f"ws://127.0.0.1:{one.port}", one.key.public) for one in bootstrap]
        port = port or self.ports.take()
        one = Ours(self.clock, loopback(name, port, self._home, urls))
        self.addCleanup(self.end, one)
        await self.start(one)
        return one

    async def start(self, one: Ours) -> None:
        """Begin to listen and to dial."""
        one.service.privilegedStartService()
        one.service.startService()
        await self.until(lambda: one.service.mesh.running)

    async def end(self, one: Ours) -> None:
        """Stop a node; stopping it again does nothing."""
        if one.service.mesh.running:
            await one.service.stopService()

    async def until(self, condition: Any, *told: Any) -> None:
        """Wait until something is so; ``told`` explains, if it never is."""

        def turn() -> Any:
            self.clock.callLater(0.5, self.watch.changed)  # our nodes tell nobody
            return condition()

        await self.watch.until(
            turn, 10, lambda: "\n".join(repr(vars(one)) for one in told)
        )

    async def user(self, owner: str, node: Ours, key: str = "") -> Stranger:
        """Connect a user to a node of ours."""
        stranger = await self.dial(replace(key_of(key or owner), owner=owner), node)
        hello = {"client": "test", "pubkey": stranger.key.public}
        stranger.say("USER_HELLO", node.id, hello)
        await stranger.hear("PUBLIC_CHANNEL_SNAPSHOT")
        return stranger

    async def dial(self, key: Key, node: Ours) -> Stranger:
        """Open a connection to a node of ours."""
        return await dial(self, self.watch, key, node.url, node.port)

    async def join(self, node: Ours, name: str = "srv-j", **more: Any) -> Stranger:
        """Connect a server of others that says no more than the standard asks."""
        stranger = await self.dial(key_of(name), node)
        where = {"host": "127.0.0.1", "port": self.ports.take()}
        hello = {**where, "pubkey": stranger.key.public}
        stranger.say("SERVER_HELLO_JOIN", f"127.0.0.1:{node.port}", hello, **more)
        welcome = await stranger.hear("SERVER_WELCOME")
        self.assertEqual(stranger.frames[0], welcome)
        return stranger
