"""How much leaves with one call of the system, and what if it takes less?"""

from collections.abc import Callable
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from socp_twisted.net.gathering import LENGTH, Gathered, Gathering


class Transport:
    """A TCP transport whose system takes so much."""

    disconnecting = aborted = False

    def __init__(self) -> None:
        self.room: int | OSError = 1000
        self.sent: list[bytes] = []
        """By one call each."""
        self.buffered: list[bytes] = []
        self.producer: Any = None

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Keep it; Twisted asks a pull producer for more at once."""
        self.producer = producer

    def unregisterProducer(self) -> None:
        """Forget it."""
        self.producer = None

    def writeSomeData(self, data: bytes) -> int | OSError:
        """Send what there is room for."""
        if isinstance(self.room, OSError):
            return self.room
        self.sent.append(data[: self.room])
        return min(self.room, len(data))

    def abortConnection(self) -> None:
        """Note it."""
        self.aborted = True

    def write(self, data: bytes) -> None:
        """Send later."""
        self.buffered.append(data)


class GatheringTests(SynchronousTestCase):
    """In order, whole, and never past what waits in the transport."""

    def setUp(self) -> None:
        """A connection whose buffer is empty."""
        self.now = 0.0
        self.soon: list[Callable[[], None]] = []
        self.told: list[str] = []
        self.gathering = Gathering(self.soon.append, lambda: self.now)
        self.transport, self.one = self.connect()
        self.transport.producer.resumeProducing()
        self.told.clear()

    def connect(self) -> tuple[Transport, Gathered]:
        """Return one more connection."""
        transport = Transport()
        return transport, Gathered(transport, self.gathering, self)

    def pauseProducing(self) -> None:
        """Note it."""
        self.told.append("pause")

    def resumeProducing(self) -> None:
        """Note it."""
        self.told.append("resume")

    def stopProducing(self) -> None:
        """Note it."""
        self.told.append("stop")

    def turn(self) -> None:
        """Let one turn pass."""
        due, self.soon[:] = list(self.soon), []
        for call in due:
            call()

    def test_gathered(self) -> None:
        """What is written in a turn is sent at once, in the next."""
        self.one.write(b"one")
        self.one.write(b"two")
        self.assertEqual((self.transport.sent, len(self.soon)), ([], 1))
        self.turn()
        self.assertEqual(self.transport.sent, [b"onetwo"])
        self.assertEqual((self.soon, self.told), ([], []))

    def test_full(self) -> None:
        """What is not taken goes to the transport, and so does all behind it."""
        self.transport.room = 2
        self.one.write(b"three")
        self.turn()
        self.one.write(b"four")
        self.turn()
        self.assertEqual(self.transport.sent, [b"th"])
        self.assertEqual(self.transport.buffered, [b"ree", b"four"])
        self.assertEqual(self.told, ["pause"])
        self.transport.room = 1000
        self.transport.producer.resumeProducing()
        self.one.write(b"five")
        self.turn()
        self.assertEqual(self.transport.sent, [b"th", b"five"])
        self.assertEqual(self.told, ["pause", "resume"])

    def test_bug(self) -> None:
        """A connection that fails ends, and those behind it are sent to."""
        other, another = self.connect()
        other.producer.resumeProducing()
        self.transport.room = None  # type: ignore[assignment]
        self.one.write(b"lost")
        another.write(b"frame")
        self.turn()
        self.assertEqual(other.sent, [b"frame"])
        self.assertEqual((self.transport.aborted, other.aborted), (True, False))
        self.assertEqual(len(self.flushLoggedErrors(TypeError)), 1)
        another.write(b"next")
        self.turn()
        self.assertEqual(other.sent, [b"frame", b"next"])

    def test_others_write(self) -> None:
        """What Autobahn writes comes after what was gathered, before what will be."""
        self.one.write(b"one")
        self.one.hand_over()
        self.transport.write(b"pong")
        self.one.write(b"two")
        self.turn()
        self.assertEqual(self.transport.buffered, [b"one", b"pong", b"two"])
        self.assertEqual(self.transport.sent, [])

    def test_before(self) -> None:
        """What was in the transport before the first frame leaves before it."""
        transport, one = self.connect()
        one.write(b"frame")
        self.turn()
        self.assertEqual((transport.sent, transport.buffered), ([], [b"frame"]))

    def test_error(self) -> None:
        """A broken connection is left to the transport, and costs no other theirs."""
        other, another = self.connect()
        other.producer.resumeProducing()
        self.transport.room = OSError("broken")
        self.one.write(b"lost")
        another.write(b"kept")
        self.turn()
        self.assertEqual((self.transport.buffered, other.sent), ([b"lost"], [b"kept"]))

    def test_closing(self) -> None:
        """A transport that is to close does not wait for more."""
        self.transport.disconnecting = True
        self.transport.producer.resumeProducing()
        self.assertIsNone(self.transport.producer)
        self.one.write(b"late")
        self.turn()
        self.assertEqual(self.transport.sent, [])

    def test_gone(self) -> None:
        """Nothing is sent on a connection that is gone."""
        self.one.write(b"late")
        self.transport.producer.stopProducing()
        self.turn()
        self.assertEqual((self.transport.sent, self.transport.buffered), ([], []))
        self.assertEqual(self.told, ["stop"])

    def test_long(self) -> None:
        """Many have several turns, in their order."""
        many = [self.connect() for _ in range(3)]
        for transport, one in many:
            transport.producer.resumeProducing()
            one.write(b"x")

        def slow() -> float:
            self.now += LENGTH / 2
            return self.now

        self.gathering._seconds = slow
        for done in (2, 3):
            self.turn()
            self.assertEqual(sum(len(one.sent) for one, _ in many), done)
