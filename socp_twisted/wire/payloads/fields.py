"""
What may stand in a field?  The checks, and the fields that several payloads have.

A check takes any JSON value and says whether it may stand there; it never coerces.
"""

import re
import unicodedata
from collections.abc import Callable
from dataclasses import field
from typing import Any

from socp_twisted.wire.encoding import b64u_size
from socp_twisted.wire.envelope import is_identifier
from socp_twisted.wire.vocabulary import RSA_BYTES

Check = Callable[[Any], bool]

MAX_SIGNATURE = 2048
"""Characters: RSA-4096 has 683, and clients read no longer ones."""

_PLAIN_ID = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
_SHA256 = re.compile(r"[0-9a-fA-F]{64}\Z")


def wire_field(
    check: Check, what: str, default: Any = ..., *, shown: bool = True
) -> Any:
    """
    Declare a field: what it must be, and what stands for it where it is missing.

    ``shown`` is false for secrets: no log and no traceback holds them.
    """
    metadata = {"check": check, "what": what}
    if default is ...:
        return field(metadata=metadata, repr=shown)
    if callable(default):
        return field(default_factory=default, metadata=metadata, repr=shown)
    return field(default=default, metadata=metadata, repr=shown)


# -- checks ----------------------------------------------------------------------------


def is_text(limit: int) -> Check:
    """Return a check for text of at most so many characters."""
    return lambda value: type(value) is str and len(value) <= limit


def is_integer(low: int, high: int) -> Check:
    """Return a check for a whole number within these bounds; ``True`` is none."""
    return lambda value: type(value) is int and low <= value <= high


def is_bool(value: Any) -> bool:
    """Say whether this is true or false, and not 0, 1 or a word."""
    return type(value) is bool


def is_object(value: Any) -> bool:
    """Say whether this is a JSON object, whatever is in it."""
    return type(value) is dict


def is_list_of(check: Check, limit: int) -> Check:
    """Return a check for a list of at most so many values that pass ``check``."""
    return lambda value: (
        type(value) is list and len(value) <= limit and all(map(check, value))
    )


def is_plain_id(value: object) -> bool:
    """Say whether this may name a file, or a key of the public channel."""
    return type(value) is str and _PLAIN_ID.match(value) is not None


def is_sha256(value: object) -> bool:
    """Say whether this is SHA-256 of something, in hex."""
    return type(value) is str and _SHA256.match(value) is not None


def is_base64url(value: Any) -> bool:
    """Say whether this is base64url without padding, of one byte or more."""
    return _bytes_in(value) > 0


def is_ciphertext(value: Any) -> bool:
    """Say whether this is base64url of one RSA block, or of several."""
    size = _bytes_in(value)
    return size > 0 and size % RSA_BYTES == 0


def is_signature(value: Any) -> bool:
    """Say whether this may be a signature by a key of any size."""
    return is_base64url(value) and len(value) <= MAX_SIGNATURE


def _bytes_in(value: Any) -> int:
    """Return how many bytes a value encodes: 0 if it is no base64url."""
    if type(value) is not str:
        return 0
    try:
        return b64u_size(value)
    except ValueError:
        return 0


def unprintable(char: str) -> bool:
    """Say whether a character steers a terminal instead of showing on it."""
    return unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp") and (
        char not in "\u200c\u200d"  # joiners: emoji and several scripts need them
    )


def harmless(text: str) -> str:
    """Return a sentence of somebody else's without what would steer a terminal."""
    return "".join("?" if unprintable(char) else char for char in text)


# -- fields ----------------------------------------------------------------------------


def an_id() -> Any:
    """Declare the id of a user or server."""
    return wire_field(is_identifier, "an id of 1 to 64 letters, digits or ._-@")


def perhaps_an_id() -> Any:
    """Declare the id of a user or server that may be missing."""
    return wire_field(lambda v: v == "" or is_identifier(v), "an id", "")


def a_plain_id() -> Any:
    """Declare the id of a file, or of a key of the public channel."""
    return wire_field(is_plain_id, "1 to 64 letters, digits, - or _")


def a_public_key(default: Any = ...) -> Any:
    """Declare a key's text; whether it is a key is for ``trust`` to say."""
    return wire_field(is_text(2048), "a public key in base64url", default)


def a_sha256(default: Any = ...) -> Any:
    """Declare SHA-256 of something, in hex."""
    what = "64 hexadecimal digits"
    if default is ...:
        return wire_field(is_sha256, what)
    return wire_field(lambda v: v == "" or is_sha256(v), what, default)


def a_ciphertext() -> Any:
    """Declare what only its recipient can read."""
    return wire_field(
        is_ciphertext, f"base64url of a positive multiple of {RSA_BYTES} bytes"
    )


def a_signature(default: Any = ...) -> Any:
    """Declare a content signature, or a proof."""
    if default is ...:
        return wire_field(is_signature, "a signature in base64url")
    return wire_field(
        lambda v: v == "" or is_signature(v), "a signature in base64url", default
    )
