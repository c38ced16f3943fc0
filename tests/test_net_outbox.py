"""In which order do frames leave, and what waits for a reader?"""

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from socp_twisted.net.outbox import Draft, Outbox


class OutboxTestCase(SynchronousTestCase):
    """An outbox on a clock, and what it wrote."""

    def setUp(self) -> None:
        """Write into a list."""
        self.clock = Clock()
        self.written: list[bytes] = []
        self.box = self.writing(self.written)

    def writing(self, written: list[bytes]) -> Outbox:
        """Return an outbox that writes into a list."""
        return Outbox(lambda draft: written.append(draft.frame), self.clock.seconds)


class OrderTests(OutboxTestCase):
    """First in, first out, whatever is signed first."""

    def test_at_once(self) -> None:
        """A finished frame leaves at once."""
        self.box.push(Draft(b"one"))
        self.assertEqual(self.written, [b"one"])
        self.assertEqual((len(self.box), self.box.queued), (0, 0))

    def test_signed_out_of_order(self) -> None:
        """A frame waits for those before it."""
        drafts = [Draft() for _ in range(3)]
        for draft in drafts:
            self.box.push(draft)
        drafts[2].finish(b"three")
        drafts[1].finish(b"two")
        self.assertEqual(self.written, [])
        drafts[0].finish(b"one")
        self.assertEqual(self.written, [b"one", b"two", b"three"])

    def test_forwarded_behind_unsigned(self) -> None:
        """So does somebody else's frame that needs no signature of ours."""
        draft = Draft()
        self.box.push(draft)
        self.box.push(Draft(b"theirs"))
        self.assertEqual(self.written, [])
        draft.finish(b"ours")
        self.assertEqual(self.written, [b"ours", b"theirs"])

    def test_shared(self) -> None:
        """One draft in two boxes leaves from both, each in its own order."""
        others: list[bytes] = []
        other = self.writing(others)
        first, shared = Draft(), Draft()
        self.box.push(first)
        self.box.push(shared)
        other.push(shared)
        shared.finish(b"shared")
        self.assertEqual((self.written, others), ([], [b"shared"]))
        first.finish(b"first")
        self.assertEqual(self.written, [b"first", b"shared"])


class PauseTests(OutboxTestCase):
    """Who does not read has their frames wait, counted and timed."""

    def test_pause(self) -> None:
        """Nothing is written; bytes and time are counted; then all of it leaves."""
        self.clock.advance(7)
        self.box.pauseProducing()
        self.clock.advance(5)
        self.box.pauseProducing()
        self.box.push(Draft(b"one"))
        self.box.push(Draft(b"three"))
        self.assertEqual(self.written, [])
        self.assertEqual((self.box.queued, self.box.paused_at), (12, 7.0))
        self.box.resumeProducing()
        self.assertEqual(self.written, [b"one", b"three"])
        self.assertEqual((self.box.queued, self.box.paused_at), (0, None))

    def test_pause_in_the_middle(self) -> None:
        """A transport that fills up while we write is not written to any more."""

        def write(draft: Draft) -> None:
            self.written.append(draft.frame)
            self.box.pauseProducing()

        self.box = Outbox(write, self.clock.seconds)
        draft = Draft()
        self.box.push(draft)
        self.box.push(Draft(b"two"))
        draft.finish(b"one")
        self.assertEqual(self.written, [b"one"])
        self.assertEqual(self.box.queued, 5)
        self.box.resumeProducing()
        self.assertEqual(self.written, [b"one", b"two"])


class EndTests(OutboxTestCase):
    """What was queued is sent before a goodbye, and nothing after it."""

    def test_when_empty(self) -> None:
        """The call comes after the last frame so far, or at once."""
        calls: list[str] = []
        self.box.when_empty(lambda: calls.append("now"))
        draft = Draft()
        self.box.push(draft)
        self.box.when_empty(lambda: calls.append(f"after {len(self.written)}"))
        self.assertEqual(calls, ["now"])
        draft.finish(b"one")
        self.assertEqual(calls, ["now", "after 1"])

    def test_bug(self) -> None:
        """A call that fails costs neither the next one nor others' frames a thing."""
        calls: list[str] = []
        draft, others = Draft(), list[bytes]()
        self.box.push(draft)
        self.writing(others).push(draft)
        self.box.when_empty(lambda: calls.append(str(1 // len(calls))))
        self.box.when_empty(lambda: calls.append("next"))
        draft.finish(b"one")
        self.assertEqual((self.written, others), ([b"one"], [b"one"]))
        self.assertEqual(calls, ["next"])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_closed(self) -> None:
        """After closing nothing is written, queued or waited for."""
        calls: list[str] = []
        draft = Draft()
        self.box.push(draft)
        self.box.push(Draft(b"two"))
        self.box.when_empty(lambda: calls.append("closed"))
        self.box.stopProducing()
        draft.finish(b"one")
        self.box.push(Draft(b"three"))
        self.box.resumeProducing()
        self.assertEqual((self.written, self.box.queued, calls), ([], 0, ["closed"]))
