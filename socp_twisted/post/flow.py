"""How do messages flow to one recipient?  In order, so many at a time, none for ever.

The messages themselves are on disk; here is what is on its way.  (Ours)
"""

from dataclasses import dataclass, field, replace

from socp_twisted.locks import Lock

WINDOW = 32
"""Messages under way to one recipient; the rest wait on disk."""

TRIES = 3
"""Times that a message is sent to somebody who is online and does not answer."""

AGAIN_AFTER = 30.0
"""Seconds after which what was not answered is sent again."""


SELDOM = 600.0
"""Seconds after which it is sent again if somebody else uses the recipient's id: who
has it then was seen, and for them all begins anew."""


@dataclass(frozen=True, slots=True)
class Way:
    """Who should answer for a message, and until when (monotonic seconds)."""

    server_id: str
    deadline: float
    sender: str = ""
    tries: int = 0  # that nobody answered, since the recipient was seen
    again: float = 0.0  # when one that was set aside is sent again


@dataclass(slots=True)
class Flow:
    """The messages on their way to one recipient."""

    under_way: dict[str, Way] = field(default_factory=dict)
    aside: dict[str, Way] = field(default_factory=dict)
    """What was not answered in time: it waits by itself, and delays no other."""
    last_seq: int = 0
    more: bool = False  # there may be more on disk
    rest_until: float = 0.0
    lock: Lock = field(default_factory=Lock)
    """Held from the disk to the link: messages leave in the order of the disk."""

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits, and nobody works on it."""
        return self.is_clear and not self.aside

    @property
    def is_clear(self) -> bool:
        """Whether the next message goes at once, past what waits by itself."""
        return not (self.more or self.under_way) and self.lock.is_free

    def way(self, msg_id: str) -> Way | None:
        """Return who was asked for a message that is not answered yet."""
        return self.under_way.get(msg_id) or self.aside.get(msg_id)

    def settle(self, msg_id: str) -> None:
        """Count a message that is answered."""
        self.under_way.pop(msg_id, None)
        self.aside.pop(msg_id, None)

    def begin_anew(self, rest_until: float = 0.0) -> None:
        """Send from the oldest on, in order, once ``rest_until`` has passed."""
        self.under_way.clear()
        self.aside.clear()
        self.last_seq, self.more, self.rest_until = 0, True, rest_until

    def set_aside(self, msg_id: str, now: float) -> bool:
        """Let what nobody answered wait by itself; false if it is answered now."""
        way = self.under_way.pop(msg_id, None)
        if way is None:
            return False
        self.aside[msg_id] = replace(way, tries=way.tries + 1, again=now + AGAIN_AFTER)
        return True

    def due(self, now: float) -> list[str]:
        """Return what was set aside and is to be sent again."""
        return [msg_id for msg_id, way in self.aside.items() if way.again <= now]

    def late(self, now: float) -> list[str]:
        """Return what is under way and was not answered in time."""
        return [one for one, way in self.under_way.items() if way.deadline <= now]
