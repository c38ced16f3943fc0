"""Does whoever shows many logins push out no other server's?"""

from twisted.trial.unittest import SynchronousTestCase

from socp_twisted.overlay.proofs import Proofs


class ProofsTests(SynchronousTestCase):
    """Keys with which logins were shown, and where."""

    def setUp(self) -> None:
        """Room for four."""
        self.proofs = Proofs(4)

    def test_place(self) -> None:
        """Where it was shown last; of no key, or another one, nothing."""
        self.proofs.note("aa", "srv-b")
        self.proofs.note("aa", "srv-c")
        places = [self.proofs.place(hashed) for hashed in ("aa", "bb", "")]
        self.assertEqual(places, ["srv-c", "", ""])

    def test_too_many(self) -> None:
        """The oldest of the server that showed most goes, and nobody else's."""
        self.proofs.note("aa", "srv-b")
        for number in range(100):
            self.proofs.note(f"{number:02}", "srv-c")
        self.assertEqual(len(self.proofs), 4)
        kept = [f"{n:02}" for n in range(100) if self.proofs.place(f"{n:02}")]
        self.assertEqual(kept, ["97", "98", "99"])
        self.assertEqual(self.proofs.place("aa"), "srv-b")

    def test_one_each(self) -> None:
        """Where nobody has more than others, the oldest of all goes."""
        for number in range(5):
            self.proofs.note(f"{number:02}", f"srv-{number}")
        self.assertEqual(self.proofs.place("00"), "")
        self.assertEqual(self.proofs.place("04"), "srv-4")
