"""
Which way does a frame take to servers that are not at the other end?  (SOCP 10)

Also: may the server that it came from speak for the user whom it names?
"""

from collections.abc import Iterator, Mapping

from socp_twisted.errors import ErrorCode, Refused
from socp_twisted.overlay.directory import key_hash
from socp_twisted.overlay.effects import Effect, Forward, Send
from socp_twisted.overlay.mesh import Mesh
from socp_twisted.overlay.party import Party
from socp_twisted.wire.envelope import Envelope


def gossip(
    mesh: Mesh, party: Party, envelope: Envelope, cap: str = ""
) -> Iterator[Effect]:
    """
    Pass a frame on to the servers that cannot have it from its origin.

    Where it is meant for servers with a capability, ``cap`` names it.
    """
    origin = envelope.sender
    links = tuple(
        server.links[-1]
        for server in mesh.directory.linked()
        if server.id not in (origin, party.name)
        and not mesh.topology.has_link(origin, server.id)
        and (not cap or cap in server.caps)
    )
    if links:
        yield Forward(links, envelope)


def reply(
    mesh: Mesh, server_id: str, kind: str, payload: Mapping[str, object]
) -> Iterator[Effect]:
    """Tell a server something, through whoever leads there."""
    hop = mesh.routes().get(server_id)
    if hop is not None:
        link = mesh.directory.servers[hop].links[-1]
        yield Send(link, kind, payload, to=server_id)


def pass_on(mesh: Mesh, party: Party, envelope: Envelope) -> Iterator[Effect]:
    """Send a frame on towards the server that it is for, but not back."""
    hop = mesh.routes().get(envelope.to)
    if hop is not None and hop != party.name:
        yield Forward((mesh.directory.servers[hop].links[-1],), envelope)


def check_sender(mesh: Mesh, envelope: Envelope, sender: str, key: str) -> None:
    """Raise ``Refused`` unless a server's frame is its own user's, with their key."""
    location = mesh.directory.user_locations.get(sender)
    if location is not None and location.server_id != envelope.sender:
        raise Refused(
            ErrorCode.NOT_ALLOWED, f"{sender} is not a user of {envelope.sender}"
        )
    if key and mesh.user_key(sender) not in ("", key_hash(key)):
        raise Refused(ErrorCode.BAD_KEY, f"this is not the key of {sender}")
    if key and not mesh.is_key(key):
        raise Refused(ErrorCode.BAD_KEY, "sender_pub is not an RSA-4096 key")
