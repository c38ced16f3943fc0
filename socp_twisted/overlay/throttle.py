"""Who guesses passwords?  Each failure costs the next attempt time.  (SOCP 9.1)"""

from collections import OrderedDict
from dataclasses import dataclass

FREE = 5
"""Failures that cost nothing: people mistype."""

LONGEST = 900.0
"""Seconds; no lock-out is for ever, or anybody could lock anybody out."""

FORGOTTEN = 1800.0
"""Seconds without a failure after which nobody mistyped: an address has many users."""

REMEMBERED = 10_000
"""Names and addresses with failures; those that failed longest ago are forgotten."""


@dataclass(slots=True)
class _Record:
    failures: int = 0
    until: float = 0.0
    last: float = 0.0


class Throttle:
    """Failed logins by key, where a key is a user or an address."""

    def __init__(self) -> None:
        self._records: OrderedDict[str, _Record] = OrderedDict()

    def __len__(self) -> int:
        return len(self._records)

    def wait(self, *keys: str, now: float) -> float:
        """Return how many seconds the next attempt under any of these must wait."""
        found = (self._records.get(key) for key in keys)
        return max((one.until - now for one in found if one), default=0.0)

    def failed(self, *keys: str, now: float) -> None:
        """Count a failure; from the sixth on, the wait doubles: 1, 2, 4 ... 900 s."""
        for key in keys:
            record = self._records.pop(key, None) or _Record()
            if now - max(record.last, record.until) >= FORGOTTEN:
                record = _Record()
            record.failures, record.last = record.failures + 1, now
            over = record.failures - FREE
            if over > 0:
                record.until = now + min(2.0 ** min(over - 1, 20), LONGEST)
            self._records[key] = record
            if len(self._records) > REMEMBERED:
                self._records.popitem(last=False)

    def succeeded(self, *keys: str) -> None:
        """Forget the failures: it was they who mistyped."""
        for key in keys:
            self._records.pop(key, None)
