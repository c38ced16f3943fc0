"""What a user is shown: what its sender signed, for them, and nothing that acts."""

import io
import re
from collections.abc import Iterable
from typing import Any

from twisted.internet.defer import Deferred

from socp_twisted.client import Client
from socp_twisted.client import events as told
from socp_twisted.client.events import Event
from socp_twisted.client.pins import Pins
from socp_twisted.client.terminal.entrance import Settings
from socp_twisted.client.terminal.script import Script
from socp_twisted.errors import Refused
from tests.attacks.between import Relay
from tests.attacks.ground import reactor
from tests.attacks.people import House, resigned, write
from tests.attacks.test_s07_s09 import RelayCase
from tests.keyring import key_of as private
from tests.plain_socp import Frame, b64u, content_bytes, key_of, seal

ACTING = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)
"""Characters that move a cursor, or turn the direction of writing."""

FORGERIES = (
    "hi\x1b[2J\x1b[H[12:00] alice: I owe you 100",
    "hi\n[12:00] alice: I owe you 100",
    "hi\r[12:00] alice: I owe you 100",
    "hi\u2028[12:00] alice: I owe you 100",
    "\u202ehi\x9b2J",
    "hi" + " " * 300 + "[12:00] alice: I owe you 100",
)


class ScreenTests(RelayCase):
    """No text of anybody's acts on the recipient's screen, or looks like another's."""

    def painted(self, events: list[Event]) -> str:
        """Return what the terminal prints of these events."""
        paper = io.StringIO()
        script = Script(reactor, Settings("ws://127.0.0.1:9", self.home), output=paper)
        for event in events:
            script.show(event)
        return paper.getvalue()

    async def test_s19_forged_lines(self) -> None:
        """ESC, newline and marks in a message stay within the sender's own words."""
        house = self.house()
        _, seen = await self.client(house.url, "bob")
        eve = await self.user(house, "eve", key="srv-j")
        for text in FORGERIES:
            write(eve, "bob", text, key_of("bob"))
        await self.until(lambda: self.count(seen, told.TextReceived) == 6)
        painted = self.painted(seen)
        self.assertEqual(ACTING.findall(painted), [])
        owing = [line for line in painted.splitlines() if "I owe you" in line]
        self.assertEqual(len(owing), 5)
        for line in owing:
            self.assertTrue(
                " eve" in line.partition("I owe")[0] or line.startswith("  | "), line
            )
        self.assertNotRegex(painted, r"(?m)^\S* ?\[?12:00")

    async def test_s19_names_and_reasons(self) -> None:
        """Nor do display names, file names, and sentences of a hostile server."""
        house = self.house()
        relay = self.relay(house)
        _, seen = await self.client(relay.url, "bob")
        nasty = "x\x1b[2J\n[12:00] alice: I owe you"
        entry = {
            "user_id": "eve",
            "pubkey": key_of("srv-j").public,
            "display_name": nasty,
        }
        frames: list[Frame] = [
            {"type": "ERROR", "payload": {"code": nasty[:60], "detail": nasty}},
            {
                "type": "USER_ADDED",
                "payload": {**entry, "server_id": nasty, "extras": [nasty]},
            },
            {"type": "USER_REMOVED", "payload": {"user_id": nasty}},
            {
                "type": "PUBLIC_CHANNEL_SNAPSHOT",
                "payload": {"version": 1, "members": [nasty]},
            },
            {"type": "USER_DELIVER", "payload": {"sender": nasty}},
            {"type": "NASTY", "payload": {nasty: nasty}},
        ]
        file = {
            "file_id": "f",
            "name": nasty,
            "size": 1,
            "sha256": "0" * 64,
            "mode": "dm",
        }
        frames.append(
            {"type": "FILE_START_DELIVER", "payload": {**file, "sender": "eve"}}
        )
        count = len(seen)
        for frame in frames:
            whole = {"from": house.id, "to": "bob", "ts": 1_800_000_000_000, **frame}
            relay.inject(resigned(whole, house.key))
        await self.until(lambda: len(seen) >= count + 5)
        painted = self.painted(seen)
        self.assertEqual(ACTING.findall(painted), [])
        self.assertNotRegex(painted, r"(?m)^\[12:00\]")


class HostileServerTests(RelayCase):
    """A client believes its own server's signature, and pins what it has seen."""

    async def enter(self, house: House, relay: Relay, pins: Pins | None = None) -> Any:
        """Log alice in through a relay that tells the truth so far."""
        return await self.client(relay.url, "alice", pins=pins)

    async def test_s20_server_signature(self) -> None:
        """What the server did not sign changes nothing, and the user is told."""
        house = self.house()
        relay = self.relay(house)
        bob = await self.user(house, "bob")
        alice, seen = await self.enter(house, relay)
        await self.until(alice._session.contacts.online)
        gone: Frame = {"type": "USER_REMOVED", "from": "srv-a", "to": "alice"}
        gone |= {"ts": 1_800_000_000_000, "payload": {"user_id": "bob"}}
        acked = {
            **gone,
            "type": "ACK",
            "payload": {"msg_ref": "x", "status": "delivered"},
        }
        for frame in (gone, {**gone, "sig": ""}, {**gone, "sig": "AAAA"}, acked):
            relay.inject(frame)
            relay.inject(resigned(frame, key_of("srv-j")))
        await self.until(lambda: self.count(seen, told.FrameRefused) == 8)
        self.assertEqual(self.count(seen, told.UserLeft), 0)
        await alice.tell("bob", "still there")
        await bob.hear("USER_DELIVER", sender="alice")

    async def test_s20_renamed(self) -> None:
        """A server that calls us somebody else is not followed."""
        house = self.house()
        relay = self.relay(house)

        def rename(frame: Frame) -> Iterable[Frame]:
            if frame["type"] != "USER_LOGGED_IN":
                return (frame,)
            other = {**frame, "payload": {**frame["payload"], "user_id": "mallory"}}
            return (resigned(other, house.key),)

        relay.tamper_down = rename
        client = Client(
            reactor,
            relay.url,
            user_id="alice",
            key=private("alice"),
            pins=Pins(None),
            downloads=self.home,
        )
        self.addCleanup(lambda: Deferred.fromCoroutine(client.close()))
        seen = self.follow(client)
        Deferred.fromCoroutine(client.start()).addErrback(lambda why: why.trap(Refused))
        await self.until(lambda: self.count(seen, told.FrameRefused) == 1)
        self.assertEqual(self.count(seen, told.LoggedIn), 0)
        self.assertEqual({frame["from"] for frame in relay.up}, {"alice"})

    async def test_s20_changed_server_key(self) -> None:
        """Another key at the same address is refused, aloud, before a login."""
        first = self.house("srv-a")
        pins = Pins(None)
        alice, _ = await self.client(first.url, "alice", pins=pins)
        await alice.close()
        await self.shut(first)
        thief = self.house("srv-a", key="srv-j", port=first.port)
        why = await self.refusal_at(thief.url, pins)
        self.assertIn("pinned", why)
        self.assertEqual(thief.online(), {})

    async def test_s20_changed_user_key(self) -> None:
        """Nothing is sent under a user's changed key, and the user is told."""
        house = self.house()
        relay = self.relay(house)
        alice, seen = await self.enter(house, relay)
        bob = await self.user(house, "bob")
        await self.until(alice._session.contacts.online)
        entry = {
            "user_id": "bob",
            "pubkey": key_of("srv-j").public,
            "online_local": True,
        }
        frame: Frame = {"type": "USER_ADDED", "from": "srv-a", "to": "alice"}
        frame |= {"ts": 1_800_000_000_000, "payload": entry}
        relay.inject(resigned(frame, house.key))
        await self.until(lambda: self.count(seen, told.UserKeyChanged))
        self.assertIn("has changed", await self.failure(alice.tell("bob", "secret")))
        self.assertEqual([one for one in relay.up if one["type"] == "MSG_DIRECT"], [])
        self.assertEqual(bob.heard("USER_DELIVER"), [])

    async def refusal_at(self, url: str, pins: Pins) -> str:
        """Return why alice's client does not log in at an address."""
        return await self.failure(self.client(url, "alice", pins=pins))

    async def failure(self, command: Any) -> str:
        """Return why something was refused, or nothing."""
        try:
            await command
        except Refused as why:
            return str(why)
        return ""


class UnsignedTextTests(RelayCase):
    """Text is shown if its sender signed it for us: nobody else's word will do."""

    async def test_s21_content_signature(self) -> None:
        """A missing, failed or borrowed signature hides the text, not the attempt."""
        house = self.house()
        relay = self.relay(house)
        bob, seen = await self.client(relay.url, "bob")
        alice = await self.user(house, "alice")
        await self.until(bob._session.contacts.online)
        write(alice, "bob", "genuine", key_of("bob"))
        await self.until(lambda: self.texts(seen) == ["genuine"])
        [true] = [one for one in relay.down if one["type"] == "USER_DELIVER"]
        for changed in self.forgeries(true["payload"]):
            forged = {**true, "payload": changed}
            relay.inject(resigned(forged, house.key))
            relay.inject(resigned({**forged, "type": "MSG_PUBLIC_CHANNEL"}, house.key))
        # The server may repeat itself, if our receipt was lost: that is no news.
        count = 2 * len(list(self.forgeries(true["payload"]))) - 2
        await self.until(lambda: self.count(seen, told.FrameRefused) >= count)
        self.assertEqual(self.texts(seen), ["genuine"])
        write(alice, "bob", "and again", key_of("bob"))
        await self.until(lambda: self.texts(seen) == ["genuine", "and again"])

    def forgeries(self, payload: Frame) -> Iterable[Frame]:
        """Give what a server could make of a message, or make up."""
        eve = key_of("srv-j")
        ts = payload["ts"] + 5
        sealed = seal(key_of("bob").public, b"forged")
        made_up = {**payload, "ciphertext": b64u(sealed), "ts": ts}
        yield {**made_up}
        yield {**made_up, "content_sig": ""}
        yield {name: made_up[name] for name in made_up if name != "content_sig"}
        sig = eve.sign(content_bytes(sealed, "alice", "bob", ts))
        yield {**made_up, "content_sig": sig}
        yield {**made_up, "content_sig": sig, "sender_pub": eve.public}
        yield {**made_up, "content_sig": sig, "sender_pub": eve.public, "held": True}
        yield {**payload, "ts": ts}
        yield {**payload, "sender": "carol"}
        yield {**payload, "held": True}
        yield {**payload}

    def texts(self, seen: list[Event]) -> list[str]:
        """Return what was shown."""
        return [one.text for one in seen if isinstance(one, told.TextReceived)]
