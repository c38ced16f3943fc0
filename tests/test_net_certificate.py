"""With what can a server be told to answer over TLS, and with what not?"""

import os
from pathlib import Path
from time import time
from typing import Final

from twisted.trial.unittest import SynchronousTestCase

from socp_twisted.errors import ConfigurationError
from socp_twisted.net.certificate import ServerCertificate
from socp_twisted.net.tls import Trust
from tests.certificates import EXPIRED, GOOD, NOT_YET, OURS

ANOTHER: Final = OURS.issue()


class FileTests(SynchronousTestCase):
    """A file that cannot be used is one sentence, and what we had stays."""

    def setUp(self) -> None:
        """Write a certificate that can be used."""
        self.folder = Path(self.mktemp())
        self.chain, self.key = GOOD.write(self.folder)

    def fault(self) -> str:
        """Return why these files cannot be served with."""
        with self.assertRaises(ConfigurationError) as caught:
            ServerCertificate(self.chain, self.key)
        self.assertNotIn("\n", str(caught.exception))
        return str(caught.exception)

    def test_missing(self) -> None:
        """No such file."""
        self.key.unlink()
        expected = f"--tls-key: cannot read {self.key}: No such file or directory"
        self.assertEqual(self.fault(), expected)
        self.chain.unlink()
        expected = f"--tls-cert: cannot read {self.chain}: No such file or directory"
        self.assertEqual(self.fault(), expected)

    def test_no_pem(self) -> None:
        """Something else is in it."""
        self.key.write_text("hello")
        self.assertEqual(self.fault(), f"--tls-key: {self.key} has no PEM private key")
        self.chain.write_bytes(GOOD.key)
        self.assertEqual(
            self.fault(), f"--tls-cert: {self.chain} has no PEM certificate"
        )

    def test_another_key(self) -> None:
        """The key is another certificate's."""
        self.key.write_bytes(ANOTHER.key)
        self.assertIn("is not the key of the first certificate", self.fault())

    def test_encrypted(self) -> None:
        """Nobody types a password: twistd would wait for ever."""
        OURS.issue(password=b"secret").write(self.folder)
        self.assertIn("is encrypted", self.fault())

    def test_authorities(self) -> None:
        """``--tls-ca`` names a file with certificates."""
        with self.assertRaisesRegex(ConfigurationError, "--tls-ca: .* PEM certificate"):
            Trust(self.key)

    def test_warnings(self) -> None:
        """An exposed key, a date and a name that others will mind."""
        good = ServerCertificate(self.chain, self.key)
        now = time()
        self.assertEqual(good.warnings("localhost", now), [])
        os.chmod(self.key, 0o644)
        EXPIRED.write(self.folder)
        good.reload()
        [date, name, key] = good.warnings("chat.example", now)
        self.assertIn("expired on", date)
        self.assertIn("others dial chat.example", name)
        self.assertIn("chmod 600", key)
        NOT_YET.write(self.folder)
        good.reload()
        self.assertIn("not valid before", good.warnings("localhost", now)[0])

    def test_keeps(self) -> None:
        """A reload that fails changes nothing."""
        good = ServerCertificate(self.chain, self.key)
        self.chain.write_text("")
        with self.assertRaises(ConfigurationError):
            good.reload()
        self.assertEqual(good.warnings("localhost", time()), [])
