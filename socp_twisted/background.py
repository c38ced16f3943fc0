"""What is done that nobody waits for?  It runs, and if it fails the log says so."""

from collections.abc import Coroutine
from typing import Any

from twisted.internet.defer import Deferred, DeferredList
from twisted.logger import Logger


class Background:
    """The work that is under way while frames go on."""

    _log = Logger()

    def __init__(self) -> None:
        self._work: set[Deferred[None]] = set()

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Run what nobody waits for; if it fails, the log says so."""
        done = Deferred.fromCoroutine(work)
        self._work.add(done)
        done.addErrback(
            lambda why: self._log.failure("bug, or a disk that refuses", failure=why)
        )
        done.addBoth(lambda _: self._work.discard(done))

    def rest(self) -> Deferred[Any]:
        """Return what fires when all that is under way now is done."""
        return DeferredList(list(self._work))
