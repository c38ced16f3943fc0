"""How do files travel between two users, and what is left when they do not?"""

from dataclasses import replace
from typing import Any

from socp_twisted.client import events as told
from socp_twisted.client.files import Policy
from socp_twisted.client.manifest import AES_CHUNK, LARGE_CHUNK
from socp_twisted.errors import ConfigurationError, Refused
from socp_twisted.trust.sealing import seal
from socp_twisted.wire.encoding import b64u_decode, b64u_encode
from socp_twisted.wire.vocabulary import EXTRA_LARGE
from tests.client_peer import NOW, FileCase
from tests.vector_files import public

SIZES = (0, 1, LARGE_CHUNK, LARGE_CHUNK + 1, 4 * LARGE_CHUNK + 7)


class TransferTests(FileCase):
    """A file that is accepted arrives whole, under a free name."""

    policy = Policy.ALWAYS

    def test_sizes(self) -> None:
        """From nothing to many chunks, byte for byte."""
        for number, size in enumerate(SIZES):
            path = self.file(size, f"{number}.bin")
            file_id = self.send(path)
            self.assertEqual(
                self.alice.told(told.FileSent),
                [told.FileSent(file_id, "bob", path.name, size, True)],
            )
            [got] = self.bob.told(told.FileReceived)
            self.assertEqual((got.sender, got.size, got.signed), ("alice", size, True))
            self.assertEqual(got.path.read_bytes(), path.read_bytes())
        self.assertEqual(len(list(self.folder.iterdir())), len(SIZES))

    def test_same_name(self) -> None:
        """The second file of a name does not replace the first."""
        for content in ("one", "two"):
            path = self.home / "a.txt"
            path.write_text(content)
            self.send(path)
        texts = {one.name: one.read_text() for one in self.folder.iterdir()}
        self.assertEqual(texts, {"a.txt": "one", "a (1).txt": "two"})

    def test_window(self) -> None:
        """Never more than eight chunks are unanswered, of a client of before."""
        known = self.alice.session.contacts._known
        known["bob"] = replace(known["bob"], extras=known["bob"].extras - {EXTRA_LARGE})
        self.server.silent = {"FILE_CHUNK"}
        self.send(self.file(20 * AES_CHUNK))
        self.assertEqual(len(self.alice.frames("FILE_CHUNK")), 8)

    def test_large_chunks(self) -> None:
        """Who takes large chunks gets them, and fewer wait for an answer."""
        self.server.silent = {"FILE_CHUNK"}
        self.send(self.file(3 * LARGE_CHUNK))
        sizes = [
            len(b64u_decode(one["payload"]["ciphertext"]))
            for one in self.alice.frames("FILE_CHUNK")
        ]
        self.assertEqual(sizes, [LARGE_CHUNK + 16] * 2)

    def test_progress(self) -> None:
        """Both sides see it grow to the end, in bounded steps."""
        self.send(self.file(20 * AES_CHUNK))
        for user, incoming in ((self.alice, False), (self.bob, True)):
            seen = user.told(told.FileProgress)
            self.assertEqual(seen[-1].done, 20 * AES_CHUNK)
            self.assertEqual([one.incoming for one in seen], [incoming] * len(seen))
            self.assertEqual(sorted(seen, key=lambda one: one.done), seen)
            self.assertLessEqual(len(seen), 101)

    def test_public(self) -> None:
        """One transfer for each member, each under its own key."""
        ids = self.alice.session.send_file("public", self.file(10), NOW)
        self.server.pump()
        self.assertEqual(set(ids), {"bob"})
        [offer] = self.bob.told(told.FileOffered)
        self.assertTrue(offer.public)

    def test_nothing_in_clear(self) -> None:
        """The server sees name and size, and neither key nor content."""
        path = self.home / "secret.txt"
        path.write_bytes(b"attack at dawn" * 10)
        self.send(path)
        self.assertNotIn("attack at dawn", str(self.alice.sent))
        self.assertNotIn(b64u_encode(b"attack at dawn")[:12], str(self.alice.sent))

    def test_unreadable(self) -> None:
        """What cannot be sent is one sentence, and nothing goes out."""
        with self.assertRaisesRegex(ConfigurationError, "cannot read"):
            self.send(self.home / "missing")
        with self.assertRaisesRegex(Refused, "no ordinary file"):
            self.send(self.home)
        big = self.home / "big"
        with big.open("wb") as file:
            file.truncate(100 * 1024 * 1024 + 1)
        with self.assertRaisesRegex(Refused, "at most"):
            self.send(big)
        with self.assertRaisesRegex(Refused, "nobody"):
            self.send(self.file(1), "carol")

    def test_many(self) -> None:
        """More files than may be open at one time wait, and all arrive."""
        path = self.file(10)
        for _ in range(12):
            self.alice.session.send_file("bob", path, NOW)
        self.server.pump()
        self.assertEqual(len(self.bob.told(told.FileReceived)), 12)


class OfferTests(FileCase):
    """Our user decides; silence is no consent."""

    def test_accepted(self) -> None:
        """No chunk comes before the answer."""
        file_id = self.send(self.file(10, "a.txt"))
        self.assertEqual(
            self.bob.events,
            [told.FileOffered(file_id, "alice", "a.txt", 10, False, True, True)],
        )
        self.assertEqual(self.alice.frames("FILE_CHUNK"), [])
        self.bob.session.accept_file(file_id, NOW)
        self.server.pump()
        self.assertEqual(len(self.bob.told(told.FileReceived)), 1)

    def test_declined(self) -> None:
        """The sender hears why."""
        file_id = self.send(self.file(10))
        self.bob.session.stop_file(file_id, "not now", NOW)
        self.server.pump()
        [failed] = self.alice.told(told.FileFailed)
        self.assertEqual(failed.reason, "not now")
        self.assert_nothing_left()

    def test_answer_of_another(self) -> None:
        """Nobody else takes a file, declines it, or says that it arrived."""
        file_id = self.send(self.file(10))
        answer = {"file_id": file_id, "sender": "carol"}
        for said in ({"accept": True}, {"accept": True, "done": True}, {}):
            self.server.say(self.alice, "FILE_ANSWER_DELIVER", {**answer, **said})
        self.server.pump()
        self.assertEqual(self.alice.frames("FILE_CHUNK"), [])
        self.assertEqual(self.alice.told(told.FileFailed), [])
        self.bob.session.accept_file(file_id, NOW)
        self.server.pump()
        self.assertEqual(len(self.alice.told(told.FileSent)), 1)

    def test_never(self) -> None:
        """A closed door answers by itself."""
        self.bob.session.files.configure(Policy.NEVER)
        self.send(self.file(10))
        [failed] = self.alice.told(told.FileFailed)
        self.assertIn("not accepted", failed.reason)
        self.assertEqual(self.bob.told(told.FileOffered), [])

    def test_no_decision(self) -> None:
        """Ten minutes later both sides have forgotten it."""
        self.send(self.file(10))
        self.server.tick(601)
        self.assertEqual(len(self.alice.told(told.FileFailed)), 1)
        self.assertEqual(len(self.bob.told(told.FileFailed)), 1)

    def test_not_shown(self) -> None:
        """An offer that was lost on its last way is no question for ten minutes."""
        self.patch(self.bob.session, "receive", lambda *frame: None)
        self.send(self.file(10))
        self.server.tick(29)
        self.assertEqual(self.alice.told(told.FileFailed), [])
        self.server.tick(2)
        [failed] = self.alice.told(told.FileFailed)
        self.assertEqual(failed.reason, "their client does not answer")

    def test_shown(self) -> None:
        """Who was asked has time, and who is asked by an older client, too."""
        file_id = self.send(self.file(10))
        [answer] = self.bob.frames("FILE_ANSWER")
        self.assertEqual(answer["payload"]["asked"], True)
        self.server.tick(590)
        self.bob.session.accept_file(file_id, NOW)
        self.server.pump()
        self.assertEqual(len(self.alice.told(told.FileSent)), 1)

    def test_unknown(self) -> None:
        """What was not offered cannot be accepted or stopped."""
        with self.assertRaises(Refused):
            self.bob.session.accept_file("x", NOW)
        with self.assertRaises(Refused):
            self.bob.session.stop_file("x", "", NOW)


class BreakOffTests(FileCase):
    """However a transfer ends early: both sides say so, and nothing is left."""

    def half(self) -> str:
        """Bring a transfer half-way; return its id."""
        file_id = self.send(self.file(20 * AES_CHUNK))
        self.server.silent = {"FILE_CHUNK"}
        self.bob.session.accept_file(file_id, NOW)
        self.server.pump()
        self.assertEqual(len(list(self.folder.iterdir())), 1)
        return file_id

    def assert_both_failed(self, reason: str) -> None:
        """Each side was told once, and why."""
        for user in (self.alice, self.bob):
            [failed] = user.told(told.FileFailed)
            self.assertIn(reason, failed.reason)
        self.assert_nothing_left()

    def test_sender(self) -> None:
        """The sender breaks off."""
        file_id = self.half()
        self.alice.session.stop_file(file_id, "wrong file", NOW)
        self.server.pump()
        self.assert_both_failed("wrong file")

    def test_receiver(self) -> None:
        """The receiver breaks off; chunks under way are no news."""
        file_id = self.half()
        self.bob.session.stop_file(file_id, "too slow", NOW)
        self.server.pump()
        self.assert_both_failed("too slow")
        self.assertEqual(self.bob.told(told.FrameRefused), [])

    def test_connections(self) -> None:
        """Either connection breaks."""
        self.half()
        for user in (self.alice, self.bob):
            user.session.lost(NOW, "cut off")
        self.server.pump()
        self.assert_both_failed("cut off")

    def test_new_connection(self) -> None:
        """Who was offered it on a connection before this one says so, once."""
        file_id = self.half()
        self.bob.session.lost(NOW, "cut off")
        self.bob.session.files._receiving._closed.clear()  # as a new process
        late = {"file_id": file_id, "sender": "alice", "index": 9, "ciphertext": "AAAA"}
        before = len(self.bob.frames("FILE_ANSWER"))
        self.bob.session.connected()
        self.bob.session.login(NOW)
        self.server.pump()
        for _ in range(2):
            self.server.say(self.bob, "FILE_CHUNK_DELIVER", late)
        self.server.pump()
        self.assertEqual(len(self.bob.frames("FILE_ANSWER")), before + 1)
        [failed] = self.alice.told(told.FileFailed)
        self.assertEqual(failed.reason, "the offer is lost")

    def test_sender_leaves(self) -> None:
        """The other user leaves."""
        self.half()
        self.server.leave(self.alice)
        [failed] = self.bob.told(told.FileFailed)
        self.assertIn("alice has left", failed.reason)
        self.assert_nothing_left()

    def test_silence(self) -> None:
        """Chunks that are not answered, and a minute without any."""
        self.half()
        self.server.silent.add("FILE_END")
        self.server.tick(20)
        [failed] = self.alice.told(told.FileFailed)
        self.assertIn("no answer", failed.reason)
        self.server.tick(61)
        [failed] = self.bob.told(told.FileFailed)
        self.assertIn("nothing came", failed.reason)
        self.assert_nothing_left()

    def test_shrunk(self) -> None:
        """A file that shrinks while it is sent is not padded."""
        path = self.file(20 * AES_CHUNK)
        file_id = self.send(path)
        path.write_bytes(b"short")
        self.bob.session.accept_file(file_id, NOW)
        self.server.pump()
        self.assert_both_failed("shorter")

    def test_changed(self) -> None:
        """A file that changes after it was measured does not get its name."""
        path = self.file(100)
        file_id = self.send(path)
        path.write_bytes(b"y" * 100)
        self.bob.session.accept_file(file_id, NOW)
        self.server.pump()
        self.assert_both_failed("SHA-256")

    def test_altered(self) -> None:
        """A chunk that the server alters, drops or repeats ends the transfer."""
        changes: tuple[dict[str, Any], ...] = (
            {"ciphertext": b64u_encode(bytes(40))},
            {"index": 1},
            {"index": True},
            {"ciphertext": 5},
        )
        for change in changes:
            self.server.alter = lambda type, payload, change=change: (  # type: ignore[misc]
                payload.update(change) if type == "FILE_CHUNK_DELIVER" else None
            )
            file_id = self.send(self.file(10))
            self.bob.session.accept_file(file_id, NOW)
            self.server.pump()
            self.assertEqual(len(self.bob.told(told.FileFailed)), 1)
            self.assertEqual(len(self.alice.told(told.FileFailed)), 1)
            self.assert_nothing_left()


class ForgeryTests(FileCase):
    """What the sender did not sign is not offered."""

    policy = Policy.ALWAYS

    def offered(self, change: dict[str, Any]) -> None:
        """Send a file while the server changes FILE_START; bob must refuse it."""
        self.server.alter = lambda type, payload: (
            payload.update(change) if type == "FILE_START_DELIVER" else None
        )
        self.send(self.file(10))
        self.assertEqual(self.bob.told(told.FileOffered), [])
        self.assertEqual(len(self.bob.told(told.FrameRefused)), 1)
        self.assert_nothing_left()

    def test_name(self) -> None:
        """Another name beside the manifest."""
        self.offered({"name": "other.exe"})

    def test_sender(self) -> None:
        """Another sender."""
        self.offered({"sender": "carol"})

    def test_size(self) -> None:
        """A size below nothing, or no number."""
        for size in (-5, True, "10", 10**12):
            self.offered({"size": size})

    def test_recipient(self) -> None:
        """A manifest for somebody else."""
        self.offered({"manifest": b64u_encode(seal(public("alice"), b"{}"))})

    def test_signature(self) -> None:
        """No signature."""
        self.offered({"content_sig": ""})

    def test_downgrade(self) -> None:
        """A manifest that was taken away, of a sender whose client makes one."""

        def strip(type: str, payload: dict[str, Any]) -> None:
            if type == "FILE_START_DELIVER":
                del payload["manifest"]

        self.server.alter = strip
        self.send(self.file(10))
        [why] = self.bob.told(told.FrameRefused)
        self.assertIn("signature", why.reason)
