"""What is the least that each payload takes, and what must no field ever be?"""

from typing import Any

from socp_twisted.wire.encoding import MAX_INTEGER, b64u_encode
from socp_twisted.wire.payloads import (
    MAX_FILE,
    Binding,
    ChannelAdd,
    ChannelAnswer,
    ChannelMessage,
    ChannelReceipts,
    ChannelShare,
    DeliveryAnswers,
    ErrorReport,
    FileChunk,
    FileEnd,
    FileStart,
    Heartbeat,
    MsgDirect,
    Payload,
    Routed,
    ServerEntry,
    ServerHello,
    ServerWelcome,
    UserAdvertise,
    UserHello,
    UserLogin,
    UserRegister,
    UserRemove,
)

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
    DeliveryAnswers: {"msg_refs": []},
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

_NO_SHA256: tuple[Any, ...] = (
    *(*_NO_TEXT, SHA256[1:], SHA256 + "0", SHA256 + "\n"),
    *("g" * 64, " " + SHA256[1:], "0x" + SHA256[2:], "\u0661" * 64),
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
    "sha256": (*_NO_SHA256, ""),
    "recipient_key": _NO_SHA256,
    "mode": (*_NO_TEXT, "", "DM", "dm ", "group"),
    "manifest": (*_NO_BASE64URL, "AAAA", BLOCK[:-4], BLOCK + "="),
    "index": (*_NO_INTEGER, -1, 2**32 + 1),
    "accept": _NO_BOOLEAN,
    "aborted": _NO_BOOLEAN,
    "fetch": _NO_BOOLEAN,
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
