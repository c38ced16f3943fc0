"""Whom do we dial, and whom not?"""

from twisted.trial.unittest import SynchronousTestCase

from socp_twisted.net.mesh import MeshService
from socp_twisted.overlay.effects import Heard
from socp_twisted.wire.limits import Limits
from tests.keyring import pub_of
from tests.memory_network import Machine, Network


class Owner:
    """Whom links would report to, if any were made."""

    limits = Limits(servers=4)

    def seconds(self) -> float:
        """Return no time: nothing is linked here."""
        return 0.0


class MeshServiceTests(SynchronousTestCase):
    """One server is one key: one of its addresses is dialled at a time."""

    def setUp(self) -> None:
        """A service on a network where nobody listens."""
        self.network = Network()
        self.machine = Machine(self.network, 8765)
        self.unwanted: set[str] = set()
        self.mesh = MeshService(
            self.machine,  # type: ignore[arg-type]
            Owner(),  # type: ignore[arg-type]
            lambda link: None,
            attempts=10,
            delay=5.0,
            is_wanted=lambda key: key not in self.unwanted,
        )
        self.addCleanup(self.mesh.stopService)

    def heard(
        self, name: str = "srv-b", port: int = 8766, *, soon: bool = True
    ) -> None:
        """Take a sign of life."""
        self.mesh.heard(Heard(name, "127.0.0.1", port, pub_of(name), soon=soon))

    def active(self) -> list[int]:
        """Return the ports that are being dialled."""
        peers = self.mesh._peers.values()
        return sorted(peer.port for peer in peers if peer.active)

    def pass_time(self, seconds: float) -> None:
        """Let time pass."""
        self.network.pass_time(seconds)

    def test_not_running(self) -> None:
        """Before it is started, and after it is stopped, nobody is dialled."""
        self.mesh.add("ws://127.0.0.1:8766", pub_of("srv-b"))
        self.heard("srv-c", 8767)
        self.assertEqual(self.active(), [])
        self.mesh.startService()
        self.assertEqual(self.active(), [8766])
        self.mesh.stopService()
        self.heard("srv-c", 8767)
        self.assertEqual(self.active(), [])

    def test_two_addresses(self) -> None:
        """Of two entries with one key the second is not dialled beside the first."""
        self.mesh.add("ws://127.0.0.1:8766", pub_of("srv-b"))
        self.mesh.add("ws://127.0.0.1:8767", pub_of("srv-b"))
        self.mesh.startService()
        self.assertEqual(self.active(), [8766])

    def test_heard(self) -> None:
        """A server that is heard of is dialled, once."""
        self.mesh.startService()
        self.heard()
        self.heard(port=9000)
        self.assertEqual(self.active(), [8766])

    def test_linked_already(self) -> None:
        """Whom we have a link to is not."""
        self.mesh.startService()
        self.unwanted.add(pub_of("srv-b"))
        self.heard()
        self.heard(soon=False)
        self.pass_time(10)
        self.assertEqual(self.active(), [])

    def test_not_soon(self) -> None:
        """Who is expected to come is given half a delay to do so."""
        self.mesh.startService()
        self.heard(soon=False)
        self.pass_time(2)
        self.assertEqual(self.active(), [])
        self.pass_time(1)
        self.assertEqual(self.active(), [8766])

    def test_stopped_meanwhile(self) -> None:
        """A service that stops meanwhile leaves no call behind."""
        self.mesh.startService()
        self.heard(soon=False)
        self.mesh.stopService()
        self.assertEqual(self.machine.calls, [])

    def test_given_up(self) -> None:
        """Who was heard of and given up on is forgotten, until heard of again."""
        self.mesh.startService()
        self.heard()
        self.pass_time(60)
        self.assertEqual(dict(self.mesh._peers), {})
        self.heard()
        self.assertEqual(self.active(), [8766])

    def test_pinned_given_up(self) -> None:
        """The operator's own entries are kept, and begin again with a sign of life."""
        self.mesh.add("ws://127.0.0.1:8766", pub_of("srv-b"))
        self.mesh.startService()
        self.pass_time(60)
        self.assertEqual(self.active(), [])
        self.heard()
        self.assertEqual(self.active(), [8766])
        self.assertEqual(len(self.mesh._peers), 1)

    def test_moved(self) -> None:
        """A server that is told at another address is dialled there."""
        self.mesh.add("ws://127.0.0.1:8766", pub_of("srv-b"))
        self.mesh.startService()
        self.pass_time(60)
        self.heard(port=9000)
        self.assertEqual(self.active(), [9000])

    def test_claimed_address(self) -> None:
        """Nobody stops us from dialling a server by claiming its address."""
        self.mesh.add("ws://127.0.0.1:8766", pub_of("srv-b"))
        self.mesh.startService()
        self.heard("srv-c", 8766)
        self.assertEqual(self.active(), [8766, 8766])

    def test_bounded(self) -> None:
        """No more servers are dialled than may be known."""
        self.mesh.startService()
        for letter in "bcdefghij":
            self.heard(f"srv-{letter}", 9000)
        self.assertEqual(len(self.active()), 4)
