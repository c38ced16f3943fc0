"""What does a user's side do with what a server says?"""

import json

from socp_twisted.client import events as told
from socp_twisted.client.keystore import AccountSecrets, seal_original
from socp_twisted.client.pins import Pins
from socp_twisted.errors import Refused
from tests.client_peer import (
    ADDRESS,
    EXTRAS,
    NOW,
    Server,
    SessionCase,
    fingerprint,
)
from tests.vector_files import private, public


class LoginTests(SessionCase):
    """The server proves itself, then the user does."""

    def test_by_key(self) -> None:
        """A hello, a signed proof, and the server's key is pinned."""
        alice = self.enter("alice")
        print_of = fingerprint("srv-a")
        self.assertEqual(
            alice.told(told.LoggedIn), [told.LoggedIn("alice", "srv-a", print_of)]
        )
        self.assertEqual(
            alice.told(told.ServerPinned),
            [told.ServerPinned(ADDRESS, "srv-a", print_of)],
        )
        self.assertTrue(alice.session.ready)
        self.assertEqual(
            [frame["type"] for frame in alice.sent], ["USER_HELLO", "USER_LOGIN"]
        )
        self.assertNotIn("password", alice.sent[1]["payload"])

    def test_frames(self) -> None:
        """``from`` is the user, ``ts`` always grows, each frame has its own id."""
        alice, _ = self.both()
        for _ in range(3):
            alice.session.tell("bob", "hello", NOW)
        self.server.pump()
        stamps = [frame["ts"] for frame in alice.sent]
        self.assertEqual(stamps, sorted(set(stamps)))
        self.assertEqual({frame["from"] for frame in alice.sent}, {"alice"})
        self.assertEqual(len({frame["id"] for frame in alice.sent}), len(stamps))
        self.assertEqual(
            [frame["type"] for frame in alice.sent if "sig" in frame], ["USER_HELLO"]
        )

    def test_register(self) -> None:
        """Registering shows the server neither the passphrase nor the key."""
        alice = self.server.attach("alice", self.folder, passphrase="a long sentence")
        alice.session.login(NOW, register=True)
        self.server.pump()
        self.assertEqual(alice.told(told.Registered), [told.Registered("alice")])
        self.assertTrue(alice.session.ready)
        self.assertNotIn("a long sentence", json.dumps(alice.sent))
        self.assertNotIn("PRIVATE", json.dumps(alice.sent))
        [frame] = alice.frames("USER_REGISTER")
        secrets = AccountSecrets.derive("alice", "a long sentence")
        stored = frame["payload"]["privkey_store"]
        self.assertEqual(secrets.open_key(stored).public, public("alice"))

    def test_name_taken(self) -> None:
        """A taken name is a refusal, and nobody is logged in."""
        self.server.accounts["alice"] = {}
        alice = self.server.attach("alice", self.folder)
        alice.session.login(NOW, register=True)
        self.server.pump()
        [refused] = alice.told(told.RegistrationRefused)
        self.assertEqual(refused.code, "NAME_IN_USE")
        self.assertFalse(alice.session.ready)

    def test_by_password(self) -> None:
        """The passphrase alone fetches the key; then the server has to prove itself."""
        secrets = AccountSecrets.derive("alice", "a long sentence")
        self.server.accounts["alice"] = {
            "password": secrets.password,
            "privkey_store": secrets.seal_key(private("alice")),
        }
        alice = self.enter("alice", key=None, passphrase="a long sentence")
        self.assertTrue(alice.session.ready)
        self.assertEqual(
            [frame["type"] for frame in alice.sent],
            ["USER_LOGIN", "USER_HELLO", "USER_LOGIN"],
        )
        assert alice.session.account.key is not None
        self.assertEqual(alice.session.account.key.public, public("alice"))

    def test_wrong_password(self) -> None:
        """A wrong passphrase is one refusal."""
        alice = self.enter("alice", key=None, passphrase="wrong")
        [refused] = alice.told(told.LoginRefused)
        self.assertEqual(refused.code, "BAD_KEY")

    def test_silence(self) -> None:
        """A server that does not answer the login is reported after ten seconds."""
        self.server.silent = {"USER_LOGIN"}
        alice = self.enter("alice")
        self.server.tick(10)
        [refused] = alice.told(told.LoginRefused)
        self.assertEqual(refused.code, "TIMEOUT")

    def test_stale_answer(self) -> None:
        """A greeting recorded from another login is not believed."""
        self.server.alter = lambda type, payload: payload.update(
            {"answer": "x" * 43} if type == "USER_HELLO_ACK" else {}
        )
        alice = self.enter("alice")
        self.assertFalse(alice.session.ready)
        [refused] = alice.told(told.FrameRefused)
        self.assertIn("another greeting", refused.reason)
        self.assertEqual(alice.frames("USER_LOGIN"), [])

    def test_renamed(self) -> None:
        """A server that logs us in as somebody else is not followed."""
        self.server.alter = lambda type, payload: payload.update(
            {"user_id": "mallory"} if type == "USER_LOGGED_IN" else {}
        )
        alice = self.enter("alice")
        self.assertFalse(alice.session.ready)


class PinTests(SessionCase):
    """A key is pinned at first sight; another one is a warning, and changes nothing."""

    def test_server_changed(self) -> None:
        """Another server at the address gets no login until the user accepts it."""
        pins = Pins(None)
        self.enter("alice", pins=pins)
        self.server = Server("srv-b")
        alice = self.enter("alice", pins=pins)
        [changed] = alice.told(told.ServerKeyChanged)
        self.assertEqual(changed.pinned, fingerprint("srv-a"))
        self.assertEqual(changed.seen, fingerprint("srv-b"))
        self.assertEqual(alice.frames("USER_LOGIN"), [])
        with self.assertRaises(Refused):
            alice.session.trust_server(fingerprint("srv-c"), NOW)
        alice.session.trust_server(fingerprint("srv-b"), NOW)
        self.server.pump()
        self.assertTrue(alice.session.ready)

    def test_server_hides(self) -> None:
        """A pinned server that suddenly shows no key is not believed either."""
        pins = Pins(None)
        self.enter("alice", pins=pins)
        self.server = Server(style="original")
        alice = self.enter("alice", pins=pins)
        [changed] = alice.told(told.ServerKeyChanged)
        self.assertEqual(changed.seen, "")
        self.assertFalse(alice.session.ready)

    def test_user_changed(self) -> None:
        """Nothing is sent under a changed key, and nothing of it is shown."""
        alice, bob = self.both()
        changed = self.server.entry(bob, pubkey=public("srv-c").text)
        self.server.say(alice, "USER_ADDED", changed)
        self.server.pump()
        [warning] = alice.told(told.UserKeyChanged)
        self.assertEqual(warning.pinned, fingerprint("bob"))
        with self.assertRaisesRegex(Refused, "has changed"):
            alice.session.tell("bob", "secret", NOW)
        self.assertEqual(
            alice.session.fingerprints("bob"),
            (fingerprint("alice"), fingerprint("bob"), fingerprint("srv-c")),
        )
        alice.session.trust("bob", fingerprint("srv-c"), NOW)
        self.assertTrue(alice.session.whois("bob").verified)
        alice.session.tell("bob", "secret", NOW)

    def test_wrong_fingerprint(self) -> None:
        """What is accepted is the key that the user saw, and no other."""
        alice, _ = self.both()
        with self.assertRaises(Refused):
            alice.session.trust("bob", fingerprint("srv-c"), NOW)

    def test_own_key(self) -> None:
        """A server that tells another key for ourselves is caught."""
        alice, _ = self.both()
        lie = self.server.entry(alice, pubkey=public("srv-c").text)
        self.server.say(alice, "USER_ADDED", lie)
        self.server.pump()
        self.assertEqual(
            alice.told(told.UserKeyChanged),
            [told.UserKeyChanged("alice", fingerprint("alice"), fingerprint("srv-c"))],
        )


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
        alice.session.tick(NOW + 600_000)
        self.assertEqual(alice.told(told.NotDelivered), [])
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
        """An unanswered list is reported."""
        alice, _ = self.both()
        self.server.silent = {"LIST_REQUEST"}
        alice.session.request_list(NOW)
        self.server.pump()
        self.server.tick(16)
        self.assertEqual(len(alice.told(told.ListFailed)), 1)
