"""Which key belongs to a server id, and who may join at all?"""

from typing import Any

from socp_twisted.store.interface import ServerPin
from socp_twisted.wire.limits import Limits
from socp_twisted.wire.vocabulary import (
    CLOSE_REFUSED,
    JOINS_KNOWN,
    JOINS_OPEN,
    JOINS_PINNED,
    SERVER_ANNOUNCE,
)
from tests.inline_store import NOW
from tests.keyring import pub_of
from tests.raw_ends import PeerEnd
from tests.support import Site
from tests.users import UserTestCase


class PinTestCase(UserTestCase):
    """A node with a database, and servers played by the test."""

    def setUp(self) -> None:
        """Start the node."""
        super().setUp()
        self.a = self.start()

    def join(self, name: str, key: str = "", **how: Any) -> PeerEnd:
        """Join as a server, and prove the key if there is anything to prove it to."""
        peer = self.peer(self.a)
        peer.join(name, key or name, **how)
        if peer.welcome is not None:
            peer.prove()
        return peer

    def pins(self) -> dict[str, str]:
        """Return the pins on disk."""
        pins: list[ServerPin] = self.done(self.stores["srv-a"].pins())
        return {one.server_id: one.pubkey for one in pins}

    def keep(self, name: str, key: str) -> None:
        """Pin a key on disk, as an earlier process did."""
        pin = ServerPin(name, key, "127.0.0.1", 9999, NOW, NOW)
        self.done(self.stores["srv-a"].pin(pin))

    def announce(self, by: PeerEnd, name: str, key: str = "") -> None:
        """Let a linked server pass on an announcement of another."""
        hello = {"host": "127.0.0.1", "port": 9998, "pubkey": pub_of(key or name)}
        by.say(SERVER_ANNOUNCE, name, "*", hello, key=key or name)

    def known(self) -> list[str]:
        """Return the servers that the node knows."""
        return sorted(self.a.node.mesh.directory.servers)


class FirstSightTests(PinTestCase):
    """First sight binds an id to a key, also after a restart."""

    def test_kept(self) -> None:
        """It is on disk as soon as the key is proved, and not before."""
        peer = self.peer(self.a)
        peer.join("srv-b", "srv-b")
        self.assertEqual(self.pins(), {})
        peer.prove()
        self.assertEqual(self.pins(), {"srv-b": pub_of("srv-b")})
        [pin] = self.done(self.stores["srv-a"].pins())
        self.assertEqual((pin.host, pin.port, pin.first_seen), ("127.0.0.1", 9999, NOW))

    def test_announced(self) -> None:
        """What others pass on binds while it is heard; only a link is written down."""
        b = self.join("srv-b")
        self.announce(b, "srv-c")
        self.assertEqual(self.pins(), {"srv-b": pub_of("srv-b")})
        self.announce(b, "srv-c", key="srv-d")
        self.assertEqual(self.a.node.mesh.key_of("srv-c"), pub_of("srv-c"))

    def test_restart(self) -> None:
        """After a restart another key does not get the name; its owner does."""
        self.join("srv-b")
        self.a = self.restart(self.a)
        thief = self.join("srv-b", "srv-c")
        self.assertIsNotNone(thief.welcome)
        assert thief.welcome is not None
        self.assertNotEqual(thief.welcome.payload["assigned_id"], "srv-b")
        self.assertEqual(self.a.linked(), [])
        self.join("srv-b")
        self.assertEqual(self.a.linked(), ["srv-b"])
        self.assertEqual(self.pins()["srv-b"], pub_of("srv-b"))

    def test_announced_by_a_thief(self) -> None:
        """Nor with an announcement, signed with the key that it brings."""
        self.join("srv-b").leave()
        self.a = self.restart(self.a)
        c = self.join("srv-c")
        self.announce(c, "srv-b", "srv-d")
        self.assertEqual(c.errors(), ["INVALID_SIG"])
        self.assertEqual(self.known(), ["srv-c"])
        self.assertEqual(self.pins()["srv-b"], pub_of("srv-b"))

    def test_renamed(self) -> None:
        """A key has one name: the former is forgotten, and free for others."""
        self.join("srv-b")
        self.join("srv-x", "srv-b")
        self.assertEqual(self.pins(), {"srv-x": pub_of("srv-b")})
        self.join("srv-b", "srv-c")
        self.assertEqual(self.a.linked(), ["srv-b", "srv-x"])

    def test_forgotten(self) -> None:
        """What the operator forgets, the next key binds again."""
        self.join("srv-b")
        self.done(self.stores["srv-a"].forget("srv-b"))
        self.a = self.restart(self.a)
        self.join("srv-b", "srv-c")
        self.assertEqual(self.a.linked(), ["srv-b"])
        self.assertEqual(self.pins(), {"srv-b": pub_of("srv-c")})

    def test_no_key(self) -> None:
        """A row that another program wrote is not believed, and not touched."""
        self.keep("srv-b", "junk")
        self.a = self.restart(self.a)
        self.assertEqual(self.a.node.mesh.pins, {})
        self.assertEqual(self.pins(), {"srv-b": "junk"})

    def test_full(self) -> None:
        """Beyond max-pins nobody new is let in; who is known is."""
        self.join("srv-b").leave()
        self.kill(self.a)
        self.done(self.stores["srv-a"].close())
        self.a = self.start(limits=Limits(pins=1))
        other = self.join("srv-c")
        self.assertEqual(other.errors(), ["LIMIT"])
        self.assertIn("max-pins: 1 ", other.only("ERROR").payload["detail"])
        b = self.join("srv-b")
        self.announce(b, "srv-d")
        self.assertEqual(b.errors(), ["LIMIT"])
        self.assertEqual(self.known(), ["srv-b"])


class OperatorTests(UserTestCase):
    """The bootstrap list is the operator's word: it outweighs what was seen."""

    def test_wins(self) -> None:
        """An introducer with another key than was pinned gets its name back."""
        self.start("srv-b", 8766)
        a = self.start()
        pin = ServerPin("srv-b", pub_of("srv-c"), "127.0.0.1", 9, NOW, NOW)
        self.done(self.stores["srv-a"].pin(pin))
        self.kill(a)
        self.done(self.stores["srv-a"].close())
        a = self.start(bootstrap=[self.sites["srv-b"]])
        self.assertEqual(a.node.mesh.pins, {"srv-b": pub_of("srv-c")})
        self.network.pass_time(2)
        self.assertEqual(a.linked(), ["srv-b"])
        [held] = self.done(self.stores["srv-a"].pins())
        self.assertEqual(held.pubkey, pub_of("srv-b"))
        thief = self.peer(a)
        thief.join("srv-b", "srv-c")
        assert thief.welcome is not None
        self.assertNotEqual(thief.welcome.payload["assigned_id"], "srv-b")


class JoinsTests(PinTestCase):
    """``--joins`` keeps others out on every way in, and lets introducers in."""

    def only(self, joins: str, *introducers: str) -> None:
        """Set ``--joins``, and whose keys the bootstrap list has."""
        mesh = self.a.node.mesh
        mesh.joins = joins
        mesh.introducer_keys = frozenset(pub_of(name) for name in introducers)

    def refused(self, peer: PeerEnd) -> None:
        """Assert that a server was kept out, and told why."""
        self.assertEqual(peer.errors(), ["NOT_ALLOWED"])
        self.assertIn("--joins", peer.only("ERROR").payload["detail"])
        self.assertIsNone(peer.welcome)
        assert peer.close is not None
        self.assertEqual(peer.close[0], CLOSE_REFUSED)

    def test_s03_open(self) -> None:
        """Anybody may."""
        self.only(JOINS_OPEN)
        self.join("srv-c")
        self.assertEqual(self.a.linked(), ["srv-c"])

    def test_s03_join(self) -> None:
        """Whoever dials us: strangers are kept out, introducers are let in."""
        for joins in (JOINS_KNOWN, JOINS_PINNED):
            self.only(joins, "srv-b")
            self.refused(self.join("srv-c"))
            self.refused(self.join("srv-d", caps=[]))
            b = self.join("srv-b")
            self.assertEqual(self.a.linked(), ["srv-b"])
            b.leave()
        self.assertEqual(self.pins(), {"srv-b": pub_of("srv-b")})

    def test_known(self) -> None:
        """A server that was seen before is let in, with the key that it had."""
        self.join("srv-c").leave()
        self.a = self.restart(self.a)
        self.only(JOINS_KNOWN)
        self.refused(self.join("srv-c", "srv-d"))
        self.join("srv-c")
        self.assertEqual(self.a.linked(), ["srv-c"])

    def test_pinned(self) -> None:
        """To have been seen is not enough."""
        self.join("srv-c").leave()
        self.a = self.restart(self.a)
        self.only(JOINS_PINNED)
        self.refused(self.join("srv-c"))

    def test_renamed(self) -> None:
        """Another name does not help a known key, nor a known name another key."""
        self.join("srv-c").leave()
        self.a = self.restart(self.a)
        self.only(JOINS_KNOWN)
        self.refused(self.join("srv-x", "srv-c"))

    def test_announced(self) -> None:
        """A friend's word does not let a stranger in, nor is it passed on."""
        for joins in (JOINS_KNOWN, JOINS_PINNED):
            self.only(joins, "srv-b", "srv-e")
            b, e = self.join("srv-b"), self.join("srv-e")
            self.announce(b, "srv-c")
            self.assertEqual(b.errors(), ["NOT_ALLOWED"])
            self.assertEqual(
                [one.sender for one in e.of(SERVER_ANNOUNCE) if one.sender == "srv-c"],
                [],
            )
            self.assertEqual(self.known(), ["srv-b", "srv-e"])
            b.leave()
            e.leave()
            self.network.pass_time(1)

    def test_users_of_strangers(self) -> None:
        """Users of a server that may not join are never listed."""
        self.only(JOINS_PINNED, "srv-b")
        b = self.join("srv-b")
        self.announce(b, "srv-c")
        told = {"user_id": "eve", "server_id": "srv-c", "pubkey": pub_of("bob")}
        b.say("USER_ADVERTISE", "srv-c", "*", told, key="srv-c")
        self.assert_online({}, self.a)

    def test_learned(self) -> None:
        """A server that an introducer lists is dialled, and kept out all the same."""
        b = self.start("srv-b", 8766)
        c = self.start("srv-c", 8767, [b])
        self.network.pass_time(2)
        d = self.strict("srv-d", 8768, b)
        self.network.pass_time(70, 5)
        self.assertEqual(d.linked(), ["srv-b"])
        self.assertNotIn("srv-d", c.linked())
        self.assertEqual(d.node.mesh.pins, {"srv-b": pub_of("srv-b")})

    def strict(self, name: str, port: int, introducer: Site) -> Site:
        """Start a node that lets its introducer in alone."""
        site = self.start(name, port, [introducer])
        site.node.mesh.joins = JOINS_PINNED
        site.node.mesh.introducer_keys = frozenset([introducer.key.public.text])
        return site
