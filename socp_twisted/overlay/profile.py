"""What does a user tell of themselves, and how much of it do we believe and keep?"""

import unicodedata
from collections.abc import Mapping
from typing import Any

MAX_NAME = 64
MAX_EXTRAS = 16
MAX_EXTRA = 32


def display_name(meta: Mapping[str, Any]) -> str:
    """
    Return the display name in ``meta``, or nothing if it is unfit for a screen.

    At most 64 characters, none of them control, format (which can reverse a line) or
    unassigned; another name is dropped, not repaired.
    """
    name = meta.get("display_name")
    if type(name) is not str or len(name) > MAX_NAME or name != name.strip():
        return ""
    if any(unicodedata.category(char)[0] == "C" for char in name):
        return ""
    return name


def extras(meta: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what a user's client says that it can do, beyond the standard."""
    told = meta.get("extras")
    if type(told) is not list:
        return ()
    return tuple(
        one
        for one in told[:MAX_EXTRAS]
        if type(one) is str and 0 < len(one) <= MAX_EXTRA and one.isprintable()
    )
