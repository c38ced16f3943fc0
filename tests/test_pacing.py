"""Who asks for too much waits, alone; who takes too little is put out."""

import json
from typing import Any

from twisted.logger import LogLevel, capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from socp_twisted.overlay.effects import LinkId
from socp_twisted.pacing import BURST, LINES, Pacing
from socp_twisted.wire.limits import Limits
from socp_twisted.wire.vocabulary import MSG_DIRECT
from tests.overlay_values import make_mesh
from tests.support import CachingSigner
from tests.users import Person, UserTestCase


class ComplaintTests(SynchronousTestCase):
    """What the log takes of one connection is bounded."""

    def test_unknown_link(self) -> None:
        """Complaints about a connection that is gone are neither logged nor kept."""
        pacing = Pacing(make_mesh(), CachingSigner("srv-a"), {})
        self.assertFalse(pacing.may_log(LinkId(99)))
        self.assertEqual(pacing._complaints, {})


class PaceTestCase(UserTestCase):
    """A node that reads five frames a second from a user, after a burst of twenty."""

    hold = 86_400.0
    limits = Limits(frames=5)

    def setUp(self) -> None:
        """Start it, with three users."""
        super().setUp()
        self.a = self.start(limits=self.limits)
        self.alice, self.bob, self.carol = self.users(self.a, "alice", "bob", "carol")
        self.network.pass_time(5)

    def flood(self, sender: Person, count: int, **more: Any) -> list[int]:
        """Send messages to bob without waiting for anything; return their ts."""
        sent = []
        for number in range(count):
            ts, payload = sender.message("bob", f"{number % 3}", **more)
            frame = {"type": MSG_DIRECT, "from": sender.user_id, "to": "bob", "ts": ts}
            frame |= {"id": f"m{number}", "payload": payload}
            sender.end.sendMessage(json.dumps(frame).encode())
            sent.append(ts)
        self.network.settle()
        return sent

    def given(self) -> list[int]:
        """Return the ts of what bob was given."""
        return [one.ts for one in self.bob.of("USER_DELIVER")]


class FrameTests(PaceTestCase):
    """Who sends too much is read more slowly, loses nothing, and delays nobody."""

    def test_burst(self) -> None:
        """A burst is read at once; in a quiet time there is room for the next."""
        for _ in range(2):
            self.bob.forget()
            sent = self.flood(self.alice, BURST * 5 - 2)
            self.assertEqual(self.given(), sent)
            self.network.pass_time(4)
        self.assertEqual(self.a.node.mesh.counters["max-frames"], 0)

    def test_slower(self) -> None:
        """The rest comes at its pace: all of it, in order, each answered."""
        sent = self.flood(self.alice, 60)
        self.assertLess(len(self.given()), 40)
        before = len(self.given())
        self.network.pass_time(2)
        self.assertLess(len(self.given()), before + 20)
        self.assertGreater(self.a.node.mesh.counters["max-frames"], 0)
        self.network.pass_time(12)
        self.assertEqual(self.given(), sent)
        told = [(f"m{number}", "delivered") for number in range(60)]
        self.assertEqual(self.alice.outcomes(), told)
        self.assertIsNone(self.alice.close)

    def test_s14_others(self) -> None:
        """Meanwhile carol is answered as if alice were not there."""
        self.flood(self.alice, 60)
        self.assertLess(len(self.given()), 60)
        self.carol.tell("bob", id="m")
        self.carol.ask_list()
        self.assertEqual(self.carol.outcomes(), [("m", "delivered")])

    def test_any_frame(self) -> None:
        """Frames that ask for nothing, or are none, count like all others."""
        other = self.start("srv-d", 8768, limits=Limits(frames=50))
        for frame in (b"{}", b"", b'{"type":"LIST_REQUEST"}'):
            dave = self.person(other, "dave")
            dave.forget()
            for _ in range(900):
                dave.end.sendMessage(frame)
            self.network.settle()
            self.assertLess(len(dave.received), 700, frame)
            self.network.pass_time(20, 1)
            self.assertEqual(len(dave.received), 900, frame)
            dave.leave()

    def test_trifles(self) -> None:
        """Pings, and a message in pieces of nothing, are frames like all others."""
        trifles = {"ping": bytes([0x89, 0x80, 0, 0, 0, 0]), "piece": bytes([0, 128])}
        trifles["piece"] += bytes(4)
        for name, trifle in trifles.items():
            other = self.start(f"srv-{name}", 8770 + len(name), key="srv-d")
            dave = self.person(other, "dave")
            [link] = other.node._links.values()
            read: list[Any] = []
            self.patch(other.node, "piece_received", self.noting(other.node, read))
            if name == "piece":
                dave.end.transport.write(bytes([1, 129, 0, 0, 0, 0]) + b"{")
            dave.end.transport.write(trifle * 5_000)
            self.network.settle()
            self.assertLess(len(read), 1_000, name)
            before = len(read)
            self.network.pass_time(2)
            self.assertLess(len(read), before + 700, name)
            self.assertGreater(other.node.mesh.counters["max-frames"], 0, name)
            self.assertTrue(link.opened)

    def noting(self, node: Any, read: list[Any]) -> Any:
        """Return what a node does with a trifle, noted besides."""
        original = node.piece_received

        def noted(link: Any) -> None:
            read.append(link)
            original(link)

        return noted

    def test_not_silent(self) -> None:
        """A debt of more than 45 s is no silence: the connection stays."""
        self.alice.forget()
        for _ in range(330):
            self.alice.end.sendMessage(b"{}")
        self.network.pass_time(100, 1)
        self.assertIsNone(self.alice.close)
        self.assertEqual(len(self.alice.of("ERROR")), 330)

    def test_gone_meanwhile(self) -> None:
        """Who leaves with a debt takes it along, and harms nobody."""
        self.flood(self.alice, 60)
        self.alice.wire.cut()
        self.network.pass_time(5)
        pacing = self.a.node._pacing
        left = set(self.a.node._links)
        allowed = {link for link, _ in pacing._allowances}
        for known in (pacing._held, set(pacing._early), allowed):
            self.assertEqual(known - left, set())
        self.assertEqual(self.flushLoggedErrors(), [])


class ByteTests(PaceTestCase):
    """Bytes count as well as frames."""

    limits = Limits(bytes=4_000)

    def test_slower(self) -> None:
        """Four seconds' worth at once, then at their pace; nothing is lost."""
        sent = self.flood(self.alice, 12)
        self.assertLess(len(self.given()), 12)
        self.network.pass_time(10)
        self.assertEqual(self.given(), sent)


class ServerTests(UserTestCase):
    """A server has a share of its own, which is larger."""

    def test_server(self) -> None:
        """More than that is read later, and all of it."""
        a = self.start(limits=Limits(frames=5, peer_frames=10))
        peer = self.peer(a)
        peer.link("srv-b", "srv-b")
        for number in range(80):
            told = {"user_id": f"user-{number}", "server_id": "srv-b"}
            peer.tell("USER_ADVERTISE", told)
        self.assertLess(len(a.online()), 80)
        self.assertGreater(a.node.mesh.counters["max-peer-frames"], 0)
        self.network.pass_time(10)
        self.assertEqual(len(a.online()), 80)
        self.assertEqual(a.linked(), ["srv-b"])


class SlowReaderTests(UserTestCase):
    """Who does not read is put out; others get theirs; what is held comes later."""

    hold = 86_400.0

    def test_r03_slow(self) -> None:
        """After max-unread with that name; the others never notice."""
        a = self.start(limits=Limits(unread=10))
        alice, bob, carol = self.users(a, "alice", "bob", "carol")
        bob.wire.client.reading = False
        ts, payload = alice.message("bob", pad="x" * 100_000)
        for number in range(3):
            frame = {**payload, "number": number}
            alice.say(MSG_DIRECT, "alice", "bob", frame, ts=ts + number)
            alice.tell("carol", f"{number}", id=f"m{number}")
        self.network.pass_time(8)
        self.assertIn("bob", a.online())
        with capturedLogs() as events:
            self.network.pass_time(10)
        reasons = [one["reason"] for one in events if "hanging up" in one["log_format"]]
        self.assertEqual(reasons, ["max-unread: nothing read for 10 s"])
        self.assertNotIn("bob", a.online())
        self.assertIsNotNone(bob.close)
        self.assertEqual(len(carol.of("USER_DELIVER")), 3)

    def test_queued(self) -> None:
        """So is who lets more than max-queued pile up, however briefly."""
        a = self.start(limits=Limits(queued=200_000))
        alice, bob = self.users(a, "alice", "bob")
        bob.wire.client.reading = False
        ts, payload = alice.message("bob", pad="x" * 100_000)
        for number in range(5):
            alice.say(MSG_DIRECT, "alice", "bob", payload, ts=ts + number)
        self.network.pass_time(3)
        self.assertNotIn("bob", a.online())
        self.assertIsNone(alice.close)


class LogTests(PaceTestCase):
    """Nobody can fill the log."""

    limits = Limits(frames=1_000)

    def lines(self, frames: int, seconds: int) -> int:
        """Send bad frames for some time; return how often the log complains."""
        with capturedLogs() as events:
            for _ in range(seconds):
                for _ in range(frames):
                    self.alice.end.sendMessage(b"{}")
                self.network.pass_time(1)
        warnings = [one for one in events if one["log_level"] is LogLevel.warn]
        return len(warnings)

    def test_bounded(self) -> None:
        """Some at once, then a few a second; each is answered all the same."""
        lines = self.lines(100, 4)
        self.assertGreaterEqual(lines, LINES)
        self.assertLessEqual(lines, LINES + 4 * LINES // BURST + 1)
        self.assertEqual(len(self.alice.of("ERROR")), 400)
        self.assertEqual(self.a.node.mesh.counters["refused MALFORMED"], 400)

    def test_each(self) -> None:
        """One noisy connection does not silence what there is to say of others."""
        self.lines(100, 1)
        with capturedLogs() as events:
            self.carol.send(b"{}")
        self.assertEqual(len(events), 1)
