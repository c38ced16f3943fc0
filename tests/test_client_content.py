"""How does a text become frames and come back?"""

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from socp_twisted.client.content import MAX_TEXT, opened_text, seal_text, split_text
from socp_twisted.client.fields import field_bytes, field_ts
from socp_twisted.errors import MalformedFrame, Refused
from socp_twisted.wire.encoding import b64u_encode
from socp_twisted.wire.envelope import Envelope
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

    def test_received(self) -> None:
        """Nor is more shown than could be said, or what is no text."""
        self.assertEqual(opened_text(b"x" * MAX_TEXT), "x" * MAX_TEXT)
        for data in (b"x" * (MAX_TEXT + 1), b"\xff"):
            with self.assertRaises(MalformedFrame):
                opened_text(data)


class FieldTests(SynchronousTestCase):
    """A field of a payload is what it must be, to the byte."""

    def test_bytes(self) -> None:
        """As many bytes as allowed, and not one more."""
        for limit in range(1, 9):
            payload = {
                "x": b64u_encode(bytes(limit)),
                "y": b64u_encode(bytes(limit + 1)),
            }
            self.assertEqual(field_bytes(payload, "x", limit), bytes(limit))
            with self.assertRaises(MalformedFrame):
                field_bytes(payload, "y", limit)

    def test_ts(self) -> None:
        """Milliseconds of one length: else ``bob`` and 1 at its end are ``bob1``."""
        for ts in (NOW // 10, NOW * 10, -NOW, 0, str(NOW), True, float(NOW)):
            envelope = Envelope.create("USER_DELIVER", "srv-a", "*", NOW, {"ts": ts})
            with self.assertRaises(MalformedFrame):
                field_ts(envelope)
        envelope = Envelope.create("USER_DELIVER", "srv-a", "*", NOW, {"ts": NOW + 1})
        self.assertEqual(field_ts(envelope), NOW + 1)
