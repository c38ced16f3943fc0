"""Which of our users still owe a receipt, and for what was one given?

A client that can, acknowledges each message that it was given; only then does the
sender's server hear that it was delivered.  (Ours; SOCP 9.5 has ACK as optional.)
"""

from collections import OrderedDict
from dataclasses import dataclass

from socp_twisted.wire.vocabulary import ANSWER_TIMEOUT

REMEMBERED = 65_536
"""Receipts remembered, so that what is sent again is not handed over again."""


@dataclass(frozen=True, slots=True)
class Handed:
    """A message that was handed to a user, on behalf of the server ``origin``."""

    origin: str
    msg_id: str
    user_id: str
    deadline: float


class Receipts:
    """Messages handed over, by the reference that the client was given."""

    def __init__(self) -> None:
        self._owed: OrderedDict[str, Handed] = OrderedDict()
        self._of_user: dict[str, set[str]] = {}
        self._given: OrderedDict[str, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._owed)

    @staticmethod
    def reference(origin: str, msg_id: str) -> str:
        """Return what a client refers to: ids of different servers never meet."""
        return f"{origin}/{msg_id}"

    def ask(self, origin: str, msg_id: str, user_id: str, now: float) -> str:
        """Note that a message is handed over, and return its reference."""
        reference = self.reference(origin, msg_id)
        deadline = now + ANSWER_TIMEOUT
        if reference in self._owed:
            self._forget(reference)  # the newest is last
        self._owed[reference] = Handed(origin, msg_id, user_id, deadline)
        self._of_user.setdefault(user_id, set()).add(reference)
        while len(self._owed) > REMEMBERED:
            self._forget(next(iter(self._owed)))
        return reference

    def is_owed(self, origin: str, msg_id: str, now: float) -> bool:
        """Say whether a message was handed over and may still be acknowledged."""
        handed = self._owed.get(self.reference(origin, msg_id))
        return handed is not None and handed.deadline > now

    def is_given(self, origin: str, msg_id: str) -> bool:
        """Say whether a message was acknowledged before."""
        return self.reference(origin, msg_id) in self._given

    def give(self, reference: str, user_id: str) -> Handed | None:
        """Take a receipt from the user who was given the message, and nobody else."""
        handed = self._owed.get(reference)
        if handed is None or handed.user_id != user_id:
            return None
        self._forget(reference)
        return handed

    def _forget(self, reference: str) -> None:
        user_id = self._owed.pop(reference).user_id
        mine = self._of_user[user_id]
        mine.discard(reference)
        if not mine:
            del self._of_user[user_id]

    def remember(self, origin: str, msg_id: str) -> None:
        """Note that a message has arrived for good."""
        self._given[self.reference(origin, msg_id)] = None
        if len(self._given) > REMEMBERED:
            self._given.popitem(last=False)

    def left(self, user_id: str) -> None:
        """Forget what a user who has left still owed: it is to be handed over again."""
        for reference in self._of_user.pop(user_id, ()):
            del self._owed[reference]
