"""What does one connection do, to a peer that is slow, rude or gone?"""

from twisted.internet.defer import Deferred

from socp_twisted.net.link import Link
from socp_twisted.net.outbox import Draft
from socp_twisted.overlay.effects import Linked, LinkId, Send, SendAll
from socp_twisted.overlay.party import Party
from socp_twisted.wire.limits import Limits
from socp_twisted.wire.vocabulary import CLOSE_BUG, CLOSE_SLOW
from tests.raw_ends import UserEnd
from tests.support import CountedNode, MeshTestCase, Site


class SlowReaderTests(MeshTestCase):
    """Who does not read is put out, and nobody waits for them meanwhile (R3)."""

    def setUp(self) -> None:
        """Two linked nodes; bob reads nothing."""
        super().setUp()
        self.a = self.start("srv-a", 8765)
        self.b = self.start("srv-b", 8766, [self.a])
        self.network.pass_time(3)
        self.alice = self.user(self.a, "alice")
        self.bob = self.user(self.b, "bob")
        self.carol = self.user(self.b, "carol", "bob")
        self.stop_reading(self.bob)

    def stop_reading(self, user: UserEnd) -> None:
        """Read nothing any more: the kernels' buffers fill up."""
        user.wire.client.reading = False

    def flood(self, messages: int) -> None:
        """Write to bob, and nothing that he is told leaves the other's way."""
        for _ in range(messages):
            self.alice.write_to("bob", id="")

    def test_time(self) -> None:
        """After thirty seconds, with the reason."""
        self.flood(60)
        self.network.pass_time(28)
        self.assertIn("bob", self.a.online())
        self.network.pass_time(10)
        self.assertNotIn("bob", self.a.online())
        self.assertNotIn("bob", self.b.online())

    def test_others(self) -> None:
        """Meanwhile everybody else is served as ever, and the servers stay linked."""
        self.flood(60)
        self.alice.write_to("carol")
        self.carol.only("USER_DELIVER")
        self.network.pass_time(120)
        self.assert_mesh(self.a, self.b)
        self.alice.write_to("carol")
        self.assertEqual(len(self.carol.of("USER_DELIVER")), 2)

    def test_reads_again(self) -> None:
        """Who reads on in time gets everything, in order, and stays."""
        self.flood(60)
        self.network.pass_time(20)
        self.bob.wire.client.reading = True
        self.network.pass_time(60)
        got = [one.ts for one in self.bob.of("USER_DELIVER")]
        self.assertEqual((len(got), got), (60, sorted(got)))
        self.assertIsNone(self.bob.close)

    def test_bytes(self) -> None:
        """More than the limit of bytes queued is too much at once."""
        c = self.start("srv-c", 8767, limits=Limits(queued=50_000))
        dave = self.user(c, "dave", "bob")
        writer = self.user(c, "alice")
        dave.wire.client.reading = False
        for _ in range(80):
            writer.write_to("dave", id="")
        self.network.pass_time(1)
        dave.wire.client.reading = True
        self.network.pass_time(5)
        assert dave.close is not None
        self.assertEqual(
            dave.close, (CLOSE_SLOW, "max-queued: 50000 bytes wait to be read")
        )


class RudePeerTests(MeshTestCase):
    """No bytes from outside raise in the reactor, or cost anybody else a thing."""

    def setUp(self) -> None:
        """One node, with a user who is not concerned."""
        super().setUp()
        self.a = self.start("srv-a", 8765)
        self.alice = self.user(self.a, "alice")

    def assert_served(self) -> None:
        """The user is still there, and still served."""
        self.alice.write_to("alice")
        self.alice.only("USER_DELIVER")
        self.assertIsNone(self.alice.close)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_too_large(self) -> None:
        """A message over the limit is closed with 1009."""
        visitor = self.visit(self.a)
        visitor.send(b"x" * (1024 * 1024 + 1))
        assert visitor.close is not None
        self.assertEqual(visitor.close[0], 1009)
        self.assert_served()

    def test_too_large_in_pieces(self) -> None:
        """Also in many frames, none of which is too large."""
        visitor = self.visit(self.a)
        visitor.end.sendMessage(b"x" * (1024 * 1024 + 1), fragmentSize=60_000)
        self.network.pass_time(4)
        assert visitor.close is not None
        self.assertEqual(visitor.close[0], 1009)
        self.assert_served()

    def test_bits(self) -> None:
        """Bytes that are no WebSocket frames end that connection."""
        for junk in (b"\xff" * 50, b"\x00" * 50, b"\x81\xff" + b"\x00" * 40):
            visitor = self.visit(self.a)
            visitor.wire.client.write(junk)
            self.network.pass_time(5)
            self.assertIsNotNone(visitor.close, junk)
        self.assert_served()

    def test_not_utf8(self) -> None:
        """Text that is none is closed with 1007; a binary frame is read as text."""
        visitor = self.visit(self.a)
        visitor.send(b"\xff\xfe{}")
        assert visitor.close is not None
        self.assertEqual(visitor.close[0], 1007)
        binary = self.visit(self.a)
        binary.end.sendMessage(b"\xff\xfe", isBinary=True)
        self.network.settle()
        self.assertEqual(binary.errors(), ["MALFORMED"])
        self.assert_served()

    def test_turn_over(self) -> None:
        """What comes after enough was read in a turn of the reactor is read next."""
        visitor, node = self.visit(self.a), self.a.node
        self.assertFalse(node.is_turn_over())
        assert node.turn.began is not None
        node.turn.began -= 1
        visitor.end.sendMessage(b"junk")
        visitor.wire.pump()
        self.assertFalse(visitor.wire.server.reading)
        self.network.settle()
        self.assertEqual(visitor.errors(), ["MALFORMED"])
        self.assertTrue(visitor.wire.server.reading)

    def test_vanishes(self) -> None:
        """A connection that is cut at any byte of its life leaves nothing behind."""
        for sent in range(4):
            user = UserEnd(*self.connect(self.a), self.network)
            if sent > 0:
                user.send(b'{"type"')
            if sent > 1:
                user.hello("bob")
            if sent > 2:
                user.end.sendMessage(b"{}")
            user.wire.cut()
        self.network.settle()
        self.assertEqual(len(self.a.node.mesh.parties), 1)
        self.assert_served()

    def test_gone_while_told(self) -> None:
        """What is sent to one who is closing costs nobody else their link."""
        bob = self.user(self.a, "bob")
        bob.end.sendClose(1000)
        bob.wire.pump()
        self.user(self.a, "carol", "bob")
        self.assert_served()
        self.assertEqual(list(self.a.online()), ["alice", "carol"])

    def test_close_reason(self) -> None:
        """A long reason is cut to what a control frame holds, between characters."""
        visitor = self.visit(self.a)
        [link] = [
            one
            for one in self.a.node._links.values()
            if one.remote_host() and one.id > 1
        ]
        link.hang_up(4001, "ä" * 200)
        self.network.settle()
        self.assertEqual(visitor.close, (4001, "ä" * 60))


class Broken(CountedNode):
    """A node with a bug in everything that links ask of it."""

    failing = False

    def _depart(self, party: Party, reason: str) -> None:
        """Fail if the test says so."""
        if self.failing:
            raise RuntimeError("a bug")
        super()._depart(party, reason)

    def link_opened(self, link: Link) -> None:
        """Fail after the first."""
        super().link_opened(link)
        if link.id > 2:
            raise RuntimeError("a bug")

    def frame_received(self, link: Link, frame: bytes) -> None:
        """Fail for one word."""
        if b"bug" in frame:
            raise RuntimeError("a bug")
        super().frame_received(link, frame)


class BugTests(MeshTestCase):
    """A bug of ours is logged with its traceback, and costs one link."""

    def setUp(self) -> None:
        """One node that has bugs."""
        super().setUp()
        self.a: Site = self.start("srv-a", 8765, kind=Broken)

    def assert_one_bug(self) -> None:
        """One traceback was logged."""
        [failure] = self.flushLoggedErrors(RuntimeError)
        self.assertEqual(failure.getErrorMessage(), "a bug")

    def test_reading(self) -> None:
        """While a frame is read: that connection is closed with 4000."""
        first, second = self.visit(self.a), self.visit(self.a)
        second.send(b"a bug")
        assert second.close is not None
        self.assertEqual(second.close, (CLOSE_BUG, "internal error"))
        self.assert_one_bug()
        self.assertIsNone(first.close)
        self.assertEqual(len(self.a.node.mesh.parties), 1)

    def test_opening(self) -> None:
        """While a connection is greeted: the same."""
        first, _, third = (self.visit(self.a) for _ in range(3))
        self.network.settle()
        assert third.close is not None
        self.assertEqual(third.close[0], CLOSE_BUG)
        self.assert_one_bug()
        self.assertIsNone(first.close)

    def test_gone_at_once(self) -> None:
        """Who is hung up for it is there no more, before the connection is closed."""
        alice, bob = self.user(self.a, "alice"), self.user(self.a, "bob")
        bob.end.sendMessage(b"a bug")
        bob.wire.pump()
        bob.wire.held = True
        self.network.settle()
        self.assert_one_bug()
        self.assertEqual(list(self.a.online()), ["alice"])
        alice.write_to("bob")
        self.assertEqual(alice.errors(), ["USER_NOT_FOUND"])
        self.assertEqual(alice.of("ACK"), [])

    def test_leaving(self) -> None:
        """While somebody is taken out of the tables: what they held is let go of."""
        visitor = self.visit(self.a)
        self.a.node.failing = True  # type: ignore[attr-defined]
        visitor.wire.cut()
        self.network.settle()
        self.assert_one_bug()
        self.assertEqual((self.a.node.mesh.parties, self.a.node._links), ({}, {}))

    def test_keeping_time(self) -> None:
        """While time is kept: the rest of what is due is done, each time."""
        self.user(self.a, "alice")
        self.a.node.mesh.topology = None  # type: ignore[assignment]
        [link] = self.a.node._links.values()
        link.outbox.pauseProducing()
        self.network.pass_time(31)
        self.assertGreater(len(self.flushLoggedErrors(AttributeError)), 20)
        self.assertEqual(self.a.online(), {})

    def test_performing(self) -> None:
        """While one thing is done: all others are done, and then it is raised."""
        alice = self.user(self.a, "alice")
        [told] = self.a.node.mesh.directory.user_links()
        nobody, word = Linked(LinkId(99), "srv-b"), Send(told, "USER_REMOVED", {})
        self.assertRaises(KeyError, self.a.node.perform, [nobody, word, nobody, word])
        self.network.settle()
        self.assertEqual(len(alice.of("USER_REMOVED")), 2)
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)

    def test_writing(self) -> None:
        """While a frame is written: who else is to have it has it; that link ends."""
        alice, bob = self.user(self.a, "alice"), self.user(self.a, "bob")
        links = self.a.node.mesh.directory.user_links()

        def write(draft: Draft) -> None:
            raise RuntimeError("a bug")

        self.a.node._links[links[0]]._write = write  # type: ignore[method-assign]
        self.a.node.perform([SendAll(links, "USER_REMOVED", {})])
        self.network.settle()
        self.assert_one_bug()
        self.assertEqual(len(bob.of("USER_REMOVED")), 2)  # and alice is removed
        self.assertEqual(alice.close, (CLOSE_BUG, "internal error"))
        self.assertIsNone(bob.close)


class LargeFrameTests(MeshTestCase):
    """What our own limit keeps from a server costs nobody a connection."""

    def test_too_large_to_send(self) -> None:
        """A message that has grown over --max-frame is not sent, and not answered."""
        b = self.start("srv-b", 8766)
        a = self.start("srv-a", 8765, [b], limits=Limits(frame=5_000))
        self.network.pass_time(3)
        alice, bob = self.user(a, "alice"), self.user(b, "bob")
        alice.write_to("bob", "x" * 446 * 4)
        self.network.pass_time(12)
        self.assertEqual(alice.errors(), ["TIMEOUT"])
        self.assertIsNone(alice.close)
        self.assert_mesh(a, b)
        alice.write_to("bob", id="")
        bob.only("USER_DELIVER")


class GoodbyeTests(MeshTestCase):
    """What was said before a goodbye arrives before it."""

    def test_order(self) -> None:
        """The frames queued come first, then the close, and nothing after it."""
        a = self.start("srv-a", 8765)
        visitor = self.visit(a)
        [link] = a.node._links.values()
        late = Draft()
        link.outbox.push(late)
        link.hang_up(1000, "goodbye")
        self.network.settle()
        self.assertIsNone(visitor.close)
        envelope = b'{"type":"X","from":"a","to":"*","ts":1,"payload":{}}'
        late.finish(envelope)
        link.outbox.push(Draft(envelope))
        self.network.settle()
        self.assertEqual(len(visitor.received), 1)
        self.assertEqual(visitor.close, (1000, "goodbye"))

    def test_deaf(self) -> None:
        """One who does not read the goodbye is dropped after some seconds."""
        a = self.start("srv-a", 8765)
        visitor = self.visit(a)
        visitor.wire.held = True
        self.network.pass_time(70)
        self.assertEqual(a.node.mesh.parties, {})

    def test_late_opening(self) -> None:
        """A connection that opens while the node stops is closed, without a fuss."""
        a = self.start("srv-a", 8765)
        alice = self.user(a, "alice")
        done = Deferred.fromCoroutine(a.node.stop())
        self.network.settle()
        late = self.visit(a)
        self.network.pass_time(3)
        self.successResultOf(done)
        self.assertIsNotNone(alice.close)
        self.assertIsNotNone(late.close)
        self.assertEqual(self.flushLoggedErrors(), [])
