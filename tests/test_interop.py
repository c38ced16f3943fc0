"""Servers of others: do they find us as they found each other?  (SOCP 8)"""

import json
from dataclasses import replace
from typing import Any

from tests.neighbours import InteropTestCase, Ours
from tests.original import OriginalServer, original_welcome
from tests.plain_socp import Frame, key_of, message, read_message
from tests.sockets import Stranger

CAROL = replace(key_of("srv-i"), owner="carol")
"""A user of the original; there are few test keys."""


class OriginalTests(InteropTestCase):
    """The original and a node of ours stay linked, and share their users."""

    async def both_ways(
        self, node: Ours, other: OriginalServer, alice: Stranger | None = None
    ) -> None:
        """Let minutes pass; then each side knows the other's users and reaches them."""
        alice = alice or await self.user("alice", node)
        await self.until(lambda: other.locations.get("alice") == node.id, other)
        await self.clock.after(75)  # silence is noticed after 45 to 60
        self.assertEqual((other.timed_out, other.refused), ([], []))
        self.assertIn(node.id, other.peers)
        sent = alice.now()
        payload = message(alice.key, "carol", CAROL.public, "over there?", sent)
        alice.say("MSG_DIRECT", "carol", payload, ts=sent, id="m1")
        await self.until(lambda: other.delivered, other, alice)
        told = other.delivered[-1]["payload"]
        self.assertEqual(read_message(CAROL, told, alice.key.public), "over there?")
        await alice.hear("ACK", msg_ref="m1", status="sent")
        other.write_to("carol", "alice", "over here!")
        got = await alice.hear("USER_DELIVER", sender="carol")
        told = read_message(alice.key, got["payload"], CAROL.public)
        self.assertEqual(told, "over here!")
        await self.in_public(alice, other)
        await alice.hang_up()
        await self.until(lambda: "alice" not in other.locations, other)

    async def in_public(self, alice: Stranger, other: OriginalServer) -> None:
        """The public channel crosses as well: one frame for each member."""
        sent, before = alice.now(), len(other.delivered)
        payload = message(alice.key, "", CAROL.public, "all of you", sent)
        alice.say("MSG_PUBLIC_CHANNEL", "carol", payload, ts=sent)
        await self.until(lambda: len(other.delivered) > before, other, alice)
        got = other.delivered[-1]
        told = read_message(CAROL, got["payload"], alice.key.public, channel=True)
        self.assertEqual((got["type"], told), ("MSG_PUBLIC_CHANNEL", "all of you"))
        other.write_to("carol", "alice", "and you", channel=True)
        got = await alice.hear("MSG_PUBLIC_CHANNEL", sender="carol")
        told = read_message(alice.key, got["payload"], CAROL.public, channel=True)
        self.assertEqual(told, "and you")

    async def test_introducer(self) -> None:
        """The original is on our list: we learn the users who were there before us."""
        other = self.others()
        other.login(CAROL)
        node = await self.ours("srv-a", [other])
        await self.until(lambda: node.users() == {"carol": "srv-j"})
        await self.both_ways(node, other)
        self.assertEqual(node.links(), {"srv-j": 1})
        self.assertEqual(other.unknown, [])

    async def test_introduced(self) -> None:
        """We are on its list: we dial it back, are told its users, keep both links."""
        node = await self.ours("srv-a")
        other = self.others()
        other.login(CAROL)
        await other.join("127.0.0.1", node.port, node.key.public)
        await self.until(lambda: node.users() == {"carol": "srv-j"})
        await self.both_ways(node, other)
        self.assertEqual(node.links(), {"srv-j": 2})

    async def test_both(self) -> None:
        """Each is on the other's list: two links, and neither is closed."""
        other = self.others()
        other.login(CAROL)
        node = await self.ours("srv-a", [other])
        await other.join("127.0.0.1", node.port, node.key.public)
        await self.until(lambda: node.links() == {"srv-j": 2})
        await self.both_ways(node, other)
        self.assertEqual(node.links(), {"srv-j": 2})

    async def test_restarted(self) -> None:
        """It never dials again, so we do: its users now are the users we know."""
        other = self.others()
        other.login(CAROL)
        node = await self.ours("srv-a", [other])
        await self.until(lambda: node.users() == {"carol": "srv-j"})
        await other.stop()
        await self.until(lambda: not node.links())
        other.users = {"dave": replace(CAROL, owner="dave")}
        other.start()
        await self.until(lambda: node.links() == {"srv-j": 1})
        await self.until(lambda: node.users() == {"dave": "srv-j"})

    async def test_guest_restarted(self) -> None:
        """If it had dialled us, we dial it where it said that it listens."""
        node = await self.ours("srv-a")
        other = self.others()
        await other.join("127.0.0.1", node.port, node.key.public)
        await self.until(lambda: node.links() == {"srv-j": 2})
        await other.stop()
        await self.until(lambda: not node.links())
        other.start()
        other.login(CAROL)
        await self.until(lambda: node.users() == {"carol": "srv-j"})
        self.assertEqual(node.links(), {"srv-j": 1})

    async def test_we_restart(self) -> None:
        """When we come back under our id, it knows us and our users again."""
        other = self.others()
        other.login(CAROL)
        first = await self.ours("srv-a", [other])
        await self.until(lambda: first.links() == {"srv-j": 1})
        await self.end(first)
        await self.until(lambda: not other.peers)
        again = await self.ours("srv-a", [other], port=first.port)
        await self.until(lambda: again.users() == {"carol": "srv-j"})
        await self.both_ways(again, other)

    async def test_lost_link(self) -> None:
        """It forgets us when one of two links closes: it hears from us again."""
        node = await self.ours("srv-a")
        other = self.others()
        other.login(CAROL)
        await other.join("127.0.0.1", node.port, node.key.public)
        await self.until(lambda: node.links() == {"srv-j": 2})
        alice = await self.user("alice", node)
        await self.until(lambda: "alice" in other.locations)
        await self.clock.after(15)
        [first] = [link for link in other.links if link.dialled]
        first.abort()
        await self.until(lambda: not other.peers)
        await self.until(lambda: "srv-a" in other.peers, other)
        self.assertEqual(alice.heard("USER_REMOVED"), [])
        await self.both_ways(node, other, alice)

    async def test_third(self) -> None:
        """In a mesh of ours it links to all, although it believes no gossip."""
        a = await self.ours("srv-a")
        b = await self.ours("srv-b", [a])
        await self.until(lambda: a.links() and b.links())
        bob = await self.user("bob", b)
        other = self.others()
        other.login(CAROL)
        await other.join("127.0.0.1", a.port, a.key.public)
        await self.until(lambda: set(other.peers) == {"srv-a", "srv-b"}, other)
        for node in (a, b):
            await self.until(
                lambda n=node: n.users() == {"bob": "srv-b", "carol": "srv-j"}
            )
        await self.until(lambda: other.locations == {"bob": "srv-b"}, other)
        other.write_to("carol", "bob", "hello")
        got = await bob.hear("USER_DELIVER", sender="carol")
        self.assertEqual(read_message(bob.key, got["payload"], CAROL.public), "hello")

    async def test_introduces(self) -> None:
        """Two of ours that know the original alone find each other through it."""
        other = self.others()
        a = await self.ours("srv-a", [other])
        await self.until(lambda: "srv-a" in other.peers)
        b = await self.ours("srv-b", [other])
        await self.until(lambda: a.links().get("srv-b") == b.links().get("srv-a") == 1)


class VariantTests(InteropTestCase):
    """Where the standard leaves a choice, each choice is understood."""

    async def linked(self, **manner: Any) -> tuple[Ours, OriginalServer]:
        """Link a node of ours to an introducer of some manner."""
        other = self.others(**manner)
        other.login(CAROL)
        node = await self.ours("srv-a", [other])
        await self.until(lambda: node.links() == {"srv-j": 1}, other)
        return node, other

    async def test_pure_welcome(self) -> None:
        """``assigned_id`` and ``clients`` are all that the standard's text asks for."""
        node, other = await self.linked(
            welcome=lambda server, name: {"assigned_id": name, "clients": []}
        )
        self.assertEqual(node.users(), {})
        other.login(replace(CAROL, owner="dave"))
        await self.until(lambda: node.users() == {"dave": "srv-j"})

    async def test_null_fields(self) -> None:
        """What is left out may be written as null, and an ``id`` as a number."""
        await self.linked(
            welcome=lambda server, name: {
                "assigned_id": name,
                "clients": None,
                "servers": None,
                "introducer": None,
            },
            more={"id": 7, "hops": None},
        )

    async def test_servers_as_clients(self) -> None:
        """Servers in ``clients`` are servers: they are dialled, and are no users."""
        third = self.others("srv-h")
        where = {"host": "127.0.0.1", "port": third.port, "pubkey": third.key.public}
        for entry in ({}, {"user_id": "srv-h"}, {"user_id": None}):
            node, other = await self.linked(
                welcome=lambda server, name, more=entry: {
                    "assigned_id": name,
                    "clients": [{"server_id": "srv-h", **where, **more}],
                }
            )
            await self.until(lambda n=node: n.links() == {"srv-h": 1, "srv-j": 1})
            self.assertEqual(node.users(), {})
            await self.end(node)
            await other.stop()

    async def test_salts_and_spaces(self) -> None:
        """Any salt verifies, and so does JSON of any spelling."""
        compact = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode
        shown = json.JSONEncoder(indent=2, sort_keys=True).encode
        for salt, dump in ((32, compact), (478, shown), (0, compact)):
            node, other = await self.linked(salt=salt, dump=dump)
            self.assertEqual(node.users(), {"carol": "srv-j"})
            await self.end(node)
            await other.stop()

    async def test_bad_entries(self) -> None:
        """One entry that makes no sense does not cost us the others."""

        def welcome(server: OriginalServer, name: str) -> Frame:
            told = original_welcome(server, name)
            bad: list[Any] = [{}, {"server_id": 7}, {"user_id": "*"}, {"port": "x"}]
            return {**told, "servers": bad, "clients": [*bad, *told["clients"]]}

        node, _ = await self.linked(welcome=welcome)
        self.assertEqual(node.users(), {"carol": "srv-j"})

    async def test_single(self) -> None:
        """Where a newer link replaces the older one, the newer one stays."""
        node = await self.ours("srv-a")
        other = self.others(single=True)
        other.login(CAROL)
        await other.join("127.0.0.1", node.port, node.key.public)
        await self.until(lambda: node.users() == {"carol": "srv-j"})
        await self.until(lambda: node.links() == {"srv-j": 1} and len(other.links) == 1)
        kept = set(other.links)
        await self.clock.after(75)
        self.assertEqual((node.links(), other.links), ({"srv-j": 1}, kept))
        self.assertEqual(node.users(), {"carol": "srv-j"})

    async def test_no_link_frame(self) -> None:
        """A server that never says SERVER_HELLO_LINK is up with its next frame."""
        node = await self.ours("srv-a")
        for kind, payload in (
            ("HEARTBEAT", {}),
            ("SERVER_ANNOUNCE", {"host": "127.0.0.1", "port": 9, "pubkey": "own"}),
            ("USER_ADVERTISE", {"user_id": "eve", "server_id": "srv-j", "meta": {}}),
        ):
            peer = await self.join(node)
            own = {"pubkey": peer.key.public} if "pubkey" in payload else {}
            peer.say(kind, "*", {**payload, **own}, salt=478)
            await self.until(lambda: node.links() == {"srv-j": 1}, peer)
            await peer.hang_up()
            await self.until(lambda: not node.links())

    async def test_where_keys_are(self) -> None:
        """A user's key is found in the payload, in ``meta``, or is missing."""
        node = await self.ours("srv-a")
        peer = await self.join(node)
        alice = await self.user("alice", node)
        base = {"server_id": "srv-j"}
        key = CAROL.public
        for name, told, found in (
            ("eve", {"pubkey": key, "meta": {}}, key),
            ("dan", {"meta": {"pubkey": key, "display_name": "Dan"}}, key),
            ("fay", {"meta": {}}, ""),
            ("gus", {}, ""),
            ("hal", {"meta": None, "pubkey": None}, ""),
        ):
            peer.say("USER_ADVERTISE", "*", {**base, "user_id": name, **told})
            added = await alice.hear("USER_ADDED", user_id=name)
            self.assertEqual(added["payload"]["pubkey"], found)
        peer.say("USER_REMOVE", "*", {**base, "user_id": "eve"})
        await alice.hear("USER_REMOVED", user_id="eve")

    async def test_announcement(self) -> None:
        """An announcement with fields of its own is understood, and leads to a link."""
        node = await self.ours("srv-a")
        other = self.others("srv-h")
        peer = await self.join(node)
        peer.say("HEARTBEAT", "*", {})
        third = replace(peer.key, owner="srv-h", private=key_of("srv-h").private)
        peer.key, peer.name = replace(third, public=key_of("srv-h").public), "srv-h"
        where = {"host": "127.0.0.1", "port": other.port}
        peer.say(
            "SERVER_ANNOUNCE",
            "*",
            {**where, "pubkey": peer.key.public, "version": "9", "roles": [1]},
        )
        await self.until(lambda: node.links() == {"srv-h": 1, "srv-j": 1})
