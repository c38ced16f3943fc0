"""
Was this user told of that server's claim a moment ago?

Whoever claims another's name is reported to the user whose it is.  The claim costs its
server next to nothing, and a report two signatures and a line on a screen.
"""

from collections import OrderedDict

EVERY = 60.0
"""Seconds in which the same server is reported to the same user once."""

REMEMBERED = 4096
"""Reports remembered; the oldest are forgotten first."""


class Reports:
    """The reports of the last minute, by server and user."""

    def __init__(self) -> None:
        self._made: OrderedDict[tuple[str, str], float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._made)

    def is_news(self, server_id: str, user_id: str, now: float) -> bool:
        """Note a report; say whether there was none like it in the last minute."""
        while self._made:
            oldest, when = next(iter(self._made.items()))
            if now - when < EVERY and len(self._made) < REMEMBERED:
                break
            del self._made[oldest]
        if (server_id, user_id) in self._made:
            return False
        self._made[server_id, user_id] = now
        return True
