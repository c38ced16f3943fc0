"""How do a turn's frames leave?  Each connection's with one call of the system.

Twisted writes once the reactor says that a socket takes more: three system calls for
each frame of five hundred, where nearly every socket would have taken it at once.
"""

from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from twisted.internet.interfaces import IPullProducer
from twisted.logger import Logger
from zope.interface import implementer

log = Logger()

LENGTH = 0.005
"""Seconds of one turn in which is sent; who is left has more to send in the next."""


class Reader(Protocol):
    """Who is told whether the other end reads: an ``Outbox``."""

    def pauseProducing(self) -> None:
        """The system takes no more for it."""

    def resumeProducing(self) -> None:
        """It does again."""

    def stopProducing(self) -> None:
        """The connection is gone."""


class Gathering:
    """The connections for which there is something to send."""

    def __init__(
        self, soon: Callable[[Callable[[], None]], None], seconds: Callable[[], float]
    ) -> None:
        """``soon`` is the reactor's next turn; ``seconds`` is monotonic."""
        self._soon = soon
        self._seconds = seconds
        self._waiting: deque[Gathered] = deque()

    def add(self, one: "Gathered") -> None:
        """Send for this connection in the next turn."""
        if not self._waiting:
            self._soon(self._send)
        self._waiting.append(one)

    def _send(self) -> None:
        until = self._seconds() + LENGTH
        waiting = self._waiting
        while waiting:
            one = waiting.popleft()
            try:
                one.send()
            except Exception:
                # Else those behind it would wait for ever: nobody asks for them again.
                log.failure("bug while sending what was gathered")
                one.abort()
            if self._seconds() >= until:
                break
        if waiting:
            self._soon(self._send)


@implementer(IPullProducer)
class Gathered:
    """
    What is to be sent on one TCP connection of Twisted's.

    What the system does not take goes into the transport's own buffer, and then all
    else does, until that is empty: as its pull producer this is told so.
    """

    __slots__ = ("_behind", "_gathering", "_parts", "_reader", "_transport")

    def __init__(self, transport: Any, gathering: Gathering, reader: Reader) -> None:
        self._transport = transport
        self._gathering = gathering
        self._reader = reader
        self._parts: tuple[bytes, ...] | list[bytes] = ()
        transport.registerProducer(self, False)
        self._behind = True  # whatever was written before

    def write(self, data: bytes) -> None:
        """Send bytes before the next turn ends."""
        if self._parts:
            self._parts.append(data)  # type: ignore[union-attr]
        else:
            self._parts = [data]
            self._gathering.add(self)

    def hand_over(self) -> None:
        """Let somebody else write to the transport: after what was gathered."""
        parts, self._parts = self._parts, ()
        self._behind = True
        if parts:
            self._transport.write(b"".join(parts))

    def send(self) -> None:
        """Send what was gathered, as far as the system takes it."""
        parts = self._parts
        if not parts:
            return
        if self._behind:
            self.hand_over()
            return
        data = parts[0] if len(parts) == 1 else b"".join(parts)
        sent = self._transport.writeSomeData(data)
        if sent == len(data):
            self._parts = ()
            return
        # An error comes again when the reactor writes, and ends the connection.
        self._parts = [data[sent:]] if isinstance(sent, int) else parts
        self.hand_over()
        self._reader.pauseProducing()

    def abort(self) -> None:
        """End the connection: nobody knows how much of a frame has left."""
        self._parts = ()
        self._transport.abortConnection()

    def resumeProducing(self) -> None:
        """The transport's buffer is empty."""
        if self._transport.disconnecting:
            self._behind = True
            self._transport.unregisterProducer()  # or it would wait for more
            return
        self._behind = False
        self._reader.resumeProducing()

    def stopProducing(self) -> None:
        """The connection is gone."""
        self._parts = ()
        self._reader.stopProducing()
