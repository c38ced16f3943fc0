"""Raw ends of a connection to a node: a visitor, a server and a user, who may lie."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from autobahn.twisted.websocket import WebSocketClientProtocol

from socp_twisted.overlay.directory import key_hash
from socp_twisted.trust.sealing import seal
from socp_twisted.trust.signatures import direct_content
from socp_twisted.wire.encoding import b64u_encode
from socp_twisted.wire.envelope import Envelope
from socp_twisted.wire.vocabulary import (
    CAP_ACKS,
    CAP_LINKS,
    CAP_POSSESSION,
    MSG_DIRECT,
    SERVER_HELLO_JOIN,
    SERVER_HELLO_LINK,
    SERVER_WELCOME,
    USER_HELLO,
)
from tests.keyring import NOON, key_of, pub_of, signature
from tests.memory_network import Network, Wire

OURS = [CAP_ACKS, CAP_LINKS, CAP_POSSESSION]
"""What a node of this project says that it can."""


@cache
def sealed(text: str) -> bytes:
    """Return a ciphertext, the same one each time."""
    return seal(key_of("bob").public, text.encode("utf-8"))


class RawEnd(WebSocketClientProtocol):  # type: ignore[misc]
    """A WebSocket client that keeps what it is sent, and sends what it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.received: list[Envelope] = []
        self.closed: tuple[int | None, str | None] | None = None

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """Keep a frame."""
        self.received.append(Envelope.parse(payload))

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        """Note how it ended."""
        self.closed = (code, reason)


@dataclass
class Visitor:
    """Somebody at the other end of one connection to a node, who may say anything."""

    end: RawEnd
    wire: Wire
    network: Network
    sent: list[bytes] = field(default_factory=list)

    @property
    def received(self) -> list[Envelope]:
        """What the node said so far."""
        return self.end.received

    @property
    def close(self) -> tuple[int | None, str | None] | None:
        """Close code and reason, or ``None`` while the connection is open."""
        return self.end.closed

    def of(self, kind: str) -> list[Envelope]:
        """Return what was received of one type."""
        return [one for one in self.received if one.type == kind]

    def only(self, kind: str) -> Envelope:
        """Return the one frame of a type."""
        [found] = self.of(kind)
        return found

    def errors(self) -> list[str]:
        """Return the codes of the ERRORs received."""
        return [one.payload["code"] for one in self.of("ERROR")]

    def send(self, frame: bytes) -> None:
        """Send any bytes as one text message, and let everybody react."""
        self.sent.append(frame)
        self.end.sendMessage(frame, isBinary=False)
        self.network.settle()

    def say(
        self,
        kind: str,
        sender: str,
        to: str,
        payload: dict[str, Any],
        *,
        key: str = "",
        ts: int | None = None,
        id: str = "",
    ) -> Envelope:
        """Send a frame, signed with the test key ``key``, or unsigned."""
        when = self.now() if ts is None else ts
        envelope = Envelope.create(kind, sender, to, when, payload, id=id)
        self.send(envelope.to_frame(signature(key, envelope.signed) if key else ""))
        return envelope

    def now(self) -> int:
        """Return Unix time in milliseconds, never the same twice."""
        self.last = max(
            int((NOON + self.network.seconds()) * 1000), getattr(self, "last", 0) + 1
        )
        return self.last

    def leave(self) -> None:
        """Close the connection."""
        self.end.sendClose(1000)
        self.network.settle()


class PeerEnd(Visitor):
    """A server, played by the test, that dials a node."""

    server_id = ""
    key = ""
    caps: list[str] = []
    welcome: Envelope | None = None

    def join(
        self,
        server_id: str,
        key: str,
        *,
        caps: Iterable[str] = OURS,
        port: int = 9999,
        instance: str = "first",
        claims: str | None = None,
    ) -> None:
        """Send SERVER_HELLO_JOIN; ``claims`` is the key named, if not the signer's."""
        self.server_id, self.key, self.caps = server_id, key, list(caps)
        self._hello = {
            "host": "127.0.0.1",
            "port": port,
            "pubkey": claims or pub_of(key),
            "caps": self.caps,
            "instance": instance,
        }
        payload = {**self._hello, "nonce": "a nonce", "server_id": server_id}
        if not self.caps:
            payload = {"host": "127.0.0.1", "port": port, "pubkey": pub_of(key)}
        self.say(SERVER_HELLO_JOIN, server_id, "127.0.0.1:1", payload, key=key)
        self.welcome = next(iter(self.of(SERVER_WELCOME)), None)

    def prove(self, **changes: Any) -> None:
        """Send the SERVER_HELLO_LINK that answers the WELCOME."""
        assert self.welcome is not None
        proof = {
            **self._hello,
            "answer": self.welcome.payload["nonce"],
            "peer": self.welcome.sender,
            "peer_key": key_hash(self.welcome.payload["introducer"]["pubkey"]),
            "server_id": self.server_id,
            **changes,
        }
        self.tell(SERVER_HELLO_LINK, proof, to=self.welcome.sender)

    def link(self, server_id: str, key: str, **how: Any) -> None:
        """Join and prove: from here on the node counts us."""
        self.join(server_id, key, **how)
        self.prove()

    def tell(
        self,
        kind: str,
        payload: dict[str, Any],
        *,
        to: str = "*",
        ts: int | None = None,
    ) -> Envelope:
        """Send a frame of this server's, signed."""
        return self.say(kind, self.server_id, to, payload, key=self.key, ts=ts)

    def advertise(self, user_id: str, *, key: str = "bob", **more: Any) -> Envelope:
        """Say that a user is here."""
        payload = {"user_id": user_id, "server_id": self.server_id, **more}
        return self.tell("USER_ADVERTISE", {"pubkey": pub_of(key), **payload})

    def remove(self, user_id: str, **more: Any) -> Envelope:
        """Say that a user has left."""
        payload = {"user_id": user_id, "server_id": self.server_id, **more}
        return self.tell("USER_REMOVE", payload)


class UserEnd(Visitor):
    """A user's client, played by the test."""

    user_id = ""
    key = ""

    def hello(
        self,
        user_id: str,
        key: str = "",
        *,
        signed: bool = True,
        id: str = "",
        **more: Any,
    ) -> None:
        """Send USER_HELLO: signed, with an id nobody registered, that is a login."""
        self.user_id, self.key = user_id, key or user_id
        payload = {
            "client": "test",
            "pubkey": pub_of(self.key),
            "enc_pubkey": pub_of(self.key),
            **more,
        }
        key = self.key if signed else ""
        self.say(USER_HELLO, user_id, "*", payload, key=key, id=id)

    def write_to(self, recipient: str, text: str = "hello", *, id: str = "ref") -> int:
        """Send a direct message, sealed for bob whoever it is to; return its ts."""
        ts = self.now()
        ciphertext = sealed(text)
        content = direct_content(ciphertext, self.user_id, recipient, ts)
        payload = {
            "ciphertext": b64u_encode(ciphertext),
            "sender_pub": pub_of(self.key),
            "content_sig": signature(self.key, content),
        }
        self.say(MSG_DIRECT, self.user_id, recipient, payload, ts=ts, id=id)
        return ts
