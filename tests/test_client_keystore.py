"""What lies on disk, and what may a server see?"""

import json
from pathlib import Path
from typing import cast

from twisted.trial.unittest import SynchronousTestCase

from socp_twisted.client.keystore import (
    MAX_STORE,
    AccountSecrets,
    config_home,
    load_key,
    open_original,
    open_store,
    save_key,
    seal_original,
)
from socp_twisted.client.pins import Pin, PinFile, Pins
from socp_twisted.errors import BadKey, ConfigurationError
from socp_twisted.trust.keys import PrivateKey
from socp_twisted.wire.encoding import b64u_decode
from tests.client_peer import fingerprint
from tests.keyfiles import write_key_file
from tests.keyring import FOUR_PRIMES, four_primes
from tests.vector_files import private, public

KNOWN = ("2c153ef0be8e5d6f", "248318c69a7808cc")
"""Derived with hashlib and hmac alone."""


class FolderTests(SynchronousTestCase):
    """SOCP_HOME, then what the caller says, then the platform's place."""

    def test_order(self) -> None:
        """The environment wins."""
        self.assertEqual(config_home({"SOCP_HOME": "/a"}, Path("/b")), Path("/a"))
        self.assertEqual(config_home({}, Path("/b")), Path("/b"))
        self.assertEqual(config_home({}), Path.home() / ".config" / "socp")


class KeyFileTests(SynchronousTestCase):
    """The key lies encrypted, for its owner alone, and is never overwritten."""

    def setUp(self) -> None:
        """A folder that does not exist yet."""
        self.path = Path(self.mktemp()) / "alice.key"

    def test_round_trip(self) -> None:
        """What was saved can be loaded, by its owner, in the original's format."""
        save_key(self.path, private("alice"), "a passphrase")
        self.assertEqual(self.path.stat().st_mode & 0o777, 0o600)
        stored = json.loads(self.path.read_text())
        self.assertEqual(set(stored), {"salt", "nonce", "blob"})
        self.assertEqual(load_key(self.path, "a passphrase").public, public("alice"))
        self.assertEqual(
            [one.name for one in self.path.parent.iterdir()], ["alice.key"]
        )

    def test_never_over(self) -> None:
        """A second key does not replace the first."""
        save_key(self.path, private("alice"), "a passphrase")
        before = self.path.read_bytes()
        with self.assertRaisesRegex(ConfigurationError, "never overwritten"):
            save_key(self.path, private("bob"), "another")
        self.assertEqual(self.path.read_bytes(), before)

    def test_faults(self) -> None:
        """Each fault is one sentence."""
        with self.assertRaisesRegex(ConfigurationError, "there is no key file"):
            load_key(self.path, "x")
        with self.assertRaisesRegex(ConfigurationError, "not empty"):
            save_key(self.path, private("alice"), "")
        save_key(self.path, private("alice"), "a passphrase")
        with self.assertRaisesRegex(ConfigurationError, "wrong passphrase"):
            load_key(self.path, "another")
        for text in ("", "[]", "{}", '{"salt": "!", "nonce": "", "blob": 1}'):
            self.path.write_text(text)
            with self.assertRaisesRegex(ConfigurationError, "cannot be used"):
                load_key(self.path, "a passphrase")

    def test_servers(self) -> None:
        """A server's key file is none of a user's, and says so; nor is its key."""
        save_key(self.path, cast(PrivateKey, four_primes()), "a passphrase")
        with self.assertRaisesRegex(ConfigurationError, "has 4 primes, and only a ser"):
            load_key(self.path, "a passphrase")
        write_key_file(self.path, FOUR_PRIMES)
        with self.assertRaisesRegex(ConfigurationError, "is a server's, and a user's"):
            load_key(self.path, "a passphrase")


class AccountTests(SynchronousTestCase):
    """The server can check the login and read nothing."""

    def test_secrets(self) -> None:
        """Both are 32 bytes, of this user and this passphrase alone."""
        one = AccountSecrets.derive("alice", "x")
        self.assertEqual(one, AccountSecrets.derive("alice", "x"))
        others = (
            AccountSecrets.derive("bob", "x"),
            AccountSecrets.derive("alice", "y"),
        )
        for other in others:
            self.assertNotEqual(one.login_secret, other.login_secret)
            self.assertNotEqual(one.blob_key, other.blob_key)
        self.assertEqual(len(b64u_decode(one.password)), 32)
        self.assertNotEqual(one.login_secret, one.blob_key)
        self.assertNotIn(one.password, repr(one))

    def test_known_answer(self) -> None:
        """The derivation never changes: accounts depend on it."""
        secrets = AccountSecrets.derive("alice", "correct horse")
        self.assertEqual(
            (secrets.login_secret.hex()[:16], secrets.blob_key.hex()[:16]),
            KNOWN,
        )

    def test_pake_password(self) -> None:
        """Salt and hash, with the salt from the randomness."""
        secrets = AccountSecrets.derive("alice", "x")
        text = secrets.pake_password(lambda size: b"s" * size)
        salt, _, digest = text.partition(".")
        self.assertEqual(b64u_decode(salt), b"s" * 16)
        self.assertEqual(len(b64u_decode(digest)), 32)

    def test_stores(self) -> None:
        """Either kind of stored key opens with the passphrase, and no other."""
        key = private("alice")
        ours = AccountSecrets.derive("alice", "x").seal_key(key)
        theirs = seal_original(key, "x")
        self.assertEqual(json.loads(ours)["v"], 2)
        for store in (ours, theirs):
            self.assertEqual(open_store(store, "alice", "x").public, public("alice"))
            with self.assertRaises(BadKey):
                open_store(store, "alice", "y")

    def test_password_is_not_the_key(self) -> None:
        """What USER_LOGIN sends does not open the stored key."""
        secrets = AccountSecrets.derive("alice", "x")
        ours = secrets.seal_key(private("alice"))
        with self.assertRaises(BadKey):
            open_store(ours, "alice", secrets.password)

    def test_garbage(self) -> None:
        """A server may keep anything: it is a BadKey, not a crash."""
        ours = AccountSecrets.derive("alice", "x").seal_key(private("alice"))
        with self.assertRaisesRegex(BadKey, "of a version"):
            open_store(ours.replace('"v": 2', '"v": 3'), "alice", "x")
        with self.assertRaisesRegex(BadKey, "too long"):
            open_store(ours + " " * MAX_STORE, "alice", "x")
        for store in ("", "x", "{}", '{"v": 3}', '{"v": 2, "nonce": "AA"}', "[" * 999):
            with self.assertRaises(BadKey):
                open_store(store, "alice", "x")
        with self.assertRaises(BadKey):
            open_original('{"salt":"AAAA","nonce":"AA","blob":"AAAA"}', "x")


class PinTests(SynchronousTestCase):
    """First sight counts; only the user changes it."""

    def setUp(self) -> None:
        """A configuration folder that does not exist yet."""
        self.home = Path(self.mktemp())

    def test_first_sight(self) -> None:
        """The second key of a name does not replace the first."""
        pins = PinFile(None)
        first = pins.meet("bob", Pin(fingerprint("bob"), 1))
        again = pins.meet("bob", Pin(fingerprint("alice"), 2))
        self.assertEqual(first, again)

    def test_saved(self) -> None:
        """What was pinned is there next time, for the owner alone."""
        pins = Pins(self.home)
        pins.users.meet("bob", Pin(fingerprint("bob"), 1))
        self.assertFalse(self.home.exists())
        pins.save()
        path = self.home / "known_users.json"
        self.assertEqual(path.stat().st_mode & 0o777, 0o600)
        self.assertEqual(Pins(self.home).users.get("bob"), Pin(fingerprint("bob"), 1))

    def test_decided(self) -> None:
        """A decision is written at once."""
        pins = Pins(self.home)
        pins.servers.decide("ws://x:1", Pin(fingerprint("srv-a"), 1, True, "srv-a"))
        held = Pins(self.home).servers.get("ws://x:1")
        self.assertEqual(held, Pin(fingerprint("srv-a"), 1, True, "srv-a"))

    def test_two_processes(self) -> None:
        """One process does not undo what another has written."""
        one, other = Pins(self.home), Pins(self.home)
        one.users.meet("bob", Pin(fingerprint("bob")))
        other.users.meet("alice", Pin(fingerprint("alice")))
        one.save()
        other.save()
        self.assertIsNotNone(Pins(self.home).users.get("bob"))
        self.assertIsNotNone(Pins(self.home).users.get("alice"))

    def test_broken(self) -> None:
        """A broken file is an error, not an empty one: all would be accepted anew."""
        self.home.mkdir()
        path = self.home / "known_users.json"
        for text in ("", "[]", '{"bob": 1}', '{"bob": {"fingerprint": "x"}}', "\xff"):
            path.write_text(text, "latin-1")
            with self.assertRaisesRegex(ConfigurationError, "broken"):
                Pins(self.home)

    def test_unwritable(self) -> None:
        """A folder that cannot be made is one sentence."""
        pins = PinFile(self.home / "sub" / "known_users.json")
        self.home.write_text("a file, not a folder")
        with self.assertRaises(ConfigurationError):
            pins.decide("bob", Pin(fingerprint("bob")))
