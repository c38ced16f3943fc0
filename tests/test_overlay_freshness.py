"""Is a frame taken for what it was said as, and when?"""

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from socp_twisted.errors import ErrorCode, MalformedFrame, Refused
from socp_twisted.overlay.freshness import Stamp, bind, check, is_history, stamp
from socp_twisted.wire.envelope import Envelope
from socp_twisted.wire.vocabulary import CAP_BOUND, USER_ADVERTISE
from tests.keyring import signature
from tests.memory_network import Wire
from tests.overlay_values import CAPS, NOW_MS, add_server, envelope, make_mesh
from tests.raw_ends import OURS, PeerEnd
from tests.support import Site
from tests.users import UserTestCase


class BindingTests(SynchronousTestCase):
    """What is bound is believed as that, to that recipient, for five minutes."""

    def setUp(self) -> None:
        """A node that knows srv-b, which binds."""
        self.mesh = make_mesh()
        add_server(self.mesh, "srv-b", caps=[*CAPS, CAP_BOUND])
        self.b = self.mesh.directory.servers["srv-b"]

    def frame(self, **changed: Any) -> Envelope:
        """Return an ACK of srv-b's to us, whose binding was changed."""
        bound = {"type": "ACK", "to": "srv-a", "instance": "first", "at": NOW_MS}
        payload = {"msg_ref": "m", "bound": {**bound, **changed}}
        return envelope("ACK", "srv-b", payload, to="srv-a")

    def refused(self, frame: Envelope) -> str:
        """Return why a frame is refused."""
        fault = self.assertRaises(Refused, check, self.mesh, self.b, frame)
        self.assertEqual(fault.code, ErrorCode.INVALID_SIG)
        return str(fault)

    def test_ours(self) -> None:
        """What we bind ourselves is good, and changes nothing else."""
        said = bind(self.mesh, "ACK", "srv-a", {"msg_ref": "m"}, NOW_MS)
        check(self.mesh, self.b, envelope("ACK", "srv-b", said, to="srv-a"))
        self.assertEqual(said["msg_ref"], "m")
        self.assertEqual(stamp(envelope("ACK", "srv-b", said)).at, NOW_MS)

    def test_everybody(self) -> None:
        """What is for everybody names nobody: it travels to all."""
        said = bind(self.mesh, "HEARTBEAT", "*", {}, NOW_MS)
        self.assertNotIn("to", said["bound"])

    def test_s12_other_type(self) -> None:
        """Signed as one thing, sent as another."""
        sentence = "signed as USER_REMOVE, sent as ACK"
        self.assertEqual(self.refused(self.frame(type="USER_REMOVE")), sentence)

    def test_s12_other_recipient(self) -> None:
        """Signed for one server, sent to another."""
        self.assertIn("another recipient", self.refused(self.frame(to="srv-c")))

    def test_downgrade(self) -> None:
        """A server that binds says nothing unbound; of others it is all there is."""
        unbound: list[dict[str, Any]] = [{}, {"bound": None}, {"bound": []}]
        for payload in [*unbound, {"bound": "yes"}]:
            frame = envelope("ACK", "srv-b", payload, to="srv-a")
            self.assertIn("binds what it says", self.refused(frame))
            check(self.mesh, None, frame)
        self.b.caps = frozenset()
        check(self.mesh, self.b, envelope("ACK", "srv-b", {}, to="srv-a"))

    def test_malformed(self) -> None:
        """A binding that lacks something is malformed, and names the field."""
        for name in ("type", "instance", "at"):
            fault = self.assertRaises(
                MalformedFrame, check, self.mesh, self.b, self.frame(**{name: None})
            )
            self.assertIn(name, str(fault))

    def test_old(self) -> None:
        """Within half of max-seen-age duplicates are known; beyond, it is too old."""
        for off in (-300_000, 300_000):
            check(self.mesh, self.b, self.frame(at=NOW_MS + off))
        for off in (-300_001, 300_001):
            self.assertIn("max-seen-age", self.refused(self.frame(at=NOW_MS + off)))

    def test_state(self) -> None:
        """Presence holds until it is taken back, however long ago it was said."""
        said = bind(self.mesh, USER_ADVERTISE, "*", {}, NOW_MS - 86_400_000)
        check(self.mesh, self.b, envelope(USER_ADVERTISE, "srv-b", said))

    def test_history(self) -> None:
        """What another process of the server said is history; of others none is."""
        self.assertFalse(is_history(self.b, Stamp(1, "first")))
        self.b.instance = "second"
        self.assertTrue(is_history(self.b, Stamp(1, "first")))
        self.assertFalse(is_history(self.b, Stamp(1, "second")))
        self.assertFalse(is_history(self.b, Stamp(1)))


class ReplayTests(UserTestCase):
    """S12: what was said between our nodes is good once, as what it was."""

    def setUp(self) -> None:
        """A node, and a server that binds, played by the test."""
        super().setUp()
        self.a = self.start()
        self.b = self.binding_peer()

    def binding_peer(self, instance: str = "first") -> PeerEnd:
        """Return a linked server that binds what it says."""
        peer = self.peer(self.a)
        peer.link("srv-b", "srv-b", caps=[*OURS, CAP_BOUND], instance=instance)
        self.assertIn("srv-b", self.a.linked())
        return peer

    def say(self, kind: str, payload: dict[str, Any], **bound: Any) -> Envelope:
        """Let the server say something, bound."""
        at = {"type": kind, "instance": "first", "at": self.b.now(), **bound}
        return self.b.tell(kind, {**payload, "bound": at})

    def advertise(self, **bound: Any) -> Envelope:
        """Let the server tell of bob."""
        pubkey = self.a.key.public.text
        told = {"user_id": "bob", "server_id": "srv-b", "pubkey": pubkey}
        return self.say(USER_ADVERTISE, told, **bound)

    def remove(self, **bound: Any) -> Envelope:
        """Let the server say that bob has left."""
        return self.say(
            "USER_REMOVE", {"user_id": "bob", "server_id": "srv-b"}, **bound
        )

    def replay(self, frame: Envelope, **head: Any) -> None:
        """Send a signed payload again under another head."""
        fields = {"kind": frame.type, "to": frame.to, "ts": frame.ts, **head}
        kind, to, ts = fields["kind"], fields["to"], fields["ts"]
        sent = Envelope.create(kind, "srv-b", to, ts, frame.payload)
        self.b.send(sent.to_frame(signature("srv-b", frame.signed)))

    def test_s12_ts(self) -> None:
        """A goodbye of before is not good again under a new ts."""
        self.advertise()
        gone = self.remove()
        self.advertise()
        self.assert_online({"bob": "srv-b"}, self.a)
        for ts in (gone.ts, self.b.now(), self.b.now() + 3_600_000):
            self.replay(gone, ts=ts)
        self.assert_online({"bob": "srv-b"}, self.a)

    def test_s12_type(self) -> None:
        """Nor as anything else; the first time it is refused in so many words."""
        told = self.advertise()
        self.replay(told, kind="USER_REMOVE")
        self.assertEqual(self.b.errors(), ["INVALID_SIG"])
        self.assert_online({"bob": "srv-b"}, self.a)

    def test_s12_late(self) -> None:
        """When duplicates are forgotten, it is too old."""
        self.advertise()
        gone = self.remove()
        self.a.node.reader.router.seen_ids.forget_before(float("inf"))
        self.network.pass_time(320, 20)
        self.b = self.binding_peer()
        self.advertise()
        self.replay(gone, ts=self.b.now())
        self.assertEqual(self.b.errors(), ["INVALID_SIG"])
        self.assert_online({"bob": "srv-b"}, self.a)

    def test_presence_told_again(self) -> None:
        """Presence may be told again, to the letter or under a new ts."""
        told = self.advertise()
        self.replay(told)
        self.replay(told, ts=self.b.now())
        self.assert_online({"bob": "srv-b"}, self.a)
        self.assertEqual(self.b.errors(), [])

    def test_presence_taken_back(self) -> None:
        """What was taken back is not told again, whatever its ts says."""
        told = self.advertise()
        self.remove()
        self.replay(told, ts=self.b.now())
        self.assert_online({}, self.a)

    def test_downgrade(self) -> None:
        """The same without its binding is refused."""
        payload = {"user_id": "bob", "server_id": "srv-b"}
        self.b.tell(USER_ADVERTISE, payload)
        self.assertEqual(self.b.errors(), ["INVALID_SIG"])
        self.assert_online({}, self.a)

    def test_former_process(self) -> None:
        """What the process before the restart said is ignored."""
        told = self.advertise()
        self.b = self.binding_peer("second")
        self.network.pass_time(7)
        self.assert_online({}, self.a)
        self.replay(told)
        self.replay(told, ts=self.b.now())
        self.assert_online({}, self.a)
        self.advertise(instance="second")
        self.assert_online({"bob": "srv-b"}, self.a)

    def test_former_announcement(self) -> None:
        """Nor does its announcement bring it back when the link is lost."""
        hello = {**self.b._hello, "server_id": "srv-b"}
        first = self.say("SERVER_ANNOUNCE", hello)
        self.b = self.binding_peer("second")
        c = self.peer(self.a)
        c.link("srv-c", "srv-c")
        hello["instance"] = "second"
        self.say("SERVER_ANNOUNCE", hello, instance="second")
        b, self.b = self.b, c
        b.leave()
        self.replay(first, ts=c.now())
        server = self.a.node.mesh.directory.servers["srv-b"]
        self.assertEqual(server.instance, "second")


class OldDeliveryTests(UserTestCase):
    """A delivery between our nodes cannot be played again."""

    def wire(self, one: Site, two: Site) -> Wire:
        """Return the wire between two nodes."""
        [wire] = self.network.between(one.port, two.port)
        return wire

    def test_s12_delivery(self) -> None:
        """What went over the link to the letter, at once or later, is shown once."""
        a, b = self.pair()
        [alice], [bob] = self.users(a, "alice"), self.users(b, "bob")
        seen: list[bytes] = []

        def listen(link: Any, frame: bytes) -> None:
            if b'"SERVER_DELIVER"' in frame:
                seen.append(frame)
                self.link = link

        b.node.observers.append(listen)
        alice.tell("bob", id="m")
        [frame] = seen
        told = Envelope.parse(frame)
        again = Envelope.create(
            told.type, told.sender, told.to, told.ts + 1, told.payload
        ).to_frame(told.sig)
        b.node.observers.clear()
        for replayed in (frame, again):
            b.node.frame_received(self.link, replayed)
        self.network.settle()
        self.assertEqual(len(bob.of("USER_DELIVER")), 1)
        b.node.reader.router.seen_ids.forget_before(float("inf"))
        self.network.pass_time(310, 10)
        self.assert_mesh(a, b)
        before = b.node.mesh.counters["refused INVALID_SIG"]
        [self.link] = [
            one
            for one in b.node._links.values()
            if one.id in b.node.mesh.directory.servers["srv-a"].links
        ]
        b.node.frame_received(self.link, again)
        self.assertEqual(b.node.mesh.counters["refused INVALID_SIG"], before + 1)
