"""For whose key does a message wait?  For the one that its sender says it is for."""

from collections import Counter
from typing import Any

from socp_twisted.client import events as told
from socp_twisted.overlay.directory import key_hash
from socp_twisted.wire.encoding import parse_object
from socp_twisted.wire.limits import Limits
from socp_twisted.wire.vocabulary import MSG_DIRECT, MSG_PUBLIC_CHANNEL
from tests.client_peer import Server, SessionCase
from tests.keyring import key_of, pub_of
from tests.payload_values import WRONG
from tests.posting import CountingStore, PostTestCase, put_disk
from tests.support import Site
from tests.talkers import Talker, TalkingCase
from tests.users import Person, UserTestCase

STRANGER = "srv-d"
"""Whose key the stranger has who uses bob's id."""


def named(name: str = "bob") -> dict[str, Any]:
    """Return the field with which a client says whose key a message is sealed for."""
    return {"recipient_key": key_of(name).public.text_hash}


class SameHashTests(PostTestCase):
    """Clients and servers count the same thing: the key's text on the wire."""

    def test_same(self) -> None:
        """What a client names is what servers know of who is online."""
        a = self.start()
        self.users(a, "bob")
        [location] = a.node.mesh.directory.user_locations.values()
        self.assertEqual(named(), {"recipient_key": location.key_hash})
        self.assertEqual(named(), {"recipient_key": key_hash(pub_of("bob"))})


class StrangerTests(PostTestCase):
    """Bob is not registered; while he is away a stranger logs in under his id."""

    def setUp(self) -> None:
        """Two nodes; alice is at one, bob was at both."""
        super().setUp()
        self.a, self.b = self.pair()
        for site in (self.a, self.b):
            self.person(site, "bob").leave()
        [self.alice] = self.users(self.a, "alice")

    def stranger(self, site: Site) -> Person:
        """Let the stranger log in as bob."""
        stranger = self.person(site)
        stranger.enter("bob", STRANGER, site.id)
        self.assertIn("PUBLIC_CHANNEL_SNAPSHOT", stranger.heard())
        return stranger

    def assert_comes(self, site: Site, *sent: int) -> None:
        """All that waits comes to bob, who is back, and alice hears of it."""
        answers = self.alice.outcomes()
        self.assertEqual({status for _, status in answers}, {"queued"})
        bob = self.person(site, "bob")
        delivered = [one for one in bob.received if one.ts in sent]
        self.assertEqual([one.ts for one in delivered], list(sent))
        for one in delivered:
            self.assertNotIn("recipient_key", one.payload)
        done = [(reference, "delivered") for reference, _ in answers]
        self.assertEqual(self.alice.outcomes()[len(answers) :], done)
        self.assertEqual(self.waits(self.a), 0)

    def test_was_there(self) -> None:
        """One login of theirs keeps nothing from bob that is written after it."""
        self.stranger(self.a).leave()
        sent = self.alice.tell("bob", id="m", **named())
        stranger = self.stranger(self.a)
        self.network.pass_time(60, 5)
        self.assertEqual(self.given(stranger), [])
        stranger.leave()
        self.assert_comes(self.a, sent)

    def test_was_elsewhere(self) -> None:
        """Nor does a login at another server, where bob comes back, too."""
        self.stranger(self.b).leave()
        sent = [self.alice.tell("bob", f"{n}", id=f"m{n}", **named()) for n in range(3)]
        stranger = self.stranger(self.b)
        self.assertEqual(self.given(stranger), [])
        stranger.leave()
        self.assert_comes(self.b, *sent)

    def test_is_there(self) -> None:
        """While they have the name alice is told ``queued``; other mail is theirs."""
        for site in (self.a, self.b):
            stranger = self.stranger(site)
            sent = self.alice.tell("bob", id="m", **named())
            theirs = self.alice.tell("bob", "you", id="n", reader=STRANGER)
            self.assertEqual(self.given(stranger), [theirs])
            self.assertEqual(
                self.alice.outcomes(), [("m", "queued"), ("n", "delivered")]
            )
            self.alice.forget()
            stranger.leave()
            bob = self.person(site, "bob")
            self.assertEqual(self.given(bob), [sent])
            self.assertEqual(self.alice.outcomes(), [("m", "delivered")])
            self.alice.forget()
            bob.leave()

    def test_to_a_member(self) -> None:
        """The same of what is said to everybody, sealed for each."""
        self.stranger(self.b).leave()
        sent = self.alice.proclaim("bob", id="m", **named())
        stranger = self.stranger(self.a)
        self.assertNotIn(MSG_PUBLIC_CHANNEL, stranger.heard())
        stranger.leave()
        self.assert_comes(self.b, sent)

    def test_after_a_restart(self) -> None:
        """It is kept with the message."""
        self.stranger(self.a).leave()
        sent = self.alice.tell("bob", id="m", **named())
        self.a = self.restart(self.a)
        stranger = self.stranger(self.a)
        self.assertEqual(self.given(stranger), [])
        stranger.leave()
        self.assertEqual(self.given(self.person(self.a, "bob")), [sent])

    def test_others_clients(self) -> None:
        """Who does not say it waits for the key seen last, as before."""
        self.stranger(self.a).leave()
        self.alice.tell("bob", id="m")
        bob = self.person(self.a, "bob")
        self.assertEqual(self.given(bob), [])
        self.assertEqual(self.alice.outcomes(), [("m", "queued")])
        bob.leave()
        self.assertEqual(len(self.given(self.stranger(self.a))), 1)


class NamedKeyTests(PostTestCase):
    """What a client names decides about its own message alone."""

    def setUp(self) -> None:
        """One node with room for two messages of each; alice writes to bob."""
        super().setUp()
        self.a = self.start(limits=Limits(held=2))
        self.alice, self.bob = self.users(self.a, "alice", "bob")

    def test_right(self) -> None:
        """In either case of the digits it is delivered at once, and once."""
        ts, payload = self.alice.message("bob")
        spelt = named()["recipient_key"].upper()
        for more in ({"recipient_key": spelt}, named(), {}):
            self.alice.say(
                MSG_DIRECT, "alice", "bob", {**payload, **more}, ts=ts, id="m"
            )
        told = self.bob.only("USER_DELIVER").payload
        self.assertEqual(told, {**payload, "sender": "alice", "ts": ts})
        self.assertEqual(self.alice.outcomes(), [("m", "delivered")] * 3)

    def test_nobodys(self) -> None:
        """Of a key that nobody has it is told in the end, and delays no other."""
        for number in range(3):
            more = {"recipient_key": f"{number:064x}"}
            self.alice.tell("bob", f"{number}", id=f"m{number}", **more)
        full = [("m0", "queued"), ("m1", "queued"), ("m2", "LIMIT")]
        self.assertEqual(self.alice.outcomes(), full)
        [carol] = self.users(self.a, "carol")
        sent = carol.tell("bob", id="n", **named())
        self.assertEqual(carol.outcomes(), [("n", "delivered")])
        self.bob.leave()
        self.alice.leave()
        self.network.pass_time(self.hold + 61, self.hold + 61)
        self.assertEqual(self.waits(self.a), 0)
        [alice] = [self.person(self.a, "alice")]
        self.assertEqual(alice.outcomes(), [("m0", "TIMEOUT"), ("m1", "TIMEOUT")])
        self.assertEqual(self.given(self.bob), [sent])

    def test_nobody_pays(self) -> None:
        """Past what waits for another key a message goes as if that were not there."""
        self.alice.tell("bob", id="m", **named(STRANGER))
        post = self.a.node.post
        assert post is not None
        store = CountingStore(post._store)
        put_disk(post, store)
        ts = self.alice.tell("bob", "more", id="n", **named())
        self.assertEqual(self.given(self.bob), [ts])
        self.assertEqual(self.alice.outcomes(), [("m", "queued"), ("n", "delivered")])
        self.assertEqual(store.asked, Counter(accept=1))
        self.network.pass_time(40, 5)  # longer, and bob's machine would be gone
        self.assertEqual(store.asked["message"], 0)

    def test_registered(self) -> None:
        """Nobody else is ever let in as who is registered here: alice is told."""
        self.account(self.a, "carol")
        self.alice.tell("carol", id="m", reader="bob", **named())
        detail = "carol is registered here with another key"
        self.assertEqual(self.alice.fault(), ("BAD_KEY", detail))
        self.assertEqual(self.waits(self.a, "carol"), 0)
        self.alice.forget()
        self.alice.tell("carol", id="n", **named(STRANGER))
        self.assertEqual(self.alice.outcomes(), [("n", "queued")])

    def test_never_seen(self) -> None:
        """To name a key makes nobody known."""
        self.alice.tell("dave", id="m", **named("srv-e"))
        self.assertEqual(
            self.alice.fault(), ("USER_NOT_FOUND", "dave was never seen here")
        )

    def test_malformed(self) -> None:
        """It is SHA-256 in hex, or the message is refused and the field named."""
        for wrong in WRONG["recipient_key"]:
            self.alice.tell("bob", id="m", recipient_key=wrong)
            code, detail = self.alice.fault()
            self.assertEqual(code, "MALFORMED")
            self.assertIn("payload.recipient_key must be 64 hex", detail)
            self.alice.forget()
        self.assertEqual(self.given(self.bob), [])


class NothingHeldTests(UserTestCase):
    """Where nothing waits, who is there with another key is a reason at once."""

    def test_told(self) -> None:
        """The sender is told why."""
        alice, bob = self.users(self.start(), "alice", "bob")
        alice.tell("bob", id="m", **named(STRANGER))
        self.assertEqual(alice.fault(), ("BAD_KEY", "bob is online with another key"))
        alice.forget()
        alice.tell("bob", id="n", **named())
        self.assertEqual(alice.outcomes(), [("n", "delivered")])
        bob.only("USER_DELIVER")


class ClientTests(TalkingCase):
    """A real client says which key it has sealed for: the one it has pinned."""

    def said(self, talker: Talker, kind: str) -> list[dict[str, Any]]:
        """Return the payloads that a client has sent of one type."""
        frames = [parse_object(frame) for frame in talker.said]
        return [frame["payload"] for frame in frames if frame["type"] == kind]

    def test_stranger(self) -> None:
        """Alice is away when a stranger comes as bob, and goes: hers is bob's."""
        a, b = self.pair()
        alice, bob = self.enter(a, "alice"), self.enter(b, "bob")
        bob.leave()
        self.talk()
        alice.lose()
        self.enter(b, "bob", key=STRANGER).leave()
        self.talk()
        alice.come_back()
        message_id = alice.session.tell("bob", "hello", self.now())
        self.talk()
        self.assertEqual(alice.outcomes(message_id), [("bob", "Queued")])
        bob = self.talker(b, "bob")
        bob.session.login(self.now())
        self.talk()
        self.assertEqual(bob.texts(), ["hello"])
        self.assertEqual(len(alice.told(told.Delivered)), 1)
        [sent] = self.said(alice, MSG_DIRECT)
        self.assertEqual(sent["recipient_key"], named()["recipient_key"])

    def test_to_a_member(self) -> None:
        """To everybody, where it is sealed for each, it is said of each."""
        a = self.start()
        members = [self.person(a, name) for name in ("bob", "carol")]
        alice = self.enter(a, "alice")
        alice.session.all("hello", self.now())
        self.talk()
        sent = self.said(alice, MSG_PUBLIC_CHANNEL)
        names = {one["recipient_key"] for one in sent}
        expected = {key_of(one.key).public.text_hash for one in members}
        self.assertEqual(names, expected)


class OthersServerTests(SessionCase):
    """A server that confirms nothing keeps nothing, and is told as before."""

    def test_original(self) -> None:
        """Only what the standard has, to such a server."""
        for style, is_said in (("original", False), ("ours", True)):
            self.server = Server(style=style)
            for user in self.both():
                self.server.arrive(user)
            alice = self.server.users[0]
            self.server.pump()
            alice.session.tell("bob", "hello", self.server.now)
            self.server.pump()
            [frame] = alice.frames(MSG_DIRECT)
            self.assertEqual("recipient_key" in frame["payload"], is_said, style)
