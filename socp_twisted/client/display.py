"""What may a stranger's text do to our terminal?  Nothing but be read.  (S19)"""

import re
import unicodedata

MAX_MARKS = 6
"""Combining marks on one character: more of them paint over other lines."""

_JOINERS = "\u200c\u200d"
_FLAG = re.compile("\U0001f3f4[\U000e0020-\U000e007e]{1,8}\U000e007f")
# Letters and symbols by category that show nothing at all.
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def harmless(text: str, *, multiline: bool = False) -> str:
    """
    Return ``text`` with everything that acts rather than shows written as an escape.

    That is control characters (ESC, newline and tab too, unless ``multiline``), the
    characters that turn the direction of writing, invisible ones, and piles of
    combining marks.  Emoji and the scripts of all languages stay.
    """
    kept = "\n\t" if multiline else ""
    shown: list[str] = []
    position = marks = 0
    while position < len(text):
        flag = _FLAG.match(text, position)
        if flag is not None:  # the flags of England, Scotland and Wales
            shown.append(flag.group())
            position, marks = flag.end(), 0
            continue
        char = text[position]
        category = unicodedata.category(char)
        marks = marks + 1 if category in ("Mn", "Me") else 0
        if char in kept or _shows(text, position, category, marks):
            shown.append(char)
        else:
            shown.append(_escape(char))
        position += 1
    return "".join(shown)


def invisible(char: str) -> bool:
    """Say whether a character has no place in a name: it acts, or shows nothing."""
    code = ord(char)
    return (
        unicodedata.category(char) in _HIDDEN
        or char in _BLANK
        or code & 0xFFFE == 0xFFFE  # the noncharacters at the end of each plane
        or 0xFE00 <= code <= 0xFE0F
        or 0xE0000 <= code <= 0xE0FFF
    )


def _shows(text: str, position: int, category: str, marks: int) -> bool:
    char = text[position]
    if marks > MAX_MARKS:
        return False
    before = text[position - 1] if position else " "
    if char in _JOINERS:  # inside a word of Persian or Hindi, or inside an emoji
        after = text[position + 1] if position + 1 < len(text) else " "
        return _joins(before) and _joins(after)
    if "\ufe00" <= char <= "\ufe0f":  # emoji style, after what it applies to
        return not invisible(before) and not before.isspace()
    if category == "Zs":
        return True
    return not invisible(char)


def _joins(char: str) -> bool:
    if "\ufe00" <= char <= "\ufe0f":
        return True
    return not char.isascii() and not char.isspace() and not invisible(char)


def _escape(char: str) -> str:
    code = ord(char)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
