"""Who comes to the door: guessers, spies, bad keys, bad names, files of nobody."""

import time
from typing import Any

from socp_twisted.wire.limits import Limits
from tests.attacks.ground import AttackCase
from tests.attacks.people import CAPS, House, pose
from tests.keyfiles import BAD_PINS
from tests.plain_socp import Frame, key_of, pake_password
from tests.sockets import Stranger

SHA256 = "0" * 64


class GuessingTests(AttackCase):
    """Who guesses passwords waits longer and longer, and nobody waits with them."""

    async def account(self, house: House, name: str, password: str) -> None:
        """Register a user who logs in with a password."""
        clerk = await self.knock(house, name)
        told = {"user_id": name, "pubkey": clerk.key.public, "privkey_store": "x"}
        told["pake_password"] = pake_password(password)
        clerk.say("USER_REGISTER", house.id, told)
        await clerk.hear("USER_REGISTERED")
        await clerk.hang_up()

    def guess(self, eve: Stranger, name: str, password: str) -> None:
        """Try one password."""
        eve.say("USER_LOGIN", "*", {"user_id": name, "password": password})

    async def test_s14_forty_guesses(self) -> None:
        """Forty guesses at once: a few are looked at, the rest are told to wait."""
        house = self.house()
        await self.account(house, "alice", "correct horse")
        bob, carol = (
            await self.user(house, "bob"),
            await self.user(house, "carol", key="srv-e"),
        )
        eve = await self.knock(house, "eve", key="srv-j")
        for attempt in range(40):
            self.guess(eve, "alice", f"guess {attempt}")
        began = time.monotonic()
        await self.talk(bob, carol, "meanwhile")
        took = time.monotonic() - began
        answered = len(eve.heard("ERROR"))
        await self.watch.until(lambda: len(eve.heard("ERROR")) == 40, 20)
        # Bob and carol did not wait for the guesses, of which each costs scrypt.
        self.assertTrue(answered < 40 or took < 1.0, f"{took} s")
        codes = [one["payload"]["code"] for one in eve.heard("ERROR")]
        self.assertEqual((codes[0], codes[-1]), ("BAD_KEY", "LIMIT"))
        self.assertLessEqual(codes.count("BAD_KEY"), 10)
        self.guess(eve, "alice", "correct horse")
        await self.watch.until(lambda: len(eve.heard("ERROR")) == 41, 5)
        self.assertEqual(eve.heard("ERROR")[-1]["payload"]["code"], "LIMIT")
        self.assertEqual(eve.heard("USER_LOGGED_IN"), [])
        # Nobody keeps the owner of the key out by guessing.
        alice = await self.device(house, "alice")
        await self.talk(alice, bob)

    async def test_s15_unknown_user(self) -> None:
        """An unknown user and a wrong password have one answer, at one cost."""
        house = self.house()
        await self.account(house, "alice", "correct horse")
        eve = await self.knock(house, "eve", key="srv-j")
        took: dict[str, list[float]] = {"alice": [], "nobody": []}
        for _ in range(2):
            for name, times in took.items():
                began = time.monotonic()
                self.guess(eve, name, "wrong")
                await self.watch.until(lambda: eve.heard("ERROR"), 5)
                times.append(time.monotonic() - began)
                [said] = await self.refused(eve, "BAD_KEY")
                self.assertEqual(said, "wrong user or password")
        known, unknown = min(took["alice"]), min(took["nobody"])
        self.assertGreater(unknown, known / 3)  # 45 ms of scrypt, or none
        self.assertGreater(known, unknown / 3)

    async def test_s15_list_without_login(self) -> None:
        """Who has not logged in is not told who is there."""
        house = self.house()
        alice = await self.user(house, "alice")
        await self.calm(alice)
        eve = await self.knock(house, "eve", key="srv-j")
        eve.say("LIST_REQUEST", "*", {})
        await self.refused(eve, "NOT_ALLOWED")
        eve.say(
            "USER_HELLO", "*", {"client": "", "pubkey": eve.key.public, "nonce": "n"}
        )
        await eve.hear("USER_HELLO_ACK")
        eve.say("LIST_REQUEST", "*", {})
        await self.refused(eve, "NOT_ALLOWED")
        self.assertNotIn("alice", eve.story())
        await self.unmoved(alice)


class KeyTests(AttackCase):
    """A key is RSA-4096 in its one form, or it is no key."""

    async def test_s16_bad_keys(self) -> None:
        """Neither users nor servers come in with any other, and nobody hears of it."""
        house = self.house()
        friend = await self.member(house, "srv-b")
        alice = await self.user(house, "alice")
        await friend.hear("USER_ADVERTISE", user_id="alice")
        await self.calm(alice)
        friend.frames.clear()
        eve = await self.knock(house, "eve", key="srv-j")
        own: Any = eve.key.public
        bad: list[Any] = [*BAD_PINS.values(), own + "A", own[:-4], own + "\n", None, 5]
        for key in bad:
            eve.say("USER_HELLO", "*", {"client": "", "pubkey": key})
            eve.say("USER_REGISTER", "*", {"user_id": "eve", "pubkey": key})
            hello = {"user_id": "eve", "server_id": "srv-b", "pubkey": key}
            friend.tell("USER_ADVERTISE", {**hello, "pubkey": key or "none"})
        await self.watch.until(lambda: len(eve.heard("ERROR")) == 2 * len(bad), 10)
        codes = {one["payload"]["code"] for one in eve.heard("ERROR")}
        self.assertLessEqual(codes, {"BAD_KEY", "MALFORMED"})
        await self.watch.until(lambda: len(friend.heard("ERROR")) == len(bad), 10)
        for key in BAD_PINS.values():
            server = await self.rogue(house, "srv-c", key="srv-j")
            server.claim(house, caps=CAPS, pubkey=key)
            await server.end()
            self.assertEqual(server.heard("SERVER_WELCOME"), [])
        self.assertEqual(house.linked(), ["srv-b"])
        await self.unmoved(alice)
        self.assertEqual(house.online(), {"alice": "srv-a"})


NAMES: list[Any] = [
    *("*", "public", "local", "system", "Alice", "ALICE", "alice ", " alice", ""),
    *("al\x1b[2Jice", "alice\n", "al\nice", "\u202eecila", "al\u200bice", "\u0430lice"),
    *("../alice", "a/b", "a" * 65, "a" * 200_000, 5, True, None, ["alice"], {"a": 1}),
]
"""What somebody would be called who wants to be mistaken, or to do harm."""


class NameTests(AttackCase):
    """A user's id is 1 to 64 letters, digits or ._-@, and like nobody else's."""

    async def test_s17_user_ids(self) -> None:
        """Whatever else somebody would be called, nobody is shown it."""
        # The pace of strangers is not what this is about, and would take 11 s.
        house = self.house(limits=Limits(stranger_frames=100))
        friend = await self.member(house, "srv-b")
        alice = await self.user(house, "alice")
        await self.calm(alice)
        friend.frames.clear()
        eve = await self.knock(house, "eve", key="srv-j")
        for name in NAMES:
            before = len(eve.heard("ERROR"))
            hello: Frame = {"client": "", "pubkey": eve.key.public}
            pose(eve, name, "USER_HELLO", "*", hello)
            eve.say("USER_REGISTER", "*", {**hello, "user_id": name})
            eve.say("USER_LOGIN", "*", {"user_id": name, "proof": "AAAA"})
            wanted = before + (3 if name else 2)
            await self.complaints(eve, wanted)
            told = {"user_id": name, "server_id": "srv-b", "pubkey": eve.key.public}
            friend.tell("USER_ADVERTISE", told)
            friend.tell("USER_ADVERTISE", {**told, "user_id": "x", "server_id": name})
        await self.watch.until(lambda: len(friend.heard("ERROR")) >= 30, 5)
        self.assertEqual(eve.heard("USER_REGISTERED"), [])
        online = house.online()
        self.assertEqual(online, {"alice": "srv-a"})
        await alice.online()
        self.assertIsNone(eve.closed)
        bob = await self.user(house, "bob")
        await self.talk(bob, alice)

    async def test_s17_squatted_names(self) -> None:
        """Who is registered here logs in, whatever other servers say that they have."""
        house = self.house()
        alice = await self.user(house, "alice")
        told = {"user_id": "alice", "pubkey": alice.key.public}
        alice.say("USER_REGISTER", "*", told)
        await alice.hear("USER_REGISTERED")
        await alice.hang_up()
        await self.until(lambda: not house.online())
        eve = await self.member(house, "srv-c")
        bob = await self.user(house, "bob")
        for name in ("ALICE", "alice"):
            eve.advertise(name, eve.key)
            if name == "alice":  # registered here: nobody else's, nor seen as theirs
                await eve.hear("ERROR", code="NAME_IN_USE")
            else:
                await bob.hear("USER_ADDED", user_id=name)
            alice = await self.device(house, "alice")
            self.assertEqual(house.online(), {"alice": "srv-a", "bob": "srv-a"})
            await bob.hear("USER_ADDED", user_id="alice", pubkey=alice.key.public)
            await self.talk(bob, alice)
            await self.talk(alice, bob)
            await alice.hang_up()
            gone = {"user_id": name, "server_id": "srv-c"}
            eve.tell("USER_REMOVE", gone)
            await self.until(lambda: set(house.online()) == {"bob"})
            bob.frames.clear()

    async def test_s17_look_alikes(self) -> None:
        """Nobody is ``Alice`` beside ``alice``, here or by another server's word."""
        house = self.house()
        friend = await self.member(house, "srv-b")
        alice = await self.user(house, "alice")
        await self.calm(alice)
        friend.advertise("Alice", key_of("srv-j"))
        await self.user(house, "bob")
        self.assertNotIn("Alice", await alice.online())


class FileTests(AttackCase):
    """Files come from who is logged in, under a plain name, of a size that is one."""

    def start(self, whose: Stranger, **changed: Any) -> None:
        """Offer a file to bob."""
        file = {"file_id": "f1", "name": "a.txt", "size": 3, "sha256": SHA256}
        file |= {"mode": "dm", "to": "bob", **changed}
        whose.say("FILE_START", "bob", file, id="f")

    async def test_s18_file_without_login(self) -> None:
        """Nobody is offered a file by who has not logged in."""
        house = self.house()
        bob = await self.user(house, "bob")
        await self.calm(bob)
        eve = await self.knock(house, "eve", key="srv-j")
        for sender in ("eve", "alice"):
            self.start(eve, sender=sender)
            chunk = {"file_id": "f1", "index": 0, "ciphertext": "AAAA", "to": "bob"}
            eve.say("FILE_CHUNK", "bob", {**chunk, "sender": sender})
            eve.say("FILE_END", "bob", {"file_id": "f1", "to": "bob"})
        await self.refused(eve, *["NOT_ALLOWED"] * 6)
        await self.unmoved(bob)

    async def test_s18_hostile_files(self) -> None:
        """A path for a name, ESC in it, or a size below nothing is refused."""
        house = self.house()
        bob, eve = (
            await self.user(house, "bob"),
            await self.user(house, "eve", key="srv-j"),
        )
        await self.calm(bob, eve)
        bad: list[dict[str, Any]] = [
            *(
                {"name": name}
                for name in ("../../etc/passwd", "..", "a\x1b[2Jb", "a\nb")
            ),
            *({"name": name} for name in ("", "a\\b", "\u202etxt.exe", "a" * 256, 5)),
            *({"size": size} for size in (-5, True, "3", 2**40, None)),
            *({"file_id": one} for one in ("../f", "f\n", "f" * 65, 5)),
            *({"sha256": one} for one in ("0" * 63, "g" * 64, None)),
            {"mode": "all"},
            {"sender": "alice"},
            {"sender_pub": bob.key.public},
        ]
        for changed in bad:
            self.start(eve, **changed)
        codes = await self.codes(eve, len(bad))
        self.assertLessEqual(codes, {"MALFORMED", "NOT_ALLOWED", "BAD_KEY"})
        eve.say(
            "FILE_CHUNK", "bob", {"file_id": "f1", "index": 0, "ciphertext": "AAAA"}
        )
        eve.say("FILE_END", "bob", {"file_id": "f1"})
        await self.refused(eve, "NOT_ALLOWED", "NOT_ALLOWED")
        await self.unmoved(bob)
        await self.talk(eve, bob)

    async def codes(self, user: Stranger, count: int) -> set[str]:
        """Wait for so many ERRORs, forget them, and return their codes."""
        await self.watch.until(lambda: len(user.heard("ERROR")) == count, 5, user.story)
        found = {one["payload"]["code"] for one in user.heard("ERROR")}
        user.frames.clear()
        return found
