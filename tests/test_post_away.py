"""Does it wait for whoever is away, and who says that it has arrived?"""

from socp_twisted.post.flow import TRIES, WINDOW
from socp_twisted.wire.vocabulary import CAP_BOUND
from tests.keyring import pub_of
from tests.posting import PostTestCase
from tests.raw_ends import OURS, PeerEnd


class AwayTests(PostTestCase):
    """For whoever is away it waits, and comes when they are seen."""

    def test_local(self) -> None:
        """Queued, then delivered in order, with the sender's ts, flagged as held."""
        a = self.start()
        self.account(a, "bob")
        [alice] = self.users(a, "alice")
        sent = [alice.tell("bob", f"{n}", id=f"m{n}") for n in range(3)]
        self.assertEqual(alice.outcomes(), [(f"m{n}", "queued") for n in range(3)])
        self.network.pass_time(1_000, 20)
        bob = self.person(a, "bob")
        self.assertEqual(self.given(bob), sent)
        for one, ts in zip(bob.of("USER_DELIVER"), sent, strict=True):
            self.assertEqual((one.payload["ts"], one.payload["held"]), (ts, True))

    def test_soon(self) -> None:
        """What waited for seconds only is not flagged."""
        a = self.start()
        self.account(a, "bob")
        [alice] = self.users(a, "alice")
        alice.tell("bob")
        self.network.pass_time(5)
        self.assertNotIn("held", self.person(a, "bob").only("USER_DELIVER").payload)

    def test_remote(self) -> None:
        """A user who was seen elsewhere, and comes back there."""
        a, b = self.pair()
        bob = self.person(b, "bob")
        [alice] = self.users(a, "alice")
        bob.leave()
        sent = [alice.tell("bob", f"{n}", id=f"m{n}") for n in range(3)]
        self.assertEqual(alice.outcomes(), [(f"m{n}", "queued") for n in range(3)])
        self.network.pass_time(20, 5)
        bob = self.person(b, "bob")
        self.assertEqual(self.given(bob), sent)
        self.assertTrue(all(one.payload["held"] for one in bob.of("USER_DELIVER")))
        told = alice.outcomes()[3:]
        self.assertEqual(told, [(f"m{n}", "delivered") for n in range(3)])

    def test_elsewhere_now(self) -> None:
        """Somebody who comes back at another server gets it there."""
        a, b = self.pair()
        self.account(a, "bob")
        [alice] = self.users(a, "alice")
        ts = alice.tell("bob", id="m")
        bob = self.person(b, "bob")
        self.assertEqual(self.given(bob), [ts])
        self.assertEqual(alice.outcomes()[-1], ("m", "delivered"))

    def test_just_left(self) -> None:
        """Bob's server says that he is not online: queued, not refused."""
        a, b = self.pair()
        bob = self.person(b, "bob")
        [alice] = self.users(a, "alice")
        self.link_held(a, b)
        bob.leave()
        alice.tell("bob", id="m")
        self.link_held(a, b, False)
        self.network.pass_time(12)
        self.assertEqual(alice.outcomes(), [("m", "queued")])
        bob = self.person(b, "bob")
        bob.only("USER_DELIVER")
        self.assertEqual(alice.outcomes()[-1], ("m", "delivered"))

    def test_unknown(self) -> None:
        """Nobody ever saw carol: nothing is held for her."""
        [alice] = self.users(self.start(), "alice")
        alice.tell("carol", id="m")
        self.assertEqual(alice.fault(), ("USER_NOT_FOUND", "carol was never seen here"))
        self.assertEqual(self.waits(self.sites["srv-a"], "carol"), 0)

    def test_seen_before_the_restart(self) -> None:
        """Who was seen once is known after a restart, registered or not."""
        a = self.start()
        self.person(a, "bob").leave()
        a = self.restart(a)
        [alice] = self.users(a, "alice")
        alice.tell("bob", id="m")
        self.assertEqual(alice.outcomes(), [("m", "queued")])

    def test_sender_away(self) -> None:
        """Who was away when it was delivered is told at the next login, once."""
        a = self.start()
        self.account(a, "bob")
        [alice] = self.users(a, "alice")
        alice.tell("bob", id="m")
        alice.leave()
        self.person(a, "bob").only("USER_DELIVER")
        for expected in ([("m", "delivered")], []):
            alice = self.person(a, "alice")
            self.assertEqual(alice.outcomes(), expected)
            alice.leave()


class ReceiptTests(PostTestCase):
    """It is delivered when the recipient's client says so, and nobody else."""

    def setUp(self) -> None:
        """Two nodes: alice and carol at one, bob at the other, with receipts."""
        super().setUp()
        self.a, self.b = self.pair()
        self.bob = self.reader(self.b, "bob")
        self.alice, self.carol = self.users(self.a, "alice", "carol")

    def test_given(self) -> None:
        """Delivered means that the client has it."""
        self.alice.tell("bob", id="m")
        self.assertEqual(self.alice.outcomes(), [])
        self.give(self.bob, self.bob.only("USER_DELIVER"))
        self.assertEqual(self.alice.outcomes(), [("m", "delivered")])

    def test_refused(self) -> None:
        """A client that refuses it tells the sender so, with its own words."""
        self.alice.tell("bob", id="m")
        self.give(self.bob, self.bob.only("USER_DELIVER"), code="INVALID_SIG")
        self.assertEqual(self.alice.fault(), ("INVALID_SIG", "no"))
        self.assertEqual(self.waits(self.a), 0)

    def test_refused_locally(self) -> None:
        """The same between users of one server."""
        [dave] = self.users(self.b, "dave")
        dave.tell("bob", id="m")
        self.give(self.bob, self.bob.only("USER_DELIVER"), code="INVALID_SIG")
        self.assertEqual(dave.outcomes(), [("m", "INVALID_SIG")])

    def test_somebody_elses(self) -> None:
        """A receipt of another user, or for nothing at all, changes nothing."""
        self.alice.tell("bob", id="m")
        told = self.bob.only("USER_DELIVER")
        [dave] = self.users(self.b, "dave")
        for other in (dave, self.carol, self.alice):
            self.give(other, told)
            self.give(other, told, code="BAD_KEY")
        for reference in (5, None, "", "x", "srv-a/x", told.payload["msg_id"][6:]):
            self.bob.say("ACK", "bob", "*", {"msg_ref": reference})
        self.assertEqual(self.alice.outcomes(), [])
        self.give(self.bob, told)
        self.assertEqual(self.alice.outcomes(), [("m", "delivered")])

    def test_twice(self) -> None:
        """The second receipt, good or bad, is too late."""
        self.alice.tell("bob", id="m")
        told = self.bob.only("USER_DELIVER")
        self.give(self.bob, told)
        self.give(self.bob, told, code="BAD_KEY")
        self.assertEqual(self.alice.outcomes(), [("m", "delivered")])

    def test_none(self) -> None:
        """No receipt in ten seconds: queued, given again, and then delivered."""
        ts = self.alice.tell("bob", id="m")
        self.network.pass_time(9)
        self.assertEqual(self.alice.outcomes(), [])
        self.network.pass_time(3)
        self.assertEqual(self.alice.outcomes(), [("m", "queued")])
        self.assertEqual(self.given(self.bob), [ts])
        self.network.pass_time(35)
        self.assertEqual(self.given(self.bob), [ts, ts])
        copy = self.bob.of("USER_DELIVER")[1]
        self.assertTrue(copy.payload["held"])
        self.give(self.bob, copy)
        self.assertEqual(self.alice.outcomes()[-1], ("m", "delivered"))
        self.network.pass_time(60, 5)
        self.assertEqual(len(self.given(self.bob)), 2)

    def test_answer_lost(self) -> None:
        """The answer is lost with the link: the copy is dropped, and answered."""
        ts = self.alice.tell("bob", id="m")
        self.link_held(self.a, self.b)
        self.give(self.bob, self.bob.only("USER_DELIVER"))
        for wire in self.network.between(self.a.port, self.b.port):
            wire.held = False
            wire.client.stream.clear()
            wire.server.stream.clear()
            wire.cut()
        self.network.pass_time(15)
        self.assert_mesh(self.a, self.b)
        self.network.pass_time(45)
        self.assertEqual(self.given(self.bob), [ts])
        self.assertEqual(self.alice.outcomes()[-1], ("m", "delivered"))

    def test_link_lost(self) -> None:
        """In order through the loss of a link, each shown once."""
        sent = [self.alice.tell("bob", f"{n}", id=f"m{n}") for n in range(2)]
        [wire] = self.network.between(self.a.port, self.b.port)
        wire.cut()
        sent += [self.alice.tell("bob", f"{n}", id=f"m{n}") for n in range(2, 5)]
        self.network.pass_time(15)
        shown = list(dict.fromkeys(self.given(self.bob)))
        self.assertEqual(shown, sent)
        self.give(self.bob, *self.bob.of("USER_DELIVER"))
        self.network.pass_time(50, 5)
        self.assertEqual(self.waits(self.a), 0)

    def test_user_back(self) -> None:
        """A client that left before its receipt is given it again."""
        ts = self.alice.tell("bob", id="m")
        self.bob.leave()
        self.bob = self.reader(self.b, "bob")
        self.assertEqual(self.given(self.bob), [ts])
        self.give(self.bob, self.bob.only("USER_DELIVER"))
        self.assertEqual(self.alice.outcomes()[-1], ("m", "delivered"))


class ImpostorTests(PostTestCase):
    """What waits for a user waits for their key, whoever uses the name."""

    def setUp(self) -> None:
        """One node, linked to a server that the test plays; alice writes."""
        super().setUp()
        self.a = self.start()
        self.eve = self.peer(self.a)
        self.eve.link("srv-b", "srv-b")

    def test_name_taken(self) -> None:
        """A stranger under a name that is free gets nothing; its owner does, later."""
        bob = self.person(self.a, "bob")
        [alice] = self.users(self.a, "alice")
        bob.leave()
        sent = alice.tell("bob", id="m")
        stranger = self.person(self.a)
        stranger.enter("bob", "srv-d")
        self.assertIn("PUBLIC_CHANNEL_SNAPSHOT", stranger.heard())
        self.network.pass_time(60, 5)
        self.assertEqual(self.given(stranger), [])
        self.assertEqual(alice.outcomes(), [("m", "queued")])
        stranger.leave()
        self.assertEqual(self.given(self.person(self.a, "bob")), [sent])
        self.assertEqual(alice.outcomes()[-1], ("m", "delivered"))

    def test_advertised(self) -> None:
        """No server takes a user who is registered here, under another key."""
        self.account(self.a, "bob")
        [alice] = self.users(self.a, "alice")
        alice.tell("bob", id="m")
        self.eve.advertise("bob", key="srv-d")
        self.assertEqual(self.a.online(), {"alice": "srv-a"})
        self.assertEqual(self.eve.errors(), ["NAME_IN_USE"])
        self.assertEqual(self.eve.of("SERVER_DELIVER"), [])

    def test_sender_away(self) -> None:
        """Nobody speaks for a user who is away with a key that is not theirs."""
        self.account(self.a, "carol")
        [bob] = self.users(self.a, "bob")
        ts, content = bob.message("bob")
        forged = {**content, "sender": "carol", "user_id": "bob", "ts": ts}
        forged["sender_pub"] = pub_of("alice")
        self.eve.tell("SERVER_DELIVER", forged, to="srv-a")
        self.assertEqual(self.eve.errors(), ["BAD_KEY"])
        self.assertEqual(bob.of("USER_DELIVER"), [])


class SilentReaderTests(PostTestCase):
    """Who acknowledges nothing keeps nobody else's message waiting."""

    def setUp(self) -> None:
        """One node; alice and carol write, bob's client reads."""
        super().setUp()
        self.a = self.start()
        self.alice, self.carol = self.users(self.a, "alice", "carol")
        self.bob = self.reader(self.a, "bob")

    def pass_time(self, seconds: int) -> None:
        """Let time pass; bob's machine is there all the time."""
        for _ in range(seconds // 5):
            self.network.pass_time(5)
            self.bob.say("HEARTBEAT", "bob", "*", {})

    def test_others(self) -> None:
        """A window full of what is never acknowledged delays the next for seconds."""
        for number in range(WINDOW):
            self.alice.tell("bob", id=f"a{number}")
        self.carol.tell("bob", id="c")
        self.pass_time(15)
        given = self.bob.of("USER_DELIVER")
        [last] = [one for one in given if one.payload["sender"] == "carol"]
        self.give(self.bob, last)
        self.assertEqual(self.carol.outcomes()[-1], ("c", "delivered"))

    def test_given_up(self) -> None:
        """After three times its sender is told, and nothing waits any more."""
        self.alice.tell("bob", id="m")
        self.pass_time(150)
        self.assertEqual(len(self.bob.of("USER_DELIVER")), TRIES)
        self.assertEqual(self.alice.outcomes(), [("m", "queued"), ("m", "TIMEOUT")])
        self.assertEqual(self.waits(self.a), 0)

    def test_full_window(self) -> None:
        """What is under way is not sent again with each tick."""
        for number in range(WINDOW + 8):
            self.alice.tell("bob", id=f"a{number}")
        self.network.pass_time(5)
        self.assertEqual(len(self.bob.of("USER_DELIVER")), WINDOW)


class OtherServerTests(PostTestCase):
    """Only the server that was asked answers for a message."""

    def setUp(self) -> None:
        """Alice on our node; bob at srv-b, which the test plays, beside srv-c."""
        super().setUp()
        self.a = self.start()
        self.b, self.c = (self.server(f"srv-{letter}") for letter in "bc")
        self.b.advertise("bob")
        [self.alice] = self.users(self.a, "alice")
        self.alice.tell("bob", id="m")
        self.reference = self.b.only("SERVER_DELIVER").payload["msg_id"]

    def server(self, name: str) -> PeerEnd:
        """Link a server, played by the test."""
        peer = self.peer(self.a)
        peer.link(name, name, caps=[one for one in OURS if one != CAP_BOUND])
        return peer

    def test_another(self) -> None:
        """An ACK or ERROR of another server is ignored."""
        error = {"code": "BAD_KEY", "detail": "x", "msg_ref": self.reference}
        self.c.tell("ERROR", error, to="srv-a")
        self.c.tell("ACK", {"msg_ref": self.reference}, to="srv-a")
        self.assertEqual(self.alice.outcomes(), [])
        self.b.tell("ACK", {"msg_ref": self.reference}, to="srv-a")
        self.assertEqual(self.alice.outcomes(), [("m", "delivered")])

    def test_late(self) -> None:
        """After ten seconds it is queued, and sent again after thirty more."""
        self.network.pass_time(12)
        self.assertEqual(self.alice.outcomes(), [("m", "queued")])
        for _ in range(7):
            self.network.pass_time(5)
            for peer in (self.b, self.c):
                peer.tell("HEARTBEAT", {})
        copies = self.b.of("SERVER_DELIVER")
        self.assertEqual(
            [one.payload["msg_id"] for one in copies], [self.reference] * 2
        )
        self.b.tell("ACK", {"msg_ref": self.reference}, to="srv-a")
        self.assertEqual(self.alice.outcomes()[-1], ("m", "delivered"))


class NothingHeldTests(PostTestCase):
    """With --hold 0 the sender is told at once that nobody is there."""

    hold = 0.0

    def test_away(self) -> None:
        """Registered or not, who is not online is not found."""
        a = self.start()
        self.account(a, "bob")
        [alice] = self.users(a, "alice")
        for user_id in ("bob", "carol"):
            alice.tell(user_id, id="m")
        self.assertEqual(alice.outcomes(), [("m", "USER_NOT_FOUND")] * 2)

    def test_unreachable(self) -> None:
        """Each message to a server that is gone is refused, none is queued."""
        a, b = self.pair()
        self.person(b, "bob")
        [alice] = self.users(a, "alice")
        self.kill(b)
        for number in range(3):
            alice.tell("bob", f"{number}", id=f"m{number}")
        expected = [(f"m{number}", "USER_NOT_FOUND") for number in range(3)]
        self.assertEqual(alice.outcomes(), expected)
        assert a.node.post is not None
        self.assertEqual((self.waits(a), a.node.post._flows), (0, {}))

    def test_timeout(self) -> None:
        """Each has its own ten seconds; the later one does not end with the first."""
        a, b = self.pair()
        self.person(b, "bob")
        [alice] = self.users(a, "alice")
        self.link_held(a, b)
        alice.tell("bob", "one", id="m1")
        self.network.pass_time(5)
        alice.tell("bob", "two", id="m2")
        self.network.pass_time(6)
        self.assertEqual(alice.outcomes(), [("m1", "TIMEOUT")])
        self.network.pass_time(5)
        self.assertEqual(alice.outcomes()[-1], ("m2", "TIMEOUT"))
        self.link_held(a, b, False)
        self.network.pass_time(60, 5)
        self.assertEqual(len(alice.outcomes()), 2)

    def test_answered_again(self) -> None:
        """A copy is answered although the recipient has left since."""
        a = self.start()
        alice, bob = self.users(a, "alice", "bob")
        message = self.frame(alice, "bob")
        self.send(alice, message)
        bob.leave()
        self.send(alice, message)
        self.assertEqual(alice.outcomes(), [("m", "delivered")] * 2)
