"""Nothing lost, nobody stalled: complaints, pins, renaming, the client, the silent."""

import io
import time
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred

from socp_twisted.client.terminal.entrance import Settings
from socp_twisted.client.terminal.keyring import keep_key
from socp_twisted.client.terminal.script import Script
from socp_twisted.wire.limits import Limits
from socp_twisted.wire.vocabulary import CLOSE_LIMIT, CLOSE_REFUSED, CLOSE_TIMEOUT
from tests.attacks.ground import AttackCase, reactor
from tests.attacks.people import CAPS, write
from tests.keyring import key_of as private
from tests.plain_socp import key_of
from tests.sockets import Stranger

PHRASE = "correct horse"


class ComplaintTests(AttackCase):
    """Who is wrong is told so, in words, and stays."""

    async def test_r13_malformed_user_frames(self) -> None:
        """A user's malformed frame is answered with a sentence, on an open link."""
        house = self.house()
        alice, bob = await self.user(house, "alice"), await self.user(house, "bob")
        await self.calm(alice, bob)
        frames: list[Any] = ["nothing", [], {"type": "MSG_DIRECT"}, {"type": 5}, {}]
        frames += [{"type": "MSG_DIRECT", "payload": {}, "id": "one"}, {"type": "?"}]
        frames += [{"type": "FILE_START", "payload": {"file_id": {}}}, {"type": "NEW"}]
        for frame in frames:
            alice.write(frame)
        await self.watch.until(lambda: len(alice.heard("ERROR")) == len(frames), 10)
        for told in alice.heard("ERROR"):
            self.assertGreater(len(told["payload"]["detail"]), 5)
        self.assertTrue(alice.heard("ERROR", msg_ref="one"))
        await self.calm(alice)
        await self.unmoved(bob)
        await self.talk(alice, bob)

    async def test_r14_broken_signatures(self) -> None:
        """A signature that does not decode, or a bad port, leaves the link as it is."""
        house = self.house()
        alice = await self.user(house, "alice")
        for join in (self.member, self.foreigner):
            name = "srv-b" if join == self.member else "srv-c"
            peer = await join(house, name)
            peer.frames.clear()
            good = peer.advertise("bob", key_of("bob")) if join == self.member else None
            frame = good or peer.say("HEARTBEAT", "*", {})
            bad: list[Any] = ["%%%", "A", "", "A" * 2048, "A" * 683, "=" * 10, "\u2028"]
            for number, sig in enumerate([*bad, None, 5, {}, "A" * 5000]):
                peer.write(
                    {
                        **frame,
                        "sig": sig,
                        "ts": frame["ts"] + 100 + number,
                        "payload": {**frame["payload"], "n": number},
                    }
                )
            for port in (0, -1, 65536, "80", None, True):
                hello = {"host": "127.0.0.1", "port": port, "pubkey": peer.key.public}
                peer.tell("SERVER_ANNOUNCE", hello)
            await self.complaints(peer, 17)
            self.assertIsNone(peer.closed)
            self.assertIn(name, house.linked())
        write(alice, "bob", "hello", key_of("bob"))
        await self.until(lambda: not self.lines("bug"))
        self.assertEqual(house.online(), {"alice": "srv-a", "bob": "srv-b"})


class WrongPinTests(AttackCase):
    """A link that did not prove itself is nobody's link, at either end."""

    async def test_r15_wrong_pin(self) -> None:
        """With a wrong pin neither end counts the other, and neither gossips to it."""
        one = self.house("srv-a")
        two = self.house(
            "srv-b", [(one.url, key_of("srv-j"))], max_attempts=2, retry_delay=0.1
        )
        alice = await self.user(one, "alice")
        bob = await self.user(two, "bob")
        await self.until(lambda: self.lines("giving up"))
        self.assertTrue(self.lines("not signed with the key pinned for it"))
        self.assertEqual((one.linked(), two.linked()), ([], []))
        await self.until(lambda: len(one.node.mesh.parties) == 1)
        self.assertEqual(await alice.online(), {"alice": "srv-a"})
        self.assertEqual(await bob.online(), {"bob": "srv-b"})

    async def test_r15_half_a_handshake(self) -> None:
        """Who joins and proves nothing is told no gossip, and is put out."""
        house = self.house()
        eves = []
        for name, caps in (("srv-b", CAPS), ("srv-c", [])):
            eve = await self.rogue(house, name)
            eve.claim(house, caps=caps)
            await eve.hear("SERVER_WELCOME")
            eves.append(eve)
        alice, bob = await self.user(house, "alice"), await self.user(house, "bob")
        await self.talk(alice, bob)
        eves[0].tell(
            "USER_ADVERTISE",
            {"user_id": "x", "server_id": "srv-b", "pubkey": eves[0].key.public},
        )
        self.assertEqual((await eves[0].end())[0], CLOSE_REFUSED)
        for eve in eves:
            self.assertEqual(eve.learnt(), [])
        self.assertEqual(house.linked(), [])


class NameClashTests(AttackCase):
    """Two servers of one id become two ids, and both are heard."""

    async def test_r16_renamed_on_a_clash(self) -> None:
        """The second of two servers of one name takes another, and its users talk."""
        one = self.house("srv-a")
        two = self.house("srv-a", [one], key="srv-b")
        await self.until(lambda: bool(one.linked() and two.linked()))
        self.assertNotEqual(two.id, "srv-a")
        self.assertEqual((one.linked(), two.linked()), ([two.id], ["srv-a"]))
        alice, bob = await self.user(one, "alice"), await self.user(two, "bob")
        await alice.hear("USER_ADDED", user_id="bob", server_id=two.id)
        await bob.hear("USER_ADDED", user_id="alice", server_id="srv-a")
        await self.talk(alice, bob)
        await self.talk(bob, alice)


class TerminalTests(AttackCase):
    """Nothing typed, and nothing lost, ends a client that was not told to leave."""

    def script(self, url: str, user: str) -> tuple[Script, io.StringIO]:
        """Return a client as ``socp chat`` has it, and its screen."""
        home: Path = self.home / f"home-{user}"
        home.mkdir()
        keep_key(home, user, private(user), PHRASE)
        paper = io.StringIO()
        told = Settings(url, home, user, PHRASE, downloads=home)
        script = Script(reactor, told, output=paper)
        self.addCleanup(lambda: Deferred.fromCoroutine(script.talk.close()))
        return script, paper

    async def test_r17_what_is_typed(self) -> None:
        """Apostrophes and quotes are text; a command without a link is refused."""
        house = self.house()
        bob = await self.user(house, "bob")
        script, paper = self.script(house.url, "alice")
        talk = script.talk
        talk.patient = False
        self.assertTrue(await talk.carry_out("/login"))
        await self.until(lambda: "bob" in talk.picture.people)
        texts = [
            "it's done",
            'say "hi',
            "\\",
            "a ' b \" c",
            "/not a command?",
            "$(rm -rf ~) `x` %s {0}",
        ]
        for text in texts:
            self.assertTrue(await talk.carry_out(f"/tell bob {text}"), text)
        for line in (
            "'",
            '"',
            "/",
            "/tell",
            "/tell bob",
            "/file",
            "/nope 'x",
            "/tell nobody it's",
        ):
            await talk.carry_out(line)
        await self.until(lambda: len(bob.heard("USER_DELIVER")) >= len(texts))
        await self.shut(house)
        await self.until(
            lambda: "lost" in paper.getvalue() or "closed" in paper.getvalue()
        )
        for line in (
            "/tell bob it's",
            "/list",
            "/all hello",
            "/file bob /etc/hostname",
            "/whois bob",
        ):
            self.assertFalse(await talk.carry_out(line), line)
        self.assertEqual(self.lines("bug"), [])

    async def test_r17_leaving(self) -> None:
        """Leaving a server that never answers takes no longer than a second or two."""
        house = self.house()
        script, _ = self.script(house.url, "alice")
        self.assertTrue(await script.talk.carry_out("/login"))
        party = next(iter(house.node._links.values()))
        party.transport.pauseProducing()  # hung: it reads nothing, and answers nothing
        began = time.monotonic()
        closing = Deferred.fromCoroutine(script.talk.close())
        await closing
        self.assertLess(time.monotonic() - began, 5)
        party.transport.resumeProducing()


class SilenceTests(AttackCase):
    """Who connects and says nothing is put out, and takes nobody's place."""

    async def test_r18_silent_connections(self) -> None:
        """300 silent connections end when their time is over; who is in stays."""
        house = self.house(limits=Limits(login=2))
        alice = await self.user(house, "alice")
        silent = await self.crowd(house, 290)
        crowd = [await self.knock(house, "eve", key="srv-j") for _ in range(10)]
        for eve in crowd:
            hello = {"client": "", "pubkey": eve.key.public, "nonce": "n"}
            eve.say("USER_HELLO", "*", hello)
        ends = [(await eve.end(10))[0] for eve in crowd]
        self.assertEqual(set(ends), {CLOSE_TIMEOUT})
        await self.until(lambda: all(line.close_code for line in silent))
        self.assertEqual({line.close_code for line in silent}, {CLOSE_TIMEOUT})
        for line in silent:
            line.drop()
        self.assertEqual(house.node.mesh.counters["max-login"], 300)
        await self.until(lambda: len(house.node.mesh.parties) == 1)
        bob = await self.user(house, "bob")
        await self.talk(alice, bob)

    async def test_r18_too_many(self) -> None:
        """Beyond the limit of connections one more is told so; the others stay."""
        house = self.house(limits=Limits(connections=5))
        alice, bob = await self.user(house, "alice"), await self.user(house, "bob")
        for _ in range(3):
            await self.knock(house, "eve", key="srv-j")
        late: Stranger = await self.knock(house, "eve", key="srv-j")
        code, why = await late.end()
        self.assertEqual(code, CLOSE_LIMIT)
        self.assertIn("max-connections", why or "")
        await self.talk(alice, bob)
