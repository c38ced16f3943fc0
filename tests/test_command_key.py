"""Does ``socp key`` say what other servers need to be told?"""

import json
import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from socp_twisted.configuration import Introducer
from socp_twisted.trust.keys import public_key
from tests.commands import socp
from tests.keyfiles import PINS, write_key_file
from tests.keyring import libcrypto_at

A = PINS["srv-a"]


class KeyTestCase(SynchronousTestCase):
    """What all tests of ``socp key`` share: a folder of their own."""

    def setUp(self) -> None:
        """Go to an empty folder, with nothing in the environment."""
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.addCleanup(os.chdir, Path.cwd())
        os.chdir(self.folder)
        self.folder = Path.cwd()
        self.patch(os, "environ", {})


class KeyTests(KeyTestCase):
    """``socp key`` shows the key that the server has, or will have."""

    def test_existing(self) -> None:
        """The key file is the one that the server reads; the last line is its URL."""
        write_key_file(self.folder / "server_key_srv-a.json", "srv-a")
        out, err, code = socp(
            "key", "--server-id", "srv-a", "--url", "ws://127.0.0.1:8765"
        )
        self.assertEqual((err, code), ("", 0))
        self.assertEqual(
            out.splitlines(),
            [
                "server id    srv-a",
                "key file     server_key_srv-a.json",
                f"fingerprint  {public_key(A).fingerprint}",
                f"public key   {A}",
                "other servers start with --bootstrap and this URL:",
                f"ws://127.0.0.1:8765#{A}",
            ],
        )

    def test_made(self) -> None:
        """A missing key is made once, for its owner alone, and shown again after."""
        out, _, code = socp("key", "--url", "ws://chat.example:8770/")
        self.assertEqual(code, 0)
        path = self.folder / "server_key_8770.json"
        self.assertEqual(path.stat().st_mode & 0o777, 0o600)
        self.assertIn("key file     server_key_8770.json (made just now)\n", out)
        last = out.splitlines()[-1]
        self.assertEqual(
            Introducer.parse(last),
            Introducer(
                "ws://chat.example:8770", json.loads(path.read_text())["pub_spki_b64u"]
            ),
        )
        again, _, _ = socp("key", "--url", "ws://chat.example:8770/")
        self.assertEqual(again, out.replace(" (made just now)", ""))

    def test_keyfile(self) -> None:
        """``--keyfile`` wins over the environment, and that over the default."""
        write_key_file(self.folder / "told.json", "srv-a")
        write_key_file(self.folder / "env.json", "srv-b")
        os.environ["SOCP_SERVER_KEYFILE"] = "env.json"
        out, _, _ = socp("key")
        self.assertIn(PINS["srv-b"], out)
        out, _, _ = socp("key", "--keyfile", "told.json")
        self.assertIn(A, out)
        self.assertRegex(out, r"\Aserver id    srv-[0-9a-f]{8}\n")

    def test_bad_url(self) -> None:
        """No key is made for a URL that nobody could use."""
        for url in (
            "http://h:1",
            "ws://h",
            "ws://:1",
            "ws://h:1/x",
            f"ws://h:1#{A}",
            "",
        ):
            self.assertEqual(
                socp("key", "--url", url),
                ("", f"socp key: --url {url!r} is not ws://host:port\n", 1),
            )
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_broken(self) -> None:
        """A broken key file is told, and stays as it is."""
        path = self.folder / "k.json"
        path.write_text("[]")
        out, err, code = socp("key", "--keyfile", "k.json")
        self.assertEqual((out, code), ("", 1))
        self.assertTrue(err.startswith("socp key: the key file k.json is broken: "))
        self.assertEqual(err.count("\n"), 1)
        self.assertEqual(path.read_text(), "[]")


class PrimesTests(KeyTestCase):
    """``--primes`` is for a key that is to be made."""

    def test_made(self) -> None:
        """A key of four primes is made, and shown as such from then on."""
        out, err, code = socp("key", "--keyfile", "k.json", "--primes", "4")
        self.assertEqual((err, code), ("", 0))
        self.assertIn("key file     k.json (made just now)\nprimes       4\n", out)
        self.assertEqual(
            socp("key", "--keyfile", "k.json"),
            (out.replace(" (made just now)", ""), "", 0),
        )

    def test_two(self) -> None:
        """A key of two primes is shown as ever; asked for, it must have two."""
        write_key_file(self.folder / "k.json", "srv-a")
        out, _, code = socp("key", "--keyfile", "k.json", "--primes", "2")
        self.assertEqual((out, code), (socp("key", "--keyfile", "k.json")[0], 0))
        self.assertNotIn("primes", out)

    def test_existing(self) -> None:
        """A key that is there stays, and the sentence says what it has."""
        path = write_key_file(self.folder / "k.json", "srv-a")
        before = path.read_bytes()
        self.assertEqual(
            socp("key", "--keyfile", "k.json", "--primes", "4"),
            (
                "",
                "socp key: the key file k.json has a key of 2 primes, not 4, and is "
                "never overwritten: name another file, for a new key\n",
                1,
            ),
        )
        self.assertEqual(path.read_bytes(), before)

    def test_numbers(self) -> None:
        """Anything but 2, 3 and 4 is one sentence, and no key is made."""
        for told in ("1", "5", "0", "-4", "four", "4.0", "", "04", "\u0664"):
            self.assertEqual(
                socp("key", f"--primes={told}"),
                ("", f"socp key: --primes {told!r} is not a number from 2 to 4\n", 1),
            )
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_no_libcrypto(self) -> None:
        """Where libcrypto is missing no key is made, and the sentence says why."""
        libcrypto_at(self)
        self.assertEqual(
            socp("key", "--primes", "4"),
            (
                "",
                "socp key: a key of more than two primes needs libcrypto of OpenSSL "
                "1.1.1 or later, which is not on this machine\n",
                1,
            ),
        )
        self.assertEqual(list(self.folder.iterdir()), [])
