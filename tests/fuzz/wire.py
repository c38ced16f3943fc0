"""A WebSocket that may do anything: it sends bytes, and notes what comes of it."""

import json
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure

from tests.fuzz.garbage import piece, request


class Line(Protocol):
    """One connection of an attacker."""

    def __init__(self) -> None:
        self.frames: list[dict[str, Any]] = []
        """The JSON objects that came and were not taken yet."""
        self.codes: list[str] = []
        """The codes of ERROR frames, in order."""
        self.close_code: int | None = None
        self.lost = False
        self.port = 0
        self._buffer = b""
        self._upgraded = False
        self._waiting: Deferred[bool] | None = None
        self._wanted: tuple[str, ...] = ()

    # -- what an attacker does ---------------------------------------------------------

    def ask(self, port: int) -> "Deferred[bool]":
        """Ask for a WebSocket; the Deferred says whether there is one."""
        self.write(request(port))
        return self._wait()

    def send(self, frame: bytes) -> None:
        """Send one text message."""
        self.write(piece(frame))

    def write(self, data: bytes) -> None:
        """Send any bytes."""
        if self.transport is not None and not self.lost:
            self.transport.write(data)

    def hear(self, *kinds: str) -> "Deferred[bool]":
        """Wait for a frame of one of these types; false if the connection ends."""
        self._wanted = kinds
        return self._wait()

    def take(self, kind: str) -> dict[str, Any]:
        """Return the newest frame of a type."""
        return [one for one in self.frames if one.get("type") == kind][-1]

    def drop(self) -> None:
        """Break the connection."""
        if self.transport is not None and not self.lost:
            self.transport.abortConnection()  # type: ignore[attr-defined]

    # -- what Twisted calls ------------------------------------------------------------

    def connectionMade(self) -> None:
        """Remember which connection this is: the node's watch names it so."""
        self.transport.setTcpNoDelay(True)  # type: ignore[union-attr]
        self.port = self.transport.getHost().port  # type: ignore[union-attr]

    def dataReceived(self, data: bytes) -> None:
        """Take bytes."""
        self._buffer += data
        if not self._upgraded:
            head, end, rest = self._buffer.partition(b"\r\n\r\n")
            if not end:
                return
            self._upgraded = head.startswith(b"HTTP/1.1 101")
            self._buffer = rest
            self._answer(self._upgraded)
        while self._upgraded and self._next():
            pass

    def connectionLost(self, reason: Failure = None) -> None:  # type: ignore[assignment]
        """Take the end."""
        self.lost = True
        self._answer(False)

    def _wait(self) -> "Deferred[bool]":
        self._waiting = Deferred()
        waiting = self._waiting
        if self.lost:
            self._answer(False)
        return waiting

    def _answer(self, value: bool) -> None:
        waiting, self._waiting = self._waiting, None
        self._wanted = ()
        if waiting is not None:
            waiting.callback(value)

    def _next(self) -> bool:
        """Take one WebSocket frame of the node's, which are never masked."""
        data = self._buffer
        if len(data) < 2:
            return False
        size, start = data[1] & 0x7F, 2
        if size > 125:
            width = 2 if size == 126 else 8
            if len(data) < 2 + width:
                return False
            size, start = int.from_bytes(data[2 : 2 + width], "big"), 2 + width
        if len(data) < start + size:
            return False
        payload, self._buffer = data[start : start + size], data[start + size :]
        opcode = data[0] & 0x0F
        if opcode == 1:
            self._frame(payload)
        elif opcode == 8:
            self.close_code = int.from_bytes(payload[:2], "big") if payload else 1005
        return True

    def _frame(self, payload: bytes) -> None:
        frame = json.loads(payload)
        kind = frame["type"]
        if kind == "ERROR":
            self.codes.append(str(frame["payload"].get("code")))
        self.frames.append(frame)
        del self.frames[:-50]
        if kind in self._wanted:
            self._answer(True)
