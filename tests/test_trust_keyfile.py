"""What happens to the file that a server's key lies in?  (SOCP 4)"""

import json
import os
from pathlib import Path, PosixPath

from twisted.trial.unittest import SynchronousTestCase

from socp_twisted.errors import ConfigurationError
from socp_twisted.trust.keyfile import load_or_make_key_file
from socp_twisted.trust.multiprime import MultiPrimeKey
from tests.keyfiles import write_key_file
from tests.keyring import FOUR_PRIMES, VECTORS, four_primes, libcrypto_at
from tests.keyring import pem_of as test_pem
from tests.vector_files import private, public, vectors

ALICE = vectors("keys")["public_keys"]["alice"]


class Overtaken(PosixPath):
    """A path at which another process writes a key just after we found none."""

    def read_text(self, encoding: str | None = None, errors: str | None = None) -> str:
        """Read as ever; a missing file is there from then on."""
        try:
            return super().read_text(encoding, errors)
        except FileNotFoundError:
            write_key_file(Path(self), "srv-b")
            raise


class KeyFileTestCase(SynchronousTestCase):
    """What all tests of the key file share: its name."""

    def setUp(self) -> None:
        """Name a file in a folder that is there."""
        folder = Path(self.mktemp())
        folder.mkdir()
        self.path = folder / "server_key_srv-a.json"

    def refused(self, sentence: str, primes: int | None = None) -> None:
        """Assert that loading fails so, and that the file is as it was."""
        before = self.path.read_bytes() if self.path.is_file() else None
        with self.assertRaises(ConfigurationError) as caught:
            load_or_make_key_file(self.path, primes)
        self.assertEqual(str(caught.exception), sentence)
        if before is not None:
            self.assertEqual(self.path.read_bytes(), before)

    def broken(self, text: str, reason: str) -> None:
        """Assert that a file with this text is refused for this reason."""
        self.path.write_text(text, "utf-8")
        self.refused(f"the key file {self.path} is broken: {reason}")


class KeyFileTests(KeyFileTestCase):
    """A server's key file is made once, for its owner, and never overwritten."""

    def test_made(self) -> None:
        """A missing file is made, 0600 under any umask, with its folder, and stays."""
        self.addCleanup(os.umask, os.umask(0))
        path = self.path.parent / "new" / "key.json"
        key, made = load_or_make_key_file(path)
        self.assertTrue(made)
        self.assertEqual(path.stat().st_mode & 0o777, 0o600)
        self.assertEqual(load_or_make_key_file(path), (key, False))
        stored = json.loads(path.read_text("utf-8"))
        self.assertEqual(stored["pub_spki_b64u"], key.public.text)
        self.assertEqual([file.name for file in path.parent.iterdir()], ["key.json"])

    def test_overtaken(self) -> None:
        """Of two processes that make it at the same time, both use the first's."""
        key, made = load_or_make_key_file(Overtaken(self.path))
        self.assertEqual((key.public, made), (public("srv-b"), False))
        self.assertEqual(
            [file.name for file in self.path.parent.iterdir()], [self.path.name]
        )

    def test_originals(self) -> None:
        """The original's file is used as it is."""
        write_key_file(self.path, "srv-a")
        before = self.path.read_bytes()
        self.assertEqual(load_or_make_key_file(self.path), (private("srv-a"), False))
        self.assertEqual(self.path.read_bytes(), before)

    def test_s22_open_to_all(self) -> None:
        """A key file that everybody could read is closed to them."""
        write_key_file(self.path, "srv-a").chmod(0o644)
        load_or_make_key_file(self.path)
        self.assertEqual(self.path.stat().st_mode & 0o777, 0o600)

    def test_broken(self) -> None:
        """Each way of being broken is one sentence, and the file is not replaced."""
        shape = "not JSON with private_pem and pub_spki_b64u"
        for text in ("", "{", "[]", "null", "7", '"x"', "{}", "[" * 100_000):
            self.broken(text, shape)
        pem = (VECTORS / "srv-a.pem").read_text("ascii")
        for stored in (
            {"private_pem": pem},
            {"pub_spki_b64u": ALICE},
            {"private_pem": 7, "pub_spki_b64u": ALICE},
            {"private_pem": "é", "pub_spki_b64u": ALICE},
        ):
            self.broken(json.dumps(stored), shape)
        for bad in ("", "hello", pem[:500]):
            self.broken(
                json.dumps({"private_pem": bad, "pub_spki_b64u": ALICE}),
                "no unencrypted PKCS#8 PEM private key",
            )

    def test_two_keys(self) -> None:
        """A private key beside another's public one is refused."""
        pem = (VECTORS / "srv-a.pem").read_text("ascii")
        for told in (ALICE, None, 7):
            self.broken(
                json.dumps({"private_pem": pem, "pub_spki_b64u": told}),
                "pub_spki_b64u is another key's",
            )

    def test_no_text(self) -> None:
        """Bytes that are no text are one sentence too."""
        self.path.write_bytes(b"\xff\xfe\x00")
        self.refused(f"the key file {self.path} is broken: not text")

    def test_directory(self) -> None:
        """A directory cannot be read."""
        self.path.mkdir()
        self.refused(f"cannot read the key file {self.path}: Is a directory")

    def test_below_a_file(self) -> None:
        """A path that leads through a file cannot be read either."""
        self.path.write_text("")
        self.path = self.path / "key.json"
        self.refused(f"cannot read the key file {self.path}: Not a directory")


class PrimesTests(KeyFileTestCase):
    """A key file may hold a key of more than two primes, if the server asks for it."""

    def test_used(self) -> None:
        """Such a file is used as it is, whoever made it."""
        write_key_file(self.path, FOUR_PRIMES)
        before = self.path.read_bytes()
        for primes in (None, 4):
            self.assertEqual(
                load_or_make_key_file(self.path, primes), (four_primes(), False)
            )
        self.assertEqual(self.path.read_bytes(), before)

    def test_made(self) -> None:
        """A missing file gets a key of four primes: 0.2 s."""
        key, made = load_or_make_key_file(self.path, 4)
        self.assertIsInstance(key, MultiPrimeKey)
        self.assertEqual((key.primes, made), (4, True))
        self.assertEqual(self.path.stat().st_mode & 0o777, 0o600)
        self.assertEqual(load_or_make_key_file(self.path), (key, False))

    def test_others(self) -> None:
        """A key of another number of primes is kept, and the sentence says so."""
        for name, has, asked in (("srv-a", 2, 4), (FOUR_PRIMES, 4, 2)):
            write_key_file(self.path, name)
            self.refused(
                f"the key file {self.path} has a key of {has} primes, not {asked}, and "
                "is never overwritten: name another file, for a new key",
                asked,
            )

    def test_unsound(self) -> None:
        """A corrupted key, and one beside another's public key, are refused."""
        pem = test_pem(FOUR_PRIMES).decode("ascii")
        self.broken(
            json.dumps({"private_pem": pem, "pub_spki_b64u": ALICE}),
            "pub_spki_b64u is another key's",
        )
        lines = pem.splitlines()
        lines[5] = lines[5][::-1]  # within the modulus
        told = four_primes().public.text
        self.path.write_text(
            json.dumps({"private_pem": "\n".join(lines), "pub_spki_b64u": told})
        )
        with self.assertRaisesRegex(ConfigurationError, "broken: .* is unsound: "):
            load_or_make_key_file(self.path)

    def test_no_libcrypto(self) -> None:
        """Without libcrypto such a key is neither made nor used; others are."""
        used = write_key_file(self.path.with_name("four.json"), FOUR_PRIMES)
        write_key_file(self.path.with_name("two.json"), "srv-a")
        libcrypto_at(self)
        needs = (
            "a key of more than two primes needs libcrypto of OpenSSL 1.1.1 or later, "
            "which is not on this machine"
        )
        self.refused(needs, 4)
        self.assertFalse(self.path.exists())
        self.path = used
        self.refused(f"the key file {used} cannot be used here: {needs}")
        two, _ = load_or_make_key_file(used.with_name("two.json"))
        self.assertEqual(two, private("srv-a"))
