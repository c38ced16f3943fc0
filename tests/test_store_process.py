"""Does the store keep its word among threads, at the end, and when it is killed?"""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from twisted.enterprise.adbapi import ConnectionPool
from twisted.internet.defer import Deferred, gatherResults
from twisted.trial.unittest import TestCase

from socp_twisted.errors import ConfigurationError
from socp_twisted.store.interface import Member, StoreClosed, User
from socp_twisted.store.sqlite import SqliteStore
from tests.inline_store import NOW, StoreTestCase, inline_store

T = TypeVar("T")


class Watched(ConnectionPool):
    """A pool that notes on which threads it worked."""

    seen: set[int]

    def _runWithConnection(self, func: Callable[..., T], *args: Any, **kw: Any) -> T:
        Watched.seen.add(threading.get_ident())
        result: T = super()._runWithConnection(func, *args, **kw)
        return result


class ThreadTests(TestCase):
    """The reactor never waits for the disk, and nothing asked for is lost."""

    def setUp(self) -> None:
        """Make a store on the real reactor, with its real thread."""
        from twisted.internet import reactor

        Watched.seen = set()
        self.path = Path(self.mktemp()) / "socp.db"
        self.store = SqliteStore(self.path, reactor, Watched)
        self.addCleanup(lambda: Deferred.fromCoroutine(self.store.close()))

    async def test_one_thread(self) -> None:
        """All SQL is on one thread, which is not the reactor's."""
        await self.store.open(NOW)
        await gatherResults(
            [Deferred.fromCoroutine(self.store.user_ids()) for _ in range(10)]
        )
        self.assertEqual(len(Watched.seen), 1)
        self.assertNotIn(threading.get_ident(), Watched.seen)

    async def test_one_of_many(self) -> None:
        """Of many who want the same id at the same time, one gets it."""
        await self.store.open(NOW)
        answers = await gatherResults(
            [
                Deferred.fromCoroutine(self.store.register(User("alice", str(number))))
                for number in range(20)
            ]
        )
        self.assertEqual(answers, [True] + [False] * 19)

    async def test_read_modify_write(self) -> None:
        """Fifty changes at the same time are fifty changes."""
        await self.store.open(NOW)
        await gatherResults(
            [
                Deferred.fromCoroutine(self.store.put_members([Member(f"u{number}")]))
                for number in range(50)
            ]
        )
        self.assertEqual((await self.store.channel()).version, 51)

    async def test_close_waits(self) -> None:
        """What was under way is done, and answered, before the store is closed."""
        await self.store.open(NOW)
        order: list[object] = []
        for number in range(20):
            Deferred.fromCoroutine(
                self.store.register(User(f"u{number}", "key"))
            ).addCallback(order.append)
        closing = Deferred.fromCoroutine(self.store.close())
        closing.addCallback(lambda _: order.append("closed"))
        await closing
        self.assertEqual(order, [True] * 20 + ["closed"])

    async def test_after_close(self) -> None:
        """A query after the end fails at once; adbapi would never answer it."""
        await self.store.open(NOW)
        await self.store.close()
        with self.assertRaises(StoreClosed) as caught:
            await self.store.user("alice")
        self.assertEqual(str(caught.exception), f"the database {self.path} is not open")

    async def test_before_open(self) -> None:
        """So does one before the beginning."""
        with self.assertRaises(StoreClosed):
            await self.store.register(User("alice", "key"))

    async def test_closed_twice(self) -> None:
        """A second close does nothing, and a store can be opened again."""
        await self.store.open(NOW)
        await self.store.close()
        await self.store.close()
        await self.store.open(NOW)
        self.assertEqual(await self.store.user_ids(), [])

    async def test_refused(self) -> None:
        """A file that cannot be used leaves no thread behind."""
        self.path.parent.mkdir()
        self.path.write_text("my shopping list\n" * 100)
        with self.assertRaises(ConfigurationError):
            await self.store.open(NOW)


_CHILD = """
import signal, sys
from pathlib import Path
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from socp_twisted.store.interface import Member, User
from socp_twisted.store.sqlite import SqliteStore

signal.alarm(30)  # whatever happens to the parent
first = int(sys.argv[2])
store = SqliteStore(Path(sys.argv[1]), reactor)

async def write():
    await store.open(0)
    for number in range(first, first + 100_000):
        assert await store.register(User(f"u{number}", "key", "b" * 3000))
        version = await store.put_members([Member(f"u{number}")])
        print(number, version, flush=True)

Deferred.fromCoroutine(write()).addErrback(lambda failure: failure.printTraceback())
reactor.run()
"""


class KilledTests(StoreTestCase):
    """SIGKILL at any moment: what was acknowledged is there, and the file opens."""

    def killed_after(self, lines: int, first: int) -> list[tuple[int, int]]:
        """Let a process write until it said so many lines, and kill it."""
        with subprocess.Popen(
            [sys.executable, "-c", _CHILD, str(self.path), str(first)],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        ) as child:
            assert child.stdout is not None
            heard = [child.stdout.readline() for _ in range(lines)]
            child.kill()
            heard += child.stdout.read().splitlines(keepends=True)
        self.assertEqual(child.returncode, -signal.SIGKILL)
        whole = [line.split() for line in heard if line.endswith(b"\n")]
        return [(int(number), int(version)) for number, version in whole]

    def test_killed(self) -> None:
        """Three times over: no user and no version that it told is missing."""
        first = 0
        for lines in (1, 20, 45):
            acknowledged = self.killed_after(lines, first)
            store = inline_store(self.path)
            self.wait(store.open(NOW))
            ids = set(self.wait(store.user_ids()))
            channel = self.wait(store.channel())
            self.wait(store.close())
            last, version = acknowledged[-1]
            self.assertGreaterEqual(ids, {f"u{number}" for number in range(last + 1)})
            self.assertGreaterEqual(channel.version, version)
            self.assertEqual(channel.version, len(channel.members) + 1)
            first = len(ids)
