"""A minute in a second: real sockets and threads, and a clock that runs ahead."""

from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock, LoopingCall

TURN: Final = 0.01
"""Seconds between two moves of the clock."""


class Hurried(Clock):
    """
    A reactor on which time passes faster than frames are read.

    The clock moves a bit in each of the real reactor's turns, so a machine that is busy
    with something else slows both down alike, and nothing times out for that.
    """

    def __init__(self, reactor: Any) -> None:
        """Take everything that is not time from ``reactor``."""
        super().__init__()
        self._reactor = reactor
        self.speed = 20.0
        """How many seconds pass in a real one."""
        self._moving = LoopingCall(self._move)
        self._moving.clock = reactor

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)

    def start(self) -> None:
        """Let time pass."""
        self._moving.start(TURN, now=False)

    def stop(self) -> None:
        """Stop the clock; what it was asked to call is not called."""
        if self._moving.running:
            self._moving.stop()

    async def after(self, seconds: float) -> None:
        """Let so much time pass, as fast as calls every second can follow."""
        passed: Deferred[None] = Deferred()
        self.callLater(seconds, passed.callback, None)
        before, self.speed = self.speed, 0.8 / TURN
        await passed
        self.speed = before

    def _move(self) -> None:
        self.advance(self.speed * TURN)
