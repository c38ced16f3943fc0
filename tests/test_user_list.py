"""Who is told who is online, and does the answer fit into a frame?"""

import json
from typing import Any

from socp_twisted.overlay.attendance import TOLD_AT_ONCE
from socp_twisted.overlay.directory import Location
from socp_twisted.wire.limits import Limits
from tests.keyring import pub_of
from tests.overlay_values import add_server
from tests.users import Person, UserTestCase

MIB = 1024 * 1024


class ListTests(UserTestCase):
    """LIST_REQUEST: who is online, for those who are."""

    def test_s15_login_first(self) -> None:
        """S15: without a login there is no list."""
        a = self.start()
        self.person(a, "alice")
        stranger = self.person(a)
        stranger.say("LIST_REQUEST", "", "*", {}, id="l")
        self.assertEqual(
            stranger.fault(), ("NOT_ALLOWED", "LIST_REQUEST: log in first")
        )
        self.assertEqual(stranger.heard(), ["ERROR"])

    def test_sorted(self) -> None:
        """Sorted, local and remote, in both places, with all that a client needs."""
        a, b = self.pair()
        people = [
            self.person(a, "carol"),
            self.person(b, "bob"),
            self.person(a, "alice"),
        ]
        told = people[2].ask_list()
        users = told.payload["users"]
        self.assertEqual([one["user_id"] for one in users], ["alice", "bob", "carol"])
        self.assertEqual(
            users[1],
            {
                "user_id": "bob",
                "pubkey": pub_of("bob"),
                "online_local": False,
                "server_id": "srv-b",
                "display_name": "",
                "extras": [],
            },
        )
        self.assertEqual((told.payload["part"], told.payload["parts"]), (1, 1))
        self.assertEqual(json.loads(told.frame)["users"], users)

    def test_no_payload(self) -> None:
        """The original's client sends a type and nothing else."""
        a = self.start()
        [alice] = self.users(a, "alice")
        for frame in (
            b'{"type":"LIST_REQUEST"}',
            b'{"type":"LIST_REQUEST","payload":null}',
        ):
            alice.send(frame)
        self.assertEqual(alice.heard(), ["LIST_RESPONSE"] * 2)

    def crowd(self, count: int, **more: Any) -> Person:
        """Return alice, on a node that was told of many users."""
        a = self.start()
        server = self.peer(a)
        server.link("srv-c", "srv-c")
        for number in range(count):
            server.advertise(f"u{number:04}".ljust(64, "x"), **more)
        [alice] = self.users(a, "alice")
        return alice

    def check_parts(self, alice: Person, count: int) -> None:
        """Ask for the list; every part fits, and together they are everybody."""
        alice.ask_list()
        parts = alice.of("LIST_RESPONSE")
        self.assertGreater(len(parts), 1)
        self.assertTrue(all(len(one.frame) < MIB for one in parts))
        told = [one.payload["part"] for one in parts]
        self.assertEqual(told, list(range(1, len(parts) + 1)))
        self.assertEqual({one.payload["parts"] for one in parts}, {len(parts)})
        users = [user["user_id"] for one in parts for user in one.payload["users"]]
        self.assertEqual((users, len(users)), (sorted(users), count + 1))
        self.assertIsNone(alice.close)

    def test_r9_many(self) -> None:
        """R9: the list of 1,000 users comes in parts, each below 1 MiB."""
        self.check_parts(self.crowd(1_000), 1_000)

    def test_r9_wordy(self) -> None:
        """R9: 300 users who tell as much of themselves as they may."""
        meta = {
            "display_name": "😀" * 64,
            "extras": ["😀" * 31 + str(n) for n in range(16)],
        }
        self.check_parts(self.crowd(300, meta=meta), 300)

    def test_all_at_once(self) -> None:
        """More users than max-queued has room for are told to who reads slowly."""
        a = self.start(limits=Limits(queued=128 * 1024))
        known = a.node.mesh.directory
        add_server(a.node.mesh, "srv-c")
        count = 150
        for number in range(count):
            where = Location.of("srv-c", pub_of("srv-c"))
            known.locate(f"u{number:03}", where)
        alice = self.person(a)
        end = alice.wire.client
        end.pauseProducing()
        alice.say("USER_HELLO", "alice", "*", {"pubkey": pub_of("alice")}, key="alice")
        self.network.pass_time(3)
        [link] = a.node._links.values()
        self.assertIsNotNone(link.outbox.paused_at)
        self.assertLess(link.outbox.queued, TOLD_AT_ONCE * 2048)
        for _ in range(5):  # lists that it asks for and does not read wait, unmade
            alice.say("LIST_REQUEST", "alice", "*", {})
        known.remove("u140")
        known.locate("u1400", Location.of("srv-c", pub_of("srv-c")))
        self.network.pass_time(3)
        end.resumeProducing()
        self.network.settle()
        told = [one.payload["user_id"] for one in alice.of("USER_ADDED")]
        self.assertEqual(len(told), len(set(told)))
        there = {user_id for user_id, _ in known.online()}
        self.assertEqual(set(told), there)
        ends = ["PUBLIC_CHANNEL_SNAPSHOT", *["LIST_RESPONSE"] * 5]
        self.assertEqual(alice.heard()[-6:], ends)
        self.assertIsNone(alice.close)
        self.assertEqual(a.node._portions._waiting, {})

    def test_too_long(self) -> None:
        """R9: a name of 200 kB is nobody's."""
        a = self.start()
        person = self.person(a)
        payload = {"pubkey": pub_of("alice")}
        person.say_raw(
            {"type": "USER_HELLO", "from": "x" * 200_000, "payload": payload}
        )
        self.assertEqual(person.errors(), ["MALFORMED"])
        meta = {"display_name": "x" * 200_000, "extras": ["x" * 200_000]}
        hello = {**payload, "meta": meta}
        person.say("USER_HELLO", "alice", "*", hello, key="alice")
        entry = person.only("USER_ADDED").payload
        self.assertEqual((entry["display_name"], entry["extras"]), ("", []))
