"""Where do a user's secrets lie, and what may a server see of them?  (SOCP 9.1, S8)

The passphrase never leaves this process.  Two keys are derived from it: one to log in
with, which the server checks, and one that encrypts the private key, which it never
sees.  The original sends the password itself and encrypts the key with it: whoever runs
its server, or listens, has every private key.
"""

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from socp_twisted.client import disk
from socp_twisted.errors import BadKey, ConfigurationError, MalformedFrame
from socp_twisted.trust.files import write_new
from socp_twisted.trust.keys import PrivateKey
from socp_twisted.wire.encoding import b64u_decode, b64u_encode, parse_object

Randomness = Callable[[int], bytes]
"""``os.urandom``, or what a test puts in its place."""

MAX_STORE: Final = 65_536
"""Characters of a ``privkey_store``: a 4096-bit key takes 4,400."""


def config_home(
    environment: Mapping[str, str] | None = None, default: Path | None = None
) -> Path:
    """Return the configuration folder: SOCP_HOME, ``default`` or ``~/.config/socp``."""
    told = (os.environ if environment is None else environment).get("SOCP_HOME")
    if told:
        return Path(told).expanduser()
    return default or Path.home() / ".config" / "socp"


# -- the account at a server -----------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AccountSecrets:
    """What a passphrase gives: one secret to log in with, one for the stored key."""

    login_secret: bytes = field(repr=False)
    blob_key: bytes = field(repr=False)

    @classmethod
    def derive(cls, user_id: str, passphrase: str) -> Self:
        """Derive both secrets: 50 ms of a core, on purpose."""
        salt = hashlib.sha256(b"socp-account-1\0" + user_id.encode("utf-8")).digest()
        root = _scrypt(passphrase, salt[:16])
        return cls(_hkdf(root, b"socp login 1"), _hkdf(root, b"socp blob 1"))

    @property
    def password(self) -> str:
        """Return what USER_LOGIN sends as the password."""
        return b64u_encode(self.login_secret)

    def pake_password(self, randomness: Randomness = os.urandom) -> str:
        """Return what the server keeps to check ``password`` with."""
        salt = randomness(16)
        return f"{b64u_encode(salt)}.{b64u_encode(_scrypt(self.password, salt))}"

    def seal_key(self, key: PrivateKey, randomness: Randomness = os.urandom) -> str:
        """Return our ``privkey_store``: the key, which the server cannot read."""
        nonce = randomness(12)
        blob = AESGCM(self.blob_key).encrypt(nonce, key.to_pem(), None)
        return _json(v=2, nonce=b64u_encode(nonce), blob=b64u_encode(blob))

    def open_key(self, store: str) -> PrivateKey:
        """Decrypt our ``privkey_store``, or raise ``BadKey``."""
        fields = _fields(store)
        if fields.get("v") != 2:
            raise BadKey("the stored key is of a version that this client cannot read")
        # GCM vouches for the bytes: whoever wrote them had the passphrase.
        return _decrypt(self.blob_key, fields, trusted=True)


def seal_original(
    key: PrivateKey, password: str, randomness: Randomness = os.urandom
) -> str:
    """Return the original's ``privkey_store``: the key under the password itself."""
    salt, nonce = randomness(16), randomness(12)
    blob = AESGCM(_scrypt(password, salt)).encrypt(nonce, key.to_pem(), None)
    return _json(
        salt=b64u_encode(salt), nonce=b64u_encode(nonce), blob=b64u_encode(blob)
    )


def open_original(store: str, password: str, *, trusted: bool = False) -> PrivateKey:
    """
    Decrypt the original's ``privkey_store``, or raise ``BadKey``.

    ``trusted`` leaves out the validation of the primes: for files of our own making.
    """
    fields = _fields(store)
    if "private_pem" in fields:
        raise BadKey("the stored key is a server's, and a user's is needed")
    return _decrypt(_scrypt(password, _bytes(fields, "salt")), fields, trusted)


def open_store(store: str, user_id: str, passphrase: str) -> PrivateKey:
    """Decrypt a ``privkey_store`` of either kind, or raise ``BadKey``."""
    if "v" in _fields(store):
        return AccountSecrets.derive(user_id, passphrase).open_key(store)
    return open_original(store, passphrase)


@dataclass(slots=True)
class Account:
    """
    Who our user is: the id, the key once it is known, the passphrase if it was told.

    ``plain_password`` sends the passphrase itself, as the original's client does: for
    accounts made with it, at servers that may know every private key.
    """

    user_id: str = ""
    key: PrivateKey | None = field(default=None, repr=False)
    passphrase: str = field(default="", repr=False)
    display_name: str = ""
    plain_password: bool = False

    def secrets(self) -> AccountSecrets:
        """Derive the secrets of the passphrase: 50 ms."""
        return AccountSecrets.derive(self.user_id, self.passphrase)

    def password(self) -> str:
        """Return what USER_LOGIN sends as the password: 50 ms."""
        return self.passphrase if self.plain_password else self.secrets().password


# -- the key file ----------------------------------------------------------------------


def save_key(
    path: Path,
    key: PrivateKey,
    passphrase: str,
    randomness: Randomness = os.urandom,
) -> None:
    """
    Write a new key file under a passphrase; raise ``ConfigurationError``.

    An existing file is never overwritten: it may hold somebody's only key.
    """
    if not passphrase:
        raise ConfigurationError("a key file needs a passphrase that is not empty")
    try:
        write_new(
            path,
            seal_original(key, passphrase, randomness) + "\n",
            folder_mode=0o700,
        )
    except FileExistsError as why:
        raise ConfigurationError(
            f"the key file {path} exists already and is never overwritten"
        ) from why
    except OSError as why:
        raise ConfigurationError(
            f"cannot make the key file {path}: {disk.reason(why)}"
        ) from why


def load_key(path: Path, passphrase: str) -> PrivateKey:
    """Read a key file, or raise ``ConfigurationError``: 50 ms."""
    text = disk.read_text(path, "the key file")
    if text is None:
        raise ConfigurationError(f"there is no key file {path}")
    try:
        return open_original(text, passphrase, trusted=True)
    except BadKey as why:
        raise ConfigurationError(f"the key file {path} cannot be used: {why}") from why


# -- the pieces ------------------------------------------------------------------------


def _scrypt(secret: str, salt: bytes) -> bytes:
    kdf = Scrypt(salt=salt, length=32, n=2**14, r=8, p=1)
    return kdf.derive(secret.encode("utf-8", "surrogatepass"))


def _hkdf(root: bytes, info: bytes) -> bytes:
    return HKDF(hashes.SHA256(), length=32, salt=None, info=info).derive(root)


def _json(**fields: Any) -> str:
    return json.dumps(fields)


def _fields(store: str) -> dict[str, Any]:
    if len(store) > MAX_STORE:
        raise BadKey("the stored key is too long to be one")
    try:
        return parse_object(store.encode("utf-8", "replace"))
    except MalformedFrame as why:
        raise BadKey(f"the stored key is {why}") from why


def _bytes(fields: Mapping[str, Any], name: str) -> bytes:
    value = fields.get(name)
    try:
        if type(value) is str and value:
            # Padding is the mark of another implementation, not of a broken file.
            return b64u_decode(value.rstrip("="))
    except ValueError:
        pass
    raise BadKey(f"the stored key has no {name!r} in base64url")


def _decrypt(secret: bytes, fields: Mapping[str, Any], trusted: bool) -> PrivateKey:
    nonce, blob = _bytes(fields, "nonce"), _bytes(fields, "blob")
    try:
        pem = AESGCM(secret).decrypt(nonce, blob, None)
    except (InvalidTag, ValueError) as why:
        raise BadKey("wrong passphrase, or the stored key is damaged") from why
    return PrivateKey.from_pem(pem, trusted=trusted)
