"""
Whom do we reach, and through whom?

Each node of this project tells its links in HEARTBEAT.  From these claims every node
knows who has what already, so gossip is not sent twice; who is reachable although the
direct link is lost; and through whom.  A server of others makes no claims: it is
reached over its own link, or through whoever relayed its frames lately.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from socp_twisted.wire.vocabulary import DEAD_AFTER


@dataclass(frozen=True, slots=True)
class Claim:
    """Whom a server said that it is linked to, and when (ms there, seconds here)."""

    links: frozenset[str]
    ts: int
    heard: float


class Topology:
    """The links of the whole mesh, as far as they were told."""

    def __init__(self) -> None:
        self._claims: dict[str, Claim] = {}
        self._relayed: dict[str, tuple[str, float]] = {}
        self._routes: tuple[tuple[str, ...], dict[str, str]] | None = None

    def claim(self, server_id: str, links: Iterable[str], ts: int, now: float) -> None:
        """Take a server's word for its links, unless there is a newer one."""
        before = self._claims.get(server_id)
        if before is not None and ts < before.ts:
            return
        told = frozenset(links)
        self._claims[server_id] = Claim(told, ts, now)
        if before is None or before.links != told:
            self._routes = None

    def relayed(self, server_id: str, relay: str, now: float) -> None:
        """Note that ``relay`` brought a frame of ``server_id``."""
        if server_id not in self._relayed or self._relayed[server_id][0] != relay:
            self._routes = None
        self._relayed[server_id] = (relay, now)

    def forget(self, server_id: str) -> None:
        """Drop what a server claimed: its last direct link is gone, or it restarted."""
        self._claims.pop(server_id, None)
        self._relayed.pop(server_id, None)
        self._routes = None

    def expire(self, now: float) -> None:
        """Drop what was not repeated within 45 s."""
        for server_id, claim in list(self._claims.items()):
            if now - claim.heard >= DEAD_AFTER:
                self.forget(server_id)
        for server_id, (_, heard) in list(self._relayed.items()):
            if now - heard >= DEAD_AFTER:
                del self._relayed[server_id]
                self._routes = None

    def has_link(self, server_id: str, other: str) -> bool:
        """Say whether ``server_id`` says that it is linked to ``other``."""
        claim = self._claims.get(server_id)
        return claim is not None and other in claim.links

    def routes(self, neighbours: Iterable[str]) -> dict[str, str]:
        """
        Return, for each reachable server, the neighbour that leads there.

        A neighbour leads to itself.  Fewest hops win; among equals, the smallest id.
        """
        start = tuple(sorted(neighbours))
        if self._routes is not None and self._routes[0] == start:
            return self._routes[1]
        first_hop = {neighbour: neighbour for neighbour in start}
        waiting = deque(first_hop)
        brought: dict[str, list[str]] = {}
        for server_id, (relay, _) in self._relayed.items():
            if relay not in self._claims:
                brought.setdefault(relay, []).append(server_id)
        while waiting:
            here = waiting.popleft()
            claim = self._claims.get(here)
            onward = claim.links if claim is not None else brought.get(here, ())
            for there in sorted(onward):
                if there in first_hop:
                    continue
                back = self._claims.get(there)
                if claim is not None and back is not None and here not in back.links:
                    continue  # one end says that there is no such link
                first_hop[there] = first_hop[here]
                waiting.append(there)
        self._routes = (start, first_hop)
        return first_hop
