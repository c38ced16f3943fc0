"""What happens to a connection's next frames while the disk answers the first?"""

from collections import deque
from collections.abc import Callable, Iterable
from typing import Protocol

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from socp_twisted.errors import SocpError
from socp_twisted.net.link import Link
from socp_twisted.overlay.effects import Effect, HangUp, LinkId
from socp_twisted.overlay.party import Party
from socp_twisted.wire.envelope import Envelope
from socp_twisted.wire.vocabulary import CLOSE_BUG

_DISK = "the disk has to answer first"


class Desk(Protocol):
    """Whoever answers frames of users that wait for the disk."""

    async def attend(self, party: Party, envelope: Envelope) -> list[Effect]:
        """Say what follows from a frame, or raise ``SocpError``."""


class Turns:
    """One frame of a connection at a time: the others wait, unread if they are many."""

    _log = Logger()

    def __init__(
        self,
        perform: Callable[[Iterable[Effect]], None],
        complain: Callable[[Party, Envelope, SocpError], None],
    ) -> None:
        """``perform`` and ``complain`` are the node's; both set its clocks first."""
        self._perform = perform
        self._complain = complain
        self._waiting: dict[LinkId, deque[bytes]] = {}

    def is_taken(self, link: Link, frame: bytes) -> bool:
        """Keep a frame if an earlier one of its link is not answered yet."""
        if link.id not in self._waiting:
            return False
        self._waiting[link.id].append(frame)
        return True

    def attend(self, desk: Desk, link: Link, party: Party, envelope: Envelope) -> None:
        """Let a desk answer a frame; the next frame of its link is read after that."""
        self._waiting[link.id] = deque()
        link.pause(_DISK)
        answer = Deferred.fromCoroutine(desk.attend(party, envelope))
        answer.addCallback(self._perform)
        answer.addErrback(self._refused, party, envelope)
        answer.addErrback(self._bug, link)
        answer.addCallback(self._go_on, link)

    def closed(self, link_id: LinkId) -> None:
        """Forget what a connection that is gone still said."""
        self._waiting.pop(link_id, None)

    def _refused(self, failure: Failure, party: Party, envelope: Envelope) -> None:
        fault = failure.value
        if not isinstance(fault, SocpError):
            failure.raiseException()
        else:
            self._complain(party, envelope, fault)

    def _bug(self, failure: Failure, link: Link) -> None:
        self._log.failure("bug while the disk answered a user", failure=failure)
        self._perform([HangUp(link.id, CLOSE_BUG, "internal error")])

    def _go_on(self, _: object, link: Link) -> None:
        frames = self._waiting.pop(link.id, None)
        if frames is None:
            return  # closed meanwhile
        link.read_on(_DISK)
        for frame in frames:
            link.onMessage(frame, False)
