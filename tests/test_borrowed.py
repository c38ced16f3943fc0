"""Is whatever a user signed for others good for one thing alone: not for a login?"""

from typing import Any

from socp_twisted.wire.encoding import parse_object
from socp_twisted.wire.vocabulary import (
    FILE_START,
    FILE_START_DELIVER,
    MSG_DIRECT,
    MSG_PUBLIC_CHANNEL,
)
from tests.support import Site
from tests.talkers import Talker, TalkingCase
from tests.users import SHA256, Person


class BorrowedTests(TalkingCase):
    """Who has greeted as alice before she came is not let in by what she says then."""

    def thief(self, site: Site) -> Person:
        """Greet as alice, who is not online yet: her first message would let her in."""
        thief = self.person(site)
        thief.greet("alice", signed=False)
        thief.forget()
        return thief

    def said_to_all(self, alice: Talker) -> dict[str, Any]:
        """Return the one frame that she has sent for everybody."""
        frames = [parse_object(frame) for frame in alice.said]
        [found] = [one for one in frames if one["type"] == MSG_PUBLIC_CHANNEL]
        return found

    def assert_out(self, site: Site, thief: Person) -> None:
        """The thief was refused, and has no place among the users."""
        self.assertEqual(thief.outcomes(), [("steal", "NOT_ALLOWED")])
        taken = site.node.mesh.directory.local_users.get("alice", [])
        self.assertLessEqual(len(taken), 1)

    def test_for_all(self) -> None:
        """What she said to everybody, sealed once, was seen here before."""
        a = self.start()
        bob = self.enter(a, "bob")
        thief = self.thief(a)
        alice = self.enter(a, "alice")
        alice.session.all("hello", self.now())
        self.talk()
        self.assertEqual(bob.texts(), ["hello"])
        frame = self.said_to_all(alice)
        thief.say_raw({**frame, "id": "steal"})
        self.assert_out(a, thief)

    def test_for_all_elsewhere(self) -> None:
        """Her clock is ahead: so is the message, of the time at which she left."""
        a, b = self.pair()
        self.enter(b, "bob")
        alice = self.enter(a, "alice")
        alice.session.all("hello", self.now() + 30_000)
        self.talk()
        frame = self.said_to_all(alice)
        alice.leave()
        self.network.pass_time(1)
        thief = self.thief(b)
        thief.say_raw({**frame, "id": "steal"})
        self.assert_out(b, thief)
        self.assertNotIn("alice", b.node.mesh.directory.local_users)

    def test_file(self) -> None:
        """The signature of a file's manifest is, byte for byte, a message's."""
        a, b = self.pair()
        [bob] = self.users(b, "bob")
        thief = self.thief(a)
        [alice] = self.users(a, "alice")
        bob.forget()
        ts, payload = alice.message("bob")
        payload["manifest"] = payload.pop("ciphertext")
        start = {"file_id": "f1", "name": "notes.txt", "size": 3, "sha256": SHA256}
        start |= {"mode": "dm", "to": "bob", **payload}
        alice.say(FILE_START, "alice", "bob", start, ts=ts, id="start")
        got = bob.only(FILE_START_DELIVER).payload
        message = {"ciphertext": got["manifest"], "sender_pub": got["sender_pub"]}
        message["content_sig"] = got["content_sig"]
        thief.say(MSG_DIRECT, "alice", "bob", message, ts=got["ts"], id="steal")
        self.assert_out(a, thief)
