"""Did this frame come before?"""

from twisted.trial.unittest import SynchronousTestCase

from socp_twisted.overlay.duplicates import SeenIds, identity
from socp_twisted.wire.envelope import Envelope
from tests.overlay_values import envelope


class IdentityTests(SynchronousTestCase):
    """A frame is what its origin said, and nothing that a relay can change."""

    def setUp(self) -> None:
        """One frame."""
        self.one = envelope("HEARTBEAT", "srv-b", {"links": ["srv-a"]}, id="x")

    def test_same(self) -> None:
        """Another ``id``, another signature, another order of keys: the same frame."""
        other = Envelope.parse(self.one.to_frame("c2ln").replace(b'"x"', b'"y"'))
        self.assertEqual(identity(other), identity(self.one))

    def test_different(self) -> None:
        """Another type, origin, recipient, time or payload: another frame."""
        others = [
            envelope("HEARTBEAU", "srv-b", {"links": ["srv-a"]}),
            envelope("HEARTBEAT", "srv-c", {"links": ["srv-a"]}),
            envelope("HEARTBEAT", "srv-b", {"links": ["srv-a"]}, to="srv-a"),
            envelope("HEARTBEAT", "srv-b", {"links": ["srv-a"]}, ts=1),
            envelope("HEARTBEAT", "srv-b", {"links": ["srv-b"]}),
        ]
        names = {identity(one) for one in [self.one, *others]}
        self.assertEqual(len(names), 6)

    def test_no_run_on(self) -> None:
        """What ends one field cannot begin the next."""
        one = envelope("A", "bc", {}, to="d")
        other = envelope("A", "b", {}, to="cd")
        self.assertNotEqual(identity(one), identity(other))


class SeenIdsTests(SynchronousTestCase):
    """Frames are remembered, but not too many, and not for ever."""

    def test_remembers(self) -> None:
        """What was noted is known, and nothing else."""
        seen = SeenIds(10, 600)
        seen.remember(b"one", 0.0)
        self.assertIn(b"one", seen)
        self.assertNotIn(b"two", seen)

    def test_number(self) -> None:
        """Beyond the limit the oldest is forgotten."""
        seen = SeenIds(3, 600)
        for n in range(5):
            seen.remember(b"%d" % n, float(n))
        self.assertEqual(len(seen), 3)
        self.assertNotIn(b"1", seen)
        self.assertIn(b"2", seen)

    def test_age(self) -> None:
        """So is what is older than the limit."""
        seen = SeenIds(10, 600)
        seen.remember(b"old", 0.0)
        seen.remember(b"young", 500.0)
        seen.remember(b"new", 601.0)
        self.assertNotIn(b"old", seen)
        self.assertIn(b"young", seen)
        seen.forget_before(10_000.0)
        self.assertEqual(len(seen), 0)
