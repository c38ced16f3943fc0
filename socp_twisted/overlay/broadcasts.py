"""
Who has got which message to everybody, and who still has to say so?

One set of connections for each message under way, and one of the members who have it:
nothing else is kept, and nothing is written down.  The sender's client keeps the
message until it is answered for.  (Ours)
"""

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from socp_twisted.errors import ErrorCode, Refused
from socp_twisted.overlay.effects import LinkId

RECEIPTS_WITHIN = 8.0
"""Seconds for which a server waits for its own members; others wait for it longer."""

SHARE_OF_USER = 4
"""One user of ours may have a quarter of all that are under way."""

SHARE_OF_SERVER = 2
"""Another server may have half: it speaks for many."""


@dataclass(slots=True)
class Broadcast:
    """One message to everybody, until it is answered for."""

    ref: str
    origin: str
    """The server whose user said it."""
    sender: str
    deadline: float
    msg_ref: str = ""
    """The ``id`` of the sender's frame, where the sender is ours."""
    links: set[LinkId] = field(default_factory=set)
    """Connections here that have not answered."""
    servers: set[str] = field(default_factory=set)
    """Servers that have not answered for their members."""
    have: set[str] = field(default_factory=set)
    size: int = 0
    """Bytes of it that wait towards each connection."""
    lack: set[str] = field(default_factory=set)
    """Members of whom a device could not read it: theirs comes another way."""

    @property
    def received(self) -> list[str]:
        """Return who has it, sorted."""
        return sorted(self.have - self.lack)

    @property
    def is_answered(self) -> bool:
        """Whether there is nobody left to wait for."""
        return not self.links and not self.servers


def reference(origin: str, sender: str, key_id: str, seq: int, ts: int) -> str:
    """Name a message to everybody: every server comes to the same name by itself."""
    name = f"{origin}\0{sender}\0{key_id}\0{seq}\0{ts}".encode()
    return hashlib.blake2b(name, digest_size=12).hexdigest()


class Broadcasts:
    """Messages to everybody that are under way, by their references."""

    def __init__(self, limit: int, queued: int) -> None:
        """
        Keep at most ``limit`` at a time, and half as many bytes as ``queued``.

        More would put out, as one who does not read, who has a slow connection only.
        """
        self._limit = limit
        self._bytes = queued // 2
        self._under_way: dict[str, Broadcast] = {}
        self._shares: Counter[tuple[str, str]] = Counter()
        self._sizes: Counter[tuple[str, str]] = Counter()

    def __len__(self) -> int:
        return len(self._under_way)

    def get(self, ref: str) -> Broadcast | None:
        """Return a message that is under way."""
        return self._under_way.get(ref)

    def check_room(self, size: int, server_id: str, user_id: str = "") -> None:
        """Raise ``Refused`` (LIMIT) if one more of theirs would be too many."""
        part = SHARE_OF_USER if user_id else SHARE_OF_SERVER
        who = server_id, user_id
        count, total = max(self._limit // part, 1), len(self._under_way)
        # Other servers, however many, leave a quarter to our own users.
        limit, most = self._limit, self._bytes
        if not user_id:
            limit, most = max(limit // 4 * 3, 1), most // 4 * 3
        if self._shares[who] >= count or total >= limit:
            raise Refused(
                ErrorCode.LIMIT,
                f"max-channel: {count} messages to everybody wait for receipts, "
                f"or {limit} of all senders",
            )
        mine, all_of_it = self._sizes[who], self._sizes.total()
        if (mine and mine + size > self._bytes // part) or (  # one has room always
            all_of_it and all_of_it + size > most
        ):
            raise Refused(
                ErrorCode.LIMIT,
                f"max-queued: {self._bytes // part} bytes to everybody wait for "
                f"receipts, or {most} of all senders",
            )

    def begin(self, broadcast: Broadcast, user_id: str = "") -> None:
        """Wait for the answers to a message; ``user_id`` is one of ours who said it."""
        self._under_way[broadcast.ref] = broadcast
        self._shares[broadcast.origin, user_id] += 1
        self._sizes[broadcast.origin, user_id] += broadcast.size

    def end(self, broadcast: Broadcast, home: str) -> None:
        """Forget a message that is answered for; ``home`` is our own id."""
        if self._under_way.pop(broadcast.ref, None) is None:
            return
        user_id = broadcast.sender if broadcast.origin == home else ""
        who = broadcast.origin, user_id
        self._shares[who] -= 1
        self._sizes[who] -= broadcast.size
        if not self._shares[who]:
            del self._shares[who], self._sizes[who]

    def receipts(
        self, refs: Iterable[str], link: LinkId, user_id: str, *, has: bool
    ) -> list[Broadcast]:
        """Take receipts; return the messages for which nobody else has to give one."""
        done = []
        for ref in refs:  # members times messages: nothing here is done twice
            found = self._under_way.get(ref)
            if found is None or link not in found.links:
                continue  # late, or never handed to this connection
            found.links.discard(link)
            (found.have if has else found.lack).add(user_id)
            if not found.links and found.is_answered:
                done.append(found)
        return done

    def answered(
        self, ref: str, server_id: str, received: Iterable[str]
    ) -> Broadcast | None:
        """Take a server's word for its members; return the message if it was last."""
        found = self._under_way.get(ref)
        if found is None or server_id not in found.servers:
            return None  # late, or never asked
        found.servers.discard(server_id)
        found.have.update(received)
        return found if found.is_answered else None

    def left(self, link: LinkId) -> list[Broadcast]:
        """Wait for a connection no longer; return what waited for it alone."""
        done = []
        for one in self._under_way.values():
            if link in one.links:
                one.links.discard(link)
                if one.is_answered:
                    done.append(one)
        return done

    def late(self, now: float) -> list[Broadcast]:
        """Return what has waited long enough."""
        return [one for one in self._under_way.values() if one.deadline <= now]
