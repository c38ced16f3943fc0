"""What waits for another turn of the reactor, and for how long?"""

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from socp_twisted.net.turn import LENGTH, Turn


class Turns(Clock):
    """A clock whose turns are over: one of Twisted's goes on with what is asked now."""

    def one(self) -> None:
        """Call what is due, and not what that asks for."""
        due, self.calls = self.calls, []
        for call in due:
            call.called = 1
            call.func()


class TurnTests(SynchronousTestCase):
    """Everybody has their turn, in order, and none takes all of one."""

    def setUp(self) -> None:
        """A turn on a clock, and what was done."""
        self.clock = Turns()
        self.turn = Turn(self.clock)
        self.done: list[int] = []

    def take(self, number: int, seconds: float) -> None:
        """Ask for something that takes so long."""

        def work() -> None:
            self.clock.rightNow += seconds
            self.done.append(number)

        self.turn.soon(work)

    def test_in_order(self) -> None:
        """What is short is done in the next turn, first come first served."""
        for number in range(3):
            self.take(number, 0.0)
        self.assertEqual(self.done, [])
        self.clock.one()
        self.assertEqual(self.done, [0, 1, 2])

    def test_long(self) -> None:
        """What is more than a turn goes on in the next ones."""
        for number in range(5):
            self.take(number, LENGTH * 0.6)
        for done in (2, 4, 5):
            self.clock.one()
            self.assertEqual(self.done, list(range(done)))
        self.assertEqual(self.clock.getDelayedCalls()[1:], [])

    def test_again(self) -> None:
        """Who asks again and again does so once in a turn."""

        def work() -> None:
            self.done.append(0)
            self.turn.soon(work)

        self.turn.soon(work)
        for turns in (1, 2, 3):
            self.clock.one()
            self.assertEqual(len(self.done), turns)

    def test_over(self) -> None:
        """What is done elsewhere counts, until the turn ends."""
        self.assertFalse(self.turn.is_over())
        self.clock.rightNow += LENGTH
        self.assertTrue(self.turn.is_over())
        self.clock.one()
        self.assertFalse(self.turn.is_over())

    def test_bug(self) -> None:
        """A bug of one costs no other their turn."""
        self.turn.soon(lambda: self.fail("a bug"))
        self.take(1, 0.0)
        self.clock.one()
        self.assertEqual(self.done, [1])
        self.assertEqual(len(self.flushLoggedErrors(self.failureException)), 1)
