"""
How are signatures made without stopping the world?  (SOCP 7)

One RSA-4096 signature is 5 ms of a core.  They are made on threads of their own, one
per core: cryptography lets go of the GIL meanwhile.  A payload that goes to many, or
goes out again, is signed once.
"""

import hashlib
import heapq
import itertools
import os
from collections import OrderedDict, deque
from collections.abc import Callable
from functools import partial
from typing import Protocol

from twisted.internet.interfaces import IReactorFromThreads
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from socp_twisted.trust.keys import SigningKey
from socp_twisted.trust.signatures import sign

Done = Callable[[str], None]

CACHED = 32_768
"""
Signatures kept, about 1 kB each: presence goes out again with every login.

Were there fewer than users online, each login would need a new one for each of them.
"""

QUIET_LANES = 4096
"""Lanes of which it is kept when they were served last."""


class Signer(Protocol):
    """Makes the transport signatures of one key."""

    def sign(self, data: bytes, done: Done, lane: int = 0) -> None:
        """
        Call ``done`` with the signature of ``data``, now or later; empty if it failed.

        Lanes take turns, so that what many frames wait for in one delays no other; a
        lane that had been quiet is served before those that were not.
        """

    @property
    def waiting(self) -> int:
        """How many signatures are still to be made."""

    def start(self) -> None:
        """Get ready."""

    def stop(self) -> None:
        """Make no more signatures; what still waits is dropped."""


class _Cache:
    """The signatures of late, by what they cover; the oldest goes first."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._known: OrderedDict[bytes, str] = OrderedDict()

    def get(self, data: bytes) -> str | None:
        name = _digest(data)
        sig = self._known.get(name)
        if sig is not None:
            self._known.move_to_end(name)
        return sig

    def keep(self, data: bytes, sig: str) -> None:
        if len(data) > 4096:
            return  # a welcome or a list: large, and rarely the same twice
        self._known[_digest(data)] = sig
        if len(self._known) > self._limit:
            self._known.popitem(last=False)


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=16).digest()


class _Lanes:
    """
    What waits, by lane: fair queueing by start tags (Goyal, Vin and Cheng, 1996).

    In mere turns a user who writes once a minute waits for one signature of each of
    the hundred who write all the time.  Here time is counted in turns, a lane's next
    turn is never before its last one is over, and of those whose turn it is, who has
    been quiet for longest comes first.
    """

    def __init__(self) -> None:
        self._queues: dict[int, deque[bytes]] = {}
        self._turns: list[tuple[int, int, int, int]] = []
        """Heap: a turn's number, when the lane's last one was, order, lane."""
        self._over: dict[int, int] = {}
        """When the last turn of a lane is over, unless that is long ago."""
        self._now = 0
        self._order = itertools.count()

    def __bool__(self) -> bool:
        return bool(self._queues)

    def push(self, lane: int, data: bytes) -> None:
        """Add to the end of a lane."""
        if lane not in self._queues:
            self._queues[lane] = deque()
            self._line_up(lane, self._over.get(lane, 0))
        self._queues[lane].append(data)

    def pop(self) -> bytes:
        """Take the first of the lane whose turn it is."""
        self._now, _, _, lane = heapq.heappop(self._turns)
        queue = self._queues[lane]
        data = queue.popleft()
        self._over[lane] = self._now + 1
        if queue:
            self._line_up(lane, self._now + 1)
        else:
            del self._queues[lane]
            if len(self._over) > QUIET_LANES + len(self._queues):
                self._over = {
                    one: at for one, at in self._over.items() if at > self._now
                }
        return data

    def clear(self) -> None:
        """Drop everything."""
        self._queues.clear()
        self._turns.clear()

    def _line_up(self, lane: int, over: int) -> None:
        turn = (max(self._now, over), over, next(self._order), lane)
        heapq.heappush(self._turns, turn)


class ThreadedSigner:
    """Signs on as many threads as there are cores."""

    _log = Logger()

    def __init__(
        self,
        reactor: IReactorFromThreads,
        key: SigningKey,
        threads: int | None = None,
    ) -> None:
        """Use ``threads`` threads; ``None`` is one for each core."""
        self._reactor = reactor
        self._key = key
        count = threads or os.cpu_count() or 1
        self._pool = ThreadPool(count, count, "signer")
        # Two for each thread: none waits for the reactor to hand it the next.
        self._slots = 2 * count
        self._under_way: dict[bytes, list[Done]] = {}
        self._lanes = _Lanes()
        self._cache = _Cache(CACHED)
        self.made = 0

    @property
    def waiting(self) -> int:
        """How many signatures are still to be made."""
        return len(self._under_way)

    def sign(self, data: bytes, done: Done, lane: int = 0) -> None:
        """Call ``done`` from the reactor; the same data under way is signed once."""
        sig = self._cache.get(data)
        if sig is not None:
            done(sig)
        elif data in self._under_way:
            self._under_way[data].append(done)
        else:
            self._under_way[data] = [done]
            self._lanes.push(lane, data)
            self._next()

    def start(self) -> None:
        """Start the threads."""
        self._pool.start()

    def stop(self) -> None:
        """Stop the threads, after the signatures that they are at."""
        self._lanes.clear()
        self._under_way.clear()
        if self._pool.started:
            self._pool.stop()

    def _next(self) -> None:
        while self._lanes and self._slots:
            self._slots -= 1
            data = self._lanes.pop()
            self._pool.callInThreadWithCallback(
                partial(self._from_thread, data), sign, self._key, data
            )

    def _from_thread(self, data: bytes, success: bool, result: str | Failure) -> None:
        self._reactor.callFromThread(self._finished, data, success, result)

    def _finished(self, data: bytes, success: bool, result: str | Failure) -> None:
        self._slots += 1
        waiting = self._under_way.pop(data, [])
        sig = ""  # nothing that waits behind it must wait for ever
        if success and isinstance(result, str):
            sig = result
            self.made += 1
            self._cache.keep(data, sig)
        elif isinstance(result, Failure):
            self._log.failure("could not sign", failure=result)
        for done in waiting:
            try:
                done(sig)
            except Exception:
                # Whoever it was for has left: the others still want theirs.
                self._log.failure("bug while sending what was signed")
        self._next()
