"""What is done in one turn of the reactor, and what can wait for the next?"""

from collections import deque
from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

LENGTH = 0.01
"""Seconds of one turn for what can wait: what many send, and long answers to them."""


class Turn:
    """
    Shares each turn of the reactor between those who have something to do.

    A thousand who connect, log in or are told of each other at once are seconds of
    work: whoever waits for a clock, or for a signature, comes in between.
    """

    _log = Logger()

    def __init__(self, reactor: IReactorTime) -> None:
        self._reactor = reactor
        self.began: float | None = None
        """Monotonic seconds; ``None`` if nothing was done yet."""
        self._is_awake = False
        self._waiting: deque[Callable[[], None]] = deque()

    def soon(self, call: Callable[[], None]) -> None:
        """Call back in a later turn, after those who asked before."""
        self._waiting.append(call)
        self._wake()

    def is_over(self) -> bool:
        """Say whether enough was done in this turn."""
        now = self._reactor.seconds()
        if self.began is None:
            self.began = now
            self._wake()
        return now - self.began >= LENGTH

    def _wake(self) -> None:
        if not self._is_awake:
            self._is_awake = True
            self._reactor.callLater(0, self._begin)

    def _begin(self) -> None:
        self._is_awake, self.began = False, None
        if self._waiting:
            self.is_over()  # from here on time counts
        for _ in range(len(self._waiting)):  # who asks meanwhile waits for the next
            try:
                self._waiting.popleft()()
            except Exception:
                # It is nobody's business who waits behind it.
                self._log.failure("bug in what could wait")
            if self.is_over():
                return
