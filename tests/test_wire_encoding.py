"""Do bytes and JSON have one spelling each?  (SOCP 4, 7)"""

import hashlib
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from socp_twisted.errors import MalformedFrame
from socp_twisted.wire.encoding import (
    MAX_DEPTH,
    MAX_INTEGER,
    b64u_decode,
    b64u_encode,
    canonical,
    parse_object,
)
from tests.strategies import objects, quick
from tests.vector_files import vectors


class Base64UrlTests(SynchronousTestCase):
    """Bytes have one spelling: base64url, no padding, no stray bits."""

    def test_rfc_4648(self) -> None:
        """The RFC's own examples, without their padding."""
        examples = {
            b"": "",
            b"f": "Zg",
            b"fo": "Zm8",
            b"foo": "Zm9v",
            b"\xff\xfe": "__4",
        }
        for data, text in examples.items():
            self.assertEqual(b64u_encode(data), text)
            self.assertEqual(b64u_decode(text), data)

    @quick
    @given(st.binary(max_size=80))
    def test_round_trip(self, data: bytes) -> None:
        """What was encoded is decoded to the byte."""
        self.assertEqual(b64u_decode(b64u_encode(data)), data)

    @quick
    @given(st.text(max_size=12) | st.text("AZaz09-_+/= \n", max_size=8))
    def test_one_spelling(self, text: str) -> None:
        """Any text is refused, or is what its bytes encode to."""
        try:
            data = b64u_decode(text)
        except ValueError:
            return
        self.assertEqual(b64u_encode(data), text)

    def test_refused(self) -> None:
        """Padding, the other alphabet, white space, stray bits, half a byte."""
        for text in ("Zg==", "//4", "++++", "Z g", "Zg\n", "Zh", "Z", "Zm9vZ", "é"):
            with self.assertRaises(ValueError):
                b64u_decode(text)


class CanonicalTests(SynchronousTestCase):
    """A payload has one canonical form, which is what a signature covers."""

    def test_vectors(self) -> None:
        """Each payload gives the bytes that Python's json and openssl gave."""
        for vector in vectors("transport")["canonical"]:
            signed = canonical(vector["payload"])
            self.assertEqual(signed.decode("utf-8"), vector["canonical"])
            self.assertEqual(hashlib.sha256(signed).hexdigest(), vector["sha256"])
            self.assertEqual(parse_object(signed), vector["payload"])

    @quick
    @given(objects)
    def test_round_trip(self, payload: dict[str, Any]) -> None:
        """Parsing the canonical form and writing it again changes nothing."""
        signed = canonical(payload)
        self.assertEqual(parse_object(signed), payload)
        self.assertEqual(canonical(parse_object(signed)), signed)

    @quick
    @given(objects, st.sampled_from([None, 1, "\t"]), st.booleans())
    def test_spelling(
        self, payload: dict[str, Any], indent: int | str | None, ascii_only: bool
    ) -> None:
        """However it was spelt on the wire, the canonical form is the same."""
        spelt = json.dumps(
            dict(reversed(payload.items())), indent=indent, ensure_ascii=ascii_only
        )
        self.assertEqual(
            canonical(parse_object(spelt.encode("utf-8"))), canonical(payload)
        )

    def test_surrogate(self) -> None:
        """A lone surrogate has no bytes, as a key or as a value."""
        for payload in ({"a": "\ud800"}, {"\udfff": 1}, {"a": [{"b": "x\ud83d"}]}):
            with self.assertRaisesRegex(MalformedFrame, "surrogate"):
                canonical(payload)


class ParsingTests(SynchronousTestCase):
    """What implementations would read differently is not read at all."""

    def refused(self, text: str | bytes, sentence: str) -> None:
        """Assert that this is refused with this sentence."""
        frame = text.encode("utf-8") if isinstance(text, str) else text
        with self.assertRaisesRegex(MalformedFrame, sentence, msg=repr(frame[:40])):
            parse_object(frame)

    def test_numbers(self) -> None:
        """No floats, no NaN, nothing beyond 2**53, however many digits it has."""
        for number in ("1.0", "1e3", "-0.0", "1e999"):
            self.refused(f'{{"a":{number}}}', "a number that is no integer")
        for number in ("NaN", "Infinity", "-Infinity"):
            self.refused(f'{{"a":[{number}]}}', "a number that is no integer")
        for number in (str(MAX_INTEGER + 1), str(-MAX_INTEGER - 1), "9" * 5000):
            self.refused(f'{{"a":{number}}}', r"an integer beyond 2\*\*53")
        for edge in (MAX_INTEGER, -MAX_INTEGER):
            self.assertEqual(parse_object(f'{{"a":{edge}}}'.encode()), {"a": edge})

    def test_keys_twice(self) -> None:
        """The same key twice, at any level and however it is spelt."""
        self.refused('{"a":1,"a":1}', "the same key twice")
        self.refused('{"a":[{"b":1,"\\u0062":2}]}', "the same key twice")

    def test_depth(self) -> None:
        """Nesting has an end, far before the interpreter's."""
        for deep in (MAX_DEPTH, 1_000, 100_000):
            self.refused('{"a":' + "[" * deep + "]" * deep + "}", "nested")
            self.refused('{"a":' * (deep + 1) + "1" + "}" * (deep + 1), "nested")
        inner = MAX_DEPTH - 1
        parse_object(('{"a":' + "[" * inner + "]" * inner + "}").encode())

    def test_text(self) -> None:
        """Surrogates in pairs are text; alone they are not, in keys or in values."""
        self.assertEqual(parse_object(rb'{"a":"\ud83d\ude00"}'), {"a": "\U0001f600"})
        self.refused(rb'{"a":"\ud83d"}', "surrogate")
        self.refused(rb'{"\ude00":1}', "surrogate")

    def test_bytes(self) -> None:
        """Bytes that are not UTF-8, and what is no object, are refused."""
        for frame in (b"\xff", b"\xef\xbb\xbf{}", "{}".encode("utf-16"), b"", b"{}{}"):
            self.refused(frame, "not JSON")
        for frame in (b"[]", b'""', b"1", b"null", b"true"):
            self.refused(frame, "not a JSON object")

    @quick
    @given(st.binary(max_size=60) | st.text('{}[]":,\\ud8019.eE-+ tfn', max_size=30))
    def test_arbitrary(self, junk: bytes | str) -> None:
        """Whatever arrives, it is an object or a ``MalformedFrame``."""
        frame = junk.encode("utf-8") if isinstance(junk, str) else junk
        try:
            value = parse_object(frame)
        except MalformedFrame:
            return
        self.assertEqual(parse_object(canonical(value)), value)
