"""Does one ciphertext reach everybody, exactly once, or is its sender told?"""

from collections import Counter
from typing import Any

from socp_twisted.client import events as told
from socp_twisted.client import greeting
from socp_twisted.wire.encoding import parse_object
from socp_twisted.wire.vocabulary import EXTRA_RECEIPTS, MSG_PUBLIC_CHANNEL, PUBLIC
from tests.support import Site
from tests.talkers import Talker, TalkingCase
from tests.users import Person

KEY_SHARE = "PUBLIC_CHANNEL_KEY_SHARE"


def said(talker: Talker, kind: str) -> list[dict[str, Any]]:
    """Return what a client has sent of one type."""
    frames = [parse_object(frame) for frame in talker.said]
    return [frame for frame in frames if frame["type"] == kind]


class ChannelCase(TalkingCase):
    """Alice speaks; she and the others are real clients."""

    def crowd(self, site: Site, names: str, key: str = "bob") -> list[Talker]:
        """Let several users log in; they share a key, to save the making of more."""
        return [self.enter(site, name, key=key) for name in names.split()]

    def say(self, speaker: Talker, text: str, seconds: float = 1.0) -> str:
        """Say something to everybody; return the message's id."""
        message_id, _ = speaker.session.all(text, self.now())
        self.talk(seconds)
        return message_id

    def stranger(self, site: Site, user_id: str) -> Person:
        """Let a client of others log in, with bob's key."""
        return self.person(site, user_id, "bob")

    def frames_of(self, speaker: Talker) -> tuple[int, int, int]:
        """Return how many shares, public and private copies a client has sent."""
        messages = said(speaker, MSG_PUBLIC_CHANNEL)
        alone = [one for one in messages if one["to"] != PUBLIC]
        shares = len(said(speaker, KEY_SHARE))
        return shares, len(messages) - len(alone), len(alone)


class OneServerTests(ChannelCase):
    """One ciphertext, whoever is there."""

    def setUp(self) -> None:
        """Alice, bob and carol on one server."""
        super().setUp()
        self.a = self.start()
        self.alice = self.enter(self.a, "alice")
        self.bob, self.carol = self.crowd(self.a, "bob carol")

    def test_once(self) -> None:
        """Each is shown it, each is reported, and it was sent once."""
        message_id = self.say(self.alice, "hello, all")
        self.assertEqual(self.bob.texts(), ["hello, all"])
        self.assertEqual(self.carol.texts(), ["hello, all"])
        delivered = [("bob", "Delivered"), ("carol", "Delivered")]
        self.assertEqual(self.alice.outcomes(message_id), delivered)
        self.assertEqual(self.frames_of(self.alice), (1, 1, 0))
        [text] = self.bob.told(told.TextReceived)
        self.assertEqual((text.sender, text.public, text.held), ("alice", True, False))
        for speaker in (self.bob, self.carol):  # with a key of their own
            self.say(speaker, f"{speaker.user_id} was here")
        self.assertEqual(self.bob.texts(), ["hello, all", "carol was here"])
        self.assertEqual(self.alice.texts(), ["bob was here", "carol was here"])

    def test_key_is_shared_once(self) -> None:
        """Further messages are one frame each; a newcomer costs one share."""
        for number in range(3):
            self.say(self.alice, f"number {number}")
        self.assertEqual(self.frames_of(self.alice), (1, 3, 0))
        [dave] = self.crowd(self.a, "dave")
        self.say(self.alice, "welcome")
        self.assertEqual(self.frames_of(self.alice), (2, 4, 0))
        [_, share] = said(self.alice, KEY_SHARE)
        self.assertEqual(
            [one["member"] for one in share["payload"]["shares"]], ["dave"]
        )
        self.assertEqual(dave.texts(), ["welcome"])
        self.assertEqual(len(self.bob.texts()), 4)

    def test_member_leaves(self) -> None:
        """Whoever has left cannot read later messages: the key is a new one."""
        self.say(self.alice, "one")
        self.carol.leave()
        self.settle()
        self.say(self.alice, "two")
        [_, share] = said(self.alice, KEY_SHARE)
        self.assertEqual([one["member"] for one in share["payload"]["shares"]], ["bob"])
        self.assertEqual(self.bob.texts(), ["one", "two"])
        [carol] = self.crowd(self.a, "carol")
        self.say(self.alice, "three")
        carol.leave()
        self.settle()
        [carol] = self.crowd(self.a, "carol")  # gone, and back before the next message
        self.say(self.alice, "four")
        self.assertEqual(carol.texts(), ["four"])
        self.assertEqual(self.frames_of(self.alice), (4, 4, 0))
        messages = said(self.alice, MSG_PUBLIC_CHANNEL)
        one, two, three, four = (one["payload"]["key_id"] for one in messages)
        self.assertEqual((two, len({one, two, four})), (three, 3))

    def test_lengths(self) -> None:
        """A text of any length up to 64 KiB; short ones cannot be told apart."""
        for text in ("x", "y" * 400, "\x80é" * 100, "z" * 65_536):
            self.say(self.alice, text)
            self.assertEqual(self.bob.texts()[-1], text)
        sizes = [
            len(one["payload"]["ciphertext"])
            for one in said(self.alice, MSG_PUBLIC_CHANNEL)
        ]
        self.assertEqual(sizes[0], sizes[1])

    def test_receipts_in_bulk(self) -> None:
        """Twenty messages cost a recipient one frame, and each is answered for."""
        ids = [self.alice.session.all(f"{n}", self.now())[0] for n in range(20)]
        self.talk(3)
        self.assertEqual(self.bob.texts(), [f"{n}" for n in range(20)])
        acks = said(self.bob, "ACK")
        self.assertEqual([len(one["payload"]["msg_refs"]) for one in acks], [20])
        for message_id in ids:
            self.assertEqual(len(self.alice.outcomes(message_id)), 2)
        self.assertEqual(len(self.a.node.mesh.broadcasts), 0)

    def test_dialect(self) -> None:
        """A client of others gets its own message, and its own /all still works."""
        [dave] = self.users(self.a, "dave")
        self.settle()
        message_id = self.say(self.alice, "hello, all")
        self.assertEqual(self.frames_of(self.alice), (1, 1, 1))
        got = dave.only(MSG_PUBLIC_CHANNEL)
        known = {"ciphertext", "sender", "sender_pub", "content_sig", "ts"}
        self.assertEqual((set(got.payload), got.to), (known, "dave"))
        self.assertNotIn(KEY_SHARE, dave.heard())
        outcomes = dict(self.alice.outcomes(message_id))
        self.assertEqual(set(outcomes), {"bob", "carol", "dave"})
        self.assertEqual(set(outcomes.values()), {"Delivered"})
        for name in ("alice", "bob"):
            dave.proclaim(name, "from dave")
        self.settle()
        self.assertEqual(self.alice.texts(), ["from dave"])
        self.assertEqual(self.bob.texts(), ["hello, all", "from dave"])

    def test_second_device(self) -> None:
        """A device that was not given the key shows the message all the same, once."""
        self.say(self.alice, "one")
        phone = self.enter(self.a, "bob")
        self.say(self.alice, "two")
        self.assertEqual(phone.texts(), ["two"])
        self.assertEqual(self.bob.texts(), ["one", "two"])
        self.assertEqual(self.frames_of(self.alice), (1, 2, 1))
        self.say(self.alice, "three")
        self.assertEqual(phone.texts(), ["two", "three"])
        self.assertEqual(self.bob.texts(), ["one", "two", "three"])
        self.assertEqual(self.frames_of(self.alice), (2, 3, 1))

    def test_second_device_reads_parts(self) -> None:
        """A text in parts that are alike is shown whole: none is a copy of another."""
        self.say(self.alice, "one")
        self.bob.wire.held = True
        text = "x" * 446 * 3
        message_id, _ = self.alice.session.all(text, self.now())
        self.settle()
        self.patch(greeting, "_EXTRAS", [EXTRA_RECEIPTS])  # it decrypts one block
        phone = self.enter(self.a, "bob")
        self.talk(12)
        self.bob.wire.held = False
        self.talk(2)
        self.assertEqual("".join(phone.texts()), text)
        self.assertIn(("bob", "Delivered"), self.alice.outcomes(message_id))

    def test_mute_member(self) -> None:
        """Who does not answer is sent their own after 8 s, and shows it once."""
        self.say(self.alice, "one")
        self.carol.wire.held = True
        message_id = self.say(self.alice, "two", 5)
        self.assertEqual(self.alice.outcomes(message_id), [])
        self.talk(6)
        self.assertEqual(self.alice.outcomes(message_id), [("bob", "Delivered")])
        self.assertEqual(self.frames_of(self.alice), (1, 2, 1))
        self.carol.wire.held = False
        self.talk(2)
        self.assertEqual(self.carol.texts(), ["one", "two"])
        delivered = [("bob", "Delivered"), ("carol", "Delivered")]
        self.assertEqual(self.alice.outcomes(message_id), delivered)

    def test_lost_in_the_middle(self) -> None:
        """A member whose connection is lost is not waited for; theirs is kept."""
        self.say(self.alice, "one")
        self.carol.wire.held = True
        message_id, _ = self.alice.session.all("two", self.now())
        self.talk(1)
        self.carol.wire.held = False
        self.carol.wire.client.stream.clear()
        self.carol.lose()
        self.talk(2)
        outcomes = [("bob", "Delivered"), ("carol", "Queued")]
        self.assertEqual(self.alice.outcomes(message_id), outcomes)
        self.carol.come_back()
        self.talk(1)
        self.assertEqual(self.carol.texts(), ["one", "two"])
        self.assertIn(("carol", "Delivered"), self.alice.outcomes(message_id))

    def test_shown_but_not_said(self) -> None:
        """A member who was lost before saying that it was shown shows it once."""
        self.say(self.alice, "one")
        message_id, _ = self.alice.session.all("two", self.now())
        self.settle()
        self.assertEqual(self.carol.texts(), ["one", "two"])
        self.carol.lose()  # within the 0.25 s that a receipt may wait
        self.talk(2)
        self.carol.come_back()
        self.talk(1)
        self.assertEqual(self.carol.texts(), ["one", "two"])
        self.assertIn(("carol", "Delivered"), self.alice.outcomes(message_id))

    def test_sender_lost_in_the_middle(self) -> None:
        """What was not answered is sent again, to the letter, once there is a way."""
        self.say(self.alice, "one")
        message_id, _ = self.alice.session.all("two", self.now())
        self.alice.pump()
        self.alice.lose()
        self.talk(1)
        self.assertEqual(self.bob.texts(), ["one", "two"])
        self.assertEqual(self.alice.outcomes(message_id), [])
        self.alice.come_back()
        self.talk(1)
        delivered = [("bob", "Delivered"), ("carol", "Delivered")]
        self.assertEqual(self.alice.outcomes(message_id), delivered)
        self.assertEqual(self.bob.texts(), ["one", "two"])
        _, second, again = said(self.alice, MSG_PUBLIC_CHANNEL)
        self.assertEqual(second, again)

    def test_for_good(self) -> None:
        """Where no connection follows, the sender is told of each."""
        self.say(self.alice, "one")
        message_id, _ = self.alice.session.all("two", self.now())
        self.alice.session.lost(self.now(), for_good=True)
        self.alice.events.extend(self.alice.session.drain().events)
        failed = [("bob", "NotDelivered"), ("carol", "NotDelivered")]
        self.assertEqual(self.alice.outcomes(message_id), failed)

    def test_too_many_under_way(self) -> None:
        """max-channel: one user has a quarter; the rest waits, and arrives."""
        a = self.a.node.mesh
        a.broadcasts._limit = 8
        ids = [self.alice.session.all(f"{n}", self.now())[0] for n in range(4)]
        self.talk(6)
        self.assertEqual(sorted(self.bob.texts()), ["0", "1", "2", "3"])
        for message_id in ids:
            self.assertEqual(len(self.alice.outcomes(message_id)), 2)
        self.assertEqual(self.alice.told(told.ServerError), [])
        self.assertEqual(a.counters["refused LIMIT"], 2)
        self.assertEqual(self.frames_of(self.alice), (1, 6, 0))


class TwoServersTests(ChannelCase):
    """One frame to the other server, one answer from it."""

    def setUp(self) -> None:
        """Alice and bob on one server, carol and dave on another."""
        super().setUp()
        self.a, self.b = self.pair()
        self.alice = self.enter(self.a, "alice")
        [self.bob] = self.crowd(self.a, "bob")
        self.carol, self.dave = self.crowd(self.b, "carol dave")
        self.everybody = (self.bob, self.carol, self.dave)

    def test_dialect_among_them(self) -> None:
        """A client of others on either server."""
        people: list[Person] = [
            self.stranger(self.a, "erin"),
            self.stranger(self.a, "frank"),
            self.stranger(self.b, "grace"),
        ]
        self.settle()
        message_id = self.say(self.alice, "hello, all")
        self.assertEqual(self.frames_of(self.alice), (1, 1, 3))
        for person in people:
            person.only(MSG_PUBLIC_CHANNEL)
        outcomes = Counter(how for _, how in self.alice.outcomes(message_id))
        self.assertEqual(outcomes, {"Delivered": 6})

    def test_link_lost_in_the_middle(self) -> None:
        """What the other server's members did not get is kept, and arrives once."""
        self.say(self.alice, "one")
        self.link_held(self.a, self.b)
        message_id = self.say(self.alice, "two", 1)
        for wire in self.network.between(self.a.port, self.b.port):
            wire.held = False
            wire.client.stream.clear()
            wire.server.stream.clear()
            wire.cut()
        self.network.listeners.pop(self.a.port)
        held = self.network.listeners.pop(self.b.port)
        self.talk(14)
        outcomes = dict(self.alice.outcomes(message_id))
        self.assertEqual(outcomes["bob"], "Delivered")
        self.assertEqual(self.carol.texts(), ["one"])
        self.network.listeners[self.b.port] = held
        self.talk(20)
        for one in self.everybody:
            self.assertEqual(one.texts(), ["one", "two"], one.user_id)
        for name in ("bob", "carol", "dave"):
            self.assertIn((name, "Delivered"), self.alice.outcomes(message_id))

    def test_link_lost_after_delivery(self) -> None:
        """Only the answer was lost: it is sent again, and shown once."""
        self.say(self.alice, "one")
        message_id, _ = self.alice.session.all("two", self.now())
        self.settle()
        for one in self.everybody:
            self.assertEqual(one.texts(), ["one", "two"], one.user_id)
        self.link_held(self.a, self.b)
        self.talk(2)
        for wire in self.network.between(self.a.port, self.b.port):
            wire.held = False
            wire.client.stream.clear()
            wire.server.stream.clear()
            wire.cut()
        self.talk(20)
        for one in self.everybody:
            self.assertEqual(one.texts(), ["one", "two"], one.user_id)
        for name in ("bob", "carol", "dave"):
            self.assertIn((name, "Delivered"), self.alice.outcomes(message_id))

    def test_through_a_third(self) -> None:
        """Where the direct link is missing, a third server passes it on; shown once."""
        c = self.start("srv-c", 8767, [self.a, self.b])
        self.network.pass_time(20)
        self.network.silent.add(frozenset((self.a.port, self.b.port)))
        for wire in self.network.between(self.a.port, self.b.port):
            wire.cut()
        self.network.pass_time(20)
        self.assertEqual((self.a.linked(), c.linked()), (["srv-c"], ["srv-a", "srv-b"]))
        self.settle()
        message_id = self.say(self.alice, "hello, all", 3)
        for one in self.everybody:
            self.assertEqual(one.texts(), ["hello, all"], one.user_id)
        outcomes = dict(self.alice.outcomes(message_id))
        self.assertEqual(set(outcomes.values()), {"Delivered"})
        self.assertEqual(self.frames_of(self.alice), (1, 1, 0))


class CostTests(ChannelCase):
    """What a public message costs does not grow with the members."""

    def cost(self, count: int) -> tuple[int, int, int]:
        """Return signatures of both servers, and frames of the sender's client."""
        a, b = self.pair()
        alice = self.enter(a, "alice")
        names = [f"m{number:02}" for number in range(count)]
        members = [
            self.enter(b if number % 3 else a, name, key="bob")
            for number, name in enumerate(names)
        ]
        self.say(alice, "the key goes round")
        before = a.signer.made, b.signer.made
        alice.said.clear()
        message_id, _ = alice.session.all("hello, all", self.now())
        self.settle()
        self.network.advance(0.3)
        self.settle()
        outcomes = [(name, "Delivered") for name in names]
        self.assertEqual(alice.outcomes(message_id), outcomes)
        for one in members:
            self.assertEqual(one.texts(), ["the key goes round", "hello, all"])
        spent = a.signer.made - before[0], b.signer.made - before[1]
        return (*spent, len(alice.said))

    def test_few(self) -> None:
        """Ours signs for users, for servers and the answer; the other one two of it."""
        self.assertEqual(self.cost(3), (3, 2, 1))

    def test_many(self) -> None:
        """The same for ten times as many."""
        self.assertEqual(self.cost(30), (3, 2, 1))
