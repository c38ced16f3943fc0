"""
Does the mesh keep its promises at the real pace?  ``trial tests.pace``: a minute.

Five seconds between attempts, ten of them, and 45 s of silence; the suite does the same
with a shorter pause.
"""

import time
from collections.abc import Coroutine
from itertools import permutations
from typing import Any, Final

from socp_twisted.wire.vocabulary import RETRY_DELAY
from tests.processes import NodeProcess, ProcessTestCase, is_mesh, together
from tests.sockets import Stranger

GAPS: Final = ((0, 0), (12, 0), (0, 12), (2, 7), (7, 6), (12, 12))
"""Seconds between the three starts, for each of the six orders."""

BUSY: Final = 1.0
"""Seconds that starting and ending processes may add to what the protocol promises."""


class PaceTestCase(ProcessTestCase):
    """Servers that start in any order, die, and look for who never comes."""

    every = 1
    """Which of the six orders are tried: every one, every second, ..."""

    retry = RETRY_DELAY
    """Seconds between two attempts; every wait is in proportion to it."""

    busy = BUSY
    """Seconds that the machine may add to that."""

    async def orders(self, *more: Coroutine[Any, Any, None]) -> None:
        """Let all of it happen at the same time, and something ``more``."""
        orders = zip(permutations("abc"), GAPS, (True, False) * 3, strict=True)
        await together(
            *more,
            self._gives_up(),
            self._dies(),
            *(self._starts(*order) for order in [*orders][:: self.every]),
        )

    @property
    def options(self) -> tuple[str, ...]:
        """What changes the pace; nothing where it is the default."""
        if self.retry == RETRY_DELAY:
            return ()
        return ("--retry-delay", f"{self.retry:g}")

    @property
    def patient(self) -> tuple[str, ...]:
        """The same, where a machine that is busy must not use up the attempts."""
        return (*self.options, "--max-attempts", "200") if self.options else ()

    @property
    def promised(self) -> float:
        """Seconds in which who is there is linked."""
        return self.retry + self.busy

    async def _starts(
        self, letters: tuple[str, ...], gaps: tuple[int, int], mutual: bool
    ) -> None:
        """
        All pairs are linked one retry delay after the last start.

        Unless the lists are ``mutual``, a server is known to those before it alone:
        only their later attempts can find it.
        """
        nodes = [self.node(f"srv-{letter}") for letter in letters]
        for index, node in enumerate(nodes):
            known = nodes if mutual else nodes[index:]
            node.configure([one for one in known if one is not node], *self.patient)
        for node, gap in zip(nodes, (*gaps, 0), strict=True):
            await self.start(node)
            await self.after(gap * self.retry / RETRY_DELAY)
        took = await self.meshed(nodes, self.promised)
        self.assertLess(took, self.promised)

    async def _gives_up(self) -> None:
        """Ten attempts, with the pause between them, each told to the letter."""
        node, nobody = self.node("srv-d"), self.node("srv-e")
        node.configure([nobody], *self.options)
        await self.start(node)
        began = time.monotonic()
        where = nobody.url
        last = f"[bootstrap] giving up on {where} after 10 attempts"
        least = 9 * self.retry
        await self.until(lambda: last in node.lines, least + 5, node)
        self.assertGreater(time.monotonic() - began, least - BUSY)
        expected = [f"[SOCP] server srv-d listening on {node.url}"]
        for attempt in range(1, 11):
            expected += [
                f"[bootstrap] attempting to connect to {where} (attempt {attempt}/10)",
                f"[bootstrap] failed to connect {where} (attempt {attempt}/10): "
                "connection refused",
                f"[bootstrap] retrying in {self.retry:g} seconds...",
            ]
        expected[-1] = last
        self.assertEqual(node.said(r"\[(SOCP|bootstrap)\] .*"), expected)
        self.assertEqual(node.levels[node.lines.index(last)], "error")
        self.assertTrue(node.running)

    async def _dies(self) -> None:
        """Whoever is killed is linked again, and everybody sees everybody."""
        nodes = self.nodes("abc", *self.patient)
        await self.start(*nodes)
        await self.meshed(nodes, self.promised)
        for dead in (nodes[:1], nodes[1:2], nodes[2:], nodes[:2]):
            users = [await self.visitor(node) for node in nodes]
            homes = {f"user-of-{node.name}": node.name for node in nodes}
            for user in users:
                await self.sees(user, homes)
            await self.kill(*dead)
            names = {node.name for node in dead}
            alive = [node for node in nodes if node not in dead]
            await self.until(
                lambda gone=names, left=alive: not any(n.links & gone for n in left),
                2,
                *alive,
            )
            await self.start(*dead)
            await self.meshed(nodes, self.promised)
            left = {user: home for user, home in homes.items() if home not in names}
            watching = [user for user in users if user.closed is None]
            for user in watching:
                # What is told once a second, and told on, adds to the five seconds.
                await self.sees(user, left, 5 + 4 * self.busy)
            back = [await self.visitor(node) for node in dead]
            for user in (*watching, *back):
                await self.sees(user, homes)
            await together(*(user.hang_up() for user in (*watching, *back)))

    async def visitor(self, node: NodeProcess) -> Stranger:
        """Connect a user who is named after the server."""
        return await self.user(f"user-of-{node.name}", node, key=node.name)


class PaceTests(PaceTestCase):
    """With the defaults, in real time."""

    async def test_defaults(self) -> None:
        """
        Any order of starts links everybody; deaths and hangs heal; ten dials, no more.

        These take most of a minute, so they happen in the same one.
        """
        self.assertEqual(self.options, ())
        await self.orders(self._hangs())

    async def _hangs(self) -> None:
        """A server that is silent for 45 s is lost, and found when it wakes."""
        a, b, c = nodes = self.nodes("abc")
        await self.start(*nodes)
        await self.meshed(nodes, self.promised)
        alice, bob = await self.user("alice", a), await self.user("bob", b)
        await self.sees(alice, {"alice": "srv-a", "bob": "srv-b"})
        b.signal("STOP")
        silent = "lost srv-b: silent for 45 s"
        await self.until(
            lambda: silent in a.lines and silent in c.lines, 45 + BUSY, *nodes
        )
        woke = time.monotonic()
        b.signal("CONT")
        await self.until(lambda: is_mesh(nodes), self.promised, *nodes)
        await self.single(nodes)
        await self.sees(alice, {"alice": "srv-a", "bob": "srv-b"})
        self.assertLess(time.monotonic() - woke, self.promised + self.busy)
        await self.sees(bob, {"alice": "srv-a", "bob": "srv-b"})
