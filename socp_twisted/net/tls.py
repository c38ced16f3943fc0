"""
Is it really that server?  What a dialler checks over TLS, and what was wrong.  (SOCP 6)

A pinned SOCP key proves who signs the frames, not who reads them on their way: so a
certificate is required, even where the key is pinned.  The chain and the name are
checked while the handshake lasts, and the name once more before the first frame is
sent; whatever cannot be checked counts as failed.
"""

import contextlib
from collections.abc import Callable
from datetime import datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from OpenSSL import SSL, crypto
from service_identity.cryptography import (
    verify_certificate_hostname,
    verify_certificate_ip_address,
)
from service_identity.exceptions import VerificationError
from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import (
    IOpenSSLClientConnectionCreator,
    ISSLTransport,
)
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from socp_twisted.errors import ConfigurationError
from socp_twisted.wire.encoding import b64u_encode

CIPHERS: Final = b"ECDHE+AESGCM:ECDHE+CHACHA20"
"""Of TLS 1.2: forward secret and authenticated; all of TLS 1.3 are."""

_FLAGS: Final = SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT
_EXPORTER: Final = b"EXPORTER-Channel-Binding"
_MAX_NAMES: Final = 5
_NAMES: Final = x509.SubjectAlternativeName


def make_context(method: int) -> SSL.Context:
    """Return a context for either end: TLS 1.2 at least, and no renegotiation."""
    context = SSL.Context(method)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_options(SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION)
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)  # an idle connection is 57 KiB as it is
    context.set_cipher_list(CIPHERS)
    return context


def tls_exporter(transport: Any) -> str:
    """
    Return the channel binding ``tls-exporter`` of a connection in base64url (RFC 9266).

    Both ends of one TLS connection get the same 32 bytes, and those of no other
    connection can.  Nothing without TLS, and over TLS 1.2: there it takes the extended
    master secret to be unique, and pyOpenSSL does not tell whether that was used.
    """
    if not bool(ISSLTransport.providedBy(transport)):
        return ""
    connection = transport.getHandle()
    if connection.get_protocol_version() < SSL.TLS1_3_VERSION:
        return ""
    # An empty context: in TLS 1.3 that is the same as none (RFC 8446, section 7.5).
    return b64u_encode(connection.export_keying_material(_EXPORTER, 32, b""))


class Trust:
    """
    Whose certificates we believe: the system's authorities, and those of a file.

    All connections share one context: each copy of the system's list costs a megabyte.
    """

    def __init__(self, authorities: Path | None = None) -> None:
        """Read ``authorities``, PEM, or raise ``ConfigurationError``."""
        self._added = () if authorities is None else _read_authorities(authorities)
        self._context: SSL.Context | None = None

    def expect(self, host: str) -> "Expected":
        """Return what makes connections to ``host``, a name or an address."""
        return Expected(self, host)

    @property
    def context(self) -> SSL.Context:
        """The context of all connections, made with the first."""
        if self._context is None:
            self._context = make_context(SSL.TLS_CLIENT_METHOD)
            self._context.set_default_verify_paths()
            store = self._context.get_cert_store()
            assert store is not None
            for authority in self._added:
                store.add_cert(crypto.X509.from_cryptography(authority))
        return self._context


@implementer(IOpenSSLClientConnectionCreator)
class Expected:
    """
    Makes TLS connections to one host, one at a time.

    ``fault`` says what was wrong with the certificate of the latest one.  Twisted's own
    creator lets a certificate without subjectAltName pass, and keeps the reason for
    refusing another one to itself.
    """

    def __init__(self, trust: Trust, host: str) -> None:
        self._trust = trust
        self.host = host
        self.fault = ""
        self._saw_certificate = False

    def clientConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> Any:
        """Return a new connection; Twisted asks for one each time it dials."""
        self.fault, self._saw_certificate = "", False
        connection = SSL.Connection(self._trust.context, None)
        if not is_ip(self.host):  # RFC 6066 has no addresses there
            # Nor what is no name: a peer tells us of hosts, too.
            with contextlib.suppress(UnicodeError):
                connection.set_tlsext_host_name(self.host.encode("idna"))
        connection.set_verify(_FLAGS, self._verify)
        return connection

    def why(self, reason: Failure) -> str:
        """Say in our words why a handshake failed; nothing if TLS was not why."""
        if not self.fault and not self._saw_certificate:
            return why_no_tls(reason) or "answers no TLS: perhaps it serves ws:// only"
        return self.fault or why_no_tls(reason)

    def _verify(
        self, connection: Any, certificate: Any, error: int, depth: int, ok: int
    ) -> bool:
        # OpenSSL would lose what is raised here: nothing below raises.
        self._saw_certificate = True
        leaf = certificate.to_cryptography()
        if not ok:
            self.fault = self.fault or _why_not_trusted(leaf, error, depth)
        elif depth == 0:
            self.fault = name_fault(leaf, self.host)
        return not self.fault


class Checked:
    """
    What a WebSocket connection that we open does about TLS; to be mixed in first.

    ``tls`` makes the encrypted connections, ``tls_host`` is whom they are for, and
    ``tls_fault`` says why the other end is not that host.
    """

    tls: Any = None
    tls_host = ""
    tls_fault = ""
    transport: Any
    _answered = False
    _is_open = False

    def dataReceived(self, data: bytes) -> None:
        """Recognise a TLS server by its first bytes: Autobahn would wait for more."""
        if not self._answered and self.tls is None and _is_tls_answer(data):
            self.tls_fault = "speaks TLS: dial it as wss://"
        self._answered = True
        super().dataReceived(data)  # type: ignore[misc]

    def onConnect(self, response: object) -> None:
        """Check once more whose certificate this is: no frame has been sent yet."""
        if self.tls is not None:
            self.tls_fault = check_again(self.transport, self.tls_host)
            if self.tls_fault:
                self.dropConnection(abort=True)  # type: ignore[attr-defined]

    def onOpen(self) -> None:
        """Go on, unless we have just dropped the connection: Autobahn would."""
        if not self.tls_fault:
            self._is_open = True
            super().onOpen()  # type: ignore[misc]

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        """Say what was wrong with TLS, if that was why."""
        super().onClose(wasClean, code, self.tls_fault or reason)  # type: ignore[misc]

    def connectionLost(self, reason: Failure) -> None:
        """Keep what TLS says of a handshake that failed: Autobahn does not."""
        if self.tls is not None and not self._is_open and not self.tls_fault:
            explain = getattr(self.tls, "why", why_no_tls)
            self.tls_fault = explain(reason)
        if isinstance(reason.value, SSL.Error):
            reason = Failure(ConnectionLost())  # it would log an error of its own
        super().connectionLost(reason)  # type: ignore[misc]


def check_again(transport: Any, host: str) -> str:
    """
    Say what is wrong with the name of an open connection's certificate, or nothing.

    It holds whoever made the connection, and whether or not a callback was called.
    """
    certificate = transport.getPeerCertificate()
    if certificate is None:
        return "it showed no certificate"
    return name_fault(certificate.to_cryptography(), host)


def name_fault(certificate: x509.Certificate, host: str) -> str:
    """Say why a certificate does not prove to be that host's; nothing if it does."""
    try:
        if is_ip(host):
            verify_certificate_ip_address(certificate, host)
        else:
            verify_certificate_hostname(certificate, host)
    except VerificationError:
        return f"its certificate is for {', '.join(_names(certificate))}, not {host}"
    except Exception:
        # CertificateError where there are no names at all; whatever else a forged
        # certificate may provoke, it is no proof.
        if _names(certificate):
            return f"its certificate cannot be checked against the name {host}"
        return f"its certificate has no subjectAltName, so it is not for {host}"
    return ""


def read_certificates(path: Path, option: str) -> list[x509.Certificate]:
    """Read PEM certificates, at least one, or raise ``ConfigurationError``."""
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())
    except OSError as why:
        raise ConfigurationError(
            f"{option}: cannot read {path}: {why.strerror}"
        ) from why
    except ValueError as why:
        raise ConfigurationError(f"{option}: {path} has no PEM certificate") from why


def _read_authorities(path: Path) -> tuple[x509.Certificate, ...]:
    return tuple(read_certificates(path, "--tls-ca"))


def _is_tls_answer(data: bytes) -> bool:
    """Say whether this is how a TLS server answers somebody who speaks plain HTTP."""
    if data[:2] == b"\x15\x03":  # an alert
        return True
    refused = data.startswith(b"HTTP/1.") and data[8:13] == b" 400 "
    return refused and (b"HTTPS" in data or b"wss://" in data)


def is_ip(host: str) -> bool:
    """Say whether this is an address, not a name."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _names(certificate: x509.Certificate) -> list[str]:
    """Return for whom a certificate is, fit for a log: a stranger wrote it."""
    try:
        found = certificate.extensions.get_extension_for_class(_NAMES).value
        names = [
            *found.get_values_for_type(x509.DNSName),
            *map(str, found.get_values_for_type(x509.IPAddress)),
        ]
    except Exception:  # none, or not to be decoded
        return []
    shown = ["".join(filter(_is_printable, name))[:100] for name in names[:_MAX_NAMES]]
    return [*shown, *(["..."] if len(names) > _MAX_NAMES else [])]


def _is_printable(char: str) -> bool:
    return char.isascii() and (char.isalnum() or char in ".-:*_/")


def _expired(certificate: x509.Certificate) -> str:
    return f"expired on {certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC"


def _not_yet(certificate: x509.Certificate) -> str:
    return f"is not valid before {certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC"


def _self_signed(certificate: x509.Certificate) -> str:
    return "is self-signed: no authority vouches for it"


def _unknown(certificate: x509.Certificate) -> str:
    return "is from an authority that is not trusted here"


_NOT_TRUSTED: Final[dict[int, Callable[[x509.Certificate], str]]] = {
    9: _not_yet,  # X509_V_ERR_CERT_NOT_YET_VALID
    10: _expired,  # X509_V_ERR_CERT_HAS_EXPIRED
    18: _self_signed,  # X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT
    19: _unknown,  # X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN
    2: _unknown,  # X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT
    20: _unknown,  # X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY
    21: _unknown,  # X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE
}


def _why_not_trusted(certificate: x509.Certificate, error: int, depth: int) -> str:
    whose = "its certificate" if depth == 0 else "an authority behind its certificate"
    say = _NOT_TRUSTED.get(error)
    if say is None:
        return f"{whose} is not valid (OpenSSL's error {error})"
    return f"{'its certificate' if say is _unknown else whose} {say(certificate)}"


def validity_fault(certificate: x509.Certificate, now: datetime) -> str:
    """Say that a certificate is valid no more, or not yet; nothing if it is valid."""
    if now > certificate.not_valid_after_utc:
        return _expired(certificate)
    if now < certificate.not_valid_before_utc:
        return _not_yet(certificate)
    return ""


_NO_TLS: Final = {
    "wrong version number": "speaks no TLS: it serves ws://, or something else",
    "packet length too long": "speaks no TLS: it serves ws://, or something else",
    "unsupported protocol": "speaks no TLS version from 1.2 upwards",
    "tlsv1 alert protocol version": "speaks no TLS version from 1.2 upwards",
}


def why_no_tls(reason: Failure) -> str:
    """Put OpenSSL's own words, a list of triples, into ours; nothing if it has none."""
    error = reason.value
    if not isinstance(error, SSL.Error):
        return ""
    told = error.args[0] if error.args else ()
    texts = [str(entry[-1]) for entry in told] if isinstance(told, list) else []
    for text in texts:
        if text in _NO_TLS:
            return _NO_TLS[text]
    return f"the TLS handshake failed: {', '.join(texts) or 'no reason given'}"
