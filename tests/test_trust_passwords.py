"""Is a password checked strictly, and at the same cost for everybody?"""

import contextlib
import hashlib

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from socp_twisted.errors import MalformedFrame
from socp_twisted.trust.passwords import MAX_PASSWORD, Verifier, check_password
from socp_twisted.wire.encoding import b64u_encode
from tests.strategies import base64url, quick

SALT = bytes(range(16))
DIGEST = b"d" * 32


def stored(password: str, salt: bytes = SALT) -> str:
    """Return a ``pake_password`` as another implementation makes it."""
    raw = hashlib.scrypt(
        password.encode("utf-8"), salt=salt, n=2**14, r=8, p=1, dklen=32
    )
    return f"{b64u_encode(salt)}.{b64u_encode(raw)}"


class Counted(str):
    """A password that counts how often it is turned into bytes to be hashed."""

    hashed = 0

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        """Count, and encode."""
        self.hashed += 1
        return super().encode(encoding, errors)


class PasswordTests(SynchronousTestCase):
    """The right password of a registered user passes, and nothing else."""

    def test_right(self) -> None:
        """What another implementation stored is checked alike, whatever its salt."""
        self.assertTrue(check_password("corrèct horse", stored("corrèct horse")))
        self.assertTrue(check_password("", stored("", bytes(8))))
        self.assertTrue(check_password("x" * MAX_PASSWORD, stored("x" * MAX_PASSWORD)))

    def test_wrong(self) -> None:
        """Another password is wrong, and so is one that is longer than any."""
        self.assertFalse(check_password("battery", stored("horse")))
        long = "x" * (MAX_PASSWORD + 1)
        self.assertFalse(check_password(long, stored(long)))

    def test_s15_nobody(self) -> None:
        """An unknown user, and one without a password, never match the decoy."""
        for nothing in (None, "", "broken", ".", "AAAA.AAAA"):
            self.assertFalse(check_password("", nothing))

    def test_s15_same_cost(self) -> None:
        """Whoever the user is, exactly one hash is made."""
        for pake_password in (None, "", "broken", stored("other"), stored("horse")):
            password = Counted("horse")
            check_password(password, pake_password)
            self.assertEqual(password.hashed, 1)

    def test_surrogate(self) -> None:
        """Text that UTF-8 cannot carry is merely wrong."""
        self.assertFalse(check_password("\ud800", stored("x")))

    def test_new(self) -> None:
        """Our own verifiers have a new salt each, and survive being stored."""
        one, two = Verifier.of("horse"), Verifier.of("horse")
        self.assertNotEqual(one.salt, two.salt)
        self.assertEqual(Verifier.parse(one.to_text()), one)
        self.assertTrue(one.matches("horse"))
        self.assertEqual(repr(one), "Verifier()")


class ParsingTests(SynchronousTestCase):
    """A ``pake_password`` has one form, and is never mended."""

    def test_refused(self) -> None:
        """Each wrong form is one sentence."""
        salt, digest = b64u_encode(SALT), b64u_encode(DIGEST)
        wrong = {
            "": "two parts",
            salt: "two parts",
            f"{salt}{digest}": "two parts",
            f"{salt}.": "digest of 32 bytes",
            f".{digest}": "salt of 8 to 64 bytes",
            f"{salt}.{digest}.": "not base64url",
            f"{salt}.{digest}=": "not base64url",
            f"{salt}. {digest}": "not base64url",
            f"{salt[:-1]}B.{digest}": "stray trailing bits",
            f"{b64u_encode(bytes(7))}.{digest}": "salt of 8 to 64 bytes",
            f"{b64u_encode(bytes(65))}.{digest}": "salt of 8 to 64 bytes",
            f"{salt}.{b64u_encode(bytes(31))}": "digest of 32 bytes",
            f"{salt}.{b64u_encode(bytes(33))}": "digest of 32 bytes",
        }
        for text, sentence in wrong.items():
            with self.assertRaisesRegex(MalformedFrame, sentence, msg=text):
                Verifier.parse(text)

    @quick
    @given(st.binary(min_size=8, max_size=64), st.binary(min_size=32, max_size=32))
    def test_round_trip(self, salt: bytes, digest: bytes) -> None:
        """Whatever is well formed is read and written to the letter."""
        text = f"{b64u_encode(salt)}.{b64u_encode(digest)}"
        self.assertEqual(Verifier.parse(text), Verifier(salt, digest))
        self.assertEqual(Verifier.parse(text).to_text(), text)

    @quick
    @given(st.text() | st.builds("{}.{}".format, base64url, base64url))
    def test_arbitrary(self, text: str) -> None:
        """Nothing raises anything but ``MalformedFrame``."""
        with contextlib.suppress(MalformedFrame):
            self.assertEqual(Verifier.parse(text).to_text(), text)
