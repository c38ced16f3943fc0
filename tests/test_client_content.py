"""How does a text become frames and come back?"""

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from socp_twisted.client.content import seal_text, split_text
from socp_twisted.client.replays import Replays
from socp_twisted.errors import MalformedFrame, Refused
from socp_twisted.wire.vocabulary import EXTRA_BLOCKS, OAEP_MAX
from tests.client_peer import NOW
from tests.vector_files import public


class SplitTests(SynchronousTestCase):
    """The parts add up, each fits into a block, no character is cut."""

    @settings(max_examples=200, deadline=None)
    @given(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=400),
        st.integers(8, 100),
    )
    def test_any(self, text: str, limit: int) -> None:
        """For any text and any limit."""
        parts = split_text(text, limit)
        self.assertEqual("".join(parts), text)
        for part in parts:
            self.assertTrue(0 < len(part.encode()) <= limit)

    def test_clusters(self) -> None:
        """An accent and a joined emoji stay with what they belong to."""
        self.assertEqual(split_text("aaaae\u0301", 6), ["aaaa", "e\u0301"])
        family = "👩\u200d👧"
        self.assertEqual(split_text("aaa" + family, 12), ["aaa", family])

    def test_endless_cluster(self) -> None:
        """A cluster longer than a block is cut rather than refused."""
        parts = split_text("e" + "\u0301" * 1000)
        self.assertEqual(len("".join(parts)), 1001)
        self.assertLessEqual(max(len(part.encode()) for part in parts), OAEP_MAX)

    def test_sealed(self) -> None:
        """Blocks for whoever decrypts them, else a message for each."""
        key = public("bob")
        [one] = seal_text(key, frozenset({EXTRA_BLOCKS}), "x" * 1000)
        self.assertEqual(len(one), 3 * 512)
        self.assertEqual(
            [len(each) for each in seal_text(key, frozenset(), "x" * 1000)], [512] * 3
        )

    def test_refused(self) -> None:
        """What is no text, or none at all, is refused in a sentence."""
        for text in ("", "\ud800"):
            with self.assertRaises(Refused):
                seal_text(public("bob"), frozenset(), text)


class ReplayTests(SynchronousTestCase):
    """Shown once, while it is fresh; what is remembered has an end."""

    def test_once(self) -> None:
        """The same again is refused; another ``ts`` or sender is another message."""
        seen = Replays()
        seen.check("alice", NOW, b"x", False, NOW)
        seen.check("alice", NOW + 1, b"x", False, NOW)
        seen.check("bob", NOW, b"x", False, NOW)
        with self.assertRaises(MalformedFrame):
            seen.check("alice", NOW, b"x", False, NOW)

    def test_edges(self) -> None:
        """Ten minutes either way are fresh."""
        seen = Replays()
        for ts in (NOW - 600_000, NOW + 600_000):
            seen.check("alice", ts, b"x", False, NOW)
        for ts in (NOW - 600_001, NOW + 600_001):
            with self.assertRaises(MalformedFrame):
                seen.check("alice", ts, b"x", False, NOW)

    def test_bounded(self) -> None:
        """The oldest is forgotten, and only then shown again."""
        seen = Replays(limit=2)
        for ts in range(3):
            seen.check("alice", NOW + ts, b"x", False, NOW)
        seen.check("alice", NOW, b"x", False, NOW)
        with self.assertRaises(MalformedFrame):
            seen.check("alice", NOW + 2, b"x", False, NOW)
