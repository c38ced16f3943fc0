"""Who gets in, at which server, and what is done with keys that change?"""

import json
from pathlib import Path
from typing import Any

from socp_twisted.client import events as told
from socp_twisted.client.keystore import AccountSecrets
from socp_twisted.client.login import MAX_WAITING
from socp_twisted.client.pins import Pins
from socp_twisted.errors import Refused
from socp_twisted.wire.envelope import Envelope
from tests.client_peer import (
    ADDRESS,
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
        """A greeting recorded from another login is not believed, whoever made it."""
        for agent in ("socp_twisted", "another"):
            self.server.alter = lambda type, payload, agent=agent: payload.update(  # type: ignore[misc]
                {"answer": "x" * 43, "agent": agent} if type == "USER_HELLO_ACK" else {}
            )
            alice = self.enter("alice")
            self.assertFalse(alice.session.ready)
            [refused] = alice.told(told.FrameRefused)
            self.assertIn("another greeting", refused.reason)
            self.assertEqual(alice.frames("USER_LOGIN"), [])

    def test_no_answer(self) -> None:
        """Nor is one of which somebody has taken the answer, and its number, away."""

        def alter(type: str, payload: dict[str, Any]) -> None:
            if type == "USER_HELLO_ACK":
                del payload["answer"], payload["nonce"]

        self.server.alter = alter
        alice = self.enter("alice")
        self.assertFalse(alice.session.ready)
        [refused] = alice.told(told.FrameRefused)
        self.assertIn("another greeting", refused.reason)

    def test_fresh_number(self) -> None:
        """Each login has the server sign another number."""
        alice = self.enter("alice")
        alice.session.lost(NOW)
        alice.session.connected()
        alice.session.login(NOW)
        self.server.pump()
        one, two = (hello["payload"]["nonce"] for hello in alice.frames("USER_HELLO"))
        self.assertNotEqual(one, two)

    def test_renamed(self) -> None:
        """A server that logs us in as somebody else is not followed."""
        self.server.alter = lambda type, payload: payload.update(
            {"user_id": "mallory"} if type == "USER_LOGGED_IN" else {}
        )
        alice = self.enter("alice")
        self.assertFalse(alice.session.ready)

    def test_registered_as_another(self) -> None:
        """A server that registers somebody else is not followed either."""
        self.server.alter = lambda type, payload: payload.update(
            {"user_id": "mallory"} if type == "USER_REGISTERED" else {}
        )
        alice = self.server.attach("alice", self.folder)
        alice.session.login(NOW, register=True)
        self.server.pump()
        self.assertEqual(alice.told(told.Registered), [])
        self.assertFalse(alice.session.ready)

    def test_error_of_another_frame(self) -> None:
        """An ERROR about what is not the login's does not end it."""
        self.server.silent = {"USER_LOGIN"}
        alice = self.enter("alice")
        self.server.error(alice, {"id": "another"}, "LIMIT", "not the login")
        self.server.pump()
        self.assertEqual(alice.told(told.LoginRefused), [])
        self.server.login(alice, alice.frames("USER_LOGIN")[0])
        self.server.pump()
        self.assertTrue(alice.session.ready)


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
        alice.events.clear()
        self.server.say(alice, "ERROR", {"code": "LIMIT", "detail": "believe me"})
        self.server.say(alice, "USER_REMOVED", {"user_id": "alice"})
        alice.session.trust_server(fingerprint("srv-b"), NOW)
        self.server.pump()
        self.assertTrue(alice.session.ready)
        self.assertEqual(alice.told(told.ServerError), [])

    def test_server_hides(self) -> None:
        """A pinned server that suddenly shows no key is not believed either."""
        pins = Pins(None)
        self.enter("alice", pins=pins)
        self.server = Server(style="original")
        alice = self.enter("alice", pins=pins)
        [changed] = alice.told(told.ServerKeyChanged)
        self.assertEqual(changed.seen, "")
        self.assertFalse(alice.session.ready)

    def test_server_mute(self) -> None:
        """Nor one that answers nothing: silence is no way around its key."""
        pins = Pins(None)
        self.enter("alice", pins=pins)
        self.server = Server(style="mute")
        alice = self.enter("alice", pins=pins)
        self.server.tick(10)
        [refused] = alice.told(told.LoginRefused)
        self.assertEqual(refused.code, "TIMEOUT")
        self.assertEqual(alice.frames("USER_LOGIN"), [])
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
        changed = self.server.entry(bob, pubkey=public("srv-b").text)
        self.server.say(alice, "USER_ADDED", changed)
        self.assertFalse(alice.session.whois("bob").verified)

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


class LateTests(SessionCase):
    """What comes at the wrong time does no harm."""

    def test_before_the_greeting(self) -> None:
        """What a server says before it has shown its key is checked afterwards."""
        server = Server()
        alice = server.attach("alice", Path("unused"))
        entry = {"user_id": "bob", "pubkey": public("bob").text}
        alice.session.login(NOW)
        server.say(alice, "USER_ADDED", entry)
        genuine, server.key = server.key, private("srv-b")
        server.say(alice, "USER_ADDED", {**entry, "user_id": "mallory"})
        server.key = genuine
        self.assertEqual(alice.session.contacts.online(), ())
        server.pump()
        self.assertEqual([c.user_id for c in alice.session.contacts.online()], ["bob"])
        self.assertEqual(len(alice.told(told.FrameRefused)), 1)

    def test_before_the_key(self) -> None:
        """What comes before the server's key waits for it, and not without end."""
        self.server.silent = {"USER_HELLO"}
        alice = self.enter("alice")
        envelope = Envelope.create("USER_REMOVED", "srv-a", "*", NOW, {"user_id": "x"})
        for _ in range(MAX_WAITING + 1):
            alice.session.receive(envelope.to_frame(), NOW)
        self.server.pump()
        self.assertEqual(alice.events, [])
        self.server.hello(alice, alice.frames("USER_HELLO")[0])
        self.server.pump()
        self.assertTrue(alice.session.ready)
        self.assertEqual(len(alice.told(told.FrameRefused)), MAX_WAITING)

    def test_late_greeting(self) -> None:
        """A server that greets after we gave up waiting still proves itself."""
        server = Server(style="mute")
        alice = server.enter("alice", Path("unused"))
        server.tick(10)
        [logged_in] = alice.told(told.LoggedIn)
        self.assertEqual(logged_in.fingerprint, "")
        server.style = "ours"
        server.hello(alice, alice.frames("USER_HELLO")[0])
        server.pump()
        [logged_in] = alice.told(told.LoggedIn)
        self.assertEqual(logged_in.fingerprint, fingerprint("srv-a"))

    def test_errors(self) -> None:
        """An ERROR of any shape is shown, bounded; an unknown ACK is nothing."""
        server = Server()
        alice = server.enter("alice", Path("unused"))
        alice.events.clear()
        for payload in ({}, {"code": 5}, {"detail": "x" * 5000, "msg_ref": []}):
            server.say(alice, "ERROR", payload)
        server.say(alice, "ACK", {"msg_ref": {}})
        server.pump()
        errors = alice.told(told.ServerError)
        self.assertEqual([len(error.detail) for error in errors], [0, 0, 1024])
        self.assertEqual(alice.events, [])

    def test_update_refused(self) -> None:
        """An account that cannot be updated leaves us logged in."""
        server = Server()
        alice = server.enter("alice", Path("unused"))
        server.answers["USER_REGISTER"] = lambda user, fields: server.error(
            user, fields, "LIMIT", "too often"
        )
        alice.session.register(NOW)
        server.pump()
        self.assertEqual(len(alice.told(told.RegistrationRefused)), 1)
        self.assertTrue(alice.session.ready)
