"""What may a server say unsigned over TLS, and does a relay gain anything by it?"""

from typing import Any, Final

from socp_twisted.wire.vocabulary import (
    CAP_TLS_EXPORTER,
    CLOSE_REFUSED,
    FILE_CHUNK,
    HEARTBEAT,
    SERVER_DELIVER,
    USER_ADVERTISE,
)
from tests.keyring import pub_of
from tests.raw_ends import OURS, PeerEnd
from tests.tls_bound import BoundTestCase, unsigned
from tests.users import Person, key_name

BINDS: Final = [*OURS, CAP_TLS_EXPORTER]


class PeerTests(BoundTestCase):
    """What a server may say unsigned, and who may not."""

    def setUp(self) -> None:
        """One node, with bob on it."""
        super().setUp()
        self.a = self.start()
        self.bob = self.person(self.a, "bob")

    def linked(self, caps: list[str] = BINDS, **changes: Any) -> PeerEnd:
        """Link as srv-b, which has alice, over a TLS connection that is its own."""
        peer, exporter = self.peer_of(self.a)
        peer.join("srv-b", "srv-b", caps=caps)
        peer.prove(**{"tls_exporter": exporter, **changes})
        if "srv-b" in self.a.linked():
            peer.advertise("alice", key="alice")
        return peer

    def deliver(self, peer: PeerEnd, **changes: Any) -> list[tuple[str, str]]:
        """Say SERVER_DELIVER unsigned; return the errors that it is answered with."""
        author = Person(peer.end, peer.wire, self.network)
        author.user_id, author.key = "alice", "alice"
        ts, payload = author.message("bob", reader=key_name("bob"))
        payload |= {"user_id": "bob", "sender": "alice", "ts": ts, "msg_id": "m1"}
        told: dict[str, Any] = {"kind": SERVER_DELIVER, "sender": "srv-b"}
        told |= {"to": "srv-a", "key": ""}
        peer.received.clear()
        peer.say(**{**told, "payload": payload, "ts": ts, **changes})
        return [
            (one.payload["code"], one.payload["detail"]) for one in peer.of("ERROR")
        ]

    def given_to_bob(self) -> int:
        """Return how many messages bob was given."""
        return len(self.given(self.bob))

    def test_believed(self) -> None:
        """Content for this node, from whom is at the other end."""
        peer = self.linked()
        self.assertEqual(self.deliver(peer), [])
        self.assertEqual(self.given_to_bob(), 1)
        ack = peer.only("ACK")
        self.assertEqual((ack.payload["status"], ack.sig), ("delivered", ""))

    def refused(self, peer: PeerEnd, **changes: Any) -> None:
        """Expect unsigned content to be refused for its signature."""
        [(code, detail)] = self.deliver(peer, **changes)
        self.assertEqual(code, "INVALID_SIG")
        self.assertIn("the signature is missing", detail)
        self.assertEqual(self.given_to_bob(), 0)

    def test_not_bound(self) -> None:
        """Nothing from a server that does not bind; it gets every signature."""
        for caps in (OURS, []):
            peer = self.linked(caps)
            if not caps:
                peer.tell(HEARTBEAT, {})
                peer.advertise("alice", key="alice")
            self.assertIn("srv-b", self.a.linked())
            self.assertEqual(unsigned(peer.received), set())
            self.refused(peer)
            self.assertEqual(unsigned(peer.received), set())
            peer.leave()
            self.network.pass_time(6)

    def test_in_another_name(self) -> None:
        """Nothing in the name of another server, which is linked as well."""
        peer = self.linked()
        other, exporter = self.peer_of(self.a)
        other.join("srv-c", "srv-c", caps=BINDS)
        other.prove(tls_exporter=exporter)
        self.refused(other)
        self.refused(peer, sender="srv-c")

    def test_for_another(self) -> None:
        """Nothing that is not for us: we would have to pass it on."""
        peer = self.linked()
        for to in ("*", "srv-c", ""):
            self.refused(peer, to=to)

    def test_gossip(self) -> None:
        """Nothing that others are to believe, whoever it is for."""
        peer = self.linked()
        dave = {"user_id": "dave", "server_id": "srv-b", "pubkey": pub_of("srv-d")}
        for to in ("*", "srv-a"):
            self.refused(peer, kind=USER_ADVERTISE, payload=dave, to=to)
            self.refused(peer, kind=HEARTBEAT, payload={}, to=to)
        self.assertNotIn("dave", self.a.online())

    def test_wrong_signature(self) -> None:
        """A signature that is there has to verify, bound or not."""
        [(code, _)] = self.deliver(self.linked(), key="srv-c")
        self.assertEqual((code, self.given_to_bob()), ("INVALID_SIG", 0))

    def test_again(self) -> None:
        """A frame that comes again is one frame."""
        peer = self.linked()
        chunk = {"user_id": "bob", "sender": "alice", "file_id": "f", "index": 0}
        chunk["ciphertext"] = "AAAA"
        ts = peer.now()
        for _ in range(2):
            peer.say(FILE_CHUNK, "srv-b", "srv-a", chunk, ts=ts)
        self.assertEqual(len(self.bob.of("FILE_CHUNK_DELIVER")), 1)

    def test_relayed(self) -> None:
        """A proof for another TLS connection is none: somebody is in between."""
        _, other = self.peer_of(self.a)
        for lie in (other, "", "anything"):
            peer = self.linked(tls_exporter=lie)
            self.assertEqual(self.a.linked(), [])
            self.assertEqual(peer.errors(), ["INVALID_SIG"])
            detail = peer.only("ERROR").payload["detail"]
            self.assertIn("ends at somebody in between", detail)
            self.assertIn("--sign-always", detail)
            self.assertEqual((peer.close or (0,))[0], CLOSE_REFUSED)

    def test_repeated_proof(self) -> None:
        """A proof that bound one connection does not bind the next."""
        peer = self.linked()
        proof = peer.sent[1]
        peer.leave()
        again = self.peer(self.a)
        again.join("srv-b", "srv-b", caps=BINDS)
        again.send(proof)
        self.assertEqual(again.errors(), ["INVALID_SIG"])
        self.assertEqual(self.a.linked(), [])

    def test_says_nothing(self) -> None:
        """Who puts a binding without the capability is not bound by it."""
        peer = self.linked(OURS)
        self.refused(peer)
