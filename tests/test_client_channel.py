"""Which key is a message to everybody read with, and by whom?"""

import hashlib
import hmac
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from socp_twisted.client import channel
from socp_twisted.client.channel import (
    Keys,
    OurKey,
    TheirKey,
    UnknownKey,
    chain_after,
    message_key,
    unwrap,
    wrap,
)
from socp_twisted.client.events import Contact
from socp_twisted.client.outbox import (
    LATER_MS,
    MANY,
    MAX_RECEIPTS,
    NO_ANSWER,
    SOON_MS,
    Outbox,
)
from socp_twisted.errors import MalformedFrame
from socp_twisted.trust.sealing import seal, seal_shared, unseal_shared
from socp_twisted.wire.encoding import b64u_decode, canonical, parse_object
from tests.client_peer import NOW
from tests.vector_files import private, public

KEY_SHARE, MESSAGE = "PUBLIC_CHANNEL_KEY_SHARE", "MSG_PUBLIC_CHANNEL"


def counting() -> Any:
    """Return randomness that never says the same twice."""
    calls = iter(range(10**6))
    return lambda size: next(calls).to_bytes(size, "big")


def member(user_id: str, key: str = "") -> Contact:
    """Return a member of the channel."""
    return Contact(user_id, key or f"key of {user_id}", "fingerprint")


class KeyTests(SynchronousTestCase):
    """A key is one's own, and lasts until somebody who holds it is no member."""

    def setUp(self) -> None:
        """Our key is held by bob and carol."""
        self.keys = Keys(counting())
        self.both = [member("bob"), member("carol")]
        self.first, newcomers = self.keys.ours(self.both)
        self.assertEqual(newcomers, self.both)

    def test_kept(self) -> None:
        """While the members stay, nobody is given anything."""
        self.assertEqual(self.keys.ours(self.both), (self.first, []))

    def test_newcomer(self) -> None:
        """Who is new gets the key of now: of what was said before they have nothing."""
        dave = member("dave")
        self.assertEqual(self.keys.ours([*self.both, dave]), (self.first, [dave]))

    def test_left(self) -> None:
        """Who leaves holds an old key; also if they came back meanwhile."""
        self.keys.left("carol")
        second, newcomers = self.keys.ours(self.both)
        self.assertNotEqual(second.key_id, self.first.key_id)
        self.assertNotEqual(second.chain, self.first.chain)
        self.assertEqual(newcomers, self.both)

    def test_stranger_left(self) -> None:
        """Who never held it may go."""
        self.keys.left("dave")
        self.assertEqual(self.keys.ours(self.both), (self.first, []))

    def test_no_longer_among_them(self) -> None:
        """Nor is it kept for fewer members, or for another key of one of them."""
        for members in (self.both[:1], [self.both[0], member("carol", "another")]):
            keys = Keys(counting())
            before, _ = keys.ours(self.both)
            after, newcomers = keys.ours(members)
            self.assertNotEqual(after.key_id, before.key_id)
            self.assertEqual(newcomers, members)

    def test_lacking(self) -> None:
        """Who could not read gets the same key once more, and counts as a holder."""
        self.keys.lacks(self.first.key_id, "carol")
        self.keys.lacks("another key", "bob")
        ours, newcomers = self.keys.ours(self.both)
        self.assertEqual((ours, newcomers), (self.first, self.both[1:]))
        self.assertEqual(self.keys.ours(self.both), (self.first, []))
        self.keys.lacks(self.first.key_id, "carol")
        self.keys.left("carol")
        self.assertIsNot(self.keys.ours(self.both)[0], self.first)

    def test_thousand(self) -> None:
        """After a thousand messages it is replaced."""
        self.first.seq = channel.MAX_MESSAGES - 1
        self.assertIs(self.keys.ours(self.both)[0], self.first)
        self.keys.seal(self.first, b"the last one", "alice", NOW)
        self.assertIsNot(self.keys.ours(self.both)[0], self.first)

    def test_theirs(self) -> None:
        """A message opens with the key, number, time and sender that it says."""
        given = TheirKey(0, self.first.chain)
        seq, sealed = self.keys.seal(self.first, b"hello", "alice", NOW)
        reader, name = Keys(counting()), self.first.key_id
        self.assertRaises(UnknownKey, reader.open, "alice", name, seq, NOW, sealed)
        for sender in ("alice", "mallory"):
            reader.learn(sender, name, given)
        self.assertEqual(reader.open("alice", name, seq, NOW, sealed), b"hello")
        for lie in (
            ("mallory", name, seq, NOW, sealed),
            ("alice", name, seq + 1, NOW, sealed),
            ("alice", name, seq, NOW + 1, sealed),
            ("alice", name, seq, NOW, sealed[:-1] + b"\0"),
            ("alice", name, seq, NOW, b""),
        ):
            self.assertRaises(MalformedFrame, reader.open, *lie)

    def test_onwards(self) -> None:
        """Who is given the key later reads what follows, in any order, and no more."""
        texts = [f"number {number}".encode() for number in range(6)]
        name, sealed = self.first.key_id, []
        for number, text in enumerate(texts):
            if number == 3:
                late = TheirKey(self.first.seq, self.first.chain)
            sealed.append(self.keys.seal(self.first, text, "alice", NOW)[1])
        self.keys.learn("alice", name, late)
        for number in (5, 3, 4, 5):
            opened = self.keys.open("alice", name, number, NOW, sealed[number])
            self.assertEqual(opened, texts[number])
        for number in (0, 2, -1, channel.MAX_MESSAGES + 1, 2**53):
            self.assertRaises(
                UnknownKey, self.keys.open, "alice", name, number, NOW, sealed[2]
            )

    def test_forgets(self) -> None:
        """What has been said can no longer be read with what the sender keeps."""
        before = self.first.chain
        _, sealed = self.keys.seal(self.first, b"hello", "alice", NOW)
        self.assertNotIn(before, (self.first.chain, message_key(self.first.chain)))
        bound = channel._bound("alice", self.first.key_id, 0, NOW)
        secret = message_key(self.first.chain)
        self.assertRaises(MalformedFrame, unseal_shared, secret, sealed, bound)
        self.assertEqual(unseal_shared(message_key(before), sealed, bound), b"hello")

    def test_derived(self) -> None:
        """A message's key and the next chain are HMACs, as others compute them."""
        next_one = hmac.new(b"1" * 32, b"next", hashlib.sha256).digest()
        secret = hmac.new(next_one, b"message", hashlib.sha256).digest()
        self.assertEqual(chain_after(b"1" * 32, 1), next_one)
        self.assertEqual(message_key(next_one), secret)

    def test_given_again(self) -> None:
        """The same key from another message on is the same: the first stays."""
        start = b"1" * 32
        for first, second in ((0, 7), (7, 0)):
            keys = Keys(counting())
            for seq in (first, second):
                keys.learn("bob", "k", TheirKey(seq, chain_after(start, seq)))
            self.assertEqual(keys._theirs["bob"]["k"].seq, 0)

    def test_name_taken(self) -> None:
        """Two keys under one name: the first stands."""
        self.keys.learn("bob", "k", TheirKey(0, b"1" * 32))
        for seq in (0, 5):
            other = TheirKey(seq, b"2" * 32)
            self.assertRaises(MalformedFrame, self.keys.learn, "bob", "k", other)
        self.assertEqual(self.keys._theirs["bob"]["k"].chain, b"1" * 32)

    def test_bounded(self) -> None:
        """Four keys of one sender, and of so many senders: the oldest go."""
        self.patch(channel, "MAX_SENDERS", 3)
        for number in range(6):
            self.keys.learn("bob", f"k{number}", TheirKey(0, bytes(32)))
        self.assertEqual(list(self.keys._theirs["bob"]), ["k2", "k3", "k4", "k5"])
        for sender in ("carol", "dave", "erin"):
            self.keys.learn(sender, "k", TheirKey(0, bytes(32)))
        self.assertEqual(list(self.keys._theirs), ["carol", "dave", "erin"])


class WrapTests(SynchronousTestCase):
    """A wrap is one OAEP block that says whose it is, for whom, and what."""

    def test_there_and_back(self) -> None:
        """Also with the longest names; and as nothing else."""
        sender, me = "s" * 64, "m" * 64
        ours = OurKey("k" * 16, bytes(range(32)), seq=999)
        contact = Contact(me, public("bob").text, "fingerprint")
        share = wrap(ours, sender, contact)
        sealed = b64u_decode(share["wrapped_public_channel_key"])
        self.assertEqual((share["member"], len(sealed)), (me, 512))
        key = private("bob")
        given = unwrap(key, sealed, sender, ours.key_id, me)
        self.assertEqual((given.seq, given.chain), (999, ours.chain))
        for lie in (
            ("t" * 64, ours.key_id, me),
            (sender, "other", me),
            (sender, ours.key_id, "n" * 64),
        ):
            self.assertRaises(MalformedFrame, unwrap, key, sealed, *lie)
        self.assertRaises(
            MalformedFrame, unwrap, private("srv-c"), sealed, sender, ours.key_id, me
        )

    def test_garbage(self) -> None:
        """Whatever somebody sealed instead is refused in one sentence."""
        said: dict[str, Any] = {"context": "socp-channel-key-1", "key_id": "k"}
        said |= {"member": "bob", "seq": 0}
        for inside in (
            b"",
            b"{}",
            b"[]",
            b"\xff",
            canonical({**said, "sender": "alice", "key": "A" * 42}),
            canonical({**said, "sender": "alice", "key": "=" * 43}),
            canonical({**said, "sender": "alice", "key": 7}),
            canonical({**said, "sender": "alice", "key": "A" * 43, "more": 1}),
            canonical({**said, "sender": "alice"}),
            canonical({**said, "sender": "alice", "key": "A" * 43, "seq": -1}),
            canonical({**said, "sender": "alice", "key": "A" * 43, "seq": 1_001}),
            canonical({**said, "sender": "alice", "key": "A" * 43, "seq": True}),
        ):
            sealed = seal(public("bob"), inside)
            self.assertRaises(
                MalformedFrame, unwrap, private("bob"), sealed, "alice", "k", "bob"
            )

    def test_padding(self) -> None:
        """Any length becomes a multiple of 512, and comes back as it was."""
        for size in (0, 1, 482, 483, 484, 65_536):
            data = b"\x80" * size
            sealed = seal_shared(bytes(32), bytes(12), data, b"bound")
            self.assertEqual(len(sealed) % 512, 0)
            self.assertEqual(unseal_shared(bytes(32), sealed, b"bound"), data)
            self.assertRaises(
                MalformedFrame, unseal_shared, bytes(32), sealed, b"other"
            )


class ReceiptTests(SynchronousTestCase):
    """Receipts for messages to everybody leave together, soon."""

    def receipts(self, outbox: Outbox) -> list[dict[str, Any]]:
        """Return the receipts that were to be sent."""
        return [parse_object(one)["payload"] for one in outbox.drain().receipts]

    def test_few(self) -> None:
        """A quarter of a second later, in one frame, which the session wakes up for."""
        outbox = Outbox(sender="bob")
        outbox.acknowledge("r1", True, NOW)
        self.assertEqual(outbox.drain().wake, SOON_MS / 1000)
        outbox.acknowledge("r2", False, NOW + 100)
        self.assertEqual(outbox.drain().wake, 0)
        self.assertEqual(outbox.unsaid_ms(NOW + 100), SOON_MS - 100)
        outbox.flush(NOW + SOON_MS)
        self.assertEqual(
            self.receipts(outbox), [{"msg_refs": ["r1"], "refused": ["r2"]}]
        )
        outbox.flush(NOW + SOON_MS)
        self.assertEqual(self.receipts(outbox), [])
        self.assertIsNone(outbox.unsaid_ms(NOW))

    def test_many(self) -> None:
        """Where they come thick and fast, one frame serves for longer; to a limit."""
        outbox = Outbox(sender="bob")
        for number in range(MANY + 1):
            outbox.acknowledge(f"r{number}", True, NOW)
        self.assertEqual(outbox.unsaid_ms(NOW), LATER_MS)
        for number in range(MANY + 1, MAX_RECEIPTS):
            outbox.acknowledge(f"r{number}", True, NOW)
        [told] = self.receipts(outbox)
        self.assertEqual(len(told["msg_refs"]), MAX_RECEIPTS)

    def test_lost(self) -> None:
        """With the connection they are forgotten: the message comes another way."""
        outbox = Outbox(sender="bob")
        outbox.acknowledge("r1", True, NOW)
        outbox.lost(NO_ANSWER, NOW)
        outbox.flush(NOW)
        self.assertEqual(self.receipts(outbox), [])
