"""
Which frames of files still wait for another server's answer?

Messages do not: they are on disk, and ``post`` waits for theirs.
"""

from collections import Counter, OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass

from socp_twisted.errors import ErrorCode
from socp_twisted.overlay.effects import Answer, Effect, LinkId, Send
from socp_twisted.wire.vocabulary import ACK, ANSWER_TIMEOUT


@dataclass(frozen=True, slots=True)
class Delivery:
    """What another server was asked to deliver."""

    link: LinkId  # of the user who sent it
    server_id: str  # who should answer
    msg_ref: str  # the ``id`` of the user's frame, empty if it had none
    deadline: float

    def delivered(self) -> Iterator[Effect]:
        """Tell the sender that it arrived, if they asked to be told."""
        if self.msg_ref:
            yield Send(self.link, ACK, {"msg_ref": self.msg_ref, "status": "delivered"})

    def failed(self, code: str, detail: str) -> Answer:
        """Tell the sender that it did not."""
        return Answer(self.link, code, detail, self.msg_ref)


class Deliveries:
    """Deliveries under way, by the id that we gave each; oldest first."""

    def __init__(self, limit: int) -> None:
        """Wait for at most ``limit`` answers at a time."""
        self._limit = limit
        self._waiting: OrderedDict[str, Delivery] = OrderedDict()
        self._of_link: Counter[LinkId] = Counter()

    def __len__(self) -> int:
        return len(self._waiting)

    def is_full(self, link: LinkId) -> bool:
        """
        Say whether one more of this connection's would be too many.

        Who has less than an equal share of them has room: ten connections that nobody
        answers stop no other's files.  So there are never more than twice the limit.
        """
        mine, links = self._of_link.get(link, 0), len(self._of_link)
        return len(self._waiting) >= self._limit <= mine * links

    def expect(
        self, msg_id: str, server_id: str, link: LinkId, msg_ref: str, now: float
    ) -> None:
        """Wait for the answer of ``server_id`` to ``msg_id``."""
        deadline = now + ANSWER_TIMEOUT
        self._waiting[msg_id] = Delivery(link, server_id, msg_ref, deadline)
        self._of_link[link] += 1

    def settle(self, msg_id: str, server_id: str) -> Delivery | None:
        """Take the delivery that an answer is about; nobody is told twice."""
        found = self._waiting.get(msg_id)
        if found is None or found.server_id != server_id:
            return None
        return self._take(msg_id)

    def expire(self, now: float) -> Iterator[Effect]:
        """Tell the senders of what nobody answered in time: silence is no answer."""
        while self._waiting:
            msg_id, delivery = next(iter(self._waiting.items()))
            if delivery.deadline > now:
                return
            self._take(msg_id)
            if delivery.msg_ref:
                yield delivery.failed(
                    ErrorCode.TIMEOUT, "the recipient's server did not answer in 10 s"
                )

    def _take(self, msg_id: str) -> Delivery:
        delivery = self._waiting.pop(msg_id)
        self._of_link[delivery.link] -= 1
        if not self._of_link[delivery.link]:
            del self._of_link[delivery.link]
        return delivery
