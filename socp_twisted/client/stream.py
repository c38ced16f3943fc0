"""Who waits for what?  The stream of events, and the commands awaiting an outcome."""

from collections import defaultdict, deque
from collections.abc import Callable, Hashable
from typing import Any, Final, Self

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from socp_twisted.client.events import Event, EventsDropped

MAX_UNREAD: Final = 10_000


class EventStream:
    """
    The events of one client, for ``async for``; it ends when the client is closed.

    Bounded: where nobody reads, the oldest are dropped and ``EventsDropped`` says how
    many.  Several readers share the events among them.
    """

    def __init__(self, limit: int = MAX_UNREAD) -> None:
        self._unread: deque[Event] = deque()
        self._limit = limit
        self._dropped = 0
        self._readers: deque[Deferred[None]] = deque()
        self._ended = False

    def put(self, event: Event) -> None:
        """Append an event."""
        if len(self._unread) >= self._limit:
            self._unread.popleft()
            self._dropped += 1
        self._unread.append(event)
        self._wake(1)

    def end(self) -> None:
        """Let the readers have what is left, and stop."""
        self._ended = True
        self._wake(len(self._readers))

    def _wake(self, count: int) -> None:
        while count and self._readers:
            self._readers.popleft().callback(None)
            count -= 1

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        while not self._unread and not self._dropped:
            if self._ended:
                raise StopAsyncIteration
            reader: Deferred[None] = Deferred(self._forget)
            self._readers.append(reader)
            await reader
        if self._dropped:
            dropped, self._dropped = self._dropped, 0
            return EventsDropped(dropped)
        return self._unread.popleft()

    def _forget(self, reader: Deferred[None]) -> None:
        self._readers.remove(reader)


class Waiters:
    """Commands that wait for an event, each under the key of what it waits for."""

    def __init__(self) -> None:
        self._waiting: defaultdict[Hashable, list[Deferred[Any]]] = defaultdict(list)

    def expect(self, key: Hashable) -> "Deferred[Any]":
        """Return a Deferred that ``settle`` fires."""

        def forget(waiter: Deferred[Any]) -> None:
            self._waiting[key].remove(waiter)

        waiter: Deferred[Any] = Deferred(forget)
        self._waiting[key].append(waiter)
        return waiter

    def settle(self, key: Hashable, value: Any) -> None:
        """Give ``value``, or raise it if it is an exception, to whoever waits."""
        self.take(key)(value)

    def take(self, key: Hashable) -> Callable[[Any], None]:
        """Return what settles it for those who wait now, and for nobody after them."""
        waiting = self._waiting.pop(key, [])

        def settle(value: Any) -> None:
            for waiter in waiting:
                if isinstance(value, Exception):
                    waiter.errback(Failure(value))
                else:
                    waiter.callback(value)

        return settle

    def settle_all(self, value: Exception) -> None:
        """Nothing will come any more."""
        for key in list(self._waiting):
            self.settle(key, value)
