"""Does what is said to everybody reach everybody, and who counts as everybody?"""

from socp_twisted.wire.envelope import Envelope
from socp_twisted.wire.vocabulary import MSG_PUBLIC_CHANNEL
from tests.keyring import signature
from tests.raw_ends import OURS, PeerEnd
from tests.support import Site
from tests.users import UserTestCase

ADD, UPDATED = "PUBLIC_CHANNEL_ADD", "PUBLIC_CHANNEL_UPDATED"
SNAPSHOT, KEY_SHARE = "PUBLIC_CHANNEL_SNAPSHOT", "PUBLIC_CHANNEL_KEY_SHARE"


class MessageTests(UserTestCase):
    """A message to everybody is one frame for each member, each answered for."""

    def test_each_member(self) -> None:
        """Local and remote members get theirs, and nobody gets another's."""
        a, b = self.pair()
        alice, bob = self.users(a, "alice", "bob")
        carol, dave = self.users(b, "carol", "dave")
        alice.forget()
        people = {"bob": bob, "carol": carol, "dave": dave}
        sent = {name: alice.proclaim(name, id=name) for name in people}
        for name, person in people.items():
            told = person.only(MSG_PUBLIC_CHANNEL)
            self.assertEqual((told.to, told.ts), (name, sent[name]))
            known = {"ciphertext", "sender", "sender_pub", "content_sig", "ts"}
            self.assertEqual(set(told.payload), known)
            self.assertEqual(told.payload["sender"], "alice")
        self.assertEqual(alice.outcomes(), [(name, "delivered") for name in people])

    def test_to_the_channel(self) -> None:
        """One frame for everybody at once is not sealed for anybody: refused."""
        alice, bob = self.users(self.start(), "alice", "bob")
        for to in ("public", "*", ""):
            alice.forget()
            ts, payload = alice.message("bob", public=True)
            alice.say(MSG_PUBLIC_CHANNEL, "alice", to, payload, ts=ts, id="m")
            self.assertEqual(alice.outcomes(), [("m", "MALFORMED")], to)
        self.assertEqual(bob.received, [])

    def test_login_first(self) -> None:
        """S2: nothing is said to everybody without a login."""
        a = self.start()
        [bob] = self.users(a, "bob")
        stranger = self.person(a)
        stranger.user_id, stranger.key = "alice", "alice"
        stranger.proclaim("bob", id="m")
        self.assertEqual(stranger.outcomes(), [("m", "NOT_ALLOWED")])
        self.assertEqual(bob.received, [])


class SnapshotTests(UserTestCase):
    """Who logs in is told who is in the channel, and each server who has come."""

    def test_snapshot(self) -> None:
        """The version, and everybody who is online anywhere, sorted."""
        a, b = self.pair()
        self.person(b, "carol")
        self.person(a, "bob")
        told = self.person(a, "alice").only(SNAPSHOT)
        self.assertEqual(told.payload["members"], ["alice", "bob", "carol"])
        self.assertEqual(told.to, "alice")
        self.assertIs(type(told.payload["version"]), int)

    def linked(self, site: Site) -> PeerEnd:
        """Return a server that is linked to a node."""
        server = self.peer(site)
        server.link("srv-c", "srv-c", caps=OURS)
        return server

    def test_arrival(self) -> None:
        """A newcomer is added under the next version; no key is wrapped for them."""
        a = self.start()
        server = self.linked(a)
        before = a.node.mesh.channel.version
        self.person(a, "alice")
        added, updated = server.only(ADD).payload, server.only(UPDATED).payload
        self.assertEqual((added["add"], added["if_version"]), (["alice"], before))
        self.assertEqual((updated["version"], updated["wraps"]), (before + 1, []))
        kinds = [one.type for one in server.received]
        self.assertLess(kinds.index("USER_ADVERTISE"), kinds.index(ADD))

    def test_another_device(self) -> None:
        """A second device, or coming back, adds nobody."""
        a = self.start()
        server = self.linked(a)
        one = self.person(a, "alice")
        self.person(a, "alice").leave()
        one.leave()
        self.person(a, "alice")
        self.assertEqual(len(server.of(ADD)), 1)

    def test_remote(self) -> None:
        """Both servers count the same members and the same version."""
        a, b = self.pair()
        self.person(a, "alice")
        self.person(b, "bob")
        one, two = a.node.mesh.channel, b.node.mesh.channel
        self.assertEqual(one.members, {"alice", "bob"})
        self.assertEqual((one.members, one.version), (two.members, two.version))

    def test_users_cannot_count(self) -> None:
        """What a user says of the channel changes nothing and goes nowhere."""
        a = self.start()
        server = self.linked(a)
        alice = self.person(a, "alice")
        server.received.clear()
        version = a.node.mesh.channel.version
        poison = {"add": ["eve"], "if_version": 10**12, "version": 10**12}
        for kind in (ADD, UPDATED, KEY_SHARE, SNAPSHOT):
            alice.say(kind, "alice", "*", {**poison, "shares": [], "wraps": []})
        self.assertEqual(a.node.mesh.channel.version, version)
        self.assertEqual(a.node.mesh.channel.members, {"alice"})
        self.assertEqual(server.received, [])


class PoisonTests(UserTestCase):
    """S11: another server speaks for its own users, and cannot exhaust the version."""

    def setUp(self) -> None:
        """Alice, registered, on a node that a server of others is linked to."""
        super().setUp()
        self.a = self.start()
        self.account(self.a, "alice")
        self.person(self.a, "alice")
        self.server = self.peer(self.a)
        self.server.link("srv-c", "srv-c", caps=OURS)
        self.server.advertise("carol")
        self.channel = self.a.node.mesh.channel

    def kept(self) -> tuple[int, list[str]]:
        """Return version and members that are on the disk."""
        channel = self.done(self.stores["srv-a"].channel())
        return channel.version, [one.member_id for one in channel.members]

    def test_honest(self) -> None:
        """Its own user is added, and its version followed."""
        add = {"add": ["carol"], "if_version": self.channel.version + 3}
        version = self.channel.version + 4
        self.server.tell(ADD, add)
        self.assertEqual(self.channel.members, {"alice", "carol"})
        self.assertEqual(self.channel.version, version)

    def test_s11_invented(self) -> None:
        """Members who are not its users, ours or nobody's: refused, all of it."""
        before, version = self.kept(), self.channel.version
        for names in (["eve"], ["carol", "eve"], ["alice"], ["x" * 64] * 3):
            self.server.received.clear()
            self.server.tell(ADD, {"add": names, "if_version": version})
            self.assertEqual(self.server.errors(), ["NOT_ALLOWED"], names)
        self.assertEqual(
            (self.channel.members, self.channel.version), ({"alice"}, version)
        )
        self.assertEqual(self.kept(), before)
        self.assertIsNone(self.server.close)

    def test_s11_version(self) -> None:
        """A version of 10^15, or one that leaps, is not followed, nor kept."""
        before, version = self.kept(), self.channel.version
        for leap in (10**15, version + 10_001, 2**53):
            self.server.tell(ADD, {"add": ["carol"], "if_version": leap})
            self.server.tell(UPDATED, {"version": leap, "wraps": []})
        self.assertLessEqual(self.channel.version, version + 1)
        self.assertEqual(self.kept(), before)

    def test_s11_malformed(self) -> None:
        """Ten to the eighteenth is beyond what a frame may hold; -1 is no version."""
        for version in (10**18, -1, "1", True, None):
            self.server.received.clear()
            frame = self.frame(version)
            self.server.send(frame)
            self.assertEqual(self.server.errors(), ["MALFORMED"], version)
        self.assertIsNone(self.server.close)
        self.assertEqual(self.channel.members, {"alice"})

    def frame(self, version: object) -> bytes:
        """Return a signed PUBLIC_CHANNEL_ADD, whatever the version is."""
        told = {"add": ["carol"], "if_version": version}
        envelope = Envelope.create(ADD, "srv-c", "*", self.server.now(), told)
        return envelope.to_frame(signature("srv-c", envelope.signed))

    def test_s11_wraps(self) -> None:
        """Wrapped keys for invented members are nobody's, and not kept."""
        before = self.kept()
        wraps = [{"member_id": f"m{n}", "wrapped_key": "AAAA"} for n in range(50)]
        version = self.channel.version
        self.server.tell(UPDATED, {"version": version + 1, "wraps": wraps})
        self.server.tell(KEY_SHARE, {"shares": wraps, "creator_pub": "x"})
        self.assertEqual(self.kept(), before)
        self.assertEqual(self.channel.members, {"alice"})

    def test_bounded(self) -> None:
        """Users whom a server invents, one after the other, fill no memory for ever."""
        for start in range(0, 250_000, 1_000):
            self.channel.add(f"m{number}" for number in range(start, start + 1_000))
        self.assertLessEqual(len(self.channel.members), 201_000)


class RestartTests(UserTestCase):
    """The channel outlives the process."""

    def test_persisted(self) -> None:
        """Registered members stay, the version only grows, and nobody is added anew."""
        a = self.start()
        for user_id in ("alice", "bob"):
            self.account(a, user_id)
            self.person(a, user_id)
        version = a.node.mesh.channel.version
        a = self.restart(a)
        channel = a.node.mesh.channel
        self.assertEqual(channel.members, {"alice", "bob"})
        self.assertGreaterEqual(channel.version, version)
        server = self.peer(a)
        server.link("srv-c", "srv-c", caps=OURS)
        self.person(a, "alice")
        self.assertEqual(server.of(ADD), [])

    def test_version_of_others(self) -> None:
        """A version that other servers have driven up does not fall at a restart."""
        a = self.start()
        server = self.peer(a)
        server.link("srv-c", "srv-c", caps=OURS)
        server.advertise("carol")
        server.tell(ADD, {"add": ["carol"], "if_version": 500})
        self.account(a, "alice")
        self.person(a, "alice")
        version = a.node.mesh.channel.version
        self.assertGreater(version, 500)
        a = self.restart(a)
        self.assertEqual(a.node.mesh.channel.version, version)
