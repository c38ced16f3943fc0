"""Who was silent for too long, and what is due?  Asked once a second.  (SOCP 8.4)"""

from collections.abc import Iterator

from socp_twisted.overlay import channel_rules
from socp_twisted.overlay.arrival import watch_reachability
from socp_twisted.overlay.effects import Effect, HangUp, Ping
from socp_twisted.overlay.mesh import Mesh
from socp_twisted.overlay.party import Party, Stage
from socp_twisted.wire.vocabulary import (
    CAP_POSSESSION,
    CLOSE_TIMEOUT,
    DEAD_AFTER,
    HANDSHAKE_TIMEOUT,
    HEARTBEAT_INTERVAL,
)

TICK = 1.0
"""Seconds between two looks at the clock."""


class Liveness:
    """The node's sense of time; it holds only when the last heartbeat was sent."""

    def __init__(self, mesh: Mesh, patience: float) -> None:
        """Let a server be unreachable for ``patience`` seconds before it is gone."""
        self._mesh = mesh
        self._patience = patience
        self._beat_at = mesh.now
        self._pinged_at = mesh.now
        self._ticked_at = mesh.now

    def tick(self) -> list[Effect]:
        """Say what the time that has passed asks for."""
        return list(self._tick())

    def _tick(self) -> Iterator[Effect]:
        mesh = self._mesh
        asleep = mesh.now - self._ticked_at - TICK
        self._ticked_at = mesh.now
        if asleep > TICK:
            # This process was stopped, or its machine slept: nobody else was silent,
            # and what they said meanwhile is still to be read.
            for party in mesh.parties.values():
                party.heard += asleep
                party.opened += asleep
        if mesh.now - self._pinged_at >= HEARTBEAT_INTERVAL:
            self._pinged_at = mesh.now
            yield Ping(mesh.directory.user_links())
        for party in list(mesh.parties.values()):
            silent = mesh.now - _last_heard(mesh, party)
            reason = _overdue(party, mesh.now, silent, mesh.limits.login)
            if reason:
                yield HangUp(party.link, CLOSE_TIMEOUT, reason)
        mesh.topology.expire(mesh.now)
        yield from mesh.deliveries.expire(mesh.now)
        yield from channel_rules.expire(mesh)
        yield from watch_reachability(mesh, self._patience)
        links = frozenset(server.id for server in mesh.directory.linked())
        due = mesh.now - self._beat_at >= HEARTBEAT_INTERVAL
        # New links are told at once: from then on nobody forwards what we send there.
        if links and (due or links != mesh.told_links):
            self._beat_at = mesh.now
            yield mesh.heartbeat()


def _last_heard(mesh: Mesh, party: Party) -> float:
    """Return when a party showed that it is there, by whichever of its links."""
    server = mesh.directory.servers.get(party.name)
    if (
        server is None
        or party.link not in server.links
        or CAP_POSSESSION in server.caps
    ):
        return party.heard
    # The original speaks on the newest of two links, and misses us if we close one.
    return max(mesh.parties[link].heard for link in server.links)


def _overdue(party: Party, now: float, silent: float, login: int) -> str:
    """Return why a link must go, or nothing."""
    waited = now - party.opened
    match party.stage:
        # The original's client connects first; then its user types a password.
        case Stage.FRESH if waited >= login:
            return f"max-login: no first frame within {login} s"
        case Stage.DIALLED if waited >= HANDSHAKE_TIMEOUT:
            return "speaks WebSocket but not SOCP: no SERVER_WELCOME within 10 s"
        case Stage.CLAIMED if CAP_POSSESSION in party.caps and (
            waited >= HANDSHAKE_TIMEOUT
        ):
            return "no proof of the key within 10 s"
        case Stage.CLAIMED if waited >= DEAD_AFTER:
            return "no signed frame within 45 s"
        case Stage.GREETED if waited >= login:
            return f"max-login: no login within {login} s"
        case Stage.SERVER | Stage.USER if silent >= DEAD_AFTER:
            return "silent for 45 s"
        case _:
            return ""
