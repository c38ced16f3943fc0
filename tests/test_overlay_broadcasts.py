"""Who has got which message to everybody, and for how long does anybody wait?"""

from twisted.trial.unittest import SynchronousTestCase

from socp_twisted.errors import ErrorCode, Refused
from socp_twisted.overlay.broadcasts import Broadcast, Broadcasts, reference
from socp_twisted.overlay.effects import LinkId

BOB, PHONE, CAROL = LinkId(1), LinkId(2), LinkId(3)


class ReceiptTests(SynchronousTestCase):
    """A receipt counts from a connection that was given the message, once."""

    def setUp(self) -> None:
        """One message to bob, who has two devices, to carol, and to two servers."""
        self.table = Broadcasts(8, 1_000)
        self.one = Broadcast(
            "ref",
            "srv-a",
            "alice",
            110.0,
            links={BOB, PHONE, CAROL},
            servers={"srv-b", "srv-c"},
        )
        self.table.begin(self.one, "alice")

    def read(self, link: LinkId, user_id: str, has: bool = True) -> list[Broadcast]:
        """Let a connection say that it has the message, or not."""
        return self.table.receipts(["none", "ref"], link, user_id, has=has)

    def test_all(self) -> None:
        """It is answered for with the last one that was asked."""
        self.assertEqual(self.read(BOB, "bob"), [])
        self.assertIsNone(self.table.answered("ref", "srv-b", ["dave"]))
        self.assertEqual(self.read(PHONE, "bob"), [])
        self.assertIsNone(self.table.answered("ref", "srv-c", []))
        self.assertEqual(self.read(CAROL, "carol"), [self.one])
        self.assertEqual(self.one.received, ["bob", "carol", "dave"])

    def test_one_device_lacks_it(self) -> None:
        """A member of whom one device could not read it does not have it."""
        for link, has in ((PHONE, False), (BOB, True)):
            self.read(link, "bob", has)
        self.assertEqual(self.one.received, [])

    def test_nobody_elses(self) -> None:
        """Who was not handed it, or said so before, changes nothing."""
        self.read(LinkId(9), "eve")
        self.table.receipts(["another"], BOB, "bob", has=True)
        self.table.answered("ref", "srv-e", ["carol"])
        self.read(CAROL, "carol", False)
        self.read(CAROL, "carol")
        self.table.answered("ref", "srv-b", [])
        self.table.answered("ref", "srv-b", ["dave"])
        self.assertEqual(self.one.received, [])

    def test_left(self) -> None:
        """A connection that is gone is not waited for."""
        for server in ("srv-b", "srv-c"):
            self.table.answered("ref", server, [])
        self.read(BOB, "bob")
        self.read(PHONE, "bob")
        self.assertEqual(self.table.left(BOB), [])
        self.assertEqual(self.table.left(CAROL), [self.one])
        self.assertEqual(self.one.received, ["bob"])

    def test_late(self) -> None:
        """Nor is anybody after the deadline."""
        self.assertEqual(self.table.late(109.9), [])
        self.assertEqual(self.table.late(110.0), [self.one])

    def test_reference(self) -> None:
        """Each message of each sender of each server has a name of its own."""
        names = {
            reference(origin, sender, key_id, seq, ts)
            for origin in ("srv-a", "srv-b")
            for sender in ("alice", "bob")
            for key_id in ("k1", "k2")
            for seq in (0, 1)
            for ts in (7, 8)
        }
        self.assertEqual(len(names), 32)


class RoomTests(SynchronousTestCase):
    """Neither one user nor one server takes the room of all, in number or bytes."""

    def setUp(self) -> None:
        """Room for eight, and for 4,000 bytes."""
        self.table = Broadcasts(8, 8_000)
        self.count = 0

    def begin(self, origin: str, user_id: str = "", size: int = 1) -> Broadcast:
        """Begin one more, or raise ``Refused``."""
        self.table.check_room(size, origin, user_id)
        self.count += 1
        one = Broadcast(f"{self.count}", origin, user_id or "zoe", 1.0, size=size)
        self.table.begin(one, user_id)
        return one

    def refused(self, origin: str, user_id: str = "", size: int = 1) -> str:
        """Return why one more is refused."""
        why = self.assertRaises(Refused, self.begin, origin, user_id, size)
        self.assertEqual(why.code, ErrorCode.LIMIT)
        return str(why)

    def test_of_one_user(self) -> None:
        """A quarter; another user has theirs."""
        mine = [self.begin("srv-a", "alice") for _ in range(2)]
        self.assertIn("max-channel: 2", self.refused("srv-a", "alice"))
        self.begin("srv-a", "bob")
        self.table.end(mine[0], "srv-a")
        self.begin("srv-a", "alice")

    def test_of_one_server(self) -> None:
        """A half, whoever its users are."""
        theirs = [self.begin("srv-b") for _ in range(4)]
        self.assertIn("max-channel: 4", self.refused("srv-b"))
        for one in theirs:
            self.table.end(one, "srv-a")
        self.begin("srv-b")

    def test_of_all(self) -> None:
        """Eight in all; other servers, however many, leave a quarter to our users."""
        for origin in ("srv-b", "srv-c", "srv-d"):
            for _ in range(2):
                self.begin(origin)
        self.assertIn("or 6 of all", self.refused("srv-b"))
        self.assertIn("or 6 of all", self.refused("srv-e"))
        for user_id in ("alice", "bob"):
            self.begin("srv-a", user_id)
        self.assertIn("or 8 of all", self.refused("srv-a", "carol"))
        self.assertEqual(len(self.table), 8)

    def test_bytes(self) -> None:
        """A quarter of the bytes for one user, but always room for one message."""
        huge = self.begin("srv-a", "alice", 3_000)
        self.assertIn("max-queued: 1000", self.refused("srv-a", "alice"))
        self.begin("srv-a", "bob", 999)
        self.assertIn("or 4000 of all", self.refused("srv-a", "carol", 2))
        self.table.end(huge, "srv-a")
        self.begin("srv-a", "alice", 1_000)

    def test_bytes_of_servers(self) -> None:
        """Nor do other servers take all the bytes."""
        self.begin("srv-b", size=2_000)
        self.begin("srv-c", size=1_000)
        self.assertIn("or 3000 of all", self.refused("srv-d"))
        self.begin("srv-a", "alice", 1_000)
        self.assertIn("or 4000 of all", self.refused("srv-a", "bob"))

    def test_ended_once(self) -> None:
        """Ending what has ended gives back no more room."""
        one = self.begin("srv-a", "alice")
        self.table.end(one, "srv-a")
        self.table.end(one, "srv-a")
        self.assertEqual(len(self.table), 0)
        for _ in range(2):
            self.begin("srv-a", "alice")
        self.refused("srv-a", "alice")
