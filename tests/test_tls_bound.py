"""Which frames need no signature over TLS, and what does a message cost then?"""

from socp_twisted.net.tls import tls_exporter
from socp_twisted.wire.vocabulary import (
    HEARTBEAT,
    SERVER_DELIVER,
    TO_ONE,
    USER_ADVERTISE,
    USER_HELLO_ACK,
)
from tests.support import Site
from tests.tls_bound import OLD_CLIENT, SERVER, BoundTestCase, signed, unsigned
from tests.users import Person


class UserTests(BoundTestCase):
    """Whose client sees the server's own TLS connection is sent no signatures."""

    def everything(self, alice: Person, bob: Person) -> None:
        """Let a user be sent whatever there is."""
        alice.tell("bob", id="m")
        alice.tell("dave", id="n")
        alice.ask_list()
        bob.tell("alice")
        bob.start_file("alice")
        bob.leave()
        kinds = {"ACK", "ERROR", "LIST_RESPONSE", "USER_ADDED", "USER_REMOVED"}
        kinds |= {"USER_DELIVER", "FILE_START_DELIVER", "USER_LOGGED_IN"}
        self.assertLessEqual(kinds, set(alice.heard()))

    def test_unsigned(self) -> None:
        """The one signature binds the connection; nothing after it has one."""
        a = self.start()
        alice = self.bound(a, "alice")
        self.everything(alice, self.bound(a, "bob"))
        self.assertEqual(signed(alice.received), {USER_HELLO_ACK})
        answer = alice.only(USER_HELLO_ACK).payload
        self.assertEqual(answer["tls_exporter"], tls_exporter(alice.end.transport))

    def assert_signed(self, alice: Person) -> None:
        """Let a user be sent whatever there is, and expect every signature."""
        self.assertNotIn("tls_exporter", alice.only(USER_HELLO_ACK).payload)
        self.everything(alice, self.person(self.sites["srv-a"], "bob"))
        self.assertEqual(unsigned(alice.received), set())

    def test_other_client(self) -> None:
        """A client that says nothing of it gets every signature."""
        self.assert_signed(self.person(self.start(), "alice"))

    def test_sign_always(self) -> None:
        """And so does everybody, with --sign-always."""
        self.assert_signed(self.bound(self.start(sign_always=True), "alice"))

    def test_in_clear(self) -> None:
        """Without TLS nobody can say which connection it is."""
        self.network.tls = None
        a = self.start()
        self.assert_signed(self.bound(a, "alice", tls_exporter="anything"))

    def test_old_tls(self) -> None:
        """TLS 1.2 does not do: there a binding may be had for another connection."""
        self.network.tls = (SERVER, OLD_CLIENT)
        a = self.start()
        alice = self.person(a)
        self.assertTrue(self.party(a, alice.wire).secure)
        self.assertEqual(self.party(a, alice.wire).tls_exporter, "")
        self.assertEqual(tls_exporter(alice.end.transport), "")
        alice.leave()
        self.assert_signed(self.bound(a, "alice"))

    def test_proxy(self) -> None:
        """Who ends the user's TLS, and dials by TLS, changes nothing: all is signed."""
        a = self.start()
        stranger = self.person(a)
        theirs = tls_exporter(stranger.end.transport)
        self.assert_signed(self.bound(a, "alice", tls_exporter=theirs))

    def test_reconnected(self) -> None:
        """A new connection of a bound user is not bound by the old one."""
        a = self.start()
        first = self.bound(a, "alice")
        old = tls_exporter(first.end.transport)
        first.leave()
        self.assert_signed(self.bound(a, "alice", tls_exporter=old))

    def test_greeted_again(self) -> None:
        """A connection that says less in a second USER_HELLO is signed for again."""
        a = self.start()
        alice, bob = self.bound(a, "alice"), self.person(a, "bob")
        alice.forget()
        alice.greet("alice")
        bob.tell("alice")
        self.assertEqual(unsigned(alice.received), set())

    def test_devices(self) -> None:
        """One message, two devices: a signature for the one that needs it."""
        a = self.start()
        plain, bob = self.person(a, "alice"), self.person(a, "bob")
        bound = self.bound(a, "alice")
        before = a.signer.made
        ts = bob.tell("alice")
        self.assertEqual(a.signer.made - before, 1)
        with_sig = plain.only("USER_DELIVER")
        without = bound.only("USER_DELIVER")
        self.assertTrue(with_sig.sig)
        self.assertFalse(without.sig)
        self.assertEqual((with_sig.ts, with_sig.signed), (ts, without.signed))
        self.assertEqual(with_sig.id, without.id)


class ServerTests(BoundTestCase):
    """Between two nodes what ends at the other one is not signed; the rest is."""

    def test_everything(self) -> None:
        """Content and its answers are not; what travels on is."""
        a = self.start("srv-a", 8765)
        at_a = self.overhear(a)
        b = self.start("srv-b", 8766, [a])
        at_b = self.overhear(b)
        self.network.pass_time(2)
        self.assert_mesh(a, b)
        alice, bob = self.bound(a, "alice"), self.bound(b, "bob")
        ts = alice.tell("bob", id="m")
        alice.start_file("bob")
        alice.chunk("bob")
        alice.end_file("bob")
        bob.answer_file("alice")
        alice.proclaim("bob")
        self.assertEqual(self.given(bob), [ts])
        self.assertIn(("m", "delivered"), alice.outcomes())
        bob.leave()
        self.network.pass_time(20)
        between = [one for one in [*at_a, *at_b] if one.sender in ("srv-a", "srv-b")]
        self.assertEqual(signed(between) & TO_ONE, set())
        self.assertEqual(unsigned(between), TO_ONE - {"ERROR"})
        travels = {HEARTBEAT, USER_ADVERTISE, "USER_REMOVE"}
        self.assertLessEqual(travels, signed(between))

    def test_error(self) -> None:
        """What a server could not do, too."""
        a, b = self.pair()
        alice = self.bound(a, "alice")
        at_a = self.overhear(a)
        bob = self.bound(b, "bob")
        for wire in self.network.between(a.port, b.port):
            wire.held = True
        bob.leave()
        alice.tell("bob", id="m")
        for wire in self.network.between(a.port, b.port):
            wire.held = False
        self.network.settle()
        [error] = [one for one in at_a if one.type == "ERROR"]
        self.assertEqual(error.sig, "")
        self.network.pass_time(12)
        self.assertEqual(alice.outcomes(), [("m", "queued")])

    def assert_signed(self, one: Site, other: Site) -> None:
        """Expect a message between two nodes to be signed, both ways."""
        self.network.pass_time(2)
        self.assert_mesh(one, other)
        heard = self.overhear(one), self.overhear(other)
        alice, bob = self.person(one, "alice"), self.person(other, "bob")
        alice.tell("bob", id="m")
        self.assertEqual(alice.outcomes(), [("m", "delivered")])
        self.assertEqual(len(self.given(bob)), 1)
        between = [
            frame
            for frame in (*heard[0], *heard[1])
            if frame.sender in (one.id, other.id)
        ]
        self.assertIn(SERVER_DELIVER, signed(between))
        self.assertEqual(unsigned(between), set())

    def test_one_signs_always(self) -> None:
        """One of the two with --sign-always is enough."""
        a = self.start("srv-a", 8765, sign_always=True)
        b = self.start("srv-b", 8766, [a])
        self.assert_signed(a, b)

    def test_other_signs_always(self) -> None:
        """Whichever of them it is."""
        a = self.start("srv-a", 8765)
        b = self.start("srv-b", 8766, [a], sign_always=True)
        self.assert_signed(a, b)

    def test_in_clear(self) -> None:
        """Without TLS nothing changes."""
        self.network.tls = None
        self.assert_signed(*self.pair())

    def test_two_hops(self) -> None:
        """Content for a third server's user stays signed, and so does its answer."""
        self.network.silent.add(frozenset((8765, 8767)))
        a = self.start("srv-a", 8765)
        b = self.start("srv-b", 8766, [a])
        c = self.start("srv-c", 8767, [b])
        self.network.pass_time(20)
        at_b, at_c = self.overhear(b), self.overhear(c)
        alice, carol = self.bound(a, "alice"), self.bound(c, "carol")
        ts = alice.tell("carol", id="m")
        self.assertEqual(self.given(carol), [ts])
        self.assertEqual(alice.outcomes(), [("m", "delivered")])
        for heard in (at_b, at_c):
            between = [one for one in heard if one.sender != "carol"]
            self.assertIn(SERVER_DELIVER, signed(between))
            self.assertEqual(unsigned(between), set())
        self.assertIn("ACK", signed(at_b))

    def test_moved(self) -> None:
        """A message for whom has just moved is not lost: its own server sends again."""
        a, b = self.pair()
        c = self.start("srv-c", 8767, [a, b])
        self.network.pass_time(5)
        alice, bob = self.bound(a, "alice"), self.bound(b, "bob")
        self.link_held(a, b)
        self.link_held(a, c)
        bob.leave()
        bob = self.bound(c, "bob")
        at_b, at_c = self.overhear(b), self.overhear(c)
        ts = alice.tell("bob", id="m")
        self.link_held(a, b, False)
        self.network.settle()
        self.assertEqual([one.sig for one in at_b if one.type == SERVER_DELIVER], [""])
        self.assertNotIn(SERVER_DELIVER, [one.type for one in at_c])
        self.assertEqual(self.given(bob), [])
        self.link_held(a, c, False)
        self.network.pass_time(12)
        self.assertEqual(self.given(bob), [ts])
        self.assertEqual(alice.outcomes()[-1], ("m", "delivered"))


class CountTests(BoundTestCase):
    """What a message costs in signatures: a count, so nothing can blur it."""

    def cost(self, *sites: Site, ack: str = "") -> int:
        """Return how many signatures one more message from alice to bob takes."""
        here, there = sites[0], sites[-1]
        enter = self.bound if self.network.tls else self.person
        alice, bob = enter(here, "alice"), enter(there, "bob")
        alice.tell("bob", "one")
        before = sum(site.signer.made for site in sites)
        ts = alice.tell("bob", "two", id=ack)
        self.assertEqual(self.given(bob)[1:], [ts])
        return sum(site.signer.made for site in sites) - before

    def test_here_bound(self) -> None:
        """On one node: none, asked for an ACK or not."""
        self.assertEqual(self.cost(self.start(), ack="m"), 0)

    def test_here(self) -> None:
        """Without TLS one, for the recipient's frame."""
        self.network.tls = None
        self.assertEqual(self.cost(self.start()), 1)

    def test_across_bound(self) -> None:
        """Across two nodes: none."""
        self.assertEqual(self.cost(*self.pair(), ack="m"), 0)

    def test_across(self) -> None:
        """Without TLS one each, and one for the answer of the second to the first."""
        self.network.tls = None
        self.assertEqual(self.cost(*self.pair()), 3)

    def test_login(self) -> None:
        """A login: one, however many are online, who are told of it without any."""
        a = self.start()
        for user_id in ("bob", "carol"):
            self.bound(a, user_id)
        before = a.signer.made
        self.bound(a, "alice")
        self.assertEqual(a.signer.made - before, 1)
