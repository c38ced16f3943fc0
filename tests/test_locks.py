"""Does each who waits go on, one at a time, in order, however many they are?"""

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from socp_twisted.locks import Lock


class LockTests(SynchronousTestCase):
    """One lock, and those who want it."""

    def setUp(self) -> None:
        """Nobody has it."""
        self.lock = Lock()
        self.went: list[int] = []

    def come(self, number: int, until: Deferred[None] | None = None) -> Deferred[None]:
        """Take the lock, keep it ``until`` something happens, and say so."""

        async def hold() -> None:
            async with self.lock:
                self.assertFalse(self.lock.is_free)
                self.went.append(number)
                if until is not None:
                    await until

        return Deferred.fromCoroutine(hold())

    def test_free(self) -> None:
        """Who finds it free has it at once, and leaves it free."""
        self.successResultOf(self.come(1))
        self.assertTrue(self.lock.is_free)

    def test_many(self) -> None:
        """A thousand in order, though none of them waits for anything else."""
        first: Deferred[None] = Deferred()
        coming = [self.come(0, first), *(self.come(n) for n in range(1, 1001))]
        self.assertEqual(self.went, [0])
        first.callback(None)
        for one in coming:
            self.successResultOf(one)
        self.assertEqual(self.went, list(range(1001)))
        self.assertTrue(self.lock.is_free)

    def test_held_on_the_way(self) -> None:
        """One of them waits: so do all behind, and who comes then is last."""
        first, third = Deferred[None](), Deferred[None]()
        for number, until in enumerate((first, None, third, None)):
            self.come(number, until)
        first.callback(None)
        self.assertEqual(self.went, [0, 1, 2])
        self.come(4)
        third.callback(None)
        self.assertEqual(self.went, [0, 1, 2, 3, 4])

    def test_again(self) -> None:
        """Who has let it go and wants it again comes after those who wait."""
        first: Deferred[None] = Deferred()
        self.come(0, first).addCallback(lambda _: self.come(9))
        for number in range(1, 4):
            self.come(number)
        first.callback(None)
        self.assertEqual(self.went, [0, 1, 2, 3, 9])

    def test_fault(self) -> None:
        """Who fails lets it go; who is cancelled wants it no more."""
        first: Deferred[None] = Deferred()
        failing, leaving, last = self.come(0, first), self.come(1), self.come(2)
        leaving.cancel()
        first.errback(RuntimeError("a bug"))
        self.failureResultOf(failing, RuntimeError)
        self.failureResultOf(leaving, CancelledError)
        self.successResultOf(last)
        self.assertEqual(self.went, [0, 2])
        self.assertTrue(self.lock.is_free)
