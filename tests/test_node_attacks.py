"""Can somebody be taken for another?  Forged, replayed and late frames."""

from socp_twisted.wire.envelope import Envelope
from socp_twisted.wire.vocabulary import (
    CLOSE_REFUSED,
    SERVER_ANNOUNCE,
    SERVER_WELCOME,
    USER_ADVERTISE,
    USER_REMOVE,
)
from tests.keyring import pub_of, signature
from tests.raw_ends import PeerEnd
from tests.support import NodeTestCase


class ImpostorTests(NodeTestCase):
    """Nobody is taken for a server whose key they do not have."""

    def test_s05_unsolicited_welcome(self) -> None:
        """A WELCOME to a listening server takes over nothing."""
        b = self.linked_peer()
        thief = self.peer(self.a)
        entry = {"server_id": "srv-b", "host": "h", "port": 1, "pubkey": pub_of("bob")}
        payload = {"assigned_id": "evil", "servers": [entry], "clients": []}
        thief.say(SERVER_WELCOME, "srv-b", "srv-a", payload)
        thief.say(SERVER_WELCOME, "srv-b", "srv-a", payload, key="srv-c")
        self.assertEqual(thief.errors(), ["NOT_ALLOWED", "NOT_ALLOWED"])
        self.assert_unmoved(b)

    def test_s06_link_with_another_key(self) -> None:
        """A LINK as second frame, signed with the attacker's key, ends it."""
        b = self.linked_peer()
        thief = self.peer(self.a)
        thief.join("srv-b", "srv-c")
        self.assertNotEqual(thief.only(SERVER_WELCOME).payload["assigned_id"], "srv-b")
        thief.key = "srv-d"
        thief.prove(pubkey=pub_of("srv-d"))
        self.assertEqual(thief.errors(), ["INVALID_SIG"])
        self.assertEqual(self.closed(thief), CLOSE_REFUSED)
        self.assert_unmoved(b)

    def test_s07_replayed_join(self) -> None:
        """A captured JOIN gets a WELCOME, and no link, and replaces nothing."""
        b = self.linked_peer()
        join, link = b.sent[:2]
        thief = self.peer(self.a)
        thief.send(join)
        self.assert_unmoved(b)
        thief.send(link)
        self.assertEqual(thief.errors(), ["INVALID_SIG"])
        self.assertEqual(self.closed(thief), CLOSE_REFUSED)
        self.assert_unmoved(b)

    def test_s07_replayed_when_gone(self) -> None:
        """Nor does it while the true server is away."""
        b = self.linked_peer()
        join, link = b.sent[:2]
        b.leave()
        thief = self.peer(self.a)
        thief.send(join)
        thief.send(link)
        self.assertEqual(self.a.linked(), [])

    def test_s07_downgraded(self) -> None:
        """A claim that cannot sign nonces is not a server that can."""
        b = self.linked_peer()
        thief = self.peer(self.a)
        thief.join("srv-b", "srv-b", caps=[])
        self.assertEqual(thief.errors(), ["NOT_ALLOWED"])
        self.assert_unmoved(b)

    def assert_unmoved(self, b: PeerEnd) -> None:
        """The true server is linked, under its key, and told what there is to tell."""
        [server] = self.a.node.mesh.directory.servers.values()
        self.assertEqual((server.id, server.pubkey), ("srv-b", pub_of("srv-b")))
        self.assertEqual(len(server.links), 1)
        self.assertIsNone(b.close)
        before = len(b.of(USER_ADVERTISE))
        user = self.user(self.a, "alice")
        self.assertEqual(len(b.of(USER_ADVERTISE)), before + 1)
        user.leave()


class GossipTests(NodeTestCase):
    """No server speaks for another's users, and old word is no news."""

    def setUp(self) -> None:
        """A node with a user, and two servers linked to it."""
        super().setUp()
        self.b, self.c = self.linked_peer("srv-b"), self.linked_peer("srv-c")
        self.alice = self.user(self.a, "alice")
        self.b.advertise("bob")
        self.users = {"alice": "srv-a", "bob": "srv-b"}
        self.assert_online(self.users, self.a)

    def key_of_user(self, user_id: str) -> str:
        """Return the key that the node has for a user."""
        return self.a.node.mesh.directory.user_locations[user_id].pubkey

    def test_s04_another_server_s_user(self) -> None:
        """A server cannot say that a user is at another, nor take one over."""
        self.c.advertise("bob", key="srv-c", server_id="srv-b")
        self.assertEqual(self.c.errors(), ["NOT_ALLOWED"])
        self.c.advertise("bob", key="srv-c")
        self.assertEqual(self.c.errors()[1:], ["NAME_IN_USE"])
        self.assert_online(self.users, self.a)
        self.assertEqual(self.key_of_user("bob"), pub_of("bob"))

    def test_s04_our_own_user(self) -> None:
        """Least of all one of ours."""
        self.c.advertise("alice", key="srv-c")
        self.assertEqual(self.c.errors(), ["NAME_IN_USE"])
        self.assert_online(self.users, self.a)
        self.assertEqual(self.key_of_user("alice"), pub_of("alice"))

    def test_s04_in_another_name(self) -> None:
        """A frame ``from`` another server needs that server's signature."""
        payload = {"user_id": "eve", "server_id": "srv-b", "pubkey": pub_of("bob")}
        self.c.say(USER_ADVERTISE, "srv-b", "*", payload, key="srv-c")
        self.assertEqual(self.c.errors(), ["INVALID_SIG"])
        self.assert_online(self.users, self.a)
        self.assertIsNone(self.c.close)

    def test_s09_forged_remove(self) -> None:
        """Nobody removes another's users."""
        self.c.remove("bob")
        self.c.remove("alice")
        self.c.remove("bob", server_id="srv-b")
        payload = {"user_id": "bob", "server_id": "srv-b"}
        self.c.say(USER_REMOVE, "srv-b", "*", payload, key="srv-c")
        self.assertEqual(self.c.errors(), ["NOT_ALLOWED", "INVALID_SIG"])
        self.assert_online(self.users, self.a)
        self.assertEqual(self.alice.of("USER_REMOVED"), [])

    def test_relayed(self) -> None:
        """Another's frame counts as the other's, whoever brings it."""
        dave = self.frame("srv-b", USER_ADVERTISE, "dave", 5_000)
        self.c.send(dave)
        self.assert_online({**self.users, "dave": "srv-b"}, self.a)

    def test_stale(self) -> None:
        """Gossip from before the removal does not revive a user."""
        old = self.frame("srv-b", USER_ADVERTISE, "bob", 1)
        self.b.remove("bob")
        self.c.send(old)
        self.b.send(old)
        self.assert_online({"alice": "srv-a"}, self.a)
        self.assertEqual(self.c.errors(), [])

    def test_stale_removal(self) -> None:
        """Nor does a removal from before the arrival remove one."""
        self.c.send(self.frame("srv-b", USER_REMOVE, "bob", 1))
        self.assert_online(self.users, self.a)

    def test_repeated(self) -> None:
        """The same frame by two ways counts once."""
        frame = self.frame("srv-b", USER_ADVERTISE, "dave", 5_000)
        self.b.send(frame)
        self.network.pass_time(6)
        self.b.remove("dave")
        self.c.send(frame)
        self.assert_online(self.users, self.a)

    def test_forged_copy(self) -> None:
        """A forgery that comes first does not suppress the frame that it imitates."""
        good = self.frame("srv-b", USER_ADVERTISE, "dave", 5_000)
        fields = Envelope.parse(good)
        self.c.send(fields.to_frame(signature("srv-c", fields.signed)))
        self.assertEqual(self.c.errors(), ["INVALID_SIG"])
        self.b.send(good)
        self.assert_online({**self.users, "dave": "srv-b"}, self.a)

    def test_one_at_a_time(self) -> None:
        """A user who was claimed twice falls to the second when the first lets go."""
        self.c.advertise("bob")
        self.assert_online(self.users, self.a)
        self.b.remove("bob")
        self.assert_online({**self.users, "bob": "srv-c"}, self.a)

    def test_claim_withdrawn(self) -> None:
        """Unless the second has let go before."""
        self.c.advertise("bob")
        self.c.remove("bob")
        self.b.remove("bob")
        self.assert_online({"alice": "srv-a"}, self.a)

    def test_announced_with_another_key(self) -> None:
        """An announcement does not change a key that we hold."""
        hello = {"host": "127.0.0.1", "port": 1, "pubkey": pub_of("srv-c")}
        self.c.say(SERVER_ANNOUNCE, "srv-b", "*", hello, key="srv-c")
        self.assertEqual(self.c.errors(), ["INVALID_SIG"])
        servers = self.a.node.mesh.directory.servers
        self.assertEqual(servers["srv-b"].pubkey, pub_of("srv-b"))

    def test_unknown_server(self) -> None:
        """Gossip of a server that nobody introduced is dropped without complaint."""
        self.c.send(self.frame("srv-e", USER_ADVERTISE, "erin", 5_000))
        self.assertEqual(self.c.errors(), [])
        self.assert_online(self.users, self.a)

    def frame(self, server: str, kind: str, user_id: str, later: int) -> bytes:
        """Return gossip of a server about its user, ``later`` ms after noon."""
        payload = {"user_id": user_id, "server_id": server, "pubkey": pub_of("bob")}
        ts = 1_700_000_000_000 + later
        envelope = Envelope.create(kind, server, "*", ts, payload)
        return envelope.to_frame(signature(server, envelope.signed))
