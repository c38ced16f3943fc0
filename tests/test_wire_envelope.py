"""Is every frame an envelope, or one named error?  (SOCP 7)"""

import contextlib
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from socp_twisted.errors import MalformedFrame
from socp_twisted.wire.encoding import canonical, parse_object
from socp_twisted.wire.envelope import Envelope, is_identifier
from socp_twisted.wire.vocabulary import RESERVED_IDS
from tests.strategies import (
    base64url,
    envelopes,
    exchanged_frames,
    identifiers,
    mutated_frames,
    objects,
    quick,
    values,
)
from tests.vector_files import vectors

FIELDS: dict[str, Any] = {
    "type": "HEARTBEAT",
    "from": "srv-a",
    "to": "srv-b",
    "ts": 1_700_000_000_000,
    "payload": {},
}

OTHERS: tuple[Any, ...] = (None, True, [], ["a"], 7, "7", {})


def frame(**fields: Any) -> bytes:
    """Return a heartbeat with some fields exchanged; ``...`` leaves one out."""
    told = {**FIELDS, **{name.rstrip("_"): value for name, value in fields.items()}}
    return json.dumps({k: v for k, v in told.items() if v is not ...}).encode("utf-8")


class IdentifierTests(SynchronousTestCase):
    """An id is 1 to 64 letters, digits or ``._-@``, and no reserved word."""

    @quick
    @given(identifiers)
    def test_good(self, text: str) -> None:
        """Whatever is made of these characters is an id."""
        self.assertTrue(is_identifier(text))

    def test_s17(self) -> None:
        """Reserved words, controls, look-alikes, other types: none is an id."""
        for text in (
            *RESERVED_IDS,
            "",
            "a" * 65,
            "alice ",
            "a\n",
            "a\x1b[0m",
            "\u202ea",
        ):
            self.assertFalse(is_identifier(text), repr(text))
        for other in (
            1,
            True,
            None,
            ["alice"],
            {"a": 1},
            b"alice",
            "\u0430lice",
            "a/b",
            "é",
        ):
            self.assertFalse(is_identifier(other), repr(other))


class VectorTests(SynchronousTestCase):
    """Texts as a server link would carry them."""

    def test_frames(self) -> None:
        """Each is read or refused, as the vector says."""
        for vector in vectors("frames"):
            text = vector["text"].encode("utf-8")
            try:
                taken = Envelope.parse(text).frame == text
            except MalformedFrame:
                taken = False
            self.assertIs(taken, not vector["refused"], vector["name"])


class RoundTripTests(SynchronousTestCase):
    """What we write is what another node reads."""

    @quick
    @given(envelopes(), base64url)
    def test_round_trip(self, envelope: Envelope, sig: str) -> None:
        """Create, write, parse: the same envelope, the same signed bytes."""
        sent = envelope.to_frame(sig)
        read = Envelope.parse(sent)
        self.assertEqual(read.sig, sig)
        self.assertEqual(read.signed, envelope.signed)
        self.assertEqual(read.frame, sent)
        for name in ("type", "sender", "to", "ts", "payload", "id"):
            self.assertEqual(getattr(read, name), getattr(envelope, name))
        self.assertEqual(read.to_frame(), sent)

    @quick
    @given(envelopes())
    def test_order_on_the_wire(self, envelope: Envelope) -> None:
        """The payload is sent in its canonical form, to the byte."""
        self.assertIn(b'"payload":' + canonical(envelope.payload), envelope.to_frame())

    @quick
    @given(envelopes(), objects)
    def test_further_fields(self, envelope: Envelope, extra: dict[str, Any]) -> None:
        """Further top-level fields travel with it, and do not hinder the reader."""
        extra = {f"x-{name}": value for name, value in extra.items()}
        sent = Envelope.create(
            envelope.type,
            envelope.sender,
            envelope.to,
            envelope.ts,
            envelope.payload,
            extra=extra,
        ).to_frame()
        self.assertEqual(Envelope.parse(sent).payload, envelope.payload)
        self.assertGreaterEqual(parse_object(sent).items(), extra.items())

    def test_nothing_empty(self) -> None:
        """A missing signature or id is left out: some refuse an empty one."""
        sent = Envelope.create("ACK", "srv-a", "alice", 1, {"b": 1, "a": 2}).to_frame()
        self.assertEqual(
            sent,
            b'{"type":"ACK","from":"srv-a","to":"alice","ts":1,'
            b'"payload":{"a":2,"b":1}}',
        )


class RefusedTests(SynchronousTestCase):
    """What is no envelope is refused, and the field at fault is named."""

    def refused(self, text: bytes, sentence: str, *, complete: bool = True) -> None:
        """Assert that this is refused with this sentence."""
        with self.assertRaises(MalformedFrame) as caught:
            Envelope.parse(text, complete=complete)
        self.assertIn(sentence, str(caught.exception))

    def test_missing(self) -> None:
        """Each of the five fields must be there."""
        for name in FIELDS:
            self.refused(frame(**{name: ...}), f"'{name}' is missing")

    def test_wrong_type(self) -> None:
        """No field takes another's type, and ``true`` is no integer."""
        kinds = {"type": "text", "from": "text", "to": "text", "ts": "an integer"}
        for name, kind in {**kinds, "payload": "an object"}.items():
            for value in OTHERS:
                if type(value) is not type(FIELDS[name]):
                    self.refused(frame(**{name: value}), f"'{name}' must be {kind}")

    def test_wrong_value(self) -> None:
        """Controls, look-alikes and excess are refused wherever an id is printed."""
        for text in ("", "a b", "a\n", "\x1b[2J", "é", "x" * 65):
            self.refused(frame(type=text), "'type' must be")
            self.refused(frame(from_=text), "'from' must be")
        for text in ("a b", "a\n", "\x1b[2J", "é", "x" * 301):
            self.refused(frame(to=text), "'to' must be")
        for number in (-1, -(2**53)):
            self.refused(frame(ts=number), "'ts' must be")
        for sig in (*OTHERS[1:5], "x" * 2049):
            self.refused(frame(sig=sig), "'sig' must be text")

    def test_tolerated(self) -> None:
        """A null signature is none, and an odd ``id`` is merely not used."""
        self.assertEqual(Envelope.parse(frame(sig=None)).sig, "")
        for reference in (*OTHERS[:5], "a b", "x" * 129):
            self.assertEqual(Envelope.parse(frame(id=reference)).id, "")
        self.assertEqual(Envelope.parse(frame(id="7")).id, "7")

    def test_incomplete(self) -> None:
        """A user's frame may lack all but its type, though not have it wrong."""
        bare = Envelope.parse(b'{"type":"LIST_REQUEST"}', complete=False)
        self.assertEqual(bare, Envelope("LIST_REQUEST", "", "", 0, {}))
        self.assertEqual(
            Envelope.parse(frame(payload=None, from_=""), complete=False).payload, {}
        )
        self.refused(b"{}", "'type' is missing", complete=False)
        self.refused(frame(from_=None), "'from' must be text", complete=False)
        self.refused(frame(from_="a b"), "'from' must be", complete=False)
        self.refused(frame(ts=True), "'ts' must be", complete=False)
        self.refused(frame(payload=[]), "'payload' must be", complete=False)

    @quick
    @given(st.binary(max_size=80), st.booleans())
    def test_arbitrary(self, junk: bytes, complete: bool) -> None:
        """Arbitrary bytes are refused, and nothing else happens."""
        with self.assertRaises(MalformedFrame):
            Envelope.parse(junk, complete=complete)

    @quick
    @given(mutated_frames() | exchanged_frames(), st.booleans())
    def test_mutated(self, damaged: bytes, complete: bool) -> None:
        """A damaged frame is refused, or is a sound envelope all the same."""
        try:
            envelope = Envelope.parse(damaged, complete=complete)
        except MalformedFrame:
            return
        again = Envelope.parse(envelope.to_frame(), complete=complete)
        self.assertEqual(again, envelope)
        self.assertEqual(again.signed, envelope.signed)

    @quick
    @given(st.dictionaries(st.sampled_from([*FIELDS, "sig", "id"]), values))
    def test_any_fields(self, fields: dict[str, Any]) -> None:
        """Any JSON value in any field: an envelope or a ``MalformedFrame``."""
        text = json.dumps({**FIELDS, **fields}).encode("utf-8")
        with contextlib.suppress(MalformedFrame):
            self.assertIs(type(Envelope.parse(text).ts), int)
