"""Who gets in, by key or by password, and what do guesses cost?"""

import sqlite3
from contextlib import closing

from socp_twisted.wire.limits import Limits
from socp_twisted.wire.vocabulary import USER_HELLO
from tests.keyfiles import BAD_PINS
from tests.keyring import pub_of
from tests.users import PASSWORD, Person, UserTestCase, verifier

WRONG = ("BAD_KEY", "wrong user or password")
AFTER_LOGIN = ["USER_LOGGED_IN", "USER_ADDED", "PUBLIC_CHANNEL_SNAPSHOT"]
FAR = "192.0.2.7"


class KeyLoginTests(UserTestCase):
    """Whoever signs this server's nonce with the registered key is that user."""

    def setUp(self) -> None:
        """One node, where alice is registered."""
        super().setUp()
        self.a = self.start()
        self.account(self.a, "alice")

    def greeted(self, key: str = "alice") -> Person:
        """Return a connection on which alice's HELLO was said."""
        person = self.person(self.a)
        person.greet("alice", key)
        return person

    def test_login(self) -> None:
        """The right proof: logged in, told who is here, and no key blob is sent."""
        person = self.greeted()
        ack = person.only("USER_HELLO_ACK").payload
        self.assertEqual(ack["pubkey"], pub_of("srv-a"))
        self.assertEqual(self.a.online(), {})
        person.forget()
        person.prove(person.proof())
        self.assertEqual(person.heard(), AFTER_LOGIN)
        self.assertEqual(person.only("USER_LOGGED_IN").payload["privkey_store"], "")
        self.assertEqual(self.a.online(), {"alice": "srv-a"})

    def test_nonce(self) -> None:
        """The server answers the client's nonce, and its own is new each time."""
        person = self.person(self.a)
        hello = {"pubkey": pub_of("alice"), "nonce": "a challenge"}
        person.say(USER_HELLO, "alice", "*", hello, key="alice")
        ack = person.only("USER_HELLO_ACK").payload
        self.assertEqual(ack["answer"], "a challenge")
        self.assertNotEqual(ack["nonce"], self.greeted().challenge)

    def refused(self, person: Person, proof: str) -> None:
        """Send a wrong proof: it is answered like a wrong password."""
        person.forget()
        person.prove(proof)
        self.assertEqual(person.fault(), WRONG)
        self.assertEqual(self.a.online(), {})

    def test_another_id(self) -> None:
        """A proof for another id than the one that was greeted."""
        person = self.greeted()
        person.forget()
        person.prove(person.proof(user="bob"), "bob")
        refusal = ("NOT_ALLOWED", "say USER_HELLO before a proof")
        self.assertEqual(person.fault(), refusal)
        self.assertEqual(self.a.online(), {})

    def test_another_nonce(self) -> None:
        """A proof for a nonce that is not this connection's."""
        person = self.greeted()
        self.refused(person, person.proof(nonce="another"))

    def test_another_server(self) -> None:
        """A proof that was made for srv-b, which passes it on to us."""
        person = self.greeted()
        self.refused(person, person.proof(server="srv-b"))

    def test_another_user(self) -> None:
        """A proof that names bob."""
        person = self.greeted()
        self.refused(person, person.proof(user="bob"))

    def test_replayed(self) -> None:
        """What let alice in on one connection lets nobody in on another."""
        first = self.greeted()
        proof = first.proof()
        first.prove(proof)
        first.leave()
        self.refused(self.greeted(), proof)

    def test_broken(self) -> None:
        """A proof that is no signature at all."""
        self.refused(self.greeted(), "AAAA")

    def test_no_hello(self) -> None:
        """A proof before USER_HELLO signs no nonce of ours, and the answer says so."""
        person = self.person(self.a)
        person.user_id, person.key = "alice", "alice"
        person.prove(person.proof(nonce="anything"))
        self.assertEqual(
            person.fault(), ("NOT_ALLOWED", "say USER_HELLO before a proof")
        )

    def test_another_key(self) -> None:
        """A HELLO with another key than the registered one is refused at once."""
        person = self.greeted("bob")
        code, why = person.fault()
        self.assertEqual(code, "NAME_IN_USE")
        self.assertIn("registered with another key", why)

    def test_retry(self) -> None:
        """A failed proof costs nothing but the answer: the next one may be right."""
        person = self.greeted()
        person.prove("AAAA")
        person.prove(person.proof())
        self.assertEqual(self.a.online(), {"alice": "srv-a"})

    def test_not_delayed_by_guesses(self) -> None:
        """Somebody who guesses alice's password does not keep alice's key out."""
        guesser = self.person(self.a)
        for _ in range(7):
            guesser.log_in("alice", "a guess")
        self.assertEqual(guesser.errors()[-1], "LIMIT")
        person = self.greeted()
        person.prove(person.proof())
        self.assertEqual(self.a.online(), {"alice": "srv-a"})


class PasswordLoginTests(UserTestCase):
    """The dialect's login: a password, for the key that the server keeps."""

    def setUp(self) -> None:
        """One node, where alice is registered with a password."""
        super().setUp()
        self.a = self.start()
        self.account(self.a, "alice", meta={"display_name": "Alice L."})

    def test_login(self) -> None:
        """The right password on a new connection brings the blob, and lets in."""
        person = self.person(self.a)
        person.log_in("alice")
        self.assertEqual(person.heard(), AFTER_LOGIN)
        told = person.only("USER_LOGGED_IN").payload
        self.assertEqual(told["privkey_store"], "sealed")
        entry = person.only("USER_ADDED").payload
        self.assertEqual(
            (entry["user_id"], entry["pubkey"]), ("alice", pub_of("alice"))
        )
        self.assertEqual(entry["display_name"], "Alice L.")

    def test_other_case(self) -> None:
        """Nobody logs in as ``ALICE`` with what is alice's."""
        person = self.person(self.a)
        person.log_in("ALICE")
        self.assertEqual(person.fault(), WRONG)
        self.assertEqual(self.a.online(), {})

    def test_same_answer(self) -> None:
        """S15: unknown user, wrong password, no password: one answer, one cost."""
        self.account(self.a, "bob", pake_password="")
        answers = []
        for user_id in ("nobody", "alice", "bob"):
            person = self.person(self.a)
            person.log_in(user_id, "a guess")
            answers.append(person.fault())
            person.leave()
        self.assertEqual(answers, [WRONG] * 3)
        self.assertEqual(self.desks["srv-a"].checks, 3)

    def test_in_clear(self) -> None:
        """Over the network without TLS no password is looked at, and we say why."""
        person = self.person(self.a, host=FAR)
        person.log_in("alice")
        code, why = person.fault()
        self.assertEqual(code, "NOT_ALLOWED")
        self.assertIn("use wss:// or a key", why)
        self.assertEqual(self.desks["srv-a"].checks, 0)

    def test_over_tls(self) -> None:
        """Over TLS the same password lets in."""
        person = self.person(self.a, host=FAR)
        self.party(self.a, person.wire).secure = True
        person.log_in("alice")
        self.assertEqual(self.a.online(), {"alice": "srv-a"})

    def test_loopback(self) -> None:
        """Every spelling of this machine's own address counts as it."""
        for host in ("127.0.0.2", "::1", "::ffff:127.0.0.1"):
            person = self.person(self.a, host=host)
            person.log_in("alice")
            self.assertEqual(person.errors(), [], host)

    def test_by_key_in_clear(self) -> None:
        """A key is shown by a signature, which may cross any network."""
        person = self.person(self.a, host=FAR)
        person.enter("alice")
        self.assertEqual(self.a.online(), {"alice": "srv-a"})

    def test_hello_afterwards(self) -> None:
        """Once the blob is open, HELLO and proof on the same connection go well."""
        person = self.person(self.a)
        person.log_in("alice")
        person.forget()
        person.enter("alice")
        self.assertEqual(person.heard(), ["USER_HELLO_ACK", "USER_LOGGED_IN"])

    def test_fetch(self) -> None:
        """Who asks for the blob alone is not there before they have shown its key."""
        person = self.person(self.a)
        login = {"user_id": "alice", "password": PASSWORD, "fetch": True}
        person.say("USER_LOGIN", "alice", "*", login)
        told = person.only("USER_LOGGED_IN").payload
        self.assertEqual(told["privkey_store"], "sealed")
        self.assertEqual(self.a.online(), {})
        person.forget()
        person.enter("alice")
        self.assertEqual(self.a.online(), {"alice": "srv-a"})
        self.assertIn("USER_LOGGED_IN", person.heard())

    def test_fetch_refused(self) -> None:
        """Nobody gets it with a wrong password."""
        person = self.person(self.a)
        login = {"user_id": "alice", "password": "guess", "fetch": True}
        person.say("USER_LOGIN", "alice", "*", login)
        self.assertEqual(person.heard(), ["ERROR"])

    def test_profile_afterwards(self) -> None:
        """What the HELLO then tells of the client reaches everybody."""
        watcher = self.person(self.a, "bob")
        person = self.person(self.a)
        person.log_in("alice")
        watcher.forget()
        hello = {"pubkey": pub_of("alice"), "meta": {"extras": ["blocks"]}}
        person.say(USER_HELLO, "alice", "*", hello, key="alice")
        self.assertEqual(watcher.only("USER_ADDED").payload["extras"], ["blocks"])

    def test_unusable_key(self) -> None:
        """An account whose key is not RSA-4096 (S16) is told why it cannot be used."""
        store = self.stores["srv-a"]
        with closing(sqlite3.connect(self.path(), isolation_level=None)) as database:
            database.execute(
                "INSERT INTO users (user_id, pubkey, pake_password) VALUES (?, ?, ?)",
                ("old", BAD_PINS["rsa-2048"], verifier(PASSWORD)),
            )
        self.assertIsNotNone(self.done(store.user("old")))
        person = self.person(self.a)
        person.log_in("old")
        code, why = person.fault()
        self.assertEqual(code, "BAD_KEY")
        self.assertIn("not RSA-4096", why)
        self.assertEqual(self.a.online(), {})


class ThrottleTests(UserTestCase):
    """S14: guesses cost the guesser time, and nobody else."""

    def setUp(self) -> None:
        """One node, where alice and bob are registered."""
        super().setUp()
        self.a = self.start(limits=Limits(stranger_frames=100))
        self.account(self.a, "alice")
        self.account(self.a, "bob")
        self.desk = self.desks["srv-a"]

    def login(self, user_id: str, password: str) -> bytes:
        """Return a USER_LOGIN."""
        return (
            f'{{"type":"USER_LOGIN","payload":'
            f'{{"user_id":"{user_id}","password":"{password}"}}}}'
        ).encode()

    def pipeline(self, person: Person, frames: list[bytes]) -> None:
        """Send many frames before anything is answered."""
        for frame in frames:
            person.end.sendMessage(frame, isBinary=False)
        self.network.settle()

    def test_s14_pipelined(self) -> None:
        """Forty at once: six are checked, each is answered, the wait is named."""
        person = self.person(self.a)
        self.pipeline(person, [self.login("alice", f"guess{i}") for i in range(40)])
        self.assertEqual(self.desk.checks, 6)
        self.assertEqual(person.errors(), ["BAD_KEY"] * 6 + ["LIMIT"] * 34)
        last = person.of("ERROR")[-1].payload["detail"]
        self.assertEqual(last, "too many failed logins: try again in 1 s")
        self.assertIsNone(person.close)

    def test_by_user(self) -> None:
        """From another address alice must wait, too; bob need not."""
        self.pipeline(self.person(self.a), [self.login("alice", "guess")] * 6)
        there = self.person(self.a, host="127.0.0.2")
        there.log_in("alice")
        self.assertEqual(there.errors(), ["LIMIT"])
        there.log_in("bob")
        self.assertEqual(self.a.online(), {"bob": "srv-a"})

    def test_by_address(self) -> None:
        """One guess for each of many users is many guesses of that address."""
        guesses = [self.login(f"user{i}", "guess") for i in range(8)]
        person = self.person(self.a)
        self.pipeline(person, guesses)
        self.assertEqual(person.errors(), ["BAD_KEY"] * 6 + ["LIMIT"] * 2)

    def test_by_network(self) -> None:
        """A guess from each of many IPv6 addresses of one network is no other thing."""
        told = []
        for number in range(8):
            person = self.person(self.a, host=f"2001:db8::{number}")
            self.party(self.a, person.wire).secure = True
            person.log_in(f"user{number}")
            told += person.errors()
        self.assertEqual(told, ["BAD_KEY"] * 6 + ["LIMIT"] * 2)

    def test_waited(self) -> None:
        """After the time that was named, the right password lets in."""
        person = self.person(self.a)
        self.pipeline(person, [self.login("alice", "guess")] * 7)
        self.network.pass_time(1)
        person.log_in("alice")
        self.assertEqual(self.a.online(), {"alice": "srv-a"})

    def test_growing(self) -> None:
        """Each further failure doubles the wait, up to a quarter of an hour."""
        person = self.person(self.a)
        self.pipeline(person, [self.login("alice", "guess")] * 6)
        self.network.pass_time(1)
        self.pipeline(person, [self.login("alice", "guess")] * 2)
        last = person.of("ERROR")[-1].payload["detail"]
        self.assertEqual(last, "too many failed logins: try again in 2 s")

    def test_forgotten(self) -> None:
        """An hour later nobody remembers who mistyped."""
        person = self.person(self.a)
        self.pipeline(person, [self.login("alice", "guess")] * 6)
        self.network.advance(3600)
        self.network.settle()
        again = self.person(self.a)
        self.pipeline(again, [self.login("alice", "guess")] * 5)
        again.log_in("alice")
        self.assertEqual(self.a.online(), {"alice": "srv-a"})

    def test_many_connections(self) -> None:
        """A hundred guesses on as many connections are no more than on one."""
        people = [self.person(self.a) for _ in range(100)]
        self.desk.held = []
        for person in people:
            person.end.sendMessage(self.login("alice", "guess"), isBinary=False)
        self.network.settle()
        self.desk.serve()
        self.network.settle()
        self.assertEqual(self.desk.checks, 6)
        codes = sorted(person.errors()[0] for person in people)
        self.assertEqual(codes, ["BAD_KEY"] * 6 + ["LIMIT"] * 94)

    def test_hung_up(self) -> None:
        """Hanging up before the answer does not make a guess cheaper."""
        for _ in range(6):
            person = self.person(self.a)
            self.desk.held = []
            person.log_in("alice", "guess")
            person.wire.cut()
            self.desk.serve()
        person = self.person(self.a)
        person.log_in("alice", "guess")
        self.assertEqual(person.errors(), ["LIMIT"])

    def test_others_not_delayed(self) -> None:
        """While one address waits for its checks, another's login goes through."""
        self.desk.held = []
        guesser = self.person(self.a)
        self.pipeline(guesser, [self.login("alice", "guess")] * 40)
        self.assertEqual(len(self.desk.held), 1)
        held, self.desk.held = self.desk.held, None
        other = self.person(self.a, host="127.0.0.2")
        other.log_in("bob")
        self.assertEqual(self.a.online(), {"bob": "srv-a"})
        self.desk.held = held
        self.desk.serve()

    def test_many_right_ones(self) -> None:
        """A class that logs in from one address at the same time gets in, all of it."""
        people = [self.person(self.a) for _ in range(8)]
        self.desk.held = []
        for number, person in enumerate(people):
            name = ("alice", "bob")[number % 2]
            person.end.sendMessage(self.login(name, PASSWORD), isBinary=False)
        self.network.settle()
        self.desk.serve()
        self.network.settle()
        self.assertEqual([person.errors() for person in people], [[]] * 8)
