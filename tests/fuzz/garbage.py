"""What can be wrong with WebSocket itself?  Bytes below the level of frames."""

import os
import random
from collections.abc import Callable
from typing import Final

TEXT: Final = 1
BINARY: Final = 2
CLOSE: Final = 8
PING: Final = 9
PONG: Final = 10

KEY: Final = b"dGhlIHNhbXBsZSBub25jZQ=="


def piece(
    payload: bytes,
    opcode: int = TEXT,
    *,
    fin: bool = True,
    reserved: int = 0,
    masked: bool = True,
    length: int | None = None,
) -> bytes:
    """Return one WebSocket frame; ``length`` is what it claims to have."""
    size = len(payload) if length is None else length
    first = (0x80 if fin else 0) | (reserved << 4) | opcode
    mask = 0x80 if masked else 0
    if size < 126:
        head = bytes((first, mask | size))
    elif size < 2**16:
        head = bytes((first, mask | 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((first, mask | 127)) + size.to_bytes(8, "big")
    # A mask of zeros changes nothing, and is as good as any.
    return head + (b"\0\0\0\0" if masked else b"") + payload


def request(port: int, *more: str) -> bytes:
    """Return the request that asks for a WebSocket."""
    lines = [
        "GET / HTTP/1.1",
        f"Host: 127.0.0.1:{port}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {KEY.decode()}",
        "Sec-WebSocket-Version: 13",
        *more,
    ]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


Garbage = Callable[[random.Random, bytes], bytes]


def _fragments(chance: random.Random, frame: bytes) -> bytes:
    """The frame in many pieces, with a ping between: valid, and to be read."""
    size = chance.choice((1, 3, 50))
    cuts = [frame[i : i + size] for i in range(0, min(len(frame), 3000), size)]
    cuts[-1:] = [cuts[-1] + frame[3000:]]
    pieces = [
        piece(cut, TEXT if not number else 0, fin=number == len(cuts) - 1)
        for number, cut in enumerate(cuts)
    ]
    pieces.insert(len(pieces) // 2, piece(b"?", PING))
    return b"".join(pieces)


GARBAGE: Final[dict[str, Garbage]] = {
    "unknown opcode": lambda chance, frame: piece(
        frame, chance.choice((3, 4, 7, 11, 15))
    ),
    "reserved bits": lambda chance, frame: piece(
        frame, reserved=chance.choice((1, 2, 4, 7))
    ),
    "fragments": _fragments,
    "fragment without a start": lambda chance, frame: piece(frame, 0),
    "text within fragments": lambda chance, frame: (
        piece(frame[:20], fin=False) + piece(frame)
    ),
    "fragment without an end": lambda chance, frame: piece(frame, fin=False),
    "too long": lambda chance, frame: piece(b" " * 1_048_577),
    "claims too much": lambda chance, frame: piece(
        frame, length=chance.choice((2**20 + 1, 2**31, 2**63 - 1, 2**63))
    ),
    "binary": lambda chance, frame: piece(frame, BINARY),
    "not UTF-8": lambda chance, frame: piece(b'{"type":"\xff\xfe\xc0\x80"}'),
    "not masked": lambda chance, frame: piece(frame, masked=False),
    "long ping": lambda chance, frame: piece(b"x" * 126, PING),
    "ping in fragments": lambda chance, frame: piece(b"x", PING, fin=False),
    "many pings": lambda chance, frame: piece(b"x" * 125, PING) * 100,
    "unasked pong": lambda chance, frame: piece(b"x", PONG) * 10,
    "odd close": lambda chance, frame: piece(
        chance.choice((b"", b"\x03", b"\x03\xed", b"\x00\x00", b"\xff\xff\xff")), CLOSE
    ),
    "half a frame": lambda chance, frame: piece(frame)[: len(frame) // 2],
    "noise": lambda chance, frame: chance.randbytes(chance.choice((1, 100, 10_000))),
    "nothing, often": lambda chance, frame: piece(b"") * 100,
    "flood of pings": lambda chance, frame: piece(b"", PING) * 8_000,
    "flood of frames": lambda chance, frame: piece(b"{}") * 6_000,
    "flood of messages": lambda chance, frame: piece(frame) * 30,
    "flood of values": lambda chance, frame: piece(
        b'{"type":"A","payload":{"a":[' + b"[]," * 330_000 + b"1]}}"
    ),
}
"""Bytes instead of a frame, on a WebSocket that is open."""


HANDSHAKES: Final[dict[str, Callable[[random.Random, int], bytes]]] = {
    "no HTTP": lambda chance, port: chance.randbytes(2000),
    "endless line": lambda chance, port: b"GET /" + b"a" * 20_000,
    "many headers": lambda chance, port: request(
        port, *(f"X-{number}: y" for number in range(600))
    ),
    "no key": lambda chance, port: request(port).replace(KEY, b""),
    "wrong version": lambda chance, port: request(port).replace(b"13", b"12"),
    "from a page": lambda chance, port: request(port, "Origin: https://example.org"),
    "with a body": lambda chance, port: (
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n" + b"x" * 5000
    ),
    "two requests": lambda chance, port: b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n" * 20,
    "no host": lambda chance, port: request(port).replace(b"Host", b"Hose"),
    "bytes in a header": lambda chance, port: request(port, "X: \x00\xff\x7f"),
}
"""What comes instead of a question for a WebSocket."""


def fresh() -> str:
    """Return an id that nobody had."""
    return os.urandom(16).hex()
