"""Does each message reach whom it is for, and does the sender learn how it went?"""

import json
from typing import Any

from socp_twisted.trust.signatures import verify
from socp_twisted.wire.vocabulary import MSG_DIRECT
from tests.keyring import FOUR_PRIMES, pub_of
from tests.raw_ends import OURS
from tests.users import UserTestCase

MIB = 1024 * 1024


class LocalTests(UserTestCase):
    """Between users of one server."""

    def setUp(self) -> None:
        """One node with alice and bob on it."""
        super().setUp()
        self.a = self.start()
        self.alice, self.bob = self.users(self.a, "alice", "bob")

    def test_delivered(self) -> None:
        """The recipient gets what the signature covers; the sender one ACK."""
        ts, payload = self.alice.message("bob", "hello")
        self.alice.say(MSG_DIRECT, "alice", "bob", payload, ts=ts, id="m1")
        [told] = self.bob.received
        self.assertEqual((told.type, told.to, told.ts), ("USER_DELIVER", "bob", ts))
        self.assertEqual(told.payload, {**payload, "sender": "alice", "ts": ts})
        [ack] = self.alice.received
        self.assertEqual(ack.payload, {"msg_ref": "m1", "status": "delivered"})

    def test_without_id(self) -> None:
        """A frame without an id is delivered and not acknowledged."""
        self.alice.tell("bob")
        self.assertEqual(self.bob.heard(), ["USER_DELIVER"])
        self.assertEqual(self.alice.received, [])

    def test_not_found(self) -> None:
        """Nobody there: one ERROR that names the frame, with an id or without one."""
        for reference in ("m1", ""):
            self.alice.forget()
            self.alice.tell("carol", id=reference)
            [told] = self.alice.received
            detail = "carol was never seen here"
            expected = {"code": "USER_NOT_FOUND", "detail": detail}
            if reference:
                expected["msg_ref"] = reference
            self.assertEqual(told.payload, expected)

    def test_left(self) -> None:
        """Who has just left is not there."""
        self.bob.leave()
        self.alice.tell("bob", id="m1")
        self.assertEqual(self.alice.outcomes(), [("m1", "USER_NOT_FOUND")])

    def test_to_oneself(self) -> None:
        """A user may write to themself."""
        self.alice.tell("alice", id="m1")
        self.assertEqual(self.alice.heard(), ["USER_DELIVER", "ACK"])

    def test_order(self) -> None:
        """Fifty messages arrive in the order in which they were written."""
        sent = []
        for number in range(50):
            ts, payload = self.alice.message("bob", f"{number % 5}")
            sent.append(ts)
            frame = {"type": MSG_DIRECT, "from": "alice", "to": "bob", "ts": ts}
            self.alice.end.sendMessage(
                json.dumps({**frame, "payload": payload}).encode()
            )
        self.network.settle()
        self.assertEqual([one.ts for one in self.bob.received], sent)

    def test_unknown_fields(self) -> None:
        """Fields that we do not know travel along; those of the servers do not."""
        extra = {"color": "blue", "msg_id": "x", "user_id": "x", "public": True}
        extra |= {"inner_type": "x", "orig_ts": 1, "cts": 1, "server_id": "x", "ts": 1}
        extra |= {"held": True, "sender": "alice"}
        ts, payload = self.alice.message("bob")
        self.alice.say(MSG_DIRECT, "alice", "bob", {**payload, **extra}, ts=ts)
        told = self.bob.only("USER_DELIVER").payload
        known = {"ciphertext", "sender", "sender_pub", "content_sig", "ts", "color"}
        self.assertEqual(set(told), known)
        self.assertEqual(told["ts"], ts)


class PlacesTests(UserTestCase):
    """The standard has from and to in the envelope, the dialect in the payload."""

    def setUp(self) -> None:
        """One node with alice and bob on it."""
        super().setUp()
        self.a = self.start()
        self.alice, self.bob = self.users(self.a, "alice", "bob")

    def say(self, top: dict[str, Any], inner: dict[str, Any]) -> list[tuple[str, str]]:
        """Send a message with these envelope and payload fields; return the outcome."""
        ts, payload = self.alice.message("bob")
        frame = {"type": MSG_DIRECT, "ts": ts, "id": "m", **top}
        self.alice.say_raw({**frame, "payload": {**payload, **inner}})
        outcomes = self.alice.outcomes()
        self.alice.forget()
        return outcomes

    def test_either_place(self) -> None:
        """Envelope, payload, or both: each is enough."""
        top, inner = {"from": "alice", "to": "bob"}, {"sender": "alice", "to": "bob"}
        places: list[tuple[dict[str, Any], dict[str, Any]]] = [(top, {}), ({}, inner)]
        places += [
            (top, inner),
            ({"to": "*"}, inner),
            ({"from": "alice"}, {"to": "bob"}),
        ]
        for number, (above, within) in enumerate(places):
            self.assertEqual(self.say(above, within), [("m", "delivered")], number)
        self.assertEqual(len(self.bob.of("USER_DELIVER")), len(places))
        self.assertEqual(
            {one.payload["sender"] for one in self.bob.received}, {"alice"}
        )

    def test_disagreement(self) -> None:
        """Two recipients, or another sender in either place: refused, not guessed."""
        both = {"from": "alice", "to": "bob"}
        self.assertEqual(self.say(both, {"to": "carol"}), [("m", "MALFORMED")])
        self.assertEqual(self.say(both, {"sender": "bob"}), [("m", "NOT_ALLOWED")])
        self.assertEqual(self.say({**both, "from": "bob"}, {}), [("m", "NOT_ALLOWED")])
        inner = {"sender": "bob", "to": "bob"}
        self.assertEqual(self.say({}, inner), [("m", "NOT_ALLOWED")])
        self.assertEqual(self.bob.received, [])

    def test_nobody(self) -> None:
        """No recipient at all, or everybody, is no direct message."""
        for top in ({}, {"to": "*"}, {"to": "public"}, {"to": "ws://127.0.0.1:1"}):
            self.assertEqual(self.say(top, {}), [("m", "MALFORMED")], top)


class RemoteTests(UserTestCase):
    """Between users of two servers."""

    def setUp(self) -> None:
        """Alice on one node, bob on another."""
        super().setUp()
        self.a, self.b = self.pair()
        self.alice, self.bob = self.person(self.a, "alice"), self.person(self.b, "bob")
        self.alice.forget()
        self.bob.forget()

    def test_delivered(self) -> None:
        """As between users of one server: the payload to the letter, and one ACK."""
        ts, payload = self.alice.message("bob")
        self.alice.say(MSG_DIRECT, "alice", "bob", payload, ts=ts, id="m1")
        [told] = self.bob.received
        self.assertEqual(told.payload, {**payload, "sender": "alice", "ts": ts})
        self.assertEqual(told.ts, ts)
        self.assertEqual(self.alice.outcomes(), [("m1", "delivered")])
        self.network.pass_time(20)
        self.assertEqual(self.alice.outcomes(), [("m1", "delivered")])

    def test_without_id(self) -> None:
        """Nothing but the delivery."""
        self.alice.tell("bob")
        self.network.pass_time(20)
        self.assertEqual(self.bob.heard(), ["USER_DELIVER"])
        self.assertEqual(self.alice.received, [])

    def test_order(self) -> None:
        """Order holds over the link, too."""
        sent = [self.alice.tell("bob", f"{number % 5}") for number in range(20)]
        self.assertEqual([one.ts for one in self.bob.of("USER_DELIVER")], sent)

    def test_timeout(self) -> None:
        """Ten seconds of silence on the way: one ERROR TIMEOUT, and no late ACK."""
        self.link_held(self.a, self.b)
        self.alice.tell("bob", id="m1")
        self.network.pass_time(9.5)
        self.assertEqual(self.alice.outcomes(), [])
        self.network.pass_time(2)
        self.assertEqual(self.alice.outcomes(), [("m1", "TIMEOUT")])
        self.link_held(self.a, self.b, False)
        self.network.pass_time(5)
        self.assertEqual(self.alice.outcomes(), [("m1", "TIMEOUT")])

    def test_crossed(self) -> None:
        """Bob left while the message was on its way: USER_NOT_FOUND, once."""
        self.link_held(self.a, self.b)
        self.bob.leave()
        self.alice.tell("bob", id="m1")
        self.link_held(self.a, self.b, False)
        self.network.pass_time(12)
        self.assertEqual(self.alice.outcomes(), [("m1", "USER_NOT_FOUND")])

    def test_unreachable(self) -> None:
        """R5: the server is gone, its users not yet: named, and alice stays."""
        self.kill(self.b)
        self.alice.tell("bob", id="m1")
        [told] = self.alice.of("ERROR")
        self.assertEqual(told.payload["code"], "USER_NOT_FOUND")
        self.assertEqual(told.payload["detail"], "bob cannot be reached now")
        self.assertIsNone(self.alice.close)

    def test_sender_left(self) -> None:
        """An answer for somebody who has left goes nowhere, and harms nobody."""
        self.link_held(self.a, self.b)
        self.alice.tell("bob", id="m1")
        self.alice.leave()
        self.link_held(self.a, self.b, False)
        self.network.pass_time(12)
        self.assertEqual(self.flushLoggedErrors(), [])
        self.assert_mesh(self.a, self.b)

    def test_too_large(self) -> None:
        """No user's frame is so large that it costs the servers their link."""
        base = self.alice.message("bob")[1]
        for size in (MIB - 2_500, MIB - 8_000, 160 * 1024, 150 * 1024):
            pad = "x" * size
            self.alice.say(MSG_DIRECT, "alice", "bob", {**base, "pad": pad}, id="m")
        self.assertEqual(self.alice.outcomes()[0], ("m", "LIMIT"))
        self.assertEqual(self.alice.outcomes()[-1], ("m", "delivered"))
        self.assert_mesh(self.a, self.b)
        self.assertIsNone(self.bob.close)


class FourPrimesTests(UserTestCase):
    """A server whose key has four primes is a server like any other."""

    def test_delivered(self) -> None:
        """It joins a mesh, from either side, and messages go both ways."""
        for keys in ((FOUR_PRIMES, "srv-b"), ("srv-a", FOUR_PRIMES)):
            self.setUp()
            a = self.start("srv-a", 8765, key=keys[0])
            b = self.start("srv-b", 8766, [a], key=keys[1])
            self.network.pass_time(2)
            self.assert_mesh(a, b)
            alice, bob = *self.users(a, "alice"), *self.users(b, "bob")
            alice.forget()
            for one, other in ((alice, bob), (bob, alice)):
                one.tell(other.user_id, id="m1")
                self.network.pass_time(1)
                told = other.only("USER_DELIVER")
                self.assertEqual(told.payload["sender"], one.user_id)
                self.assertEqual(one.outcomes(), [("m1", "delivered")])
                verify(told, pub_of(keys[other is bob]))
                other.forget()
            self.tearDown()


class OthersTests(UserTestCase):
    """Servers of others, played by the test."""

    def setUp(self) -> None:
        """Alice on our node."""
        super().setUp()
        self.a = self.start()
        [self.alice] = self.users(self.a, "alice")

    def test_no_acknowledgements(self) -> None:
        """A server that answers no delivery: all that is known is "sent"."""
        server = self.peer(self.a)
        server.link("srv-c", "srv-c", caps=[])
        server.tell("HEARTBEAT", {})
        server.advertise("bob")
        self.alice.tell("bob", id="m1")
        routed = server.only("SERVER_DELIVER").payload
        self.assertEqual(routed["user_id"], "bob")
        self.assertNotIn("msg_id", routed)
        self.assertEqual(self.alice.outcomes(), [("m1", "sent")])
        self.network.pass_time(12)
        self.assertEqual(self.alice.outcomes(), [("m1", "sent")])

    def ours(self) -> Any:
        """Return a server of our kind that has bob, and the id of a delivery to him."""
        server = self.peer(self.a)
        server.link("srv-c", "srv-c", caps=OURS)
        server.advertise("bob")
        self.alice.forget()
        self.alice.tell("bob", id="m1")
        return server, server.only("SERVER_DELIVER").payload["msg_id"]

    def test_answered_twice(self) -> None:
        """Of several answers the first counts."""
        server, reference = self.ours()
        for _ in range(2):
            server.tell("ACK", {"msg_ref": reference}, to="srv-a")
            error = {"code": "TIMEOUT", "detail": "x", "msg_ref": reference}
            server.tell("ERROR", error, to="srv-a")
        self.assertEqual(self.alice.outcomes(), [("m1", "delivered")])

    def test_hostile_answer(self) -> None:
        """S25: what another server says of a failure reaches no screen as it came."""
        server, reference = self.ours()
        detail = "gone\x1b[2J\r\nbob: \u202ehello"
        error = {"code": "X\x1b[31m", "detail": detail, "msg_ref": reference}
        server.tell("ERROR", error, to="srv-a")
        told = self.alice.only("ERROR").payload
        self.assertTrue(told["code"].isprintable() and told["detail"].isprintable())
        self.assertIn("gone", told["detail"])
        self.assertEqual(told["msg_ref"], "m1")


class HeldTests(UserTestCase):
    """Where messages are held, whoever is away gets them later, once, in order."""

    hold = 86_400.0

    def test_away(self) -> None:
        """Queued, kept through a restart, delivered at the next login."""
        a = self.start()
        self.account(a, "bob")
        [alice] = self.users(a, "alice")
        sent = [alice.tell("bob", f"{n}", id=f"m{n}") for n in range(3)]
        self.assertEqual(alice.outcomes(), [(f"m{n}", "queued") for n in range(3)])
        a = self.restart(a)
        [alice] = self.users(a, "alice")
        bob = self.person(a, "bob")
        self.assertEqual([one.ts for one in bob.of("USER_DELIVER")], sent)
        self.assertEqual(alice.outcomes(), [(f"m{n}", "delivered") for n in range(3)])

    def test_held_up(self) -> None:
        """Silence on the way for ten seconds: queued, then delivered, shown once."""
        a, b = self.pair()
        [alice], [bob] = self.users(a, "alice"), self.users(b, "bob")
        alice.forget()
        ts, payload = alice.message("bob")
        self.link_held(a, b)
        alice.say(MSG_DIRECT, "alice", "bob", payload, ts=ts, id="m")
        self.network.pass_time(12)
        self.assertEqual(alice.outcomes(), [("m", "queued")])
        self.link_held(a, b, False)
        self.network.settle()
        alice.say(MSG_DIRECT, "alice", "bob", payload, ts=ts, id="m")
        self.network.pass_time(40)
        bob.only("USER_DELIVER")
        self.assertEqual(alice.outcomes()[-1], ("m", "delivered"))

    def test_never_seen(self) -> None:
        """For somebody whom no server ever saw nothing is held."""
        [alice] = self.users(self.start(), "alice")
        alice.tell("carol", id="m")
        self.assertEqual(alice.outcomes(), [("m", "USER_NOT_FOUND")])
