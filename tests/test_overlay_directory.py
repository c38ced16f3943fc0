"""Who is where, and what is history?"""

from twisted.trial.unittest import SynchronousTestCase

from socp_twisted.overlay.directory import TOMBSTONES, Directory, Location, Server
from socp_twisted.overlay.effects import LinkId
from tests.keyring import pub_of


class DirectoryTestCase(SynchronousTestCase):
    """A directory with two servers."""

    def setUp(self) -> None:
        """Know srv-b and srv-c."""
        self.directory = Directory("srv-a")
        for name in ("srv-b", "srv-c"):
            self.directory.servers[name] = Server(name, "h", 1, f"key-{name}")
        self.b = self.directory.servers["srv-b"]

    def locate(self, user_id: str, server_id: str = "srv-b", ts: int = 10) -> None:
        """Let a user be somewhere."""
        self.directory.locate(user_id, Location.of(server_id, "key", ts=ts))

    def ids(self) -> list[str]:
        """Return who is online."""
        return [user_id for user_id, _ in self.directory.online()]


class OnlineTests(DirectoryTestCase):
    """Users are listed once each, sorted, however they come and go."""

    def test_sorted(self) -> None:
        """By code point, as ``sorted`` does."""
        for user_id in ("bob", "alice", "Zoe", "carol", "bob"):
            self.locate(user_id)
        self.assertEqual(self.ids(), ["Zoe", "alice", "bob", "carol"])
        self.directory.remove("bob")
        self.assertEqual(self.ids(), ["Zoe", "alice", "carol"])

    def test_remove_nobody(self) -> None:
        """Removing who is not there changes nothing."""
        self.locate("alice")
        self.directory.remove("bob")
        self.assertEqual(self.ids(), ["alice"])

    def test_moves(self) -> None:
        """A user who moves is counted at the new server alone."""
        self.locate("bob", "srv-b")
        self.locate("bob", "srv-c")
        self.assertEqual(self.b.users, set())
        self.assertEqual(self.directory.servers["srv-c"].users, {"bob"})
        self.assertEqual(self.ids(), ["bob"])

    def test_twin(self) -> None:
        """The same id in other case is a twin while it is online."""
        self.locate("Alice")
        self.assertEqual(self.directory.twin("alice"), "Alice")
        self.assertIsNone(self.directory.twin("Alice"))
        self.directory.remove("Alice")
        self.assertIsNone(self.directory.twin("alice"))
        self.locate("alice")
        self.assertEqual(self.directory.twin("ALICE"), "alice")
        self.assertIsNone(self.directory.twin("alice"))

    def test_key(self) -> None:
        """A key's text comes back to the letter, even one that is no key's."""
        for text in (pub_of("alice"), "key", "AB", "AQ", "k e y", "", "\u00e4"):
            self.assertEqual(Location.of("srv-b", text).pubkey, text)
        size = len(Location.of("srv-b", pub_of("alice")).key)
        self.assertLess(size, 0.76 * len(pub_of("alice")))


class HistoryTests(DirectoryTestCase):
    """Older word of a user than we have is history."""

    def is_history(self, ts: int, user_id: str = "bob", at: int = 0) -> bool:
        """Say whether srv-b's word of this time is old."""
        return self.directory.is_history(self.b, user_id, ts, at)

    def test_online(self) -> None:
        """Of a user who is there: what is older than the last word."""
        self.locate("bob", ts=10)
        self.assertEqual(
            [self.is_history(ts) for ts in (9, 10, 11)], [True, False, False]
        )

    def test_gone(self) -> None:
        """Of one who has left: what is not newer than the leaving."""
        self.locate("bob", ts=10)
        self.directory.remove("bob", 20)
        self.assertEqual(
            [self.is_history(ts) for ts in (19, 20, 21)], [True, True, False]
        )

    def test_vanished(self) -> None:
        """Of one who vanished with the server nothing: the same word is news again."""
        self.locate("bob", ts=10)
        self.directory.remove("bob")
        self.assertFalse(self.is_history(10))

    def test_signed(self) -> None:
        """Where the time is signed, it alone counts, whatever the frame says."""
        self.directory.locate("bob", Location.of("srv-b", "key", ts=10, at=8))
        told = [self.is_history(100, at=at) for at in (7, 8, 9)]
        self.assertEqual(told, [True, False, False])
        self.directory.remove("bob", 9)
        told = [self.is_history(100, at=at) for at in (8, 9, 10)]
        self.assertEqual(told, [True, True, False])

    def test_elsewhere(self) -> None:
        """Of one who is at another server: nothing, the rules decide."""
        self.locate("bob", "srv-c", ts=100)
        self.assertFalse(self.is_history(50))

    def test_before_the_link(self) -> None:
        """Of anybody: what is older than the newest link's greeting."""
        self.b.since = 30
        self.locate("bob", ts=10)
        self.assertTrue(self.is_history(20))
        self.assertTrue(self.is_history(20, "carol"))
        self.assertFalse(self.is_history(30, "carol"))

    def test_bounded(self) -> None:
        """The departed are remembered up to a number, the latest ones."""
        for n in range(TOMBSTONES + 5):
            self.locate(f"user-{n}", ts=1)
            self.directory.remove(f"user-{n}", 2)
        self.assertEqual(len(self.b.gone), TOMBSTONES)
        self.assertNotIn("user-4", self.b.gone)
        self.assertIn("user-5", self.b.gone)


class LinkTests(DirectoryTestCase):
    """Links are asked for in several ways."""

    def setUp(self) -> None:
        """Two links to srv-b, none to srv-c."""
        super().setUp()
        self.b.links = [LinkId(1), LinkId(2)]

    def test_newest(self) -> None:
        """Each linked server is reached over its newest link."""
        self.assertEqual(self.directory.server_links(), (LinkId(2),))
        self.assertEqual(self.directory.linked(), [self.b])

    def test_of_key(self) -> None:
        """A server is found by its key."""
        self.assertIs(self.directory.server_of_key("key-srv-b"), self.b)
        self.assertIsNone(self.directory.server_of_key("key-srv-z"))

    def test_users(self) -> None:
        """Every device of every local user."""
        self.directory.local_users = {
            "alice": [LinkId(3), LinkId(4)],
            "bob": [LinkId(5)],
        }
        self.assertEqual(self.directory.user_links(), (3, 4, 5))
