"""How do lines get onto the screen while somebody is typing?  Above the prompt."""

from collections.abc import Iterator
from typing import Any, Final

from prompt_toolkit.application import get_app_or_none
from prompt_toolkit.formatted_text import FormattedText
from prompt_toolkit.output import Output
from prompt_toolkit.shortcuts import print_formatted_text
from prompt_toolkit.styles import Style
from prompt_toolkit.utils import get_cwidth

from socp_twisted.client.terminal.happenings import Happening
from socp_twisted.client.terminal.lines import FURTHER, Line, Tone
from socp_twisted.client.terminal.show import Show

MIN_WIDTH: Final = 20
PAUSE: Final = 0.02
"""Seconds in which lines gather: the prompt is painted anew once for all of them."""

STYLE: Final = Style.from_dict(
    {
        "quiet": "ansibrightblack",
        "good": "ansigreen",
        "bad": "ansired",
        "loud": "bold ansiwhite bg:ansired",
        "direct": "bold ansicyan",
        "public": "bold ansiyellow",
        "user": "bold",
        "to": "bold ansicyan",
        "bottom-toolbar": "noreverse ansibrightblack",
        "bottom-toolbar.bad": "ansired",
        "bottom-toolbar.good": "ansigreen",
    }
)

_SAID: Final = frozenset({Tone.DIRECT, Tone.PUBLIC})
"""What others say: who speaks has a colour, and further lines have a mark."""


class Screen:
    """Prints what happens above the line that is being typed."""

    def __init__(
        self,
        reactor: Any,
        show: Show,
        *,
        output: Output,
    ) -> None:
        self._reactor = reactor
        self._show = show
        self._output = output
        self._lines: list[Line] = []
        self._due = False

    def happened(self, event: Happening) -> None:
        """Show an event, a moment later and with its neighbours."""
        self._lines.extend(self._show.lines(event))
        if not self._due:
            self._due = True
            self._reactor.callLater(PAUSE, self.flush)

    def flush(self) -> None:
        """Print what has gathered, and let the toolbar follow."""
        self._due = False
        lines, self._lines = self._lines, []
        if lines:
            width = max(self._output.get_size().columns, MIN_WIDTH)
            pieces = [piece for line in lines for piece in fragments(line, width)]
            print_formatted_text(
                FormattedText(pieces), output=self._output, style=STYLE, end=""
            )
        app = get_app_or_none()
        if app is not None:
            app.invalidate()


def fragments(line: Line, width: int) -> Iterator[tuple[str, str]]:
    """
    Return styled pieces that fit a screen, each line of it with its end.

    What is too long continues behind a margin of its own: a text that is made of blanks
    up to the edge cannot begin a line that looks like one of ours.
    """
    said = line.tone in _SAID
    style = f"class:{line.tone}"
    body, margin = ("", FURTHER) if said else (style, " " * len(FURTHER))
    first, *further = wrapped(line.text, width, line.label)
    yield (style, line.label)
    yield (body, f"{first}\n")
    for text in further:
        yield (style, margin)
        yield (body, f"{text}\n")


def wrapped(text: str, width: int, label: str) -> list[str]:
    """Cut a text to the columns beside its label, at a blank where there is one."""
    # The last column stays free: terminals differ in what they do there.
    room = width - 1 - get_cwidth(label)
    room = max(room, MIN_WIDTH // 2)
    rows: list[str] = []
    while True:
        end = _fitting(text, room)
        if end == len(text):
            return [*rows, text]
        blank = text.rfind(" ", end // 2, end + 1)
        if blank > 0:
            rows.append(text[:blank])
            text = text[blank + 1 :]
        else:
            rows.append(text[:end])
            text = text[end:]
        room = width - 1 - len(FURTHER)


def _fitting(text: str, room: int) -> int:
    used = 0
    for position, char in enumerate(text):
        used += get_cwidth(char)
        if used > room and position:
            return position
    return len(text)
