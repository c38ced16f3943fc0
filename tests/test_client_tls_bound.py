"""Does a client believe unsigned frames where they are its server's, and only there?"""

from typing import Any

from socp_twisted.client import events as told
from socp_twisted.client.pins import Pins
from socp_twisted.trust.signatures import signed_frame
from socp_twisted.wire.envelope import Envelope
from tests.client_peer import ADDRESS, Server, SessionCase, User, fingerprint
from tests.vector_files import private

MINE, OTHER = "my TLS connection", "another TLS connection"
FORGED = {"code": "LIMIT", "detail": "somebody says so"}


class BoundTests(SessionCase):
    """The server's key signs once that the connection is its own."""

    def setUp(self) -> None:
        """A server that sees the connection that its users see."""
        super().setUp()
        self.server.tls_exporter = MINE

    def unsigned(self, user: User) -> bool:
        """Let somebody say an unsigned ERROR; return whether the client believes it."""
        user.events.clear()
        envelope = Envelope.create("ERROR", "srv-a", "*", self.server.now, FORGED)
        user.session.receive(envelope.to_frame(), self.server.now)
        self.server.pump()
        believed = user.told(told.ServerError)
        refused = user.told(told.FrameRefused)
        self.assertEqual(len(believed) + len(refused), 1)
        return bool(believed)

    def test_bound(self) -> None:
        """What it says after that needs no signature: texts, answers, who is there."""
        alice = self.enter("alice", tls_exporter=MINE)
        bob = self.enter("bob", tls_exporter=MINE)
        self.assertTrue(alice.session.ready and alice.bound)
        hello = alice.frames("USER_HELLO")[0]["payload"]
        self.assertEqual(hello["tls_exporter"], MINE)
        alice.session.tell("bob", "hello", self.server.now)
        self.server.pump()
        self.assertEqual([one.text for one in bob.told(told.TextReceived)], ["hello"])
        self.assertEqual(len(alice.told(told.Delivered)), 1)
        self.assertEqual(alice.told(told.FrameRefused), [])
        self.assertTrue(self.unsigned(alice))

    def test_signed_by_others(self) -> None:
        """What is signed all the same has to be signed by it."""
        alice = self.enter("alice", tls_exporter=MINE)
        alice.events.clear()
        envelope = Envelope.create("ERROR", "srv-a", "*", self.server.now, FORGED)
        frame = signed_frame(envelope, private("srv-b"))
        alice.session.receive(frame, self.server.now)
        self.server.pump()
        self.assertEqual(alice.told(told.ServerError), [])
        self.assertEqual(len(alice.told(told.FrameRefused)), 1)

    def test_plain(self) -> None:
        """Without TLS it says nothing of it, and wants every signature."""
        alice = self.enter("alice")
        self.assertTrue(alice.session.ready)
        self.assertNotIn("tls_exporter", alice.frames("USER_HELLO")[0]["payload"])
        self.assertFalse(self.unsigned(alice))

    def test_proxy(self) -> None:
        """A server that sees another connection signs everything, and has to."""
        self.server.tls_exporter = OTHER
        alice = self.enter("alice", tls_exporter=MINE)
        self.assertTrue(alice.session.ready)
        self.assertFalse(alice.bound)
        self.assertFalse(self.unsigned(alice))

    def test_before(self) -> None:
        """Nothing is believed for a binding that nobody has signed yet."""
        self.server.silent.add("USER_HELLO")
        alice = self.enter("alice", tls_exporter=MINE)
        entry = {"user_id": "eve", "pubkey": "", "online_local": True}
        envelope = Envelope.create("USER_ADDED", "srv-a", "*", self.server.now, entry)
        alice.session.receive(envelope.to_frame(), self.server.now)
        self.server.pump()
        self.assertEqual(alice.events, [])

    def altered(self, **changes: Any) -> User:
        """Log in at a server whose USER_HELLO_ACK says something else."""

        def alter(type: str, payload: dict[str, Any]) -> None:
            if type == "USER_HELLO_ACK":
                payload.update(changes)

        self.server.alter = alter
        return self.enter("alice", tls_exporter=MINE, pins=self.pins())

    def pins(self) -> Pins:
        """Return pins that the test can look into."""
        self.kept = Pins(None)
        return self.kept

    def test_relay(self) -> None:
        """Who told the server of another connection is found out: no login, no pin."""
        self.server.tls_exporter = ""
        alice = self.altered(tls_exporter=OTHER)
        [refused] = alice.told(told.LoginRefused)
        self.assertEqual(refused.code, "INVALID_SIG")
        self.assertEqual(
            refused.detail,
            "this connection ends at somebody who stands between us and srv-a, and "
            "reads what they pass on",
        )
        self.assertFalse(alice.session.ready)
        self.assertEqual(alice.frames("USER_LOGIN"), [])
        self.assertIsNone(self.kept.servers.get(ADDRESS))

    def test_relay_to_clear(self) -> None:
        """So is who takes a plain connection's user to a server that sees TLS."""
        self.server.alter = lambda type, payload: (
            payload.update(tls_exporter=OTHER) if type == "USER_HELLO_ACK" else None
        )
        alice = self.enter("alice")
        self.assertEqual(len(alice.told(told.LoginRefused)), 1)
        self.assertFalse(alice.session.ready)

    def test_not_text(self) -> None:
        """What is no text binds nothing."""
        for nonsense in (7, ["x"], "x" * 65):
            alice = self.altered(tls_exporter=nonsense)
            self.assertFalse(alice.session.ready)
            self.assertEqual(len(alice.told(told.FrameRefused)), 1)

    def test_unsigned_answer(self) -> None:
        """A binding that is not under the server's signature is none."""
        self.server.silent.add("USER_HELLO")
        alice = self.enter("alice", tls_exporter=MINE)
        answer = {
            "status": "ok",
            "server_id": "srv-a",
            "pubkey": self.server.key.public.text,
            "answer": alice.frames("USER_HELLO")[0]["payload"]["nonce"],
            "tls_exporter": MINE,
        }
        envelope = Envelope.create(
            "USER_HELLO_ACK", "srv-a", "alice", self.server.now, answer
        )
        alice.session.receive(envelope.to_frame(), self.server.now)
        self.server.pump()
        self.assertEqual(len(alice.told(told.FrameRefused)), 1)
        self.assertFalse(alice.session.ready)

    def test_next_connection(self) -> None:
        """The next connection is another one: what was signed for the last is over."""
        alice = self.enter("alice", tls_exporter=MINE)
        self.assertTrue(self.unsigned(alice))
        alice.session.lost(self.server.now)
        alice.session.connected(OTHER)
        alice.bound = False
        alice.session.login(self.server.now)
        self.server.pump()
        self.assertTrue(alice.session.ready)
        self.assertFalse(self.unsigned(alice))

    def test_changed_key(self) -> None:
        """A binding by another key than the pinned one waits until that is accepted."""
        pins = Pins(None)
        self.enter("alice", tls_exporter=MINE, pins=pins)
        self.server = Server("srv-b")
        self.server.tls_exporter = MINE
        alice = self.enter("alice", tls_exporter=MINE, pins=pins)
        self.assertEqual(len(alice.told(told.ServerKeyChanged)), 1)
        self.assertFalse(alice.session.ready)
        alice.session.trust_server(fingerprint("srv-b"), self.server.now)
        self.server.pump()
        self.assertTrue(alice.session.ready)
        self.assertTrue(self.unsigned(alice))
