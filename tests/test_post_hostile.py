"""What do those pay who write to each other, while somebody else means no good?"""

from collections import Counter

from socp_twisted.wire.envelope import Envelope
from socp_twisted.wire.limits import Limits
from socp_twisted.wire.payloads import MAX_RECEIPTS
from tests.keyring import pub_of
from tests.posting import CountingStore, PostTestCase, put_disk


class InventedAnswerTests(PostTestCase):
    """Who answers for messages that it was never given costs nobody the disk."""

    def setUp(self) -> None:
        """One node with alice and bob, linked to a server that the test plays."""
        super().setUp()
        self.a = self.start()
        self.eve = self.peer(self.a)
        self.eve.link("srv-b", "srv-b")
        [self.alice] = self.users(self.a, "alice")
        self.bob = self.reader(self.a, "bob")
        self.alice.tell("bob", id="m")
        self.given_to_bob = self.bob.only("USER_DELIVER")
        post = self.a.node.post
        assert post is not None
        self.store = CountingStore(post._store)
        put_disk(post, self.store)

    def true_id(self) -> str:
        """Return the id of the message that bob was given."""
        reference: str = self.given_to_bob.payload["msg_id"]
        return reference.removeprefix("srv-a/")

    def test_acks(self) -> None:
        """Hundreds in a frame, the right one among them: it was not asked for it."""
        refs = [self.true_id(), *(f"{n}" for n in range(MAX_RECEIPTS - 1))]
        answer = {"msg_refs": refs, "status": "delivered"}
        self.eve.tell("ACK", answer, to="srv-a")
        self.assertEqual(self.store.asked, Counter())
        self.assertEqual(self.alice.outcomes(), [])
        self.give(self.bob, self.given_to_bob)
        self.assertEqual(self.alice.outcomes(), [("m", "delivered")])

    def test_errors(self) -> None:
        """Nor does its refusal count, or cost more."""
        for reference in (self.true_id(), "invented"):
            refusal = {"code": "BAD_KEY", "detail": "no", "msg_ref": reference}
            self.eve.tell("ERROR", refusal, to="srv-a")
        self.assertEqual(self.store.asked, Counter())
        self.assertEqual(self.alice.outcomes(), [])

    def test_nothing_stays(self) -> None:
        """Of what is answered, nobody remembers whom it was for."""
        self.give(self.bob, self.given_to_bob)
        assert self.a.node.post is not None
        self.assertEqual(self.a.node.post._sending._recipients, {})


class CrowdedDiskTests(PostTestCase):
    """Who fills the room for what waits fills it for themselves."""

    def setUp(self) -> None:
        """A node with room for four messages: bob is away, carol's client reads."""
        super().setUp()
        self.a = self.start(limits=Limits(held=3, held_in_all=4))
        self.account(self.a, "bob")
        self.carol = self.reader(self.a, "carol")
        self.alice, self.dave = self.users(self.a, "alice", "dave")
        self.eve = self.person(self.a, "eve", "srv-c")
        self.sent = [self.eve.tell("bob", f"{n}", id=f"e{n}") for n in range(3)]
        self.sent += [self.dave.tell("bob", id="d0")]

    def test_who_reads(self) -> None:
        """A message for somebody who is there goes, and is answered."""
        self.alice.tell("carol", id="m")
        self.give(self.carol, self.carol.only("USER_DELIVER"))
        self.assertEqual(self.alice.outcomes(), [("m", "delivered")])

    def test_who_gives_way(self) -> None:
        """The newest of whoever has most, who is told; in a fair share nobody does."""
        self.alice.tell("bob", id="m")
        self.assertEqual(self.alice.outcomes(), [("m", "queued")])
        self.assertEqual(self.eve.outcomes()[-1], ("e2", "LIMIT"))
        self.assertIn("max-held-in-all: 4 ", self.eve.fault()[1])
        self.alice.tell("bob", "again", id="n")
        self.assertEqual(self.alice.outcomes()[-1], ("n", "LIMIT"))
        self.assertEqual(self.eve.outcomes()[-1], ("e2", "LIMIT"))
        self.assertEqual(self.dave.outcomes(), [("d0", "queued")])
        self.assertEqual(self.waits(self.a), 4)
        bob = self.person(self.a, "bob")
        self.assertEqual(self.given(bob)[:3], [*self.sent[:2], self.sent[3]])
        self.assertEqual(len(self.given(bob)), 4)

    def test_on_its_way(self) -> None:
        """What somebody is just being given is not called given up."""
        bob = self.reader(self.a, "bob")
        self.assertEqual(self.given(bob), self.sent)
        self.alice.tell("carol", id="m")
        self.assertEqual(self.alice.outcomes(), [("m", "LIMIT")])
        self.give(bob, *bob.of("USER_DELIVER"))
        self.assertEqual(self.eve.outcomes()[-1], ("e2", "delivered"))

    def test_for_ever_on_its_way(self) -> None:
        """Whose friend takes it again and again, and never answers, keeps no room."""
        for _ in range(3):
            self.reader(self.a, "bob")
            self.network.pass_time(6)
        self.alice.tell("carol", id="m")
        self.give(self.carol, self.carol.only("USER_DELIVER"))
        self.assertEqual(self.alice.outcomes(), [("m", "delivered")])
        self.assertEqual(self.eve.outcomes()[-1], ("e2", "LIMIT"))


class ThievingServerTests(PostTestCase):
    """Who is registered here, or has shown a login, is where one of theirs is shown."""

    def setUp(self) -> None:
        """Two nodes, and a server that the test plays; bob is away, and has mail."""
        super().setUp()
        self.a, self.b = self.pair()
        self.eve = self.peer(self.a)
        self.eve.link("srv-c", "srv-c")
        self.account(self.a, "bob")
        [self.alice] = self.users(self.a, "alice")
        self.sent = self.alice.tell("bob", id="m")

    def test_bare_word(self) -> None:
        """His key is known to all: whoever says that he is there is given nothing."""
        self.eve.advertise("bob", key="bob")
        self.assertEqual(self.eve.errors(), ["NAME_IN_USE"])
        self.assertEqual(self.eve.of("SERVER_DELIVER"), [])
        self.assertNotIn("bob", self.a.online())
        self.assertEqual(self.given(self.person(self.a, "bob")), [self.sent])

    def test_login_elsewhere(self) -> None:
        """Nor does it help to have seen how he logged in at another server."""
        bob = self.person(self.b, "bob")
        self.assertEqual(self.a.online()["bob"], "srv-b")
        told = [one for one in self.shown if one.payload["user_id"] == "bob"]
        login = told[-1].payload["meta"]["login"]
        self.assertEqual(login["nonce"], bob.challenge)
        bob.leave()
        for shown in (login, {**login, "nonce": "another"}, {"proof": 5}, "a word"):
            self.eve.advertise("bob", key="bob", meta={"login": shown})
        self.assertNotIn("bob", self.a.online())
        self.assertEqual(self.eve.of("SERVER_DELIVER"), [])

    def test_there(self) -> None:
        """Where he has logged in he gets what waits, and what is written then."""
        bob = self.person(self.b, "bob")
        sent = [self.sent, self.alice.tell("bob", "more", id="n")]
        self.assertEqual(self.given(bob), sent)
        answers = [("m", "queued"), ("m", "delivered"), ("n", "delivered")]
        self.assertEqual(self.alice.outcomes(), answers)

    def test_claimed_while_here(self) -> None:
        """Who claims him while he is here does not have him once he has left."""
        bob = self.person(self.a, "bob")
        self.eve.advertise("bob", key="bob")
        bob.leave()
        self.assertNotIn("bob", self.a.online())

    def test_known_to_show(self) -> None:
        """Nor is there anything for who says so of somebody who showed it elsewhere."""
        sent = self.written_to_carol()
        self.eve.advertise("carol", key="srv-e")
        self.assertEqual(self.eve.errors(), ["NAME_IN_USE"])
        self.assertEqual(self.eve.of("SERVER_DELIVER"), [])
        self.assertEqual(self.given(self.person(self.b, "carol", "srv-e")), [sent])

    def test_other_key_first(self) -> None:
        """It does not help to have her there with another key before, or with none."""
        sent = self.written_to_carol()
        for told in ({"key": "srv-f"}, {"key": "srv-e"}, {"pubkey": ""}):
            self.eve.advertise("carol", **told)
        self.assertEqual(self.eve.of("SERVER_DELIVER"), [])
        self.eve.tell("USER_REMOVE", {"user_id": "carol", "server_id": "srv-c"})
        self.assertEqual(self.given(self.person(self.b, "carol", "srv-e")), [sent])

    def test_remembered(self) -> None:
        """Who has shown it is remembered on the disk."""
        sent = self.written_to_carol()
        self.a = self.restart(self.a)
        self.eve = self.peer(self.a)
        self.eve.link("srv-c", "srv-c")
        self.eve.advertise("carol", key="srv-e")
        self.assertEqual(self.eve.errors(), ["NAME_IN_USE"])
        self.network.pass_time(30)
        self.assertEqual(self.given(self.person(self.b, "carol", "srv-e")), [sent])

    def test_second_device(self) -> None:
        """He came in without a login; with his second device it is shown."""
        first = self.person(self.b)
        first.greet("bob")
        self.assertNotIn("bob", self.a.online())
        bob = self.person(self.b, "bob")
        self.assertEqual(self.a.online()["bob"], "srv-b")
        self.assertEqual(self.given(bob), [self.sent])

    def test_older_client(self) -> None:
        """Where a login was shown they are believed to be by any other client, too."""
        for user_id, key in (("bob", "bob"), ("carol", "srv-e")):
            self.person(self.b, user_id, key).leave()
            older = self.person(self.b)
            older.greet(user_id, key)
            self.assertEqual(self.a.online().get(user_id), "srv-b")
            older.leave()
            self.eve.advertise(user_id, key=key)
            self.assertNotIn(user_id, self.a.online())
        self.a = self.restart(self.a)
        self.network.pass_time(30)
        self.person(self.b).greet("carol", "srv-e")
        self.assertEqual(self.a.online()["carol"], "srv-b")

    def test_claimed_before_shown(self) -> None:
        """Who claims her before she shows a login has her no more than others."""
        carol = self.person(self.b)
        carol.greet("carol", "srv-e")
        self.eve.advertise("carol", key="srv-e")
        carol.prove(carol.proof(server="srv-b"))
        carol.leave()
        self.assertNotIn("carol", self.a.online())

    def test_claimed_first(self) -> None:
        """Who said first that she was there has her no more once a login is shown."""
        self.eve.advertise("carol", key="srv-e")
        self.assertEqual(self.a.online()["carol"], "srv-c")
        carol = self.person(self.b, "carol", "srv-e", nonce="a nonce")
        self.assertEqual(self.a.online()["carol"], "srv-b")
        sent = self.alice.tell("carol", id="n")
        self.assertEqual(self.given(carol), [sent])
        self.assertEqual(self.eve.of("SERVER_DELIVER"), [])

    def test_claimed_first_then_left(self) -> None:
        """Nor has she gone there when she has left, nor when she was here."""
        self.eve.advertise("carol", key="srv-e")
        for site in (self.a, self.b):
            self.person(site, "carol", "srv-e", nonce="a nonce").leave()
            self.assertNotIn("carol", self.a.online())
            self.assertNotIn("carol", self.b.online())

    def test_introducer_of_others(self) -> None:
        """One that is not of this project cannot: the operator vouches for it."""
        self.a.node.mesh.introducer_keys = frozenset(map(pub_of, ("srv-c", "srv-e")))
        for name, caps in (("srv-d", ()), ("srv-e", ()), ("srv-c", None)):
            other = self.eve if caps is None else self.peer(self.a)
            if caps is not None:
                other.link(name, name, caps=caps)
            other.advertise("bob", key="bob")
            self.assertEqual(self.a.online().get("bob") == name, name == "srv-e", name)

    def written_to_carol(self) -> int:
        """Write to somebody who was at the other node, and is registered nowhere."""
        self.person(self.b, "carol", "srv-e").leave()
        return self.alice.tell("carol", id="n")

    @property
    def shown(self) -> list[Envelope]:
        """Return what the other server was told of users."""
        return self.eve.of("USER_ADVERTISE")
