"""Whose key is a message to everybody read with, and what is shown of a forged one?"""

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from socp_twisted.client import channel
from socp_twisted.client import events as told
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
from socp_twisted.client.content import public_payload
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
from socp_twisted.trust.signatures import key_share_content, sign
from socp_twisted.wire.encoding import b64u_decode, b64u_encode, canonical, parse_object
from tests.client_peer import NOW, SessionCase, User
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


class HostileTests(SessionCase):
    """A server, or a member, who shows bob what alice did not say."""

    def setUp(self) -> None:
        """Alice, bob and mallory (with a server's key) share a channel."""
        super().setUp()
        self.server.caps = ["acks", "channel"]
        self.alice, self.bob = self.both()
        self.mallory = self.enter("mallory", key="srv-c")
        self.server.silent = {KEY_SHARE, MESSAGE}
        self.alice.session.all("the truth", NOW)
        self.server.pump()
        [share], [message] = self.alice.frames(KEY_SHARE), self.alice.frames(MESSAGE)
        self.share = {**share["payload"], "sender": "alice"}
        about = {"sender": "alice", "ts": message["ts"], "msg_id": "ref"}
        self.message = {**message["payload"], **about}
        for user in (self.alice, self.bob, self.mallory):
            user.events.clear()

    def give(
        self, kind: str, payload: dict[str, Any], user: User | None = None
    ) -> None:
        """Hand a frame to bob as the server would."""
        self.server.say(user or self.bob, kind, payload)
        self.server.pump()

    def texts(self) -> list[str]:
        """Return what bob was shown, and forget it."""
        return [one.text for one in self.bob.told(told.TextReceived)]

    def why(self) -> list[str]:
        """Return why things were not shown to bob, and forget it."""
        return [one.reason for one in self.bob.told(told.FrameRefused)]

    def receipts(self, user: User | None = None) -> list[dict[str, Any]]:
        """Return what bob's client has said of messages to everybody so far."""
        self.server.tick(3)
        sent = [one["payload"] for one in (user or self.bob).frames("ACK")]
        return [
            {name: refs for name, refs in one.items() if refs}
            for one in sent
            if "msg_refs" in one
        ]

    def own(self, secret: bytes, key: str, **changes: Any) -> dict[str, Any]:
        """Return a share of our making: alice's, as signed by ``key``."""
        claim: dict[str, Any] = {"context": "socp-channel-key-1"}
        claim["key"] = b64u_encode(secret)
        claim |= {
            "key_id": "k",
            "member": "bob",
            "sender": "alice",
            "seq": 0,
            **changes,
        }
        sealed = b64u_encode(seal(public("bob"), canonical(claim)))
        shares = [{"member": "bob", "wrapped_public_channel_key": sealed}]
        pub = private(key).public.text
        return {
            "shares": shares,
            "creator_pub": pub,
            "content_sig": sign(private(key), key_share_content(shares, pub)),
            "key_id": "k",
            "sender": "alice",
        }

    def test_honest(self) -> None:
        """As alice said it: shown once, and acknowledged."""
        self.give(KEY_SHARE, self.share)
        self.give(MESSAGE, self.message)
        self.assertEqual(self.texts(), ["the truth"])
        self.assertEqual(self.receipts(), [{"msg_refs": ["ref"]}])

    def test_first_sight(self) -> None:
        """Who shares a key before anybody has told of them is pinned by that."""
        share = self.own(b"1" * 32, "srv-c", sender="zoe")
        self.give(KEY_SHARE, {**share, "sender": "zoe"})
        [pinned] = self.bob.told(told.UserPinned)
        expected = ("zoe", public("srv-c").fingerprint)
        self.assertEqual((pinned.user_id, pinned.fingerprint), expected)
        self.give(KEY_SHARE, {**self.own(b"1" * 32, "alice"), "sender": "zoe"})
        self.assertIn("not zoe's", self.why()[0])

    def test_receipt_waits(self) -> None:
        """A quarter of a second, for others; the session says when to tick."""
        self.give(KEY_SHARE, self.share)
        self.give(MESSAGE, self.message)
        session, now = self.bob.session, self.server.now
        self.assertEqual(session.tick(now + 100), 0.15)
        self.assertEqual(session.drain().receipts, ())
        self.assertEqual(session.tick(now + 250), 1.0)
        self.assertEqual(len(session.drain().receipts), 1)

    def test_without_the_key(self) -> None:
        """Not shown, no news to the user; the server is told, and the sender by it."""
        self.give(MESSAGE, self.message)
        self.assertEqual((self.texts(), self.why()), ([], []))
        self.assertEqual(self.receipts(), [{"refused": ["ref"]}])
        self.give(KEY_SHARE, self.share)
        self.give(MESSAGE, self.message)
        self.assertEqual(self.texts(), ["the truth"])

    def test_replayed(self) -> None:
        """A copy is acknowledged once more, and not shown; nor does a share hurt."""
        for _ in range(2):
            self.give(KEY_SHARE, self.share)
            self.give(MESSAGE, self.message)
        self.assertEqual((self.texts(), self.why()), (["the truth"], []))
        self.server.tick(601)
        self.give(MESSAGE, {**self.message, "msg_id": "later"})
        self.assertEqual(self.texts(), [])

    def test_stale(self) -> None:
        """What was withheld for more than ten minutes is not shown."""
        self.give(KEY_SHARE, self.share)
        self.server.tick(601)
        self.give(MESSAGE, self.message)
        self.assertEqual(self.texts(), [])
        self.assertIn("ten minutes", self.why()[0])
        self.assertEqual(self.receipts(), [{"refused": ["ref"]}])

    def test_share_of_somebody_else(self) -> None:
        """A key under alice's name that alice did not sign."""
        self.give(KEY_SHARE, self.own(b"1" * 32, "srv-c"))
        self.assertIn("not alice's", self.why()[0])
        forged = {**self.own(b"1" * 32, "srv-c"), "creator_pub": public("alice").text}
        self.give(KEY_SHARE, forged)
        self.assertIn("does not verify", self.why()[0])
        changed = {**self.share, "shares": forged["shares"]}
        self.give(KEY_SHARE, changed)
        self.assertIn("does not verify", self.why()[0])
        self.give(KEY_SHARE, {**self.share, "creator_pub": ""})
        self.assertEqual(len(self.why()), 1)
        self.give(MESSAGE, self.message)
        self.assertEqual(self.texts(), [])

    def test_share_for_another(self) -> None:
        """A wrap for mallory is none for bob, whatever it is filed under."""
        [other] = [one for one in self.share["shares"] if one["member"] == "mallory"]
        self.give(KEY_SHARE, {**self.share, "shares": [other]})
        self.assertEqual(self.why(), [])
        for changes in (
            {"member": "mallory"},
            {"sender": "mallory"},
            {"key_id": "x"},
            {"context": "another"},
        ):
            self.give(KEY_SHARE, self.own(b"1" * 32, "alice", **changes))
            self.assertIn("as something else", self.why()[0])

    def test_key_id_again(self) -> None:
        """A second key under a name that is taken: the first stands."""
        self.give(KEY_SHARE, self.own(b"1" * 32, "alice"))
        self.give(KEY_SHARE, self.own(b"2" * 32, "alice"))
        self.assertIn("under one name", self.why()[0])
        self.give(MESSAGE, self.sealed("the first", b"1" * 32))
        self.assertEqual(self.texts(), ["the first"])

    def sealed(
        self,
        text: str,
        secret: bytes,
        key: str = "alice",
        sender: str = "alice",
        seq: int = 0,
        key_id: str = "k",
    ) -> dict[str, Any]:
        """Return a message as ``sender``, by whoever has a key of the channel."""
        ts = self.server.now
        bound = channel._bound("alice", key_id, seq, ts)
        secret = message_key(chain_after(secret, seq))
        ciphertext = seal_shared(secret, bytes(12), text.encode(), bound)
        payload = public_payload(private(key), ciphertext, sender, ts)
        more = {"sender": sender, "ts": ts, "msg_id": f"ref{seq}", "key_id": key_id}
        return {**payload, **more, "seq": seq}

    def test_forged_by_a_member(self) -> None:
        """All members have the key: it is the signature that says who spoke."""
        self.give(KEY_SHARE, self.own(b"1" * 32, "alice"))
        forged = self.sealed("a lie", b"1" * 32, key="srv-c")
        self.give(MESSAGE, forged)
        self.give(MESSAGE, {**forged, "sender_pub": public("alice").text})
        self.give(MESSAGE, {**forged, "sender_pub": ""})
        self.assertEqual(self.texts(), [])
        self.assertEqual(len(self.why()), 3)
        self.assertEqual(self.receipts(), [{"refused": ["ref0"]}])

    def test_stolen_words(self) -> None:
        """Alice's ciphertext under mallory's name, with mallory's copy of the key."""
        self.give(KEY_SHARE, self.share)
        key_id = self.message["key_id"]
        claim = self.own(self.alice_key(), "srv-c", sender="mallory", key_id=key_id)
        self.give(KEY_SHARE, {**claim, "sender": "mallory", "key_id": key_id})
        self.assertEqual(self.why(), [])
        ciphertext = b64u_decode(self.message["ciphertext"])
        stolen = public_payload(
            private("srv-c"), ciphertext, "mallory", self.message["ts"]
        )
        about = {name: self.message[name] for name in ("key_id", "seq", "ts", "msg_id")}
        self.give(MESSAGE, {**stolen, **about, "sender": "mallory"})
        self.assertEqual(self.texts(), [])
        self.assertIn("cannot be decrypted", self.why()[0])

    def alice_key(self) -> bytes:
        """Return alice's key, as mallory was given it."""
        [other] = [one for one in self.share["shares"] if one["member"] == "mallory"]
        sealed = b64u_decode(other["wrapped_public_channel_key"])
        key_id = self.share["key_id"]
        return unwrap(private("srv-c"), sealed, "alice", key_id, "mallory").chain

    def test_changed(self) -> None:
        """A server that changes anything of it has it refused."""
        self.give(KEY_SHARE, self.share)
        flipped = b64u_decode(self.message["ciphertext"])
        flipped = bytes([flipped[0] ^ 1]) + flipped[1:]
        for changes in (
            {"seq": 7},
            {"seq": -1},
            {"seq": "0"},
            {"ts": self.message["ts"] + 1},
            {"key_id": "x y"},
            {"key_id": None},
            {"sender": "bob"},
            {"sender": "mallory"},
            {"ciphertext": b64u_encode(flipped)},
            {"ciphertext": b64u_encode(flipped[:500])},
            {"content_sig": ""},
        ):
            self.give(MESSAGE, {**self.message, **changes})
            self.assertEqual(self.texts(), [], changes)
            self.bob.events.clear()
        self.give(MESSAGE, self.message)
        self.assertEqual(self.texts(), ["the truth"])

    def test_gap(self) -> None:
        """Numbers may be missing, and come in any order."""
        self.give(KEY_SHARE, self.own(b"1" * 32, "alice"))
        for seq in (7, 3, 900):
            self.give(MESSAGE, self.sealed(f"number {seq}", b"1" * 32, seq=seq))
            self.server.now += 1
        self.assertEqual(self.texts(), ["number 7", "number 3", "number 900"])

    def test_as_a_direct_message(self) -> None:
        """What was said to everybody is not shown as said to bob alone, nor back."""
        self.give(KEY_SHARE, self.share)
        self.give("USER_DELIVER", self.message)
        alone = {name: one for name, one in self.message.items() if name != "key_id"}
        self.give(MESSAGE, alone)
        self.assertEqual(self.texts(), [])
        self.server.silent = {"MSG_DIRECT"}
        self.alice.session.tell("bob", "for bob alone", self.server.now)
        self.server.pump()
        [frame] = self.alice.frames("MSG_DIRECT")
        about = {"sender": "alice", "ts": frame["ts"], "key_id": self.share["key_id"]}
        self.give(MESSAGE, {**frame["payload"], **about, "seq": 0})
        self.assertEqual(self.texts(), [])

    def test_direct_with_a_key_id(self) -> None:
        """What is sealed for bob is opened as that, whatever else stands beside it."""
        self.server.silent = {"MSG_DIRECT"}
        self.alice.session.tell("bob", "for bob alone", self.server.now)
        self.server.pump()
        [frame] = self.alice.frames("MSG_DIRECT")
        about = {"sender": "alice", "ts": frame["ts"], "key_id": "k", "seq": 0}
        self.give("USER_DELIVER", {**frame["payload"], **about})
        self.assertEqual(self.texts(), ["for bob alone"])

    def test_split(self) -> None:
        """What alice said to one is not what "alicebob" says to all: as before."""
        self.server.silent = {"MSG_DIRECT"}
        self.bob.session._messages._broadcasting._keys.learn(
            "alicebob", "k", TheirKey(0, b"1" * 32)
        )
        ts = self.server.now
        bound = channel._bound("alicebob", "k", 0, ts)
        secret = message_key(b"1" * 32)
        ciphertext = seal_shared(secret, bytes(12), b"gotcha", bound)
        # Alice can be brought to sign what somebody else sealed, by passing it on.
        payload = public_payload(private("alice"), ciphertext, "alicebob", ts)
        more = {"sender": "alicebob", "ts": ts, "key_id": "k", "seq": 0}
        self.give(MESSAGE, {**payload, **more})
        self.assertEqual(self.texts(), [])
        self.assertIn("said to all", self.why()[0])

    def test_both_ways(self) -> None:
        """Sent to everybody and to bob alone, in either order, it is shown once."""
        for first in (0, 1):
            text, seq = f"take {first}", first
            self.give(KEY_SHARE, self.own(b"1" * 32, "alice"))
            for_all = self.sealed(text, b"1" * 32, seq=seq)
            alone = public_payload(
                private("alice"),
                seal(public("bob"), text.encode()),
                "alice",
                self.server.now + 1,
            )
            alone |= {"sender": "alice", "ts": self.server.now + 1}
            alone |= {"again": f"k.{seq}", "msg_id": f"alone{seq}"}
            for one in (for_all, alone)[:: 1 if first else -1]:
                self.give(MESSAGE, one)
            self.assertEqual((self.texts(), self.why()), ([text], []))
            self.server.now += 10
        acks = [one["payload"] for one in self.bob.frames("ACK")]
        alone_refs = {one["msg_ref"] for one in acks if "msg_ref" in one}
        self.assertEqual(alone_refs, {"alone0", "alone1"})
        [bulk] = self.receipts()
        self.assertEqual(bulk, {"msg_refs": ["ref0", "ref1"]})

    def test_hidden(self) -> None:
        """A server that calls another message a repetition does not hide it."""
        self.give(KEY_SHARE, self.share)
        self.give(MESSAGE, self.message)
        ts = self.server.now + 5
        sealed = seal(public("bob"), b"something else")
        other = public_payload(private("alice"), sealed, "alice", ts)
        mark = f"{self.message['key_id']}.{self.message['seq']}"
        self.give(MESSAGE, {**other, "sender": "alice", "ts": ts, "again": mark})
        self.assertEqual(self.texts(), ["the truth", "something else"])

    def test_held(self) -> None:
        """A server that says that it held it does not bring it back after all."""
        self.give(KEY_SHARE, self.share)
        self.server.tick(601)
        self.give(MESSAGE, {**self.message, "held": True})
        self.assertEqual(self.texts(), [])
        self.assertIn("ten minutes", self.why()[0])

    def test_long_reference(self) -> None:
        """A receipt that no server takes does not spoil those that go with it."""
        self.give(KEY_SHARE, self.own(b"1" * 32, "alice"))
        for seq, ref in ((0, "r" * 129), (1, "short")):
            one = self.sealed(f"{seq}", b"1" * 32, seq=seq)
            self.give(MESSAGE, {**one, "msg_id": ref})
        self.assertEqual(self.receipts(), [{"msg_refs": ["short"]}])

    def test_huge_share(self) -> None:
        """More wraps than there may be are not even looked through."""
        [mine, _] = self.share["shares"]
        self.give(KEY_SHARE, {**self.share, "shares": [mine] * 1_000})
        self.assertIn("at most 64", self.why()[0])
        broken: list[Any] = [None, "x", [1], [[]]]
        for shares in broken:
            self.give(KEY_SHARE, {**self.share, "shares": shares})
            self.assertEqual(len(self.why()), 1)
