"""What follows from a user's frame?"""

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from socp_twisted.overlay.directory import Location
from socp_twisted.overlay.effects import Effect, HangUp, Send
from socp_twisted.overlay.router import Router
from socp_twisted.wire.vocabulary import (
    CTRL_CLOSE,
    LIST_REQUEST,
    LIST_RESPONSE,
)
from tests.overlay_values import (
    NOW_MS,
    add_server,
    add_user,
    envelope,
    flat,
    key,
    make_mesh,
)


class UserRuleTests(SynchronousTestCase):
    """A user writes to users, as themselves, and is told how it went."""

    def setUp(self) -> None:
        """Alice and carol are ours, bob is at srv-b."""
        self.mesh = make_mesh()
        self.router = Router(self.mesh)
        self.b = add_server(self.mesh, "srv-b")
        self.alice, self.carol = (
            add_user(self.mesh, "alice"),
            add_user(self.mesh, "carol"),
        )
        self.mesh.directory.locate("bob", Location.of("srv-b", key("bob")))

    def say(self, kind: str, sender: str = "alice", **more: Any) -> list[Effect]:
        """Let alice's connection send a frame."""
        to, payload = more.pop("to", "*"), more
        frame = envelope(kind, sender, payload, to=to, ts=NOW_MS - 7, id="ref")
        return self.router.receive_from_user(self.alice, frame)

    def test_list(self) -> None:
        """The list is sorted, and stands where either kind of client looks."""
        [listed] = flat(self.say(LIST_REQUEST))
        assert isinstance(listed, Send)
        self.assertEqual(listed.type, LIST_RESPONSE)
        ids = [one["user_id"] for one in listed.payload["users"]]
        self.assertEqual(ids, ["alice", "bob", "carol"])
        self.assertEqual(listed.extra["users"], listed.payload["users"])

    def test_goodbye(self) -> None:
        """CTRL_CLOSE ends the connection as ordinarily as can be."""
        [bye] = self.say(CTRL_CLOSE)
        assert isinstance(bye, HangUp)
        self.assertEqual((bye.link, bye.code), (self.alice.link, 1000))
