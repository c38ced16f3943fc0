"""What is shown of a message to everybody, or a key for it, that is not genuine?"""

from typing import Any

from socp_twisted.client import channel
from socp_twisted.client import events as told
from socp_twisted.client.channel import (
    TheirKey,
    chain_after,
    message_key,
    unwrap,
)
from socp_twisted.client.content import public_payload
from socp_twisted.trust.sealing import seal, seal_shared
from socp_twisted.trust.signatures import key_share_content, sign
from socp_twisted.wire.encoding import b64u_decode, b64u_encode, canonical
from tests.client_peer import NOW, SessionCase
from tests.vector_files import private, public

KEY_SHARE, MESSAGE = "PUBLIC_CHANNEL_KEY_SHARE", "MSG_PUBLIC_CHANNEL"


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

    def give(self, kind: str, payload: dict[str, Any]) -> None:
        """Hand a frame to bob as the server would."""
        self.server.say(self.bob, kind, payload)
        self.server.pump()

    def texts(self) -> list[str]:
        """Return what bob was shown, and forget it."""
        return [one.text for one in self.bob.told(told.TextReceived)]

    def why(self) -> list[str]:
        """Return why things were not shown to bob, and forget it."""
        return [one.reason for one in self.bob.told(told.FrameRefused)]

    def receipts(self) -> list[dict[str, Any]]:
        """Return what bob's client has said of messages to everybody so far."""
        self.server.tick(3)
        sent = [one["payload"] for one in self.bob.frames("ACK")]
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

    def test_in_our_own_name(self) -> None:
        """A share that says it is bob's own is refused, whatever its key is."""
        for creator_pub in ("!", "A", "\u00e9", public("srv-c").text):
            self.give(KEY_SHARE, {**self.own(b"1" * 32, "srv-c"), "sender": "bob"})
            share = {**self.share, "sender": "bob", "creator_pub": creator_pub}
            self.give(KEY_SHARE, share)
            self.assertEqual(len(self.why()), 2, creator_pub)
            self.bob.events.clear()

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
