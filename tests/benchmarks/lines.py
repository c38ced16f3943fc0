"""
How does a cheap client speak WebSocket?  By hand, on a socket that never blocks.

What it sends was made before; of what comes it looks at as much as it must.
"""

import json
import socket
from collections.abc import Callable
from selectors import EVENT_READ, EVENT_WRITE, DefaultSelector
from typing import Any, Final
from urllib.parse import urlsplit

from OpenSSL import SSL

from tests.fuzz.garbage import CLOSE, PING, PONG, piece, request

READ: Final = 64 * 1024
EXPORTER: Final = b"EXPORTER-Channel-Binding"


class Line:
    """One connection, as a client; ``heard`` gets each text that comes."""

    def __init__(self, url: str, selector: DefaultSelector) -> None:
        """Connect, and ask for a WebSocket; ``open`` says when there is one."""
        parts = urlsplit(url)
        self.url = url
        self.name = ""
        self.open = False
        self.closed = ""
        """Why the connection is gone, once it is."""
        self.heard: Callable[[Line, bytes], None] = lambda line, text: None
        self.state: dict[str, Any] = {}
        """Whatever the load keeps of whose line this is."""
        self._selector = selector
        self._in = bytearray()
        self._out = bytearray()
        assert parts.hostname is not None and parts.port is not None
        self._socket: Any = socket.create_connection((parts.hostname, parts.port), 20)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._plain = self._socket
        self._socket.setblocking(False)
        if parts.scheme == "wss":
            # Nobody is checked: who is at the other end is this machine.
            self._socket = SSL.Connection(
                SSL.Context(SSL.TLS_CLIENT_METHOD), self._socket
            )
            self._socket.set_connect_state()
        self._wanted = EVENT_READ
        self._selector.register(self._plain, EVENT_READ, self)
        self.write(request(parts.port))

    def send(self, text: bytes) -> None:
        """Send one text."""
        self.write(piece(text))

    def say(self, frame: dict[str, Any]) -> None:
        """Send one frame that is still to be written."""
        self.send(json.dumps(frame).encode("utf-8"))

    def exporter(self) -> bytes:
        """Return what only both ends of this TLS connection can compute (RFC 9266)."""
        return bytes(self._socket.export_keying_material(EXPORTER, 32, b""))

    def close(self, why: str = "we left") -> None:
        """Be gone."""
        if not self.closed:
            self.closed = why
            self._selector.unregister(self._plain)
            self._plain.close()

    def ready(self, events: int) -> None:
        """Read and write what can be."""
        if events & EVENT_WRITE:
            self._flush()
        while not self.closed:
            try:
                data = self._socket.recv(READ)
            except (BlockingIOError, SSL.WantReadError):
                return
            except (OSError, SSL.Error) as why:
                self.close(f"connection lost: {why!r}")
                return
            if not data:
                self.close("the other end hung up")
                return
            self._in += data
            self._read()
            if self._socket is self._plain and len(data) < READ:
                return

    def write(self, data: bytes) -> None:
        """Send bytes that are a WebSocket frame already."""
        self._out += data
        if len(self._out) == len(data):
            self._flush()

    def _flush(self) -> None:
        if self.closed:
            return
        try:
            while self._out:
                sent = self._socket.send(bytes(self._out[:READ]))
                del self._out[:sent]
        except (BlockingIOError, SSL.WantReadError, SSL.WantWriteError):
            pass
        except (OSError, SSL.Error) as why:
            self.close(f"connection lost: {why!r}")
            return
        wanted = EVENT_READ | (EVENT_WRITE if self._out else 0)
        if wanted != self._wanted:
            self._wanted = wanted
            self._selector.modify(self._plain, wanted, self)

    def _read(self) -> None:
        data, at = self._in, 0
        if not self.open:
            at = data.find(b"\r\n\r\n") + 4
            if at < 4:
                return
            if not data.startswith(b"HTTP/1.1 101"):
                self.close(f"no WebSocket: {bytes(data[:60])!r}")
                return
            self.open = True
        while len(data) >= at + 2:
            size, start = data[at + 1], at + 2  # a server masks nothing
            if size > 125:
                width = 2 if size == 126 else 8
                start += width
                size = int.from_bytes(data[at + 2 : start], "big")
                if len(data) < start:
                    break
            if len(data) < start + size:
                break
            opcode, text = data[at] & 0x0F, bytes(data[start : start + size])
            at = start + size
            if opcode == 1:
                self.heard(self, text)
            elif opcode == PING:
                self.write(piece(text, PONG))
            elif opcode == CLOSE:
                self.close(f"closed: {text[:2].hex()} {text[2:].decode()}")
                return
        if at:
            del self._in[:at]
