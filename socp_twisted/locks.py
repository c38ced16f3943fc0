"""Who goes on next, of all who wait?  One at a time, first come first served."""

from collections import deque
from types import TracebackType

from twisted.internet.defer import Deferred


class Lock:
    """
    Held by one at a time, with ``async with``, however many wait.

    Twisted's ``DeferredLock`` lets the next one go on from within ``release``: where
    none of them has to wait again, 125 are too deep a recursion, and it stays locked.
    """

    def __init__(self) -> None:
        self._waiting: deque[Deferred[None]] = deque()
        self._is_held = False
        self._is_passing_on = False

    @property
    def is_free(self) -> bool:
        """Whether nobody has it, and nobody waits for it."""
        return not self._is_held and not self._waiting

    async def __aenter__(self) -> None:
        if self.is_free:
            self._is_held = True
        else:
            turn: Deferred[None] = Deferred(self._waiting.remove)
            self._waiting.append(turn)
            await turn

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self._is_held = False
        if self._is_passing_on:
            return  # whoever let us go on is back in the loop in a moment
        self._is_passing_on = True
        while self._waiting and not self._is_held:
            self._is_held = True
            self._waiting.popleft().callback(None)
        self._is_passing_on = False
