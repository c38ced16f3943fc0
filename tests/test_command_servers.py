"""Does ``socp servers`` show the pins of a node, and forget one?"""

import os
from pathlib import Path

from socp_twisted.store.interface import ServerPin
from socp_twisted.trust.keys import public_key
from tests.commands import socp
from tests.inline_store import NOW, StoreTestCase, inline_store
from tests.keyring import pub_of

FORGOT = (
    "forgot srv-b: with --joins open it may come with another key, else once that "
    "key is in the --bootstrap list\n"
)


class ServersTests(StoreTestCase):
    """What is pinned is listed; what is forgotten is gone from the database."""

    def setUp(self) -> None:
        """Pin two servers in the database of srv-a, in an empty folder."""
        super().setUp()
        folder = Path(self.mktemp())
        folder.mkdir()
        self.addCleanup(os.chdir, Path.cwd())
        os.chdir(folder)
        self.patch(os, "environ", {})
        self.path = Path("socp-srv-a.db")
        store = inline_store(self.path)
        self.wait(store.open(NOW))
        for name, host in (("srv-c", ""), ("srv-b", "10.0.0.1")):
            pin = ServerPin(name, pub_of(name), host, 8766 if host else 0, NOW, NOW)
            self.wait(store.pin(pin))
        self.wait(store.close())

    def test_listed(self) -> None:
        """Sorted, each with its address, the day, and the fingerprint of its key."""
        out, err, code = socp("servers", "--server-id", "srv-a")
        self.assertEqual((err, code), ("", 0))
        self.assertEqual(
            out.splitlines(),
            [
                "srv-b  10.0.0.1:8766  last pinned 2023-11-14 22:13 UTC",
                f"    {public_key(pub_of('srv-b')).fingerprint}",
                "srv-c  -  last pinned 2023-11-14 22:13 UTC",
                f"    {public_key(pub_of('srv-c')).fingerprint}",
            ],
        )

    def test_where(self) -> None:
        """The database of the option, else of the variable, else a sentence."""
        listed = socp("servers", "--server-id", "srv-a")
        self.assertEqual(socp("servers", "--db", str(self.path)), listed)
        os.environ["SOCP_DB"] = str(self.path)
        self.assertEqual(socp("servers"), listed)
        del os.environ["SOCP_DB"]
        sentence = "socp servers: say which database: --db FILE or --server-id ID\n"
        self.assertEqual(socp("servers"), ("", sentence, 1))

    def test_missing(self) -> None:
        """A database that is not there is not made."""
        sentence = "socp servers: there is no database socp-srv-x.db\n"
        self.assertEqual(socp("servers", "--server-id", "srv-x"), ("", sentence, 1))
        self.assertFalse(Path("socp-srv-x.db").exists())

    def test_no_database(self) -> None:
        """Nor is another file touched."""
        other = Path("notes.txt")
        other.write_text("not a database, but long enough to be looked at" * 20)
        before = other.read_bytes()
        out, err, code = socp("servers", "--db", "notes.txt")
        self.assertEqual((out, code, other.read_bytes()), ("", 1, before))
        self.assertEqual(len(err.splitlines()), 1)

    def test_forget(self) -> None:
        """One is forgotten, the other stays; twice is a sentence."""
        forget = ("servers", "--server-id", "srv-a", "--forget", "srv-b")
        self.assertEqual(socp(*forget), (FORGOT, "", 0))
        out, _, _ = socp("servers", "--server-id", "srv-a")
        self.assertNotIn("srv-b", out)
        self.assertIn("srv-c", out)
        sentence = "socp servers: srv-b is not pinned in socp-srv-a.db\n"
        self.assertEqual(socp(*forget), ("", sentence, 1))

    def test_running(self) -> None:
        """While a server has the database its pins are listed, and none forgotten."""
        store = inline_store(self.path)
        self.wait(store.open(NOW))
        listed = socp("servers", "--server-id", "srv-a")
        self.assertEqual((listed[1], listed[2]), ("", 0))
        forget = ("servers", "--server-id", "srv-a", "--forget", "srv-b")
        sentence = "the database socp-srv-a.db is in use: a server runs on it"
        self.assertEqual(socp(*forget), ("", f"socp servers: {sentence}\n", 1))
        self.assertEqual(socp("servers", "--server-id", "srv-a"), listed)
        self.wait(store.close())
        self.assertEqual(socp(*forget), (FORGOT, "", 0))
