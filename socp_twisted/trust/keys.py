"""Which keys do we accept, and what can ours do?  RSA-4096 only.  (SOCP 4)"""

import hashlib
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, Protocol, Self
from urllib.parse import urldefrag, urlsplit

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_public_key,
    load_pem_private_key,
)

from socp_twisted.errors import BadKey, ConfigurationError
from socp_twisted.trust.pkcs8 import primes_in
from socp_twisted.wire.addresses import is_host, join_url
from socp_twisted.wire.encoding import b64u_decode, b64u_encode
from socp_twisted.wire.vocabulary import RSA_BITS

MIN_EXPONENT = 65537
MAX_EXPONENT_BITS = 64

DIGEST: Final = Prehashed(hashes.SHA256())
MGF: Final = padding.MGF1(hashes.SHA256())
PSS_SALT: Final = 32
"""Bytes; implementations disagree: all of them accept 32, some nothing else."""
_SIGNING: Final = padding.PSS(mgf=MGF, salt_length=PSS_SALT)


@dataclass(frozen=True, slots=True)
class PublicKey:
    """An RSA-4096 public key, equal to another if its text on the wire is."""

    text: str
    material: rsa.RSAPublicKey = field(compare=False, repr=False)

    @classmethod
    def parse(cls, text: str) -> Self:
        """
        Read base64url of a DER SubjectPublicKeyInfo, or raise ``BadKey`` (SOCP 4).

        One key has one spelling: DER that is not what we would write is refused, so
        that comparing texts compares keys.
        """
        try:
            der = b64u_decode(text)
        except ValueError as why:
            raise BadKey(f"the public key is {why}") from why
        try:
            key = load_der_public_key(der)
        except (ValueError, UnsupportedAlgorithm) as why:
            raise BadKey("the public key is no DER SubjectPublicKeyInfo") from why
        if not isinstance(key, rsa.RSAPublicKey) or key.key_size != RSA_BITS:
            raise BadKey("the public key is not RSA-4096")
        numbers = key.public_numbers()
        if numbers.e < MIN_EXPONENT or numbers.e % 2 == 0:
            raise BadKey("the public key's exponent is not odd and 65537 or more")
        if numbers.e.bit_length() > MAX_EXPONENT_BITS or numbers.n % 2 == 0:
            # OpenSSL loads these and then fails to encrypt: one such member would
            # break a message to everybody.
            raise BadKey("nobody can encrypt with this public key")
        if _spki(key) != der:
            raise BadKey("the public key is not in its one DER form")
        return cls(text, key)

    @property
    def fingerprint(self) -> str:
        """Return SHA-256 of the DER form, in hex, in groups of four."""
        return fingerprint(self.text)

    @property
    def text_hash(self) -> str:
        """Return SHA-256 of the text in hex: how a message names its recipient's."""
        return hashlib.sha256(self.text.encode("ascii")).hexdigest()


def fingerprint(text: str) -> str:
    """Return SHA-256 of a public key's DER form, in hex, in groups of four."""
    digest = hashlib.sha256(b64u_decode(text)).hexdigest()
    return " ".join(digest[i : i + 4] for i in range(0, 64, 4))


@lru_cache(maxsize=4096)
def public_key(text: str) -> PublicKey:
    """Return ``PublicKey.parse(text)``; the same peers come again and again."""
    return PublicKey.parse(text)


class SigningKey(Protocol):
    """
    A key pair that signs: all that a server does with its own.

    What decrypts asks for a ``PrivateKey``, so that no other can be handed to it.
    """

    @property
    def public(self) -> PublicKey:
        """The public half."""

    @property
    def primes(self) -> int:
        """How many primes the modulus has; no signature tells."""

    def sign(self, digest: bytes) -> bytes:
        """Return the RSASSA-PSS signature of a SHA-256 digest, free of the GIL."""

    def to_pem(self) -> bytes:
        """Return the unencrypted PKCS#8 PEM."""


@dataclass(frozen=True, slots=True)
class PrivateKey:
    """
    An RSA-4096 key pair of two primes: it signs, and decrypts.

    Only this process and its key file hold it.
    """

    public: PublicKey
    material: rsa.RSAPrivateKey = field(compare=False, repr=False)

    @classmethod
    def generate(cls) -> Self:
        """Make a new key: one to several seconds of a core."""
        return cls.of(rsa.generate_private_key(MIN_EXPONENT, RSA_BITS))

    @classmethod
    def of(cls, key: rsa.RSAPrivateKey) -> Self:
        """Wrap a key, or raise ``BadKey`` if it is not RSA-4096."""
        return cls(PublicKey.parse(b64u_encode(_spki(key.public_key()))), key)

    @classmethod
    def from_pem(cls, pem: bytes, *, trusted: bool = False) -> Self:
        """
        Read a PKCS#8 PEM, or raise ``BadKey``.

        ``trusted`` leaves out the validation of the primes (0.3 s of a core): for
        files that this project wrote itself.
        """
        try:
            key = load_pem_private_key(
                pem, password=None, unsafe_skip_rsa_key_validation=trusted
            )
        except (ValueError, TypeError, UnsupportedAlgorithm) as why:
            primes = primes_in(pem)
            if primes > 2:
                raise BadKey(
                    f"the private key has {primes} primes, and only a server's may "
                    "have more than 2"
                ) from why
            raise BadKey("no unencrypted PKCS#8 PEM private key") from why
        if not isinstance(key, rsa.RSAPrivateKey):
            raise BadKey("the private key is not RSA-4096")
        return cls.of(key)

    @property
    def primes(self) -> int:
        """Two, as every key has that ``cryptography`` takes."""
        return 2

    def sign(self, digest: bytes) -> bytes:
        """Return the RSASSA-PSS signature of a SHA-256 digest: 5 ms, without GIL."""
        return self.material.sign(digest, _SIGNING, DIGEST)

    def to_pem(self) -> bytes:
        """Return the unencrypted PKCS#8 PEM."""
        return self.material.private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
        )


def split_pinned_url(url: str) -> tuple[str, str]:
    """
    Split ``ws://host:port#<pub>`` into URL and public key text.

    Raise ``ConfigurationError`` with one sentence for anything else.
    """
    address = url.partition("#")[0]
    try:
        address, pin = urldefrag(url)
        parts = urlsplit(address)
        port = parts.port
    except ValueError as why:
        raise ConfigurationError(f"{address!r} is no URL: {why}") from why
    if parts.scheme not in ("ws", "wss") or not parts.hostname:
        raise ConfigurationError(f"{address or url!r} is not ws://host:port#<pub>")
    if not is_host(parts.hostname):
        raise ConfigurationError(f"{address!r} has no host name or address")
    if port is None or port == 0:
        raise ConfigurationError(f"{address} lacks a port from 1 to 65535")
    if parts.path not in ("", "/") or parts.query or parts.username is not None:
        raise ConfigurationError(f"{address!r} has more than ws://host:port#<pub>")
    if not pin:
        raise ConfigurationError(
            f"{address} has no pinned key: write {address}#<pub>, which "
            "'socp key --url' prints on that server"
        )
    try:
        public_key(pin)
    except BadKey as why:
        raise ConfigurationError(f"the pin of {address} is unusable: {why}") from why
    return join_url(parts.scheme, parts.hostname, port), pin


def _spki(key: rsa.RSAPublicKey) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
