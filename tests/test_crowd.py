"""Do two users go on talking in a crowd that means no good?  A short run."""

from twisted.trial.unittest import SynchronousTestCase

from tests.crowd.__main__ import report
from tests.crowd.callers import Kind
from tests.crowd.run import Findings, Memory, violations

QUIET = {
    "sent": 9,
    "arrived": 9,
    "doubled": 0,
    "failed": 0,
    "why": [],
    "connections lost": 0,
}


class VerdictTests(SynchronousTestCase):
    """A run passes only if nobody honest noticed more than a delay."""

    def found(self, **honest: int) -> Findings:
        """Return what a run of one connection found."""
        kind = Kind("silent", 0, 1)
        kind.tally.opened = 1
        memory = Memory(0, 100, 150, 120)
        told = Findings([kind], {"silent": 1}, memory, 50, {}, (9, 9), [0.1], [0.2])
        told.honest = {**QUIET, **honest}
        return told

    def test_passes(self) -> None:
        """A run without fault has none, and the table says what there was."""
        found = self.found()
        self.assertEqual(list(violations(found)), [])
        self.assertIn("9 sent, 9 arrived", report(found))

    def test_fails(self) -> None:
        """Each fault is named."""
        for name, sentence in (
            ("arrived", "honest messages were lost"),
            ("doubled", "honest messages came twice"),
            ("failed", "honest messages were refused: []"),
            ("connections lost", "an honest user was disconnected"),
        ):
            found = self.found(**{name: 5})
            self.assertEqual(list(violations(found)), [sentence])
        found = self.found()
        found.memory.peak = 151
        self.assertEqual(list(violations(found)), ["memory grew by 51 bytes"])
        found = self.found()
        found.kinds[0].tally.opened = 0
        self.assertEqual(list(violations(found)), ["somebody of the crowd never came"])
