"""Does a database of the original's become ours without losing a row?"""

import sqlite3
from contextlib import closing

from socp_twisted.errors import ConfigurationError
from socp_twisted.store.interface import Member, User
from socp_twisted.store.migrations import BUSY_TIMEOUT, prepare
from tests.inline_store import NOW, StoreTestCase, inline_store

# As the standard lists the columns, and as implementations wrote them down.
STANDARD = (
    "CREATE TABLE users (user_id TEXT PRIMARY KEY, pubkey TEXT NOT NULL, "
    "privkey_store TEXT NOT NULL, pake_password TEXT NOT NULL, meta JSON, "
    "version INT NOT NULL)",
    "CREATE TABLE groups (group_id TEXT PRIMARY KEY, creator_id TEXT NOT NULL, "
    "created_at INT, meta JSON, version INT NOT NULL)",
    "CREATE TABLE group_members (group_id TEXT, member_id TEXT, role TEXT, "
    "wrapped_key TEXT NOT NULL, added_at INT, PRIMARY KEY (group_id, member_id))",
)
ALICE = (
    "INSERT INTO users (user_id, pubkey, privkey_store, pake_password, meta, version) "
    "VALUES ('alice', 'pub', 'blob', 'salt.digest', '{\"display_name\": \"A\"}', 3)"
)


class OriginalsTests(StoreTestCase):
    """A database of the original's opens, keeps every row, and is ours from then on."""

    def made_by(self, *statements: str) -> None:
        """Write a database with plain SQL."""
        self.path.parent.mkdir(exist_ok=True)
        with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            for statement in statements:
                connection.execute(statement)

    def rows(self, query: str) -> list[tuple[object, ...]]:
        """Ask the file itself."""
        with closing(sqlite3.connect(self.path)) as connection:
            return connection.execute(query).fetchall()

    def user(self, user_id: str) -> User | None:
        """Open the database as a node would, and look a user up."""
        return self.wait(self.opened().user(user_id))

    def test_standard(self) -> None:
        """The standard's own columns: users, group and members are readable."""
        self.made_by(
            *STANDARD,
            ALICE,
            "INSERT INTO groups VALUES ('public', 'system', 1700000000, NULL, 9)",
            "INSERT INTO group_members VALUES ('public', 'alice', 'member', 'key', 7)",
        )
        store = self.opened()
        self.assertEqual(
            self.wait(store.user("alice")),
            User("alice", "pub", "blob", "salt.digest", {"display_name": "A"}, 3),
        )
        channel = self.wait(store.channel())
        self.assertEqual((channel.version, channel.created_at), (9, NOW))
        self.assertEqual(channel.members, (Member("alice", "member", "key", 7000),))
        self.assertFalse(self.wait(store.register(User("alice", "another"))))
        self.assertTrue(self.wait(store.register(User("bob", "key"))))

    def test_once(self) -> None:
        """The second start finds everything done."""
        self.made_by(*STANDARD, ALICE)
        self.user("alice")
        self.doCleanups()
        self.assertEqual(self.rows("PRAGMA user_version"), [(3,)])
        schema = self.rows("SELECT name, sql FROM sqlite_schema ORDER BY name")
        self.user("alice")
        self.doCleanups()
        self.assertEqual(
            self.rows("SELECT name, sql FROM sqlite_schema ORDER BY name"), schema
        )

    def test_settings(self) -> None:
        """Each change is on the disk when it is acknowledged, and references hold."""
        self.made_by(*STANDARD, ALICE)
        with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            prepare(connection, self.path)
            wanted = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}
            for name, value in {**wanted, "busy_timeout": BUSY_TIMEOUT}.items():
                told = connection.execute(f"PRAGMA {name}").fetchone()
                self.assertEqual(told, (value,), name)

    def test_further_columns(self) -> None:
        """Columns that we do not know are kept, and demand nothing of new rows."""
        self.made_by(
            "CREATE TABLE users (salt BLOB NOT NULL, version INTEGER DEFAULT 1, "
            "user_id TEXT PRIMARY KEY, pubkey TEXT NOT NULL UNIQUE, "
            "privkey_store TEXT NOT NULL, pake_password TEXT NOT NULL, meta TEXT, "
            '"last login ""utc""" REAL NOT NULL, [order] TEXT)',
            "INSERT INTO users VALUES (x'00ff', 2, 'alice', 'pub', 'blob', 'pw', "
            "'{}', 1.5, 'first')",
        )
        store = self.opened()
        self.assertEqual(
            self.wait(store.user("alice")), User("alice", "pub", "blob", "pw", {}, 2)
        )
        self.assertTrue(self.wait(store.register(User("bob", "pub"))))
        self.assertEqual(
            self.rows(
                'SELECT salt, "last login ""utc""", "order" FROM users ORDER BY user_id'
            ),
            [(b"\x00\xff", 1.5, "first"), (None, None, None)],
        )

    def test_columns_lacking(self) -> None:
        """A table with the id alone is filled up with what new rows get."""
        self.made_by(
            "CREATE TABLE users (USER_ID TEXT, PubKey TEXT)",
            "INSERT INTO users VALUES ('alice', 'pub'), ('bob', NULL)",
        )
        store = self.opened()
        self.assertEqual(self.wait(store.user("alice")), User("alice", "pub"))
        self.assertEqual(self.wait(store.user("bob")), User("bob", ""))
        self.assertEqual(self.wait(store.channel()).creator_id, "system")

    def test_other_values(self) -> None:
        """NULL, BLOBs, broken JSON and broken text are read as well as they can be."""
        self.made_by(
            "CREATE TABLE users (user_id, pubkey, privkey_store, pake_password, "
            "meta, version)",
            "INSERT INTO users VALUES "
            "('a', x'707562', NULL, NULL, NULL, NULL), "
            "('b', 'pub', '', '', 'hello', '4'), "
            "('c', 'pub', '', '', '[1]', 5.0), "
            "('d', CAST(x'70ff' AS TEXT), '', '', '{\"a\": 1.5}', 6)",
        )
        store = self.opened()
        self.assertEqual(
            [self.wait(store.user(user_id)) for user_id in "abcd"],
            [
                User("a", "pub"),
                User("b", "pub", version=4),
                User("c", "pub", version=5),
                User("d", "p�", meta={"a": 1.5}, version=6),
            ],
        )
        self.assertEqual(
            self.rows("SELECT meta FROM users WHERE user_id = 'b'"), [("hello",)]
        )

    def test_names_that_we_refuse(self) -> None:
        """Ids that cannot be registered here are kept: ``Alice`` and ``alice``."""
        self.made_by(
            *STANDARD,
            ALICE,
            "INSERT INTO users SELECT 'Alice', 'k', '', '', NULL, 1",
            "INSERT INTO users SELECT 'eve ' || char(27), 'k', '', '', NULL, 1",
        )
        self.assertEqual(
            self.wait(self.opened().user_ids()), ["Alice", "alice", "eve \x1b"]
        )

    def test_times(self) -> None:
        """Seconds, fractions, milliseconds and ``CURRENT_TIMESTAMP`` all become ms."""
        self.made_by(
            "CREATE TABLE groups (group_id TEXT, creator_id TEXT)",
            "INSERT INTO groups VALUES ('public', 'system'), ('other', 'alice')",
            "CREATE TABLE group_members (group_id TEXT, member_id TEXT, "
            "added_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP)",
            "INSERT INTO group_members VALUES ('public', 'a', 1700000000), "
            "('public', 'b', 1700000000.25), ('public', 'c', 1700000000000), "
            "('public', 'd', '2023-11-14 22:13:20'), ('public', 'e', NULL), "
            "('public', 'f', 'yesterday')",
        )
        members = self.wait(self.opened().channel()).members
        self.assertEqual(
            [member.added_at for member in members], [NOW, NOW + 250, NOW, NOW, 0, 0]
        )
        self.assertEqual(len(self.rows("SELECT * FROM groups")), 2)

    def test_constraints(self) -> None:
        """Their foreign keys, triggers and indexes no longer forbid what we do."""
        self.made_by(
            *STANDARD[:2],
            "CREATE TABLE group_members (group_id TEXT, member_id TEXT, role TEXT, "
            "wrapped_key TEXT NOT NULL, added_at INT, "
            "FOREIGN KEY (member_id) REFERENCES users (user_id), "
            "FOREIGN KEY (group_id) REFERENCES groups (group_id) ON DELETE CASCADE)",
            "CREATE UNIQUE INDEX one_key ON users (pubkey)",
            "CREATE TRIGGER never AFTER INSERT ON users "
            "BEGIN SELECT RAISE(ABORT, 'full'); END",
            "INSERT INTO groups VALUES ('public', 'alice', 0, '{}', 1)",
            "INSERT INTO group_members VALUES ('public', 'ghost', '', '', 0)",
            "INSERT INTO group_members VALUES ('lost', 'ghost', '', '', 0)",
        )
        store = self.opened()
        self.assertTrue(self.wait(store.register(User("alice", "key"))))
        self.assertTrue(self.wait(store.register(User("bob", "key"))))
        self.assertEqual(self.wait(store.put_members([Member("carol")])), 2)
        self.assertEqual(len(self.rows("SELECT * FROM group_members")), 3)

    def test_other_tables(self) -> None:
        """Further tables stay; those with names of ours are put by, for nothing."""
        self.made_by(
            *STANDARD,
            ALICE,
            "CREATE TABLE servers (server_id TEXT, pubkey TEXT)",
            "INSERT INTO servers VALUES ('srv-b', 'unchecked')",
            "CREATE TABLE messages (text TEXT)",
            "INSERT INTO messages VALUES ('hello')",
            "CREATE TABLE notes (text TEXT)",
            "INSERT INTO notes VALUES ('theirs')",
        )
        self.assertEqual(self.wait(self.opened().pins()), [])
        self.assertEqual(
            self.rows("SELECT * FROM servers_before"), [("srv-b", "unchecked")]
        )
        self.assertEqual(self.rows("SELECT * FROM messages_before"), [("hello",)])
        self.assertEqual(self.rows("SELECT * FROM messages"), [])
        self.assertEqual(self.rows("SELECT * FROM notes"), [("theirs",)])

    def test_two_of_one_name(self) -> None:
        """Rows that cannot both be kept: one sentence, and the file is untouched."""
        self.made_by(
            "CREATE TABLE users (user_id TEXT, pubkey TEXT)",
            "INSERT INTO users VALUES ('alice', 'one'), ('alice', 'two')",
        )
        store = inline_store(self.path)
        self.assertEqual(
            self.fault(store.open(NOW), ConfigurationError),
            f"the database {self.path} has rows that cannot be taken over: "
            "UNIQUE constraint failed: users.user_id",
        )
        self.assertEqual(
            self.rows("SELECT * FROM users"), [("alice", "one"), ("alice", "two")]
        )
        self.assertEqual(
            self.rows("SELECT name FROM sqlite_schema WHERE type = 'table'"),
            [("users",)],
        )
