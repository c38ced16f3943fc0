"""With which certificate do we answer?  Read, and read again on demand.  (SOCP 6)"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from OpenSSL import SSL
from twisted.internet.interfaces import (
    IOpenSSLServerConnectionCreator,
    IProtocolFactory,
    IReactorTime,
)
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from zope.interface import implementer

from socp_twisted.errors import ConfigurationError
from socp_twisted.net.tls import (
    make_context,
    name_fault,
    read_certificates,
    validity_fault,
)

TLS_HANDSHAKE: Final = 0x16
"""The first byte of everybody who speaks TLS."""

NOT_HERE: Final = (
    b"HTTP/1.1 400 Bad Request\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\n"
    b"Connection: close\r\n\r\n"
    b"This SOCP chat server speaks TLS: connect with wss://.\n"
)


@implementer(IOpenSSLServerConnectionCreator)
class ServerCertificate:
    """
    Makes the server's ends of TLS connections, with the certificate of two files.

    A connection keeps the certificate that it began with; ``reload`` is for new ones.
    """

    def __init__(self, chain: Path, key: Path) -> None:
        """Read both files, PEM, or raise ``ConfigurationError``."""
        self.chain = chain
        self.key = key
        self.reload()

    def reload(self) -> None:
        """Read the files again; if that raises ``ConfigurationError``, all stays."""
        certificates = read_certificates(self.chain, "--tls-cert")
        key, mode = _read_key(self.key)
        leaf = certificates[0]
        context = make_context(SSL.TLS_SERVER_METHOD)
        try:
            if leaf.public_key() != key.public_key():
                raise ConfigurationError(
                    f"--tls-key: {self.key} is not the key of the first certificate "
                    f"in {self.chain}"
                )
            context.use_certificate(leaf)
            for further in certificates[1:]:
                context.add_extra_chain_cert(further)
            context.use_privatekey(key)
            context.check_privatekey()
        except (SSL.Error, TypeError, ValueError, UnsupportedAlgorithm) as why:
            raise ConfigurationError(
                f"--tls-cert: OpenSSL cannot serve with {self.chain}: {why}"
            ) from why
        self._context, self._leaf = context, leaf
        self._is_exposed = bool(mode & 0o007)  # a group may be meant: Debian's ssl-cert

    def warnings(self, host: str, now: float) -> list[str]:
        """
        Say what others will mind who dial ``host``, and whether the key is no secret.

        ``now`` is Unix time in seconds.
        """
        found = []
        if fault := validity_fault(self._leaf, datetime.fromtimestamp(now, UTC)):
            found.append(f"the certificate {self.chain} {fault}")
        if fault := name_fault(self._leaf, host):
            found.append(f"others dial {host}, and will say: {fault}")
        if self._is_exposed:
            found.append(f"everybody may read the key file {self.key}: chmod 600 it")
        return found

    def serverConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> Any:
        """Return a new connection; Twisted asks for one for each that comes in."""
        return SSL.Connection(self._context, None)


class Doorkeeper(TLSMemoryBIOProtocol):
    """A TLS connection that tells who speaks plain HTTP what to do instead."""

    _is_tls: bool | None = None

    def dataReceived(self, data: bytes) -> None:
        """Look at the first byte; all that TLS says begins with a handshake."""
        if self._is_tls is None:
            self._is_tls = data[0] == TLS_HANDSHAKE
            if not self._is_tls and self.transport is not None:
                self.transport.write(NOT_HERE)
                self.transport.loseConnection()
        if self._is_tls:
            super().dataReceived(data)


class SecureFactory(TLSMemoryBIOFactory):
    """Serves another factory's protocol over TLS, and over nothing else."""

    protocol = Doorkeeper
    noisy = False

    def __init__(
        self,
        certificate: ServerCertificate,
        factory: IProtocolFactory,
        reactor: IReactorTime,
    ) -> None:
        super().__init__(certificate, False, factory, reactor)


def _read_key(path: Path) -> tuple[PrivateKeyTypes, int]:
    """Return the key of a file, and the file's mode."""
    try:
        return load_pem_private_key(path.read_bytes(), None), path.stat().st_mode
    except OSError as why:
        raise ConfigurationError(
            f"--tls-key: cannot read {path}: {why.strerror}"
        ) from (why)
    except TypeError as why:
        raise ConfigurationError(
            f"--tls-key: {path} is encrypted; nobody is there to type its password"
        ) from why
    except ValueError as why:
        raise ConfigurationError(f"--tls-key: {path} has no PEM private key") from why
    except UnsupportedAlgorithm as why:
        raise ConfigurationError(f"--tls-key: {path} is unusable: {why}") from why
