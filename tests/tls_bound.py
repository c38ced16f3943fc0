"""Nodes and users in memory, every connection TLS: which frames are signed?"""

from typing import Any, Final

from twisted.internet import ssl

from socp_twisted.net.tls import tls_exporter
from socp_twisted.wire.envelope import Envelope
from tests.certificates import GOOD, OURS
from tests.posting import PostTestCase
from tests.raw_ends import PeerEnd
from tests.support import Site
from tests.users import Person

ROOT: Final = ssl.Certificate.loadPEM(OURS.pem)
SERVER: Final = ssl.PrivateCertificate.loadPEM(GOOD.key + GOOD.chain).options()
CLIENT: Final = ssl.optionsForClientTLS("localhost", trustRoot=ROOT)
OLD_CLIENT: Final = ssl.optionsForClientTLS(
    "localhost",
    trustRoot=ROOT,
    extraCertificateOptions={
        "lowerMaximumSecurityTo": ssl.TLSVersion.TLSv1_2,
        "insecurelyLowerMinimumTo": ssl.TLSVersion.TLSv1_2,
    },
)


class BoundTestCase(PostTestCase):
    """Nodes and users on a network where every connection is TLS."""

    def setUp(self) -> None:
        """Encrypt everything."""
        super().setUp()
        self.network.tls = (SERVER, CLIENT)

    def bound(self, site: Site, user_id: str, **more: Any) -> Person:
        """Log a user in whose client says which TLS connection it sees."""
        person = self.person(site)
        exporter = tls_exporter(person.end.transport)
        person.enter(user_id, server=site.id, **{"tls_exporter": exporter, **more})
        self.assertIn("PUBLIC_CHANNEL_SNAPSHOT", person.heard())
        return person

    def peer_of(self, site: Site) -> tuple[PeerEnd, str]:
        """Connect as a server; return it, and which TLS connection it sees."""
        peer = self.peer(site)
        return peer, tls_exporter(peer.end.transport)

    def overhear(self, site: Site) -> list[Envelope]:
        """Return a list that all frames go to which the node gets from now on."""
        heard: list[Envelope] = []
        site.node.observers.append(
            lambda _, frame: heard.append(Envelope.parse(frame, complete=False))
        )
        return heard


def signed(frames: list[Envelope]) -> set[str]:
    """Return the types of the frames that are signed."""
    return {one.type for one in frames if one.sig}


def unsigned(frames: list[Envelope]) -> set[str]:
    """Return the types of the frames that are not."""
    return {one.type for one in frames if not one.sig}
