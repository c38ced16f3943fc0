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
from threading import Lock
from typing import NamedTuple, Protocol

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

LARGE = 4096
"""Bytes of a payload that is not kept in the cache, nor told of with others."""

QUIET_LANES = 4096
"""Lanes of which it is kept when they were served last."""

QUIET = 4
"""Turns without one after which the reactor is told of a lane's signature at once."""

TOGETHER = 16
"""Signatures that the reactor is told of at a time, at most, while many wait."""

SHARE = 4
"""Of so many that wait, one more is told of at a time: fewer wait less for others."""


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

    def get(self, name: bytes) -> str | None:
        sig = self._known.get(name)
        if sig is not None:
            self._known.move_to_end(name)
        return sig

    def keep(self, name: bytes, data: bytes, sig: str) -> None:
        if len(data) > LARGE:
            return  # a welcome or a list: large, and rarely the same twice
        self._known[name] = sig
        if len(self._known) > self._limit:
            self._known.popitem(last=False)


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=16).digest()


class _Job(NamedTuple):
    """What is to be signed, and the name that the cache has for it."""

    name: bytes
    data: bytes


class _Lanes:
    """
    What waits, by lane: fair queueing by start tags (Goyal, Vin and Cheng, 1996).

    In mere turns a user who writes once a minute waits for one signature of each of
    the hundred who write all the time.  Here time is counted in turns, a lane's next
    turn is never before its last one is over, and of those whose turn it is, who has
    been quiet for longest comes first.
    """

    def __init__(self) -> None:
        self._queues: dict[int, deque[_Job]] = {}
        self._turns: list[tuple[int, int, int, int]] = []
        """Heap: a turn's number, when the lane's last one was, order, lane."""
        self._over: dict[int, int] = {}
        """When the last turn of a lane is over, unless that is long ago."""
        self._now = self._count = 0
        self._order = itertools.count()

    def __len__(self) -> int:
        return self._count

    def push(self, lane: int, job: _Job) -> None:
        """Add to the end of a lane."""
        if lane not in self._queues:
            self._queues[lane] = deque()
            self._line_up(lane, self._over.get(lane, 0))
        self._queues[lane].append(job)
        self._count += 1

    def pop(self) -> tuple[_Job, bool]:
        """Take the first of the lane whose turn it is; say whether it was quiet."""
        self._now, over, _, lane = heapq.heappop(self._turns)
        self._count -= 1
        queue = self._queues[lane]
        job = queue.popleft()
        self._over[lane] = self._now + 1
        if queue:
            self._line_up(lane, self._now + 1)
        else:
            del self._queues[lane]
            if len(self._over) > QUIET_LANES + len(self._queues):
                self._over = {
                    one: at for one, at in self._over.items() if at > self._now
                }
        return job, self._now - over >= QUIET

    def clear(self) -> None:
        """Drop everything."""
        self._queues.clear()
        self._turns.clear()
        self._count = 0

    def _line_up(self, lane: int, over: int) -> None:
        turn = (max(self._now, over), over, next(self._order), lane)
        heapq.heappush(self._turns, turn)


class ThreadedSigner:
    """
    Signs on as many threads as there are cores.

    Each thread takes the next payload itself when it is done with one.  While many wait
    the reactor is told of several signatures at a time: to be woken for each costs it,
    and the disk and the readers behind it, a fifth of what a signature does.
    """

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
        self._count = threads or os.cpu_count() or 1
        self._pool = ThreadPool(self._count, self._count, "signer")
        self._under_way: dict[bytes, list[Done]] = {}
        self._cache = _Cache(CACHED)
        self.made = 0
        # What the threads share with the reactor, each moment under the lock.
        self._lock = Lock()
        self._lanes = _Lanes()
        self._at_work = 0
        self._results: list[tuple[_Job, str | Failure]] = []
        self._is_told = False

    @property
    def waiting(self) -> int:
        """How many signatures are still to be made."""
        return len(self._under_way)

    def sign(self, data: bytes, done: Done, lane: int = 0) -> None:
        """Call ``done`` from the reactor; the same data under way is signed once."""
        name = _digest(data)
        sig = self._cache.get(name)
        if sig is not None:
            done(sig)
        elif name in self._under_way:
            self._under_way[name].append(done)
        else:
            self._under_way[name] = [done]
            with self._lock:
                self._lanes.push(lane, _Job(name, data))
                one_more = self._at_work < self._count
                self._at_work += one_more
            if one_more:
                self._pool.callInThread(self._work)

    def start(self) -> None:
        """Start the threads."""
        self._pool.start()

    def stop(self) -> None:
        """Stop the threads, after the signatures that they are at."""
        with self._lock:
            self._lanes.clear()
        self._under_way.clear()
        if self._pool.started:
            self._pool.stop()

    # -- on a thread -------------------------------------------------------------------

    def _work(self) -> None:
        """Sign until nothing waits."""
        while True:
            with self._lock:
                if not self._lanes:
                    self._at_work -= 1
                    return
                job, was_quiet = self._lanes.pop()
            try:
                result: str | Failure = sign(self._key, job.data)
            except Exception:
                result = Failure()
            with self._lock:
                self._results.append((job, result))
                enough = min(1 + len(self._lanes) // SHARE, TOGETHER)
                at_once = was_quiet or len(job.data) > LARGE
                is_time = at_once or len(self._results) >= enough
                tell = is_time and not self._is_told
                self._is_told |= tell
            if tell:
                self._reactor.callFromThread(self._finished)

    # -- on the reactor's --------------------------------------------------------------

    def _finished(self) -> None:
        with self._lock:
            results, self._results = self._results, []
            self._is_told = False
        for job, result in results:
            self._hand_out(job, result)

    def _hand_out(self, job: _Job, result: str | Failure) -> None:
        waiting = self._under_way.pop(job.name, [])
        sig = ""  # nothing that waits behind it must wait for ever
        if isinstance(result, Failure):
            self._log.failure("could not sign", failure=result)
        else:
            sig = result
            self.made += 1
            self._cache.keep(job.name, job.data, sig)
        for done in waiting:
            try:
                done(sig)
            except Exception:
                # Whoever it was for has left: the others still want theirs.
                self._log.failure("bug while sending what was signed")
