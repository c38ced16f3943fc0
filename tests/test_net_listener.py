"""What does the listening port answer to whom?"""

from twisted.internet.protocol import Factory, Protocol

from socp_twisted.net.entrance import SURPLUS
from socp_twisted.wire.limits import Limits
from socp_twisted.wire.vocabulary import CLOSE_LIMIT
from tests.memory_network import Wire
from tests.support import MeshTestCase

UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1:8765\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"Sec-WebSocket-Version: 13\r\n"
)


class Caller(Protocol):
    """Somebody with a TCP connection, who keeps what comes back."""

    def __init__(self) -> None:
        self.answer = b""
        self.is_over = False

    def dataReceived(self, data: bytes) -> None:
        """Keep it."""
        self.answer += data

    def connectionLost(self, reason: object = None) -> None:
        """Note the end."""
        self.is_over = True


class ListenerTests(MeshTestCase):
    """WebSocket for programs, a sentence for browsers, nothing for web pages."""

    def setUp(self) -> None:
        """One node."""
        super().setUp()
        self.a = self.start("srv-a", 8765)

    def call(self, request: bytes = b"") -> Caller:
        """Connect, and send any bytes."""
        factory = Factory.forProtocol(Caller)
        self.wire: Wire = self.network.join(factory, ("127.0.0.1", 8765))
        caller = self.wire.client.protocol
        assert isinstance(caller, Caller)
        self.wire.client.write(request)
        self.network.settle()
        return caller

    def test_upgrade(self) -> None:
        """A program that asks for WebSocket gets it, on any path."""
        for path in (b"/", b"/ws", b"/a/b?c=d"):
            caller = self.call(UPGRADE.replace(b" / ", b" %s " % path) + b"\r\n")
            self.assertTrue(caller.answer.startswith(b"HTTP/1.1 101 "), caller.answer)

    def test_turn_over(self) -> None:
        """Who asks when enough was done in a turn of the reactor is answered next."""
        caller, node = self.call(), self.a.node
        self.assertFalse(node.is_turn_over())
        assert node.turn.began is not None
        node.turn.began -= 1
        half = len(UPGRADE) // 2
        for part in (UPGRADE[:half], UPGRADE[half:] + b"\r\n"):
            self.wire.client.write(part)
            self.wire.pump()
        self.assertEqual(caller.answer, b"")
        self.assertFalse(self.wire.server.reading)
        self.network.settle()
        self.assertTrue(caller.answer.startswith(b"HTTP/1.1 101 "), caller.answer)
        self.assertTrue(self.wire.server.reading)

    def test_gone_meanwhile(self) -> None:
        """Who does not wait for the answer leaves nothing behind."""
        self.call()
        node = self.a.node
        node.is_turn_over()
        assert node.turn.began is not None
        node.turn.began -= 1
        self.wire.client.write(UPGRADE + b"\r\n")
        self.wire.pump()
        self.wire.cut()
        self.network.settle()
        self.assertEqual((len(node.entrance), node.mesh.parties), (0, {}))

    def test_s23_origin(self) -> None:
        """A browser's page does not, wherever it came from."""
        for origin in (
            b"http://evil.example",
            b"https://127.0.0.1",
            b"http://127.0.0.1:8765",
            b"http://localhost",
            b"file://",
            b"null",
        ):
            caller = self.call(UPGRADE + b"Origin: %s\r\n\r\n" % origin)
            self.assertNotIn(b" 101 ", caller.answer, origin)
            self.assertTrue(caller.is_over, origin)
        self.assertEqual(self.a.node.mesh.parties, {})

    def test_get(self) -> None:
        """A GET gets 426 and one sentence, and nothing of what runs here."""
        caller = self.call(b"GET /x?redirect=http://evil HTTP/1.1\r\nHost: a\r\n\r\n")
        self.assertTrue(caller.answer.startswith(b"HTTP/1.1 426 "))
        self.assertIn(b"\r\nUpgrade: websocket\r\n", caller.answer)
        body = caller.answer.partition(b"\r\n\r\n")[2]
        self.assertEqual(body, b"This is a SOCP chat server: connect with WebSocket.\n")
        self.assertNotIn(b"evil", caller.answer)

    def test_other_methods(self) -> None:
        """So do HEAD, OPTIONS and what nobody knows."""
        for method in (b"HEAD", b"OPTIONS", b"DELETE", b"BREW"):
            caller = self.call(b"%s / HTTP/1.1\r\nHost: a\r\n\r\n" % method)
            self.assertTrue(caller.answer.startswith(b"HTTP/1.1 426 "), method)

    def test_body(self) -> None:
        """A body is refused before a byte of it is stored."""
        head = b"POST / HTTP/1.1\r\nHost: a\r\n"
        for body in (b"Content-Length: 1000000\r\n", b"Transfer-Encoding: chunked\r\n"):
            caller = self.call(head + body + b"\r\n")
            self.assertTrue(caller.is_over, body)

    def test_body_of_an_upgrade(self) -> None:
        """Also with a request for WebSocket."""
        caller = self.call(UPGRADE + b"Content-Length: 1000000\r\n\r\nxxx")
        self.assertTrue(caller.is_over)

    def test_junk(self) -> None:
        """What is no HTTP is closed; our log has no traceback of it."""
        for junk in (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", b"hello\r\n\r\n"):
            self.assertTrue(self.call(junk).is_over, junk)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_slow(self) -> None:
        """Who does not finish the question in ten seconds is put out (R18)."""
        callers = [self.call(start) for start in (b"", b"GET / HTT", UPGRADE)]
        self.network.pass_time(9)
        self.assertEqual([one.is_over for one in callers], [False] * 3)
        self.network.pass_time(3)
        self.assertEqual([one.is_over for one in callers], [True] * 3)

    def test_trickle(self) -> None:
        """Nor does one byte a second buy time, in headers or in a body."""
        body = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 500\r\n\r\n"
        callers = []
        for begun in (b"GET / HTTP/1.1\r\nX: ", UPGRADE + b"X: ", body):
            callers.append((self.call(begun), self.wire.client))
        for second in range(13):
            for caller, end in callers:
                if not caller.is_over:
                    end.write(b"x")
            self.network.pass_time(1)
            if second == 8:
                self.assertEqual([one.is_over for one, _ in callers], [False] * 3)
        self.assertEqual([one.is_over for one, _ in callers], [True] * 3)
        self.assertEqual(self.a.node.mesh.counters["handshake-timeout"], 3)
        self.assertEqual(len(self.a.node.entrance), 0)

    def test_one_question(self) -> None:
        """A connection is closed after its answer: no room is kept by asking on."""
        caller = self.call(
            b"GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\n\r\n"
        )
        self.assertIn(b"\r\nConnection: close\r\n", caller.answer)
        self.assertTrue(caller.is_over)

    def test_counted(self) -> None:
        """Who never asks for a WebSocket takes room, too; who comes late is told."""
        d = self.start("srv-d", 8768, limits=Limits(connections=3))
        factory = Factory.forProtocol(Caller)
        silent = [self.network.join(factory, ("127.0.0.1", 8768)) for _ in range(3)]
        late = self.visit(d)
        assert late.close is not None
        self.assertEqual(late.close, (CLOSE_LIMIT, "max-connections: 3 are open"))
        silent[0].client.loseConnection()
        self.network.settle()
        self.assertIsNone(self.visit(d).close)
        self.network.pass_time(12)
        self.assertEqual([wire.gone for wire in silent], [True] * 3)
        self.assertEqual(len(d.node.entrance), 1)

    def test_cut(self) -> None:
        """So many who come late are cut without a word; memory stays bounded."""
        d = self.start("srv-d", 8768, limits=Limits(connections=1))
        factory = Factory.forProtocol(Caller)
        come = [self.network.join(factory, ("127.0.0.1", 8768)) for _ in range(100)]
        self.network.settle()
        self.assertEqual(len(d.node.entrance), 1 + SURPLUS)
        self.assertEqual(sum(wire.gone for wire in come), 99 - SURPLUS)
        self.assertEqual(d.node.mesh.counters["max-connections"], 99)

    def test_endless_headers(self) -> None:
        """Headers without end are cut off."""
        caller = self.call(UPGRADE + b"X: " + b"x" * 100_000)
        self.assertTrue(caller.is_over)
