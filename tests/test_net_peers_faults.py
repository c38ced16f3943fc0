"""What can go wrong while a server is dialled, and does the log say so?"""

from typing import Any

from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from twisted.internet.error import DNSLookupError, NoRouteError, TCPTimedOutError
from twisted.internet.protocol import Protocol

from tests.dialling import B, DiallingTestCase


class HangsUp(Protocol):
    """Accepts, and hangs up at the first byte."""

    def dataReceived(self, data: bytes) -> None:
        """Hang up."""
        assert self.transport is not None
        self.transport.loseConnection()


class SpeaksHttp(Protocol):
    """A web server that knows no WebSocket."""

    def dataReceived(self, data: bytes) -> None:
        """Answer as if it were any request."""
        assert self.transport is not None
        self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")


class Echoes(WebSocketServerProtocol):  # type: ignore[misc]
    """A WebSocket server that says what it is told."""

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """Say it."""
        self.sendMessage(payload, isBinary)


class Babbles(WebSocketServerProtocol):  # type: ignore[misc]
    """A WebSocket server that speaks something else."""

    def onOpen(self) -> None:
        """Speak."""
        self.sendMessage(b"hello?")


def websocket(protocol: type) -> Any:
    """Return a factory of WebSocket servers that are no SOCP servers."""
    factory = WebSocketServerFactory(B)
    factory.protocol = protocol
    return factory


class FaultTests(DiallingTestCase):
    """Whatever goes wrong is one failed attempt, with its reason in the log."""

    def fault(self, reason: str, seconds: float = 0.0, url: str = B) -> None:
        """Dial, and expect the first attempt to fail with this reason, and go on."""
        self.dial(url)
        self.network.pass_time(seconds + 5.5)
        self.assertEqual(
            self.texts("failed")[0],
            f"[bootstrap] failed to connect {url} (attempt 1/10): {reason}",
        )
        dials = self.times("attempting")[:2]
        self.assertTrue(seconds + 5 <= dials[1] - dials[0] <= seconds + 6.5, dials)
        self.assertEqual(self.texts("successfully"), [])

    def test_refused(self) -> None:
        """Nobody listens there."""
        self.fault("connection refused")

    def test_name(self) -> None:
        """The name is not found."""
        self.network.failures["nowhere.example"] = DNSLookupError()
        self.fault("name not found", url="ws://nowhere.example:8766")

    def test_no_route(self) -> None:
        """No route leads there."""
        self.network.failures["10.9.9.9"] = NoRouteError()
        self.fault("unreachable: no route to host", url="ws://10.9.9.9:8766")

    def test_kernel_timeout(self) -> None:
        """The kernel gives up."""
        self.network.failures["10.9.9.9"] = TCPTimedOutError()
        self.fault("unreachable: no answer", url="ws://10.9.9.9:8766")

    def test_timeout(self) -> None:
        """Packets vanish: five seconds are enough."""
        self.network.silent.add(frozenset((8765, 8766)))
        self.fault("unreachable: no answer within 5 s", 5)

    def test_hangs_up(self) -> None:
        """It accepts, and hangs up in the middle of the handshake."""
        self.listen(HangsUp)
        self.fault("hung up in the middle of the handshake")

    def test_hangs_up_for_ever(self) -> None:
        """Such a one uses up its ten attempts like any other (R1)."""
        self.listen(HangsUp)
        self.dial()
        self.network.pass_time(120)
        self.assertEqual(len(self.texts("attempting")), 10)
        self.assertEqual(len(self.texts("giving up")), 1)

    def test_silent(self) -> None:
        """It accepts, and says nothing for ten seconds."""
        self.listen(Protocol)
        self.fault(
            "accepts the connection but speaks no WebSocket: no answer within 10 s", 10
        )

    def test_http(self) -> None:
        """It is a web server."""
        self.listen(SpeaksHttp)
        self.dial()
        self.network.pass_time(6)
        reason = self.texts("failed")[0].partition("): ")[2]
        self.assertTrue(reason.startswith("speaks HTTP but no WebSocket: "), reason)
        self.assertEqual(len(self.texts("attempting")), 2)

    def test_echo(self) -> None:
        """It speaks WebSocket and echoes."""
        self.network.listeners[8766] = websocket(Echoes)
        self.fault("speaks WebSocket but not SOCP: it echoes")

    def test_babble(self) -> None:
        """It speaks WebSocket and something else."""
        self.network.listeners[8766] = websocket(Babbles)
        self.fault("speaks WebSocket but not SOCP: not JSON")

    def test_websocket_silence(self) -> None:
        """It speaks WebSocket, and says nothing for ten seconds."""
        self.network.listeners[8766] = websocket(WebSocketServerProtocol)
        self.fault("speaks WebSocket but not SOCP: no SERVER_WELCOME within 10 s", 10)

    def test_wrong_pin(self) -> None:
        """It is another server than the pinned one, and neither counts a link (R15)."""
        c = self.start("srv-c", 8766)
        self.fault(
            "its SERVER_WELCOME is not signed with the key pinned for it: "
            "the signature does not verify"
        )
        self.network.pass_time(60)
        self.assertEqual(len(self.texts("attempting")), 10)
        self.assertEqual((self.sites["srv-a"].linked(), c.linked()), ([], []))
        self.assertEqual(self.network.wires, [])

    def test_reset_after_the_handshake_alone(self) -> None:
        """Attempts are counted on until a handshake is done, not until TCP is."""
        self.dial()
        self.network.pass_time(17)
        self.listen(HangsUp)
        self.network.pass_time(10)
        self.assertIn("(attempt 6/10)", self.texts("attempting")[-1])
