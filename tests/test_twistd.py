"""Nodes as real processes: in any order, killed, hung, restarted.  (SOCP 8.1, 8.4)"""

import time
from itertools import permutations
from typing import Final

from tests.plain_socp import is_from, message, read_message
from tests.processes import NodeProcess, ProcessTestCase, is_mesh, together
from tests.sockets import Stranger

FAST: Final = ("--retry-delay", "1")
GAPS: Final = ((0, 0), (12, 0), (0, 12), (2, 7), (7, 6), (12, 12))
"""Seconds between the three starts, for each of the six orders."""

BUSY: Final = 1.0
"""Seconds that a busy machine may add to what the protocol promises."""


class PaceTests(ProcessTestCase):
    """At the real pace: 5 s between attempts, ten of them, and 45 s of silence."""

    async def test_defaults(self) -> None:
        """
        Any order of starts links everybody; deaths and hangs heal; ten dials, no more.

        These take most of a minute, so they happen in the same one.
        """
        orders = zip(permutations("abc"), GAPS, (True, False) * 3, strict=True)
        await together(
            self._hangs(),
            self._gives_up(),
            self._dies(),
            *(self._starts(*order) for order in orders),
        )

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
            node.configure([one for one in known if one is not node])
        for node, gap in zip(nodes, (*gaps, 0), strict=True):
            await self.start(node)
            await self.after(gap)
        took = await self.meshed(nodes, 5 + BUSY)
        self.assertLess(took, 5 + BUSY)

    async def _gives_up(self) -> None:
        """Ten attempts, five seconds apart, each told to the letter."""
        node, nobody = self.node("srv-d"), self.node("srv-e")
        node.configure([nobody])
        await self.start(node)
        began = time.monotonic()
        where = nobody.url
        last = f"[bootstrap] giving up on {where} after 10 attempts"
        await self.until(lambda: last in node.lines, 9 * 5 + 5, node)
        self.assertGreater(time.monotonic() - began, 9 * 5 - BUSY)
        expected = [f"[SOCP] server srv-d listening on {node.url}"]
        for attempt in range(1, 11):
            expected += [
                f"[bootstrap] attempting to connect to {where} (attempt {attempt}/10)",
                f"[bootstrap] failed to connect {where} (attempt {attempt}/10): "
                "connection refused",
                "[bootstrap] retrying in 5 seconds...",
            ]
        expected[-1] = last
        self.assertEqual(node.said(r"\[(SOCP|bootstrap)\] .*"), expected)
        self.assertEqual(node.levels[node.lines.index(last)], "error")
        self.assertTrue(node.running)

    async def _hangs(self) -> None:
        """A server that is silent for 45 s is lost, and found when it wakes."""
        a, b, c = nodes = self.nodes("abc")
        await self.start(*nodes)
        await self.meshed(nodes, 5 + BUSY)
        alice, bob = await self.user("alice", a), await self.user("bob", b)
        await self.sees(alice, {"alice": "srv-a", "bob": "srv-b"})
        b.signal("STOP")
        silent = "lost srv-b: silent for 45 s"
        await self.until(
            lambda: silent in a.lines and silent in c.lines, 45 + BUSY, *nodes
        )
        woke = time.monotonic()
        b.signal("CONT")
        await self.until(lambda: is_mesh(nodes), 5 + BUSY, *nodes)
        await self.single(nodes)
        await self.sees(alice, {"alice": "srv-a", "bob": "srv-b"})
        self.assertLess(time.monotonic() - woke, 5 + 2 * BUSY)
        await self.sees(bob, {"alice": "srv-a", "bob": "srv-b"})

    async def _dies(self) -> None:
        """Whoever is killed is linked again, and everybody sees everybody."""
        nodes = self.nodes("abc")
        await self.start(*nodes)
        await self.meshed(nodes, 5 + BUSY)
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
            await self.meshed(nodes, 5 + BUSY)
            left = {user: home for user, home in homes.items() if home not in names}
            watching = [user for user in users if user.closed is None]
            for user in watching:
                # What is told once a second, and told on, adds to the five seconds.
                await self.sees(user, left, 5 + 4 * BUSY)
            back = [await self.visitor(node) for node in dead]
            for user in (*watching, *back):
                await self.sees(user, homes)
            await together(*(user.hang_up() for user in (*watching, *back)))

    async def visitor(self, node: NodeProcess) -> Stranger:
        """Connect a user who is named after the server."""
        return await self.user(f"user-of-{node.name}", node, key=node.name)


class SignalTests(ProcessTestCase):
    """A process that is stopped for a while, or told to end, loses nothing."""

    async def test_pause(self) -> None:
        """A short hang loses no link, no user, and no message."""
        a, b = nodes = self.nodes("ab", *FAST)
        await self.start(*nodes)
        await self.meshed(nodes, 1 + BUSY)
        alice, bob = await self.user("alice", a), await self.user("bob", b)
        await alice.hear("USER_ADDED", user_id="bob")
        b.signal("STOP")
        sent = alice.now()
        payload = message(alice.key, "bob", bob.key.public, "wake up", sent)
        alice.say("MSG_DIRECT", "bob", payload, ts=sent, id="m1")
        await self.after(2)
        self.assertEqual(bob.heard("USER_DELIVER"), [])
        b.signal("CONT")
        got = await bob.hear("USER_DELIVER", sender="alice")
        told = read_message(bob.key, got["payload"], alice.key.public)
        self.assertEqual(told, "wake up")
        await alice.hear("ACK", msg_ref="m1", status="delivered")
        self.assertEqual([a.said("lost .*"), b.said("lost .*")], [[], []])
        await self.single(nodes)

    async def test_terminated(self) -> None:
        """SIGTERM says goodbye: users are removed, links close with 1000."""
        a, b = nodes = self.nodes("ab", *FAST)
        await self.start(*nodes)
        await self.meshed(nodes, 1 + BUSY)
        alice, bob = await self.user("alice", a), await self.user("bob", b)
        await bob.hear("USER_ADDED", user_id="alice")
        peer = await self.peer("srv-j", a)
        await peer.hear("USER_ADVERTISE", user_id="alice")
        began = time.monotonic()
        a.signal("TERM")
        self.assertEqual((await peer.end())[0], 1000)
        self.assertEqual((await alice.end())[0], 1000)
        goodbye = await peer.hear("USER_REMOVE", user_id="alice", server_id="srv-a")
        self.assertTrue(is_from(a.key.public, goodbye))
        await bob.hear("USER_REMOVED", user_id="alice")
        await self.until(lambda: not a.running, 2, a)
        self.assertLess(time.monotonic() - began, 2)
        self.assertIn(a.code, (0, -15))
        self.assertEqual(a.lines[-1], "Server Shut Down.")


class NewcomerTests(ProcessTestCase):
    """Whom nobody waits for any more, or never did, is welcome."""

    async def test_late(self) -> None:
        """A server that all have given up on joins through one, and links to all."""
        a, b, c = self.node("srv-a"), self.node("srv-b"), self.node("srv-c")
        options = ("--retry-delay", "0.5", "--max-attempts", "3")
        a.configure([b, c], *options)
        b.configure([c], *options)  # nothing leads it to a but c
        c.configure([a, b], *options)
        await self.start(a, c)
        given_up = f"[bootstrap] giving up on {b.url} after 3 attempts"
        await self.until(lambda: given_up in a.lines and given_up in c.lines, 5, a, c)
        self.assertIn("[bootstrap] retrying in 0.5 seconds...", a.lines)
        await self.start(b)
        await self.meshed([a, b, c], 0.5 + BUSY)

    async def test_unlisted(self) -> None:
        """A server that is on no list needs one introducer to be linked to all."""
        nodes = self.nodes("abc", *FAST)
        d = self.node("srv-d")
        d.configure([nodes[1]], *FAST)
        await self.start(*nodes)
        await self.meshed(nodes, 1 + BUSY)
        await self.start(d)
        await self.meshed([*nodes, d], 1 + BUSY)

    async def test_ten(self) -> None:
        """Ten servers make 45 links, and every user is known on every server."""
        nodes = self.nodes("abcdefghij", *FAST)
        await self.start(*nodes)
        await self.meshed(nodes, 10)
        alice, bob = await together(
            self.user("alice", nodes[0]), self.user("bob", nodes[9])
        )
        lookouts = await together(
            *(self.user(f"at-{n.name}", n, key=n.name) for n in nodes[1:9])
        )
        for user in (alice, bob, *lookouts):
            found = await user.online()
            self.assertEqual(
                (found["alice"], found["bob"]), ("srv-a", "srv-j"), user.name
            )


class StartTests(ProcessTestCase):
    """What cannot work ends the process with one sentence."""

    async def test_port_in_use(self) -> None:
        """Two nodes on one port: the second says so and is gone."""
        a, b = self.node("srv-a"), self.node("srv-b")
        a.configure([])
        b.port = a.port
        b.configure([])
        await self.start(a)
        b.start()
        await self.until(lambda: b.code, 10, b)
        self.assertEqual(b.code, 1)
        # twistd shows what goes to stderr as a line of the log by then.
        self.assertRegex(
            b.lines[-1], rf"socp: cannot listen on 127.0.0.1:{a.port}: .+ in use"
        )

    async def test_broken_key(self) -> None:
        """A key file that is no key file is neither used nor overwritten."""
        a = self.node("srv-a")
        a.configure([])
        keyfile = a.folder / "server_key_srv-a.json"
        keyfile.write_text("{}")
        a.start()
        await self.until(lambda: a.code, 10, a)
        self.assertEqual(a.code, 1)
        self.assertRegex(a.errors, r"\Asocp: the key file .* is broken: [^\n]+\n\Z")
        self.assertEqual(keyfile.read_text(), "{}")


class MessageTests(ProcessTestCase):
    """Users of two servers, in a program that is not ours, write to each other."""

    async def test_direct(self) -> None:
        """It decrypts, it is signed by its sender, and its frame by bob's server."""
        a, b = nodes = self.nodes("ab", *FAST)
        await self.start(*nodes)
        await self.meshed(nodes, 1 + BUSY)
        alice, bob = await together(self.user("alice", a), self.user("bob", b))
        added = await alice.hear("USER_ADDED", user_id="bob")
        key = added["payload"]["pubkey"]
        self.assertEqual(key, bob.key.public)
        sent = alice.now()
        payload = message(alice.key, "bob", key, "naïve café ✓", sent)
        alice.say("MSG_DIRECT", "bob", payload, ts=sent, id="m1")
        got = await bob.hear("USER_DELIVER", sender="alice")
        self.assertEqual(
            read_message(bob.key, got["payload"], alice.key.public), "naïve café ✓"
        )
        self.assertEqual((got["from"], got["to"], got["ts"]), ("srv-b", "bob", sent))
        await alice.hear("ACK", msg_ref="m1", status="delivered")
        for server, user in ((a, alice), (b, bob)):
            for frame in user.frames:
                self.assertTrue(is_from(server.key.public, frame), frame["type"])
