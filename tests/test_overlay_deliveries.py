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
        self.assertFalse(self.deliveries.is_full(LinkId(1)))
        self.deliveries.expect("m2", "srv-b", LinkId(1), "ref-2", 0.0)
        self.assertTrue(self.deliveries.is_full(LinkId(1)))
        self.deliveries.settle("m1", "srv-b")
        self.assertFalse(self.deliveries.is_full(LinkId(1)))
        self.assertEqual(len(self.deliveries), 1)

    def test_shares(self) -> None:
        """Who has all of them takes nobody else's share, and waits for no other."""
        deliveries, greedy, modest = Deliveries(6), LinkId(1), LinkId(2)
        self.assertEqual(self.send(deliveries, greedy), 6)
        self.assertEqual(self.send(deliveries, modest), 3)
        self.assertEqual(self.send(deliveries, LinkId(3)), 2)
        self.assertEqual(len(deliveries), 11)
        self.assertEqual(len(list(deliveries.expire(10.0))), 11)
        self.assertEqual(self.send(deliveries, modest), 6)

    def send(self, deliveries: Deliveries, link: LinkId) -> int:
        """Send as much as there is room for; return how much."""
        sent = 0
        while not deliveries.is_full(link):
            deliveries.expect(f"{link}-{sent}", "srv-b", link, f"{sent}", 0.0)
            sent += 1
        return sent

    def test_expires(self) -> None:
        """After ten seconds without an answer it is given up, and once."""
        self.assertEqual(list(self.deliveries.expire(9.9)), [])
        self.assertEqual(len(list(self.deliveries.expire(10.0))), 1)
        self.assertEqual(list(self.deliveries.expire(20.0)), [])
        self.assertEqual(len(self.deliveries), 0)
