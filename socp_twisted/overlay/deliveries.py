"""
Which frames of files still wait for another server's answer?

Messages do not: they are on disk, and ``post`` waits for theirs.
"""

from collections import OrderedDict
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

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def full(self) -> bool:
        """Whether one more would be too many."""
        return len(self._waiting) >= self._limit

    def expect(
        self, msg_id: str, server_id: str, link: LinkId, msg_ref: str, now: float
    ) -> None:
        """Wait for the answer of ``server_id`` to ``msg_id``."""
        deadline = now + ANSWER_TIMEOUT
        self._waiting[msg_id] = Delivery(link, server_id, msg_ref, deadline)

    def settle(self, msg_id: str, server_id: str) -> Delivery | None:
        """Take the delivery that an answer is about; nobody is told twice."""
        found = self._waiting.get(msg_id)
        if found is None or found.server_id != server_id:
            return None
        return self._waiting.pop(msg_id)

    def expire(self, now: float) -> Iterator[Effect]:
        """Tell the senders of what nobody answered in time: silence is no answer."""
        while self._waiting:
            msg_id, delivery = next(iter(self._waiting.items()))
            if delivery.deadline > now:
                return
            del self._waiting[msg_id]
            if delivery.msg_ref:
                yield delivery.failed(
                    ErrorCode.TIMEOUT, "the recipient's server did not answer in 10 s"
                )
