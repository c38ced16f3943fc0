"""What was shown is not shown again, whoever sends it and whoever was killed."""

import stat
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from socp_twisted.client.replays import Replayed, Replays
from socp_twisted.errors import MalformedFrame

NOW = 1_700_000_000_000


class MemoryTests(SynchronousTestCase):
    """Shown once, while it is fresh; what is remembered has an end."""

    def test_once(self) -> None:
        """The same again is refused; another ``ts`` or sender is another message."""
        seen = Replays()
        seen.check("alice", NOW, b"x", False, NOW)
        seen.check("alice", NOW + 1, b"x", False, NOW)
        seen.check("bob", NOW, b"x", False, NOW)
        with self.assertRaises(MalformedFrame):
            seen.check("alice", NOW, b"x", False, NOW)

    def test_edges(self) -> None:
        """Ten minutes either way are fresh."""
        seen = Replays()
        for ts in (NOW - 600_000, NOW + 600_000):
            seen.check("alice", ts, b"x", False, NOW)
        for ts in (NOW - 600_001, NOW + 600_001):
            with self.assertRaises(MalformedFrame):
                seen.check("alice", ts, b"x", False, NOW)

    def test_bounded(self) -> None:
        """The oldest is forgotten, and only then shown again."""
        seen = Replays(limit=2)
        for ts in range(3):
            seen.check("alice", NOW + ts, b"x", False, NOW)
        seen.check("alice", NOW, b"x", False, NOW)
        with self.assertRaises(MalformedFrame):
            seen.check("alice", NOW + 2, b"x", False, NOW)


class FileTests(SynchronousTestCase):
    """The memory of one process is the next one's."""

    def setUp(self) -> None:
        """Name a file that is not there yet."""
        self.path = Path(self.mktemp()) / "alice.shown"

    def replays(self, limit: int = 100) -> Replays:
        """Begin as a new process does."""
        return Replays(limit, self.path)

    def show(self, replays: Replays, *numbers: int) -> None:
        """Show messages, one for each number."""
        for number in numbers:
            replays.check("bob", NOW, b"%d" % number, False, NOW)

    def is_known(self, replays: Replays, number: int) -> bool:
        """Say whether a message was shown before."""
        try:
            self.show(replays, number)
        except Replayed:
            return True
        return False

    def test_kept(self) -> None:
        """What was saved is known to the next process."""
        first = self.replays()
        self.show(first, 1, 2)
        first.save()
        second = self.replays()
        known = [self.is_known(second, number) for number in (1, 2, 3)]
        self.assertEqual(known, [True, True, False])

    def test_killed_before_it_was_told(self) -> None:
        """What was not saved was perhaps not seen: it is shown again."""
        first = self.replays()
        self.show(first, 1)
        self.assertFalse(self.is_known(self.replays(), 1))

    def test_torn(self) -> None:
        """A process killed while it wrote leaves the whole entries, and goes on."""
        first = self.replays()
        self.show(first, 1, 2)
        first.save()
        self.path.write_bytes(self.path.read_bytes()[:-5])
        second = self.replays()
        self.assertTrue(self.is_known(second, 1))
        self.assertFalse(self.is_known(second, 2))
        second.save()
        self.assertTrue(self.is_known(self.replays(), 2))

    def test_bounded(self) -> None:
        """The file is cut down to what is remembered."""
        replays = self.replays(limit=4)
        for number in range(40):
            self.show(replays, number)
            replays.save()
        self.assertLessEqual(self.path.stat().st_size, 2 * 4 * 32)
        again = self.replays(limit=4)
        known = [self.is_known(again, number) for number in (39, 38, 5)]
        self.assertEqual(known, [True, True, False])

    def test_s22_private(self) -> None:
        """Who writes to us is nobody else's business."""
        replays = self.replays()
        self.show(replays, 1)
        replays.save()
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o600)

    def test_no_file(self) -> None:
        """A file that cannot be written costs only the memory."""
        self.path.mkdir(parents=True)
        replays = self.replays()
        self.show(replays, 1)
        replays.save()
        self.assertTrue(self.is_known(replays, 1))

    def test_stale_copy(self) -> None:
        """A copy is a copy, also when it is too old to be shown for the first time."""
        replays = self.replays()
        self.show(replays, 1)
        later = NOW + 3_600_000
        with self.assertRaises(Replayed):
            replays.check("bob", NOW, b"1", False, later)
        with self.assertRaises(MalformedFrame):
            replays.check("bob", NOW, b"2", False, later)
