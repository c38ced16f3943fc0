"""The overlay's values for tests of decisions: no sockets, no keys, no clock."""

import itertools
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from socp_twisted.overlay.directory import Directory, Location, Server
from socp_twisted.overlay.effects import Effect, Gradually, LinkId
from socp_twisted.overlay.mesh import Mesh
from socp_twisted.overlay.party import Party, Stage
from socp_twisted.wire.envelope import Envelope, Verified
from socp_twisted.wire.limits import Limits
from socp_twisted.wire.vocabulary import CAP_ACKS, CAP_LINKS, CAP_POSSESSION

NOW_MS = 1_700_000_000_000
"""What time it is for the node, in all these tests."""

CAPS = [CAP_ACKS, CAP_LINKS, CAP_POSSESSION]
"""What a node of this project can, but for binding, which frames here need not."""

_links = itertools.count(1)


def key(name: str) -> str:
    """Return what passes for the public key of somebody."""
    return f"key-{name}"


def make_mesh(server_id: str = "srv-a", limits: Limits | None = None) -> Mesh:
    """Return the view of a node that knows nobody."""
    return Mesh(
        Directory(server_id),
        "127.0.0.1",
        8765,
        key(server_id),
        instance=f"run of {server_id}",
        is_key=lambda text: text.startswith("key-"),
        fresh=lambda: "fresh",
        limits=limits or Limits(),
        now=100.0,
        now_ms=NOW_MS,
    )


def flat(effects: Iterable[Effect]) -> list[Effect]:
    """Return what follows in the end, if everybody reads what they are sent."""
    return [
        one
        for effect in effects
        for one in (effect.effects if isinstance(effect, Gradually) else [effect])
    ]


def add_party(mesh: Mesh, stage: Stage = Stage.FRESH, **fields: Any) -> Party:
    """Connect somebody to the node."""
    link = LinkId(next(_links))
    fields = {"opened": mesh.now, "heard": mesh.now, "nonce": f"nonce-{link}", **fields}
    party = mesh.parties[link] = Party(link, stage, **fields)
    return party


def add_server(
    mesh: Mesh,
    server_id: str,
    *,
    linked: bool = True,
    caps: list[str] = CAPS,
    dialled: bool = False,
) -> Party:
    """Let the node know a server; return the other end of a link to it."""
    server = Server(server_id, "10.0.0.1", 8000, key(server_id), caps=frozenset(caps))
    mesh.directory.servers[server_id] = server
    url = "ws://10.0.0.1:8000" if dialled else ""
    party = add_party(
        mesh, Stage.SERVER, name=server_id, key=server.pubkey, url=url, caps=server.caps
    )
    if linked:
        server.links.append(party.link)
    return party


def add_user(mesh: Mesh, user_id: str) -> Party:
    """Let a user of the node's own be online."""
    party = add_party(mesh, Stage.USER, name=user_id, key=key(user_id))
    mesh.directory.local_users.setdefault(user_id, []).append(party.link)
    mesh.directory.locate(
        user_id, Location.of(mesh.server_id, key(user_id), ts=mesh.now_ms)
    )
    return party


def envelope(
    kind: str,
    sender: str,
    payload: dict[str, Any],
    *,
    to: str = "*",
    ts: int = NOW_MS,
    id: str = "",
) -> Envelope:
    """Return a frame as it comes in."""
    return Envelope.create(kind, sender, to, ts, payload, id=id)


def verified(
    kind: str, sender: str, payload: dict[str, Any], *, sig: str = "sig", **more: Any
) -> Verified:
    """Return a frame whose signature, or whose link, somebody has checked."""
    told = replace(envelope(kind, sender, payload, **more), sig=sig)
    return Verified(told, key(sender))
