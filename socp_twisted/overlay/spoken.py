"""
Which signed messages let nobody in any more?  (SOCP 9.1 has no login)

A client that knows the standard alone is let in by the signature of its first message,
which names no server and no connection: whoever was sent a message of theirs could let
themselves in with it, once its author has left.  So a message counts as a login only if
it was not seen here before, as anybody's, and was signed after its author was last
online, here or elsewhere, and after this process began.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Hashable

from socp_twisted.errors import ErrorCode, Refused
from socp_twisted.wire.vocabulary import FRESH_FOR, STALE_AFTER


class _Window:
    """What was noted in the last two minutes; of more than ``limit``, the latest."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._noted: OrderedDict[Hashable, int] = OrderedDict()
        self.lost_until = 0
        """Until when, in ms, there was more than could be kept."""

    def __len__(self) -> int:
        return len(self._noted)

    def note(self, what: Hashable, now_ms: int, ts: int = 0) -> None:
        """Note something; ``ts`` is when it will be fresh, if that is still to come."""
        self._noted.pop(what, None)
        self._noted[what] = max(now_ms, ts)
        while self._noted:
            oldest, when = next(iter(self._noted.items()))
            if len(self._noted) > self._limit:
                self.lost_until = max(self.lost_until, when)
            elif now_ms - when <= 2 * FRESH_FOR:
                return
            del self._noted[oldest]

    def when(self, what: Hashable) -> int | None:
        return self._noted.get(what)


def _name(pubkey: str, ts: int) -> bytes:
    told = f"{pubkey}\0{ts}".encode()
    return hashlib.blake2b(told, digest_size=16).digest()


class Spoken:
    """The messages and departures of late; bounded, and forgetting lets nobody in."""

    def __init__(self, limit: int) -> None:
        """Keep at most ``limit`` of each."""
        self._messages = _Window(limit)
        # Said by whose clock is ahead: kept for longer, and not in the others' way.
        self._ahead = _Window(limit)
        self._departures = _Window(limit)
        self.since = 0
        """Unix milliseconds at which this process began."""

    def __len__(self) -> int:
        return len(self._messages) + len(self._ahead) + len(self._departures)

    def heard(self, pubkey: str, ts: int, now_ms: int) -> None:
        """
        Note a message that was said, by its author's key and ``ts``.

        Not by its author's name, which another could be split off from: a content
        signature has no separators (SOCP 12).
        """
        is_ahead = FRESH_FOR < ts - now_ms <= STALE_AFTER * 1000  # later, nobody reads
        fresh_at = ts if is_ahead else min(ts, now_ms + FRESH_FOR)
        window = self._ahead if is_ahead else self._messages
        window.note(_name(pubkey, ts), now_ms, fresh_at)

    def left(self, user_id: str, now_ms: int) -> None:
        """Note that a user is not online any more."""
        self._departures.note(user_id, now_ms)

    def check(self, user_id: str, pubkey: str, ts: int, now_ms: int) -> None:
        """Raise ``Refused`` unless a message of ``ts`` may let this user in."""
        name, said = _name(pubkey, ts), (self._messages, self._ahead)
        if abs(ts - now_ms) > FRESH_FOR:
            why = "'ts' is not now"
        elif any(one.when(name) is not None for one in said):
            why = "it was seen here before"
        elif ts < self.since or ts <= max(one.lost_until for one in said):
            why = "it may have been seen here before"
        elif ts < max(self._departures.when(user_id) or 0, self._departures.lost_until):
            why = f"{user_id} was online since it was signed"
        else:
            return
        raise Refused(
            ErrorCode.NOT_ALLOWED, f"the message is stale: {why}; sign another one"
        )
