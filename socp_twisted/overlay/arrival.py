"""What follows when a server comes, comes back, or is gone?  (SOCP 8.1, 8.4)"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from socp_twisted.overlay.directory import Location, Server
from socp_twisted.overlay.effects import (
    Effect,
    HangUp,
    Linked,
    LinkId,
    Notice,
    Pin,
    Send,
    SendAll,
)
from socp_twisted.overlay.freshness import bind
from socp_twisted.overlay.mesh import Mesh
from socp_twisted.overlay.party import Party, Stage
from socp_twisted.wire.vocabulary import (
    CAP_POSSESSION,
    CLOSE_NORMAL,
    CLOSE_REFUSED,
    EVERYBODY,
    HANDSHAKE_TIMEOUT,
    SERVER_ANNOUNCE,
    USER_ADVERTISE,
)


def register(
    mesh: Mesh, server_id: str, host: str, port: int, key: str, *, secure: bool
) -> Server:
    """Note a server's address under its key; raise ``Refused`` if there is no room."""
    server = mesh.directory.servers.get(server_id)
    if server is None:
        mesh.make_room()
        server = Server(server_id, host, port, key)
        mesh.directory.servers[server_id] = server
    assert server.pubkey == key  # callers have compared it
    server.host, server.port, server.secure = host, port, secure
    server.heard = mesh.now
    return server


def link_up(
    mesh: Mesh, party: Party, server: Server, instance: str, ts: int
) -> Iterator[Effect]:
    """
    Count a link that has proved itself, and synchronise over it.

    Of two links between nodes of this project the one that the smaller id opened
    stays.  Only the other side, which opened the second, closes it: it alone knows
    that both are alive, where a half-open link looks alive to one end.
    """
    party.stage = Stage.SERVER
    for former in list(mesh.directory.servers.values()):
        if former.pubkey == server.pubkey and former is not server:
            yield from forget_server(mesh, former.id)  # renamed: nobody shares a key
    for name in [name for name, key in mesh.pins.items() if key == server.pubkey]:
        if name != server.id:
            del mesh.pins[name]
            yield Pin(name)
    restarted = instance != server.instance
    server.since = ts
    if restarted or not instance:
        server.gone.clear()
    server.unreachable_since = None
    if restarted:
        mesh.topology.forget(server.id)
        for link in list(server.links):
            yield HangUp(link, CLOSE_NORMAL, "replaced: the server has restarted")
        server.links.clear()
        # Told by another process, whose clock may have been ahead of this one's: who
        # is not told again is gone, whatever ts said that they are there.
        locations = mesh.directory.user_locations
        for user_id in server.users:
            locations[user_id] = replace(locations[user_id], ts=0)
    if not server.links:
        server.again_from, server.told_again = ts, mesh.now
    server.instance = instance
    if CAP_POSSESSION in server.caps or party.dialled or not server.links:
        server.links.append(party.link)
    else:
        # A claim of a server that signs no nonce could be a replay: what we say goes
        # on over the link that we have, for as long as it lives.
        server.links.insert(0, party.link)
    yield from mesh.pin(server.id, server.pubkey)
    yield Linked(party.link, server.id)
    yield mesh.announcement(party.link)
    yield from synchronise(mesh, party.link)
    for link in surplus(mesh, server):
        server.links.remove(link)
        yield HangUp(link, CLOSE_NORMAL, "one link is enough")


def surplus(mesh: Mesh, server: Server) -> set[LinkId]:
    """Return the links to ``server`` that we should close: one per pair is enough."""
    if CAP_POSSESSION not in server.caps:
        return set()
    dialled = [link for link in server.links if mesh.parties[link].dialled]
    accepted = [link for link in server.links if not mesh.parties[link].dialled]
    extra = {*dialled[:-1], *accepted[:-1]}  # the same side twice: the newest stays
    if dialled and accepted and server.id < mesh.server_id:
        extra.add(dialled[-1])
    return extra


def synchronise(mesh: Mesh, link: LinkId) -> Iterator[Effect]:
    """Tell a server each of our local users (SOCP 8.2)."""
    for user_id in mesh.directory.local_users:
        location = mesh.directory.user_locations[user_id]
        told = advertisement(mesh, user_id, location)
        yield Send(link, USER_ADVERTISE, told, to="*")


def advertise(mesh: Mesh, user_id: str, location: Location) -> SendAll:
    """Tell every server that a user of ours is online."""
    links = mesh.directory.server_links()
    return SendAll(links, USER_ADVERTISE, advertisement(mesh, user_id, location))


def advertisement(mesh: Mesh, user_id: str, location: Location) -> dict[str, Any]:
    """Return the payload of USER_ADVERTISE, with the key wherever others look."""
    name = location.display_name or user_id
    told: dict[str, Any] = {
        "user_id": user_id,
        "server_id": mesh.server_id,
        "pubkey": location.pubkey,
        "meta": {
            "display_name": name,
            "username": user_id,
            "name": name,
            "pubkey": location.pubkey,
            "extras": list(location.extras),
        },
    }
    devices = (mesh.parties[one] for one in mesh.directory.local_users[user_id])
    shown = next((one for one in devices if one.proof), None)
    if shown is not None:  # where they are registered, our word is not enough
        told["meta"]["login"] = {"nonce": shown.nonce, "proof": shown.proof}
    # Since when, not now: told again on the next link, it is signed already.
    return bind(mesh, USER_ADVERTISE, EVERYBODY, told, location.at)


def link_lost(mesh: Mesh, server: Server, link: LinkId) -> Iterator[Effect]:
    """Count a link that has closed; users stay until one retry delay has passed."""
    if link in server.links:
        server.links.remove(link)
    newest = max((mesh.parties[one].opened for one in server.links), default=mesh.now)
    settled = mesh.now - newest >= HANDSHAKE_TIMEOUT
    if settled and CAP_POSSESSION not in server.caps:
        # The original forgets us when one of two links closes: begin anew.  Others may
        # close the older of two as soon as there is a newer, and mean no more by it.
        rest = list(server.links)
        server.links.clear()
        for other in rest:
            yield HangUp(other, CLOSE_NORMAL, "the other link to you was lost")
    if server.links:
        # What was on its way on the lost link is told again on the other.
        yield from synchronise(mesh, server.links[-1])
        return
    mesh.topology.forget(server.id)


def watch_reachability(mesh: Mesh, patience: float) -> Iterator[Effect]:
    """Forget the users of servers out of reach for ``patience`` seconds."""
    routes = mesh.routes()
    for server in list(mesh.directory.servers.values()):
        hop = routes.get(server.id)
        if hop is not None:
            server.unreachable_since = None
            yield from _watch_detour(mesh, server, hop, patience)
            yield from _watch_return(mesh, server, patience)
        else:
            server.detour_since, server.told_by_detour = None, False
            if server.unreachable_since is None:
                server.unreachable_since = mesh.now
        if server.unreachable_since is None or not server.users:
            continue
        if mesh.now - server.unreachable_since >= patience:
            yield Notice(
                "server {server_id} is gone, and {count} of its users with it",
                {"server_id": server.id, "count": len(server.users)},
            )
            for user_id in sorted(server.users):
                yield from mesh.vanish(user_id)


def _watch_return(mesh: Mesh, server: Server, patience: float) -> Iterator[Effect]:
    """Forget the users whom a server that came back has not told again."""
    if server.again_from and mesh.now - server.told_again >= patience:
        for user_id in sorted(server.users):
            if mesh.directory.user_locations[user_id].ts < server.again_from:
                yield from mesh.vanish(user_id)
        server.again_from = 0


def _watch_detour(
    mesh: Mesh, server: Server, hop: str, patience: float
) -> Iterator[Effect]:
    """Say who we are and have to whom only neighbours lead: it may have missed it."""
    if hop == server.id:
        server.detour_since, server.told_by_detour = None, False
    elif server.detour_since is None:
        server.detour_since = mesh.now
    elif not server.told_by_detour and mesh.now - server.detour_since >= patience:
        server.told_by_detour = True
        link = mesh.directory.servers[hop].links[-1]
        # With a ts of its own, or who passed the last one on would drop it.
        yield Send(link, SERVER_ANNOUNCE, mesh.hello(), to="*")
        yield from synchronise(mesh, link)


def forget_server(mesh: Mesh, server_id: str) -> Iterator[Effect]:
    """Drop a server whose id or key has turned out to be another's."""
    server = mesh.directory.servers.pop(server_id)
    mesh.topology.forget(server_id)
    for link in server.links:
        yield HangUp(link, CLOSE_REFUSED, "this id and key no longer belong together")
    for user_id in sorted(server.users):
        yield from mesh.vanish(user_id)
