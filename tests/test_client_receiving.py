"""What does a client take of a file, and of somebody who means no good?"""

import hashlib
import json
from typing import Any

from socp_twisted.client import events as told
from socp_twisted.client.receiving import MAX_INCOMING
from socp_twisted.client.sending import MAX_OUTGOING
from socp_twisted.trust.sealing import seal
from socp_twisted.trust.signatures import direct_content, sign
from socp_twisted.wire.encoding import b64u_encode
from socp_twisted.wire.payloads import MAX_FILE
from tests.client_peer import NOW, FileCase, User, fingerprint
from tests.vector_files import private, public

DATA = b"x" * 1000


class OfferCase(FileCase):
    """Whatever alice's client might say of a file, and bob's client, which hears it."""

    def fields(self, **changed: Any) -> dict[str, Any]:
        """Return the standard's fields of FILE_START, and who sends it."""
        return {
            "file_id": "f1",
            "name": "notes.txt",
            "size": len(DATA),
            "sha256": hashlib.sha256(DATA).hexdigest(),
            "mode": "dm",
            "sender": "alice",
            "ts": NOW,
            **changed,
        }

    def signed(self, secret: bytes = bytes(32), **changed: Any) -> dict[str, Any]:
        """Return an offer with a manifest that alice has signed."""
        fields = self.fields(**changed)
        manifest = {**fields, "key": b64u_encode(secret)}
        sealed = seal(public("bob"), json.dumps(manifest).encode())
        content = direct_content(sealed, "alice", "bob", fields["ts"])
        sig = sign(private("alice"), content)
        return {**fields, "manifest": b64u_encode(sealed), "content_sig": sig}

    def say(self, type: str, payload: dict[str, Any], user: User | None = None) -> None:
        """Let the server pass something on, to bob if nobody else is named."""
        self.server.say(user or self.bob, f"FILE_{type}_DELIVER", payload)
        self.server.pump()

    def send_all(self, file_id: str = "f1") -> None:
        """Pass the chunks on, as the standard's clients seal them, and the end."""
        about = {"file_id": file_id, "sender": "alice"}
        for index, start in enumerate(range(0, len(DATA), 446)):
            block = b64u_encode(seal(public("bob"), DATA[start : start + 446]))
            self.say("CHUNK", {**about, "index": index, "ciphertext": block})
        self.say("END", about)

    def refused(self) -> str:
        """Return why the only frame that was refused was."""
        [refused] = self.bob.told(told.FrameRefused)
        return refused.reason


class SignedTests(OfferCase):
    """What the sender has signed is offered, once, if it can be."""

    def test_offered(self) -> None:
        """The offer that the other tests spoil is good."""
        self.say("START", self.signed())
        [offer] = self.bob.told(told.FileOffered)
        self.assertTrue(offer.signed and offer.question)

    def test_key(self) -> None:
        """A key of another length than AES-256 has is none."""
        self.say("START", self.signed(bytes(16)))
        self.assertEqual(self.refused(), "the manifest's key has not 32 bytes")
        self.assertEqual(self.bob.told(told.FileOffered), [])

    def test_too_large(self) -> None:
        """A file that is too large is not offered, to the byte."""
        self.say("START", self.signed(size=MAX_FILE))
        self.assertEqual(len(self.bob.told(told.FileOffered)), 1)
        self.say("START", self.signed(size=MAX_FILE + 1, file_id="f2"))
        self.assertIn("payload.size", self.refused())

    def test_again(self) -> None:
        """An offer that somebody recorded is not made again."""
        offer = self.signed()
        self.say("START", offer)
        self.bob.session.stop_file("f1", "", NOW)
        self.bob.events.clear()
        self.say("START", offer)
        self.assertEqual(self.refused(), "the same message was received before")
        self.assertEqual(self.bob.told(told.FileOffered), [])

    def test_first_sight(self) -> None:
        """Who was never met is known by the key of the offer from then on."""
        offer = self.signed(sender_pub=public("alice").text)
        self.server.users.remove(self.alice)
        bob = self.server.enter("bob", self.folder)
        bob.events.clear()
        self.say("START", offer, bob)
        pinned = told.UserPinned("alice", fingerprint("alice"))
        self.assertEqual(bob.told(told.UserPinned), [pinned])

    def test_too_many(self) -> None:
        """Of sixteen offers at a time each waits, and the next is declined."""
        carol = self.server.enter("carol", self.folder, key="srv-c")
        dave = self.server.enter("dave", self.folder, key="srv-b")
        path = self.file(1)
        for user in (self.alice, carol):
            for _ in range(MAX_OUTGOING):
                user.session.send_file("bob", path, NOW)
        self.server.pump()
        self.assertEqual(len(self.bob.told(told.FileOffered)), MAX_INCOMING)
        dave.session.send_file("bob", path, NOW)
        self.server.pump()
        [failed] = dave.told(told.FileFailed)
        self.assertEqual(failed.reason, "too many files at one time")
        self.assertEqual(self.bob.told(told.FileOffered), [])


class UnsignedTests(OfferCase):
    """What nobody has signed fills neither the disk nor another's file."""

    def setUp(self) -> None:
        """Alice's client is of the standard's kind: it signs no files."""
        super().setUp()
        self.alice.extras = []
        self.server.say(self.bob, "USER_ADDED", self.server.entry(self.alice))
        self.bob.events.clear()

    def failed(self, reason: str) -> None:
        """Fail unless the file is gone, for that reason alone."""
        [failed] = self.bob.told(told.FileFailed)
        self.assertEqual(failed.reason, reason)
        self.assertEqual(self.bob.told(told.FrameRefused), [])
        self.assert_nothing_left()

    def arrived(self) -> None:
        """Fail unless bob can have the file whole."""
        self.bob.session.accept_file("f1", NOW)
        self.server.pump()
        [got] = self.bob.told(told.FileReceived)
        self.assertEqual(got.path.read_bytes(), DATA)

    def test_more_than_announced(self) -> None:
        """Nobody fills the disk with more than they said that they would send."""
        self.say("START", self.fields(size=500))
        self.send_all()
        self.failed("a chunk has not the size that was announced")

    def test_less_than_announced(self) -> None:
        """A file of which something is missing is gone."""
        self.say("START", self.fields(size=1001))
        self.send_all()
        self.failed("the file ended early")

    def test_gap(self) -> None:
        """So is one whose chunks do not come one after the other."""
        self.server.alter = lambda type, payload: payload.update(
            {"index": 5} if payload.get("index") == 1 else {}
        )
        self.say("START", self.fields())
        self.send_all()
        self.failed("a chunk is missing")

    def test_after_the_end(self) -> None:
        """What comes after the end is part of nothing."""
        self.say("START", self.fields())
        self.send_all()
        block = b64u_encode(seal(public("bob"), b"x"))
        more = {"file_id": "f1", "sender": "alice", "index": 3, "ciphertext": block}
        self.say("CHUNK", more)
        self.failed("a chunk came that was not due")

    def test_of_another(self) -> None:
        """Nobody else adds to a file, ends it or breaks it off."""
        self.say("START", self.fields())
        about = {"file_id": "f1", "sender": "carol"}
        block = b64u_encode(seal(public("bob"), b"x"))
        for type, payload in (
            ("CHUNK", {**about, "index": 0, "ciphertext": block}),
            ("END", about),
            ("END", {**about, "aborted": True}),
        ):
            self.say(type, payload)
            self.assertEqual(self.refused(), "part of a file that was never offered")
        self.send_all()
        self.arrived()

    def test_same_id(self) -> None:
        """An id names one file, while it comes and afterwards."""
        self.say("START", self.fields())
        self.send_all()
        again = self.fields(name="another.txt", sender="carol")
        for _ in range(2):
            self.say("START", again)
            self.assertEqual(self.refused(), "a file with this id was offered before")
        self.arrived()
        self.say("START", again)
        self.assertEqual(self.refused(), "a file with this id was offered before")

    def test_too_many(self) -> None:
        """Two fill the disk at a time before our user was asked; a third does not."""
        for number in range(3):
            self.say("START", self.fields(file_id=f"f{number}"))
        [failed] = self.bob.told(told.FileFailed)
        found = (failed.file_id, failed.reason)
        self.assertEqual(found, ("f2", "too many files at one time"))
        self.assertEqual(len(self.bob.told(told.FileOffered)), 2)
