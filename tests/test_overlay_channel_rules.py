"""How is one ciphertext handed to everybody, and whose word counts?"""

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from socp_twisted.errors import ErrorCode, MalformedFrame, Refused, SocpError
from socp_twisted.overlay import attendance, channel_rules
from socp_twisted.overlay.directory import Location
from socp_twisted.overlay.effects import Effect, Forward, Send, SendAll
from socp_twisted.overlay.party import Party
from socp_twisted.overlay.router import Router
from socp_twisted.wire.encoding import b64u_encode
from socp_twisted.wire.envelope import Envelope
from socp_twisted.wire.limits import Limits
from socp_twisted.wire.vocabulary import (
    ACK,
    ANSWER_TIMEOUT,
    CAP_ACKS,
    CAP_CHANNEL,
    EXTRA_CHANNEL,
    MSG_PUBLIC_CHANNEL,
    PUBLIC,
    PUBLIC_CHANNEL_KEY_SHARE,
)
from tests.overlay_values import (
    NOW_MS,
    add_server,
    add_user,
    envelope,
    key,
    make_mesh,
    verified,
)

CAN = (EXTRA_CHANNEL,)
CIPHERTEXT = b64u_encode(bytes(512))


class ChannelRuleCase(SynchronousTestCase):
    """Alice, bob and carol are ours; erin's client cannot; dave is at srv-b."""

    limits = Limits()

    def setUp(self) -> None:
        """Everybody is there, and srv-b hands out what is for everybody."""
        self.mesh = make_mesh(limits=self.limits)
        self.router = Router(self.mesh)
        self.alice, self.bob, self.carol, self.erin = (
            add_user(self.mesh, name) for name in ("alice", "bob", "carol", "erin")
        )
        for name in ("alice", "bob", "carol"):
            self.locate(name, "srv-a")
        self.b = add_server(self.mesh, "srv-b", caps=[CAP_ACKS, CAP_CHANNEL])
        self.locate("dave", "srv-b")

    def locate(self, user_id: str, server_id: str) -> None:
        """Let a user be online whose client can."""
        self.mesh.directory.locate(
            user_id, Location.of(server_id, key(user_id), extras=CAN, ts=NOW_MS)
        )

    def message(self, owner: str = "alice", **more: Any) -> dict[str, Any]:
        """Return the payload of a message to everybody."""
        payload = {
            "ciphertext": CIPHERTEXT,
            "sender_pub": key(owner),
            "content_sig": "c2ln",
            "key_id": "k1",
            "seq": 0,
        }
        return {**payload, **more}

    def shares(self, *members: str, **more: Any) -> dict[str, Any]:
        """Return the payload of alice's key for some members."""
        shares = [
            {"member": one, "wrapped_public_channel_key": CIPHERTEXT} for one in members
        ]
        payload = {"shares": shares, "creator_pub": key("alice"), "content_sig": "c2ln"}
        return {**payload, "key_id": "k1", **more}

    def say(
        self, payload: dict[str, Any], kind: str = MSG_PUBLIC_CHANNEL, **more: Any
    ) -> list[Effect]:
        """Let alice's connection send a frame."""
        more = {"to": PUBLIC, "id": "m1", "ts": NOW_MS - 7, **more}
        frame = envelope(kind, "alice", payload, **more)
        return self.router.receive_from_user(self.alice, frame)

    def hear(
        self, payload: dict[str, Any], kind: str = MSG_PUBLIC_CHANNEL, **more: Any
    ) -> list[Effect]:
        """Let srv-b send a frame."""
        return self.router.receive(self.b, verified(kind, "srv-b", payload, **more))

    def receipt(self, party: Party, **told: Any) -> list[Effect]:
        """Let a user's client say what it has."""
        frame = envelope(ACK, party.name, told)
        return self.router.receive_from_user(party, frame)

    def fault(
        self, payload: dict[str, Any], kind: str = MSG_PUBLIC_CHANNEL, **more: Any
    ) -> tuple[ErrorCode, str]:
        """Return why alice's frame is refused."""
        why: SocpError = self.assertRaises(SocpError, self.say, payload, kind, **more)
        return why.code, str(why)


class FanOutTests(ChannelRuleCase):
    """One frame for our users and one for the servers, whoever they are."""

    def test_said(self) -> None:
        """To those here who can, but the sender; and to the server that has others."""
        here, there = self.say(self.message())
        assert isinstance(here, SendAll) and isinstance(there, SendAll)
        self.assertEqual(here.links, (self.bob.link, self.carol.link))
        self.assertEqual(
            (here.type, here.to, here.ts), (MSG_PUBLIC_CHANNEL, PUBLIC, NOW_MS - 7)
        )
        content = {**self.message(), "sender": "alice", "ts": NOW_MS - 7}
        self.assertEqual(there.payload, content)
        self.assertEqual(set(here.payload) - set(content), {"msg_id"})
        self.assertEqual((there.links, there.to), ((self.b.link,), "*"))

    def test_answer(self) -> None:
        """One answer, when the last has said so: it names who has it."""
        ref = self.said_ref()
        self.assertEqual(self.receipt(self.bob, msg_refs=[ref]), [])
        answer = {"msg_ref": ref, "received": ["dave"], "status": "delivered"}
        self.assertEqual(self.hear(answer, ACK, to="srv-a"), [])
        [told] = self.receipt(self.carol, msg_refs=[], refused=[ref])
        names = {"msg_ref": "m1", "status": "delivered", "received": ["bob", "dave"]}
        self.assertEqual(told, SendAll((self.alice.link,), ACK, names, to="alice"))
        self.assertEqual(len(self.mesh.broadcasts), 0)

    def said_ref(self) -> str:
        """Let alice say something; return what receipts refer to."""
        here, _ = self.say(self.message())
        assert isinstance(here, SendAll)
        return str(here.payload["msg_id"])

    def test_others_members(self) -> None:
        """A server vouches for its own users alone, whatever it says."""
        ref = self.said_ref()
        answer = {"msg_ref": ref, "received": ["carol", "dave", "frank"]}
        self.hear(answer, ACK, to="srv-a")
        for party in (self.bob, self.carol):
            told = self.receipt(party, refused=[ref])
        [answered] = told
        assert isinstance(answered, SendAll)
        self.assertEqual(answered.payload["received"], ["dave"])

    def test_not_handed(self) -> None:
        """Erin was not given it, and eve knows its name: neither has it."""
        ref = self.said_ref()
        eve = add_user(self.mesh, "eve")
        for party in (self.erin, eve, self.alice):
            self.receipt(party, msg_refs=[ref])
        broadcast = self.mesh.broadcasts.get(ref)
        assert broadcast is not None
        self.assertEqual(broadcast.received, [])

    def test_malformed_receipts(self) -> None:
        """What is no list of references changes nothing."""
        for told in ({"msg_refs": "x"}, {"refused": [1]}, {"msg_refs": ["x"] * 513}):
            self.assertRaises(MalformedFrame, self.receipt, self.bob, **told)

    def test_nobody_answers(self) -> None:
        """After ten seconds the sender is told what is known."""
        ref = self.said_ref()
        self.receipt(self.bob, msg_refs=[ref])
        self.mesh.now += ANSWER_TIMEOUT - 0.1
        self.assertEqual(list(channel_rules.expire(self.mesh)), [])
        self.mesh.now += 0.1
        [told] = channel_rules.expire(self.mesh)
        assert isinstance(told, SendAll)
        self.assertEqual(told.payload["received"], ["bob"])

    def test_members_leave(self) -> None:
        """Who leaves is not waited for."""
        self.mesh.directory.servers["srv-b"].links.clear()
        [here] = self.say(self.message())
        assert isinstance(here, SendAll)
        self.receipt(self.bob, msg_refs=[here.payload["msg_id"]])
        effects = list(attendance.leave(self.mesh, self.carol))
        answers = [one for one in effects if isinstance(one, SendAll)]
        self.assertEqual(answers[0].type, ACK)
        self.assertEqual(answers[0].payload["received"], ["bob"])

    def test_nobody_there(self) -> None:
        """It is answered at once: nobody has it."""
        for name in ("bob", "carol", "dave"):
            self.mesh.directory.remove(name)
        [told] = self.say(self.message())
        assert isinstance(told, SendAll)
        self.assertEqual((told.type, told.payload["received"]), (ACK, []))

    def test_sent_again(self) -> None:
        """While it is under way it is not handed out once more."""
        ref = self.said_ref()
        self.assertEqual(self.say(self.message(), id="m2"), [])
        broadcast = self.mesh.broadcasts.get(ref)
        assert broadcast is not None
        self.assertEqual(broadcast.msg_ref, "m2")

    def test_refused(self) -> None:
        """In another's name or key, too old, too long, or no message at all."""
        cases: list[tuple[ErrorCode, dict[str, Any], dict[str, Any]]] = [
            (ErrorCode.NOT_ALLOWED, {"sender": "bob"}, {}),
            (ErrorCode.BAD_KEY, {"sender_pub": key("bob")}, {}),
            (ErrorCode.MALFORMED, {}, {"ts": NOW_MS - 600_001}),
            (ErrorCode.MALFORMED, {"key_id": "k 1"}, {}),
            (ErrorCode.MALFORMED, {"seq": -1}, {}),
            (ErrorCode.MALFORMED, {"seq": True}, {}),
            (ErrorCode.MALFORMED, {"ciphertext": b64u_encode(bytes(500))}, {}),
            (ErrorCode.MALFORMED, {"ciphertext": ""}, {}),
            (ErrorCode.MALFORMED, {}, {"to": "bob"}),
        ]
        for code, changes, how in cases:
            found, _ = self.fault(self.message(**changes), **how)
            self.assertEqual(found, code, changes)
        self.assertEqual(len(self.mesh.broadcasts), 0)

    def test_too_long(self) -> None:
        """A message is bounded as every other is."""
        payload = self.message(ciphertext=b64u_encode(bytes(512 * 300)))
        text = envelope(MSG_PUBLIC_CHANNEL, "alice", payload, to=PUBLIC).to_frame()
        with self.assertRaises(Refused) as caught:
            self.router.receive_from_user(self.alice, Envelope.parse(text))
        self.assertIn("max-message", str(caught.exception))


class OtherServersTests(ChannelRuleCase):
    """What comes from another server goes to ours, and the answer back to it."""

    def test_heard(self) -> None:
        """Handed to our users who can; answered once, by name."""
        said = self.message("dave", sender="dave", ts=NOW_MS - 7)
        [here] = self.hear(said)
        assert isinstance(here, SendAll)
        links = (self.alice.link, self.bob.link, self.carol.link)
        self.assertEqual(here.links, links)
        ref = here.payload["msg_id"]
        for party in (self.alice, self.bob):
            self.assertEqual(self.receipt(party, msg_refs=[ref]), [])
        [told] = self.receipt(self.carol, msg_refs=[ref])
        assert isinstance(told, Send)
        self.assertEqual((told.type, told.to), (ACK, "srv-b"))
        names = ["alice", "bob", "carol"]
        self.assertEqual(told.payload["received"], names)
        self.assertEqual(told.payload["msg_ref"], ref)

    def test_not_their_user(self) -> None:
        """A server speaks for its own users, with their keys."""
        for sender, sender_key, code in (
            ("bob", "bob", ErrorCode.NOT_ALLOWED),
            ("dave", "bob", ErrorCode.BAD_KEY),
            ("", "dave", ErrorCode.MALFORMED),
        ):
            said = self.message(sender_key, sender=sender, ts=NOW_MS)
            why: SocpError = self.assertRaises(SocpError, self.hear, said)
            self.assertEqual(why.code, code)
            share = self.shares("bob", sender=sender, creator_pub=key(sender_key))
            why = self.assertRaises(
                SocpError, self.hear, share, PUBLIC_CHANNEL_KEY_SHARE
            )
            self.assertEqual(why.code, code)

    def test_passed_on(self) -> None:
        """To a server that the origin has no link with, if it can; and not back."""
        c = add_server(self.mesh, "srv-c", caps=[CAP_ACKS, CAP_CHANNEL])
        add_server(self.mesh, "srv-d")
        said = self.message("dave", sender="dave", ts=NOW_MS)
        _, onwards = self.hear(said)
        assert isinstance(onwards, Forward)
        self.assertEqual(onwards.links, (c.link,))

    def test_one_member(self) -> None:
        """What a server of others sends for one member goes the old way."""
        said = self.message("dave", sender="dave", user_id="bob", ts=NOW_MS)
        effects = self.hear(said, to="srv-a")
        [handed] = [one for one in effects if isinstance(one, SendAll)]
        self.assertEqual((handed.links, handed.to), ((self.bob.link,), "bob"))


class ShareTests(ChannelRuleCase):
    """A key goes to those for whom it is wrapped, and to their servers."""

    def share(self, payload: dict[str, Any]) -> list[Effect]:
        """Let alice share her key."""
        return self.say(payload, PUBLIC_CHANNEL_KEY_SHARE)

    def test_shared(self) -> None:
        """One frame for those who are here, one for the servers of the others."""
        payload = self.shares("bob", "dave", "erin", "nobody")
        here, there = self.share(payload)
        content = {**payload, "sender": "alice"}
        self.assertEqual(
            here,
            SendAll((self.bob.link,), PUBLIC_CHANNEL_KEY_SHARE, content, to=PUBLIC),
        )
        self.assertEqual(
            there, SendAll((self.b.link,), PUBLIC_CHANNEL_KEY_SHARE, content)
        )

    def test_from_elsewhere(self) -> None:
        """Handed to those who are here."""
        payload = self.shares("bob", "frank", sender="dave", creator_pub=key("dave"))
        [here] = self.hear(payload, PUBLIC_CHANNEL_KEY_SHARE)
        assert isinstance(here, SendAll)
        self.assertEqual(here.links, (self.bob.link,))

    def test_refused(self) -> None:
        """Another's key, too many wraps, or what is none."""
        wrap = {"member": "bob", "wrapped_public_channel_key": CIPHERTEXT}
        cases: list[tuple[ErrorCode, dict[str, Any]]] = [
            (ErrorCode.BAD_KEY, {"creator_pub": key("bob")}),
            (ErrorCode.NOT_ALLOWED, {"sender": "bob"}),
            (ErrorCode.MALFORMED, {"shares": [wrap] * 65}),
            (ErrorCode.MALFORMED, {"shares": [{**wrap, "member": "a b"}]}),
            (ErrorCode.MALFORMED, {"shares": ["bob"]}),
            (ErrorCode.MALFORMED, {"key_id": ""}),
        ]
        for code, changes in cases:
            payload = self.shares("bob", **changes)
            found, _ = self.fault(payload, PUBLIC_CHANNEL_KEY_SHARE)
            self.assertEqual(found, code, changes)

    def test_900_kb(self) -> None:
        """Shares of 900 kB are refused by their length, before they are read."""
        wrap = {"member": "bob", "wrapped_public_channel_key": "A" * 450_000}
        payload = self.shares("bob", shares=[wrap] * 2)
        frame = envelope(PUBLIC_CHANNEL_KEY_SHARE, "alice", payload, to=PUBLIC)
        with self.assertRaises(Refused) as caught:
            self.router.receive_from_user(self.alice, Envelope.parse(frame.to_frame()))
        self.assertIn("max-message", str(caught.exception))

    def test_of_others(self) -> None:
        """What a client of others calls a share is nothing to us, as it was."""
        payload = self.shares("bob")
        del payload["key_id"]
        self.assertEqual(self.share(payload), [])


class FullTests(ChannelRuleCase):
    """With no room left, the sender is told at once."""

    limits = Limits(channel=2)

    def test_ours(self) -> None:
        """One message of a user is under way; the next is refused by name."""
        self.say(self.message())
        code, detail = self.fault(self.message(seq=1))
        self.assertEqual(code, ErrorCode.LIMIT)
        self.assertIn("max-channel", detail)

    def test_another_servers(self) -> None:
        """Its message is handed to nobody, and answered so: it comes another way."""
        self.hear(self.message("dave", sender="dave", ts=NOW_MS))
        later = self.message("dave", sender="dave", ts=NOW_MS, seq=1)
        [told] = self.hear(later)
        assert isinstance(told, Send)
        self.assertEqual((told.type, told.payload["received"]), (ACK, []))
        self.assertEqual(self.mesh.counters["max-channel"], 1)
