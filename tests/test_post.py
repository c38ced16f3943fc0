"""Is each message answered, sent in order, and kept no longer than it may be?"""

import json

from socp_twisted.post.flow import WINDOW
from socp_twisted.wire.limits import Limits
from socp_twisted.wire.vocabulary import MSG_DIRECT
from tests.posting import PostTestCase, put_disk
from tests.users import Person, SlowStore


class AgainTests(PostTestCase):
    """The same message again is the same message: answered, not delivered again."""

    def setUp(self) -> None:
        """One node with alice on it, who was told of bob."""
        super().setUp()
        self.a = self.start()
        self.account(self.a, "bob")
        [self.alice] = self.users(self.a, "alice")
        self.message = self.frame(self.alice, "bob")

    def test_s13_delivered(self) -> None:
        """Three times, under the same id or another: shown once, answered thrice."""
        bob = self.person(self.a, "bob")
        for id in ("m", "m", "n"):
            self.send(self.alice, self.message, id)
        self.assertEqual(len(bob.of("USER_DELIVER")), 1)
        answers = [("m", "delivered"), ("m", "delivered"), ("n", "delivered")]
        self.assertEqual(self.alice.outcomes(), answers)

    def test_under_way(self) -> None:
        """While it waits for its receipt, a copy goes nowhere; one answer follows."""
        bob = self.reader(self.a, "bob")
        for id in ("m", "n"):
            self.send(self.alice, self.message, id)
        self.assertEqual(self.alice.outcomes(), [])
        self.give(bob, bob.only("USER_DELIVER"))
        self.assertEqual(self.alice.outcomes(), [("n", "delivered")])

    def test_queued(self) -> None:
        """While it is queued, whoever asks again is told so again."""
        for id in ("m", "m", "n"):
            self.send(self.alice, self.message, id)
        answers = [("m", "queued"), ("m", "queued"), ("n", "queued")]
        self.assertEqual(self.alice.outcomes(), answers)
        self.assertEqual(self.waits(self.a), 1)
        bob = self.person(self.a, "bob")
        bob.only("USER_DELIVER")
        self.assertEqual(self.alice.outcomes()[-1], ("n", "delivered"))

    def test_queued_then_under_way(self) -> None:
        """Told ``queued`` on a connection that was lost, and asked again after."""
        self.send(self.alice, self.message)
        self.alice.leave()
        self.reader(self.a, "bob")
        [alice] = self.users(self.a, "alice")
        self.send(alice, self.message)
        self.network.pass_time(12)
        self.assertEqual(alice.outcomes(), [("m", "queued")])

    def test_failed(self) -> None:
        """What failed has failed; to try again is to write again."""
        bob = self.reader(self.a, "bob")
        self.send(self.alice, self.message)
        self.give(bob, bob.only("USER_DELIVER"), code="INVALID_SIG")
        self.send(self.alice, self.message)
        self.assertEqual(self.alice.outcomes(), [("m", "INVALID_SIG")] * 2)
        bob.only("USER_DELIVER")

    def test_after_a_restart(self) -> None:
        """What nobody acknowledged is not called delivered by another process."""
        bob = self.person(self.a, "bob")
        self.send(self.alice, self.message)
        bob.only("USER_DELIVER")
        self.assertEqual(self.alice.outcomes(), [("m", "delivered")])
        self.network.pass_time(1)
        a = self.restart(self.a)
        alice, bob = self.users(a, "alice", "bob")
        self.send(alice, self.message)
        self.assertEqual(alice.outcomes(), [("m", "TIMEOUT")])
        self.assertIn("not known", alice.fault()[1])
        self.assertEqual(bob.of("USER_DELIVER"), [])

    def test_late(self) -> None:
        """A copy that comes after ten minutes is answered, not called stale."""
        self.send(self.alice, self.message)
        self.alice.leave()
        self.network.pass_time(1_200, 20)
        [alice] = self.users(self.a, "alice")
        self.send(alice, self.message)
        self.assertEqual(alice.outcomes(), [("m", "queued")])
        self.send(alice, self.frame(alice, "bob", ts=self.message.ts + 1), "n")
        self.assertEqual(alice.outcomes()[-1], ("n", "MALFORMED"))

    def test_other_content(self) -> None:
        """Another text, time, or recipient is another message."""
        bob = self.person(self.a, "bob")
        self.send(self.alice, self.message)
        self.send(self.alice, self.frame(self.alice, "bob", ts=self.message.ts + 1))
        self.send(self.alice, self.frame(self.alice, "bob", text="other"))
        self.assertEqual(len(bob.of("USER_DELIVER")), 3)

    def test_stale(self) -> None:
        """S13: ``ts`` of 1970, of eleven minutes ago, or of then: refused."""
        bob, now = self.person(self.a, "bob"), self.alice.now()
        for ts in (5, now - 660_000, now + 660_000):
            self.alice.tell("bob", ts=ts, id="m")
        self.assertEqual(self.alice.outcomes(), [("m", "MALFORMED")] * 3)
        self.assertIn("check your clock", self.alice.of("ERROR")[0].payload["detail"])
        self.assertEqual((self.given(bob), self.waits(self.a)), ([], 0))


class OrderTests(PostTestCase):
    """To each recipient in the order in which it was accepted, whatever happens."""

    def setUp(self) -> None:
        """One node; alice is there, bob has an account."""
        super().setUp()
        self.a = self.start()
        self.account(self.a, "bob")
        [self.alice] = self.users(self.a, "alice")

    def test_window(self) -> None:
        """No more than the window is under way; each receipt lets one go."""
        bob = self.reader(self.a, "bob")
        sent = [self.alice.tell("bob", f"{n % 3}", id=f"m{n}") for n in range(50)]
        self.assertEqual(self.given(bob), sent[:WINDOW])
        deliveries = bob.of("USER_DELIVER")
        self.give(bob, *deliveries[:5])
        self.assertEqual(self.given(bob), sent[: WINDOW + 5])
        self.give(bob, *deliveries[5:])
        self.assertEqual(self.given(bob), sent)
        self.give(bob, *bob.of("USER_DELIVER")[WINDOW:])
        told = [one for one in self.alice.outcomes() if one[1] == "delivered"]
        self.assertEqual(told, [(f"m{n}", "delivered") for n in range(50)])
        self.assertEqual(self.waits(self.a), 0)
        assert self.a.node.post is not None
        self.assertEqual(self.a.node.post._flows, {})

    def test_one_does_not_wait_for_another(self) -> None:
        """A client that gives no receipts holds up nobody but itself."""
        self.reader(self.a, "bob")
        carol = self.person(self.a, "carol")
        for n in range(WINDOW + 3):
            self.alice.tell("bob", f"{n % 3}")
        ts = self.alice.tell("carol")
        self.assertEqual(self.given(carol), [ts])

    def test_restart(self) -> None:
        """What waited and what comes after the restart, in one order, once."""
        sent = [self.alice.tell("bob", f"{n % 3}", id=f"m{n}") for n in range(40)]
        self.assertEqual({status for _, status in self.alice.outcomes()}, {"queued"})
        self.a = self.restart(self.a)
        [self.alice] = self.users(self.a, "alice")
        self.alice.last = sent[-1]
        sent += [self.alice.tell("bob", f"{n % 3}", id=f"n{n}") for n in range(3)]
        bob = self.person(self.a, "bob")
        self.assertEqual(self.given(bob), sent)
        self.network.pass_time(60, 5)
        self.assertEqual(self.given(bob), sent)

    def test_restart_under_way(self) -> None:
        """What had no receipt when the node died is given again, flagged as held."""
        bob = self.reader(self.a, "bob")
        sent = [self.alice.tell("bob", f"{n}", id=f"m{n}") for n in range(3)]
        self.give(bob, bob.of("USER_DELIVER")[0])
        self.a = self.restart(self.a)
        self.network.pass_time(20, 5)
        bob = self.reader(self.a, "bob")
        self.assertEqual(self.given(bob), sent[1:])
        self.assertTrue(all(one.payload["held"] for one in bob.of("USER_DELIVER")))

    def test_seen_while_reading(self) -> None:
        """Seen anew while the disk is being read: nothing is passed over."""
        bob = self.reader(self.a, "bob")
        sent = [self.alice.tell("bob", f"{n % 3}") for n in range(WINDOW + 8)]
        post = self.a.node.post
        assert post is not None
        slow = SlowStore(self.stores["srv-a"])
        put_disk(post, slow)
        self.give(bob, bob.of("USER_DELIVER")[0])
        for _ in range(3):  # message, settle, told: then the next ones are read
            slow.turn()
        self.reader(self.a, "bob")
        slow._waiting.pop().callback(None)  # what was untold; the reading goes on
        for _ in range(30):
            slow.turn()
            self.network.settle()
        put_disk(post, self.stores["srv-a"])
        done: set[str] = set()
        for _ in range(WINDOW + 8):
            fresh = [
                one
                for one in bob.of("USER_DELIVER")
                if one.payload["msg_id"] not in done
            ]
            done.update(one.payload["msg_id"] for one in fresh)
            self.give(bob, *fresh)
        self.assertEqual(self.waits(self.a), 0)
        self.assertEqual(sorted(set(self.given(bob))), sent)


class LimitTests(PostTestCase):
    """What waits is bounded, and the refusal names the bound."""

    def full(self, **limits: int) -> tuple[Person, Person]:
        """Start a node with these limits; return alice and carol."""
        a = self.start(limits=Limits(**limits))
        self.account(a, "bob")
        alice, carol = self.users(a, "alice", "carol")
        return alice, carol

    def test_held(self) -> None:
        """One sender has no more room, another has; a delivery makes room."""
        alice, carol = self.full(held=2)
        for number in range(3):
            alice.tell("bob", f"{number}", id=f"m{number}")
        self.assertEqual(alice.outcomes()[-1], ("m2", "LIMIT"))
        self.assertIn("max-held: 2 ", alice.fault()[1])
        carol.tell("bob", id="m")
        self.assertEqual(carol.outcomes(), [("m", "queued")])
        self.person(self.sites["srv-a"], "bob").leave()
        alice.tell("bob", id="m3")
        self.assertEqual(alice.outcomes()[-1], ("m3", "queued"))

    def test_held_in_all(self) -> None:
        """Everybody's together; among those who have as many, who was first has it."""
        alice, carol = self.full(held_in_all=2)
        for person in (alice, carol, carol):
            person.tell("bob", id="m")
        self.assertEqual(alice.outcomes(), [("m", "queued")])
        self.assertIn("max-held-in-all: 2 ", carol.fault()[1])

    def test_expired(self) -> None:
        """What nobody came for is given up, and its sender told."""
        alice, _ = self.full()
        alice.tell("bob", id="m")
        self.pass_days(alice)
        self.assertEqual(alice.fault(), ("TIMEOUT", "nobody came for it in time"))
        bob = self.person(self.sites["srv-a"], "bob")
        self.assertEqual(self.given(bob), [])
        assert self.sites["srv-a"].node.post is not None
        self.assertEqual(self.sites["srv-a"].node.post._flows, {})

    def test_expired_while_away(self) -> None:
        """A sender who was away as well is told at the next login, once."""
        alice, _ = self.full()
        alice.tell("bob", id="m")
        alice.leave()
        self.pass_days(None)
        a = self.restart(self.sites["srv-a"])
        for expected in ([("m", "TIMEOUT")], []):
            [alice] = [self.person(a, "alice")]
            self.assertEqual(alice.outcomes(), expected)
            alice.leave()

    def pass_days(self, person: Person | None) -> None:
        """Let a day pass at once, as it does for a machine that sleeps."""
        self.network.pass_time(self.hold + 61, self.hold + 61)
        self.network.pass_time(62, 2)
        if person is not None:
            self.assertIsNone(person.close)


class PublicTests(PostTestCase):
    """What is said to everybody is kept for each member as well."""

    def test_away(self) -> None:
        """Each member's copy waits for that member, and stays public."""
        a = self.start()
        self.account(a, "bob")
        [alice] = self.users(a, "alice")
        ts = alice.proclaim("bob", id="m")
        self.assertEqual(alice.outcomes(), [("m", "queued")])
        bob = self.person(a, "bob")
        self.assertEqual(bob.only("MSG_PUBLIC_CHANNEL").ts, ts)
        self.assertEqual(alice.outcomes()[-1], ("m", "delivered"))

    def test_unread(self) -> None:
        """A frame that is no message of this user's is never kept."""
        a = self.start()
        alice, bob = self.users(a, "alice", "bob")
        ts, payload = alice.message("bob")
        for spoilt in (
            {**payload, "ciphertext": "AAAA"},
            {**payload, "sender_pub": "AAAA"},
            {**payload, "sender": "bob"},
        ):
            top = {"type": MSG_DIRECT, "from": "alice", "to": "bob", "ts": ts}
            alice.send(json.dumps({**top, "id": "m", "payload": spoilt}).encode())
        codes = [code for _, code in alice.outcomes()]
        self.assertEqual(codes, ["MALFORMED", "BAD_KEY", "NOT_ALLOWED"])
        self.assertEqual((self.waits(a), bob.received), (0, []))
