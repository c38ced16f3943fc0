"""Over real TLS: who needs no signatures, and what does a relay in the middle get?"""

from OpenSSL import SSL
from twisted.internet.endpoints import (
    TCP4ClientEndpoint,
    connectProtocol,
    wrapClientTLS,
)
from twisted.logger import capturedLogs, formatEvent

from socp_twisted.client import Client
from socp_twisted.client import events as told
from socp_twisted.errors import Refused
from socp_twisted.net.certificate import ServerCertificate
from socp_twisted.net.tls import tls_exporter
from socp_twisted.wire.vocabulary import SERVER_DELIVER, USER_HELLO
from tests.attacks.between import Relay
from tests.plain_socp import Frame, key_of
from tests.secure_nodes import Node, SecureCase, reactor
from tests.sockets import Stranger

SENTENCE = "the TLS connection ends at somebody in between"


class BoundCase(SecureCase):
    """Two users, each at a node."""

    async def said(self, one: Client, other: Client, text: str) -> None:
        """Let a user tell bob something, who has just come, and who gets it."""
        async for event in one.events():
            if isinstance(event, told.UserJoined):
                break
        await one.tell("bob", text)
        async for event in other.events():
            if isinstance(event, told.TextReceived):
                self.assertEqual(event.text, text)
                return

    async def across(self, a: Node, b: Node) -> set[bool]:
        """Send a message from a user of one node to one of the other; was it signed?"""
        await self.until(lambda: a.linked() == ["srv-b"] and b.linked() == ["srv-a"])
        alice, bob = await self.user("alice", a), await self.user("bob", b)
        await self.said(alice, bob, "hello")
        sent = [one for one in b.heard if one.type == SERVER_DELIVER]
        back = [one for one in a.heard if one.type == "ACK" and one.sender == "srv-b"]
        self.assertTrue(sent and back)
        return {one.sig != "" for one in (*sent, *back)}


class BoundTests(BoundCase):
    """Both ends of this project: what ends at the other side is not signed."""

    async def test_bound(self) -> None:
        """A message crosses two nodes, and comes to a user, with no link signature."""
        a = await self.node("srv-a")
        b = await self.node("srv-b", (a.url, "srv-a"))
        self.assertEqual(await self.across(a, b), {False})
        self.assertEqual(a.bound(), {"srv-b": True, "alice": True})
        self.assertEqual(b.bound(), {"srv-a": True, "bob": True})

    async def test_sign_always(self) -> None:
        """With --sign-always at one of them every frame between them is signed."""
        a = await self.node("srv-a", sign_always=True)
        b = await self.node("srv-b", (a.url, "srv-a"))
        self.assertEqual(await self.across(a, b), {True})
        self.assertEqual(a.bound(), {"srv-b": False, "alice": False})
        self.assertEqual(b.bound(), {"srv-a": False, "bob": True})

    async def test_others(self) -> None:
        """A server and a client of others get every signature of the standard."""
        a = await self.node("srv-a")
        peer, alice = await self.stranger(a, "srv-j"), await self.stranger(a, "alice")
        place = {"host": "127.0.0.1", "port": 1, "pubkey": peer.key.public}
        peer.say("SERVER_HELLO_JOIN", f"127.0.0.1:{a.port}", place)
        await peer.hear("SERVER_WELCOME")
        user = {"user_id": "bob", "server_id": "srv-j", "meta": {}}
        peer.say("USER_ADVERTISE", "*", {**user, "pubkey": key_of("bob").public})
        await self.until(lambda: a.linked() == ["srv-j"])
        alice.say("USER_HELLO", "srv-a", {"client": "x", "pubkey": alice.key.public})
        await alice.hear("PUBLIC_CHANNEL_SNAPSHOT")
        await peer.hear("USER_ADVERTISE", user_id="alice")
        peer.say("NONSENSE", "srv-a", {})
        await peer.hear("ERROR", code="UNKNOWN_TYPE")
        alice.write({"type": "LIST_REQUEST", "from": "alice", "to": "*", "ts": 1})
        await alice.hear("LIST_RESPONSE")
        for stranger in (peer, alice):
            unsigned = [one["type"] for one in stranger.frames if not one.get("sig")]
            self.assertEqual(unsigned, [])
        self.assertEqual(a.bound(), {"srv-j": False, "alice": False})

    async def stranger(self, node: Node, owner: str) -> Stranger:
        """Connect somebody else's program over TLS."""
        stranger = Stranger(key_of(owner), node.url, self.watch)
        tcp = TCP4ClientEndpoint(reactor, "127.0.0.1", node.port)
        await connectProtocol(wrapClientTLS(self.expect(), tcp), stranger)
        self.addCleanup(stranger.hang_up)
        await self.until(lambda: stranger.open)
        return stranger


class RelayTests(BoundCase):
    """A relay in the middle, whose certificate is as good as the server's own."""

    async def through(
        self, relay: int, *, sign_always: bool = False
    ) -> tuple[Node, str]:
        """Let srv-b dial srv-a through a relay; return it, and why in vain."""
        url = f"wss://localhost:{relay}"
        with capturedLogs() as events:
            node = await self.node("srv-b", (url, "srv-a"), sign_always=sign_always)
            start = f"[bootstrap] failed to connect {url} (attempt 1/10): "

            def failed() -> list[str]:
                lines = [formatEvent(event) or "" for event in events]
                return [line for line in lines if line.startswith(start)]

            await self.until(lambda: node.linked() or failed())
            return node, "".join(failed()).removeprefix(start)

    async def test_servers(self) -> None:
        """Two servers find it out, and do not link; nor is it linked to either."""
        a = await self.node("srv-a")
        _, port = self.proxy(a.port)
        b, why = await self.through(port)
        self.assertIn(SENTENCE, why)
        self.assertEqual((a.linked(), b.linked()), ([], []))

    async def test_servers_sign_always(self) -> None:
        """Who wants such a proxy gives both --sign-always: every frame is signed."""
        a = await self.node("srv-a", sign_always=True)
        _, port = self.proxy(a.port)
        b, why = await self.through(port, sign_always=True)
        self.assertEqual(why, "")
        self.assertEqual(await self.across(a, b), {True})

    async def test_servers_old_tls(self) -> None:
        """A relay that speaks no TLS 1.3 gains nothing: every frame is signed."""

        def adjust(certificate: ServerCertificate) -> None:
            certificate._context.set_max_proto_version(SSL.TLS1_2_VERSION)

        a = await self.node("srv-a")
        _, port = self.proxy(a.port, adjust=adjust)
        b, why = await self.through(port)
        self.assertEqual(why, "")
        self.assertEqual(await self.across(a, b), {True})

    async def test_servers_in_clear(self) -> None:
        """Nor does one that ends TLS before a server that knows none of it."""
        a = await self.node("srv-a", secure=False)
        _, port = self.proxy(a.port, onward=False)
        b, why = await self.through(port)
        self.assertEqual(why, "")
        self.assertEqual(await self.across(a, b), {True})

    async def test_users(self) -> None:
        """A proxy before a server is none of its users' business: all is signed."""
        for name, secure in (("srv-a", True), ("srv-b", False)):
            node = await self.node(name, secure=secure)
            _, port = self.proxy(node.port, onward=secure)
            url = f"wss://localhost:{port}"
            alice = await self.user("alice", node, url)
            bob = await self.user("bob", node, url)
            await self.said(alice, bob, "through a proxy")
            self.assertEqual(node.bound(), {"alice": False, "bob": False})
            await alice.close()
            await bob.close()

    async def test_users_lied_to(self) -> None:
        """One that tells the server of its own connection is found out by the user."""
        a = await self.node("srv-a")
        inner, port = self.proxy(a.port, tls=False)
        relay = Relay(f"ws://127.0.0.1:{port}", 0, self.watch)
        relay.start()
        self.addCleanup(relay.stop)
        _, port = self.proxy(int(relay.url.rpartition(":")[2]), onward=False)

        def lie(frame: Frame) -> tuple[Frame]:
            if frame["type"] == USER_HELLO:
                seen = tls_exporter(inner.dialled[-1].transport)
                self.assertNotIn(frame["payload"]["tls_exporter"], ("", seen))
                frame["payload"]["tls_exporter"] = seen
            return (frame,)

        relay.tamper_up = lie
        with self.assertRaises(Refused) as caught:
            await self.user("alice", a, f"wss://localhost:{port}")
        self.assertIn("somebody who stands between us and srv-a", str(caught.exception))
        [answer] = [one for one in relay.down if one["type"] == "USER_HELLO_ACK"]
        self.assertIn("tls_exporter", answer["payload"])  # the server was taken in
        self.assertEqual([one["type"] for one in relay.up], [USER_HELLO])
        self.assertEqual(a.service.node.mesh.directory.local_users, {})
