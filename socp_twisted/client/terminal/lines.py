"""What is a line to be read?  Its words, its tone, and numbers as people write them."""

import math
import time
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

FURTHER: Final = "  | "
"""Before each further line of a message."""


class Tone(StrEnum):
    """How a line is meant; the screen gives each a colour."""

    PLAIN = "plain"
    QUIET = "quiet"
    GOOD = "good"
    BAD = "bad"
    LOUD = "loud"
    DIRECT = "direct"
    PUBLIC = "public"


@dataclass(frozen=True, slots=True)
class Line:
    """One line: ``label`` in the colour of its tone, then ``text``."""

    text: str
    tone: Tone = Tone.PLAIN
    label: str = ""

    def __str__(self) -> str:
        return f"{self.label}{self.text}"


def local_time(ms: int) -> str:
    """Return a time of today as HH:MM, and any other with its date."""
    try:
        then = time.localtime(ms / 1000)
    except (OverflowError, ValueError, OSError):
        return "??:??"
    today = time.localtime()[:3] == then[:3]
    return time.strftime("%H:%M" if today else "%Y-%m-%d %H:%M", then)


def size_text(size: int) -> str:
    """Return a number of bytes in words."""
    if size < 1000:
        return "1 byte" if size == 1 else f"{size} bytes"
    power = min(int(math.log(size, 1000)), 3)
    return f"{size / 1000**power:.1f} {('', 'kB', 'MB', 'GB')[power]}"
