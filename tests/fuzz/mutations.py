"""How can a genuine frame be changed?  One function for each way, seeded."""

import json
import random
from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any, Final

Fields = dict[str, Any]
Path = tuple[str | int, ...]

_OTHER_TYPES: Final[tuple[Any, ...]] = (
    None,
    True,
    False,
    0,
    -1,
    1.5,
    2**53 + 1,
    "",
    "text",
    [],
    {},
    [[]],
    {"": None},
    ["*"],
)
_NUMBERS: Final = (
    "0",
    "-1",
    "-0",
    "9007199254740993",
    "1" + "0" * 400,
    "9" * 5000,
    "1e999",
    "-1e-999",
    "NaN",
    "Infinity",
    "0.1",
    "18446744073709551616",
)
_TEXTS: Final = (
    "",
    " ",
    "*",
    "public",
    "local",
    "system",
    "\x00",
    "\x1b[2J\x1b[31m",
    "\r\n[SOCP] forged line",
    "\u202egnp.exe",
    "\ufeffalice",
    "\U0001f469\u200d\U0001f680" * 20,
    "e\u0301" * 100,
    "\ud800",
    "../../etc/passwd",
    "a" * 65,
    "a" * 5_000,
    "'; DROP TABLE users; --",
    "%s%n{0}{user_id}",
    "ws://127.0.0.1:1",
    "\u0130",
)
_BASE64: Final = (
    "=",
    "A",
    "AA==",
    "A" * 43 + "B",
    "+/+/",
    "AAAA\n",
    "Å",
    "A" * 100_000,
)


def places(value: Any, path: Path = ()) -> Iterator[Path]:
    """Yield the way to each value within a JSON value, its own included."""
    yield path
    children = value if type(value) is dict else {}
    if type(value) is list:
        children = dict(enumerate(value))
    for key, child in children.items():
        yield from places(child, (*path, key))


def put(fields: Fields, path: Path, value: Any) -> None:
    """Replace the value at a place that is not the top."""
    here: Any = fields
    for key in path[:-1]:
        here = here[key]
    here[path[-1]] = value


def get(fields: Fields, path: Path) -> Any:
    """Return the value at a place."""
    here: Any = fields
    for key in path:
        here = here[key]
    return here


def _place(chance: random.Random, fields: Fields) -> Path:
    return chance.choice([path for path in places(fields) if path])


def _other(chance: random.Random) -> Any:
    """Return a value of any type: one of its own, for it may be changed in turn."""
    return deepcopy(chance.choice(_OTHER_TYPES))


def swap_type(chance: random.Random, fields: Fields) -> None:
    """A value of another type."""
    put(fields, _place(chance, fields), _other(chance))


def drop_key(chance: random.Random, fields: Fields) -> None:
    """A field that is missing."""
    path = _place(chance, fields)
    del get(fields, path[:-1])[path[-1]]


def add_key(chance: random.Random, fields: Fields) -> None:
    """A field that nobody asked for."""
    inside = [path for path in places(fields) if type(get(fields, path)) is dict]
    name = chance.choice((*_TEXTS[:12], "sender", "held", "msg_id", "to", "__class__"))
    get(fields, chance.choice(inside))[name] = _other(chance)


def odd_text(chance: random.Random, fields: Fields) -> None:
    """Text with controls, surrogates, other directions, or far too long."""
    texts = [path for path in places(fields) if type(get(fields, path)) is str and path]
    put(fields, chance.choice(texts), chance.choice(_TEXTS))


def wrong_base64(chance: random.Random, fields: Fields) -> None:
    """What should be base64url is nearly so."""
    long = [
        path
        for path in places(fields)
        if path and type(text := get(fields, path)) is str and len(text) > 30
    ]
    if long:
        path = chance.choice(long)
        text = get(fields, path)
        cut = chance.randrange(len(text))
        put(
            fields,
            path,
            chance.choice(
                (*_BASE64, text[:cut], text[:cut] + "=", text + "A", text * 2)
            ),
        )


def nest(chance: random.Random, fields: Fields) -> None:
    """A value within a value within a value."""
    value: Any = "deep"
    for _ in range(chance.choice((5, 30, 33, 200))):
        value = {"a": value} if chance.random() < 0.5 else [value]
    put(fields, _place(chance, fields), value)


def swell(chance: random.Random, fields: Fields) -> None:
    """A list or an object with very many members."""
    count = chance.choice((100, 1_000, 20_000))
    many: Any = ["x"] * count
    if chance.random() < 0.5:
        many = {f"k{number}": number for number in range(count)}
    put(fields, _place(chance, fields), many)


def other_ts(chance: random.Random, fields: Fields) -> None:
    """A time that is not now."""
    fields["ts"] = chance.choice((0, 1, 2**53, fields.get("ts", 1) or 1, 10**12))


STRUCTURE: Final[dict[str, Callable[[random.Random, Fields], None]]] = {
    "type swapped": swap_type,
    "key gone": drop_key,
    "key added": add_key,
    "odd text": odd_text,
    "wrong base64": wrong_base64,
    "deep": nest,
    "many": swell,
    "other ts": other_ts,
}
"""Changes of the JSON value; a frame may be signed anew after them."""


def flip(chance: random.Random, frame: bytes) -> bytes:
    """Other bytes in some places."""
    changed = bytearray(frame)
    for _ in range(chance.choice((1, 1, 2, 8))):
        changed[chance.randrange(len(changed))] = chance.randrange(256)
    return bytes(changed)


def cut(chance: random.Random, frame: bytes) -> bytes:
    """Only the beginning."""
    return frame[: chance.randrange(len(frame))]


def splice(chance: random.Random, frame: bytes) -> bytes:
    """A piece of the frame in the middle of it."""
    start, end = sorted(chance.randrange(len(frame)) for _ in range(2))
    at = chance.randrange(len(frame))
    return frame[:at] + frame[start:end] + frame[at:]


def key_twice(chance: random.Random, frame: bytes) -> bytes:
    """One key two times, with two values."""
    names = [b"type", b"from", b"to", b"ts", b"payload", b"sig", b"user_id"]
    name = chance.choice(names)
    return (
        frame[:1]
        + b'"'
        + name
        + b'":'
        + chance.choice((b"1", b'"x"', b"{}"))
        + (b"," + frame[1:])
    )


def huge_number(chance: random.Random, frame: bytes) -> bytes:
    """A number that no double holds, or none at all."""
    number = chance.choice(_NUMBERS).encode()
    start = frame.find(b'"ts":')
    if start < 0:
        return number
    end = start + 5
    while end < len(frame) and frame[end : end + 1].isdigit():
        end += 1
    return frame[: start + 5] + number + frame[end:]


def not_text(chance: random.Random, frame: bytes) -> bytes:
    """UTF-16, a byte order mark, or brackets without end."""
    return chance.choice(
        (
            b"\xef\xbb\xbf" + frame,
            frame.decode("utf-8", "replace").encode("utf-16"),
            b"[" * 100_000,
            b'{"a":' * 50_000,
            b"{}",
            b"null",
            b'"text"',
            b"",
            b'{"type":"\\ud800","from":"a","to":"*","ts":1,"payload":{"x":"\\udfff"}}',
        )
    )


BYTES: Final[dict[str, Callable[[random.Random, bytes], bytes]]] = {
    "bytes flipped": flip,
    "cut short": cut,
    "spliced": splice,
    "key twice": key_twice,
    "huge number": huge_number,
    "not text": not_text,
}
"""Changes of the bytes of a frame."""


def to_bytes(fields: Fields) -> bytes:
    """Write a frame as JSON, lone surrogates and all."""
    return json.dumps(fields, separators=(",", ":")).encode("ascii")
