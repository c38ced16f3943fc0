"""A store whose SQL runs at once, in the test's own thread."""

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

from twisted.enterprise.adbapi import ConnectionPool
from twisted.internet.defer import Deferred, execute
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from socp_twisted.store.sqlite import SqliteStore

T = TypeVar("T")

NOW = 1_700_000_000_000


class InlinePool(ConnectionPool):
    """adbapi without its thread: each ``Deferred`` has fired when it is returned."""

    def runWithConnection(
        self, func: Callable[..., T], *args: Any, **kw: Any
    ) -> Deferred[T]:
        """Run ``func`` here and now, in a transaction as adbapi does it."""
        return execute(self._runWithConnection, func, *args, **kw)


def inline_store(path: Path) -> SqliteStore:
    """Return a store, not open yet, that needs no running reactor."""
    return SqliteStore(path, MemoryReactorClock(), InlinePool)


class StoreTestCase(SynchronousTestCase):
    """One database file, and coroutines that are done when they return."""

    def setUp(self) -> None:
        """Name a file that is not there yet."""
        self.path = Path(self.mktemp()) / "socp.db"

    def wait(self, coroutine: Coroutine[Deferred[Any], Any, T]) -> T:
        """Return what a coroutine of an inline store returns."""
        return self.successResultOf(Deferred.fromCoroutine(coroutine))

    def opened(self) -> SqliteStore:
        """Return an open store, closed when the test is over."""
        store = inline_store(self.path)
        self.wait(store.open(NOW))
        self.addCleanup(lambda: self.wait(store.close()))
        return store

    def fault(
        self, coroutine: Coroutine[Deferred[Any], Any, T], kind: type[Exception]
    ) -> str:
        """Return the sentence with which a coroutine fails."""
        failure = self.failureResultOf(Deferred.fromCoroutine(coroutine), kind)
        return str(failure.value)
