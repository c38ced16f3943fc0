"""Who is in the group ``public``?  Everybody; here is the count.  (SOCP 9.3)"""

from collections.abc import Iterable
from dataclasses import dataclass, field

MAX_LEAP = 10_000
"""Versions that one message may advance the channel: a poisoned one is no number."""


MAX_MEMBERS = 200_000
"""Members remembered: another server may invent users, one after the other."""


@dataclass(slots=True)
class Channel:
    """The public channel: a version that only grows, and members that were seen."""

    version: int = 1
    members: set[str] = field(default_factory=set)

    def add(self, user_ids: Iterable[str]) -> bool:
        """Add members; say whether any was new, in which case the version grew."""
        new = set(user_ids) - self.members
        if new and len(self.members) < MAX_MEMBERS:
            self.members |= new
            self.version += 1
            return True
        return False

    def heard(self, version: int) -> None:
        """Follow another server's version, unless it leaps beyond belief."""
        if self.version < version <= self.version + MAX_LEAP:
            self.version = version
