"""Where does this envelope go next?  Verified in, effects out.  (SOCP 10)"""

from socp_twisted.errors import ErrorCode, Refused
from socp_twisted.overlay import freshness
from socp_twisted.overlay.duplicates import SeenIds, identity
from socp_twisted.overlay.effects import Effect
from socp_twisted.overlay.mesh import Mesh
from socp_twisted.overlay.party import Party
from socp_twisted.overlay.rules import RULES
from socp_twisted.overlay.user_rules import USER_RULES
from socp_twisted.wire.envelope import Envelope, Verified
from socp_twisted.wire.payloads import ServerHello
from socp_twisted.wire.vocabulary import GOSSIP, SERVER_ANNOUNCE


class Router:
    """The rules, applied: it never waits and does nothing itself."""

    def __init__(self, mesh: Mesh) -> None:
        self.mesh = mesh
        self.seen_ids = SeenIds(mesh.limits.seen, mesh.limits.seen_age)

    def is_duplicate(self, envelope: Envelope) -> bool:
        """Say whether a frame came before: cheap, so asked before it is verified."""
        # What we said ourselves comes back when a neighbour passes it on.
        return (
            envelope.sender == self.mesh.server_id
            or identity(envelope) in self.seen_ids
        )

    def is_premature(self, envelope: Envelope) -> bool:
        """
        Say whether this is gossip of a server that we never heard of.

        It cannot be verified yet, and is nobody's fault: a server that only others
        lead to introduces itself to us once it hears of us.
        """
        return (
            envelope.type in GOSSIP
            and envelope.type != SERVER_ANNOUNCE
            and envelope.sender not in self.mesh.directory.servers
        )

    def key_for(self, envelope: Envelope) -> str:
        """
        Return the key that a frame on a server's link must verify with.

        That of the server in ``from``.  One that we never heard of may introduce
        itself with SERVER_ANNOUNCE, signed with the key that it brings.
        """
        known = self.mesh.key_of(envelope.sender)
        if known and (
            envelope.sender in self.mesh.directory.servers
            or envelope.type == SERVER_ANNOUNCE
        ):
            return known
        if not known and envelope.type == SERVER_ANNOUNCE:
            return ServerHello.read(envelope.payload).pubkey
        raise Refused(ErrorCode.USER_NOT_FOUND, f"server {envelope.sender} is unknown")

    def receive(self, party: Party, verified: Verified) -> list[Effect]:
        """Say what follows from a server's frame, in order; raise ``SocpError``."""
        envelope = verified.envelope
        # After the signature: a forgery must not suppress the frame that it imitates.
        self.seen_ids.remember(identity(envelope), self.mesh.now)
        server = self.mesh.directory.servers.get(envelope.sender)
        if server is not None:
            server.heard = self.mesh.now
            if envelope.sender != party.name:
                self.mesh.topology.relayed(envelope.sender, party.name, self.mesh.now)
        freshness.check(self.mesh, server, envelope)
        rule = RULES.get(envelope.type)
        if rule is None:
            raise Refused(ErrorCode.UNKNOWN_TYPE, f"unknown type {envelope.word}")
        # A list first, so that a rule which refuses half-way has asked for nothing.
        return list(rule(self.mesh, party, envelope))

    def receive_from_user(self, party: Party, envelope: Envelope) -> list[Effect]:
        """Say what follows from a user's frame, in order; raise ``SocpError``."""
        rule = USER_RULES.get(envelope.type)
        if rule is None:
            raise Refused(ErrorCode.UNKNOWN_TYPE, f"unknown type {envelope.word}")
        return list(rule(self.mesh, party, envelope))
