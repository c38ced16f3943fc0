"""Is each payload read strictly, and written as it was read?  (SOCP 8, 9)"""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from socp_twisted.errors import MalformedFrame
from socp_twisted.wire.addresses import is_host
from socp_twisted.wire.encoding import MAX_INTEGER, b64u_encode, canonical, parse_object
from socp_twisted.wire.payloads import (
    MAX_FILE,
    Binding,
    ChannelAdd,
    ChannelAnswer,
    ChannelMessage,
    ChannelReceipts,
    ChannelShare,
    ErrorReport,
    FileChunk,
    FileEnd,
    FileStart,
    Heartbeat,
    MsgDirect,
    Payload,
    Routed,
    ServerDeliver,
    ServerEntry,
    ServerHello,
    ServerWelcome,
    UserAdvertise,
    UserHello,
    UserLogin,
    UserRegister,
    UserRemove,
    _plan,
    unprintable,
)
from tests.strategies import PAYLOADS, file_names, objects, payloads, quick, values

BLOCK = b64u_encode(bytes(512))
SHA256 = "0123456789abcdef" * 4

# The least that each class takes: every field here is required.
LEAST: dict[type[Payload], dict[str, Any]] = {
    ServerHello: {"host": "127.0.0.1", "port": 8765, "pubkey": "MII"},
    ServerEntry: {},
    ServerWelcome: {"assigned_id": "srv-a"},
    Binding: {"type": "ACK", "instance": "first", "at": 0},
    UserAdvertise: {"user_id": "alice", "server_id": "srv-a"},
    UserRemove: {"user_id": "alice", "server_id": "srv-a"},
    Heartbeat: {},
    Routed: {"user_id": "bob", "sender": "alice"},
    ServerDeliver: {
        "user_id": "bob",
        "ciphertext": BLOCK,
        "sender": "alice",
        "sender_pub": "MII",
        "content_sig": "AAAA",
    },
    UserHello: {"pubkey": "MII"},
    MsgDirect: {"ciphertext": BLOCK, "sender_pub": "MII", "content_sig": "AAAA"},
    UserRegister: {"user_id": "alice", "pubkey": "MII"},
    UserLogin: {"user_id": "alice"},
    FileStart: {"file_id": "f-1", "name": "a.txt", "size": 0, "sha256": SHA256},
    FileChunk: {"file_id": "f-1", "index": 0, "ciphertext": "AAAA"},
    FileEnd: {"file_id": "f-1"},
    ChannelAdd: {"add": [], "if_version": 0},
    ChannelMessage: {
        "ciphertext": BLOCK,
        "sender_pub": "MII",
        "content_sig": "AAAA",
        "key_id": "k-1",
        "seq": 0,
    },
    ChannelShare: {
        "shares": [{"member": "bob", "wrapped_public_channel_key": BLOCK}],
        "creator_pub": "MII",
        "content_sig": "AAAA",
        "key_id": "k-1",
    },
    ChannelReceipts: {},
    ChannelAnswer: {"msg_ref": "r", "received": []},
    ErrorReport: {"code": "TIMEOUT"},
}

_NO_TEXT: tuple[Any, ...] = (True, 0, 7, [], ["a"], {}, {"a": 1})
_NO_ID: tuple[Any, ...] = (*_NO_TEXT, "*", "public", "local", "system", "a b", "a\n")
_NO_INTEGER: tuple[Any, ...] = (True, False, "1", "", [], [1], {})
_NO_BOOLEAN: tuple[Any, ...] = (0, 1, "", "true", [], {})
_NO_OBJECT: tuple[Any, ...] = (True, 0, "{}", [], [{}])
_NO_LIST: tuple[Any, ...] = (True, 0, "a", {}, {"a": 1})
_SHARE: dict[str, Any] = {"member": "bob", "wrapped_public_channel_key": BLOCK}
_NO_BASE64URL: tuple[Any, ...] = (*_NO_TEXT, "A", "AA==", "A A", "+/+/", "é")

# Names of files that lead elsewhere, steer a terminal, or fit into no folder.
BAD_NAMES: tuple[str, ...] = (
    *("", ".", "..", "/", "a/b", "/etc/passwd", "../../etc/passwd", "a\\b"),
    *("a\x00", "a\n", "a\r", "a\tb", "\x1b[2Ja", "a\x7f", "a\x9b31m"),
    *("\u202etxt.exe", "a\u2066", "\u200ea", "a\u061cb", "\ufeffa", "a\u00adb"),
    *("a\u2028b", "a\u2029b", "a\ud800"),
    *("a" * 256, "\u00e9" * 128, "\U0001f600" * 64),
)

# What each field must never be, by its key on the wire.
WRONG: dict[str, tuple[Any, ...]] = {
    "host": (*_NO_TEXT, "", "a b", "a/b", "a\n", "é", "h" * 256),
    "port": (*_NO_INTEGER, -1, 65536),
    "pubkey": (*_NO_TEXT, "A" * 2049),
    "enc_pubkey": (*_NO_TEXT, "A" * 2049),
    "sender_pub": (*_NO_TEXT, "A" * 2049),
    "agent": (*_NO_TEXT, "x" * 65),
    "client": (*_NO_TEXT, "x" * 129),
    "caps": (*_NO_LIST, [1], [None], [[]], ["x" * 33], ["x"] * 33),
    "instance": (*_NO_TEXT, "x" * 65),
    "nonce": (*_NO_TEXT, "x" * 65),
    "answer": (*_NO_TEXT, "x" * 65),
    "peer": (*_NO_TEXT, "x" * 65),
    "peer_key": (*_NO_TEXT, "x" * 65),
    "tls_exporter": (*_NO_TEXT, "x" * 65),
    "secure": (0, 1, "", "true", [], {}),
    "key_id": (*_NO_TEXT, "", "a b", "a/b", "k" * 65),
    "seq": (*_NO_INTEGER, -1, 2**53 + 1),
    "shares": (
        *(*_NO_LIST, [1], ["bob"], [{}], [_SHARE] * 65),
        *([{**_SHARE, "member": one}] for one in ("public", "a b", 1)),
        *([{**_SHARE, "wrapped_public_channel_key": one}] for one in ("", "AAAA", 1)),
    ),
    "creator_pub": (*_NO_TEXT, "A" * 2049),
    "msg_refs": (*_NO_LIST, [1], ["x" * 129], ["x"] * 513),
    "refused": (*_NO_LIST, [1], ["x" * 129], ["x"] * 513),
    "received": (*_NO_LIST, [1], ["a b"], ["x"] * 10_001),
    "server_id": _NO_ID,
    "user_id": _NO_ID,
    "assigned_id": (*_NO_ID, "", "a" * 65),
    "sender": _NO_ID,
    "to": _NO_ID,
    "servers": (*_NO_LIST, [1], ["a"], [None], [{}] * 4097),
    "clients": (*_NO_LIST, [1], ["a"], [None]),
    "introducer": _NO_OBJECT,
    "meta": _NO_OBJECT,
    "links": (*_NO_LIST, [1], [None], [""], ["a b"], ["a"] * 1025),
    "ciphertext": (*_NO_BASE64URL, "", "AAAA", BLOCK[:-4], BLOCK + "="),
    "content_sig": (*_NO_BASE64URL, ""),
    "ts": (*_NO_INTEGER, -1, MAX_INTEGER + 1),
    "type": (*_NO_TEXT, "x" * 65),
    "at": (*_NO_INTEGER, -1, MAX_INTEGER + 1),
    "code": (*_NO_TEXT, "x" * 65),
    "detail": (*_NO_TEXT, "x" * 1025),
    "msg_ref": (*_NO_TEXT, "x" * 129),
    "privkey_store": (*_NO_TEXT, "x" * 16_385),
    "pake_password": (*_NO_TEXT, "x" * 257),
    "password": (*_NO_TEXT, "x" * 1025),
    "proof": _NO_BASE64URL,
    "file_id": (*_NO_TEXT, "", "a" * 65, "a.b", "../a", "a b", "a\n", "\u00e9"),
    "name": (*_NO_TEXT, *BAD_NAMES),
    "size": (*_NO_INTEGER, -1, -5, MAX_FILE + 1),
    "sha256": (
        *(*_NO_TEXT, "", SHA256[1:], SHA256 + "0", SHA256 + "\n"),
        *("g" * 64, " " + SHA256[1:], "0x" + SHA256[2:], "\u0661" * 64),
    ),
    "mode": (*_NO_TEXT, "", "DM", "dm ", "group"),
    "manifest": (*_NO_BASE64URL, "AAAA", BLOCK[:-4], BLOCK + "="),
    "index": (*_NO_INTEGER, -1, 2**32 + 1),
    "accept": _NO_BOOLEAN,
    "aborted": _NO_BOOLEAN,
    "reason": (*_NO_TEXT, "x" * 257),
    "add": (*_NO_LIST, [1], [None], [""], ["a b"], ["*"], ["a"] * 1025),
    "if_version": (*_NO_INTEGER, -1, MAX_INTEGER + 1),
}

# Where a class differs from the others that have a field of this name.
WRONG_IN: dict[tuple[type[Payload], str], tuple[Any, ...]] = {
    (ServerEntry, "host"): (*_NO_TEXT, "h" * 256),  # checked when dialled
    (Binding, "instance"): (*_NO_TEXT, "", "x" * 65),
    (Binding, "to"): (*_NO_TEXT, "x" * 301),  # "*", or a URL that is being dialled
    (FileStart, "content_sig"): _NO_BASE64URL,  # the standard's has none
    (FileChunk, "ciphertext"): (*_NO_BASE64URL, ""),  # AES-GCM: of any length
}


def keys(cls: type[Payload]) -> list[str]:
    """Return the names of a payload's fields on the wire."""
    return [name for name, _, _, _ in _plan(cls)]


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
        delivered = {**LEAST[ServerDeliver], "ciphertext": blocks, "ts": MAX_INTEGER}
        self.assertEqual(ServerDeliver.read(delivered).ts, MAX_INTEGER)

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

    def test_hosts(self) -> None:
        """A host is a name or an address, with nothing that a URL would misread."""
        for host in (
            "localhost",
            "127.0.0.1",
            "::1",
            "fe80::1%eth0",
            "a-b.c_d",
            "h" * 255,
        ):
            self.assertTrue(is_host(host), host)
        for other in (
            "a@b",
            "a#b",
            "a?b",
            "[::1]",
            "\uff11",
            "a\x00",
            None,
            1,
            True,
            b"a",
        ):
            self.assertFalse(is_host(other), repr(other))

    def test_links(self) -> None:
        """No neighbours is another word than none told, and both are sent."""
        self.assertIsNone(Heartbeat.read({}).links)
        self.assertEqual(Heartbeat.read({"links": []}).links, [])
        self.assertEqual(Heartbeat([]).write(), {"links": []})
        many = ["srv-a"] * 1024
        self.assertEqual(Heartbeat.read({"links": many}).links, many)


class FileTests(SynchronousTestCase):
    """What is offered as a file is a plain name, a size, and a hash."""

    def offered(self, **fields: Any) -> FileStart:
        """Read the least FILE_START with some fields exchanged."""
        return FileStart.read({**LEAST[FileStart], **fields})

    def test_s18(self) -> None:
        """A name that leads out of the folder and a negative size are refused."""
        for field in ({"name": "../../etc/passwd\x1b[2J"}, {"size": -5}):
            [name] = field
            with self.assertRaisesRegex(MalformedFrame, f"payload.{name} must be"):
                self.offered(**field)

    def test_refusal_is_printable(self) -> None:
        """The sentence that refuses a name does not repeat it."""
        for name in BAD_NAMES:
            with self.assertRaises(MalformedFrame) as caught:
                self.offered(name=name)
            self.assertEqual(
                str(caught.exception),
                "payload.name must be a plain file name of 1 to 255 bytes",
            )

    def test_names(self) -> None:
        """Any script is welcome, with the joiners that it needs, up to 255 bytes."""
        for name in (
            *("a b.txt", "...", ".profile", "~", "-rf", "C:", "it's.txt"),
            "\U0001f469\u200d\U0001f680.png",  # an astronaut: woman, joiner, rocket
            "\u2764\ufe0f.png",
            "\u0646\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645.txt",  # Persian
            "e\u0301.txt",
            *("a" * 255, "\u00e9" * 127, "\U0001f600" * 63),
        ):
            self.assertEqual(self.offered(name=name).name, name)

    @quick
    @given(file_names)
    def test_any_name(self, name: str) -> None:
        """A name without a separator or a control is taken to the letter."""
        self.assertEqual(self.offered(name=name).name, name)

    def test_edges(self) -> None:
        """An empty file and the largest one, either case of hex, the last chunk."""
        for size in (0, 1, 100 * 1024 * 1024):
            self.assertEqual(self.offered(size=size).size, size)
        self.assertEqual(self.offered(sha256=SHA256.upper()).sha256, SHA256.upper())
        for file_id in ("a", "-_9Z", "a" * 64, "123e4567-e89b-42d3-a456-426614174000"):
            self.assertEqual(self.offered(file_id=file_id).file_id, file_id)
        chunk = {**LEAST[FileChunk], "index": 2**32}
        self.assertEqual(FileChunk.read(chunk).index, 2**32)

    def test_mode(self) -> None:
        """A file without a mode is for one user."""
        self.assertEqual(self.offered().mode, "dm")
        self.assertEqual(self.offered(mode="public").write()["mode"], "public")

    def test_answer(self) -> None:
        """Only ``true`` accepts: silence on it declines."""
        self.assertIs(FileEnd.read({"file_id": "f"}).accept, False)
        self.assertIs(FileEnd.read({"file_id": "f", "accept": True}).accept, True)


class UnprintableTests(SynchronousTestCase):
    """What steers a terminal is told from what shows on it."""

    def test_terminal_controls(self) -> None:
        """Controls, bidi marks, line separators, surrogates."""
        for char in "\x00\t\n\x1b\x7f\x9b\u00ad\u061c\u200b\u200e\u200f\u2028":
            self.assertTrue(unprintable(char), ascii(char))
        for char in "\u2029\u202a\u202e\u2060\u2066\u2069\ufeff\ud800\U000e0041":
            self.assertTrue(unprintable(char), ascii(char))

    def test_showing(self) -> None:
        """Letters, marks, spaces, emoji and the two joiners."""
        for char in " a\u00a0\u00e9\u0301\u05d0\u200c\u200d\u4e2d\ufe0f\U0001f600":
            self.assertFalse(unprintable(char), ascii(char))


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
            ServerDeliver("bob", BLOCK, "alice", "MII", "AAAA", 0),
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
