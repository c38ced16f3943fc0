"""Do those who wait for the disk share a transaction, and each their own fate?"""

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.testing import MemoryReactorClock

from socp_twisted.store.interface import Member, StoreClosed, StoreError, User
from socp_twisted.store.sqlite import SqliteStore
from tests.inline_store import NOW, InlinePool, StoreTestCase


class BusyPool(InlinePool):
    """A pool whose disk is at work until the test says that it is done."""

    busy = False

    def __init__(self, *args: Any, **kw: Any) -> None:
        super().__init__(*args, **kw)
        self.held: list[Deferred[None]] = []
        self.transactions = 0

    def runWithConnection(self, func: Callable[..., Any], *args: Any, **kw: Any) -> Any:
        """Run ``func`` now, or once the disk has turned."""
        self.transactions += 1
        if not self.busy:
            return super().runWithConnection(func, *args, **kw)
        turn: Deferred[None] = Deferred()
        self.held.append(turn)
        run = super().runWithConnection
        return turn.addCallback(lambda _: run(func, *args, **kw))

    def turn(self) -> None:
        """Do what waits."""
        held, self.held = self.held, []
        for one in held:
            one.callback(None)


class TogetherTests(StoreTestCase):
    """What is asked while the disk is at work is one transaction."""

    def setUp(self) -> None:
        """Open a database whose disk is at work from then on."""
        super().setUp()
        self.reactor = MemoryReactorClock()
        self.store = SqliteStore(self.path, self.reactor, self.pool)
        self.wait(self.store.open(NOW))
        self.disk.busy, self.disk.transactions = True, 0
        self.addCleanup(self.end)

    def pool(self, *args: Any, **kw: Any) -> BusyPool:
        """Make the pool, and keep it."""
        self.disk = BusyPool(*args, **kw)
        return self.disk

    def end(self) -> None:
        """Close the database."""
        self.disk.busy = False
        self.disk.turn()
        self.wait(self.store.close())

    def ask(self, coroutine: Any) -> Deferred[Any]:
        """Ask the store, and wait for nothing."""
        return Deferred.fromCoroutine(coroutine)

    def test_shared(self) -> None:
        """The first goes alone, the others together; each sees those before it."""
        asked = [
            self.ask(self.store.register(User(name, "key")))
            for name in ("a", "b", "A", "c")
        ]
        asked.append(self.ask(self.store.user_ids()))
        for one in asked:
            self.assertNoResult(one)
        self.disk.turn()
        self.assertEqual(self.successResultOf(asked[0]), True)
        self.assertNoResult(asked[1])
        self.disk.turn()
        answers = [self.successResultOf(one) for one in asked[1:]]
        self.assertEqual(answers, [True, False, True, ["a", "b", "c"]])
        self.assertEqual(self.disk.transactions, 2)

    def test_apart(self) -> None:
        """One that fails takes nobody with it."""
        self.ask(self.store.user_ids())
        wrong: Any = [Member("x", wrapped_key=None)]  # type: ignore[arg-type]
        before = self.ask(self.store.register(User("a", "key")))
        failed = self.ask(self.store.put_members(wrong))
        after = self.ask(self.store.register(User("b", "key")))
        self.disk.turn()
        self.disk.turn()
        self.failureResultOf(failed, StoreError)
        answers = [self.successResultOf(one) for one in (before, after)]
        self.assertEqual(answers, [True, True])

    def test_others_turn(self) -> None:
        """Whoever does much with an answer does not make the reactor wait for all."""
        self.ask(self.store.user_ids())
        asked = [self.ask(self.store.user_ids()) for _ in range(3)]
        asked[0].addCallback(lambda _: self.reactor.advance(1))
        self.disk.turn()
        self.disk.turn()
        self.successResultOf(asked[0])
        self.assertNoResult(asked[1])
        self.reactor.advance(0)
        for one in asked[1:]:
            self.assertEqual(self.successResultOf(one), [])

    def test_closing(self) -> None:
        """Closing waits for all that was asked before, and takes nothing after."""
        asked = [
            self.ask(self.store.register(User(name, "key"))) for name in ("a", "b")
        ]
        closing = self.ask(self.store.close())
        self.failureResultOf(self.ask(self.store.user_ids()), StoreClosed)
        for _ in range(2):
            self.assertNoResult(closing)
            self.disk.turn()
        self.assertEqual([self.successResultOf(one) for one in asked], [True, True])
        self.disk.turn()
        self.successResultOf(closing)
