"""Who is connected to us, and for whom is there no more room?"""

from collections import Counter

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from socp_twisted.net.entrance import Entrance
from socp_twisted.wire.limits import Limits


class Transport:
    """A connection that can be broken."""

    broken = False

    def abortConnection(self) -> None:
        """Note it."""
        self.broken = True


class EntranceTests(SynchronousTestCase):
    """How many connections there are, and how many from one address."""

    def setUp(self) -> None:
        """An entrance for four, two from one address."""
        self.clock = Clock()
        self.counters: Counter[str] = Counter()
        limits = Limits(connections=4, per_address=2)
        self.entrance = Entrance(limits, self.counters, self.clock.seconds)

    def come(self, host: str) -> str:
        """Let somebody connect and upgrade; return why they cannot stay."""
        self.last = Transport()
        self.assertTrue(self.entrance.came(self.last, host))
        return self.entrance.upgraded(self.last)

    def test_address(self) -> None:
        """One address has its share; another one still has all of its own."""
        self.assertEqual([self.come("10.0.0.1") for _ in range(2)], ["", ""])
        self.assertEqual(
            self.come("10.0.0.1"), "max-per-address: 2 are open from 10.0.0.1"
        )
        self.assertEqual(self.counters, {"max-per-address": 1})
        self.assertEqual(self.come("10.0.0.2"), "")

    def test_network(self) -> None:
        """Whoever has one IPv6 network has one share, whatever address they take."""
        self.assertEqual([self.come(f"2001:db8::{n}") for n in (1, 2)], ["", ""])
        why = "max-per-address: 2 are open from 2001:db8::/64"
        self.assertEqual(self.come("2001:db8::3"), why)
        self.assertEqual(self.come("2001:db8:0:1::3"), "")

    def test_loopback(self) -> None:
        """This machine's own share is everybody's."""
        hosts = ["127.0.0.1", "::1", "127.0.0.1", "::ffff:127.0.0.1"]
        self.assertEqual([self.come(host) for host in hosts], [""] * 4)
        self.assertEqual(self.come("127.0.0.1"), "max-connections: 4 are open")

    def test_room_again(self) -> None:
        """Who leaves makes room, once, and who was refused takes none."""
        self.come("10.0.0.1")
        first = self.last
        self.come("10.0.0.1")
        self.assertTrue(self.come("10.0.0.1"))
        for transport in (self.last, first, first):
            self.entrance.gone(transport)
        self.assertEqual(self.come("10.0.0.1"), "")
        self.assertTrue(self.come("10.0.0.1"))

    def test_late(self) -> None:
        """Who is no WebSocket after ten seconds is closed; who is one stays."""
        self.come("10.0.0.1")
        silent = Transport()
        self.entrance.came(silent, "10.0.0.2")
        for seconds, broken in ((9.5, False), (1.0, True)):
            self.clock.advance(seconds)
            self.entrance.close_late()
            self.assertEqual((self.last.broken, silent.broken), (False, broken))
        self.assertEqual(self.counters, {"handshake-timeout": 1})
        self.assertEqual(len(self.entrance), 1)
