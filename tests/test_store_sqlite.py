"""What does a node still know after a restart?"""

import os
import sqlite3
from typing import cast

from socp_twisted.errors import ConfigurationError
from socp_twisted.store.interface import (
    Channel,
    Member,
    ServerPin,
    Store,
    StoreClosed,
    StoreError,
    User,
)
from tests.inline_store import NOW, StoreTestCase, inline_store

ALICE = User("alice", "key of alice", "blob", "salt.digest", {"display_name": "Älice"})
PIN = ServerPin("srv-b", "key of srv-b", "127.0.0.1", 8766, NOW, NOW)


class UserTests(StoreTestCase):
    """A user id belongs to whoever registered it first."""

    def setUp(self) -> None:
        """Open a new database."""
        super().setUp()
        self.store: Store = self.opened()

    def test_registered(self) -> None:
        """All that was registered comes back, to the letter."""
        self.assertTrue(self.wait(self.store.register(ALICE)))
        self.assertEqual(self.wait(self.store.user("alice")), ALICE)

    def test_unknown(self) -> None:
        """Who never registered is nobody, and cannot be changed."""
        self.assertIsNone(self.wait(self.store.user("alice")))
        self.assertFalse(self.wait(self.store.update_user("alice", meta={})))

    def test_taken(self) -> None:
        """A second registration says so, and changes nothing."""
        self.wait(self.store.register(ALICE))
        self.assertFalse(self.wait(self.store.register(User("alice", "another"))))
        self.assertEqual(self.wait(self.store.user("alice")), ALICE)

    def test_s17_taken_in_another_case(self) -> None:
        """``Alice`` cannot be registered beside ``alice``, and is not found as her."""
        self.wait(self.store.register(ALICE))
        self.assertFalse(self.wait(self.store.register(User("ALICE", "another"))))
        self.assertIsNone(self.wait(self.store.user("ALICE")))

    def test_s17_found_in_any_case(self) -> None:
        """Whoever asks for a look-alike finds whom it looks like."""
        self.wait(self.store.register(ALICE))
        for name in ("alice", "ALICE"):
            self.assertEqual(self.wait(self.store.find(name)), ALICE)
        self.assertIsNone(self.wait(self.store.find("alic")))

    def test_counted(self) -> None:
        """The number of users is that of the rows."""
        counts = []
        for user in (ALICE, User("bob", "another")):
            counts.append(self.wait(self.store.count_users()))
            self.wait(self.store.register(user))
        self.assertEqual([*counts, self.wait(self.store.count_users())], [0, 1, 2])

    def test_changed(self) -> None:
        """Only what is given changes, the key never does, and the version grows."""
        self.wait(self.store.register(ALICE))
        changed = self.store.update_user("alice", privkey_store="new", meta={"a": [1]})
        self.assertTrue(self.wait(changed))
        self.assertEqual(
            self.wait(self.store.user("alice")),
            User("alice", ALICE.pubkey, "new", "salt.digest", {"a": [1]}, 2),
        )

    def test_emptied(self) -> None:
        """An empty text is a change: from now on the user logs in by key."""
        self.wait(self.store.register(ALICE))
        self.wait(self.store.update_user("alice", privkey_store="", pake_password=""))
        self.assertEqual(
            self.wait(self.store.user("alice")),
            User("alice", ALICE.pubkey, "", "", ALICE.meta, 2),
        )

    def test_ids(self) -> None:
        """The ids are sorted by code point, as everywhere."""
        for user_id in ("bob", "Zoe", "alice", "_"):
            self.wait(self.store.register(User(user_id, "key")))
        self.assertEqual(self.wait(self.store.user_ids()), ["Zoe", "_", "alice", "bob"])

    def test_hostile_text(self) -> None:
        """Quotes and SQL are text like any other."""
        hostile = User("o'brien", "'; DROP TABLE users; --", meta={"'": '"'})
        self.wait(self.store.register(hostile))
        self.assertEqual(self.wait(self.store.user("o'brien")), hostile)

    def test_secrets_stay_out_of_logs(self) -> None:
        """Neither the blob nor the password is in what a log would show."""
        self.assertNotIn("blob", repr(ALICE))
        self.assertNotIn("digest", repr(ALICE))


class ChannelTests(StoreTestCase):
    """The group ``public`` is made at the first start; its version only grows."""

    def setUp(self) -> None:
        """Open a new database."""
        super().setUp()
        self.store: Store = self.opened()

    def test_first_start(self) -> None:
        """Its creator is ``system`` and it has no members."""
        self.assertEqual(self.wait(self.store.channel()), Channel(1, (), "system", NOW))

    def test_members(self) -> None:
        """Members that are added together are one change, and come sorted."""
        bob, alice = Member("bob", added_at=NOW), Member("alice", "owner", "key", NOW)
        self.assertEqual(self.wait(self.store.put_members([bob, alice])), 2)
        self.assertEqual(
            self.wait(self.store.channel()), Channel(2, (alice, bob), "system", NOW)
        )

    def test_nothing_new(self) -> None:
        """What changes nothing leaves the version alone."""
        bob = Member("bob", "member", "key", NOW)
        self.wait(self.store.put_members([bob]))
        later = Member("bob", "member", "key", NOW + 1)
        self.assertEqual(self.wait(self.store.put_members([later])), 2)
        self.assertEqual(self.wait(self.store.put_members([])), 2)
        self.assertEqual(self.wait(self.store.channel()).members, (bob,))

    def test_new_key(self) -> None:
        """A new wrapped key is a change; the day of joining stays."""
        self.wait(self.store.put_members([Member("bob", "member", "old", NOW)]))
        again = Member("bob", "member", "new", NOW + 1)
        self.assertEqual(self.wait(self.store.put_members([again])), 3)
        self.assertEqual(
            self.wait(self.store.channel()).members,
            (Member("bob", "member", "new", NOW),),
        )

    def test_all_or_nothing(self) -> None:
        """Of a batch that fails half-way, nothing is stored."""
        batch = [Member("bob"), Member(cast(str, None))]
        self.assertIn("NOT NULL", self.fault(self.store.put_members(batch), StoreError))
        self.assertEqual(self.wait(self.store.channel()).members, ())

    def test_version_only_grows(self) -> None:
        """A higher version is taken over, a lower one is not."""
        self.assertEqual(self.wait(self.store.raise_version(7)), 7)
        self.assertEqual(self.wait(self.store.raise_version(3)), 7)
        self.assertEqual(self.wait(self.store.channel()).version, 7)


class PinTests(StoreTestCase):
    """A server's key is pinned at first sight, and only the operator unpins it."""

    def setUp(self) -> None:
        """Open a new database with one pin."""
        super().setUp()
        self.store: Store = self.opened()
        self.assertEqual(self.wait(self.store.pin(PIN)), PIN)

    def test_same_key(self) -> None:
        """The same key at another address, later: the address is renewed."""
        moved = ServerPin("srv-b", PIN.pubkey, "10.0.0.1", 9000, NOW + 5, NOW + 5)
        held = ServerPin("srv-b", PIN.pubkey, "10.0.0.1", 9000, NOW, NOW + 5)
        self.assertEqual(self.wait(self.store.pin(moved)), held)
        self.assertEqual(self.wait(self.store.pins()), [held])

    def test_other_key(self) -> None:
        """Another key under that id changes nothing, and the pin comes back."""
        foreign = ServerPin("srv-b", "another", "10.6.6.6", 1, NOW + 5, NOW + 5)
        self.assertEqual(self.wait(self.store.pin(foreign)), PIN)
        self.assertEqual(self.wait(self.store.pins()), [PIN])

    def test_clock_set_back(self) -> None:
        """``last_seen`` does not go back with a clock that does."""
        early = ServerPin("srv-b", PIN.pubkey, PIN.host, PIN.port, NOW - 9, NOW - 9)
        self.assertEqual(self.wait(self.store.pin(early)), PIN)

    def test_sorted(self) -> None:
        """The pins are sorted by server id."""
        first = ServerPin("srv-a", "key", "::1", 8765, NOW, NOW)
        self.wait(self.store.pin(first))
        self.assertEqual(self.wait(self.store.pins()), [first, PIN])

    def test_forgotten(self) -> None:
        """Once the operator forgets a pin, the next first sight counts."""
        self.assertTrue(self.wait(self.store.forget("srv-b")))
        self.assertFalse(self.wait(self.store.forget("srv-b")))
        other = ServerPin("srv-b", "another", "10.0.0.1", 9000, NOW, NOW)
        self.assertEqual(self.wait(self.store.pin(other)), other)


class FileTests(StoreTestCase):
    """S22: what is in the file is its owner's business alone."""

    def modes(self) -> dict[str, int]:
        """Return the permissions of the database and its journals."""
        folder = self.path.parent
        return {file.name: file.stat().st_mode & 0o777 for file in folder.iterdir()}

    def test_s22_new(self) -> None:
        """Even under a careless umask all four files are 0600."""
        self.addCleanup(os.umask, os.umask(0))
        self.wait(self.opened().register(ALICE))
        self.assertEqual(
            self.modes(),
            {f"socp.db{end}": 0o600 for end in ("", "-lock", "-shm", "-wal")},
        )

    def test_s22_already_open_to_all(self) -> None:
        """A file that everybody could read is closed to them."""
        self.path.parent.mkdir()
        self.path.touch(0o666)
        self.path.chmod(0o666)
        self.wait(self.opened().register(ALICE))
        self.assertEqual(set(self.modes().values()), {0o600})

    def test_restart(self) -> None:
        """What was stored is there after a restart, and no journal is left."""
        store = inline_store(self.path)
        self.wait(store.open(NOW))
        self.wait(store.register(ALICE))
        self.wait(store.pin(PIN))
        self.wait(store.put_members([Member("alice")]))
        self.wait(store.close())
        self.assertEqual(set(self.modes()), {"socp.db", "socp.db-lock"})
        again = self.opened()
        self.assertEqual(self.wait(again.user("alice")), ALICE)
        self.assertEqual(self.wait(again.pins()), [PIN])
        self.assertEqual(self.wait(again.channel()).version, 2)

    def test_broken_later(self) -> None:
        """A database that breaks under a running node is one sentence in the log."""
        store = self.opened()
        with sqlite3.connect(self.path) as other:
            other.execute("DROP TABLE users")
        other.close()
        self.assertEqual(
            self.fault(store.user("alice"), StoreError),
            f"the database {self.path} failed: no such table: users",
        )


class RefusedTests(StoreTestCase):
    """A file that cannot be used is one clear sentence, and stays as it was."""

    def test_in_use(self) -> None:
        """One database, one server; the next can have it once the first has ended."""
        first, second = self.opened(), inline_store(self.path)
        sentence = f"the database {self.path} is in use: a server runs on it"
        self.assertEqual(self.fault(second.open(NOW), ConfigurationError), sentence)
        with self.assertRaisesRegex(ConfigurationError, "in use: a server"):
            second.check(NOW)
        self.wait(first.close())
        second.check(NOW)
        self.wait(second.open(NOW))
        self.wait(second.close())

    def test_in_use_by_another_name(self) -> None:
        """A symbolic link leads to the same database, and to the same lock."""
        self.opened()
        link = self.path.with_name("link.db")
        link.symlink_to(self.path.resolve())
        with self.assertRaisesRegex(ConfigurationError, "link.db is in use: a server"):
            inline_store(link).check(NOW)
        self.assertFalse(link.with_name("link.db-lock").exists())

    def refused(self, sentence: str) -> None:
        """Assert that opening fails with this sentence and changes nothing."""
        before = self.path.read_bytes() if self.path.is_file() else b""
        store = inline_store(self.path)
        self.assertEqual(self.fault(store.open(NOW), ConfigurationError), sentence)
        if before:
            self.assertEqual(self.path.read_bytes(), before)
        self.fault(store.user("alice"), StoreClosed)

    def made_by(self, *statements: str) -> None:
        """Write a database with plain SQL."""
        self.path.parent.mkdir(exist_ok=True)
        connection = sqlite3.connect(self.path, isolation_level=None)
        for statement in statements:
            connection.execute(statement)
        connection.close()

    def test_no_database(self) -> None:
        """Any other file is left alone."""
        self.path.parent.mkdir()
        self.path.write_text("my shopping list\n" * 100)
        self.refused(f"the database {self.path} is no SQLite database")

    def test_directory(self) -> None:
        """A directory is no file."""
        self.path.mkdir(parents=True)
        self.refused(f"the database {self.path} is no file")

    def test_below_a_file(self) -> None:
        """A path that leads through a file cannot be made."""
        self.path.parent.write_text("")
        self.refused(f"cannot open the database {self.path}: File exists")

    def test_cut_short(self) -> None:
        """A database that lost its end is damaged."""
        self.wait(self.opened().register(ALICE))
        self.doCleanups()
        os.truncate(self.path, self.path.stat().st_size // 2)
        self.refused(f"the database {self.path} is damaged")

    def test_overwritten(self) -> None:
        """A page that was overwritten is found at the start, not in a login."""
        self.wait(self.opened().register(ALICE))
        self.doCleanups()
        with self.path.open("r+b") as file:
            file.seek(4096)
            file.write(b"\xff" * 64)
        store = inline_store(self.path)
        self.assertIn(
            f"the database {self.path} is damaged",
            self.fault(store.open(NOW), ConfigurationError),
        )

    def test_read_only(self) -> None:
        """A database that cannot be written is refused at the start."""
        self.wait(self.opened().register(ALICE))
        self.doCleanups()
        with self.path.open("r+b") as file:
            file.seek(18)  # a write format that SQLite does not know: even for root
            file.write(b"\x03")
        self.refused(f"the database {self.path} is read-only")

    def test_newer(self) -> None:
        """A newer program's database is not guessed at."""
        self.made_by("CREATE TABLE users (user_id TEXT)", "PRAGMA user_version = 99")
        self.refused(
            f"the database {self.path} was written by a newer version of this "
            "program (schema 99, this one knows 3)"
        )

    def test_other_program(self) -> None:
        """Some other program's database is not filled with our tables."""
        self.made_by("CREATE TABLE bookmarks (url TEXT)")
        self.refused(
            f"the database {self.path} belongs to another program: "
            "it has no table 'users'"
        )

    def test_other_users(self) -> None:
        """Nor is one that happens to have a table of that name."""
        self.made_by("CREATE TABLE users (id INTEGER, mail TEXT)")
        self.refused(
            f"the database {self.path} belongs to another program: "
            "its table 'users' has no user_id"
        )
