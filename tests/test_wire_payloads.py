"""Is each payload read strictly, and written as it was read?  (SOCP 8, 9)"""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from socp_twisted.errors import MalformedFrame
from socp_twisted.wire.encoding import MAX_INTEGER, b64u_encode, canonical, parse_object
from socp_twisted.wire.payloads import (
    ChannelAdd,
    ErrorReport,
    FileChunk,
    FileEnd,
    Heartbeat,
    MsgDirect,
    Payload,
    Routed,
    ServerEntry,
    ServerHello,
    UserHello,
    UserLogin,
    UserRegister,
    UserRemove,
)
from socp_twisted.wire.payloads.payload import plan
from tests.payload_values import LEAST, WRONG, WRONG_IN
from tests.strategies import PAYLOADS, objects, payloads, quick, values


def keys(cls: type[Payload]) -> list[str]:
    """Return the names of a payload's fields on the wire."""
    return [name for name, _, _, _ in plan(cls)]


class StrictTests(SynchronousTestCase):
    """A field is what it must be, or the frame is refused and the field named."""

    def refused(self, cls: type[Payload], payload: Any, sentence: str) -> None:
        """Assert that this payload is refused with this sentence."""
        told = f"{cls.__name__} {str(payload)[:200]}"
        try:
            cls.read(payload)
        except MalformedFrame as why:
            self.assertIn(sentence, str(why), told)
        else:
            self.fail(f"taken: {told}")

    def test_every_class(self) -> None:
        """No payload class is left out of these tests."""
        self.assertEqual(set(LEAST), set(PAYLOADS))

    def test_least(self) -> None:
        """The required fields are enough, and are all that is written."""
        for cls, least in LEAST.items():
            self.assertEqual(cls.read(least).write(), least)

    def test_missing(self) -> None:
        """Without a required field, or with null for it, there is no payload."""
        for cls, least in LEAST.items():
            for name in least:
                rest = {key: value for key, value in least.items() if key != name}
                self.refused(cls, rest, f"payload.{name} is missing")
                self.refused(cls, {**rest, name: None}, f"payload.{name} is missing")

    def test_wrong(self) -> None:
        """Nothing is coerced: not ``true`` to 1, not "1" to 1, not 1 to text."""
        for cls, least in LEAST.items():
            for name in keys(cls):
                for value in WRONG_IN.get((cls, name), WRONG[name]):
                    self.refused(
                        cls, {**least, name: value}, f"payload.{name} must be "
                    )

    def test_null_is_missing(self) -> None:
        """An optional field that is null is one that was left out."""
        for cls, least in LEAST.items():
            nulls = dict.fromkeys(keys(cls))
            self.assertEqual(cls.read({**nulls, **least}), cls.read(least))

    def test_edges(self) -> None:
        """The bounds themselves are within bounds."""
        least = LEAST[ServerHello]
        for port in (1, 65535):
            self.assertEqual(ServerHello.read({**least, "port": port}).port, port)
        self.refused(ServerHello, {**least, "port": 0}, "a port from 1 to 65535")
        long = "a" * 64
        self.assertEqual(
            UserRemove(long, long), UserRemove.read(UserRemove(long, long).write())
        )
        self.assertEqual(ServerEntry.read({"port": 0}).port, 0)
        blocks = b64u_encode(bytes(3 * 512))
        sealed = {**LEAST[MsgDirect], "ciphertext": blocks}
        self.assertEqual(MsgDirect.read(sealed).ciphertext, blocks)
        routed = {**LEAST[Routed], "ts": MAX_INTEGER}
        self.assertEqual(Routed.read(routed).ts, MAX_INTEGER)

    def test_longest_texts(self) -> None:
        """A text is as long as its bound, to the character."""
        longest: dict[tuple[type[Payload], str], int] = {
            (UserRegister, "pubkey"): 2048,
            (UserRegister, "privkey_store"): 16_384,
            (UserRegister, "pake_password"): 256,
            (UserLogin, "password"): 1024,
            (FileEnd, "reason"): 256,
            (ErrorReport, "code"): 64,
            (ErrorReport, "detail"): 1024,
            (ErrorReport, "msg_ref"): 128,
            (UserHello, "client"): 128,
        }
        for (cls, name), bound in longest.items():
            read = cls.read({**LEAST[cls], name: "\u00e9" * bound})
            self.assertEqual(len(getattr(read, name)), bound, name)

    def test_links(self) -> None:
        """No neighbours is another word than none told, and both are sent."""
        self.assertIsNone(Heartbeat.read({}).links)
        self.assertEqual(Heartbeat.read({"links": []}).links, [])
        self.assertEqual(Heartbeat([]).write(), {"links": []})
        many = ["srv-a"] * 1024
        self.assertEqual(Heartbeat.read({"links": many}).links, many)


class RoundTripTests(SynchronousTestCase):
    """What one node writes, another reads as the same value."""

    @quick
    @given(st.sampled_from(PAYLOADS).flatmap(payloads))
    def test_round_trip(self, value: Payload) -> None:
        """Write, send as JSON, read."""
        sent = parse_object(canonical(value.write()))
        self.assertEqual(type(value).read(sent), value)

    def test_written_is_read(self) -> None:
        """Empty and zero are values, not fields that were left out."""
        for value in (
            Heartbeat([]),
            Routed("bob", "alice", 0),
            FileChunk("f-1", 0, "AAAA"),
            ChannelAdd([], 0),
        ):
            self.assertEqual(type(value).read(value.write()), value)

    @quick
    @given(st.sampled_from(PAYLOADS).flatmap(payloads), objects)
    def test_unknown_fields(self, value: Payload, extra: dict[str, Any]) -> None:
        """Fields that we do not know are ignored."""
        extra = {f"x-{name}": one for name, one in extra.items()}
        self.assertEqual(type(value).read({**value.write(), **extra}), value)

    @quick
    @given(
        st.sampled_from(PAYLOADS).flatmap(payloads),
        st.dictionaries(st.sampled_from(sorted(WRONG)), values, min_size=1),
    )
    def test_any_value(self, value: Payload, exchanged: dict[str, Any]) -> None:
        """Any JSON value in any field: a payload or a ``MalformedFrame``."""
        try:
            read = type(value).read({**value.write(), **exchanged})
        except MalformedFrame:
            return
        for name, given_value in exchanged.items():
            if given_value is not None and hasattr(read, name):
                self.assertEqual(getattr(read, name), given_value)
                self.assertIs(type(getattr(read, name)), type(given_value))
