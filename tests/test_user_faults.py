"""Is what is wrong with a user's frame named, and does it cost nobody anything?"""

from typing import Any

from twisted.logger import capturedLogs, formatEvent

from socp_twisted.wire.encoding import b64u_encode
from socp_twisted.wire.vocabulary import MSG_DIRECT, MSG_PUBLIC_CHANNEL
from tests.keyring import pub_of, signature
from tests.users import UserTestCase

MIB = 1024 * 1024


class RefusedTests(UserTestCase):
    """What is wrong is named to who sent it, and costs nobody anything else."""

    def setUp(self) -> None:
        """One node with alice and bob on it."""
        super().setUp()
        self.a = self.start()
        self.alice, self.bob = self.users(self.a, "alice", "bob")
        self.addCleanup(self.unharmed)

    def unharmed(self) -> None:
        """Afterwards both are as they were: connected, and able to write."""
        self.assertEqual(self.bob.of("USER_DELIVER"), [])
        for person in (self.alice, self.bob):
            self.assertIsNone(person.close)
            person.forget()
        self.alice.tell("bob", "afterwards", id="after")
        self.bob.tell("alice", "afterwards", id="after")
        self.assertEqual(self.alice.outcomes(), [("after", "delivered")])
        self.assertEqual(self.bob.outcomes(), [("after", "delivered")])

    def refuse(self, code: str, word: str, **changes: Any) -> None:
        """Send a message with a spoilt payload, twice over; each answer names it."""
        ts, payload = self.alice.message("bob")
        for kind in (MSG_DIRECT, MSG_PUBLIC_CHANNEL):
            self.alice.forget()
            spoilt = {**payload, **changes}
            self.alice.say(kind, "alice", "bob", spoilt, ts=ts, id="m")
            self.assertEqual(self.alice.outcomes(), [("m", code)], changes)
            self.assertIn(word, self.alice.fault()[1])

    def test_foreign_key(self) -> None:
        """S1: another user's key, or a key that is none, in ``sender_pub``."""
        self.refuse("BAD_KEY", "sender_pub", sender_pub=pub_of("bob"))
        self.refuse("BAD_KEY", "sender_pub", sender_pub="AAAA")
        self.refuse("MALFORMED", "sender_pub", sender_pub=None)

    def test_r7_ciphertext(self) -> None:
        """R7, S25: no base64url, or of a size that nothing encrypted has."""
        block = b64u_encode(bytes(512))
        ciphertexts: tuple[Any, ...] = (
            *("", "@@@@", f"{block}=", block.replace("A", "+"), f" {block}"),
            *(b64u_encode(bytes(511)), b64u_encode(bytes(513)), "AAAA", "AB"),
            *(None, 7, True, {}, [block], {"a": block}),
        )
        for bad in ciphertexts:
            self.refuse("MALFORMED", "payload.ciphertext", ciphertext=bad)

    def test_r14_signature(self) -> None:
        """R14: a signature that is no base64url."""
        signatures: tuple[Any, ...] = ("@@@@", "A", "", None, 7, {}, [])
        for bad in signatures:
            self.refuse("MALFORMED", "payload.content_sig", content_sig=bad)

    def test_unknown_type(self) -> None:
        """A type that nobody knows, one of the servers', and one of ours to users."""
        for kind in (
            *("MSG_TELEPATHY", "msg_direct", "SERVER_HELLO_JOIN", "SERVER_WELCOME"),
            *("SERVER_HELLO_LINK", "SERVER_ANNOUNCE", "USER_ADVERTISE", "USER_REMOVE"),
            *("SERVER_DELIVER", "USER_DELIVER", "FILE_START_DELIVER", "LIST_RESPONSE"),
        ):
            self.alice.forget()
            self.alice.say(kind, "alice", "*", {"user_id": "bob"}, key="alice", id="m")
            self.assertEqual(self.alice.outcomes(), [("m", "UNKNOWN_TYPE")], kind)
        self.assertEqual(self.a.online(), {"alice": "srv-a", "bob": "srv-a"})

    def test_key_as_type(self) -> None:
        """Who puts a key where the type belongs finds it in no log, and no ERROR."""
        key = signature("alice", b"a nonce")[:43]
        stranger = self.person(self.a)
        for person in (self.alice, stranger):
            with capturedLogs() as logged:
                person.say(key, "alice", "*", {}, key="alice", id="m")
            self.assertIn("refused", logged[0]["log_format"])
            for told in (*map(formatEvent, logged), *person.fault()):
                self.assertNotIn(key[:16], told)

    def test_r13_malformed(self) -> None:
        """R13: whatever is no frame is answered with what is wrong with it."""
        faults = {
            b"": "not JSON",
            b"hello": "not JSON",
            b"null": "not a JSON object",
            b"[]": "not a JSON object",
            b"{}": "'type' is missing",
            b"[" * 5000: "nested too deeply",
            b'{"type": 7}': "'type' must be text",
            b'{"type": ""}': "'type' must be 1 to 64",
            b'{"type": "X", "type": "Y"}': "the same key twice",
            b'{"type": "X", "payload": 7}': "'payload' must be an object",
            b'{"type": "X", "payload": {"a": 1.5}}': "no integer: 1.5",
            b'{"type": "X", "payload": {"a": NaN}}': "no integer: NaN",
            b'{"type": "X", "payload": {"a": 9007199254740993}}': "beyond 2**53",
            b'{"type": "X", "payload": {"a": "\\ud800"}}': "lone surrogate",
            b'{"type": "X", "ts": "now"}': "'ts' must be an integer",
            b'{"type": "X", "ts": true}': "'ts' must be an integer",
            b'{"type": "X", "ts": -1}': "'ts' must be Unix time",
            b'{"type": "X", "from": "a\\u001b"}': "'from' must be 1 to 64",
            b'{"type": "X", "to": "a\\nb"}': "'to' must be an id",
            b'{"type": "X", "sig": 7}': "'sig' must be text",
        }
        for frame, word in faults.items():
            self.alice.forget()
            self.alice.send(frame)
            code, detail = self.alice.fault()
            self.assertEqual(code, "MALFORMED", frame)
            self.assertIn(word, detail, frame)

    def test_binary(self) -> None:
        """A binary message is read like text, and what is no UTF-8 is named."""
        for frame in (b"\x00\x01", b"\xff\xfe"):
            self.alice.forget()
            self.alice.end.sendMessage(frame, isBinary=True)
            self.network.settle()
            self.assertEqual(self.alice.errors(), ["MALFORMED"])

    def test_answers_are_not_answered(self) -> None:
        """An ERROR or ACK from a user, sound or not, begins no ping-pong."""
        for kind in ("ERROR", "ACK", "HEARTBEAT"):
            self.alice.say(kind, "alice", "*", {"code": 7}, id="m")
        self.assertEqual(self.alice.received, [])

    def test_too_large(self) -> None:
        """What would outgrow the frame limit on its way is refused, not passed on."""
        base = self.alice.message("bob")[1]
        pad = "x" * (MIB - 2_500)
        self.alice.say(MSG_DIRECT, "alice", "bob", {**base, "pad": pad}, id="m")
        self.assertEqual(self.alice.outcomes(), [("m", "LIMIT")])
        self.assertIn("max-message", self.alice.fault()[1])

    def test_too_many_values(self) -> None:
        """Nor is what has more values than the recipient would read."""
        base = self.alice.message("bob")[1]
        self.alice.say(MSG_DIRECT, "alice", "bob", {**base, "pad": [1] * 2_000}, id="m")
        self.assertEqual(self.alice.outcomes(), [("m", "LIMIT")])
        self.assertIn("1000 values", self.alice.fault()[1])


class OneMebibyteTests(UserTestCase):
    """More than a frame may hold ends the sender's connection, with a reason."""

    def test_r9_over_the_limit(self) -> None:
        """1009 for the sender; others go on."""
        a = self.start()
        alice, bob = self.users(a, "alice", "bob")
        alice.end.sendMessage(b"x" * (MIB + 1), isBinary=False)
        self.network.pass_time(1)
        assert alice.close is not None
        self.assertEqual(alice.close[0], 1009)
        bob.tell("bob", id="m")
        self.assertEqual(bob.outcomes(), [("m", "delivered")])


class CopyTests(UserTestCase):
    """S13: a message is shown once, however often it is sent; and it is fresh."""

    def setUp(self) -> None:
        """Alice and bob on one node, carol on another."""
        super().setUp()
        self.a, self.b = self.pair()
        self.alice, self.bob = self.users(self.a, "alice", "bob")
        [self.carol] = self.users(self.b, "carol")

    def thrice(self, kind: str, to: str) -> None:
        """Send one message three times, each with an id of its own."""
        public = kind == MSG_PUBLIC_CHANNEL
        ts, payload = self.alice.message(to, public=public)
        self.alice.forget()
        for number in range(3):
            self.alice.say(kind, "alice", to, payload, ts=ts, id=f"m{number}")
        expected = [(f"m{number}", "delivered") for number in range(3)]
        self.assertEqual(self.alice.outcomes(), expected)

    def test_s13_once(self) -> None:
        """Direct and public, here and elsewhere; each copy has an answer."""
        for person, name in ((self.bob, "bob"), (self.carol, "carol")):
            self.thrice(MSG_DIRECT, name)
            self.thrice(MSG_PUBLIC_CHANNEL, name)
            person.only("USER_DELIVER")
            person.only("MSG_PUBLIC_CHANNEL")

    def test_same_text(self) -> None:
        """The same words said twice are two messages."""
        for _ in range(2):
            self.alice.tell("bob", "yes")
        self.assertEqual(len(self.bob.of("USER_DELIVER")), 2)

    def test_tried_again(self) -> None:
        """What did not arrive may be sent again, to the letter, and then arrives."""
        ts, payload = self.alice.message("dave")
        self.alice.say(MSG_DIRECT, "alice", "dave", payload, ts=ts, id="m1")
        [dave] = self.users(self.b, "dave")
        self.alice.say(MSG_DIRECT, "alice", "dave", payload, ts=ts, id="m2")
        outcomes = [("m1", "USER_NOT_FOUND"), ("m2", "delivered")]
        self.assertEqual(self.alice.outcomes(), outcomes)
        dave.only("USER_DELIVER")

    def test_s13_stale(self) -> None:
        """A message of 1970, or of eleven minutes ago or ahead, is refused, and why."""
        now = self.alice.now()
        for ts in (0, 1_000, now - 660_000, now + 660_000):
            self.alice.forget()
            self.alice.tell("bob", ts=ts, id="m")
            self.assertEqual(self.alice.outcomes(), [("m", "MALFORMED")])
            self.assertIn("clock", self.alice.fault()[1])
        self.alice.forget()
        self.alice.tell("bob", ts=now - 540_000, id="m")
        self.assertEqual(self.alice.outcomes(), [("m", "delivered")])
