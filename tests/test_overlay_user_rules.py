"""What follows from a user's frame?"""

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from socp_twisted.errors import ErrorCode, MalformedFrame, Refused, SocpError
from socp_twisted.overlay.directory import Location
from socp_twisted.overlay.effects import Effect, HangUp, Send, SendAll
from socp_twisted.overlay.router import Router
from socp_twisted.wire.encoding import b64u_encode
from socp_twisted.wire.vocabulary import (
    CTRL_CLOSE,
    LIST_REQUEST,
    LIST_RESPONSE,
    MSG_DIRECT,
    SERVER_DELIVER,
    USER_DELIVER,
)
from tests.overlay_values import (
    NOW_MS,
    add_server,
    add_user,
    envelope,
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
        self.mesh.directory.locate("bob", Location("srv-b", key("bob")))

    def say(self, kind: str, sender: str = "alice", **more: Any) -> list[Effect]:
        """Let alice's connection send a frame."""
        to, payload = more.pop("to", "*"), more
        frame = envelope(kind, sender, payload, to=to, ts=NOW_MS - 7, id="ref")
        return self.router.receive_from_user(self.alice, frame)

    def write(
        self,
        to: str,
        sender: str = "alice",
        *,
        inside: dict[str, Any] | None = None,
        **more: Any,
    ) -> list[Effect]:
        """Let alice's connection send a message; ``inside`` is for the payload."""
        payload = {
            "ciphertext": b64u_encode(bytes(512)),
            "sender_pub": key("alice"),
            "content_sig": "c2ln",
            **more,
            **(inside or {}),
        }
        return self.router.receive_from_user(
            self.alice,
            envelope(MSG_DIRECT, sender, payload, to=to, ts=NOW_MS - 7, id="ref"),
        )

    def fault(self, kind: type[SocpError], *args: Any, **more: Any) -> SocpError:
        """Return why a message is not taken."""
        fault: SocpError = self.assertRaises(kind, self.write, *args, **more)
        return fault

    def test_local(self) -> None:
        """To a local user: delivered with the sender's own time."""
        handed = next(
            one
            for one in self.write("carol")
            if isinstance(one, SendAll) and one.type == USER_DELIVER
        )
        self.assertEqual((handed.links, handed.ts), ((self.carol.link,), NOW_MS - 7))
        self.assertEqual(handed.payload["sender"], "alice")

    def test_elsewhere(self) -> None:
        """To another server's: sent there, and nothing told before it answers."""
        [sent] = self.write("bob")
        assert isinstance(sent, Send)
        self.assertEqual((sent.type, sent.to), (SERVER_DELIVER, "srv-b"))
        self.assertEqual((sent.link, sent.ts), (self.b.link, NOW_MS - 7))
        self.assertEqual(sent.payload["user_id"], "bob")

    def test_as_another(self) -> None:
        """Nobody writes in another's name (S1), in either place, or with their key."""
        for args, more in (
            (("carol", "bob"), {}),
            (("carol",), {"sender": "bob"}),
            (("carol",), {"sender_pub": key("bob")}),
        ):
            fault = self.fault(Refused, *args, **more)
            self.assertIn(fault.code, (ErrorCode.NOT_ALLOWED, ErrorCode.BAD_KEY))

    def test_s25_shapes(self) -> None:
        """Ciphertext and signature are base64url of the right size, or refused (R7)."""
        sizes: list[Any] = ["", b64u_encode(bytes(511)), "A" * 683 + "="]
        for bad in [None, {}, 5, "!", *sizes]:
            self.fault(MalformedFrame, "carol", ciphertext=bad)
        for bad in [None, {}, 5, "!", "AA=="]:
            self.fault(MalformedFrame, "carol", content_sig=bad)

    def test_places_disagree(self) -> None:
        """Two recipients are none."""
        frame = {"to": "bob"}
        self.assertRaises(MalformedFrame, lambda: self.write("carol", inside=frame))

    def test_list(self) -> None:
        """The list is sorted, and stands where either kind of client looks."""
        [listed] = self.say(LIST_REQUEST)
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
