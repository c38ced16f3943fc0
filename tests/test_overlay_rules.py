"""What follows from a server's frame?"""

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from socp_twisted.errors import ErrorCode, MalformedFrame, Refused
from socp_twisted.overlay.directory import Location
from socp_twisted.overlay.effects import Effect, Forward, Heard, Send, SendAll
from socp_twisted.overlay.passing import gossip, reply
from socp_twisted.overlay.router import Router
from socp_twisted.wire.encoding import b64u_encode
from socp_twisted.wire.envelope import Envelope
from socp_twisted.wire.vocabulary import (
    ERROR,
    HEARTBEAT,
    SERVER_ANNOUNCE,
    SERVER_DELIVER,
    SERVER_HELLO_JOIN,
    SERVER_HELLO_LINK,
    SERVER_WELCOME,
    USER_ADDED,
    USER_ADVERTISE,
    USER_DELIVER,
    USER_REMOVE,
    USER_REMOVED,
)
from tests.overlay_values import (
    NOW_MS,
    add_party,
    add_server,
    add_user,
    envelope,
    key,
    make_mesh,
    verified,
)


class RuleTestCase(SynchronousTestCase):
    """A node srv-a, linked to srv-b and srv-c, which are not linked to each other."""

    def setUp(self) -> None:
        """Link both; alice is ours."""
        self.mesh = make_mesh()
        self.router = Router(self.mesh)
        self.b, self.c = add_server(self.mesh, "srv-b"), add_server(self.mesh, "srv-c")
        self.alice = add_user(self.mesh, "alice")

    def receive(
        self, kind: str, sender: str, payload: dict[str, Any], **more: Any
    ) -> list[Effect]:
        """Let srv-b bring a frame."""
        self.frame = verified(kind, sender, payload, **more)
        return self.router.receive(self.b, self.frame)

    def refused(
        self, code: ErrorCode, kind: str, sender: str, payload: dict[str, Any]
    ) -> None:
        """Let srv-b bring a frame that is refused."""
        fault = self.assertRaises(Refused, self.receive, kind, sender, payload)
        self.assertEqual(fault.code, code)

    def forwarded(self, effects: list[Effect]) -> list[int]:
        """Return the links on which the frame goes on, unchanged."""
        found = [one for one in effects if isinstance(one, Forward)]
        for one in found:
            self.assertIs(one.envelope, self.frame.envelope)
        return [link for one in found for link in one.links]


class AdvertiseTests(RuleTestCase):
    """Users are where their server says, one server each."""

    def advertise(self, user_id: str = "bob", **more: Any) -> list[Effect]:
        """Let srv-b tell of a user."""
        payload = {"user_id": user_id, "server_id": "srv-b", "pubkey": key("bob")}
        return self.receive(USER_ADVERTISE, "srv-b", {**payload, **more})

    def test_new(self) -> None:
        """The user is noted, our users are told, and the others who cannot know."""
        effects = self.advertise(meta={"display_name": "Bob", "extras": ["blocks"]})
        told = [e for e in effects if isinstance(e, SendAll) and e.type == USER_ADDED]
        self.assertEqual(told[0].links, (self.alice.link,))
        self.assertEqual(told[0].payload["display_name"], "Bob")
        self.assertEqual(self.forwarded(effects), [self.c.link])
        self.assertEqual(
            self.mesh.directory.user_locations["bob"],
            Location.of("srv-b", key("bob"), "Bob", ("blocks",), NOW_MS),
        )

    def test_again(self) -> None:
        """The same again is no news for our users."""
        self.advertise()
        effects = self.receive(
            USER_ADVERTISE,
            "srv-b",
            {"user_id": "bob", "server_id": "srv-b", "pubkey": key("bob")},
            ts=NOW_MS + 1,
        )
        self.assertEqual([e for e in effects if isinstance(e, SendAll)], [])

    def test_who_has_it(self) -> None:
        """Nobody is told who is linked to the origin."""
        self.mesh.topology.claim("srv-b", ["srv-a", "srv-c"], 1, self.mesh.now)
        self.assertEqual(self.forwarded(self.advertise()), [])

    def test_key_elsewhere(self) -> None:
        """The key may be in ``meta``; one that is no key is refused."""
        self.advertise(pubkey=None, meta={"pubkey": key("bob")})
        self.assertEqual(self.mesh.directory.user_locations["bob"].pubkey, key("bob"))
        payload = {"user_id": "dave", "server_id": "srv-b"}
        for bad in ({"pubkey": "junk"}, {"meta": {"pubkey": 5}}):
            self.refused(ErrorCode.BAD_KEY, USER_ADVERTISE, "srv-b", {**payload, **bad})

    def test_s04_others(self) -> None:
        """Nobody tells of another server's users."""
        payload = {"user_id": "dave", "server_id": "srv-c", "pubkey": key("dave")}
        self.refused(ErrorCode.NOT_ALLOWED, USER_ADVERTISE, "srv-b", payload)

    def test_s04_taken(self) -> None:
        """Nobody takes a user whom another reachable server has, or we have."""
        self.mesh.directory.locate(
            "carol", Location.of("srv-c", key("carol"), ts=NOW_MS)
        )
        told = {}
        for user_id in ("alice", "carol"):
            payload = {"user_id": user_id, "server_id": "srv-b", "pubkey": key("x")}
            effects = self.receive(USER_ADVERTISE, "srv-b", payload)
            told[user_id] = [
                (type(one), one.to)
                for one in effects
                if isinstance(one, Send | SendAll) and one.type == ERROR
            ]
            self.assertEqual(self.forwarded(effects), [])
        # The claimer is told, and the user whom somebody claims, if they are ours.
        self.assertEqual(told["alice"], [(Send, "srv-b"), (SendAll, "alice")])
        self.assertEqual(told["carol"], [(Send, "srv-b")])
        locations = self.mesh.directory.user_locations
        self.assertEqual(locations["alice"].server_id, "srv-a")
        self.assertEqual(locations["carol"].server_id, "srv-c")

    def test_abandoned(self) -> None:
        """A user whose server is out of reach may come back elsewhere at once."""
        self.mesh.directory.locate(
            "carol", Location.of("srv-c", key("carol"), ts=NOW_MS)
        )
        self.mesh.directory.servers["srv-c"].links.clear()
        self.advertise("carol")
        self.assertEqual(self.mesh.directory.user_locations["carol"].server_id, "srv-b")

    def test_removed(self) -> None:
        """USER_REMOVE by the same server; our users are told."""
        self.advertise()
        payload = {"user_id": "bob", "server_id": "srv-b"}
        effects = self.receive(USER_REMOVE, "srv-b", payload, ts=NOW_MS + 1)
        told = [e.type for e in effects if isinstance(e, SendAll)]
        self.assertEqual(told, [USER_REMOVED])
        self.assertEqual(self.forwarded(effects), [self.c.link])

    def test_s09_moved(self) -> None:
        """USER_REMOVE of a user who is at another server by now removes nobody."""
        self.mesh.directory.locate(
            "carol", Location.of("srv-c", key("carol"), ts=NOW_MS)
        )
        payload = {"user_id": "carol", "server_id": "srv-b"}
        self.receive(USER_REMOVE, "srv-b", payload)
        self.assertIn("carol", self.mesh.directory.user_locations)

    def test_bad_ids(self) -> None:
        """Ids that are none are malformed (S17)."""
        for bad in (
            "*",
            "public",
            "",
            "a b",
            "a\n",
            "\u202ea",
            "x" * 65,
            5,
            True,
            None,
        ):
            payload = {"user_id": bad, "server_id": "srv-b"}
            args = (USER_ADVERTISE, "srv-b", payload)
            self.assertRaises(MalformedFrame, self.receive, *args)


class AnnounceTests(RuleTestCase):
    """A server says where it listens."""

    HELLO = {"host": "10.0.0.4", "port": 9004, "pubkey": key("srv-d")}

    def test_new(self) -> None:
        """It is noted, passed on, and dialled unless it comes by itself soon."""
        effects = self.receive(SERVER_ANNOUNCE, "srv-d", self.HELLO)
        heard = Heard("srv-d", "10.0.0.4", 9004, key("srv-d"), soon=False)
        self.assertIn(heard, effects)
        self.assertEqual(self.forwarded(effects), [self.c.link])
        self.assertEqual(self.mesh.directory.servers["srv-d"].pubkey, key("srv-d"))

    def test_other_key(self) -> None:
        """Another key for an id that we know is refused."""
        payload = {**self.HELLO, "pubkey": key("evil")}
        self.refused(ErrorCode.BAD_KEY, SERVER_ANNOUNCE, "srv-c", payload)

    def test_linked(self) -> None:
        """Who is linked is not dialled for it."""
        payload = {**self.HELLO, "pubkey": key("srv-c")}
        effects = self.receive(SERVER_ANNOUNCE, "srv-c", payload)
        self.assertEqual([one for one in effects if isinstance(one, Heard)], [])

    def test_greetings(self) -> None:
        """A greeting on a link that is up changes nothing (S5, S6)."""
        evil = {**self.HELLO, "pubkey": key("evil"), "assigned_id": "x"}
        for kind in (SERVER_HELLO_JOIN, SERVER_HELLO_LINK, SERVER_WELCOME):
            self.assertEqual(self.receive(kind, "srv-b", evil), [])
        self.assertEqual(self.mesh.directory.servers["srv-b"].pubkey, key("srv-b"))


class HeartbeatTests(RuleTestCase):
    """A server tells its links; who has none to us is sought."""

    def test_claims(self) -> None:
        """What it tells makes routes."""
        self.receive(HEARTBEAT, "srv-b", {"links": ["srv-a", "srv-e"]})
        self.assertEqual(self.mesh.routes()["srv-e"], "srv-b")

    def test_others(self) -> None:
        """A server of others tells nothing, and is alive."""
        self.assertEqual(self.receive(HEARTBEAT, "srv-b", {}), [])

    def test_unlinked(self) -> None:
        """Whose heartbeat comes over another is alive: try to link to it."""
        add_server(self.mesh, "srv-d", linked=False)
        effects = self.receive(HEARTBEAT, "srv-d", {"links": ["srv-b"]})
        heard = [one.server_id for one in effects if isinstance(one, Heard)]
        self.assertEqual(heard, ["srv-d"])


class DeliverTests(RuleTestCase):
    """Content goes to the user, or on towards the user's server, or back as ERROR."""

    def deliver(
        self, user_id: str, sender: str = "bob", *, sig: str = "sig", **more: Any
    ) -> list[Effect]:
        """Let a message of srv-b's come in."""
        payload = {
            "user_id": user_id,
            "ciphertext": b64u_encode(bytes(512)),
            "sender": sender,
            "sender_pub": key(sender),
            "content_sig": "c2ln",
            "ts": NOW_MS - 5,
            "msg_id": "m1",
            **more,
        }
        return self.receive(SERVER_DELIVER, "srv-b", payload, to="srv-a", sig=sig)

    def test_local(self) -> None:
        """To a local user: handed over with the sender's own time, and acknowledged."""
        handed, ack = self.deliver("alice")
        assert isinstance(handed, SendAll)
        assert isinstance(ack, Send)
        self.assertEqual(
            (handed.type, handed.links), (USER_DELIVER, (self.alice.link,))
        )
        self.assertEqual((handed.ts, handed.payload["ts"]), (NOW_MS - 5, NOW_MS - 5))
        self.assertEqual((ack.type, ack.to, ack.link), ("ACK", "srv-b", self.b.link))

    def test_onward(self) -> None:
        """To another server's user: forwarded as it came."""
        self.mesh.directory.locate("carol", Location.of("srv-c", key("carol")))
        self.assertEqual(self.forwarded(self.deliver("carol")), [self.c.link])

    def test_unsigned(self) -> None:
        """Not without a signature, which the next one wants: back to its origin."""
        self.mesh.directory.locate("carol", Location.of("srv-c", key("carol")))
        [error] = self.deliver("carol", sig="")
        assert isinstance(error, Send)
        self.assertEqual((error.type, error.link), (ERROR, self.b.link))
        self.assertEqual(error.payload["code"], ErrorCode.USER_NOT_FOUND)
        self.assertEqual(error.payload["msg_ref"], "m1")

    def test_not_back(self) -> None:
        """Never to where it came from."""
        self.mesh.directory.locate("dave", Location.of("srv-b", key("dave")))
        [error] = self.deliver("dave")
        assert isinstance(error, Send)
        self.assertEqual(error.payload["code"], ErrorCode.USER_NOT_FOUND)
        self.assertEqual(error.payload["msg_ref"], "m1")

    def test_nobody(self) -> None:
        """To nobody: the origin is told."""
        [error] = self.deliver("nobody")
        assert isinstance(error, Send)
        self.assertEqual((error.type, error.to), (ERROR, "srv-b"))

    def test_another_s_sender(self) -> None:
        """In the name of another server's user, or of ours: refused."""
        for sender in ("alice", "carol"):
            self.mesh.directory.locate("carol", Location.of("srv-c", key("carol")))
            fault = self.assertRaises(Refused, self.deliver, "alice", sender)
            self.assertEqual(fault.code, ErrorCode.NOT_ALLOWED)

    def test_another_key(self) -> None:
        """With another key than the sender's: refused."""
        self.mesh.directory.locate("bob", Location.of("srv-b", key("bob")))
        fault = self.assertRaises(Refused, self.deliver, "alice", sender_pub=key("x"))
        self.assertEqual(fault.code, ErrorCode.BAD_KEY)


class GossipTests(RuleTestCase):
    """A frame goes on to those who cannot have it from its origin, and to no others."""

    def to(self, origin: str) -> list[int]:
        """Return the links on which srv-b's copy of a frame goes on."""
        self.frame = verified(HEARTBEAT, origin, {})
        return self.forwarded(list(gossip(self.mesh, self.b, self.frame.envelope)))

    def test_not_back(self) -> None:
        """Not to the origin, and not to whoever brought it."""
        self.assertEqual(self.to("srv-b"), [self.c.link])
        self.assertEqual(self.to("srv-c"), [])
        self.assertEqual(self.to("srv-z"), [self.c.link])

    def test_reply(self) -> None:
        """An answer goes towards the origin, by whoever leads there."""
        self.mesh.topology.claim("srv-c", ["srv-a", "srv-e"], 1, self.mesh.now)
        [answer] = reply(self.mesh, "srv-e", ERROR, {"code": "X"})
        assert isinstance(answer, Send)
        self.assertEqual((answer.link, answer.to), (self.c.link, "srv-e"))
        self.assertEqual(list(reply(self.mesh, "srv-z", ERROR, {})), [])


class RouterTests(RuleTestCase):
    """What is verified with which key, and what is not even looked at?"""

    def frame_of(self, sender: str, kind: str = HEARTBEAT, **payload: Any) -> Envelope:
        """Return a frame of a server."""
        return envelope(kind, sender, payload)

    def test_own(self) -> None:
        """What we said ourselves is a duplicate; what others say is one once read."""
        self.assertTrue(self.router.is_duplicate(self.frame_of("srv-a")))
        self.assertFalse(self.router.is_duplicate(self.frame_of("srv-b")))
        self.receive(HEARTBEAT, "srv-b", {})
        self.assertTrue(self.router.is_duplicate(self.frame_of("srv-b")))

    def test_key(self) -> None:
        """A frame verifies with the key of ``from``; a stranger brings its own."""
        self.assertEqual(self.router.key_for(self.frame_of("srv-c")), key("srv-c"))
        hello = {"host": "h", "port": 1, "pubkey": key("srv-d")}
        announced = self.frame_of("srv-d", SERVER_ANNOUNCE, **hello)
        self.assertEqual(self.router.key_for(announced), key("srv-d"))
        known = self.frame_of("srv-c", SERVER_ANNOUNCE, **hello)
        self.assertEqual(self.router.key_for(known), key("srv-c"))
        unknown = self.frame_of("srv-d", SERVER_DELIVER)
        self.assertRaises(Refused, self.router.key_for, unknown)

    def test_premature(self) -> None:
        """Gossip of a server that nobody introduced cannot be judged yet."""
        self.assertTrue(self.router.is_premature(self.frame_of("srv-d")))
        self.assertFalse(self.router.is_premature(self.frame_of("srv-b")))
        announced = self.frame_of("srv-d", SERVER_ANNOUNCE)
        self.assertFalse(self.router.is_premature(announced))
        self.assertFalse(self.router.is_premature(self.frame_of("srv-d", ERROR)))

    def test_unknown_type(self) -> None:
        """A type that has no rule is refused by name."""
        self.refused(ErrorCode.UNKNOWN_TYPE, "NO_SUCH_TYPE", "srv-b", {})
        party = add_party(self.mesh)
        frame = self.frame_of("alice", "NO_SUCH_TYPE")
        receive = self.router.receive_from_user
        self.assertRaises(Refused, receive, party, frame)

    def test_half_way(self) -> None:
        """A rule that refuses has changed nothing and asked for nothing."""
        before = dict(self.mesh.directory.user_locations)
        payload = {"user_id": "dave", "server_id": "srv-b", "pubkey": "junk"}
        self.refused(ErrorCode.BAD_KEY, USER_ADVERTISE, "srv-b", payload)
        self.assertEqual(self.mesh.directory.user_locations, before)
