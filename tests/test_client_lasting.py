"""What outlives a connection: questions on their way out, receipts on their way in."""

from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from socp_twisted.client import events as told
from socp_twisted.client.outbox import NO_ANSWER, OK, Outbox, Outcome
from socp_twisted.client.pins import Pins
from socp_twisted.trust.sealing import seal
from socp_twisted.trust.signatures import direct_content, sign
from socp_twisted.wire.encoding import b64u_encode
from tests.client_peer import NOW, Server, SessionCase, User, deliver
from tests.client_room import Room
from tests.vector_files import private, public

LOST = Outcome("TIMEOUT", "cut off")


class OutboxTests(SynchronousTestCase):
    """A lasting question is settled once, over as many connections as it takes."""

    def setUp(self) -> None:
        """Ask one question that lasts, and one that does not."""
        self.outbox = Outbox(sender="alice")
        self.ended: list[tuple[str, Outcome]] = []
        self.lasting = self.ask("lasting", lasting=True)
        self.ask("other")
        [self.frame, _] = self.outbox.drain().frames

    def ask(self, name: str, **how: Any) -> str:
        """Send a frame that wants an answer."""
        return self.outbox.send(
            "MSG_DIRECT",
            "bob",
            {},
            NOW,
            settle=lambda outcome, _: self.ended.append((name, outcome)),
            **how,
        )

    def test_lost(self) -> None:
        """Only what does not last is settled when the connection goes."""
        self.outbox.lost(LOST, NOW)
        self.assertEqual(self.ended, [("other", LOST)])
        self.outbox.expire(NOW + 10**9)
        self.assertEqual(len(self.ended), 1)

    def test_again(self) -> None:
        """It is asked again to the letter, three times if nobody answers."""
        self.outbox.lost(LOST, NOW)
        self.outbox.again(NOW + 60_000)
        for late in (75_000, 90_000):
            self.assertEqual(self.outbox.drain().frames, (self.frame,))
            self.outbox.expire(NOW + late - 1)
            self.assertEqual(self.outbox.drain().frames, ())
            self.outbox.expire(NOW + late)
        self.assertEqual(self.outbox.drain().frames, (self.frame,))
        self.assertEqual(len(self.ended), 1)
        self.outbox.expire(NOW + 105_000)
        self.assertEqual(self.ended[1:], [("lasting", NO_ANSWER)])

    def test_order(self) -> None:
        """Several go in the order in which they went at first."""
        self.ask("second", lasting=True)
        self.ask("third", lasting=True)
        frames = self.outbox.drain().frames
        self.outbox.lost(LOST, NOW)
        self.outbox.again(NOW)
        self.assertEqual(self.outbox.drain().frames, (self.frame, *frames))

    def test_answered(self) -> None:
        """What was answered is not asked again, nor settled again."""
        self.assertTrue(self.outbox.answer(self.lasting, OK, NOW))
        self.assertFalse(self.outbox.answer(self.lasting, OK, NOW))
        self.outbox.lost(LOST, NOW, for_good=True)
        self.outbox.again(NOW)
        self.assertEqual(self.outbox.drain().frames, ())
        self.assertEqual(self.ended, [("lasting", OK), ("other", LOST)])

    def test_for_good(self) -> None:
        """Where there will be no other connection, it is settled."""
        self.outbox.lost(LOST, NOW, for_good=True)
        self.assertEqual(self.ended, [("lasting", LOST), ("other", LOST)])

    def test_patient(self) -> None:
        """A promise of the server ends the waiting for it; it is made once."""
        self.assertTrue(self.outbox.patient(self.lasting))
        self.assertFalse(self.outbox.patient(self.lasting))
        self.assertFalse(self.outbox.patient("nothing"))
        self.outbox.expire(NOW + 10**9)
        self.assertEqual([name for name, _ in self.ended], ["other"])


class LastingCase(SessionCase):
    """Alice and bob, at a server that keeps silent on messages."""

    def setUp(self) -> None:
        """Both are logged in."""
        super().setUp()
        self.alice, self.bob = self.both()
        self.server.silent = {"MSG_DIRECT", "ACK", "ERROR"}

    def tell(self, text: str = "hello") -> str:
        """Let alice write; return the message's id."""
        message = self.alice.session.tell("bob", text, self.server.now)
        self.server.pump()
        return message

    def answer(self, number: int, status: str) -> None:
        """Let the server answer one of alice's messages."""
        frame = self.alice.frames("MSG_DIRECT")[number]
        ack = {"msg_ref": frame["id"], "status": status}
        self.server.say(self.alice, "ACK", ack)
        self.server.pump()

    def reconnect(self) -> None:
        """Lose the connection, and log in on another one."""
        self.alice.session.lost(self.server.now, "cut off")
        self.alice.session.connected()
        self.alice.session.login(self.server.now)
        self.server.pump()


class QueuedTests(LastingCase):
    """The server keeps a message, and says later what became of it."""

    def test_queued(self) -> None:
        """Said once; no silence after it is a failure; at last it is delivered."""
        message = self.tell()
        for _ in range(2):
            self.answer(0, "queued")
        self.assertEqual(self.alice.events, [told.Queued(message, "bob")])
        self.server.tick(86_400)
        self.answer(0, "delivered")
        self.answer(0, "delivered")
        expected = [told.Queued(message, "bob"), told.Delivered(message, "bob")]
        self.assertEqual(self.alice.events, expected)

    def test_given_up(self) -> None:
        """Or it is not, and why."""
        message = self.tell()
        self.answer(0, "queued")
        [frame] = self.alice.frames("MSG_DIRECT")
        self.server.error(self.alice, frame, "TIMEOUT", "nobody came")
        self.server.pump()
        [failed] = self.alice.told(told.NotDelivered)
        self.assertEqual((failed.message_id, failed.detail), (message, "nobody came"))

    def test_reconnected(self) -> None:
        """On the next connection it is asked again; the user hears of it once."""
        message = self.tell()
        self.answer(0, "queued")
        self.reconnect()
        first, second = self.alice.frames("MSG_DIRECT")
        self.assertEqual(first, second)
        self.answer(0, "queued")
        self.server.tick(86_400)
        self.answer(0, "delivered")
        self.assertEqual(self.alice.told(told.Queued), [told.Queued(message, "bob")])
        self.assertEqual(
            self.alice.told(told.Delivered), [told.Delivered(message, "bob")]
        )
        self.assertEqual(self.alice.told(told.NotDelivered), [])

    def test_somebody_elses(self) -> None:
        """A promise about nothing of ours is no news."""
        for reference in ("x", "", None, 5):
            ack = {"msg_ref": reference, "status": "queued"}
            self.server.say(self.alice, "ACK", ack)
        self.assertEqual(self.alice.events, [])


class AgainTests(LastingCase):
    """What a connection took with it goes on the next one, to the letter."""

    def test_several(self) -> None:
        """In order, before anything new, each once for each connection."""
        for text in ("one", "two"):
            self.tell(text)
        self.answer(0, "delivered")
        self.tell("three")
        first = self.alice.frames("MSG_DIRECT")
        self.reconnect()
        self.assertEqual(self.alice.frames("MSG_DIRECT")[3:], first[1:])
        self.tell("four")
        self.server.tick(1)
        self.assertEqual(len(self.alice.frames("MSG_DIRECT")), 6)

    def test_not_before_the_login(self) -> None:
        """Whoever answers the call must prove to be our server first."""
        self.tell()
        self.alice.session.lost(self.server.now, "cut off")
        self.server.silent |= {"USER_LOGIN"}
        self.alice.session.connected()
        self.alice.session.login(self.server.now)
        self.server.pump()
        self.server.tick(5)
        self.assertEqual(len(self.alice.frames("MSG_DIRECT")), 1)

    def test_public(self) -> None:
        """What was said to everybody goes again as well."""
        self.server.silent.add("MSG_PUBLIC_CHANNEL")
        self.alice.session.all("hello", NOW)
        self.server.pump()
        self.reconnect()
        first, second = self.alice.frames("MSG_PUBLIC_CHANNEL")
        self.assertEqual(first, second)

    def test_list(self) -> None:
        """A request for the list does not: it is reported."""
        self.server.silent.add("LIST_REQUEST")
        self.alice.session.request_list(NOW)
        self.server.pump()
        self.reconnect()
        [failed] = self.alice.told(told.ListFailed)
        self.assertEqual(failed.detail, "cut off")
        self.assertEqual(len(self.alice.frames("LIST_REQUEST")), 1)

    def test_no_answers(self) -> None:
        """Where nothing is answered, nobody knows what arrived: it is not repeated."""
        self.server = Server(style="original")
        self.alice, self.bob = self.both()
        for user in (self.alice, self.bob):
            self.server.arrive(user)
        self.server.pump()
        self.tell()
        self.reconnect()
        self.assertEqual(len(self.alice.frames("MSG_DIRECT")), 1)


class ReceiptTests(LastingCase):
    """A message is acknowledged once it is shown, and refused if it cannot be."""

    def payload(self, text: bytes = b"hello", **changed: Any) -> dict[str, Any]:
        """Return a message of alice's to bob, for which a receipt is asked."""
        ciphertext = changed.pop("sealed", None) or seal(public("bob"), text)
        content = direct_content(ciphertext, "alice", "bob", NOW)
        return {
            "ciphertext": b64u_encode(ciphertext),
            "sender": "alice",
            "sender_pub": public("alice").text,
            "content_sig": sign(private("alice"), content),
            "ts": NOW,
            "msg_id": "srv-a/m1",
            **changed,
        }

    def receipts(self, payload: dict[str, Any]) -> list[dict[str, Any]]:
        """Give bob's client a message; return what it has answered so far."""
        deliver(self.server, self.bob, payload)
        return [
            one["payload"] for one in self.bob.sent if one["type"] in ("ACK", "ERROR")
        ]

    def test_shown(self) -> None:
        """The receipt names what the server named, and comes after the event."""
        good = {"msg_ref": "srv-a/m1", "status": "delivered"}
        self.server.say(self.bob, "USER_DELIVER", self.payload())
        output = self.bob.session.drain()
        self.assertEqual([type(one) for one in output.events], [told.TextReceived])
        self.assertEqual((len(output.frames), len(output.receipts)), (0, 1))
        self.assertEqual(self.receipts(self.payload(msg_id="")), [])
        self.assertEqual(self.receipts(self.payload(b"two")), [good])

    def test_unasked(self) -> None:
        """Without a reference there is nothing to acknowledge."""
        for missing in ("", None):
            self.assertEqual(self.receipts(self.payload(msg_id=missing)), [])

    def test_copy(self) -> None:
        """A copy is acknowledged again, and neither shown nor complained of."""
        payload = self.payload()
        for count in (1, 2, 3):
            receipts = self.receipts(payload)
            self.assertEqual([one["status"] for one in receipts], ["delivered"] * count)
        self.assertEqual([type(one) for one in self.bob.events], [told.TextReceived])

    def test_old_copy(self) -> None:
        """Also a copy that was held for longer than a message may take."""
        payload = self.payload()
        self.receipts(payload)
        self.server.now += 3_600_000
        receipts = self.receipts({**payload, "held": True})
        self.assertEqual([one.get("code") for one in receipts], [None, None])

    def test_bad_signature(self) -> None:
        """The sender's server is told why it is not shown."""
        [refusal] = self.receipts(self.payload(content_sig="AAAA"))
        self.assertEqual(refusal["code"], "INVALID_SIG")
        self.assertEqual(refusal["msg_ref"], "srv-a/m1")
        self.assertEqual(self.bob.told(told.TextReceived), [])

    def test_unreadable(self) -> None:
        """What cannot be opened is refused, and so is every copy of it."""
        payload = self.payload(sealed=seal(public("srv-c"), b"not for bob"))
        for count in (1, 2):
            codes = [one.get("code") for one in self.receipts(payload)]
            self.assertEqual(codes, ["MALFORMED"] * count)
        self.assertEqual(self.bob.told(told.TextReceived), [])

    def test_lost(self) -> None:
        """A receipt that did not leave is not sent on another connection."""
        self.server.say(self.bob, "USER_DELIVER", self.payload())
        self.bob.session.lost(NOW)
        output = self.bob.session.drain()
        self.assertEqual(output.receipts, ())
        self.assertEqual([type(one) for one in output.events], [told.TextReceived])


class ClientTests(SynchronousTestCase):
    """What a program sees of it."""

    def setUp(self) -> None:
        """Alice over a link, bob beside it."""
        self.room = Room(self)
        started = self.room.run(self.room.client.start())
        self.ear = self.room.open()
        self.successResultOf(started)
        self.bob: User = self.room.server.enter("bob", Path(self.mktemp()))
        self.room.server.silent = {"MSG_DIRECT", "ACK"}

    def test_queued(self) -> None:
        """``tell`` returns as soon as the server keeps it; the rest is an event."""
        done = self.room.run(self.room.client.tell("bob", "hello"))
        self.ear.pump()
        [frame] = self.ear.user.frames("MSG_DIRECT")
        for status in ("queued", "delivered"):
            ack = {"msg_ref": frame["id"], "status": status}
            self.room.server.say(self.ear.user, "ACK", ack)
        self.assertIsInstance(self.successResultOf(done), told.Queued)
        kinds = [type(event) for event in self.room.events()]
        self.assertEqual(kinds[-2:], [told.Queued, told.Delivered])

    def test_told_before_the_receipt(self) -> None:
        """When the receipt leaves, the event is there to be read."""
        unread: list[int] = []
        send = self.ear.link.send

        def watch(frame: bytes) -> None:
            if b'"ACK"' in frame:
                stream = self.room.client.events()
                texts = [e for e in stream._unread if type(e) is told.TextReceived]
                unread.append(len(texts))
            send(frame)

        self.ear.link.send = watch  # type: ignore[method-assign]
        self.room.server.silent.clear()
        alter = self.room.server.alter
        self.room.server.alter = lambda type, payload: payload.update(
            {"msg_id": "srv-a/m"} if type == "USER_DELIVER" else {}
        )
        self.bob.session.tell("alice", "hello", NOW)
        self.room.server.pump()
        self.room.server.alter = alter
        self.assertEqual(unread, [1])


class PinnedTests(SessionCase):
    """A message that is not shown for its sender's key is refused to its server."""

    def test_changed_key(self) -> None:
        """Neither shown nor acknowledged, until the user accepts the key."""
        bob = self.enter("bob", pins=Pins(None))
        ciphertext = seal(public("bob"), b"hello")
        self.server.silent = {"ACK", "ERROR"}
        for key in ("alice", "srv-c"):
            content = direct_content(ciphertext, "alice", "bob", NOW)
            payload = {
                "ciphertext": b64u_encode(ciphertext),
                "sender": "alice",
                "sender_pub": public(key).text,
                "content_sig": sign(private(key), content),
                "ts": NOW,
                "msg_id": f"srv-a/{key}",
            }
            deliver(self.server, bob, payload)
        self.assertEqual(len(bob.told(told.TextReceived)), 1)
        [refusal] = bob.frames("ERROR")
        self.assertEqual(refusal["payload"]["msg_ref"], "srv-a/srv-c")
