"""Is what the README says of the command line true?"""

import re
from dataclasses import fields
from importlib.metadata import metadata
from pathlib import Path
from textwrap import dedent

from twisted.trial.unittest import SynchronousTestCase

import socp_twisted
from socp_twisted import client
from socp_twisted.tap import Options
from socp_twisted.wire.limits import Limits


def readme() -> str:
    """Return the README: of the tree, or of the package that is installed."""
    path = Path(socp_twisted.__file__).parents[1] / "README.rst"
    if path.exists():
        return path.read_text("utf-8")
    return str(metadata("socp-twisted").get_payload())  # type: ignore[attr-defined]


class ReadmeTests(SynchronousTestCase):
    """The README's tables are the options that there are."""

    def test_tables(self) -> None:
        """Each option stands there with its default, and no other does."""
        told = dict(re.findall(r"(?m)^``--([a-z-]+)`` +(?:``([^`$]+)``)?", readme()))
        for one in ("server-id", "advertise", "keyfile"):
            told[one] = ""  # a default of several words
        options = Options({})
        existing = {
            name: str(options.defaults.get(name) or "")
            for name in (one.rstrip("=") for one in options.longOpt)
            if name not in ("help", "version")
        }
        self.assertEqual(told, existing)

    def test_limits(self) -> None:
        """What a limit bounds is said there as the limit itself says it."""
        told = " ".join(readme().split())
        for limit in fields(Limits):
            name = limit.name.replace("_", "-")
            row = f"``--max-{name}`` ``{limit.default}`` {limit.metadata['what']} "
            self.assertIn(row, told)

    def test_bot(self) -> None:
        """The bot is the one that the package's own documentation shows, and tests."""
        shown = dedent(client.__doc__ or "")
        bot = shown[shown.index("    from pathlib") : shown.index("\nThe rooms")]
        self.assertIn(bot.rstrip(), readme())
