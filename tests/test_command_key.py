"""Does ``socp key`` say what other servers need to be told?"""

import json
import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from socp_twisted.configuration import Introducer
from socp_twisted.trust.keys import public_key
from tests.keyfiles import PINS, write_key_file
from tests.test_command import socp

A = PINS["srv-a"]


class KeyTests(SynchronousTestCase):
    """``socp key`` shows the key that the server has, or will have."""

    def setUp(self) -> None:
        """Go to an empty folder, with nothing in the environment."""
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.addCleanup(os.chdir, Path.cwd())
        os.chdir(self.folder)
        self.folder = Path.cwd()
        self.patch(os, "environ", {})

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
