"""
Is this the password?  scrypt, at the same cost for everybody.  (SOCP 9.1)

``pake_password`` is ``base64url(salt) "." base64url(scrypt(password, salt))`` with
n=2**14, r=8, p=1 and 32 bytes.  Each call takes 45 ms of a core, free of the GIL: for a
thread, and never many at a time.
"""

import contextlib
import hmac
import os
from dataclasses import dataclass, field
from typing import Final, Self

from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from socp_twisted.errors import MalformedFrame
from socp_twisted.wire.encoding import b64u_decode, b64u_encode

DIGEST_BYTES: Final = 32
SALT_BYTES: Final = 16
MIN_SALT: Final = 8
MAX_SALT: Final = 64
MAX_PASSWORD: Final = 1024
"""Characters; nobody's passphrase is longer, and each one has to be hashed."""


@dataclass(frozen=True, slots=True)
class Verifier:
    """A salt and the digest of a password: enough to check it, not to say it."""

    salt: bytes = field(repr=False)
    digest: bytes = field(repr=False)

    @classmethod
    def parse(cls, pake_password: str) -> Self:
        """Read a ``pake_password``, or raise ``MalformedFrame``; nothing is mended."""
        salt_text, dot, digest_text = pake_password.partition(".")
        if not dot:
            raise MalformedFrame("pake_password must be two parts with a dot between")
        try:
            salt, digest = b64u_decode(salt_text), b64u_decode(digest_text)
        except ValueError as why:
            raise MalformedFrame(f"pake_password is {why}") from why
        if not MIN_SALT <= len(salt) <= MAX_SALT:
            raise MalformedFrame(
                f"pake_password must have a salt of {MIN_SALT} to {MAX_SALT} bytes"
            )
        if len(digest) != DIGEST_BYTES:
            raise MalformedFrame(
                f"pake_password must have a digest of {DIGEST_BYTES} bytes"
            )
        return cls(salt, digest)

    @classmethod
    def of(cls, password: str) -> Self:
        """Make a verifier with a new salt."""
        salt = os.urandom(SALT_BYTES)
        return cls(salt, _digest(password, salt))

    def to_text(self) -> str:
        """Return the ``pake_password``."""
        return f"{b64u_encode(self.salt)}.{b64u_encode(self.digest)}"

    def matches(self, password: str) -> bool:
        """Compare in constant time."""
        return hmac.compare_digest(_digest(password, self.salt), self.digest)


def check_password(password: str, pake_password: str | None) -> bool:
    """
    Say whether this is the password of a stored ``pake_password``.

    ``None`` for a user whom nobody registered, and a stored text that is empty or
    broken, are compared with a decoy: nobody learns from the cost who exists.
    """
    if len(password) > MAX_PASSWORD:
        return False  # whoever the user is
    verifier = _DECOY
    if pake_password:
        with contextlib.suppress(MalformedFrame):  # the original stored anything
            verifier = Verifier.parse(pake_password)
    return verifier.matches(password) and verifier is not _DECOY


def _digest(password: str, salt: bytes) -> bytes:
    kdf = Scrypt(salt=salt, length=DIGEST_BYTES, n=2**14, r=8, p=1)
    return kdf.derive(password.encode("utf-8", "surrogatepass"))


_DECOY: Final = Verifier(os.urandom(SALT_BYTES), os.urandom(DIGEST_BYTES))
