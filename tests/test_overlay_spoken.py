"""Which signed messages let nobody in any more?"""

from twisted.trial.unittest import SynchronousTestCase

from socp_twisted.errors import Refused
from socp_twisted.overlay.spoken import Spoken
from socp_twisted.wire.vocabulary import FRESH_FOR

NOW = 1_700_000_000_000


class SpokenTests(SynchronousTestCase):
    """A message counts as a login only if it is new, and so is its author."""

    def setUp(self) -> None:
        """A process that has run for an hour."""
        self.spoken = Spoken(4)
        self.spoken.since = NOW - 3_600_000

    def why(self, ts: int, now: int = NOW, *, user: str = "alice") -> str:
        """Return why a message lets nobody in, or nothing."""
        try:
            self.spoken.check(user, "alice's key", ts, now)
        except Refused as fault:
            return str(fault)
        return ""

    def test_new(self) -> None:
        """A minute early or late is fresh enough, and more is not."""
        for ts in (NOW - FRESH_FOR, NOW, NOW + FRESH_FOR):
            self.assertEqual(self.why(ts), "")
        for ts in (NOW - FRESH_FOR - 1, NOW + FRESH_FOR + 1):
            self.assertIn("'ts' is not now", self.why(ts))

    def test_seen(self) -> None:
        """What was said once is said; whatever name is split off from its text."""
        self.spoken.heard("alice's key", NOW, NOW)
        for user in ("alice", "alic", "alicebob"):
            self.assertIn("seen here before", self.why(NOW, NOW + 5, user=user))
        self.assertEqual(self.why(NOW + 1), "")
        self.spoken.heard("bob's key", NOW + 1, NOW)
        self.assertEqual(self.why(NOW + 1), "")

    def test_ahead(self) -> None:
        """Whose clock is ahead has said already what will be fresh in some minutes."""
        for ahead in (FRESH_FOR, FRESH_FOR + 1, 300_000, 600_000):
            ts = NOW + ahead
            self.spoken.heard("alice's key", ts, NOW)
            self.spoken.heard("bob's key", ts, ts)  # others are forgotten, not this
            for now in (ts - FRESH_FOR, ts, ts + FRESH_FOR):
                self.assertIn("seen here before", self.why(ts, now), str(ahead))

    def test_far_ahead(self) -> None:
        """More of those than can be kept keep out what was signed until then."""
        self.spoken.heard("bob's key", NOW + 10**12, NOW)  # and this nobody
        for number in range(5):
            self.spoken.heard("bob's key", NOW + 300_000 + number, NOW)
        self.assertEqual(len(self.spoken), 5)
        late = NOW + 300_000
        self.assertIn("may have been seen", self.why(late, late))
        self.assertEqual(self.why(late + 1, late), "")

    def test_left(self) -> None:
        """Whoever was online said whatever was signed before they left."""
        self.spoken.left("alice", NOW)
        self.assertIn("alice was online since", self.why(NOW - 1, NOW + 2))
        self.assertEqual(self.why(NOW + 1, NOW + 2), "")
        self.assertEqual(self.why(NOW - 1, NOW + 2, user="bob"), "")

    def test_restarted(self) -> None:
        """A process that has just begun remembers nothing, and believes nothing old."""
        self.spoken.since = NOW
        self.assertIn("may have been seen", self.why(NOW - 1))
        self.assertEqual(self.why(NOW), "")

    def test_bounded(self) -> None:
        """More than can be kept lets nobody in with what may be among it."""
        for number in range(10):
            self.spoken.heard("bob's key", number, NOW + number)
            self.spoken.left(f"user{number}", NOW + number)
        self.assertEqual(len(self.spoken), 8)
        self.assertIn("may have been seen", self.why(NOW + 5))
        self.assertEqual(self.why(NOW + 6), "")

    def test_forgotten(self) -> None:
        """After two minutes it could not be fresh, and takes no room."""
        self.spoken.heard("alice's key", NOW, NOW)
        later = NOW + 2 * FRESH_FOR + 1
        self.spoken.heard("bob's key", later, later)
        self.assertEqual(len(self.spoken), 1)
        self.assertEqual(self.why(later, later), "")
