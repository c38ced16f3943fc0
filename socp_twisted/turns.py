"""What happens to a connection's next frames while the disk answers the first?"""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from socp_twisted.errors import SocpError
from socp_twisted.net.link import Link
from socp_twisted.overlay.effects import Effect, LinkId
from socp_twisted.overlay.party import Party
from socp_twisted.wire.envelope import Envelope
from socp_twisted.wire.vocabulary import ACK, ERROR, HEARTBEAT

AT_DESK = 32
"""Frames of one connection that wait for the disk together."""

AT_DESK_BYTES = 256 * 1024
"""Bytes after which there is no room for one more."""

AT_ANY_TIME = frozenset({ACK, ERROR, HEARTBEAT})
"""Receipts for what others said: they are no answer to what is at the desk."""

_DISK = "the disk has to answer first"


class Desk(Protocol):
    """Whoever answers frames of users that wait for the disk."""

    async def attend(self, party: Party, envelope: Envelope) -> list[Effect]:
        """Say what follows from a frame, or raise ``SocpError``."""


@dataclass(slots=True, eq=False)
class _Turn:
    """One frame that a desk is at: what follows once those before it are done."""

    size: int
    then: Callable[[], None] | None = None


@dataclass(slots=True)
class _Line:
    """The frames of one connection: those at a desk, and those that wait for them."""

    alone: bool
    at_desk: deque[_Turn] = field(default_factory=deque)
    waiting: deque[bytes | Envelope] = field(default_factory=deque)
    size: int = 0

    @property
    def is_full(self) -> bool:
        """Whether the next frame has to wait."""
        full = len(self.at_desk) >= AT_DESK or self.size >= AT_DESK_BYTES
        return self.alone or full or bool(self.waiting)


class Turns:
    """
    So many frames of a connection at a time: the others wait, unread if they are many.

    What several frames wait for is one visit to the disk; they are answered in order.
    """

    _log = Logger()

    def __init__(
        self,
        perform: Callable[[Iterable[Effect]], None],
        complain: Callable[[Party, Envelope, SocpError], None],
        act: Callable[[Link, Envelope], None],
    ) -> None:
        """``perform`` and ``complain`` and ``act`` are the node's; they set clocks."""
        self._perform = perform
        self._complain = complain
        self._act = act
        self._lines: dict[LinkId, _Line] = {}

    def is_taken(self, link: Link, frame: bytes) -> bool:
        """Keep a frame if it is not to be read before earlier ones are answered."""
        line = self._lines.get(link.id)
        if line is None or not line.is_full:
            return False
        line.waiting.append(frame)
        return True

    def comes_after(self, link: Link, envelope: Envelope) -> bool:
        """Keep a frame that nobody has to think about until earlier ones are done."""
        line = self._lines.get(link.id)
        if line is None or envelope.type in AT_ANY_TIME:
            return False
        line.waiting.append(envelope)
        link.pause(_DISK)
        return True

    def attend(
        self, desk: Desk, link: Link, party: Party, envelope: Envelope, *, alone: bool
    ) -> None:
        """Let a desk answer a frame; ``alone`` if it changes what the next means."""
        line = self._lines.get(link.id)
        if line is None:
            line = self._lines[link.id] = _Line(alone)
        elif alone:
            self.comes_after(link, envelope)
            return
        turn = _Turn(len(envelope.frame))
        line.at_desk.append(turn)
        line.size += turn.size
        if line.is_full:
            link.pause(_DISK)
        Deferred.fromCoroutine(self._answer(desk, link, party, envelope, turn))

    def closed(self, link_id: LinkId) -> None:
        """Forget what a connection that is gone still said."""
        self._lines.pop(link_id, None)

    async def _answer(
        self, desk: Desk, link: Link, party: Party, envelope: Envelope, turn: _Turn
    ) -> None:
        line = self._lines[link.id]
        try:
            effects = await desk.attend(party, envelope)
            turn.then = partial(self._perform, effects)
        except SocpError as fault:
            turn.then = partial(self._complain, party, envelope, fault)
        except Exception:
            turn.then = partial(self._bug, Failure(), link)
        while line.at_desk and (then := line.at_desk[0].then) is not None:
            line.size -= line.at_desk.popleft().size
            try:
                then()
            except Exception:
                self._bug(Failure(), link)
        if not line.at_desk:
            self._go_on(link, line)
        elif not line.is_full:
            link.read_on(_DISK)

    def _bug(self, failure: Failure, link: Link) -> None:
        self._log.failure("bug while the disk answered a user", failure=failure)
        link.fail()

    def _go_on(self, link: Link, line: _Line) -> None:
        """Read what waited; one of them may make the others wait again."""
        if self._lines.get(link.id) is not line:
            return  # closed meanwhile
        del self._lines[link.id]
        link.read_on(_DISK)
        bugs = []
        for frame in line.waiting:
            if isinstance(frame, bytes):
                link.onMessage(frame, False)
            elif (next_ := self._lines.get(link.id)) is not None and next_.is_full:
                next_.waiting.append(frame)
            else:
                try:
                    self._act(link, frame)
                except Exception:
                    bugs.append(Failure())
        for bug in bugs:  # at the end: the link would take none of those behind it
            self._bug(bug, link)
