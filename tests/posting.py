"""Nodes that hold messages, and users whose clients give receipts."""

from collections import Counter
from typing import Any

from socp_twisted.post import Post
from socp_twisted.wire.envelope import Envelope
from socp_twisted.wire.vocabulary import EXTRA_RECEIPTS, MSG_DIRECT
from tests.support import Site
from tests.users import Person, UserTestCase


def put_disk(post: Post, store: Any) -> None:
    """Let a post, and all who work for it, keep its messages elsewhere from now on."""
    rooms = (post._acquaintances, post._tidings, post._sending, post._overdue)
    for room in (post, *rooms):
        room._store = store


class CountingStore:
    """A store that counts what is asked of its disk."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self.asked: Counter[str] = Counter()

    def __getattr__(self, name: str) -> Any:
        """Count it, and do what the store does."""
        self.asked[name] += 1
        return getattr(self._store, name)


class PostTestCase(UserTestCase):
    """Nodes that hold messages for a day, and users whose clients give receipts."""

    hold = 86_400.0

    def reader(self, site: Site, user_id: str) -> Person:
        """Log a user in whose client gives receipts, when the test says so."""
        extras = [EXTRA_RECEIPTS]
        return self.person(site, user_id, extras=extras, nonce="a nonce")

    def give(self, person: Person, *deliveries: Envelope, code: str = "") -> None:
        """Let a client acknowledge what it was given, or refuse it."""
        for one in deliveries:
            receipt = {"msg_ref": one.payload["msg_id"]}
            if code:
                refusal = {**receipt, "code": code, "detail": "no"}
                person.say("ERROR", person.user_id, "*", refusal)
            else:
                person.say("ACK", person.user_id, "*", receipt)

    def given(self, person: Person) -> list[int]:
        """Return the ts of all that a client was given, in order."""
        return [one.ts for one in person.of("USER_DELIVER")]

    def frame(self, sender: Person, to: str, **more: Any) -> Envelope:
        """Return a message that can be sent more than once."""
        ts, payload = sender.message(to, **more)
        return Envelope.create(MSG_DIRECT, sender.user_id, to, ts, payload)

    def send(self, sender: Person, frame: Envelope, id: str = "m") -> None:
        """Send a message, under an id."""
        sender.say(
            MSG_DIRECT, frame.sender, frame.to, dict(frame.payload), ts=frame.ts, id=id
        )

    def waits(self, site: Site, user_id: str = "bob") -> int:
        """Return how many messages wait for a user on a node's disk."""
        return len(self.done(self.stores[site.id].waiting(user_id, 0, 10_000)))
