"""Nothing lost, nobody stalled: links that fail, and users who do."""

import socket
from typing import Any

from twisted.internet.defer import Deferred, gatherResults

from socp_twisted.wire.limits import Limits
from socp_twisted.wire.vocabulary import CLOSE_SLOW
from tests.attacks.between import Relay
from tests.attacks.ground import AttackCase
from tests.attacks.people import write
from tests.plain_socp import b64u, content_bytes, key_of
from tests.support import MeshTestCase


class RetryTests(AttackCase):
    """A server that is not there is dialled again, and the log says what is so."""

    async def test_r01_retry(self) -> None:
        """Failures are told as failures, and the later attempt that succeeds links."""
        one = self.house("srv-a", start=False)
        two = self.house("srv-b", [one], retry_delay=0.2)
        await self.until(lambda: len(self.lines("failed to connect")) >= 2)
        self.assertEqual(self.lines("successfully"), [])
        self.open(one)
        await self.until(lambda: one.linked() == ["srv-b"])
        await self.until(lambda: two.linked() == ["srv-a"])
        self.assertEqual(len(self.lines(f"successfully connected to {one.url}")), 1)
        told = self.lines("[bootstrap] attempting")
        self.assertIn(f"{one.url} (attempt 1/10)", told[0])
        self.assertIn(f"{one.url} (attempt 3/10)", told[2])

    async def test_r01_giving_up(self) -> None:
        """Attempts are counted, and the last one is the last."""
        nobody = self.house("srv-a", start=False)
        self.house("srv-b", [nobody], retry_delay=0.1, max_attempts=3)
        await self.until(lambda: self.lines("giving up"))
        self.assertEqual(len(self.lines("attempting to connect")), 3)
        self.assertEqual(self.lines("giving up")[0].split(" after ")[1], "3 attempts")


class ReconnectTests(AttackCase):
    """A link that is lost is made again, whoever was to blame."""

    async def test_r02_lost_and_restarted(self) -> None:
        """A cut, a restart of either end, and users are there again each time."""
        one = self.house("srv-a", folder=self.home / "a")
        relay = Relay(one.url, 0, self.watch)
        relay.start()
        self.addCleanup(relay.stop)
        two = self.house("srv-b", [(relay.url, one.key)])
        await self.until(lambda: one.linked() and two.linked())
        alice, bob = await self.user(one, "alice"), await self.user(two, "bob")
        await alice.hear("USER_ADDED", user_id="bob")
        for half in list(relay.halves):
            half.abort()
        await self.until(lambda: len(self.lines("successfully connected")) >= 2)
        await self.until(lambda: one.linked() == ["srv-b"])
        await self.until(lambda: two.online() == one.online())
        await self.talk(alice, bob)
        await self.talk(bob, alice)
        await self.shut(one)
        await self.until(lambda: two.linked() == [])
        one = self.house("srv-a", folder=self.home / "a", port=one.port)
        await self.until(lambda: two.linked() == ["srv-a"], 15)
        alice = await self.user(one, "alice")
        await self.until(lambda: two.online() == {"alice": "srv-a", "bob": "srv-b"})
        await self.talk(bob, alice)
        await self.talk(alice, bob)


class HangTests(MeshTestCase):
    """
    A hang (SIGSTOP) takes 45 s to be noticed, so here the network is in memory.

    ``test_twistd`` stops a real process for as long on a real clock.
    """

    def test_r02_hang(self) -> None:
        """A server that hangs is lost after 45 s, and linked again when it wakes."""
        one = self.start("srv-a", 8765)
        two = self.start("srv-b", 8766, [one])
        self.network.pass_time(2)
        self.assert_mesh(one, two)
        self.freeze(two)
        self.network.pass_time(50)
        self.assertEqual(one.linked(), [])
        self.thaw(two)
        self.network.pass_time(12)
        self.assert_mesh(one, two)


class SlowReaderTests(AttackCase):
    """Who does not read is put out; nobody else waits for them."""

    async def test_r03_reads_nothing(self) -> None:
        """One user who stops reading blocks neither the link nor another user."""
        limits = Limits(unread=3, queued=2**21)
        one, two = await self.pair(limits=limits)
        alice = await self.user(one, "alice")
        bob, carol = (
            await self.user(two, "bob"),
            await self.user(two, "carol", key="srv-e"),
        )
        await alice.hear("USER_ADDED", user_id="carol")
        await alice.hear("USER_ADDED", user_id="bob")
        transport: Any = bob.transport
        transport.getHandle().setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        transport.pauseProducing()
        block = b"\0" * 512 * 230
        for _ in range(40):
            ts = alice.now()
            sig = alice.key.sign(content_bytes(block, "alice", "bob", ts))
            payload = {"ciphertext": b64u(block), "content_sig": sig}
            payload["sender_pub"] = alice.key.public
            alice.say("MSG_DIRECT", "bob", payload, ts=ts, id=f"big{ts}")
        await self.talk(alice, carol, "past him")
        await self.until(lambda: "bob" not in two.online(), 15)
        await self.talk(carol, alice, "and back")
        self.assertEqual((one.linked(), two.linked()), (["srv-b"], ["srv-a"]))
        self.assertEqual(self.lines("lost srv-"), [])
        self.assertTrue(self.lines("max-unread") or self.lines("max-queued"))
        transport.resumeProducing()
        code, _ = await bob.end(15)
        self.assertIn(code, (CLOSE_SLOW, 1006))


class ComingAndGoingTests(AttackCase):
    """Tables change while they are gone through, and every link lives."""

    async def test_r04_tables_change(self) -> None:
        """Users and servers come and go during lists, gossip and synchronisation."""
        one, two = await self.pair()
        alice = await self.user(one, "alice")
        await self.until(lambda: "alice" in two.online())
        self.logged.clear()
        keys = ["srv-c", "srv-d", "srv-e", "srv-f", "srv-g", "srv-h", "srv-i", "srv-j"]

        async def visit(number: int) -> None:
            house = (one, two)[number % 2]
            user = await self.user(house, f"user{number}", key=keys[number % 8])
            user.say("LIST_REQUEST", "*", {})
            write(user, "alice", "hello", alice.key)
            if number % 3:
                user.abort()
            else:
                user.close()

        async def link(number: int) -> None:
            house = (one, two)[number % 2]
            peer = await self.member(house, keys[number])
            peer.advertise(f"guest{number}", key_of(keys[number]))
            await self.until(lambda: f"guest{number}" in house.online())
            peer.abort()

        work = [*(visit(number) for number in range(16)), *(link(n) for n in range(3))]
        await gatherResults([Deferred.fromCoroutine(one) for one in work])
        await self.until(lambda: set(one.online()) == {"alice"}, 15)
        await self.until(lambda: set(two.online()) == {"alice"}, 15)
        self.assertEqual(self.lines("lost srv-a"), [])
        self.assertEqual(self.lines("lost srv-b"), [])
        self.assertEqual(
            [one["log_format"] for one in self.logged if "log_failure" in one], []
        )
        self.assertIsNone(alice.closed)
        await self.until(lambda: len(alice.heard("USER_DELIVER")) >= 1)
        bob = await self.user(two, "bob")
        await self.until(lambda: "bob" in one.online())
        await self.talk(alice, bob)


class DeadEndTests(AttackCase):
    """Writing to who cannot be reached costs the writer nothing."""

    async def test_r05_dead_link(self) -> None:
        """A message to a user behind a dead link is answered, and its sender stays."""
        house = self.house()
        peer = await self.foreigner(house, "srv-b")
        bob = {"user_id": "bob", "server_id": "srv-b", "pubkey": key_of("bob").public}
        peer.say("USER_ADVERTISE", "*", bob)
        alice, carol = (
            await self.user(house, "alice"),
            await self.user(house, "carol", key="srv-e"),
        )
        await self.calm(alice, carol)
        peer.abort()
        refs = [write(alice, "bob", "are you there", key_of("bob")) for _ in range(3)]
        await self.until(lambda: not house.linked())
        refs += [write(alice, "bob", "are you there", key_of("bob")) for _ in range(3)]
        for ref in refs:
            await self.watch.until(
                lambda r=ref: (
                    alice.heard("ACK", msg_ref=r) or alice.heard("ERROR", msg_ref=r)
                ),  # type: ignore[misc]
                10,
                alice.story,
            )
        await self.talk(alice, carol)
        await self.talk(carol, alice)


class TwoNamesTests(AttackCase):
    """One connection is one user, and leaves no ghost."""

    async def test_r06_one_socket_two_users(self) -> None:
        """A second login on a connection is refused; when it closes nobody is left."""
        house = self.house()
        alice = await self.user(house, "alice")
        eve = await self.user(house, "eve", key="srv-j")
        await self.calm(alice)
        hello = {"client": "", "pubkey": eve.key.public}
        for name in ("ghost", "Eve", "alice"):
            eve.write(eve.say("USER_HELLO", "*", hello) | {"from": name})
            eve.say("USER_LOGIN", "*", {"user_id": name, "proof": "AAAA"})
            eve.say("USER_LOGIN", "*", {"user_id": name, "password": "guess"})
        await self.refused(eve, *["NOT_ALLOWED"] * 9)
        self.assertEqual(set(house.online()), {"alice", "eve"})
        eve.abort()
        await self.until(lambda: set(house.online()) == {"alice"})
        for name in ("eve", "ghost"):
            ref = write(alice, name, "anybody there?", eve.key)
            await self.watch.until(
                lambda r=ref: (
                    alice.heard("ACK", msg_ref=r) or alice.heard("ERROR", msg_ref=r)
                ),  # type: ignore[misc]
                10,
                alice.story,
            )
        bob = await self.user(house, "bob")
        await self.talk(alice, bob)
