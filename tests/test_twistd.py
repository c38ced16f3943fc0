"""Nodes as real processes: in any order, killed, hung, restarted.  (SOCP 8.1, 8.4)"""

import time
from typing import Final

from tests.pace import BUSY, PaceTestCase
from tests.plain_socp import is_from, message, read_message
from tests.processes import ProcessTestCase, together

FAST: Final = ("--retry-delay", "1")


class PaceTests(PaceTestCase):
    """At ten times the pace; ``trial tests.pace`` takes its time."""

    every = 5  # one where all know all, one where a server knows only later ones
    retry = 0.5
    busy = 10.0  # most of thirty processes start in one second

    async def test_orders(self) -> None:
        """Two orders of starts link everybody; deaths heal; ten dials, no more."""
        await self.orders()


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
