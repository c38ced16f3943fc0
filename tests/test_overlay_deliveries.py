"""Which frames of files still wait for an answer?"""

from twisted.trial.unittest import SynchronousTestCase

from socp_twisted.overlay.deliveries import Deliveries
from socp_twisted.overlay.effects import LinkId


class DeliveryTests(SynchronousTestCase):
    """Each message is answered once: by its recipient's server, or by time."""

    def setUp(self) -> None:
        """Room for two messages."""
        self.deliveries = Deliveries(2)
        self.deliveries.expect("m1", "srv-b", LinkId(1), "ref-1", 0.0)

    def test_settled_once(self) -> None:
        """An answer settles its message, and a second answer nothing."""
        self.assertIsNotNone(self.deliveries.settle("m1", "srv-b"))
        self.assertIsNone(self.deliveries.settle("m1", "srv-b"))
        self.assertIsNone(self.deliveries.settle("never sent", "srv-b"))
        self.assertEqual(list(self.deliveries.expire(100.0)), [])

    def test_asked(self) -> None:
        """Only the server that was asked can answer."""
        self.assertIsNone(self.deliveries.settle("m1", "srv-c"))
        self.assertIsNotNone(self.deliveries.settle("m1", "srv-b"))

    def test_full(self) -> None:
        """The limit is said, not passed."""
        self.assertFalse(self.deliveries.full)
        self.deliveries.expect("m2", "srv-b", LinkId(1), "ref-2", 0.0)
        self.assertTrue(self.deliveries.full)
        self.deliveries.settle("m1", "srv-b")
        self.assertFalse(self.deliveries.full)
        self.assertEqual(len(self.deliveries), 1)

    def test_expires(self) -> None:
        """After ten seconds without an answer it is given up, and once."""
        self.assertEqual(list(self.deliveries.expire(9.9)), [])
        self.assertEqual(len(list(self.deliveries.expire(10.0))), 1)
        self.assertEqual(list(self.deliveries.expire(20.0)), [])
        self.assertEqual(len(self.deliveries), 0)
