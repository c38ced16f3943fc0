"""What becomes of a frame, good or bad?  Attacks and faults, over real WebSockets."""

from socp_twisted.overlay.directory import key_hash
from socp_twisted.wire.limits import Limits
from socp_twisted.wire.vocabulary import (
    CLOSE_LIMIT,
    CLOSE_REFUSED,
    CLOSE_TIMEOUT,
    SERVER_ANNOUNCE,
    SERVER_HELLO_JOIN,
    SERVER_HELLO_LINK,
    SERVER_WELCOME,
    USER_ADVERTISE,
)
from tests.keyring import pub_of
from tests.support import NodeTestCase


class HandshakeTests(NodeTestCase):
    """A server is let in once its key has signed something that is new."""

    def test_welcome(self) -> None:
        """WELCOME tells the id, the servers, ourselves, and no users among them."""
        peer = self.peer(self.a)
        peer.join("srv-b", "srv-b")
        told = peer.only(SERVER_WELCOME).payload
        me = {
            "server_id": "srv-a",
            "host": "127.0.0.1",
            "port": 8765,
            "pubkey": pub_of("srv-a"),
        }
        self.assertEqual(told["assigned_id"], "srv-b")
        self.assertEqual(told["servers"], [me])
        self.assertEqual(told["introducer"], me)
        self.assertEqual(told["clients"], [{**me, "user_id": "srv-a"}])
        self.assertEqual(self.a.linked(), [])

    def test_proof(self) -> None:
        """With the proof the link is up, and is told who we are and who is here."""
        self.user(self.a, "alice")
        peer = self.linked_peer()
        self.assertEqual(peer.only(SERVER_ANNOUNCE).payload["port"], 8765)
        self.assertEqual(peer.only(USER_ADVERTISE).payload["user_id"], "alice")

    def test_all_signed(self) -> None:
        """Every frame of ours is signed and has an id; nothing is sent unsigned."""
        peer = self.linked_peer()
        peer.send(b"{}")
        for envelope in peer.received:
            self.assertTrue(envelope.sig and envelope.id, envelope.type)

    def test_wrong_proof(self) -> None:
        """A proof for another nonce, server, key or id is none."""
        lies = [{"answer": "x"}, {"peer": "srv-c"}, {"server_id": "srv-c"}]
        for lie in (*lies, {"peer_key": key_hash(pub_of("srv-c"))}):
            peer = self.peer(self.a)
            peer.join("srv-b", "srv-b")
            peer.prove(**lie)
            self.assertEqual(peer.errors(), ["INVALID_SIG"])
            self.assertEqual(self.closed(peer), CLOSE_REFUSED)
        self.assertEqual(self.a.linked(), [])

    def test_no_proof(self) -> None:
        """Who does not prove the key within ten seconds is put out."""
        peer = self.peer(self.a)
        peer.join("srv-b", "srv-b")
        self.network.pass_time(12)
        self.assertEqual(self.closed(peer), CLOSE_TIMEOUT)

    def test_unsigned(self) -> None:
        """A claim without a signature, or with another key's, is refused."""
        peer = self.peer(self.a)
        peer.join("srv-b", "srv-c", claims=pub_of("srv-b"))
        self.assertEqual(peer.errors(), ["INVALID_SIG"])
        self.assertEqual(self.closed(peer), CLOSE_REFUSED)

    def test_own_key(self) -> None:
        """Our own key from outside is ourselves: we have dialled us."""
        peer = self.peer(self.a)
        peer.join("srv-z", "srv-a")
        self.assertEqual(peer.errors(), ["NOT_ALLOWED"])
        self.assertEqual(self.closed(peer), CLOSE_REFUSED)

    def test_restart(self) -> None:
        """A restarted server's new link replaces the old one, which is closed 1000."""
        old = self.linked_peer()
        self.linked_peer(instance="second")
        self.assertEqual(self.closed(old), 1000)
        self.assertEqual(self.a.linked(), ["srv-b"])

    def test_second_link(self) -> None:
        """A second link of the same run replaces the first: one each way is enough."""
        old = self.linked_peer()
        self.linked_peer()
        self.assertEqual(self.closed(old), 1000)
        self.assertEqual(self.a.linked(), ["srv-b"])

    def test_race_for_an_id(self) -> None:
        """Of two keys that claim one id at a time the first to prove it has it."""
        one, two = self.peer(self.a), self.peer(self.a)
        one.join("srv-x", "srv-b")
        two.join("srv-x", "srv-c")
        one.prove()
        two.prove()
        self.assertEqual(two.errors(), ["NAME_IN_USE"])
        self.assertEqual(self.closed(two), CLOSE_REFUSED)
        self.assertEqual(self.a.linked(), ["srv-x"])

    def test_others(self) -> None:
        """A server of others proves itself with any frame that is signed now."""
        peer = self.peer(self.a)
        peer.join("srv-b", "srv-b", caps=[])
        self.assertEqual(self.a.linked(), [])
        peer.tell("HEARTBEAT", {})
        self.assertEqual(self.a.linked(), ["srv-b"])

    def test_others_stale(self) -> None:
        """A frame of yesterday does not do."""
        peer = self.peer(self.a)
        peer.join("srv-b", "srv-b", caps=[])
        peer.tell("HEARTBEAT", {}, ts=peer.now() - 86_400_000)
        self.assertEqual(peer.errors(), ["INVALID_SIG"])
        self.assertEqual(self.a.linked(), [])

    def test_others_are_dialled(self) -> None:
        """We dial them, too: only so do they tell us their users."""
        peer = self.peer(self.a)
        peer.link("srv-b", "srv-b", port=9998)
        self.assertEqual(self.dialled(), [])
        other = self.peer(self.a)
        other.join("srv-c", "srv-c", caps=[], port=9999)
        other.tell("HEARTBEAT", {})
        self.assertEqual(self.dialled(), ["ws://127.0.0.1:9999"])

    def dialled(self) -> list[str]:
        """Return the addresses that the node dials."""
        return [peer.url for peer in self.a.mesh._peers.values()]


class BadFrameTests(NodeTestCase):
    """A bad frame is answered with ERROR, and costs nothing else (R11, R13, R14)."""

    BAD: tuple[bytes, ...] = (
        b"",
        b"hello",
        b"[]",
        b"{}",
        b"[" * 2000,
        b'{"type": 5}',
        b'{"type":"HEARTBEAT","from":"srv-b","to":"*","ts":1.5,"payload":{}}',
        b'{"type":"HEARTBEAT","from":"srv-b","to":"*","ts":1,"payload":[]}',
        b'{"type":"HEARTBEAT","from":"srv-b","to":"*","ts":1,"payload":{}}',
        b'{"type":"HEARTBEAT","from":"srv-b","to":"*","ts":1,"payload":{},"sig":"!"}',
        b'{"type":"HEARTBEAT","from":"srv-b","to":"*","ts":1,"payload":{},"sig":"AA"}',
    )

    def test_server(self) -> None:
        """A server's link stays up, and its next good frame counts."""
        b = self.linked_peer()
        for frame in self.BAD:
            before = len(b.errors())
            b.send(frame)
            self.assertEqual(len(b.errors()), before + 1, frame)
        b.tell(SERVER_ANNOUNCE, {"host": "h", "port": 70_000, "pubkey": "x"})
        b.tell(USER_ADVERTISE, {"user_id": "*", "server_id": "srv-b"})
        b.tell(USER_ADVERTISE, {"user_id": True, "server_id": "srv-b"})
        b.tell("NO_SUCH_TYPE", {})
        last = b.errors()[-4:]
        self.assertEqual(last, ["MALFORMED", "MALFORMED", "MALFORMED", "UNKNOWN_TYPE"])
        b.advertise("bob")
        self.assert_online({"bob": "srv-b"}, self.a)
        self.assertIsNone(b.close)

    def test_bad_key(self) -> None:
        """A user's key that is none is refused, and the link stays."""
        b = self.linked_peer()
        b.tell(
            USER_ADVERTISE, {"user_id": "bob", "server_id": "srv-b", "pubkey": "AAAA"}
        )
        self.assertEqual(b.errors(), ["BAD_KEY"])
        self.assert_online({}, self.a)

    def test_user(self) -> None:
        """A user's connection stays open, too."""
        alice = self.user(self.a, "alice")
        for frame in self.BAD[:6]:
            before = len(alice.errors())
            alice.send(frame)
            self.assertEqual(len(alice.errors()), before + 1, frame)
        alice.say("LIST_REQUEST", "alice", "*", {})
        [listed] = alice.only("LIST_RESPONSE").payload["users"]
        self.assertEqual(listed["user_id"], "alice")

    def test_stranger(self) -> None:
        """So does a connection on which nobody has said who they are."""
        visitor = self.visit(self.a)
        for frame in self.BAD[:6]:
            visitor.send(frame)
        self.assertEqual(len(visitor.errors()), 6)
        self.assertIsNone(visitor.close)

    def test_errors_are_not_answered(self) -> None:
        """A bad ERROR is not answered, or two servers would never end."""
        b = self.linked_peer()
        b.say("ERROR", "srv-b", "srv-a", {"code": 5})
        b.tell("ERROR", {"code": 5})
        self.assertEqual(b.errors(), [])

    def test_reference(self) -> None:
        """The ERROR names the frame that it is about."""
        alice = self.user(self.a, "alice")
        alice.say("NO_SUCH_TYPE", "alice", "*", {}, id="this-one")
        self.assertEqual(alice.only("ERROR").payload["msg_ref"], "this-one")


class LimitTests(NodeTestCase):
    """Nobody can fill the node up."""

    def test_r18_silent(self) -> None:
        """A connection that says nothing is closed after a minute, for its reason."""
        visitor = self.visit(self.a)
        self.network.pass_time(58)
        self.assertIsNone(visitor.close)
        self.network.pass_time(4)
        self.assertEqual(self.closed(visitor), CLOSE_TIMEOUT)
        self.assertEqual(self.a.node.mesh.parties, {})

    def test_connections(self) -> None:
        """Beyond the limit a connection is told which limit, and closed."""
        d = self.start("srv-d", 8768, limits=Limits(connections=2))
        first, second, third = (self.visit(d) for _ in range(3))
        self.assertEqual(self.closed(third), CLOSE_LIMIT)
        assert third.close is not None
        self.assertEqual(third.close[1], "max-connections: 2 are open")
        self.assertIsNone(first.close)
        self.assertIsNone(second.close)

    def test_users(self) -> None:
        """Beyond the limit no user is added, and those who are there stay."""
        d = self.start("srv-d", 8768, limits=Limits(users=4))
        peer = self.peer(d)
        peer.link("srv-b", "srv-b")
        for user_id in ("one", "two", "three"):
            peer.advertise(user_id)
        self.assertEqual(peer.errors(), ["LIMIT"])
        self.assert_online({"one": "srv-b", "two": "srv-b"}, d)

    def test_r08_invented_ids(self) -> None:
        """Joins with invented ids, never proved, are in nobody's WELCOME."""
        for n in range(20):
            self.peer(self.a).join(f"invented-{n}", "srv-c")
        b = self.peer(self.a)
        b.join("srv-b", "srv-b")
        self.assertEqual(len(b.only(SERVER_WELCOME).payload["servers"]), 1)
        self.assertEqual(self.a.node.mesh.directory.servers, {})

    def test_one_key_one_server(self) -> None:
        """A key that proves one id after the other is one server, the last."""
        for n in range(4):
            self.peer(self.a).link(f"invented-{n}", "srv-c")
        self.assertEqual(self.a.linked(), ["invented-3"])
        self.assertEqual(list(self.a.node.mesh.directory.servers), ["invented-3"])

    def test_r04_changes_meanwhile(self) -> None:
        """Servers that vanish together do not trip over each other in our tables."""
        peers = [self.linked_peer(f"srv-{letter}") for letter in "bcdefg"]
        for peer in peers:
            peer.advertise(f"user-{peer.server_id}", key="bob")
        self.user(self.a, "alice")
        for peer in peers:
            peer.wire.held = True
        self.network.pass_time(60)
        self.assertEqual(self.a.linked(), [])
        self.assert_online({"alice": "srv-a"}, self.a)


class FirstWordTests(NodeTestCase):
    """A connection is a server's only if it says so."""

    def test_r22_first_frames(self) -> None:
        """A first frame that is neither's leaves no mute server behind."""
        for kind in ("MSG_PUBLIC_CHANNEL", "FILE_START", "LIST_REQUEST", "HEARTBEAT"):
            visitor = self.visit(self.a)
            visitor.say(kind, "alice", "*", {})
            self.assertEqual(visitor.errors(), ["NOT_ALLOWED"])
            visitor.leave()
        self.assertEqual(self.a.linked(), [])

    def test_link_first(self) -> None:
        """SERVER_HELLO_LINK may come first: it claims what a JOIN claims."""
        peer = self.peer(self.a)
        hello = {"host": "127.0.0.1", "port": 9999, "pubkey": pub_of("srv-b")}
        peer.say(SERVER_HELLO_LINK, "srv-b", "srv-a", hello, key="srv-b")
        self.assertEqual(len(peer.of(SERVER_WELCOME)), 1)
        self.assertEqual(self.a.linked(), [])

    def test_incomplete_join(self) -> None:
        """A JOIN without ``from`` is malformed, though a user's frame may lack it."""
        visitor = self.visit(self.a)
        visitor.send(b'{"type":"%s","payload":{}}' % SERVER_HELLO_JOIN.encode())
        self.assertEqual(visitor.errors(), ["MALFORMED"])
