"""
Who shares a transaction?  All who ask while the disk is at work.  (SOCP 15)

What is asked meanwhile is done next, all of it in one transaction: a commit is 0.4 ms,
a row 0.01.
"""

import sqlite3
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, TypeVar, cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

T = TypeVar("T")

TOGETHER: Final = 256
"""Operations in one transaction, so that the first is not long in being answered."""

ANSWERING: Final = 0.005
"""Seconds for which answers are given before it is others' turn: a login is 10 ms."""


class Pool(Protocol):
    """What we use of adbapi, which has no types of its own."""

    def runWithConnection(
        self, operation: Callable[..., T], /, *args: Any
    ) -> Deferred[T]:
        """Run ``operation(connection, *args)`` on the store's thread."""

    def close(self) -> None:
        """Stop the thread, then close the connection."""


@dataclass(slots=True)
class _Request:
    """One operation that somebody waits for."""

    writes: bool
    operation: Callable[..., Any]
    args: tuple[Any, ...]
    done: Deferred[Any] = field(default_factory=Deferred)


class Transactions:
    """Operations that wait for the disk, in the order in which they were asked for."""

    def __init__(self, reactor: IReactorTime) -> None:
        self._reactor = reactor
        self._requests: deque[_Request] = deque()
        self._working: Deferred[None] | None = None

    async def ask(
        self, pool: Pool, writes: bool, operation: Callable[..., T], *args: Any
    ) -> T:
        """Return what ``operation(connection, *args)`` does; raise what it raises."""
        request = _Request(writes, operation, args)
        self._requests.append(request)
        if self._working is None:
            self._working = Deferred.fromCoroutine(self._work(pool))
            self._working.addBoth(self._rest)
        return cast(T, await request.done)

    async def done(self) -> None:
        """Wait until all that was asked is answered."""
        if self._working is not None:
            await self._working

    async def _work(self, pool: Pool) -> None:
        """Do what was asked, and what is asked meanwhile."""
        while self._requests:
            count = min(len(self._requests), TOGETHER)
            batch = [self._requests.popleft() for _ in range(count)]
            try:
                outcomes = await pool.runWithConnection(_together, batch)
            except Exception:  # the thread is gone, or the connection
                outcomes = [Failure()] * count
            until = self._reactor.seconds() + ANSWERING
            for request, outcome in zip(batch, outcomes, strict=True):
                request.done.callback(outcome)  # a Failure is an errback
                if self._reactor.seconds() >= until:
                    await deferLater(self._reactor, 0)
                    until = self._reactor.seconds() + ANSWERING

    def _rest(self, _: object) -> None:
        self._working = None


def _together(connection: sqlite3.Connection, batch: Sequence[_Request]) -> list[Any]:
    """
    Do what several asked for in one transaction; return what each gets.

    If one of them fails, each has a transaction of its own: nobody pays for another.
    """
    writes = any(request.writes for request in batch)
    try:
        connection.execute("BEGIN IMMEDIATE" if writes else "BEGIN")
        found = [request.operation(connection, *request.args) for request in batch]
        connection.commit()
    except Exception:
        failure = Failure()
        connection.rollback()
        if len(batch) == 1:
            return [failure]
        return [outcome for one in batch for outcome in _together(connection, [one])]
    return found
