"""How many primes has a private key?  PKCS#8 with PKCS#1 in it.  (RFC 5958, 8017)"""

import base64
import re
from typing import Final

from cryptography.hazmat import asn1
from cryptography.x509 import ObjectIdentifier

_BEGIN: Final = b"-----BEGIN PRIVATE KEY-----"
_END: Final = b"-----END PRIVATE KEY-----"
_PEM: Final = re.compile(rb"\s*%s\s+([A-Za-z0-9+/=\s]+?)\s*%s\s*\Z" % (_BEGIN, _END))


@asn1.sequence
class OtherPrimeInfo:
    """A third or later prime, its exponent and its coefficient (RFC 8017 A.1.2)."""

    prime: int
    exponent: int
    coefficient: int


@asn1.sequence
class RSAPrivateKey:
    """An RSA private key; version 1 is one that has ``other_prime_infos``."""

    version: int
    modulus: int
    public_exponent: int
    private_exponent: int
    prime1: int
    prime2: int
    exponent1: int
    exponent2: int
    coefficient: int
    other_prime_infos: list[OtherPrimeInfo] | None


@asn1.sequence
class AlgorithmIdentifier:
    """Which kind of key it is; that of RSA has no parameters (RFC 8017 A.1)."""

    algorithm: ObjectIdentifier
    parameters: asn1.Null


@asn1.sequence
class PrivateKeyInfo:
    """A private key that is not encrypted, whatever its kind (RFC 5958 2)."""

    version: int
    algorithm: AlgorithmIdentifier
    private_key: bytes


def der_of(pem: bytes) -> bytes:
    """Return what an unencrypted PKCS#8 PEM holds, or raise ``ValueError``."""
    found = _PEM.match(pem)
    if found is None:
        raise ValueError("no unencrypted PKCS#8 PEM private key")
    return base64.b64decode(b"".join(found[1].split()), validate=True)


def pem_of(der: bytes) -> bytes:
    """Return the DER of a PKCS#8 private key as PEM (RFC 7468)."""
    text = base64.b64encode(der)
    lines = [text[start : start + 64] for start in range(0, len(text), 64)]
    return b"\n".join((_BEGIN, *lines, _END, b""))


def primes_in(pem: bytes) -> int:
    """Return how many primes an RSA key in a PKCS#8 PEM has; 0 if it is none."""
    try:
        info = asn1.decode_der(PrivateKeyInfo, der_of(pem))
        key = asn1.decode_der(RSAPrivateKey, info.private_key)
    except ValueError:
        return 0
    return 2 + len(key.other_prime_infos or ())
