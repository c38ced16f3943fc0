"""What is pinned, counted and signed stays so: keys, the channel, frames sent again."""

import sqlite3

from tests.attacks.den import Den
from tests.attacks.ground import AttackCase
from tests.attacks.people import House, Rogue
from tests.plain_socp import Frame, key_of, message
from tests.sockets import Stranger


class BorrowedMessageTests(AttackCase):
    """A signed message lets its author in, once, and nobody who was sent it."""

    async def test_s12_message_as_a_login(self) -> None:
        """Its recipient cannot be its author: not there, not at home, not elsewhere."""
        one, two = await self.pair()
        three = self.house("srv-c", [one, two])
        await self.until(lambda: len(three.linked()) == 2 == len(one.linked()))
        alice, bob = await self.user(one, "alice"), await self.user(two, "bob")
        await self.until(lambda: set(three.online()) == {"alice", "bob"})
        ts = alice.now()
        captured = message(alice.key, "bob", bob.key.public, "hello", ts)
        alice.say("MSG_DIRECT", "bob", captured, ts=ts)
        await bob.hear("USER_DELIVER", sender="alice")
        alice.close()
        for house in (one, two, three):
            await self.until(lambda at=house: set(at.online()) == {"bob"})  # type: ignore[misc]
        for house in (one, two, three):
            eve = await self.knock(house, "alice")
            hello = {"client": "", "pubkey": alice.key.public}
            eve.write({"type": "USER_HELLO", "from": "alice", "payload": hello})
            await eve.hear("USER_HELLO_ACK")
            eve.say("MSG_DIRECT", "bob", captured, ts=ts)
            [why] = await self.refused(eve, "NOT_ALLOWED")
            self.assertIn("the message is stale", why)
            self.assertEqual(set(house.online()), {"bob"})
            eve.abort()
        again = await self.knock(three, "alice")
        again.write({"type": "USER_HELLO", "from": "alice", "payload": hello})
        await again.hear("USER_HELLO_ACK")
        await self.talk(again, bob)


class PinnedKeyTests(AttackCase):
    """A key that is bound to a server id stays bound, whatever an introducer says."""

    async def test_s10_poisoned_welcome(self) -> None:
        """An introducer's WELCOME changes nobody's key and nobody's link."""
        one, two = await self.pair()
        den = Den(key_of("srv-j"), self.watch)
        den.start()
        self.addCleanup(den.stop)
        entries: list[Frame] = [
            {
                "server_id": name,
                "host": "127.0.0.1",
                "port": den.port,
                "pubkey": den.key.public,
            }
            for name in ("srv-a", "srv-b", "srv-j")
        ]
        victim = self.house("srv-c", [one, two, (den.url, den.key)])
        await self.until(lambda: {"srv-a", "srv-b"} <= set(victim.linked()))
        join = await den.hear("SERVER_HELLO_JOIN")
        users = [
            {**entry, "user_id": "alice", "server_id": "srv-a"} for entry in entries
        ]
        welcome = {
            "assigned_id": join["from"],
            "servers": entries,
            "clients": [*entries, *users],
            "introducer": entries[0],
        }
        den.say("SERVER_WELCOME", "srv-c", welcome)
        await self.until(lambda: "srv-j" in victim.linked())
        for house in (one, two):
            server = victim.server(house.id)
            assert server is not None
            self.assertEqual(
                (server.pubkey, server.port), (house.key.public, house.port)
            )
        self.assertEqual(victim.online(), {})
        self.assertEqual(victim.id, "srv-c")
        alice, carol = (
            await self.user(one, "alice"),
            await self.user(victim, "carol", key="srv-e"),
        )
        await carol.hear("USER_ADDED", user_id="alice", pubkey=alice.key.public)
        await alice.hear("USER_ADDED", user_id="carol")
        await self.talk(carol, alice)
        # Nor does a third party's key change when somebody dials and joins in its name.
        self.assertEqual(len(den.heard("SERVER_HELLO_JOIN")), 1)


class ChannelTests(AttackCase):
    """The public channel is counted by servers for their own users, and by no leaps."""

    async def test_s11_poisoned_channel(self) -> None:
        """Huge versions, invented members and wraps neither show nor last."""
        folder = self.home / "a"
        house = self.house(folder=folder)
        eve = await self.member(house, "srv-c")
        alice = await self.user(house, "alice")
        await self.calm(alice)
        eve.frames.clear()
        for version in (2**53 - 1, 10**15):
            eve.tell("PUBLIC_CHANNEL_ADD", {"add": [], "if_version": version})
            wraps = [{"member_id": "alice", "wrapped_key": "AAAA"}]
            eve.tell("PUBLIC_CHANNEL_UPDATED", {"version": version, "wraps": wraps})
        eve.tell("PUBLIC_CHANNEL_ADD", {"add": ["ghost", "alice"], "if_version": 1})
        await self.refused(eve, "NOT_ALLOWED")
        eve.tell("PUBLIC_CHANNEL_ADD", {"add": ["ghost"], "if_version": 10**18})
        await self.refused(eve, "MALFORMED")
        eve.tell("PUBLIC_CHANNEL_ADD", {"add": ["g" * 64] * 1025, "if_version": 1})
        await self.refused(eve, "MALFORMED")
        await self.unmoved(alice)
        for attempt in range(2):  # before and after a restart
            bob = await self.user(house, "bob")
            [snapshot] = bob.heard("PUBLIC_CHANNEL_SNAPSHOT")
            self.assertLess(snapshot["payload"]["version"], 20)
            self.assertLessEqual(set(snapshot["payload"]["members"]), {"alice", "bob"})
            if not attempt:
                await self.talk(alice, bob)
                await self.shut(house)
                with sqlite3.connect(folder / "socp.db") as db:
                    self.assertNotIn("ghost", "\n".join(db.iterdump()))
                house = self.house(folder=folder)


class SaidAgainTests(AttackCase):
    """Between nodes of this project a frame counts as what it was said as, once."""

    async def place(self) -> tuple[House, Rogue, Rogue, Stranger]:
        """Return a node with two servers of this project's kind, and a user."""
        house = self.house()
        friend = await self.member(house, "srv-b")
        eve = await self.member(house, "srv-c")
        alice = await self.user(house, "alice")
        friend.advertise("bob", key_of("bob"))
        await alice.hear("USER_ADDED", user_id="bob")
        await self.calm(alice)
        eve.frames.clear()
        friend.frames.clear()
        return house, friend, eve, alice

    async def test_s12_signed_payload_again(self) -> None:
        """Another ``ts``, ``to`` or ``type`` around a payload is no new frame."""
        house, friend, eve, alice = await self.place()
        ts = friend.now()
        content = message(key_of("bob"), "alice", alice.key.public, "hi", ts)
        routed = {**content, "user_id": "alice", "sender": "bob", "ts": ts}
        sent = friend.tell(
            "SERVER_DELIVER", {**routed, "msg_id": "one"}, "srv-a", ts=ts
        )
        await alice.hear("USER_DELIVER", sender="bob")
        bob = {"user_id": "bob", "server_id": "srv-b", "pubkey": key_of("bob").public}
        here = friend.tell("USER_ADVERTISE", bob)
        await self.calm(alice)
        for later in (1, 1000, 3_600_000):
            eve.write({**sent, "ts": sent["ts"] + later})
        eve.write({**sent, "to": "srv-c"})
        eve.write({**sent, "type": "MSG_PUBLIC_CHANNEL"})
        eve.write({**here, "type": "USER_REMOVE"})
        eve.write({**here, "type": "USER_REMOVE", "ts": here["ts"] + 1})
        eve.write({**here, "type": "SERVER_DELIVER", "to": "srv-a"})
        eve.tell("UNHEARD_OF", {})
        await eve.hear("ERROR", code="UNKNOWN_TYPE")
        codes = {one["payload"]["code"] for one in eve.heard("ERROR")}
        self.assertLessEqual(codes, {"INVALID_SIG", "UNKNOWN_TYPE"})
        await self.unmoved(alice)
        self.assertEqual(house.online(), {"alice": "srv-a", "bob": "srv-b"})

    async def test_s12_unbound_from_one_who_binds(self) -> None:
        """Who binds what it says is believed in nothing else."""
        house, friend, _, alice = await self.place()
        gone = {"user_id": "bob", "server_id": "srv-b"}
        friend.say("USER_REMOVE", "*", gone)
        await self.refused(friend, "INVALID_SIG")
        await self.unmoved(alice)
        self.assertEqual(house.online(), {"alice": "srv-a", "bob": "srv-b"})

    async def test_s12_towards_others(self) -> None:
        """
        Of a server that binds nothing, only its own users' presence can be said again.

        The bound: other servers' users, our own, keys and messages stay as they are,
        and the next true word of that server sets its own users right.
        """
        house, _, eve, alice = await self.place()
        other = await self.foreigner(house, "srv-d")
        carol = {
            "user_id": "carol",
            "server_id": "srv-d",
            "pubkey": key_of("srv-e").public,
        }
        here = other.say("USER_ADVERTISE", "*", carol)
        await alice.hear("USER_ADDED", user_id="carol")
        ts = other.now()
        content = message(key_of("srv-e"), "alice", alice.key.public, "hi", ts)
        routed = {**content, "user_id": "alice", "sender": "carol", "ts": ts}
        sent = other.say("SERVER_DELIVER", "srv-a", routed, ts=ts)
        got = await alice.hear("USER_DELIVER", sender="carol")
        await self.calm(alice)
        eve.write({**here, "type": "USER_REMOVE", "ts": here["ts"] + 1000})
        await alice.hear("USER_REMOVED", user_id="carol")
        eve.write({**sent, "to": "*", "ts": sent["ts"] + 1})
        other.say("USER_ADVERTISE", "*", carol, ts=here["ts"] + 2000)
        await alice.hear("USER_ADDED", user_id="carol")
        users = {"alice": "srv-a", "bob": "srv-b", "carol": "srv-d"}
        self.assertEqual(house.online(), users)
        # Said again it is the same message, to the ts under its content signature: the
        # client has seen it, and shows it once (S13).
        again = await alice.hear("USER_DELIVER", sender="carol")
        self.assertEqual(again["payload"]["ts"], got["payload"]["ts"])
        self.assertEqual(again["payload"]["content_sig"], content["content_sig"])


class ThriceTests(AttackCase):
    """What a user says once is given once, and only if it was said now."""

    async def test_s13_sent_three_times(self) -> None:
        """Three copies are one message, from whichever device and under any id."""
        house = self.house()
        alice, bob = await self.user(house, "alice"), await self.user(house, "bob")
        device = await self.device(house, "alice")
        await self.calm(alice, bob, device)
        ts = alice.now()
        payload = message(alice.key, "bob", bob.key.public, "once", ts)
        for sender, ref in ((alice, "a"), (alice, "a"), (alice, "b"), (device, "c")):
            sender.say("MSG_DIRECT", "bob", payload, ts=ts, id=ref)
        await device.hear("ACK", msg_ref="c", status="delivered")
        types = [frame["type"] for frame in await self.news(bob)]
        self.assertEqual(types, ["USER_DELIVER"])

    async def test_s13_of_1970(self) -> None:
        """A message of 1970, or of next year, is refused with a sentence."""
        house = self.house()
        alice, bob = await self.user(house, "alice"), await self.user(house, "bob")
        await self.calm(alice, bob)
        for ts in (0, 1, alice.now() - 601_000, alice.now() + 10**10):
            payload = message(alice.key, "bob", bob.key.public, "old", ts)
            alice.say("MSG_DIRECT", "bob", payload, ts=ts, id="old")
        for said in await self.refused(alice, *["MALFORMED"] * 4):
            self.assertIn("10 minutes", said)
        await self.unmoved(bob)
        await self.talk(alice, bob)
