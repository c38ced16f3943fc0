"""How much of what a user tells of themselves do we believe and keep?"""

from twisted.trial.unittest import SynchronousTestCase

from socp_twisted.overlay.profile import MAX_EXTRAS, MAX_NAME, display_name, extras


class ProfileTests(SynchronousTestCase):
    """A display name is fit for a screen, or dropped; extras are short words."""

    def test_name(self) -> None:
        """Names of the world are kept as they are."""
        for name in ("Alice", "Zoë Ångström", "アリス", "O'Neil", "👩 x"):
            self.assertEqual(display_name({"display_name": name}), name)

    def test_unfit(self) -> None:
        """Escapes, line breaks, reversing marks, white edges and long ones are not."""
        for name in (
            "a\x1b[2J",
            "a\nb",
            "\u202eecila",
            "a\u200bb",
            " alice",
            "alice ",
            "x" * (MAX_NAME + 1),
            5,
            True,
            None,
            ["a"],
        ):
            self.assertEqual(display_name({"display_name": name}), "", repr(name))
        self.assertEqual(display_name({}), "")

    def test_extras(self) -> None:
        """Words are kept; what is none is left out, and so is what is too many."""
        self.assertEqual(extras({"extras": ["blocks", 5, "", "a\n"]}), ("blocks",))
        self.assertEqual(len(extras({"extras": ["x"] * 100})), MAX_EXTRAS)
        self.assertEqual(extras({"extras": "blocks"}), ())
        self.assertEqual(extras({"extras": ["x" * 33]}), ())
