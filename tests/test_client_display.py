"""What may a stranger's text do to us?"""

import unicodedata

from hypothesis import given, settings
from twisted.trial.unittest import SynchronousTestCase

from socp_twisted.client.display import harmless
from tests.strategies import nasty


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
    @given(nasty)
    def test_any(self, text: str) -> None:
        """No control character is left, and a second time changes nothing."""
        shown = harmless(text)
        self.assertEqual(harmless(shown), shown)
        kinds = {unicodedata.category(char) for char in shown}
        self.assertEqual(kinds & {"Cc", "Cs", "Zl", "Zp"}, set())
        self.assertFalse(set("\u202a\u202e\u2066\u2069\u200e\u200f") & set(shown))
