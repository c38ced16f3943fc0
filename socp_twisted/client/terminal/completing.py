"""What may come next on the line?  The history, and completions."""

from collections.abc import Callable, Iterable

from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.completion.filesystem import PathCompleter
from prompt_toolkit.document import Document
from prompt_toolkit.history import History

from socp_twisted.client.terminal import keyring
from socp_twisted.client.terminal.picture import Picture
from socp_twisted.client.terminal.reading import WORDS
from socp_twisted.wire.vocabulary import PUBLIC


class Memory(History):
    """The lines of ``keyring.LineMemory``, as prompt_toolkit wants them."""

    def __init__(self, lines: keyring.LineMemory) -> None:
        super().__init__()
        self._lines = lines

    def load_history_strings(self) -> Iterable[str]:
        """Return the lines, the newest first."""
        return reversed(self._lines.lines)

    def append_string(self, string: str) -> None:
        """Keep a line; of what may not go to the file, nothing is recalled either."""
        kept = self._lines.add(string)
        if kept:
            self._loaded_strings.insert(0, kept)

    def store_string(self, string: str) -> None:
        """``append_string`` has done it."""


class Completing(Completer):
    """Completes commands, users, paths and offered files."""

    def __init__(self, picture: Picture, owners: Callable[[], list[str]]) -> None:
        self._picture = picture
        self._owners = owners
        self._paths = PathCompleter(expanduser=True)

    def get_completions(
        self, document: Document, complete_event: CompleteEvent
    ) -> Iterable[Completion]:
        """Return what the word before the cursor may become."""
        before = document.text_before_cursor.lstrip()
        if not before.startswith("/") or before.startswith("//"):
            return
        word, blank, rest = before[1:].partition(" ")
        if not blank:
            yield from _beginning(word, WORDS, " ")
            return
        argument, blank, path = rest.lstrip().partition(" ")
        if not blank:
            yield from _beginning(argument, self._choices(word.lower()), " ")
        elif word.lower() == "file":
            typed = Document(path.lstrip())
            yield from self._paths.get_completions(typed, complete_event)

    def _choices(self, word: str) -> Iterable[str]:
        if word in ("tell", "whois", "verify"):
            return sorted(self._picture.known)
        if word == "file":
            return [*sorted(self._picture.people), PUBLIC]
        if word in ("accept", "decline"):
            return [str(one.number) for one in self._picture.transfers.values()]
        if word in ("login", "register"):
            return self._owners()
        return WORDS if word == "help" else ()


def _beginning(start: str, words: Iterable[str], after: str) -> Iterable[Completion]:
    for word in words:
        if word.startswith(start):
            yield Completion(word + after, -len(start), display=word)
