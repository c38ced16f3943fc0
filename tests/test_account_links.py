"""Several devices, a slow disk, a restart: is a user still the same user?"""

import json
import sqlite3
from contextlib import closing

from socp_twisted.wire.limits import Limits
from socp_twisted.wire.vocabulary import USER_HELLO, USER_LOGIN
from tests.keyring import pub_of
from tests.users import PASSWORD, SlowStore, UserTestCase, verifier


class DeviceTests(UserTestCase):
    """One user on several connections is one user, who gets everything everywhere."""

    def setUp(self) -> None:
        """One node, three devices at most, with bob on it."""
        super().setUp()
        self.a = self.start(limits=Limits(devices=3))
        [self.bob] = self.users(self.a, "bob")

    def test_everything_everywhere(self) -> None:
        """A message reaches each device, once; others see one arrival."""
        devices = [self.person(self.a, "alice") for _ in range(3)]
        self.assertEqual(len(self.bob.of("USER_ADDED")), 1)
        self.bob.tell("alice", id="1")
        for device in devices:
            self.assertEqual(len(device.of("USER_DELIVER")), 1)
        self.assertEqual(self.bob.outcomes(), [("1", "delivered")])

    def test_last_one_out(self) -> None:
        """The user is gone when the last device is."""
        one, two = self.person(self.a, "alice"), self.person(self.a, "alice")
        one.leave()
        self.assertEqual(self.bob.of("USER_REMOVED"), [])
        two.wire.cut()
        self.network.settle()
        self.assertEqual(len(self.bob.of("USER_REMOVED")), 1)
        self.assertEqual(self.a.online(), {"bob": "srv-a"})

    def test_limit(self) -> None:
        """One too many is refused, and the limit is named; the others stay."""
        for _ in range(3):
            self.person(self.a, "alice")
        late = self.person(self.a)
        late.greet("alice")
        self.assertEqual(late.fault(), ("LIMIT", "max-devices: 3 are connected"))
        self.bob.tell("alice", id="1")
        self.assertEqual(self.bob.outcomes(), [("1", "delivered")])

    def test_second_needs_a_proof(self) -> None:
        """While alice is online, a HELLO alone is no second device of hers."""
        self.person(self.a, "alice")
        second = self.person(self.a)
        second.greet("alice")
        self.assertEqual(second.heard(), ["USER_HELLO_ACK"])
        self.bob.tell("alice")
        self.assertEqual(second.of("USER_DELIVER"), [])

    def test_what_all_can(self) -> None:
        """Others are told what every device can: no frame is lost on the older one."""
        profiles = [["blocks", "files-aes"], ["blocks"]]
        devices = [self.person(self.a, "alice", extras=extras) for extras in profiles]
        devices[1].leave()
        told = [one.payload["extras"] for one in self.bob.of("USER_ADDED")]
        self.assertEqual(told, [profiles[0], profiles[1], profiles[0]])

    def test_r6_second_user(self) -> None:
        """R6: a second user on the same connection is refused; the first stays."""
        self.account(self.a, "carol")
        person = self.person(self.a, "alice")
        person.forget()
        person.say(USER_HELLO, "carol", "*", {"pubkey": pub_of("srv-d")}, key="srv-d")
        login = {"user_id": "carol", "password": PASSWORD}
        person.say(USER_LOGIN, "carol", "*", login)
        self.assertEqual(person.errors(), ["NOT_ALLOWED"] * 2)
        self.assertIn("alice's already", person.of("ERROR")[0].payload["detail"])
        self.assertEqual(self.a.online(), {"alice": "srv-a", "bob": "srv-a"})
        self.bob.tell("alice", id="1")
        self.assertEqual(self.bob.outcomes(), [("1", "delivered")])
        person.leave()
        self.assertEqual(self.a.online(), {"bob": "srv-a"})


class WaitingTests(UserTestCase):
    """While the disk answers, a connection waits, and nobody else."""

    def setUp(self) -> None:
        """A node on whose disk alice is registered, and which then stands still."""
        super().setUp()
        self.a = self.start()
        self.account(self.a, "alice")
        [self.bob] = self.users(self.a, "bob")
        self.disk = SlowStore(self.stores["srv-a"])
        assert self.a.node.accounts is not None
        self.a.node.accounts._store = self.disk

    def turn(self) -> None:
        """Let the disk do all that it is asked."""
        for _ in range(8):
            self.disk.turn()
            self.network.settle()

    def test_pipelined(self) -> None:
        """Frames behind a login are read after it, in their order."""
        person = self.person(self.a)
        person.user_id, person.key = "alice", "alice"
        frames = [
            f'{{"type":"USER_LOGIN","payload":{{"user_id":"alice","password":"{PASSWORD}"}}}}'
        ]
        for number in range(5):
            ts, payload = person.message("bob", f"text {number}")
            envelope = {"type": "MSG_DIRECT", "from": "alice", "to": "bob", "ts": ts}
            frames.append(
                json.dumps({**envelope, "payload": payload, "id": f"{number}"})
            )
        frames.append(json.dumps({"type": "LIST_REQUEST"}))
        for frame in frames:
            person.end.sendMessage(frame.encode(), isBinary=False)
        self.network.settle()
        self.assertEqual(person.heard(), [])
        self.bob.tell("bob", id="meanwhile")
        self.assertEqual(self.bob.outcomes(), [("meanwhile", "delivered")])
        self.turn()
        self.assertEqual(
            person.outcomes(), [(f"{number}", "delivered") for number in range(5)]
        )
        self.assertEqual(person.heard()[0], "USER_LOGGED_IN")
        self.assertEqual(person.heard()[-1], "LIST_RESPONSE")

    def test_hung_up(self) -> None:
        """Who hangs up meanwhile leaves no ghost, wherever the disk was."""
        for turns in range(3):
            person = self.person(self.a)
            person.log_in("alice")
            for _ in range(turns):
                self.disk.turn()
            person.wire.cut()
            self.network.settle()
            self.turn()
            self.assertEqual(self.a.online(), {"bob": "srv-a"}, turns)

    def test_hung_up_after_hello(self) -> None:
        """The same between HELLO and its answer."""
        person = self.person(self.a)
        person.greet("dave")
        person.leave()
        self.turn()
        self.assertEqual(self.a.online(), {"bob": "srv-a"})
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_two_at_once(self) -> None:
        """Of two keys that claim one free id at the same time, one gets it."""
        people = [self.person(self.a), self.person(self.a)]
        for person, key in zip(people, ("srv-e", "srv-f"), strict=True):
            person.greet("dave", key)
        self.turn()
        self.assertEqual(people[0].errors(), [])
        self.assertEqual(people[1].errors(), ["NAME_IN_USE"])

    def test_broken_disk(self) -> None:
        """A database that fails is named to the user, who may try again."""
        self.done(self.stores["srv-a"].close())
        person = self.person(self.a)
        person.log_in("alice")
        self.turn()
        self.assertEqual(
            person.fault(), ("TIMEOUT", "the directory of users cannot be read now")
        )
        self.assertIsNone(person.close)


class RestartTests(UserTestCase):
    """Accounts outlive the process."""

    def test_same_database(self) -> None:
        """After SIGKILL and a new start: the password, the key and the name hold."""
        a = self.start()
        self.account(a, "alice", meta={"display_name": "Alice L."})
        self.person(a, "alice")
        a = self.restart(a)
        person = self.person(a)
        person.log_in("alice")
        self.assertEqual(
            person.only("USER_LOGGED_IN").payload["privkey_store"], "sealed"
        )
        self.assertEqual(person.only("USER_ADDED").payload["display_name"], "Alice L.")
        self.person(a, "alice")
        intruder = self.person(a)
        intruder.greet("alice", "bob")
        self.assertEqual(intruder.errors(), ["NAME_IN_USE"])

    def test_originals(self) -> None:
        """A user of the original's database logs in with the old password, and key."""
        self.path().parent.mkdir()
        with closing(sqlite3.connect(self.path(), isolation_level=None)) as database:
            database.execute(
                "CREATE TABLE users (user_id TEXT PRIMARY KEY, pubkey TEXT NOT NULL, "
                "privkey_store TEXT NOT NULL, pake_password TEXT NOT NULL, meta JSON, "
                "version INT NOT NULL)"
            )
            database.execute(
                "INSERT INTO users VALUES ('alice', ?, 'their blob', ?, NULL, 1)",
                (pub_of("alice"), verifier(PASSWORD)),
            )
        a = self.start()
        person = self.person(a)
        person.log_in("alice")
        told = person.only("USER_LOGGED_IN").payload
        self.assertEqual(told["privkey_store"], "their blob")
        self.person(a, "alice")
