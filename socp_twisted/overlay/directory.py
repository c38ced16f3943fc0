"""
Who is where?  The tables of the standard, in memory.  (SOCP 5.2)

``servers``         every server that we know, with its address and key
                    (the standard's ``servers`` and ``server_addrs``)
``local_users``     our own users, each with the links of its devices
``user_locations``  every user online in the network, with the server that hosts them
"""

import hashlib
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from sys import intern
from typing import Self

from sortedcontainers import SortedList

from socp_twisted.errors import ErrorCode, Refused
from socp_twisted.overlay.effects import Heard, LinkId
from socp_twisted.wire.encoding import b64u_decode, b64u_encode

TOMBSTONES = 4096
"""Departed users remembered per server, so that late gossip does not revive them."""


@dataclass(slots=True)
class Server:
    """A server that we know; its id is bound to its key."""

    id: str
    host: str
    port: int
    pubkey: str
    secure: bool = False  # whether it serves wss:// there
    caps: frozenset[str] = frozenset()
    instance: str = ""
    links: list[LinkId] = field(default_factory=list)  # that are up, oldest first
    users: set[str] = field(default_factory=set)
    gone: OrderedDict[str, int] = field(default_factory=OrderedDict)
    since: int = 0  # ts of the newest link's greeting: older gossip is history
    heard: float = 0.0  # monotonic seconds of its last verified frame, by any way
    unreachable_since: float | None = None
    detour_since: float | None = None  # since when only neighbours lead there
    told_by_detour: bool = False
    announced_at: int = 0  # ms: when it said where it is, and which process it is
    again_from: int = 0  # ts: who was not told again since then is online no more
    told_again: float = 0.0  # monotonic seconds of the last user told again

    def sign_of_life(self, *, soon: bool = True) -> Heard:
        """Return what has the server dialled, unless there is a link."""
        return Heard(
            self.id, self.host, self.port, self.pubkey, soon=soon, secure=self.secure
        )


@dataclass(frozen=True, slots=True)
class Location:
    """
    A user who is online, and the server that says so.

    There may be a million: what many have in common is held once, and of the key its
    bytes instead of its text.
    """

    server_id: str
    key: bytes
    display_name: str = ""
    extras: tuple[str, ...] = ()
    ts: int = 0
    at: int = 0  # signed, in ms: when they came online, as their server counts
    shown: bool = False
    """Whether their server has shown that they logged in there."""

    @classmethod
    def of(
        cls,
        server_id: str,
        pubkey: str,
        display_name: str = "",
        extras: tuple[str, ...] = (),
        ts: int = 0,
        at: int = 0,
        *,
        shown: bool = False,
    ) -> Self:
        """Return where a user is who has this key, as on the wire."""
        return cls(
            intern(server_id),
            pack(pubkey),
            display_name,
            _shared(extras),
            ts,
            at,
            shown,
        )

    def is_news(self, before: "Location | None") -> bool:
        """Say whether it tells users something that they did not know before."""
        if before is None:
            return True
        same = replace(before, ts=self.ts, at=self.at, shown=self.shown)
        return same != self

    def yields_to(self, pubkey: str) -> bool:
        """Say whether a login with this key counts for more: it was not shown here."""
        return not self.shown and self.pubkey in ("", pubkey)

    @property
    def pubkey(self) -> str:
        """The key as on the wire."""
        return unpack(self.key)

    @property
    def key_hash(self) -> str:
        """SHA-256 of the key's text in hex; of no key, nothing."""
        return _hash_of(self.key)


def key_hash(pubkey: str) -> str:
    """Return SHA-256 of a key's text in hex; of no key, nothing."""
    return hashlib.sha256(pubkey.encode("utf-8")).hexdigest() if pubkey else ""


@lru_cache(maxsize=4096)
def _hash_of(key: bytes) -> str:
    return key_hash(unpack(key))


@lru_cache(maxsize=1024)
def _shared(extras: tuple[str, ...]) -> tuple[str, ...]:
    """Return one tuple for all that are equal: most users have the same client."""
    return extras


def pack(pubkey: str) -> bytes:
    """Return the bytes of a key's text, or, of what is none, the text's own."""
    try:
        return b"\0" + b64u_decode(pubkey) if pubkey else b""
    except ValueError:
        return b"\1" + pubkey.encode("utf-8")


def unpack(key: bytes) -> str:
    """Return the text that was packed."""
    return key[1:].decode("utf-8") if key[:1] == b"\1" else b64u_encode(key[1:])


@dataclass(slots=True)
class Directory:
    """Everything that we know of the network right now."""

    server_id: str
    servers: dict[str, Server] = field(default_factory=dict)
    local_users: dict[str, list[LinkId]] = field(default_factory=dict)
    user_locations: dict[str, Location] = field(default_factory=dict)
    _sorted_ids: SortedList = field(default_factory=SortedList)
    _folded: dict[str, str] = field(default_factory=dict)
    """Ids by what they are in lower case, where that is not the same."""

    def online(self) -> Iterator[tuple[str, Location]]:
        """Go through the users who are online, sorted by id."""
        for user_id in self._sorted_ids:
            yield user_id, self.user_locations[user_id]

    def after(self, user_id: str) -> Iterator[tuple[str, Location]]:
        """
        Go through the users behind this id, though they come and go meanwhile.

        Who comes behind the one told last is told, who comes before is not.
        """
        ids = self._sorted_ids
        while (place := ids.bisect_right(user_id)) < len(ids):
            user_id = ids[place]
            yield user_id, self.user_locations[user_id]

    def check_room(self, user_id: str, server_id: str, limit: int) -> None:
        """
        Raise ``Refused`` if one more user of this server would be too many.

        One server may invent as many as it likes, and several together: there is still
        room for the users of others, and for our own.
        """
        known, server = self.user_locations, self.servers.get(server_id)
        if user_id in known:
            return
        theirs = len(server.users) if server is not None else 0
        elsewhere = len(known) - len(self.local_users)
        half, most = max(limit // 2, 1), max(limit * 3 // 4, 1)
        if len(known) >= limit:
            why = f"{limit} are known"
        elif server_id == self.server_id:
            return
        elif theirs >= half:
            why = f"{half} of {server_id} are known"
        elif elsewhere >= most:
            why = f"{most} of other servers are known"
        else:
            return
        raise Refused(ErrorCode.LIMIT, f"max-users: {why}")

    def locate(self, user_id: str, location: Location) -> None:
        """Note that a user is online, and where."""
        if (before := self.user_locations.get(user_id)) is None:
            self._sorted_ids.add(user_id)
            if (folded := user_id.casefold()) != user_id:
                self._folded.setdefault(folded, user_id)
        elif (old := self.servers.get(before.server_id)) is not None:
            old.users.discard(user_id)
        self.user_locations[user_id] = location
        if (server := self.servers.get(location.server_id)) is not None:
            server.users.add(user_id)
            server.gone.pop(user_id, None)

    def remove(self, user_id: str, ts: int = 0) -> None:
        """Note that a user has left; ``ts`` is when their server said so."""
        location = self.user_locations.pop(user_id, None)
        if location is None:
            return
        self._sorted_ids.remove(user_id)
        if self._folded.get(folded := user_id.casefold()) == user_id:
            del self._folded[folded]
        if (server := self.servers.get(location.server_id)) is not None:
            server.users.discard(user_id)
            if ts:  # else they are out of sight, not gone
                server.gone[user_id] = max(ts, location.at or location.ts)
            if len(server.gone) > TOMBSTONES:
                server.gone.popitem(last=False)

    def twin(self, user_id: str) -> str | None:
        """Return another user who is online under the same id in other case."""
        folded = user_id.casefold()
        if folded != user_id and folded in self.user_locations:
            return folded
        twin = self._folded.get(folded, user_id)
        return twin if twin != user_id else None

    def is_history(self, server: Server, user_id: str, ts: int, at: int) -> bool:
        """
        Say whether newer word of this user came from their server.

        ``at`` is what was signed, 0 by servers that sign no time: then ``ts`` counts.
        """
        location = self.user_locations.get(user_id)
        if at:
            if location is not None and location.server_id == server.id:
                return at < location.at
            return at <= server.gone.get(user_id, 0)
        if location is not None and location.server_id == server.id:
            return ts < location.ts or ts < server.since
        return ts <= server.gone.get(user_id, 0) or ts < server.since

    def server_of_key(self, pubkey: str) -> Server | None:
        """Return the server that holds this key, if we know one."""
        for server in self.servers.values():
            if server.pubkey == pubkey:
                return server
        return None

    def linked(self) -> list[Server]:
        """Return the servers to which at least one link is up."""
        return [server for server in self.servers.values() if server.links]

    def server_links(self) -> tuple[LinkId, ...]:
        """Return the newest link of each linked server."""
        return tuple(server.links[-1] for server in self.linked())

    def user_links(self) -> tuple[LinkId, ...]:
        """Return every link of every local user."""
        return tuple(link for links in self.local_users.values() for link in links)
