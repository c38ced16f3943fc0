"""Who waits for an event?  ``/expect`` in a script, and what waits for any change."""

from collections import deque
from collections.abc import Iterable
from typing import Any, Final

from twisted.internet.defer import Deferred

from socp_twisted.client.terminal.happenings import Done, Failed, Happening
from socp_twisted.client.terminal.record import matches

MAX_KEPT: Final = 2_000
"""Events that a later /expect may still ask for."""


class Expecting:
    """Keeps what happened until somebody expects it; each event serves once."""

    def __init__(self, reactor: Any, keep: int = MAX_KEPT) -> None:
        self._reactor = reactor
        self._kept: deque[Happening] = deque(maxlen=keep)
        self._waiting: list[Deferred[None]] = []

    def feed(self, event: Happening) -> None:
        """Keep an event, and wake whoever waits."""
        if not isinstance(event, Done | Failed):
            self._kept.append(event)
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            if not one.called:
                one.callback(None)

    async def expect(
        self, name: str, fields: Iterable[tuple[str, str]], seconds: float
    ) -> Happening | None:
        """Return the oldest such event that nobody has had; None if it is late."""
        wanted, late = tuple(fields), self._reactor.seconds() + seconds
        while True:
            for event in self._kept:
                if matches(event, name, wanted):
                    self._kept.remove(event)
                    return event
            left = late - self._reactor.seconds()
            if left <= 0:
                return None
            await self.change(left)

    async def change(self, seconds: float | None = None) -> None:
        """Wait until something happens, or until ``seconds`` have passed."""
        changed: Deferred[None] = Deferred()
        self._waiting.append(changed)
        if seconds is None:
            await changed
            return

        def late() -> None:
            self._waiting.remove(changed)
            changed.callback(None)

        timer = self._reactor.callLater(max(seconds, 0.0), late)
        try:
            await changed
        finally:
            if timer.active():
                timer.cancel()
