"""With which keys was a login shown, and where last?  (Ours)"""

from collections import Counter
from itertools import islice
from sys import intern

AT_ONCE = 16
"""Part of all that is forgotten where there are too many: to find it takes all."""


class Proofs:
    """
    The keys, by their SHA-256, and the servers.

    One modulus makes as many keys as there are exponents: where there are too many, the
    oldest are forgotten of the server that showed most, and nobody else's.
    """

    def __init__(self, limit: int) -> None:
        """Remember at most ``limit`` keys."""
        self._limit = limit
        self._shown: dict[bytes, str] = {}

    def __len__(self) -> int:
        return len(self._shown)

    def place(self, hashed: str) -> str:
        """Return where a login with the key of this hash was shown last, or nothing."""
        return self._shown.get(bytes.fromhex(hashed), "")

    def note(self, hashed: str, server_id: str) -> None:
        """Note that a login with the key of this hash was shown."""
        key = bytes.fromhex(hashed)
        self._shown.pop(key, None)  # the latest last
        self._shown[key] = intern(server_id)
        if len(self._shown) > self._limit:
            self._make_room()

    def _make_room(self) -> None:
        [(most, _)] = Counter(self._shown.values()).most_common(1)
        theirs = (key for key, server_id in self._shown.items() if server_id == most)
        for key in list(islice(theirs, max(self._limit // AT_ONCE, 1))):
            del self._shown[key]
