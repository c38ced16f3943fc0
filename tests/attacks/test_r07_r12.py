"""Nothing lost, nobody stalled: bad frames, crowds, second links, dead servers."""

import json
from typing import Any

from twisted.internet.defer import gatherResults

from socp_twisted.client import events as told
from socp_twisted.wire.limits import Limits
from tests.attacks.ground import AttackCase
from tests.attacks.people import House, resigned, size_of, write
from tests.attacks.test_s07_s09 import RelayCase
from tests.plain_socp import Frame, b64u, canonical, key_of, seal

RUBBISH = (
    "",
    "not JSON",
    "[1]",
    "null",
    "5",
    "{",
    '{"type": 1}',
    "[" * 5000,
    '"x"',
    '{"type":"MSG_DIRECT","payload":[]}',
    '{"a":1,"a":2}',
    '{"type":"ACK","ts":1e9}',
    '{"type":"ACK","payload":{"a":NaN}}',
    '{"type":"ACK","payload":{"\\ud800":1}}',
)
"""Texts that are no frames."""


class DeafnessTests(RelayCase):
    """Whatever comes, the one to whom it comes goes on listening."""

    async def test_r07_relayed_rubbish(self) -> None:
        """A node passes on no ciphertext that is none, and no text that is no frame."""
        house = self.house()
        alice, bob = await self.user(house, "alice"), await self.user(house, "bob")
        await self.calm(alice, bob)
        for text in RUBBISH:
            alice.write_text(text)
        sealed = seal(bob.key.public, b"x")
        for data in (
            "%%%",
            "AAAA",
            b64u(sealed) + "=",
            b64u(sealed[:-1]),
            b64u(sealed) + "A",
        ):
            write(alice, "bob", "x", bob.key, ciphertext=data)
        count = len(RUBBISH) + 5
        await self.watch.until(
            lambda: len(alice.heard("ERROR")) == count, 10, alice.story
        )
        await self.calm(alice)
        await self.unmoved(bob)
        await self.talk(alice, bob)

    async def test_r07_hostile_server(self) -> None:
        """A client that a server feeds rubbish still hears the next true message."""
        house = self.house()
        relay = self.relay(house)
        bob, seen = await self.client(relay.url, "bob")
        alice = await self.user(house, "alice")
        await self.until(bob._session.contacts.online)
        [victim] = [half for half in relay.halves if not half._dialled]
        for text in RUBBISH:
            victim.write_text(text)
        kinds = (
            "USER_DELIVER",
            "USER_ADDED",
            "LIST_RESPONSE",
            "ACK",
            "ERROR",
            "USER_LOGGED_IN",
            "USER_HELLO_ACK",
            "FILE_START_DELIVER",
            "FILE_CHUNK_DELIVER",
            "PUBLIC_CHANNEL_SNAPSHOT",
        )
        payloads: list[Any] = [
            {},
            {"users": 5},
            {"ciphertext": "%", "sender": "alice"},
            {"user_id": []},
            {"msg_ref": {}},
        ]
        for kind in kinds:
            for payload in payloads:
                frame: Frame = {"type": kind, "from": "srv-a", "to": "bob", "ts": 1}
                relay.inject(resigned({**frame, "payload": payload}, house.key))
        await self.until(lambda: self.count(seen, told.FrameRefused) >= len(RUBBISH))
        write(alice, "bob", "still there?", key_of("bob"))
        await self.until(lambda: self.count(seen, told.TextReceived) == 1)
        await bob.tell("alice", "yes")
        await alice.hear("USER_DELIVER", sender="bob")


class CrowdTests(AttackCase):
    """However many come, the next one who is honest is let in and told all."""

    async def test_r08_invented_servers(self) -> None:
        """Joins under invented ids are not remembered, and WELCOME stays small."""
        house = self.house(limits=Limits(servers=6, pins=12))
        alice = await self.user(house, "alice")
        # The signature covers neither id nor time: one is enough for all of them.
        eve = await self.rogue(house, "fake", key="srv-j")
        eve.claim(house)
        sig = eve.key.sign(canonical(eve.claimed))
        join = {"to": house.id, "ts": eve.now(), "payload": eve.claimed, "sig": sig}
        join["type"] = "SERVER_HELLO_JOIN"
        beat = {**join, "type": "HEARTBEAT", "payload": {}, "sig": eve.key.sign(b"{}")}
        claims = await self.crowd(house, 100)
        welcomes: list[Any] = []
        for number, line in enumerate(claims):
            welcomes.append(line.hear("SERVER_WELCOME"))
            line.send(json.dumps({**join, "from": f"fake-{number}"}).encode())
        self.assertTrue(all(await gatherResults(welcomes)))
        for number, line in enumerate(claims):
            line.send(json.dumps({**beat, "from": f"fake-{number}"}).encode())
        # Those with keys of their own, one after the other, fill the places there are.
        for letter in "cdefghi":
            eve = await self.rogue(house, f"srv-{letter}")
            await eve.join(house)
            eve.abort()
        await self.calm(alice)
        self.assertLessEqual(len(house.node.mesh.directory.servers), 6)
        self.assertLessEqual(len(house.node.mesh.pins), 12)
        friend = await self.member(house, "srv-b")
        [welcome] = friend.heard("SERVER_WELCOME")
        self.assertLess(size_of(welcome), 50_000)
        await friend.hear("USER_ADVERTISE", user_id="alice")
        bob = await self.user(house, "bob")
        await self.talk(bob, alice)

    async def test_r09_long_names(self) -> None:
        """Users with huge names neither grow the list nor cost anybody the link."""
        house = self.house()
        friend = await self.member(house, "srv-b")
        alice = await self.user(house, "alice")
        long = "x" * 190_000
        for number in range(6):
            eve = await self.knock(house, f"eve{number}", key="srv-j")
            meta = {"display_name": long, "extras": [long] * 2, "username": long}
            hello = {"client": "", "pubkey": eve.key.public, "meta": meta}
            eve.say("USER_HELLO", "*", hello)
            await eve.hear("PUBLIC_CHANNEL_SNAPSHOT")
            told = {"user_id": f"far{number}", "server_id": "srv-b", "meta": meta}
            friend.tell("USER_ADVERTISE", {**told, "pubkey": key_of("srv-j").public})
            friend.tell("USER_ADVERTISE", {**told, "user_id": long})
        await self.until(lambda: len(house.online()) == 13)
        listed = await alice.online()
        self.assertEqual(len(listed), 13)
        [answer] = alice.heard("LIST_RESPONSE")
        self.assertLess(size_of(answer), 50_000)
        self.assertIsNone(alice.closed)
        self.assertEqual(house.linked(), ["srv-b"])


class SecondLinkTests(AttackCase):
    """Two links between a pair are no more fragile than one."""

    async def both(self, house: House, *, ours: bool) -> list[Any]:
        """Return two links of the same server, newest last, with bob on it."""
        ends = []
        for _ in range(2):
            peer = await self.rogue(house, "srv-b")
            if ours:
                await peer.join(house)
            else:
                peer.claim(house)
                await peer.hear("SERVER_WELCOME")
                peer.say("SERVER_HELLO_LINK", house.id, peer.claimed)
            await peer.hear("SERVER_ANNOUNCE")
            ends.append(peer)
        bob = {"user_id": "bob", "server_id": "srv-b", "pubkey": key_of("bob").public}
        if ours:
            ends[1].tell("USER_ADVERTISE", bob)
        else:
            ends[1].say("USER_ADVERTISE", "*", bob)
        await self.until(lambda: "bob" in house.online())
        return ends

    async def test_r10_losing_either(self) -> None:
        """Losing the older or the newer link loses neither the server nor its users."""
        for ours in (True, False):
            for lost in (0, 1):
                house = self.house()
                ends = await self.both(house, ours=ours)
                alice = await self.user(house, "alice")
                await self.calm(alice)
                if ends[lost].closed is None:
                    ends[lost].abort()
                rest = ends[1 - lost]
                if ours:  # of two the older was closed as one too many
                    self.assertIsNotNone((await ends[0].end())[0])
                    if lost == 1:
                        continue
                await self.until(lambda h=house: len(h.linked()) == 1)  # type: ignore[misc]
                write(alice, "bob", "hello", key_of("bob"))
                await rest.hear("SERVER_DELIVER", user_id="bob")
                self.assertEqual(alice.heard("USER_REMOVED"), [])
                await self.shut(house)

    async def test_r10_both_dial(self) -> None:
        """Two nodes that dial each other at once end with one link, and it heals."""
        two = self.house("srv-b", start=False)
        one = self.house("srv-a", [two])
        two = self.house("srv-b", [one], port=two.port)
        await self.until(
            lambda: one.linked() == ["srv-b"] and two.linked() == ["srv-a"]
        )
        alice, bob = await self.user(one, "alice"), await self.user(two, "bob")
        await alice.hear("USER_ADDED", user_id="bob")
        await bob.hear("USER_ADDED", user_id="alice")
        await self.calm(alice, bob)
        server = one.server("srv-b")
        assert server is not None
        link = one.node._links[server.links[-1]]
        link.transport.abortConnection()
        await self.until(
            lambda: one.server("srv-b") is server and server.links != [link.id]
        )
        await self.until(
            lambda: one.linked() == ["srv-b"] and two.linked() == ["srv-a"]
        )
        await self.talk(alice, bob)
        await self.talk(bob, alice)
        await self.unmoved(alice, bob)


class BadFrameTests(AttackCase):
    """One bad frame costs that frame."""

    async def test_r11_bad_frames_of_a_peer(self) -> None:
        """After anything that a server should not say, its next frame counts."""
        house = self.house()
        peer = await self.member(house, "srv-b")
        alice = await self.user(house, "alice")
        await self.calm(alice)
        peer.frames.clear()
        for text in RUBBISH:
            peer.write_text(text)
        bad: list[tuple[str, Frame]] = [
            ("USER_ADVERTISE", {}),
            ("USER_REMOVE", {"user_id": 5}),
            ("SERVER_DELIVER", {"user_id": "alice", "ciphertext": "%"}),
            ("SERVER_ANNOUNCE", {"host": "", "port": 0, "pubkey": ""}),
            ("HEARTBEAT", {"links": "all"}),
            ("SERVER_WELCOME", {}),
            ("SERVER_HELLO_JOIN", {}),
            ("UNKNOWN", {}),
        ]
        for kind, payload in bad:
            peer.tell(kind, payload)
            peer.say(kind, "*", payload)
        peer.advertise("bob", key_of("bob"))
        await alice.hear("USER_ADDED", user_id="bob")
        self.assertIsNone(peer.closed)
        write(alice, "bob", "hello", key_of("bob"))
        await peer.hear("SERVER_DELIVER", user_id="bob")


class DeadServerTests(AttackCase):
    """Who was at a server that is gone is gone, too."""

    async def test_r12_users_of_the_dead(self) -> None:
        """One retry delay after a server was lost its users are listed no more."""
        house = self.house(retry_delay=0.3)
        peer = await self.member(house, "srv-b")
        peer.advertise("bob", key_of("bob"))
        alice = await self.user(house, "alice")
        self.assertEqual(await alice.online(), {"alice": "srv-a", "bob": "srv-b"})
        peer.abort()
        await alice.hear("USER_REMOVED", user_id="bob")
        self.assertEqual(await alice.online(), {"alice": "srv-a"})
        carol = await self.user(house, "carol", key="srv-e")
        await self.talk(alice, carol)
