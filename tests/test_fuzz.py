"""Does a node bear what nobody should send?  A short run, and the tools' own rules."""

import itertools
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from autobahn.twisted.websocket import (
    WebSocketServerFactory,
    WebSocketServerProtocol,
)
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase, TestCase

from socp_twisted.errors import SocpError
from socp_twisted.net.link import BITE
from socp_twisted.trust.signatures import verify
from socp_twisted.wire.envelope import Envelope
from socp_twisted.wire.limits import Limits
from socp_twisted.wire.payloads import MsgDirect
from tests.commands import run_module
from tests.fuzz.doors import DOORS, Attacker
from tests.fuzz.frames import EVERY, Author
from tests.fuzz.garbage import PING, piece
from tests.fuzz.mutations import BYTES, STRUCTURE, to_bytes
from tests.fuzz.run import MAX_GROWTH, Findings, violations
from tests.fuzz.wire import Line
from tests.keyring import key_of
from tests.support import MeshTestCase


class FrameTests(SynchronousTestCase):
    """What is changed was genuine before; how it is changed follows from the seed."""

    def author(self, seed: int = 1) -> Author:
        """Return somebody who writes frames."""
        return Author("srv-j", key_of("srv-j"), random.Random(seed))

    def test_genuine(self) -> None:
        """Every frame is read by the project's own parser, and its signature holds."""
        author = self.author()
        for build in EVERY:
            envelope = Envelope.parse(to_bytes(author.signed(build(author))))
            verify(envelope, author.pubkey)

    def test_mutations(self) -> None:
        """Changed frames are read or refused, never anything else."""
        chance, author = random.Random(2), self.author()
        frames = [to_bytes(build(author)) for build in EVERY]
        for number in range(300):
            fields = EVERY[number % len(EVERY)](author)
            STRUCTURE[chance.choice(list(STRUCTURE))](chance, fields)
            changed = [to_bytes(fields)]
            way = BYTES[chance.choice(list(BYTES))]
            changed.append(way(chance, frames[number % len(frames)]))
            for frame in changed:
                try:
                    Envelope.parse(frame, complete=False)
                except SocpError:
                    continue

    def test_values(self) -> None:
        """A frame of very many values is refused before it is read."""
        frame = b'{"type":"A","payload":{"a":[' + b"[]," * 300_000 + b"1]}}"
        with self.assertRaisesRegex(SocpError, "more than 20000 values"):
            Envelope.parse(frame, complete=False)

    def test_seed(self) -> None:
        """The same seed does the same things in the same order."""

        def names(seed: int) -> list[str]:
            attacker = Attacker(None, DOORS[1], 0, seed, 1, 1.0)
            return [attacker.next()[0] for _ in range(30)]

        self.assertEqual(names(1), names(1))
        self.assertNotEqual(names(1), names(2))


class LineTests(SynchronousTestCase):
    """The attackers' WebSocket is one, for somebody else's server."""

    def test_speaks(self) -> None:
        """Autobahn's server understands it, and it understands the server."""
        factory = WebSocketServerFactory("ws://127.0.0.1:1")
        factory.noisy = False
        factory.protocol = WebSocketServerProtocol
        server = factory.buildProtocol(None)
        heard: list[bytes] = []
        server.onMessage = lambda payload, isBinary: heard.append(payload)
        line, there, here = Line(), StringTransport(), StringTransport()
        here.setTcpNoDelay = lambda enabled: None  # type: ignore[attr-defined]
        line.makeConnection(here)
        server.makeConnection(there)
        asked = line.ask(1)
        server.dataReceived(here.value())
        line.dataReceived(there.value())
        self.assertTrue(self.successResultOf(asked))
        here.clear()
        there.clear()
        line.send(b"x" * 70_000)
        line.write(piece(b"?", PING))
        server.dataReceived(here.value())
        self.assertEqual(heard, [b"x" * 70_000])
        server.sendMessage(b'{"type":"ERROR","payload":{"code":"LIMIT"}}')
        line.dataReceived(there.value())
        self.assertEqual(line.codes, ["LIMIT"])


class TurnTests(MeshTestCase):
    """Who sends very much at once is read in bites, and others have their turn."""

    def test_flood(self) -> None:
        """A thousand frames in one read take many turns, and each is answered."""
        limits = Limits(stranger_frames=1000)
        site = self.start("srv-a", 8765, limits=limits)
        visitor = self.visit(site)
        clock, turns = itertools.count(), []
        site.node.seconds = lambda: float(next(clock))  # type: ignore[method-assign]
        soon = site.node.soon

        def counted(call: Callable[[], None]) -> None:
            turns.append(call)
            soon(call)

        site.node.soon = counted  # type: ignore[method-assign]
        visitor.wire.client.write(piece(b"{}") * 1000)
        self.network.pass_time(20)  # who sends more than its share waits, besides
        self.assertEqual(visitor.errors(), ["MALFORMED"] * 1000)
        self.assertGreaterEqual(len(turns), 1000 * len(piece(b"{}")) // BITE)

    def test_long_signature(self) -> None:
        """What no client would read is not passed on to one."""
        author = Author("mallory", key_of("srv-i"), random.Random(1))
        payload = author.direct()["payload"]
        MsgDirect.read(payload)
        with self.assertRaisesRegex(SocpError, "content_sig"):
            MsgDirect.read({**payload, "content_sig": "A" * 100_000})


class VerdictTests(SynchronousTestCase):
    """A run passes only if there was one, and nobody honest noticed it."""

    def found(self, **honest: Any) -> Findings:
        """Return what a run of one attacker at each door found."""
        attackers = [Attacker(None, door, 0, 1, 1, 1.0) for door in DOORS]
        for one in attackers:
            one.connections = 1
        told = {"sent": 9, "arrived": 9, "doubled": 0, "failed": 0, "why": []}
        told = {**told, "connections lost": 0, "p99": 0.1, **honest}
        after = {"stalls": [], "rss": 2, "parties": 0, "local": []}
        return Findings(attackers, {"rss": 1}, after, told, [])

    def test_passes(self) -> None:
        """A run without fault has none."""
        self.assertEqual(violations(self.found()), [])

    def test_shut_door(self) -> None:
        """What was not attacked has not been borne."""
        for number in range(len(DOORS)):
            found = self.found()
            found.attackers[number].connections = 0
            self.assertEqual(violations(found), ["nobody was let in at a door"])

    def test_honest(self) -> None:
        """Whatever happens to those who mean well is named, and so is silence."""
        for honest, sentence in (
            ({"sent": 0, "arrived": 0}, "no honest message was sent"),
            ({"arrived": 8}, "honest messages did not arrive"),
            ({"doubled": 1}, "honest messages came twice"),
            ({"failed": 1}, "honest messages were refused: []"),
            ({"connections lost": 1}, "honest users lost their connection"),
            ({"p99": 2.1}, "honest users had to wait"),
        ):
            self.assertEqual(violations(self.found(**honest)), [sentence])

    def test_node(self) -> None:
        """So is what the node is left with."""
        for after, sentence in (
            ({"stalls": [1]}, "1 stalls of more than 100 ms"),
            ({"rss": MAX_GROWTH + 2}, "memory grew"),
            ({"parties": 1}, "1 connections are left"),
            ({"local": ["eve"]}, "users are left: ['eve']"),
        ):
            found = self.found()
            found.after.update(after)
            self.assertEqual(violations(found), [sentence])
        found = self.found()
        found.log_faults.append(("node", "Unhandled Error"))
        self.assertEqual(violations(found), ["1 unexpected lines in the log"])


class RunTests(TestCase):
    """A real node, and attackers at its three doors for some seconds."""

    timeout = 100

    async def test_run(self) -> None:
        """Nothing is violated, and the exit code says so."""
        home = Path(self.mktemp()).absolute()
        arguments = ["--seconds", "4", "--seed", "2", "--dir", str(home)]
        out, code = await run_module("tests.fuzz", *arguments)
        self.assertEqual(code, 0, out)
        self.assertIn("stalls over 100 ms: 0", out)
