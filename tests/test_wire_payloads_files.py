"""Which offers of a file are read, and what is a plain file name?  (SOCP 9.4)"""

from typing import Any

from hypothesis import given
from twisted.trial.unittest import SynchronousTestCase

from socp_twisted.errors import MalformedFrame
from socp_twisted.wire.payloads import FileChunk, FileEnd, FileStart, unprintable
from tests.payload_values import BAD_NAMES, LEAST, SHA256
from tests.strategies import file_names, quick


class FileTests(SynchronousTestCase):
    """What is offered as a file is a plain name, a size, and a hash."""

    def offered(self, **fields: Any) -> FileStart:
        """Read the least FILE_START with some fields exchanged."""
        return FileStart.read({**LEAST[FileStart], **fields})

    def test_s18(self) -> None:
        """A name that leads out of the folder and a negative size are refused."""
        for field in ({"name": "../../etc/passwd\x1b[2J"}, {"size": -5}):
            [name] = field
            with self.assertRaisesRegex(MalformedFrame, f"payload.{name} must be"):
                self.offered(**field)

    def test_refusal_is_printable(self) -> None:
        """The sentence that refuses a name does not repeat it."""
        for name in BAD_NAMES:
            with self.assertRaises(MalformedFrame) as caught:
                self.offered(name=name)
            self.assertEqual(
                str(caught.exception),
                "payload.name must be a plain file name of 1 to 255 bytes",
            )

    def test_names(self) -> None:
        """Any script is welcome, with the joiners that it needs, up to 255 bytes."""
        for name in (
            *("a b.txt", "...", ".profile", "~", "-rf", "C:", "it's.txt"),
            "\U0001f469\u200d\U0001f680.png",  # an astronaut: woman, joiner, rocket
            "\u2764\ufe0f.png",
            "\u0646\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645.txt",  # Persian
            "e\u0301.txt",
            *("a" * 255, "\u00e9" * 127, "\U0001f600" * 63),
        ):
            self.assertEqual(self.offered(name=name).name, name)

    @quick
    @given(file_names)
    def test_any_name(self, name: str) -> None:
        """A name without a separator or a control is taken to the letter."""
        self.assertEqual(self.offered(name=name).name, name)

    def test_edges(self) -> None:
        """An empty file and the largest one, either case of hex, the last chunk."""
        for size in (0, 1, 100 * 1024 * 1024):
            self.assertEqual(self.offered(size=size).size, size)
        self.assertEqual(self.offered(sha256=SHA256.upper()).sha256, SHA256.upper())
        for file_id in ("a", "-_9Z", "a" * 64, "123e4567-e89b-42d3-a456-426614174000"):
            self.assertEqual(self.offered(file_id=file_id).file_id, file_id)
        chunk = {**LEAST[FileChunk], "index": 2**32}
        self.assertEqual(FileChunk.read(chunk).index, 2**32)

    def test_mode(self) -> None:
        """A file without a mode is for one user."""
        self.assertEqual(self.offered().mode, "dm")
        self.assertEqual(self.offered(mode="public").write()["mode"], "public")

    def test_answer(self) -> None:
        """Only ``true`` accepts: silence on it declines."""
        self.assertIs(FileEnd.read({"file_id": "f"}).accept, False)
        self.assertIs(FileEnd.read({"file_id": "f", "accept": True}).accept, True)


class UnprintableTests(SynchronousTestCase):
    """What steers a terminal is told from what shows on it."""

    def test_terminal_controls(self) -> None:
        """Controls, bidi marks, line separators, surrogates."""
        for char in "\x00\t\n\x1b\x7f\x9b\u00ad\u061c\u200b\u200e\u200f\u2028":
            self.assertTrue(unprintable(char), ascii(char))
        for char in "\u2029\u202a\u202e\u2060\u2066\u2069\ufeff\ud800\U000e0041":
            self.assertTrue(unprintable(char), ascii(char))

    def test_showing(self) -> None:
        """Letters, marks, spaces, emoji and the two joiners."""
        for char in " a\u00a0\u00e9\u0301\u05d0\u200c\u200d\u4e2d\ufe0f\U0001f600":
            self.assertFalse(unprintable(char), ascii(char))
