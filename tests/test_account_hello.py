"""Who gets in by a signed word, where nobody has registered and nobody logs in?"""

from socp_twisted.wire.vocabulary import CLOSE_TIMEOUT, MSG_DIRECT, USER_HELLO
from tests.keyring import pub_of, signature
from tests.users import Person, UserTestCase


class HelloOnlyTests(UserTestCase):
    """A client that knows the standard alone uses an id that nobody registered."""

    def setUp(self) -> None:
        """One node with bob on it."""
        super().setUp()
        self.a = self.start()
        [self.bob] = self.users(self.a, "bob")

    def test_signed(self) -> None:
        """A signed HELLO lets in: ACK, then who is here."""
        person = self.person(self.a)
        person.greet("alice")
        told = ["USER_HELLO_ACK", "USER_ADDED", "USER_ADDED", "PUBLIC_CHANNEL_SNAPSHOT"]
        self.assertEqual(person.heard(), told)
        self.assertEqual(self.bob.only("USER_ADDED").payload["user_id"], "alice")

    def test_foreign_signature(self) -> None:
        """A HELLO that another key signed lets nobody in."""
        person = self.person(self.a)
        hello = {"pubkey": pub_of("alice")}
        person.say(USER_HELLO, "alice", "*", hello, key="bob")
        self.assertEqual(person.errors(), ["INVALID_SIG"])
        self.assertEqual(self.a.online(), {"bob": "srv-a"})

    def test_replayed(self) -> None:
        """A captured HELLO of a client that signs nonces lets nobody else in."""
        eve = self.person(self.a)
        hello = {"pubkey": pub_of("alice"), "nonce": "alice's own challenge"}
        eve.say(USER_HELLO, "alice", "*", hello, key="alice")
        self.assertEqual(eve.heard(), ["USER_HELLO_ACK"])
        self.assertEqual(self.a.online(), {"bob": "srv-a"})

    def unsigned(self) -> Person:
        """Return somebody whose HELLO was not signed."""
        person = self.person(self.a)
        person.greet("alice", signed=False)
        self.assertEqual(person.heard(), ["USER_HELLO_ACK"])
        self.assertEqual(self.a.online(), {"bob": "srv-a"})
        person.forget()
        return person

    def test_first_message(self) -> None:
        """An unsigned HELLO: in with the first message that the key has signed."""
        person = self.unsigned()
        person.tell("bob", id="1")
        self.assertEqual(self.a.online(), {"alice": "srv-a", "bob": "srv-a"})
        self.assertEqual(len(self.bob.of("USER_DELIVER")), 1)
        self.assertEqual(person.outcomes(), [("1", "delivered")])
        self.assertIn("PUBLIC_CHANNEL_SNAPSHOT", person.heard())

    def test_message_again(self) -> None:
        """What its author was let in with lets nobody in who had it from the wire."""
        person = self.unsigned()
        ts, payload = person.message("bob")
        person.say(MSG_DIRECT, "alice", "bob", payload, ts=ts)
        self.assertEqual(self.a.online(), {"alice": "srv-a", "bob": "srv-a"})
        person.leave()
        eve = self.unsigned()
        self.bob.forget()
        eve.say(MSG_DIRECT, "alice", "bob", payload, ts=ts)
        code, sentence = eve.fault()
        self.assertEqual(code, "NOT_ALLOWED")
        self.assertIn("seen here before", sentence)
        self.assertEqual(self.a.online(), {"bob": "srv-a"})
        self.assertEqual(self.bob.received, [])

    def test_first_public_message(self) -> None:
        """The same through the public channel."""
        person = self.unsigned()
        person.proclaim("bob", id="1")
        self.assertEqual(len(self.bob.of("MSG_PUBLIC_CHANNEL")), 1)

    def test_first_message_to_nobody(self) -> None:
        """The sender is in, and knows who is there, though the message is not."""
        person = self.unsigned()
        person.tell("carol", id="1")
        self.assertEqual(person.outcomes(), [("1", "USER_NOT_FOUND")])
        self.assertEqual(self.a.online(), {"alice": "srv-a", "bob": "srv-a"})
        self.assertIn("PUBLIC_CHANNEL_SNAPSHOT", person.heard())
        self.assertEqual(self.bob.only("USER_ADDED").payload["user_id"], "alice")

    def test_invalid_message(self) -> None:
        """A message that the key has not signed lets nobody in, and goes nowhere."""
        person = self.unsigned()
        _, payload = person.message("bob")
        another = signature("alice", b"something else")
        for spoilt in ({"content_sig": another}, {}):  # {}: signed with another ts
            person.say(MSG_DIRECT, "alice", "bob", {**payload, **spoilt}, id="1")
        self.assertEqual(person.errors(), ["INVALID_SIG"] * 2)
        self.assertEqual(self.bob.received, [])
        self.assertEqual(self.a.online(), {"bob": "srv-a"})

    def test_anything_else(self) -> None:
        """Until then there is no list and no file."""
        person = self.unsigned()
        person.say("LIST_REQUEST", "alice", "*", {})
        person.start_file("bob")
        self.assertEqual(person.errors(), ["NOT_ALLOWED"] * 2)

    def test_registered(self) -> None:
        """A registered id is let in by neither: it takes a login."""
        self.account(self.a, "alice")
        for signed in (True, False):
            person = self.person(self.a)
            person.greet("alice", signed=signed)
            self.assertEqual(person.heard(), ["USER_HELLO_ACK"])
            person.forget()
            person.tell("bob")
            self.assertEqual(
                person.fault(), ("NOT_ALLOWED", "MSG_DIRECT: log in first")
            )
            person.leave()
        self.assertEqual(self.bob.of("USER_DELIVER"), [])

    def test_login_too_late(self) -> None:
        """Who says HELLO and nothing more is put out after a minute, with a reason."""
        person = self.unsigned()
        self.network.pass_time(60)
        self.assertEqual(
            person.close, (CLOSE_TIMEOUT, "max-login: no login within 60 s")
        )

    def test_goodbye_before_login(self) -> None:
        """Somebody who leaves before the login is let go without a complaint."""
        for greeted in (False, True):
            person = self.unsigned() if greeted else self.person(self.a)
            person.say("CTRL_CLOSE", "alice", "*", {})
            self.assertEqual(person.heard(), [])
            self.assertEqual(person.close, (1000, "goodbye"))
