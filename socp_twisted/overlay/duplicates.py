"""Did this frame come before?  ``seen_ids``, bounded in number and age.  (SOCP 8.5)"""

import hashlib
from collections import OrderedDict

from socp_twisted.wire.envelope import Envelope
from socp_twisted.wire.vocabulary import STATES


def identity(envelope: Envelope) -> bytes:
    """
    Name a frame by all that its origin said: type, from, to, ts and payload.

    Not by its signature, of which one payload can have many, and not by ``id``, which
    nobody signs: whoever relays a frame could change either.  A payload that is bound
    (``freshness``) says all that itself, and is the same under any ``ts``.
    """
    head = f"{envelope.sender}\0"
    if "bound" not in envelope.payload or envelope.type in STATES:
        head += f"{envelope.type}\0{envelope.to}\0{envelope.ts}\0"
    return hashlib.blake2b(
        head.encode("utf-8") + envelope.signed, digest_size=16
    ).digest()


class SeenIds:
    """
    Frames that were verified already.

    Looking is cheap and comes before the signature check; remembering comes after it,
    so that a forgery cannot suppress the frame that it imitates.
    """

    def __init__(self, limit: int, age: float) -> None:
        """Remember at most ``limit`` frames, each for ``age`` seconds."""
        self._limit = limit
        self._age = age
        self._seen: OrderedDict[bytes, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._seen)

    def __contains__(self, name: bytes) -> bool:
        return name in self._seen

    def remember(self, name: bytes, now: float) -> None:
        """Note a verified frame; forget those that are too old or too many."""
        self._seen[name] = now
        if len(self._seen) > self._limit:
            self._seen.popitem(last=False)
        self.forget_before(now - self._age)

    def forget_before(self, then: float) -> None:
        """Forget what was seen before ``then``: oldest first, so never a search."""
        while self._seen:
            name, when = next(iter(self._seen.items()))
            if when >= then:
                return
            del self._seen[name]
