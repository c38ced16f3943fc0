"""Who owes a receipt, and which one counts?"""

from twisted.trial.unittest import SynchronousTestCase

from socp_twisted.overlay.receipts import REMEMBERED, Handed, Receipts
from socp_twisted.wire.vocabulary import ANSWER_TIMEOUT


class ReceiptTests(SynchronousTestCase):
    """A receipt counts once, from the user who was given the message."""

    def setUp(self) -> None:
        """Bob was given one message of srv-b."""
        self.receipts = Receipts()
        self.reference = self.receipts.ask("srv-b", "m1", "bob", 100.0)

    def test_given(self) -> None:
        """It says for whom and for what, once."""
        handed = self.receipts.give(self.reference, "bob")
        self.assertEqual(handed, Handed("srv-b", "m1", "bob", 100.0 + ANSWER_TIMEOUT))
        self.assertIsNone(self.receipts.give(self.reference, "bob"))
        self.assertEqual(len(self.receipts), 0)

    def test_somebody_elses(self) -> None:
        """Others can acknowledge nothing of his, and take nothing away."""
        self.assertIsNone(self.receipts.give(self.reference, "eve"))
        self.assertIsNone(self.receipts.give("m1", "bob"))
        self.assertIsNone(self.receipts.give("srv-a/m1", "bob"))
        self.assertIsNotNone(self.receipts.give(self.reference, "bob"))

    def test_servers_do_not_meet(self) -> None:
        """The same id of two servers is two messages."""
        other = self.receipts.ask("srv-c", "m1", "carol", 100.0)
        self.assertNotEqual(other, self.reference)
        self.assertIsNone(self.receipts.give(other, "bob"))
        self.receipts.remember("srv-b", "m1")
        self.assertFalse(self.receipts.is_given("srv-c", "m1"))

    def test_owed(self) -> None:
        """For ten seconds; after that it is handed over again, and asked for anew."""
        self.assertTrue(self.receipts.is_owed("srv-b", "m1", 109.9))
        self.assertFalse(self.receipts.is_owed("srv-b", "m1", 110.0))
        self.assertFalse(self.receipts.is_owed("srv-c", "m1", 100.0))
        again = self.receipts.ask("srv-b", "m1", "bob", 110.0)
        self.assertEqual(again, self.reference)
        self.assertTrue(self.receipts.is_owed("srv-b", "m1", 119.9))
        self.assertEqual(len(self.receipts), 1)

    def test_left(self) -> None:
        """Who has left owes nothing; the others still do."""
        hers = self.receipts.ask("srv-b", "m2", "carol", 100.0)
        self.receipts.left("bob")
        self.assertFalse(self.receipts.is_owed("srv-b", "m1", 100.0))
        self.assertIsNone(self.receipts.give(self.reference, "bob"))
        self.assertIsNotNone(self.receipts.give(hers, "carol"))

    def test_asked_of_another(self) -> None:
        """The same message, handed to somebody else: only they owe for it now."""
        again = self.receipts.ask("srv-b", "m1", "carol", 100.0)
        self.receipts.left("bob")
        self.assertIsNone(self.receipts.give(again, "bob"))
        self.assertIsNotNone(self.receipts.give(again, "carol"))

    def test_remembered(self) -> None:
        """What has arrived for good is known when it comes again."""
        self.assertFalse(self.receipts.is_given("srv-b", "m1"))
        self.receipts.remember("srv-b", "m1")
        self.assertTrue(self.receipts.is_given("srv-b", "m1"))

    def test_bounded(self) -> None:
        """Neither memory grows without end; the oldest goes first."""
        for number in range(REMEMBERED):
            self.receipts.ask("srv-b", f"n{number}", "bob", 100.0)
            self.receipts.remember("srv-b", f"n{number}")
        self.assertEqual(len(self.receipts), REMEMBERED)
        self.assertFalse(self.receipts.is_owed("srv-b", "m1", 100.0))
        self.receipts.remember("srv-b", "one more")
        self.assertFalse(self.receipts.is_given("srv-b", "n0"))
        self.assertTrue(self.receipts.is_given("srv-b", "n1"))
