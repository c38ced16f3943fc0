"""Certificates for tests: made on the spot, with EC keys, which takes no time."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

HERE: Final = ("localhost", "127.0.0.1", "::1")
"""The names under which a test reaches its own machine."""

_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Certificate:
    """A server's certificate and its private key, both as PEM."""

    chain: bytes
    key: bytes

    def write(self, folder: Path) -> tuple[Path, Path]:
        """Write ``cert.pem`` and ``key.pem``, over what was there, and return them."""
        folder.mkdir(parents=True, exist_ok=True)
        chain, key = folder / "cert.pem", folder / "key.pem"
        chain.write_bytes(self.chain)
        key.touch(0o600)
        key.write_bytes(self.key)
        return chain, key


class Authority:
    """A private certificate authority."""

    def __init__(self, name: str) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _named(name)
        builder = _builder(self._name, self._name, self._key, -_DAY, _DAY)
        builder = builder.add_extension(x509.BasicConstraints(True, None), True)
        self.pem = _signed(builder, self._key)

    def issue(
        self,
        names: Sequence[str] = HERE,
        *,
        valid: tuple[timedelta, timedelta] = (-_DAY, _DAY),
        password: bytes = b"",
    ) -> Certificate:
        """
        Certify a new key for ``names``; without names there is no subjectAltName.

        ``valid`` is from when to when, as seen from now.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(_named("localhost"), self._name, key, *valid)
        builder = _with_names(builder, names)
        return Certificate(_signed(builder, self._key), _pem(key, password))


def self_signed(names: Sequence[str] = HERE) -> Certificate:
    """Return a certificate that nobody vouches for."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _named("localhost")
    builder = _with_names(_builder(name, name, key, -_DAY, _DAY), names)
    return Certificate(_signed(builder, key), _pem(key))


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    begin: timedelta,
    end: timedelta,
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + begin)
        .not_valid_after(now + end)
    )


def _with_names(
    builder: x509.CertificateBuilder, names: Sequence[str]
) -> x509.CertificateBuilder:
    if not names:
        return builder
    return builder.add_extension(
        x509.SubjectAlternativeName([_general(name) for name in names]), False
    )


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _signed(builder: x509.CertificateBuilder, key: ec.EllipticCurvePrivateKey) -> bytes:
    return builder.sign(key, SHA256()).public_bytes(Encoding.PEM)


def _pem(key: ec.EllipticCurvePrivateKey, password: bytes = b"") -> bytes:
    encryption = BestAvailableEncryption(password) if password else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)


OURS: Final = Authority("ours")
"""The authority that the nodes of a test trust."""

GOOD: Final = OURS.issue()
"""A certificate for this machine."""

EXPIRED: Final = OURS.issue(valid=(-2 * _DAY, -_DAY))
NOT_YET: Final = OURS.issue(valid=(_DAY, 2 * _DAY))
