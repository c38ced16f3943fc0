"""Where does the expensive work of a session happen?  On one thread, in order.

A signature and a decryption take 5 ms each, a passphrase 50: on the reactor's thread
every keystroke would wait for them.  One thread, because a session is no more
thread-safe than a dictionary, and because what was said first must be sent first.
"""

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool

T = TypeVar("T")


class Worker(Protocol):
    """Does one thing after the other, and says on the reactor's thread what came."""

    def do(self, work: Callable[[], T]) -> "Deferred[T]":
        """Do ``work`` after everything that was asked for before."""

    def stop(self) -> None:
        """Take no further work."""


class Thread:
    """A thread of its own, which ends with ``stop`` or with the reactor."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._pool = ThreadPool(1, 1, name="socp-client")
        self._pool.start()
        self._trigger = reactor.addSystemEventTrigger("during", "shutdown", self._end)

    def do(self, work: Callable[[], T]) -> "Deferred[T]":
        """Do ``work`` after everything that was asked for before."""
        return deferToThreadPool(self._reactor, self._pool, work)

    def stop(self) -> None:
        """Wait for the work under way, and end the thread."""
        if self._pool.started:
            self._reactor.removeSystemEventTrigger(self._trigger)
            self._end()

    def _end(self) -> None:
        self._pool.stop()


class Inline:
    """No thread at all: for tests, and for whoever has no screen to keep alive."""

    def do(self, work: Callable[[], T]) -> "Deferred[T]":
        """Do ``work`` now."""
        return maybeDeferred(work)

    def stop(self) -> None:
        """Nothing to end."""
