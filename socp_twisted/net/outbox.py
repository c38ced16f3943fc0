"""In which order do frames leave, and when is a reader too slow?"""

from collections import deque
from collections.abc import Callable

from autobahn.websocket.protocol import PreparedMessage
from twisted.internet.interfaces import IPushProducer
from twisted.logger import Logger
from zope.interface import implementer

log = Logger()


class Draft:
    """A frame that is on its way to being signed; several links may wait for it."""

    __slots__ = ("_waiting", "wire")

    def __init__(self, frame: bytes | None = None) -> None:
        self._waiting: list[Outbox] = []
        self.wire = None if frame is None else server_message(frame)
        """The frame as a WebSocket message of a server; ``None`` if it is not signed,
        empty if it could not be."""

    @property
    def frame(self) -> bytes:
        """The frame itself; empty if there is none."""
        wire = self.wire or b""
        return wire[_HEADS.get(wire[1], 2) :] if wire else b""

    def finish(self, frame: bytes) -> None:
        """Take the signed frame, and let go whoever waited for it."""
        self.wire = server_message(frame)
        waiting, self._waiting = self._waiting, []
        for outbox in waiting:
            outbox.finished(self)

    def when_finished(self, outbox: "Outbox") -> None:
        """Tell ``outbox`` once there is a frame."""
        self._waiting.append(outbox)


_HEADS = {126: 4, 127: 10}
"""Bytes before the text, by the second of them."""


def server_message(text: bytes) -> bytes:
    """Return the bytes of one text message, unmasked and whole (RFC 6455, 5.2)."""
    if not text:
        return b""
    message = PreparedMessage(text, isBinary=False, applyMask=False, doNotCompress=True)
    return bytes(message.payloadHybi)


_NOTHING: deque[Draft] = deque(maxlen=0)
"""What waits towards most links: a queue of its own is 760 bytes for each."""


@implementer(IPushProducer)
class Outbox:
    """
    The frames towards one link: first in, first out, whatever is signed first.

    It registers as the transport's producer, so it knows when the other end does not
    read; ``queued`` and ``paused_at`` tell the node when to lose patience.
    """

    __slots__ = (
        "_clock",
        "_closed",
        "_drafts",
        "_when_empty",
        "_write",
        "paused_at",
        "queued",
    )

    def __init__(self, write: Callable[[Draft], None], clock: Callable[[], float]):
        """``write`` sends one that is finished; ``clock`` is monotonic, in seconds."""
        self._write = write
        self._clock = clock
        self._drafts = _NOTHING
        self._closed = False
        self._when_empty: tuple[Callable[[], None], ...] = ()
        self.paused_at: float | None = None
        self.queued = 0
        """Bytes that are finished and wait for the other end to read."""

    def __len__(self) -> int:
        return len(self._drafts)

    def push(self, draft: Draft) -> None:
        """Send a draft after all that came before it."""
        if self._closed:
            return
        wire = draft.wire
        if wire is None:
            draft.when_finished(self)
        elif not self._drafts and self.paused_at is None:
            if wire:
                self._write(draft)
            return
        else:
            self.queued += len(wire)
        if self._drafts is _NOTHING:
            self._drafts = deque()
        self._drafts.append(draft)

    def finished(self, draft: Draft) -> None:
        """Send a draft that has a frame now, unless others come before it."""
        assert draft.wire is not None
        if not self._closed:
            self.queued += len(draft.wire)
            self.flush()

    def flush(self) -> None:
        """Write what is finished, up to the first that is not."""
        while self._drafts and self.paused_at is None and not self._closed:
            wire = self._drafts[0].wire
            if wire is None:
                return
            draft = self._drafts.popleft()
            self.queued -= len(wire)
            if wire:  # else it could not be signed
                self._write(draft)
        if not self._drafts:
            self._drafts = _NOTHING
            self._tell_empty()

    def when_empty(self, call: Callable[[], None]) -> None:
        """Call back once everything so far is written (or the link is closed)."""
        if self._drafts and not self._closed:
            self._when_empty += (call,)
        else:
            call()

    def close(self) -> None:
        """Drop what was not written; nothing more is."""
        self._closed = True
        self._drafts = _NOTHING
        self.queued = 0
        self._tell_empty()

    def _tell_empty(self) -> None:
        waiting, self._when_empty = self._when_empty, ()
        for call in waiting:
            try:
                call()
            except Exception:
                # Whoever emptied it is not at fault, and has others to write to.
                log.failure("bug in what waited for a reader")

    # -- what the transport calls ------------------------------------------------------

    def pauseProducing(self) -> None:
        """The transport is full: the other end does not read."""
        if self.paused_at is None:
            self.paused_at = self._clock()

    def resumeProducing(self) -> None:
        """The transport has room again."""
        self.paused_at = None
        self.flush()

    def stopProducing(self) -> None:
        """The connection is gone."""
        self.close()
