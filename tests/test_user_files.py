"""Do files travel in their pieces, within bounds, between whom they concern?"""

from typing import Any

from socp_twisted.wire.limits import Limits
from tests.keyring import pub_of
from tests.raw_ends import OURS
from tests.users import SHA256, Person, UserTestCase

STEPS = ["FILE_START_DELIVER", "FILE_CHUNK_DELIVER", "FILE_END_DELIVER"]


class TransferTests(UserTestCase):
    """START, CHUNK, END one way and ANSWER the other, here and elsewhere."""

    def exchange(self, alice: Person, bob: Person) -> None:
        """Send a file of two chunks; check each frame on its way."""
        alice.start_file("bob", manifest="", cipher="rsa-oaep", chunk=446)
        bob.answer_file("alice", reason="", done=False)
        alice.chunk("bob", index=0)
        alice.chunk("bob", index=1)
        alice.end_file("bob")
        expected = [STEPS[0], "ACK", STEPS[1], STEPS[1], STEPS[2]]
        self.assertEqual(bob.heard(), expected)
        start = bob.only(STEPS[0])
        file = {"file_id": "f1", "name": "notes.txt", "size": 3, "sha256": SHA256}
        added = {"mode": "dm", "manifest": "", "cipher": "rsa-oaep", "chunk": 446}
        about = {"sender": "alice", "ts": start.ts}
        self.assertEqual(start.payload, {**file, **added, **about})
        chunks = bob.of(STEPS[1])
        self.assertEqual([one.payload["index"] for one in chunks], [0, 1])
        self.assertEqual([one.payload["ciphertext"] for one in chunks], ["AAAA"] * 2)
        answer = alice.only("FILE_ANSWER_DELIVER").payload
        self.assertEqual((answer["sender"], answer["accept"]), ("bob", True))
        frames = ["start", "chunk0", "chunk1", "end"]
        self.assertEqual(alice.outcomes(), [(one, "delivered") for one in frames])

    def test_local(self) -> None:
        """Between users of one server."""
        alice, bob = self.users(self.start(), "alice", "bob")
        self.exchange(alice, bob)

    def test_remote(self) -> None:
        """Between users of two servers."""
        a, b = self.pair()
        [alice] = self.users(a, "alice")
        [bob] = self.users(b, "bob")
        alice.forget()
        self.exchange(alice, bob)

    def test_no_key(self) -> None:
        """What is no key, in a piece, costs the two servers' link nothing."""
        a, b = self.pair()
        [alice] = self.users(a, "alice")
        [bob] = self.users(b, "bob")
        alice.start_file("bob")
        for index, no_key in enumerate(([1], {"a": 1}, 7, True)):
            alice.chunk("bob", index=index, sender_pub=no_key)
        self.assertEqual(self.flushLoggedErrors(), [])
        self.assert_mesh(a, b)
        self.assertEqual(bob.heard(), STEPS[:1])
        alice.chunk("bob", index=9)
        self.assertEqual(alice.outcomes()[-1], ("chunk9", "delivered"))

    def test_devices(self) -> None:
        """Every device of the recipient gets every piece."""
        a = self.start()
        self.person(a, "bob")
        alice, bob = self.users(a, "alice", "bob")
        alice.start_file("bob")
        alice.chunk("bob")
        self.assertEqual(bob.heard(), STEPS[:2])

    def test_timeout(self) -> None:
        """Silence on the way to another server is a TIMEOUT for each piece."""
        a, b = self.pair()
        [alice] = self.users(a, "alice")
        self.users(b, "bob")
        alice.forget()
        self.link_held(a, b)
        alice.start_file("bob")
        alice.chunk("bob")
        self.network.pass_time(12)
        self.assertEqual(
            alice.outcomes(), [("start", "TIMEOUT"), ("chunk0", "TIMEOUT")]
        )

    def test_full(self) -> None:
        """Too many pieces without an answer: the limit is named."""
        a = self.start(limits=Limits(unanswered=2))
        server = self.peer(a)
        server.link("srv-c", "srv-c", caps=OURS)
        server.advertise("bob")
        [alice] = self.users(a, "alice")
        alice.start_file("bob")
        for index in range(2):
            alice.chunk("bob", index=index)
        self.assertEqual(alice.outcomes(), [("chunk1", "LIMIT")])
        self.assertIn("max-unanswered", alice.fault()[1])

    def test_without_acknowledgements(self) -> None:
        """A server of others answers nothing: each piece was sent."""
        a = self.start()
        server = self.peer(a)
        server.link("srv-c", "srv-c", caps=[])
        server.tell("HEARTBEAT", {})
        server.advertise("bob")
        [alice] = self.users(a, "alice")
        alice.start_file("bob")
        alice.chunk("bob")
        self.assertEqual(alice.outcomes(), [("start", "sent"), ("chunk0", "sent")])
        routed = server.only("FILE_CHUNK").payload
        self.assertEqual((routed["user_id"], routed["sender"]), ("bob", "alice"))


class OrderTests(UserTestCase):
    """A piece belongs to a file that its sender began on the same connection."""

    def setUp(self) -> None:
        """Alice, bob and carol on one node."""
        super().setUp()
        self.a = self.start()
        self.alice, self.bob, self.carol = self.users(self.a, "alice", "bob", "carol")

    def refused(self, word: str) -> None:
        """The last frame was refused, with this word, and not passed on."""
        [told] = self.alice.received
        self.assertEqual(told.payload["code"], "NOT_ALLOWED")
        self.assertIn(word, told.payload["detail"])
        self.assertEqual(self.bob.received, [])

    def test_no_start(self) -> None:
        """Neither a chunk nor an end comes without a start."""
        for send in (self.alice.chunk, self.alice.end_file):
            self.alice.forget()
            send("bob")
            self.refused("was not begun")

    def test_another_recipient(self) -> None:
        """A start for bob allows no chunk for carol."""
        self.alice.start_file("bob")
        self.alice.chunk("carol")
        self.assertEqual(self.alice.outcomes()[-1], ("chunk0", "NOT_ALLOWED"))
        self.assertEqual(self.carol.received, [])

    def test_anothers_file(self) -> None:
        """Alice cannot add to, or end, what carol began."""
        self.carol.start_file("bob")
        self.bob.forget()
        for send in (self.alice.chunk, self.alice.end_file):
            self.alice.forget()
            send("bob")
            self.refused("was not begun")
        self.carol.chunk("bob")
        self.assertEqual(self.bob.heard(), [STEPS[1]])

    def test_begun_twice(self) -> None:
        """A second start with the same id is refused; the first goes on."""
        self.alice.start_file("bob")
        self.bob.forget()
        self.alice.forget()
        self.alice.start_file("bob", name="other.txt")
        self.refused("has begun already")
        self.alice.chunk("bob")
        self.assertEqual(self.bob.heard(), [STEPS[1]])

    def test_to_each(self) -> None:
        """One id to two recipients is two files: so goes a file to everybody."""
        for to, person in (("bob", self.bob), ("carol", self.carol)):
            self.alice.start_file(to, mode="public")
            self.assertEqual(person.heard(), [STEPS[0]])

    def test_ended(self) -> None:
        """After the end nothing follows, and the id is free again."""
        self.alice.start_file("bob")
        self.alice.end_file("bob", aborted=True, reason="changed my mind")
        self.assertTrue(self.bob.only(STEPS[2]).payload["aborted"])
        self.bob.forget()
        self.alice.forget()
        self.alice.chunk("bob")
        self.refused("was not begun")
        self.alice.start_file("bob")
        self.assertEqual(self.bob.heard(), [STEPS[0]])

    def test_another_connection(self) -> None:
        """Another device of alice's has not begun it; and at a disconnect all ends."""
        self.alice.start_file("bob")
        second = self.person(self.a, "alice")
        second.forget()
        second.chunk("bob")
        self.assertEqual(second.outcomes(), [("chunk0", "NOT_ALLOWED")])
        self.alice.leave()
        again = self.person(self.a, "alice")
        again.forget()
        again.chunk("bob")
        self.assertEqual(again.outcomes(), [("chunk0", "NOT_ALLOWED")])

    def test_not_found(self) -> None:
        """A file for nobody has not begun."""
        self.alice.start_file("dave")
        self.alice.chunk("dave")
        outcomes = [("start", "USER_NOT_FOUND"), ("chunk0", "NOT_ALLOWED")]
        self.assertEqual(self.alice.outcomes(), outcomes)

    def test_recipient_left(self) -> None:
        """When bob leaves, the sender learns of it with the next piece."""
        self.alice.start_file("bob")
        self.bob.leave()
        self.alice.forget()
        self.alice.chunk("bob")
        self.assertEqual(self.alice.outcomes(), [("chunk0", "USER_NOT_FOUND")])


class BoundTests(UserTestCase):
    """S18: names, sizes and numbers have bounds, and the answer says which."""

    def setUp(self) -> None:
        """Alice and bob on a node where three files may be under way at a time."""
        super().setUp()
        self.a = self.start(limits=Limits(transfers=3))
        self.alice, self.bob = self.users(self.a, "alice", "bob")

    def malformed(self, field: str, *bad: Any) -> None:
        """Begin a file with each bad value: refused, and the field is named."""
        for value in bad:
            self.alice.forget()
            self.alice.start_file("bob", **{field: value})
            code, detail = self.alice.fault()
            self.assertEqual(code, "MALFORMED", (field, value))
            self.assertIn(f"payload.{field}", detail)
        self.assertEqual(self.bob.received, [])
        self.assertIsNone(self.alice.close)

    def test_s18_names(self) -> None:
        """No path, nothing that steers a terminal, no more than 255 bytes."""
        self.malformed("name", "../../etc/passwd", "\x1b[2J.txt", "a/b", "a\\b", "..")
        self.malformed("name", ".", "", "a\nb", "\u202etxt.exe", "ä" * 128, "a\0b")
        self.malformed("name", None, 7, True, ["a"], {})

    def test_s18_sizes(self) -> None:
        """Between nothing and 100 MiB, in whole bytes."""
        self.malformed("size", -5, -1, 100 * 1024 * 1024 + 1, "3", True, None)
        for number, size in enumerate((0, 100 * 1024 * 1024)):
            self.alice.start_file("bob", f"good{number}", size=size)
        self.assertEqual(self.bob.heard(), [STEPS[0]] * 2)

    def test_other_fields(self) -> None:
        """Ids, digests, modes and manifests are what they are called."""
        self.malformed("file_id", "", "a b", "x" * 65, "../x", "\x1b", 7, None)
        self.malformed("sha256", "", "0" * 63, "g" * 64, 7, None)
        self.malformed("mode", "", "both", 7, True)
        self.malformed("manifest", "AAAA", "@@@@", 7)
        self.malformed("content_sig", "@@@@", 7)

    def test_chunks(self) -> None:
        """The same for chunks: the index is a number, the piece is base64url."""
        self.alice.start_file("bob")
        self.bob.forget()
        bad: dict[str, list[Any]] = {
            "index": [-1, 2**32 + 1, "0", True, None],
            "ciphertext": ["", "@@@@", "AAAA=", 7, None, {}],
        }
        for field, values in bad.items():
            for value in values:
                self.alice.forget()
                self.alice.chunk("bob", **{"index": 0, field: value})
                code, detail = self.alice.fault()
                self.assertEqual(code, "MALFORMED", (field, value))
                self.assertIn(f"payload.{field}", detail)
        self.assertEqual(self.bob.received, [])

    def test_max_transfers(self) -> None:
        """The fourth is refused and the limit named; an end makes room."""
        for number in range(3):
            self.alice.start_file("bob", f"f{number}")
        self.alice.forget()
        self.alice.start_file("bob", "f3")
        self.assertEqual(
            self.alice.fault(), ("LIMIT", "max-transfers: 3 are under way")
        )
        self.alice.end_file("bob", "f1")
        self.alice.forget()
        self.alice.start_file("bob", "f3")
        self.assertEqual(self.alice.outcomes(), [("start", "delivered")])

    def test_room_without_recipient(self) -> None:
        """An end that reaches nobody makes room, too."""
        for number in range(3):
            self.alice.start_file("bob", f"f{number}")
        self.bob.leave()
        for number in range(3):
            self.alice.end_file("bob", f"f{number}")
        self.users(self.a, "bob")
        self.alice.forget()
        self.alice.start_file("bob", "f3")
        self.assertEqual(self.alice.outcomes(), [("start", "delivered")])

    def test_foreign_key(self) -> None:
        """A file under another user's key is refused."""
        self.alice.start_file("bob", sender_pub=pub_of("bob"))
        self.assertEqual(self.alice.fault()[0], "BAD_KEY")

    def test_foreign_sender(self) -> None:
        """So is one in another user's name, at each step."""
        self.alice.start_file("bob")
        self.alice.forget()
        self.alice.start_file("bob", "f2", sender="bob")
        self.alice.chunk("bob", sender="bob")
        self.alice.end_file("bob", sender="bob")
        self.alice.answer_file("bob", sender="bob")
        self.assertEqual(self.alice.errors(), ["NOT_ALLOWED"] * 4)

    def test_two_recipients(self) -> None:
        """Envelope and payload that disagree are refused."""
        file = {"file_id": "f1", "name": "x", "size": 3, "sha256": SHA256}
        self.alice.say("FILE_START", "alice", "bob", {**file, "to": "alice"})
        self.assertEqual(self.alice.fault()[0], "MALFORMED")

    def test_s18_login_first(self) -> None:
        """S18, R22: without a login there are no files, and no mute connection."""
        stranger = self.person(self.a)
        stranger.user_id = "alice"
        stranger.start_file("bob")
        stranger.chunk("bob")
        stranger.end_file("bob")
        stranger.answer_file("bob")
        self.assertEqual(stranger.errors(), ["NOT_ALLOWED"] * 4)
        self.assertEqual(self.bob.received, [])
        stranger.enter("carol")
        self.assertIn("USER_LOGGED_IN", stranger.heard())
