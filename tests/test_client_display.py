"""What may a stranger's text, or the name of a stranger's file, do to us?"""

import os
import unicodedata
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from socp_twisted.client.disk import MAX_NAME, Draft, safe_name
from socp_twisted.client.display import harmless, invisible

NASTY = st.text(
    st.characters()
    | st.sampled_from("\x1b\n\r\t\u202e\u2066\u200d\u200c\ufe0f\u200b\ufeff\u0301./\\")
)


class DisplayTests(SynchronousTestCase):
    """Nothing acts; everything that can be read stays."""

    def test_kept(self) -> None:
        """The languages of the world, and emoji of all kinds."""
        for text in (
            "plain ASCII, 'quotes' and \\ backslashes",
            "naïve café ✓ 😀",
            "русский, ελληνικά, 日本語, 한국어, العربية, עברית, हिन्दी, ไทย",
            "می\u200cخواهم",  # noqa: RUF001 - Persian needs its non-joiner
            "👩\u200d👩\u200d👧 🏳️\u200d🌈 ❤️ 👍🏽 🇦🇺",
            "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
        ):
            self.assertEqual(harmless(text), text)

    def test_escaped(self) -> None:
        """What moves the cursor, turns the line or hides is written out."""
        for text, shown in (
            ("\x1b[2J", "\\x1b[2J"),
            ("a\nb\tc\r", "a\\x0ab\\x09c\\x0d"),
            ("\x9b31m", "\\x9b31m"),
            ("a\u202eb", "a\\u202eb"),
            ("a\u200bb", "a\\u200bb"),
            ("pay\u200dpal", "pay\\u200dpal"),
            ("\u2028", "\\u2028"),
            ("\ud800", "\\ud800"),
            ("\U000e0041", "\\U000e0041"),
            ("a\ufe0f\ufe0f", "a\ufe0f\\ufe0f"),
        ):
            self.assertEqual(harmless(text), shown)

    def test_multiline(self) -> None:
        """Where lines are expected they stay, and nothing else does."""
        self.assertEqual(harmless("a\nb\x1b", multiline=True), "a\nb\\x1b")

    def test_piles(self) -> None:
        """Six marks on a letter are a language, sixty are an attack."""
        self.assertEqual(harmless("e\u0301"), "e\u0301")
        self.assertEqual(harmless("e" + "\u0301" * 60).count("\u0301"), 6)

    @settings(max_examples=300, deadline=None)
    @given(NASTY)
    def test_any(self, text: str) -> None:
        """No control character is left, and a second time changes nothing."""
        shown = harmless(text)
        self.assertEqual(harmless(shown), shown)
        kinds = {unicodedata.category(char) for char in shown}
        self.assertEqual(kinds & {"Cc", "Cs", "Zl", "Zp"}, set())
        self.assertFalse(set("\u202a\u202e\u2066\u2069\u200e\u200f") & set(shown))


class NameTests(SynchronousTestCase):
    """A received name is one plain file in the folder."""

    def test_names(self) -> None:
        """Paths, hidden files, escapes and devices."""
        for told, kept in (
            ("../../etc/passwd", "passwd"),
            ("C:\\Windows\\evil.exe", "evil.exe"),
            ("/", "file"),
            ("..", "file"),
            ("", "file"),
            (".bashrc", "bashrc"),
            ("\x1b[2Jname\n.txt", "[2Jname.txt"),
            ("photo\u202egpj.exe", "photogpj.exe"),
            ("CON.txt", "_CON.txt"),
            ("a:b*c?.txt", "a_b_c_.txt"),
            ("x. ", "x"),
            ("Übung 日本.pdf", "Übung 日本.pdf"),
        ):
            self.assertEqual(safe_name(told), kept)

    def test_long(self) -> None:
        """A long name is cut at a character, and keeps its ending."""
        name = safe_name("ü" * 300 + ".tar")
        self.assertLessEqual(len(name.encode()), MAX_NAME)
        self.assertTrue(name.endswith("ü.tar"))

    @settings(max_examples=300, deadline=None)
    @given(NASTY)
    def test_any(self, told: str) -> None:
        """Whatever is asked for: one visible name of bounded length, and stable."""
        name = safe_name(told)
        self.assertEqual(Path("/folder", name).parent, Path("/folder"))
        self.assertNotIn(name[0], ". ")
        self.assertLessEqual(len(name.encode()), MAX_NAME)
        self.assertFalse(any(invisible(char) for char in name))
        self.assertEqual(safe_name(name), name)


class DraftTests(SynchronousTestCase):
    """A file has its name only when it is whole."""

    def test_keep(self) -> None:
        """Nothing is ever overwritten: the next free number is taken."""
        folder = Path(self.mktemp())
        names = []
        for content in (b"one", b"two", b"three"):
            draft = Draft(folder)
            draft.write(content)
            names.append(draft.keep("a.tar.gz").name)
        self.assertEqual(names, ["a.tar.gz", "a.tar (1).gz", "a.tar (2).gz"])
        self.assertEqual((folder / names[0]).read_bytes(), b"one")
        self.assertEqual(len(list(folder.iterdir())), 3)

    def test_no_links(self) -> None:
        """On a file system without hard links nothing is overwritten either."""

        def link(*_: object) -> None:
            raise PermissionError

        self.patch(os, "link", link)
        self.test_keep()

    def test_discard(self) -> None:
        """Nothing stays, however often it is said."""
        folder = Path(self.mktemp())
        draft = Draft(folder)
        draft.write(b"part")
        draft.discard()
        draft.discard()
        self.assertEqual(list(folder.iterdir()), [])
