"""How do bytes and JSON look on the wire?  base64url, canonical JSON.  (SOCP 4, 7)"""

import base64
import json
import re
from collections.abc import Mapping
from typing import Any, NoReturn

from socp_twisted.errors import MalformedFrame

MAX_DEPTH = 32
"""Levels of nesting: no frame has more than five, and recursion has an end."""

MAX_INTEGER = 2**53
"""Beyond this, implementations whose numbers are doubles see another payload."""

_BASE64URL = re.compile(r"[A-Za-z0-9_-]*\Z")
_LAST = {2: "AQgw", 3: "AEIMQUYcgkosw048"}
"""The last characters whose bits are all used, by the length of the last group."""


def b64u_encode(data: bytes) -> str:
    """Encode as base64url without padding (RFC 4648, section 5)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def b64u_size(text: str) -> int:
    """
    Return how many bytes base64url without padding stands for, or raise ``ValueError``.

    Padding, white space, the other alphabet and stray trailing bits are refused, so
    that one value has one spelling.
    """
    if not _BASE64URL.match(text):
        raise ValueError("not base64url without padding")
    last = len(text) % 4
    if last == 1:
        raise ValueError("not base64url without padding")
    if last and text[-1] not in _LAST[last]:
        raise ValueError("base64url with stray trailing bits")
    return len(text) * 3 // 4


def b64u_decode(text: str) -> bytes:
    """Decode base64url without padding; raise ``ValueError`` for anything else."""
    b64u_size(text)
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def canonical(payload: Mapping[str, Any]) -> bytes:
    """
    Return the bytes that a transport signature covers (SOCP 7).

    Raise ``MalformedFrame`` for text that UTF-8 cannot carry (lone surrogates).
    """
    text = _CANONICAL.encode(payload)
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as why:
        raise MalformedFrame("a lone surrogate is no text") from why


def parse_object(frame: bytes) -> dict[str, Any]:
    """
    Read one JSON object, strictly, or raise ``MalformedFrame``.

    Refused, because implementations would disagree on the bytes to be signed: floats,
    NaN, integers beyond 2**53, duplicate keys, lone surrogates, a byte order mark.
    """
    try:
        # Decoding first: json.loads(bytes) would guess UTF-16 and swallow a BOM.
        value = _DECODER.decode(frame.decode("utf-8"))
    except RecursionError as why:  # b"[" * 1000 does not raise a ValueError
        raise MalformedFrame("nested too deeply") from why
    except MalformedFrame:
        raise
    except ValueError as why:
        raise MalformedFrame("not JSON") from why
    if type(value) is not dict:
        raise MalformedFrame("not a JSON object")
    _check_depth(value, MAX_DEPTH)
    if b"\\u" in frame:  # UTF-8 itself cannot carry a surrogate, an escape can
        canonical(value)
    return value


def _check_depth(value: Any, left: int) -> None:
    if left == 0:
        raise MalformedFrame(f"nested deeper than {MAX_DEPTH} levels")
    children = value.values() if type(value) is dict else value
    for child in children:
        if type(child) in (dict, list):
            _check_depth(child, left - 1)


def _integer(digits: str) -> int:
    if len(digits) > 17:  # before int(): 5,000 digits cost time, 4,301 raise
        raise MalformedFrame("an integer beyond 2**53")
    number = int(digits)
    if abs(number) > MAX_INTEGER:
        raise MalformedFrame("an integer beyond 2**53")
    return number


def _no_float(text: str) -> NoReturn:
    raise MalformedFrame(f"a number that is no integer: {text[:20]}")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise MalformedFrame("the same key twice in one object")
    return fields


_CANONICAL = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
)

_DECODER = json.JSONDecoder(
    object_pairs_hook=_object,
    parse_float=_no_float,
    parse_int=_integer,
    parse_constant=_no_float,
)
