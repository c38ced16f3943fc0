"""What does each thing cost in signatures and frames?  Counts, free of noise."""

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, cast

from autobahn.websocket import USES_NVX
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from socp_twisted.trust.signatures import check, sign
from socp_twisted.wire.vocabulary import CAP_ACK_LISTS, EXTRA_CHANNEL, EXTRA_RECEIPTS
from tests.benchmarks.presence import arrivals
from tests.keyring import key_of
from tests.support import CountedNode, Site
from tests.users import UserTestCase

MOST_PER_LOGIN = 6
"""Signatures of three nodes for one login as this project's clients do it."""


class SlowSigner:
    """A signer that takes its time for ACKs: until the test lets it go on."""

    waiting = 0

    def __init__(self, signer: Any) -> None:
        self._signer = signer
        self._held: list[tuple[bytes, Callable[[str], None]]] = []

    def sign(self, data: bytes, done: Callable[[str], None], lane: int = 0) -> None:
        """Keep an ACK for later."""
        if b'"type":"ACK"' in data:
            self._held.append((data, done))
        else:
            self._signer.sign(data, done, lane)

    def let(self) -> int:
        """Sign what is kept; return how much that was."""
        held, self._held = self._held, []
        for data, done in held:
            self._signer.sign(data, done)
        return len(held)

    def start(self) -> None:
        """Nothing to do."""

    def stop(self) -> None:
        """Nothing to do."""


class SlowNode(CountedNode):
    """A node whose ACKs wait for their signatures."""

    def __init__(self, reactor: Any, signer: Any, *args: Any, **kwargs: Any) -> None:
        self.signer = SlowSigner(signer)
        super().__init__(reactor, self.signer, *args, **kwargs)


@contextmanager
def calls(function: Callable[..., Any]) -> Iterator[list[str]]:
    """Note each call of a function while this lasts."""
    noted: list[str] = []

    def note(frame: FrameType, event: str, _: Any) -> None:
        if event == "call" and frame.f_code is function.__code__:
            noted.append(function.__name__)

    sys.setprofile(note)
    try:
        yield noted
    finally:
        sys.setprofile(None)


class CountTestCase(UserTestCase):
    """Nodes in memory that count what they sign."""

    def mesh(self, count: int) -> list[Site]:
        """Start nodes that are linked to each other."""
        sites: list[Site] = []
        for number in range(count):
            name = f"srv-{'abcdefgh'[number]}"
            site = self.start(name, 8765 + number, sites[:])
            sites.append(site)
        self.network.pass_time(8)
        self.assert_mesh(*sites)
        return sites

    def enter(self, site: Site, user_id: str) -> None:
        """Log a user in as this project's clients do."""
        extras = [EXTRA_CHANNEL, EXTRA_RECEIPTS]
        self.person(site, user_id, "bob", extras=extras, nonce="a nonce")

    def made(self, *sites: Site) -> int:
        """Return how many signatures nodes have made so far."""
        return sum(site.signer.made for site in sites)


class SignatureTests(CountTestCase):
    """What is said to many, or again, is signed once."""

    def test_direct(self) -> None:
        """A message is one signature, and one more for who asks for an ACK."""
        [site] = self.mesh(1)
        alice, bob = self.users(site, "alice", "bob")
        for reference, signatures in (("", 1), ("ref", 2)):
            before = self.made(site)
            alice.tell("bob", id=reference)
            self.assertEqual(self.made(site) - before, signatures)
        self.assertEqual(len(bob.of("USER_DELIVER")), 2)

    def test_foreseen(self) -> None:
        """It is signed while the disk is at work, once, and sent after both."""
        [site] = self.mesh(1)
        alice, bob = self.users(site, "alice", "bob")
        signer, store = site.signer, self.stores[site.id]
        answers: list[Deferred[None]] = []
        accept = store.accept

        async def slow(*args: Any) -> Any:
            answers.append(Deferred())
            await answers[-1]
            return await accept(*args)

        self.patch(store, "accept", slow)
        for busy in (False, True):
            signer.waiting = int(busy)
            before, given = signer.made, len(bob.of("USER_DELIVER"))
            alice.tell("bob")
            self.assertEqual(signer.made - before, int(not busy))
            self.assertEqual(len(bob.of("USER_DELIVER")), given)
            answers[-1].callback(None)
            self.network.settle()
            self.assertEqual(len(bob.of("USER_DELIVER")), given + 1)
            self.assertEqual(signer.made - before, 1)

    def test_across(self) -> None:
        """Between two servers: one each, and the answer from server to server."""
        sites = self.mesh(2)
        [alice], [bob] = (
            self.users(site, name)
            for site, name in zip(sites, ("alice", "bob"), strict=True)
        )
        before = self.made(*sites)
        alice.tell("bob")
        bob.only("USER_DELIVER")
        self.assertLessEqual(self.made(*sites) - before, 3)

    def test_acks_together(self) -> None:
        """What arrives while an ACK is signed is in the next one: all at once."""
        told, counted = self._acks_of_six()
        self.assertEqual(told, [1, 1])
        self.assertEqual(counted, 2)

    def test_acks_apart(self) -> None:
        """A server that does not say that it reads lists gets one for each."""
        told, counted = self._acks_of_six(without=CAP_ACK_LISTS)
        self.assertEqual(told, [6])
        self.assertEqual(counted, 6)

    def _acks_of_six(self, without: str = "") -> tuple[list[int], int]:
        """Return how many ACKs six deliveries cost, each time the signer is let."""
        a = self.start("srv-a", 8765)
        b = self.start("srv-b", 8766, [a], kind=SlowNode)
        self.network.pass_time(8)
        self.assert_mesh(a, b)
        there = b.node.mesh.directory.servers["srv-a"]
        there.caps -= {without}
        [alice], [bob] = self.users(a, "alice"), self.users(b, "bob")
        names = [f"m{n}" for n in range(6)]
        for name in names:
            alice.tell("bob", id=name)
        self.assertEqual(len(bob.of("USER_DELIVER")), 6)
        self.assertEqual(alice.outcomes(), [])
        signer, before = cast(SlowNode, b.node).signer, a.node.counted["ACK"]
        told = []
        while count := signer.let():
            told.append(count)
            self.network.settle()
        self.assertEqual(alice.outcomes(), [(name, "delivered") for name in names])
        return told, a.node.counted["ACK"] - before

    def test_login(self) -> None:
        """A login costs the same whether few are online or many."""
        sites = self.mesh(3)
        found = []
        for count in (3, 12):  # somebody at each node, who is told
            for number in range(count):
                self.enter(sites[number % 3], f"user{count}-{number}")
            before = self.made(*sites)
            self.enter(sites[0], f"late{count}")
            found.append(self.made(*sites) - before)
        self.assertEqual(found[0], found[1])
        self.assertLessEqual(found[0], MOST_PER_LOGIN)

    def test_heartbeat(self) -> None:
        """One signature in 15 s, whatever the number of servers and users."""
        sites = self.mesh(4)
        self.users(sites[0], "alice", "bob")
        self.network.pass_time(30)
        before = [self.made(site) for site in sites]
        self.network.pass_time(60)
        after = [self.made(site) for site in sites]
        beats = [new - old for new, old in zip(after, before, strict=True)]
        self.assertEqual(beats, [4] * 4)


class FrameTests(CountTestCase):
    """What comes twice is read once, and told to nobody who knows."""

    def ring(self) -> list[Site]:
        """Start four nodes of which each can reach two: every frame comes both ways."""
        for pair in ((8765, 8767), (8766, 8768)):
            self.network.silent.add(frozenset(pair))
        sites: list[Site] = []
        for number in range(4):
            name = f"srv-{'abcd'[number]}"
            sites.append(self.start(name, 8765 + number, sites[:]))
        self.network.pass_time(40)
        self.assertEqual([len(site.linked()) for site in sites], [2] * 4)
        return sites

    def test_verified_once(self) -> None:
        """The frame that comes on two ways is verified once at each node."""
        sites = self.ring()
        before = [site.node.counted["USER_ADVERTISE"] for site in sites]
        person = self.person(sites[0])
        person.greet("alice")
        proof = person.proof(server=sites[0].id)
        with calls(check) as checked:
            person.prove(proof)
        self.assert_online({"alice": "srv-a"}, *sites)
        after = [site.node.counted["USER_ADVERTISE"] for site in sites]
        came = sum(after) - sum(before)
        kinds = ("USER_ADVERTISE", "PUBLIC_CHANNEL_ADD", "PUBLIC_CHANNEL_UPDATED")
        self.assertGreater(came, len(sites) - 1)  # else nothing came twice
        # The login itself; then each kind of news, once at each other node.
        self.assertLessEqual(len(checked), 1 + len(kinds) * (len(sites) - 1))

    def test_arrival(self) -> None:
        """In a full mesh, one arrival is as many frames as there are others."""
        self.assertEqual(arrivals(5), 4)


class LibraryTests(SynchronousTestCase):
    """What the figures rest on is there."""

    def test_gil(self) -> None:
        """Others run while a signature is made."""
        interval = sys.getswitchinterval()
        self.addCleanup(sys.setswitchinterval, interval)
        key, began, others = key_of("srv-a"), threading.Event(), threading.Event()
        ran: list[bool] = []

        def work() -> None:
            began.set()
            for _ in range(200):  # until this machine lets the other thread run
                sign(key, b"data")
                if others.is_set():
                    break
            ran.append(others.is_set())

        # From now on a thread runs until it lets go by itself.
        sys.setswitchinterval(100.0)
        thread = threading.Thread(target=work)
        thread.start()
        began.wait()
        others.set()
        thread.join()
        self.assertEqual(ran, [True])

    def test_nvx(self) -> None:
        """Autobahn masks and checks UTF-8 with its compiled code: 15 times as fast."""
        self.assertTrue(USES_NVX)
