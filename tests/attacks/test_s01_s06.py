"""Nobody in who does not belong: users, servers, and who they say that they are."""

from typing import Any

from socp_twisted.client import events as told
from socp_twisted.wire.vocabulary import CLOSE_REFUSED
from tests.attacks.ground import AttackCase
from tests.attacks.people import CAPS, House, Rogue, pose, proof, resigned
from tests.plain_socp import Frame, key_of, message
from tests.sockets import Stranger


class NoLoginTests(AttackCase):
    """Who has not logged in says nothing in anybody's name."""

    async def forge(self, kind: str) -> None:
        """Say something as alice, as bob and as nobody, before and after a HELLO."""
        house = self.house()
        alice, bob = await self.user(house, "alice"), await self.user(house, "bob")
        await self.calm(alice, bob)
        eve: Stranger = await self.knock(house, "srv-j")
        await self.say_as_others(eve, kind)
        hello = {"client": "test", "pubkey": eve.key.public}
        for name in ("alice", "bob"):
            pose(eve, name, "USER_HELLO", house.id, hello)
            await self.refused(eve, "NAME_IN_USE")
        eve.say("USER_HELLO", house.id, {**hello, "nonce": "mine"})
        await eve.hear("USER_HELLO_ACK")
        await self.say_as_others(eve, kind)
        await self.unmoved(alice, bob)
        self.assertEqual(house.online(), {"alice": "srv-a", "bob": "srv-a"})
        await self.talk(alice, bob)
        self.assertIsNone(eve.closed)

    async def say_as_others(self, eve: Stranger, kind: str) -> None:
        """Write to bob with eve's own key, under four names."""
        for name in ("alice", "bob", "nobody", ""):
            ts = eve.now()
            forged: Frame = message(eve.key, "bob", key_of("bob").public, "I am", ts)
            forged |= {"sender": name, "to": "bob"} if name else {}
            pose(eve, name or eve.name, kind, "bob", forged)
        await self.refused(eve, *["NOT_ALLOWED"] * 4)

    async def test_s01_direct_message_without_login(self) -> None:
        """No direct message reaches anybody from who has not logged in."""
        await self.forge("MSG_DIRECT")

    async def test_s02_public_message_without_login(self) -> None:
        """Nor by way of the public channel."""
        await self.forge("MSG_PUBLIC_CHANNEL")

    async def test_s01_captured_message_opens_no_door(self) -> None:
        """Somebody else's message, kept by who received it, logs nobody in as them."""
        house = self.house()
        alice, bob = await self.user(house, "alice"), await self.user(house, "bob")
        ts = alice.now() - 120_000
        sent = message(alice.key, "bob", bob.key.public, "a secret", ts)
        alice.say("MSG_DIRECT", "bob", sent, ts=ts)
        await bob.hear("USER_DELIVER", sender="alice", ts=ts)
        await alice.hang_up()
        await self.until(lambda: house.online() == {"bob": "srv-a"})
        await self.calm(bob)
        eve: Stranger = await self.knock(house, "alice", key="srv-j")
        # Unsigned: the attacker has alice's public key, and nothing else of hers.
        hello = {"client": "test", "pubkey": alice.key.public}
        frame = {"type": "USER_HELLO", "from": "alice", "to": "*", "ts": eve.now()}
        eve.write({**frame, "payload": hello})
        await eve.hear("USER_HELLO_ACK")
        eve.say("MSG_DIRECT", "bob", sent, ts=ts, id="again")
        await self.refused(eve, "NOT_ALLOWED")
        eve.say("MSG_DIRECT", "bob", sent, id="now")
        await self.refused(eve, "INVALID_SIG")
        self.assertEqual(house.online(), {"bob": "srv-a"})
        await self.unmoved(bob)


class StrangeServerTests(AttackCase):
    """A key that the operator does not know is no server."""

    async def test_s03_any_key_joins(self) -> None:
        """With ``--joins pinned`` a stranger learns nothing; who is pinned joins."""
        house = self.house(
            joins="pinned", bootstrap=[("ws://127.0.0.1:9", key_of("srv-b"))]
        )
        alice = await self.user(house, "alice")
        friend = await self.member(house, "srv-b")
        await friend.hear("USER_ADVERTISE", user_id="alice")
        for caps in (CAPS, []):
            eve = await self.rogue(house, "srv-c")
            eve.claim(house, caps=caps)
            await self.refused(eve, "NOT_ALLOWED")
            code, _ = await eve.end()
            self.assertEqual((code, eve.frames), (CLOSE_REFUSED, []))
        self.assertEqual(house.linked(), ["srv-b"])
        await self.calm(alice)
        bob = await self.user(house, "bob")
        await friend.hear("USER_ADVERTISE", user_id="bob")
        await self.talk(bob, alice)

    async def test_s03_unproven_claim_sees_nothing(self) -> None:
        """Where anybody may join, a claim alone is told of no user and no message."""
        house = self.house()
        alice = await self.user(house, "alice")
        eves = [await self.rogue(house, name) for name in ("srv-b", "srv-c")]
        eves[0].claim(house, caps=CAPS, server_id="srv-b")
        eves[1].claim(house)
        for eve in eves:
            await eve.hear("SERVER_WELCOME")
        bob = await self.user(house, "bob")
        await self.talk(alice, bob)
        for eve in eves:
            self.assertEqual(eve.learnt(), [])
            self.assertNotIn("alice", eve.story())
        self.assertEqual(house.linked(), [])

    async def test_s03_joined_after_all(self) -> None:
        """A server that did join reads no word of what users say to each other."""
        one, two = await self.pair()
        eve = await self.member(one, "srv-c")
        alice, bob = await self.user(one, "alice"), await self.user(two, "bob")
        await alice.hear("USER_ADDED", user_id="bob")
        await self.talk(alice, bob, "between us")
        self.assertEqual(eve.heard("SERVER_DELIVER"), [])
        self.assertNotIn("between us", eve.story())


class LyingServerTests(AttackCase):
    """A server speaks for its own users, under its own key, and for nobody else."""

    async def test_s04_false_keys(self) -> None:
        """Keys of users, here and elsewhere, are not another server's to tell."""
        one, two = await self.pair()
        eve = await self.member(one, "srv-c")
        alice, bob = await self.user(one, "alice"), await self.user(two, "bob")
        await alice.hear("USER_ADDED", user_id="bob")
        await self.calm(bob)
        eve.frames.clear()
        eve.advertise("bob", eve.key, "srv-b")
        eve.advertise("alice", eve.key, "srv-a")
        await self.refused(eve, "NOT_ALLOWED", "NOT_ALLOWED")
        eve.advertise("bob", eve.key)
        eve.advertise("alice", eve.key)
        await self.refused(eve, "NAME_IN_USE", "NAME_IN_USE")
        pose(
            eve,
            "srv-b",
            "USER_ADVERTISE",
            "*",
            {"user_id": "bob", "server_id": "srv-b"},
        )
        await self.refused(eve, "INVALID_SIG")
        await self.unmoved(bob)
        self.assertEqual(one.online(), {"alice": "srv-a", "bob": "srv-b"})
        await alice.online()
        listed = alice.heard("LIST_RESPONSE")[-1]["payload"]["users"]
        keys = {user["user_id"]: user["pubkey"] for user in listed}
        wanted = {name: key_of(name).public for name in ("alice", "bob")}
        self.assertEqual(keys, wanted)
        await self.talk(alice, bob)
        # Alice is told that somebody uses her name, and of nothing else.
        [warning] = alice.heard("ERROR")
        self.assertIn("srv-c", warning["payload"]["detail"])

    async def test_s04_false_key_outlives_nobody(self) -> None:
        """Who was away is not taken for the attacker's user, then or afterwards."""
        house = self.house()
        bob = await self.user(house, "bob")
        alice, seen = await self.client(house.url, "alice")
        await self.until(alice._session.contacts.online)
        await bob.hang_up()
        await self.until(lambda: told.UserLeft("bob") in seen)
        eve = await self.member(house, "srv-c")
        eve.advertise("bob", eve.key)
        await self.until(
            lambda: any(isinstance(one, told.UserKeyChanged) for one in seen)
        )
        refusal: Any = await self.failed(alice.tell("bob", "for bob alone"))
        self.assertIn("the key of bob has changed", refusal)
        self.assertEqual(eve.heard("SERVER_DELIVER"), [])
        await eve.hang_up()
        await self.until(lambda: "bob" not in house.online())
        bob = await self.user(house, "bob")
        await self.until(lambda: alice._session.contacts.get("bob").trusted)
        await alice.tell("bob", "for bob alone")
        await bob.hear("USER_DELIVER", sender="alice")

    async def failed(self, command: Any) -> str:
        """Return why a command of a client was refused."""
        try:
            await command
        except Exception as why:
            return str(why)
        return ""


class TakeoverTests(AttackCase):
    """A server's id is its key's; a frame without that key changes nothing."""

    async def besieged(self) -> tuple[House, House, Stranger, Stranger, Rogue]:
        """Return two linked nodes, a user at each, and an attacker at the first."""
        one, two = await self.pair()
        alice, bob = await self.user(one, "alice"), await self.user(two, "bob")
        await alice.hear("USER_ADDED", user_id="bob")
        await bob.hear("USER_ADDED", user_id="alice")
        await self.calm(alice, bob)
        return one, two, alice, bob, await self.rogue(one, "srv-b", key="srv-j")

    async def held(
        self, one: House, alice: Stranger, bob: Stranger, eve: Rogue
    ) -> None:
        """Fail unless the true server has its id, its link and its traffic."""
        await self.unmoved(alice, bob)
        self.assertEqual(one.linked(), ["srv-b"])
        server = one.server("srv-b")
        assert server is not None
        self.assertEqual(server.pubkey, key_of("srv-b").public)
        await self.talk(alice, bob)
        await self.talk(bob, alice)
        self.assertEqual(eve.learnt(), [])

    async def test_s05_unsolicited_welcome(self) -> None:
        """A SERVER_WELCOME to a listening server takes over nothing."""
        one, _, alice, bob, eve = await self.besieged()
        entry: Frame = {"server_id": "srv-b", "host": "127.0.0.1", "port": 9}
        entry["pubkey"] = eve.key.public
        welcome: Frame = {
            "assigned_id": "srv-z",
            "servers": [entry],
            "clients": [entry],
        }
        welcome["introducer"] = entry
        frame = eve.say("SERVER_WELCOME", "srv-a", welcome)
        eve.write({**frame, "sig": ""})
        eve.write({name: frame[name] for name in frame if name != "sig"})
        eve.write(resigned(frame, key_of("alice")))
        await self.refused(eve, *["NOT_ALLOWED"] * 4)
        await self.held(one, alice, bob, eve)
        self.assertEqual(one.id, "srv-a")

    async def test_s06_link_as_second_frame(self) -> None:
        """A SERVER_HELLO_LINK with the attacker's key ends the attacker's link."""
        one, _, alice, bob, eve = await self.besieged()
        eve.claim(one, caps=CAPS, nonce="n")
        welcome = await eve.hear("SERVER_WELCOME")
        self.assertNotEqual(welcome["payload"]["assigned_id"], "srv-b")
        answer = proof(welcome, one)
        eve.tell("SERVER_HELLO_LINK", {**eve.claimed, **answer, "server_id": "srv-b"})
        code, _ = await eve.end()
        self.assertEqual(code, CLOSE_REFUSED)
        await self.held(one, alice, bob, eve)

    async def test_s06_link_alone(self) -> None:
        """Nor does a LINK without a JOIN, or after one in another's name, count."""
        one, _, alice, bob, eve = await self.besieged()
        claimed = {"host": "127.0.0.1", "port": 9, "pubkey": key_of("srv-b").public}
        eve.say("SERVER_HELLO_LINK", "srv-a", claimed)
        await self.refused(eve, "INVALID_SIG")
        self.assertEqual((await eve.end())[0], CLOSE_REFUSED)
        await self.held(one, alice, bob, eve)
