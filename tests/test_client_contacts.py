"""Who is believed to be there, and what a hostile list cannot do."""

from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from socp_twisted.client import events as told
from socp_twisted.client.files import Policy
from socp_twisted.client.pins import MAX_PINS, Pin, PinFile
from socp_twisted.errors import Refused
from socp_twisted.trust.sealing import seal
from socp_twisted.trust.signatures import direct_content, sign
from socp_twisted.wire.encoding import b64u_encode
from tests.client_peer import NOW, Server, deliver, fingerprint
from tests.vector_files import private, public, vectors

PIN = Pin(fingerprint("srv-b"))


class ContactTests(SynchronousTestCase):
    """An entry that cannot be right is refused by itself, and the others stand."""

    def setUp(self) -> None:
        """Alice and bob, logged in."""
        self.server = Server()
        self.folder = Path(self.mktemp())
        self.alice = self.server.enter("alice", self.folder)
        self.bob = self.server.enter("bob", self.folder)
        self.alice.events.clear()

    def entry(self, **changed: Any) -> dict[str, Any]:
        """Return what a server says of a user carol."""
        carol = {"user_id": "carol", "pubkey": public("srv-c").text}
        return {**self.server.entry(self.bob), **carol, **changed}

    def say(self, type: str, payload: dict[str, Any]) -> None:
        """Let the server tell alice something."""
        self.server.say(self.alice, type, payload)
        self.server.pump()

    def test_bad_entries(self) -> None:
        """Ids that are none, keys that are none."""
        keys = list(vectors("keys")["bad_public_keys"].values())
        ids = ["*", "public", "a b", "", 5, None, "x\x1b"]
        spoilt = [{"user_id": one} for one in ids]
        spoilt += [{"pubkey": one} for one in [*keys, None, 5]]
        for change in spoilt:
            self.say("USER_ADDED", self.entry(**change))
        self.assertEqual(len(self.alice.told(told.FrameRefused)), len(spoilt))
        self.assertEqual(self.alice.told(told.UserJoined), [])

    def test_odd_fields(self) -> None:
        """Wrong optional fields are read as nothing, and long names are cut."""
        odd = self.entry(extras={"a": 1}, server_id=5, display_name="x" * 500)
        self.say("USER_ADDED", odd)
        [joined] = self.alice.told(told.UserJoined)
        contact = joined.contact
        self.assertEqual((contact.extras, contact.server_id), (frozenset(), ""))
        self.assertEqual(len(contact.display_name), 64)

    def test_parts(self) -> None:
        """A list in parts is complete with the last; a missing part spoils it."""
        one, two = self.server.entry(self.bob), self.entry()
        self.say("LIST_RESPONSE", {"users": [one], "part": 1, "parts": 2})
        self.assertEqual(self.alice.told(told.UserList), [])
        self.say("LIST_RESPONSE", {"users": [two], "part": 2, "parts": 2})
        [listed] = self.alice.told(told.UserList)
        self.assertEqual([user.user_id for user in listed.users], ["bob", "carol"])
        bad: tuple[dict[str, Any], ...] = (
            {"part": 2, "parts": 2},
            {"part": 1, "parts": 10**6},
            {"part": "1"},
            {"users": 5},
        )
        for change in bad:
            self.say("LIST_RESPONSE", {"users": [], "part": 1, "parts": 1, **change})
        self.assertEqual(len(self.alice.told(told.FrameRefused)), len(bad))
        self.assertTrue(self.alice.session.whois("bob").online)

    def test_not_listed(self) -> None:
        """Whoever is not in the list has left."""
        self.say("LIST_RESPONSE", {"users": [self.entry()]})
        self.assertFalse(self.alice.session.whois("bob").online)

    def test_snapshot(self) -> None:
        """The channel's members are for display: what is no id is left out."""
        self.say("PUBLIC_CHANNEL_SNAPSHOT", {"version": 3, "members": ["b", "a", "*"]})
        [members] = self.alice.told(told.ChannelMembers)
        self.assertEqual(members, told.ChannelMembers(3, ("a", "b")))
        self.say("PUBLIC_CHANNEL_SNAPSHOT", {"version": "3"})
        self.assertEqual(len(self.alice.told(told.FrameRefused)), 1)

    def test_first_sight_in_a_message(self) -> None:
        """A message from somebody who has left again pins their key."""
        ciphertext = seal(public("alice"), b"hello")
        content = direct_content(ciphertext, "carol", "alice", NOW)
        payload = {
            "ciphertext": b64u_encode(ciphertext),
            "sender": "carol",
            "sender_pub": public("srv-c").text,
            "content_sig": sign(private("srv-c"), content),
            "ts": NOW,
        }
        deliver(self.server, self.alice, payload)
        self.assertEqual(len(self.alice.told(told.TextReceived)), 1)
        self.assertEqual(
            self.alice.session.fingerprints("carol"),
            (fingerprint("alice"), fingerprint("srv-c"), ""),
        )
        no_key = {**payload, "sender": "dave", "sender_pub": ""}
        deliver(self.server, self.alice, no_key)
        [refused] = self.alice.told(told.FrameRefused)
        self.assertIn("no key", refused.reason)

    def test_changed_key_is_left_out(self) -> None:
        """To everybody means: to everybody whose key is the pinned one."""
        changed = self.server.entry(self.bob, pubkey=public("srv-c").text)
        self.say("USER_ADDED", changed)
        self.alice.session.all("hello", NOW)
        path = Path(self.mktemp())
        path.write_bytes(b"x")
        self.alice.session.send_file("public", path, NOW)
        self.server.pump()
        [missed] = self.alice.told(told.NotDelivered)
        self.assertEqual((missed.to, missed.code), ("bob", "BAD_KEY"))
        [failed] = self.alice.told(told.FileFailed)
        self.assertIn("changed", failed.reason)

    def test_too_many(self) -> None:
        """A server that invents users fills neither the memory nor the disk."""
        pins = self.alice.session._pins.users
        for number in range(MAX_PINS):
            pins.meet(f"invented-{number}", PIN)
        self.say("USER_ADDED", self.entry())
        [refused] = self.alice.told(told.FrameRefused)
        self.assertEqual(refused.reason, "more users than can be remembered")
        self.assertIsNone(pins.get("carol"))
        self.assertEqual(len(self.alice.session.contacts.online()), 1)

    def test_unknown(self) -> None:
        """Of whom nothing is known, nothing is told."""
        for ask in (self.alice.session.whois, self.alice.session.fingerprints):
            with self.assertRaises(Refused):
                ask("nobody")


class StorageTests(SynchronousTestCase):
    """A disk that says no is a reason, not a crash."""

    def test_downloads(self) -> None:
        """Where files cannot be stored the sender hears that, and we hear why."""
        server, folder = Server(), Path(self.mktemp())
        folder.write_text("no folder")
        alice = server.enter("alice", folder)
        bob = server.enter("bob", folder / "sub", policy=Policy.ALWAYS)
        alice.session.send_file("bob", folder, NOW)
        server.pump()
        [here] = bob.told(told.FileFailed)
        self.assertIn("cannot write", here.reason)
        [there] = alice.told(told.FileFailed)
        self.assertIn("cannot store", there.reason)

    def test_pins(self) -> None:
        """Pins that cannot be written are reported once, and tried again."""
        home = Path(self.mktemp())
        server = Server()
        alice = server.attach("alice", home)
        alice.session._pins.users = PinFile(home / "known_users.json")
        home.write_text("no folder")
        alice.session.login(NOW)
        server.pump()
        server.enter("bob", home)
        for _ in range(3):
            server.tick(1)
        self.assertEqual(len(alice.told(told.PinsNotSaved)), 1)
        home.unlink()
        server.tick(1)
        self.assertTrue((home / "known_users.json").exists())
