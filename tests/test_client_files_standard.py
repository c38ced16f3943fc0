"""How do files travel to and from clients of the standard's kind?"""

import hashlib
from typing import Any

from socp_twisted.client import events as told
from socp_twisted.client.files import Policy
from socp_twisted.trust.sealing import seal
from socp_twisted.wire.encoding import b64u_encode
from tests.client_peer import NOW, FileCase, Server, User
from tests.vector_files import public


class StandardTests(FileCase):
    """With clients of the standard's kind files go block by block, unanswered."""

    def plain(self, user: User, extras: list[str]) -> None:
        """Let everybody believe that a client can no more than ``extras``."""
        user.extras = extras
        for other in (self.alice, self.bob):
            self.server.say(other, "USER_ADDED", self.server.entry(user))

    def test_to_plain(self) -> None:
        """The chunks go at once, in blocks of 446 bytes, or 64 at a time."""
        for extras, chunks in (([], 7), (["blocks"], 1)):
            self.plain(self.bob, extras)
            self.alice.sent.clear()
            file_id = self.send(self.file(3000, "a.bin"))
            self.assertEqual(len(self.alice.frames("FILE_CHUNK")), chunks)
            [sent] = self.alice.told(told.FileSent)
            self.assertFalse(sent.confirmed)
            [offer] = self.bob.told(told.FileOffered)
            self.assertTrue(offer.signed)
            self.bob.session.accept_file(file_id, NOW)
            [got] = self.bob_received()
            self.assertEqual(got.path.read_bytes(), (self.home / "a.bin").read_bytes())

    def bob_received(self) -> list[told.FileReceived]:
        """Return what bob has received by now."""
        self.server.pump()
        return self.bob.told(told.FileReceived)

    def from_plain(self, data: bytes, **changed: Any) -> None:
        """Let a spec-pure client of alice's send a file to bob."""
        self.plain(self.alice, [])
        self.bob.events.clear()
        start = {
            "file_id": "f1",
            "name": "../a.txt",
            "size": len(data),
            "sha256": hashlib.sha256(data).hexdigest(),
            "mode": "dm",
            "sender": "alice",
            "ts": NOW,
            **changed,
        }
        self.server.say(self.bob, "FILE_START_DELIVER", start)
        for index in range(0, len(data), 446):
            block = seal(public("bob"), data[index : index + 446])
            chunk = {
                "file_id": "f1",
                "index": index // 446,
                "ciphertext": b64u_encode(block),
                "sender": "alice",
            }
            self.server.say(self.bob, "FILE_CHUNK_DELIVER", chunk)
        end = {"file_id": "f1", "sender": "alice"}
        self.server.say(self.bob, "FILE_END_DELIVER", end)
        self.server.pump()

    def test_from_plain(self) -> None:
        """It waits as a nameless draft until our user has decided."""
        self.from_plain(b"x" * 1000)
        [offer] = self.bob.told(told.FileOffered)
        self.assertEqual((offer.name, offer.signed), ("a.txt", False))
        self.assertEqual(self.bob_received(), [])
        self.bob.session.accept_file("f1", NOW)
        [got] = self.bob_received()
        self.assertEqual(got.path, (self.folder / "a.txt").absolute())
        self.assertEqual(self.bob.frames("FILE_ANSWER"), [])

    def test_never_by_itself(self) -> None:
        """Even where files are always taken, an unsigned one is a question."""
        self.bob.session.files.configure(Policy.ALWAYS)
        self.from_plain(b"x")
        self.assertEqual(self.bob_received(), [])
        self.bob.session.stop_file("f1", "", NOW)
        self.assert_nothing_left()

    def test_wrong_hash(self) -> None:
        """A file that is not what was announced is gone."""
        self.from_plain(b"x" * 10, sha256="0" * 64)
        [failed] = self.bob.told(told.FileFailed)
        self.assertIn("SHA-256", failed.reason)
        self.assert_nothing_left()

    def test_silent_server(self) -> None:
        """Where nothing is answered, the window moves with the clock."""
        self.server = Server(style="original")
        alice = self.server.enter("alice", self.home)
        bob = self.server.enter("bob", self.folder)
        for user in (alice, bob):
            user.extras = []
            self.server.arrive(user)
        self.alice, self.bob = alice, bob
        self.send(self.file(446 * 20))
        self.assertEqual(len(alice.frames("FILE_CHUNK")), 8)
        self.assertLess(alice.session.tick(NOW), 0.1)
        self.server.pump()
        alice.session.tick(NOW)
        self.server.pump()
        self.assertEqual(len(alice.told(told.FileSent)), 1)
        self.assertEqual(len(bob.told(told.FileOffered)), 1)
