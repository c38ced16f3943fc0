"""When is a server dialled, how often, and what does the log say of it?"""

from twisted.internet.protocol import Protocol
from twisted.logger import (
    LogLevel,
)

from socp_twisted.net.peers import PeerFactory
from tests.dialling import B, DiallingTestCase
from tests.keyring import pub_of
from tests.support import Site


class Sneering(Protocol):
    """Something that speaks HTTP, and rudely."""

    def dataReceived(self, data: bytes) -> None:
        """Refuse, and clear the reader's screen."""
        assert self.transport is not None
        self.transport.write(b"HTTP/1.1 404 Gone\x1b[2J\r\n\r\n")
        self.transport.loseConnection()


class RetryTests(DiallingTestCase):
    """A dead server is dialled ten times, 5 s apart, and then left alone."""

    def test_texts(self) -> None:
        """Each line is the one that was promised, to the letter, and no other."""
        self.dial()
        self.network.pass_time(120)
        expected = []
        for n in range(1, 11):
            expected += [
                f"[bootstrap] attempting to connect to {B} (attempt {n}/10)",
                f"[bootstrap] failed to connect {B} (attempt {n}/10): "
                "connection refused",
                "[bootstrap] retrying in 5 seconds...",
            ]
        expected[-1] = f"[bootstrap] giving up on {B} after 10 attempts"
        self.assertEqual(self.texts(), expected)

    def test_cadence(self) -> None:
        """The dials are 5 s apart: no growth, no jitter."""
        self.dial()
        self.network.pass_time(120)
        self.assertEqual(self.times("attempting"), [5.0 * n for n in range(10)])

    def test_gives_up(self) -> None:
        """After the tenth one error is logged, and nothing is scheduled."""
        a = self.dial()
        self.network.pass_time(45)
        self.assertEqual(self.waiting(a), [])
        self.network.pass_time(300)
        errors = [one for one in self.events if one["log_level"] is LogLevel.error]
        [error] = errors
        self.assertEqual((error["url"], error["attempts"]), (B, 10))
        self.assertEqual(self.times("giving up"), [45.0])

    def test_serves_on(self) -> None:
        """A node that has given up still lets others in."""
        a = self.dial()
        self.network.pass_time(60)
        b = self.start("srv-b", 8766, [a])
        self.network.pass_time(3)
        self.assert_mesh(a, b)

    def test_success(self) -> None:
        """The attempt that ends in a handshake says so, and is the last."""
        self.dial()
        self.network.pass_time(11)
        self.start("srv-b", 8766)
        self.network.pass_time(60)
        self.assertEqual(
            self.texts()[-2:],
            [
                f"[bootstrap] attempting to connect to {B} (attempt 4/10)",
                f"[bootstrap] successfully connected to {B}",
            ],
        )
        self.assertEqual(len(self.texts("successfully")), 1)

    def test_one_attempt(self) -> None:
        """With ``max_attempts`` 1 there is one dial, and no word of a retry."""
        a = self.start("srv-a", 8765)
        peer = self.factory(a, attempts=1)
        peer.begin()
        self.network.pass_time(30)
        self.assertEqual(
            self.texts(),
            [
                f"[bootstrap] attempting to connect to {B} (attempt 1/1)",
                f"[bootstrap] failed to connect {B} (attempt 1/1): connection refused",
                f"[bootstrap] giving up on {B} after 1 attempts",
            ],
        )

    def test_begin_again(self) -> None:
        """``begin`` after giving up starts a cycle of ten at once."""
        a = self.dial()
        self.network.pass_time(60)
        self.peer_of(a).begin()
        self.network.pass_time(60)
        second = [60.0 + 5.0 * n for n in range(10)]
        self.assertEqual(self.times("attempting")[10:], second)

    def test_begin_twice(self) -> None:
        """``begin`` in the middle of a cycle changes nothing."""
        a = self.dial()
        self.network.pass_time(12)
        self.peer_of(a).begin()
        self.network.pass_time(100)
        self.assertEqual(self.times("attempting"), [5.0 * n for n in range(10)])

    def test_stop(self) -> None:
        """Stopped while it waits, it leaves no call behind, and never dials again."""
        a = self.dial()
        self.network.pass_time(2)
        a.mesh.stopService()
        self.assertEqual(self.waiting(a), [])
        self.peer_of(a).begin()
        self.network.pass_time(60)
        self.assertEqual(self.times("attempting"), [0.0])

    def test_stop_while_connecting(self) -> None:
        """Stopped while TCP connects, it leaves that, without calling it a failure."""
        self.network.silent.add(frozenset((8765, 8766)))
        a = self.dial()
        self.network.pass_time(1)
        a.mesh.stopService()
        self.assertEqual(self.waiting(a), [])
        self.assertEqual(self.texts("failed"), [])

    def test_stop_while_greeting(self) -> None:
        """Stopped in the middle of a handshake, it does not dial after it."""
        self.listen(Protocol)
        a = self.dial()
        self.network.pass_time(1)
        a.mesh.stopService()
        self.network.pass_time(60)
        self.assertEqual(len(self.texts("attempting")), 1)

    def test_strange_words(self) -> None:
        """What it says of itself is logged, and steers nobody's terminal."""
        self.listen(Sneering)
        self.dial()
        self.network.pass_time(1)
        [line] = self.texts("failed")
        self.assertIn("[404]: Gone?[2J", line)
        self.assertTrue(line.isprintable())

    def test_stand_down(self) -> None:
        """A server that links to us while we wait is not dialled any more."""
        a = self.dial()
        self.network.pass_time(7)
        self.start("srv-b", 8766, [a])
        self.network.pass_time(60)
        self.assertEqual(
            [text for text in self.texts() if B in text][-1],
            f"[bootstrap] failed to connect {B} (attempt 2/10): connection refused",
        )
        self.assertEqual(self.waiting(a), [])

    def factory(self, site: Site, *, attempts: int) -> PeerFactory:
        """Make a factory that dials srv-b for a node."""
        return PeerFactory(
            site.machine,  # type: ignore[arg-type]
            site.node,
            site.node.adopt,
            B,
            pub_of("srv-b"),
            pinned=True,
            attempts=attempts,
        )


class LostLinkTests(DiallingTestCase):
    """A link that was up and is lost begins a new cycle of ten."""

    def setUp(self) -> None:
        """Two nodes, linked by the first, for a while."""
        super().setUp()
        self.a = self.dial()
        self.network.pass_time(16)
        self.b = self.start("srv-b", 8766)
        self.network.pass_time(20)
        self.assert_mesh(self.a, self.b)
        self.lines.clear()

    def test_new_cycle(self) -> None:
        """Ten dials, the first at once, whatever was used up before."""
        lost = self.network.seconds()
        self.kill(self.b)
        self.network.pass_time(100)
        self.assertEqual(self.times("attempting"), [lost + 5.0 * n for n in range(10)])
        self.assertEqual(
            self.texts("attempting")[0],
            f"[bootstrap] attempting to connect to {B} (attempt 1/10)",
        )
        self.assertEqual(len(self.texts("giving up")), 1)

    def test_back(self) -> None:
        """It is linked again within 5 s of coming back, and again after that."""
        for _ in range(3):
            self.kill(self.b)
            self.network.pass_time(32)
            self.b = self.start("srv-b", 8766)
            self.network.pass_time(5)
            self.assert_mesh(self.a, self.b)
            self.network.pass_time(10)
        self.assertEqual(len(self.texts("successfully")), 3)

    def test_up_and_gone(self) -> None:
        """A server that links and hangs up at once is not dialled without a break."""
        before = self.network.seconds()
        for _ in range(40):
            for wire in self.network.between(8765, 8766):
                wire.cut()
            self.network.pass_time(0.5)
        spent = self.network.seconds() - before
        dials = [text for text in self.texts("attempting") if B in text]
        self.assertTrue(2 <= len(dials) <= spent / 5 + 1, dials)
