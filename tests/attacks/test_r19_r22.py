"""Nothing lost, nobody stalled: cost, noise, stray files, and words out of turn."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from socp_twisted.trust.signer import ThreadedSigner
from tests.attacks.ground import AttackCase, reactor
from tests.attacks.people import write
from tests.keyring import key_of as private
from tests.plain_socp import Frame, key_of, message
from tests.processes import ProcessTestCase


class CountingSigner(ThreadedSigner):
    """Signs as a node does, and counts."""

    signed = 0

    def sign(self, data: bytes, done: Callable[[str], None], lane: int = 0) -> None:
        """Count, and sign."""
        self.signed += 1
        super().sign(data, done, lane)


class CostTests(AttackCase):
    """What one does costs the same however many are there."""

    async def test_r19_signatures(self) -> None:
        """A remote login is told to all local users with one signature."""
        signer = CountingSigner(reactor, private("srv-a"))
        house = self.house(signer=signer)
        peer = await self.member(house, "srv-b")
        users = [await self.user(house, f"user{n}", key="srv-j") for n in range(12)]
        await self.calm(*users)
        before = signer.signed
        peer.advertise("bob", key_of("bob"))
        for user in users:
            await user.hear("USER_ADDED", user_id="bob")
        self.assertLessEqual(signer.signed - before, 2)  # a heartbeat may be due
        frames = [user.heard("USER_ADDED", user_id="bob")[0] for user in users]
        self.assertEqual(len({frame["sig"] for frame in frames}), 1)
        before = signer.signed
        await users[0].online()
        self.assertLessEqual(signer.signed - before, 2)

    async def test_r19_duplicates(self) -> None:
        """Frames that came before are found at once, whatever else is remembered."""
        house = self.house()
        peer = await self.member(house, "srv-b")
        frame = peer.advertise("bob", key_of("bob"))
        for _ in range(300):
            peer.write(frame)
        peer.advertise("carol", key_of("srv-e"))
        await self.until(lambda: "carol" in house.online())
        seen = house.node.reader.router.seen_ids
        self.assertLess(len(seen), 20)
        self.assertEqual(seen._limit, house.node.limits.seen)
        self.assertTrue(hasattr(seen._seen, "popitem"))  # a table, not a list


class NoiseTests(AttackCase):
    """A dead link is one line in the log, not an avalanche."""

    async def test_r20_dead_link(self) -> None:
        """Links that break in the middle of traffic leave no unhandled error."""
        one, two = await self.pair()
        alice, bob = await self.user(one, "alice"), await self.user(two, "bob")
        await alice.hear("USER_ADDED", user_id="bob")
        peer = await self.foreigner(one, "srv-c")
        carol = {
            "user_id": "carol",
            "server_id": "srv-c",
            "pubkey": key_of("srv-e").public,
        }
        peer.say("USER_ADVERTISE", "*", carol)
        await alice.hear("USER_ADDED", user_id="carol")
        self.logged.clear()
        peer.abort()
        for _ in range(20):
            write(alice, "bob", "hello", bob.key)
            write(alice, "carol", "hello", key_of("srv-e"))
        bob.abort()
        await self.shut(two)
        await self.until(lambda: one.linked() == [])
        await alice.online()
        self.assertEqual([e for e in self.logged if "log_failure" in e], [])
        self.assertEqual(self.lines("Unhandled"), [])
        lines = Counter(self.lines(""))
        self.assertLess(max(lines.values()), 12, lines.most_common(3))
        self.assertIsNone(alice.closed)

    async def test_r20_complaints(self) -> None:
        """Nor does a user who is wrong a thousand times fill it."""
        house = self.house()
        eve = await self.user(house, "eve", key="srv-j")
        self.logged.clear()
        for _ in range(200):
            eve.write_text("nonsense")
        await self.watch.until(lambda: len(eve.heard("ERROR")) == 200, 15)
        self.assertLess(len(self.lines("refused")), 80)


class StrayFileTests(ProcessTestCase):
    """What lies in the current folder is no configuration."""

    async def test_r21_files_in_the_folder(self) -> None:
        """The command line holds, whatever files and modules lie around."""
        node = self.node("srv-a")
        node.configure([], "--joins", "pinned")
        other = self.ports.take()
        folder: Path = node.folder
        for name in (
            "socp.yaml",
            "server.yaml",
            "config.yaml",
            "bootstrap.yaml",
            ".env",
            "config.json",
            "server.json",
            "socp.ini",
            "socp.toml",
            "pyproject.toml",
        ):
            (folder / name).write_text(f"port: {other}\nserver_id: evil\njoins: open\n")
        for name in ("socp_twisted.py", "sitecustomize.py", "yaml.py", "autobahn.py"):
            (folder / name).write_text("raise SystemExit('a stray module was run')\n")
        await self.start(node)
        await self.until(
            lambda: "who may join: pinned, the introducers alone" in node.lines, 5, node
        )
        self.assertEqual(
            [line for line in node.lines if "evil" in line or str(other) in line], []
        )


class FirstWordsTests(AttackCase):
    """What somebody says first decides who they are only where it says so."""

    async def test_r22_first_frame(self) -> None:
        """Who begins with /all or /file is no server, is told so, and can log in."""
        house = self.house()
        bob = await self.user(house, "bob")
        await self.calm(bob)
        for kind in (
            "MSG_PUBLIC_CHANNEL",
            "FILE_START",
            "FILE_CHUNK",
            "HEARTBEAT",
            "USER_ADVERTISE",
            "ACK?",
        ):
            alice: Any = await self.knock(house, "alice")
            ts = alice.now()
            payload: Frame = message(alice.key, "bob", bob.key.public, "hi", ts)
            file = {
                "file_id": "f",
                "name": "f",
                "size": 1,
                "sha256": "0" * 64,
                "mode": "dm",
            }
            alice.say(kind, "bob", {**payload, **file, "to": "bob", "index": 0}, ts=ts)
            await alice.hear("ERROR")
            self.assertIsNone(alice.closed)
            self.assertEqual(house.node.mesh.directory.servers, {})
            self.assertEqual(alice.learnt() if hasattr(alice, "learnt") else [], [])
            await self.unmoved(bob)
            hello = {"client": "test", "pubkey": alice.key.public}
            alice.say("USER_HELLO", house.id, hello)
            await alice.hear("PUBLIC_CHANNEL_SNAPSHOT")
            await self.talk(alice, bob)
            await alice.hang_up()
            await self.until(lambda: house.online() == {"bob": "srv-a"})
            await self.calm(bob)
