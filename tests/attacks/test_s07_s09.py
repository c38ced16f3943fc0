"""What was captured buys nothing: replayed claims, stolen passphrases, removals."""

import json
from typing import Any

from socp_twisted.client.keystore import open_store
from socp_twisted.errors import BadKey
from socp_twisted.wire.vocabulary import CLOSE_REFUSED
from tests.attacks.between import Relay
from tests.attacks.ground import AttackCase
from tests.attacks.people import House, Rogue, pose, resigned, write
from tests.plain_socp import Frame, key_of, unb64u
from tests.sockets import Stranger


class RelayCase(AttackCase):
    """Attacks by somebody on the way between two ends."""

    def relay(self, house: House) -> Relay:
        """Listen in front of a node."""
        relay = Relay(house.url, 0, self.watch)
        relay.start()
        self.addCleanup(relay.stop)
        return relay


class ReplayedJoinTests(RelayCase):
    """A claim that was captured is worth nothing without the key."""

    async def captured(self) -> tuple[House, House, list[Frame]]:
        """Link two nodes through a relay that keeps what the second one says."""
        one = self.house("srv-a")
        relay = self.relay(one)
        two = self.house("srv-b", [(relay.url, one.key)])
        await self.until(lambda: one.linked() == ["srv-b"] and two.linked())
        claims = [frame for frame in relay.up if frame["type"].startswith("SERVER_H")]
        self.assertEqual(
            [frame["type"] for frame in claims],
            ["SERVER_HELLO_JOIN", "SERVER_HELLO_LINK"],
        )
        return one, two, claims

    async def replay(self, house: House, frames: list[Frame]) -> Rogue:
        """Send frames to the letter; return the thief, whom the node hung up on."""
        thief = await self.rogue(house, "srv-b", key="srv-j")
        for frame in frames:
            thief.write(frame)
        code, _ = await thief.end()
        self.assertEqual(code, CLOSE_REFUSED)
        self.assertEqual(thief.learnt(), [])
        return thief

    async def test_s07_replayed_join(self) -> None:
        """Between two nodes of this project a replayed JOIN and LINK prove nothing."""
        one, two, (join, link) = await self.captured()
        alice, bob = await self.user(one, "alice"), await self.user(two, "bob")
        await alice.hear("USER_ADDED", user_id="bob")
        await bob.hear("USER_ADDED", user_id="alice")
        await self.calm(alice, bob)
        await self.replay(one, [join, link])
        idle = await self.rogue(one, "srv-b", key="srv-j")
        idle.write(join)
        await idle.hear("SERVER_WELCOME")
        await self.unmoved(alice, bob)
        self.assertEqual(one.linked(), ["srv-b"])
        await self.talk(alice, bob)
        await self.talk(bob, alice)
        self.assertEqual(idle.learnt(), [])

    async def test_s07_while_it_is_away(self) -> None:
        """Nor while the true server is away; and then it finds its place free."""
        one, two, claims = await self.captured()
        alice = await self.user(one, "alice")
        await self.shut(two)
        await self.until(lambda: one.linked() == [])
        await self.replay(one, claims)
        self.assertEqual(one.linked(), [])
        two = self.house("srv-b", [one])
        await self.until(lambda: one.linked() == ["srv-b"])
        bob = await self.user(two, "bob")
        await alice.hear("USER_ADDED", user_id="bob")
        await self.talk(alice, bob)

    async def test_s07_without_nonces(self) -> None:
        """A node that signs nonces is not replaced by a claim that cannot."""
        one, two, (join, _) = await self.captured()
        bob = await self.user(two, "bob")
        announced = {name: join["payload"][name] for name in ("host", "port", "pubkey")}
        thief = await self.rogue(one, "srv-b", key="srv-j")
        thief.write({**join, "payload": announced})
        await self.refused(thief, "INVALID_SIG")
        self.assertEqual((await thief.end())[0], CLOSE_REFUSED)
        true = await self.rogue(one, "srv-b")  # even with the key, as an older server
        true.claim(one)
        await self.refused(true, "NOT_ALLOWED")
        self.assertEqual(one.linked(), ["srv-b"])
        alice = await self.user(one, "alice")
        await self.talk(alice, bob)


class ReplayedForeignerTests(AttackCase):
    """
    Servers of others sign no nonce, and no time: their frames can be said again.

    The wire cannot prevent that.  The bound: until it is confirmed a replayed claim is
    told nothing; confirmed or not, it takes no traffic from a link that is alive.
    """

    async def place(self) -> tuple[House, Rogue, Stranger, Rogue]:
        """Return a node, a server of others with a user, a local user, a thief."""
        house = self.house()
        friend = await self.foreigner(house, "srv-b")
        bob = {"user_id": "bob", "server_id": "srv-b"}
        friend.say("USER_ADVERTISE", "*", {**bob, "pubkey": key_of("bob").public})
        alice = await self.user(house, "alice")
        self.assertEqual(alice.heard("USER_ADDED", user_id="bob")[0]["from"], "srv-a")
        await self.calm(alice)
        thief = await self.rogue(house, "srv-b", key="srv-j")
        join: Frame = {"type": "SERVER_HELLO_JOIN", "from": "srv-b", "to": "*"}
        join |= {"ts": friend.now(), "payload": friend.claimed}
        thief.write(resigned(join, friend.key))  # to the letter as it was captured
        await thief.hear("SERVER_WELCOME", assigned_id="srv-b")
        return house, friend, alice, thief

    async def test_s07_foreign_claim_alone(self) -> None:
        """A replayed claim is told of no user and no message, and replaces nothing."""
        house, friend, alice, thief = await self.place()
        carol = await self.user(house, "carol", key="srv-e")
        write(alice, "bob", "for bob", key_of("bob"))
        await friend.hear("SERVER_DELIVER", user_id="bob")
        await friend.hear("USER_ADVERTISE", user_id="carol")
        self.assertEqual(thief.learnt(), [])
        self.assertEqual(house.linked(), ["srv-b"])
        await self.talk(alice, carol)

    async def test_s07_foreign_frame_again(self) -> None:
        """Confirmed with a captured heartbeat, it still takes no traffic away."""
        house, friend, alice, thief = await self.place()
        beat = friend.say("HEARTBEAT", "*", {})
        thief.write({**beat, "ts": friend.now()})  # its time is not signed
        await self.until(lambda: house.linked() == ["srv-b", "srv-b"])
        write(alice, "bob", "for bob", key_of("bob"))
        await friend.hear("SERVER_DELIVER", user_id="bob", seconds=3)
        server = house.server("srv-b")
        assert server is not None
        self.assertEqual(server.pubkey, key_of("srv-b").public)
        self.assertEqual(house.online(), {"alice": "srv-a", "bob": "srv-b"})
        thief.abort()
        await self.until(lambda: house.linked() == ["srv-b"])
        write(alice, "bob", "and again", key_of("bob"))
        await self.until(lambda: len(friend.heard("SERVER_DELIVER")) == 2)


class PassphraseTests(RelayCase):
    """A passphrase never leaves the client, nor anything that opens the key."""

    async def test_s08_passphrase_on_the_wire(self) -> None:
        """Whoever hears all, the server too, cannot open the key that it keeps."""
        house = self.house()
        relay = self.relay(house)
        phrase = "correct horse battery staple"
        alice, _ = await self.client(
            relay.url, "alice", passphrase=phrase, register=True
        )
        await alice.close()
        [account] = [
            one["payload"] for one in relay.up if one["type"] == "USER_REGISTER"
        ]
        # From another machine, with the passphrase alone.
        again, _ = await self.client(relay.url, "alice", key=None, passphrase=phrase)
        assert again.key is not None
        self.assertEqual(again.key.public.text, key_of("alice").public)
        [login] = [
            one["payload"]["password"]
            for one in relay.up
            if one["type"] == "USER_LOGIN" and "password" in one["payload"]
        ]
        heard = json.dumps(relay.up + relay.down)
        self.assertNotIn(phrase, heard)
        self.assertNotIn("PRIVATE KEY", heard)
        store = account["privkey_store"]
        for guess in (login, account["pake_password"], unb64u(login).hex()):
            self.assertRaises(BadKey, open_store, store, "alice", guess)
        self.assertEqual(open_store(store, "alice", phrase).public, again.key.public)


class ForgedRemovalTests(AttackCase):
    """Only the server that has a user says that they have left."""

    async def test_s09_forged_removal(self) -> None:
        """Nobody is removed by another server, in whosever name."""
        one, two = await self.pair()
        eve = await self.member(one, "srv-c")
        alice, bob = await self.user(one, "alice"), await self.user(two, "bob")
        await alice.hear("USER_ADDED", user_id="bob")
        await bob.hear("USER_ADDED", user_id="alice")
        await self.calm(alice, bob)
        eve.frames.clear()
        for name, host in (("alice", "srv-a"), ("bob", "srv-b")):
            gone: Any = {"user_id": name, "server_id": host}
            eve.tell("USER_REMOVE", gone)
            pose(eve, host, "USER_REMOVE", "*", gone)
            pose(eve, host, "USER_REMOVE", "*", eve.bound("USER_REMOVE", gone))
            eve.tell("USER_REMOVE", {**gone, "server_id": "srv-c"})
            eve.tell("ERROR", {"code": "USER_NOT_FOUND", "user_id": name}, "srv-a")
        # What is said in our own name comes back from a neighbour: it is dropped.
        await self.refused(
            eve, "NOT_ALLOWED", "NOT_ALLOWED", "INVALID_SIG", "INVALID_SIG"
        )
        await self.unmoved(alice, bob)
        self.assertEqual(one.online(), {"alice": "srv-a", "bob": "srv-b"})
        self.assertEqual(two.online(), one.online())
        await self.talk(alice, bob)
        await self.talk(bob, alice)
