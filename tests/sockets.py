"""
What does a foreign end of a WebSocket connection do?  The ``websockets`` library.

Its state machines do the protocol and Twisted carries the bytes: no code is shared
with the project, and no thread with anybody.
"""

import json
import time
from collections.abc import Callable
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from websockets.client import ClientProtocol
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.frames import Frame as Piece
from websockets.frames import Opcode
from websockets.http11 import Request
from websockets.protocol import OPEN
from websockets.server import ServerProtocol
from websockets.uri import parse_uri

from tests.plain_socp import Frame, Key, canonical

T = TypeVar("T")


class Watch:
    """Asks all conditions that somebody waits for, each time something happened."""

    def __init__(self, reactor: IReactorTime) -> None:
        """Measure deadlines with ``reactor``."""
        self._reactor = reactor
        self._asked: list[Callable[[], None]] = []
        self._told: IDelayedCall | None = None

    def changed(self) -> None:
        """Something happened: ask again, once for all that happens at a time."""
        if self._told is None:
            self._told = self._reactor.callLater(0, self._ask)

    def stop(self) -> None:
        """Ask no more."""
        if self._told is not None:
            self._told.cancel()
            self._told = None

    async def until(
        self,
        condition: Callable[[], T | None],
        seconds: float,
        story: Callable[[], str] = str,
    ) -> T:
        """
        Return what ``condition`` gives as soon as it gives something true.

        Raise ``AssertionError`` with the ``story`` if it takes longer than ``seconds``.
        """
        if found := condition():
            return found
        result: Deferred[T] = Deferred()

        def ask() -> None:
            if found := condition():
                result.callback(found)

        def too_late() -> None:
            told = f"nothing within {seconds:g} s\n{story()}"
            result.errback(Failure(AssertionError(told)))

        late = self._reactor.callLater(seconds, too_late)
        self._asked.append(ask)
        try:
            return await result
        finally:
            self._asked.remove(ask)
            if late.active():
                late.cancel()

    def _ask(self) -> None:
        self._told = None
        for ask in list(self._asked):
            if ask in self._asked:
                ask()


class Socket(Protocol):
    """One end of a connection: JSON texts in ``frames``, and how it ended."""

    def __init__(
        self, machine: ClientProtocol | ServerProtocol, changed: Callable[[], None]
    ) -> None:
        """Speak as ``machine`` does; call ``changed`` whenever something happened."""
        self._machine = machine
        self._changed = changed
        self.frames: list[Frame] = []
        self.closed: tuple[int | None, str | None] | None = None
        """The close code and reason that the other end sent; None while it is open."""
        self.heard_at = 0.0

    @property
    def open(self) -> bool:
        """Whether frames can be sent."""
        return self._machine.state is OPEN and self.closed is None

    def write(self, frame: Frame) -> None:
        """Send one JSON text as Python writes it, with its spaces and escapes."""
        self.write_text(json.dumps(frame))

    def write_text(self, text: str) -> None:
        """Send one text message."""
        self._machine.send_text(text.encode("utf-8"))
        self._turn()

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Begin the closing handshake."""
        if self.open:
            self._machine.send_close(code, reason)
            self._turn()

    def abort(self) -> None:
        """Break the connection."""
        if self.transport is not None:
            self.transport.abortConnection()  # type: ignore[attr-defined]

    def received(self, frame: Frame) -> None:
        """Take a frame; whoever is more than an ear overrides this."""

    # -- what Twisted calls ------------------------------------------------------------

    def connectionMade(self) -> None:
        """Ask for a WebSocket, if we are the client."""
        self.transport.setTcpNoDelay(True)  # type: ignore[union-attr]
        if isinstance(self._machine, ClientProtocol):
            self._machine.send_request(self._machine.connect())
        self._turn()

    def dataReceived(self, data: bytes) -> None:
        """Take bytes."""
        self._machine.receive_data(data)
        self._turn()

    def connectionLost(self, reason: Failure = None) -> None:  # type: ignore[assignment]
        """Take the end of the bytes."""
        self._machine.receive_eof()
        self._read()
        self.closed = (self._machine.close_code, self._machine.close_reason)
        self._changed()

    def _turn(self) -> None:
        self._read()
        for data in self._machine.data_to_send():
            if data:
                self.transport.write(data)  # type: ignore[union-attr]
            else:
                self.transport.loseConnection()  # type: ignore[union-attr]

    def _read(self) -> None:
        for event in self._machine.events_received():
            if isinstance(event, Request):
                assert isinstance(self._machine, ServerProtocol)
                self._machine.send_response(self._machine.accept(event))
            elif isinstance(event, Piece) and event.opcode is Opcode.TEXT:
                frame = json.loads(bytes(event.data))
                self.frames.append(frame)
                self.received(frame)
        self._changed()


def client_machine(url: str) -> ClientProtocol:
    """Return the state machine of a client, with what ``connect()`` asks for."""
    deflate = ClientPerMessageDeflateFactory(client_max_window_bits=True)
    return ClientProtocol(parse_uri(url), extensions=[deflate])


class Stranger(Socket):
    """A client in somebody else's program: a user, or a server that dials."""

    def __init__(self, key: Key, url: str, watch: Watch) -> None:
        """Speak for the owner of ``key``."""
        super().__init__(client_machine(url), watch.changed)
        self.key = key
        self.name = key.owner
        self._watch = watch
        self._last_ts = 0

    def now(self) -> int:
        """Return Unix time in milliseconds, never the same twice."""
        self._last_ts = max(self._last_ts + 1, int(time.time() * 1000))
        return self._last_ts

    def say(
        self, kind: str, to: str, payload: Frame, *, salt: int = 32, **more: Any
    ) -> Frame:
        """Send a signed frame in the standard's form, and return it."""
        frame = {
            "type": kind,
            "from": self.name,
            "to": to,
            "ts": self.now(),
            "payload": payload,
            "sig": self.key.sign(canonical(payload), salt),
            **more,
        }
        self.write(frame)
        return frame

    def heard(self, kind: str, **payload: object) -> list[Frame]:
        """Return the frames of a type that came with these values in the payload."""
        return [
            frame
            for frame in self.frames
            if frame["type"] == kind
            and all(frame["payload"].get(name) == payload[name] for name in payload)
        ]

    async def hear(self, kind: str, *, seconds: float = 5, **payload: object) -> Frame:
        """Return the newest frame of a type, waiting for one if there was none."""
        found = await self._watch.until(
            lambda: self.heard(kind, **payload),
            seconds,
            lambda: f"{self.name} waited for {kind} {payload}\n{self.story()}",
        )
        return found[-1]

    async def hang_up(self) -> None:
        """Close the connection and wait until it is closed."""
        self.close()
        await self.end()

    async def end(self, seconds: float = 5) -> tuple[int | None, str | None]:
        """Wait for the end of the connection; return its close code and reason."""
        return await self._watch.until(lambda: self.closed, seconds, self.story)

    def story(self) -> str:
        """Return what came, for whoever reads of a failed test."""
        return "\n".join(
            [str(self.closed), *(json.dumps(frame)[:300] for frame in self.frames)]
        )

    async def online(self) -> dict[str, str]:
        """Ask who is online; return the server of each user."""
        before = len(self.heard("LIST_RESPONSE"))
        self.write({"type": "LIST_REQUEST", "from": self.name, "to": "*", "ts": 1})
        await self._watch.until(
            lambda: len(self.heard("LIST_RESPONSE")) > before, 5, self.story
        )
        users = self.heard("LIST_RESPONSE")[-1]["payload"]["users"]
        return {user["user_id"]: user["server_id"] for user in users}
