"""What does a user's side do with what a server says?"""

from socp_twisted.client import events as told
from socp_twisted.client.keystore import AccountSecrets, seal_original
from socp_twisted.errors import Refused
from tests.client_peer import (
    EXTRAS,
    NOW,
    Server,
    SessionCase,
)
from tests.vector_files import private


class DialectTests(SessionCase):
    """Other people's servers do less, and are good enough."""

    def test_original(self) -> None:
        """An ACK without a key: the derived password logs in, the list is found."""
        self.server = Server(style="original")
        secrets = AccountSecrets.derive("alice", "a long sentence")
        self.server.accounts["alice"] = {
            "password": secrets.password,
            "privkey_store": "",
        }
        alice = self.enter("alice", passphrase="a long sentence")
        self.assertEqual(len(alice.told(told.ServerUnproven)), 1)
        self.assertTrue(alice.session.ready)
        alice.session.request_list(NOW)
        self.server.pump()
        self.assertEqual(alice.told(told.UserList), [told.UserList(())])

    def test_original_account(self) -> None:
        """An account of the original's client sends its password, if asked to."""
        self.server = Server(style="original")
        self.server.accounts["alice"] = {
            "password": "pw",
            "privkey_store": seal_original(private("alice"), "pw"),
        }
        alice = self.enter("alice", key=None, passphrase="pw", plain=True)
        self.assertTrue(alice.session.ready)

    def test_no_answers(self) -> None:
        """Where nothing is answered, a message counts as handed over, and says so."""
        self.server = Server(style="original")
        alice, bob = self.both()
        for user in (alice, bob):
            self.server.arrive(user)
        self.server.pump()
        message = alice.session.tell("bob", "hello", NOW)
        self.server.pump()
        self.assertEqual(
            alice.told(told.Delivered),
            [told.Delivered(message, "bob", confirmed=False)],
        )
        self.assertEqual([one.text for one in bob.told(told.TextReceived)], ["hello"])
        self.server.tick(60)
        self.assertEqual(alice.told(told.NotDelivered), [])

    def test_mute(self) -> None:
        """A server that does not answer USER_HELLO at all is used after a while."""
        self.server = Server(style="mute")
        alice = self.enter("alice")
        self.assertFalse(alice.session.ready)
        self.server.tick(10)
        self.assertTrue(alice.session.ready)


class MessageTests(SessionCase):
    """A text arrives whole, or the sender hears of it."""

    def test_tell(self) -> None:
        """Sealed, signed, delivered, shown once."""
        alice, bob = self.both()
        message = alice.session.tell("bob", "naïve ✓ 😀", NOW)
        self.server.pump()
        self.assertEqual(alice.events, [told.Delivered(message, "bob")])
        [text] = bob.told(told.TextReceived)
        self.assertEqual(
            (text.sender, text.text, text.public), ("alice", "naïve ✓ 😀", 0)
        )

    def test_long(self) -> None:
        """65,536 bytes go as one message; one more is refused in a sentence."""
        alice, bob = self.both()
        alice.session.tell("bob", "x" * 65_536, NOW)
        self.server.pump()
        [text] = bob.told(told.TextReceived)
        self.assertEqual(text.text, "x" * 65_536)
        with self.assertRaisesRegex(Refused, "at most 65,536"):
            alice.session.tell("bob", "x" * 65_537, NOW)

    def test_split(self) -> None:
        """Whoever decrypts single blocks gets several messages, and one outcome."""
        alice, bob = self.both()
        plain = self.server.entry(bob, extras=[])
        self.server.say(alice, "USER_ADDED", plain)
        message = alice.session.tell("bob", "ü" * 500, NOW)
        self.server.pump()
        texts = [text.text for text in bob.told(told.TextReceived)]
        self.assertEqual(len(texts), 3)
        self.assertEqual("".join(texts), "ü" * 500)
        self.assertEqual(alice.told(told.Delivered), [told.Delivered(message, "bob")])

    def test_all(self) -> None:
        """One frame for each member; each is answered for."""
        alice, bob = self.both()
        message, members = alice.session.all("hello", NOW)
        self.server.pump()
        self.assertEqual(members, ("bob",))
        self.assertEqual(
            alice.told(told.Delivered), [told.Delivered(message, "bob", public=True)]
        )
        [text] = bob.told(told.TextReceived)
        self.assertTrue(text.public)

    def test_unknown(self) -> None:
        """Nobody of that name is an error at once, and nothing is sent."""
        alice, _ = self.both()
        with self.assertRaisesRegex(Refused, "nobody"):
            alice.session.tell("carol", "hello", NOW)
        self.assertEqual(alice.frames("MSG_DIRECT"), [])

    def test_gone(self) -> None:
        """An ERROR of the server is the outcome."""
        alice, bob = self.both()
        self.server.leave(bob)
        alice.session.tell("bob", "hello", NOW)
        self.server.pump()
        [failed] = alice.told(told.NotDelivered)
        self.assertEqual((failed.to, failed.code), ("bob", "USER_NOT_FOUND"))

    def test_no_answer(self) -> None:
        """Three times fifteen seconds of silence are an outcome too."""
        alice, _ = self.both()
        self.server.silent = {"MSG_DIRECT"}
        alice.session.tell("bob", "hello", NOW)
        self.server.pump()
        for _ in range(2):
            self.server.tick(16)
            self.server.pump()
        self.assertEqual(alice.told(told.NotDelivered), [])
        self.server.tick(16)
        [failed] = alice.told(told.NotDelivered)
        self.assertEqual(failed.code, "TIMEOUT")

    def test_lost(self) -> None:
        """A message is reported, once, only if there will be no other connection."""
        alice, _ = self.both()
        self.server.silent = {"MSG_DIRECT"}
        message = alice.session.tell("bob", "hello", NOW)
        self.server.pump()
        alice.session.lost(NOW, "cut off")
        self.assertEqual(alice.session.drain().events, ())
        for _ in range(2):
            alice.session.lost(NOW, "gave up", for_good=True)
        self.assertEqual(
            alice.session.drain().events,
            (told.NotDelivered(message, "bob", "TIMEOUT", "gave up"),),
        )
        self.assertFalse(alice.session.ready)
        with self.assertRaisesRegex(Refused, "not logged in"):
            alice.session.tell("bob", "hello", NOW)

    def test_between(self) -> None:
        """What is said while the connection is away goes on the next one, once."""
        alice, bob = self.both()
        alice.session.lost(NOW)
        alice.session.tell("bob", "hello", NOW)
        self.assertEqual(alice.session.drain().frames, ())
        for late in range(1, 5):
            alice.session.tick(NOW + late * 600_000)
        output = alice.session.drain()
        self.assertEqual((output.frames, output.events), ((), ()))
        alice.session.connected()
        alice.session.login(NOW)
        self.server.pump()
        self.assertEqual([one.text for one in bob.told(told.TextReceived)], ["hello"])
        self.assertEqual(len(alice.told(told.Delivered)), 1)

    def test_again(self) -> None:
        """On a new connection everything begins again, with the same pins."""
        alice, _ = self.both()
        alice.session.lost(NOW)
        alice.session.connected()
        alice.session.login(NOW)
        self.server.pump()
        self.assertTrue(alice.session.ready)
        self.assertEqual(alice.told(told.ServerPinned), [])

    def test_list(self) -> None:
        """The list is sorted and has everybody but ourselves."""
        alice, bob = self.both()
        alice.session.request_list(NOW)
        self.server.pump()
        [listed] = alice.told(told.UserList)
        [one] = listed.users
        self.assertEqual((one.user_id, one.display_name), ("bob", "Bob"))
        self.assertEqual(one.extras, frozenset(EXTRAS))
        self.server.leave(bob)
        self.assertEqual(alice.told(told.UserLeft), [told.UserLeft("bob")])

    def test_list_refused(self) -> None:
        """An unanswered list is reported; that it was asked for is no answer."""
        alice, _ = self.both()
        self.server.silent = {"LIST_REQUEST"}
        alice.session.request_list(NOW)
        self.server.pump()
        [asked] = alice.frames("LIST_REQUEST")
        self.server.say(alice, "ACK", {"msg_ref": asked["id"]})
        self.server.tick(16)
        self.assertEqual(len(alice.told(told.ListFailed)), 1)
