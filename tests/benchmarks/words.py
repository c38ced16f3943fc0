"""What do users and servers say under load?  Frames that were made before."""

import json
import time
from functools import cache
from hashlib import sha256
from typing import Final

from socp_twisted.wire.vocabulary import CAP_ACKS, CAP_POSSESSION
from tests.benchmarks.lines import Line
from tests.fuzz.garbage import piece
from tests.plain_socp import Frame, Key, b64u, canonical, key_of

USERS_KEY: Final = "bob"
"""One key for all users: none of them reads what they are sent."""

DUMMY: Final = b64u(bytes(range(256)) * 2)
"""Where 512 bytes of ciphertext or signature stand."""

KEY_ID: Final = "benchmark"
"""Which of a sender's keys of the public channel a message is sealed with."""

TS: Final = 1_111_111_111_111
"""Where the time of a message is filled in."""


class Template:
    """A frame that differs from the next one in its ``ts`` alone."""

    def __init__(self, frame: Frame) -> None:
        head, _, tail = json.dumps(frame).encode("ascii").partition(b"%d" % TS)
        whole = head + b"%d" % TS + tail
        self._head, self._tail = piece(whole)[: -len(whole)] + head, tail
        self._ts = 0

    def next(self) -> bytes:
        """Return the WebSocket frame of one more message, never the same twice."""
        self._ts = max(self._ts + 1, int(time.time() * 1000))
        return b"%b%d%b" % (self._head, self._ts, self._tail)


def message(kind: str, sender: str, to: str) -> Template:
    """Return the frames of one user's messages to another, or to everybody."""
    payload: Frame = {
        "ciphertext": DUMMY,
        "content_sig": DUMMY,
        "sender": sender,  # the dialect looks for both in the payload
        "sender_pub": key_of(USERS_KEY).public,
    }
    if kind == "MSG_DIRECT":
        payload["to"] = to
    else:
        payload |= {"key_id": KEY_ID, "seq": 0}  # one ciphertext for everybody
    return Template(
        {"type": kind, "from": sender, "to": to, "ts": TS, "payload": payload}
    )


def filler(size: int) -> Template:
    """Return texts of a size, for a server that does not look at them."""
    empty = {"ts": TS, "filler": ""}
    return Template({**empty, "filler": "x" * (size - len(json.dumps(empty)))})


@cache
def signed(owner: str, payload: str) -> str:
    """Sign a payload of JSON, each one once: the users say hello in the same words."""
    return key_of(owner).sign(canonical(json.loads(payload)))


def frame(kind: str, sender: str, to: str, payload: Frame, key: str = "") -> Frame:
    """Return a frame, signed if there is a key."""
    made = {"type": kind, "from": sender, "to": to, "ts": int(time.time() * 1000)}
    made |= {"payload": payload, "id": "ref"}
    if key:
        made["sig"] = signed(key, json.dumps(payload))
    return made


class Peering:
    """A server that links itself to a node, and proves its key."""

    def __init__(self, line: Line, node: str, key: Key) -> None:
        self._line, self._node, self._key = line, node, key
        self.linked = False
        self._hello: Frame = {
            "host": "127.0.0.1",
            "port": 9,
            "pubkey": key.public,
            "caps": [CAP_ACKS, CAP_POSSESSION],
            "instance": "first",
        }

    def join(self) -> None:
        """Ask to be let in."""
        name = self._key.owner
        told = {**self._hello, "nonce": "a nonce", "server_id": name}
        self._line.say(frame("SERVER_HELLO_JOIN", name, "127.0.0.1:1", told, name))

    def heard(self, line: Line, text: bytes) -> None:
        """Answer the WELCOME."""
        if not self.linked and b'"SERVER_WELCOME"' in text:
            told, name = json.loads(text)["payload"], self._key.owner
            introducer = told["introducer"]["pubkey"]
            proof = {
                **self._hello,
                "answer": told["nonce"],
                "peer": self._node,
                "peer_key": sha256(introducer.encode("ascii")).hexdigest(),
                "server_id": name,
            }
            line.say(frame("SERVER_HELLO_LINK", name, self._node, proof, name))
            self.linked = True
