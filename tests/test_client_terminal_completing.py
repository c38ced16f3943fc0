"""What may a line become?"""

from pathlib import Path

from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document
from twisted.trial.unittest import SynchronousTestCase

from socp_twisted.client import events as told
from socp_twisted.client.events import Contact
from socp_twisted.client.terminal.completing import Completing
from socp_twisted.client.terminal.picture import Picture


class CompletionTests(SynchronousTestCase):
    """Tab completes what may stand there."""

    def setUp(self) -> None:
        """Bob and Bert are there, and a file is offered."""
        picture = Picture()
        for user in ("bob", "bert", "carol"):
            picture.absorb(told.UserJoined(Contact(user, "k", "f")))
        picture.absorb(told.FileOffered("f1", "bob", "a", 1, False, True, True))
        self.completing = Completing(picture, lambda: ["alice"])

    def complete(self, line: str) -> list[str]:
        """Return what the line may become."""
        document = Document(line)
        found = self.completing.get_completions(document, CompleteEvent())
        return [line[: len(line) + one.start_position] + one.text for one in found]

    def test_words(self) -> None:
        """Commands, users, numbers of files."""
        self.assertEqual(self.complete("/li"), ["/list "])
        self.assertEqual(self.complete("/tell b"), ["/tell bert ", "/tell bob "])
        self.assertEqual(self.complete("/file p"), ["/file public "])
        self.assertEqual(self.complete("/accept "), ["/accept 1 "])
        self.assertEqual(self.complete("/login a"), ["/login alice "])
        for line in ("li", "//li", "/tell bob b", "/nothing "):
            self.assertEqual(self.complete(line), [], line)

    def test_paths(self) -> None:
        """Also those with a blank."""
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        (folder / "it's a file").touch()
        line = f"/file bob {folder}/it's a"
        self.assertEqual(self.complete(line), [f"{line} file"])
