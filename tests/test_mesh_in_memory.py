"""A mesh forms in any order, heals, and knows everybody: nodes in memory."""

from collections.abc import Iterable
from itertools import permutations, product

from tests.named_mesh import PORTS, THREE, NamedMeshTestCase


class FormingTests(NamedMeshTestCase):
    """Servers find each other, whoever starts first and whoever knows whom."""

    def form(self, order: Iterable[str], gaps: Iterable[float], hub: str = "") -> None:
        """Start nodes with waits between, and ask for a full mesh 10 s after."""
        self.setUp()
        sites = []
        for name, gap in zip(order, [*gaps, 0], strict=True):
            knows = {hub} if hub else set(THREE)
            sites.append(self.launch(name, sorted(knows - {name})))
            self.network.pass_time(gap)
        self.network.pass_time(10)
        self.assert_mesh(*sites)
        self.network.pass_time(20)
        self.assert_mesh(*sites)
        for site in sites:
            self.assertEqual(site.node.counted["ERROR"], 0, (order, gaps, hub))
        self.tearDown()

    def test_any_order(self) -> None:
        """Three nodes that know each other: six orders, 0 to 12 s apart."""
        for order in permutations(THREE):
            for gaps in product((0, 3, 12), repeat=2):
                self.form(order, gaps)

    def test_one_introducer(self) -> None:
        """Three nodes of which two know the third alone: the same."""
        for order in permutations(THREE):
            for gaps in ((0, 0), (1, 0), (12, 12)):
                self.form(order, gaps, hub="srv-b")

    def test_itself(self) -> None:
        """A node with itself on its list finds the others, and no link to itself."""
        a = self.launch("srv-a", THREE)
        b = self.launch("srv-b", THREE)
        self.network.pass_time(60)
        self.assert_mesh(a, b)

    def test_simultaneous(self) -> None:
        """Of two links dialled at once the one that the smaller id opened stays."""
        a, b, c = self.launch_all(THREE)
        for low, high in ((a, b), (a, c), (b, c)):
            [wire] = self.network.between(low.port, high.port)
            self.assertEqual(wire.ports, (low.port, high.port))

    def test_quiet(self) -> None:
        """After that nobody dials, joins or closes any more: heartbeats, no more."""
        sites = self.launch_all(THREE)
        for site in sites:
            site.node.counted.clear()
        self.network.pass_time(60)
        for site in sites:
            self.assertEqual(dict(site.node.counted), {"HEARTBEAT": 8})

    def test_late(self) -> None:
        """Who starts after the others gave up on them joins at once."""
        a, b = (self.launch(name, set(THREE) - {name}) for name in THREE[:2])
        self.network.pass_time(60)
        c = self.launch("srv-c", ["srv-a"])
        self.network.pass_time(5)
        self.assert_mesh(a, b, c)

    def test_late_and_unheard_of(self) -> None:
        """So does a node that is on nobody's list."""
        a, b = self.launch("srv-a"), self.launch("srv-b", ["srv-a"])
        self.network.pass_time(60)
        c = self.launch("srv-c", ["srv-b"])
        self.network.pass_time(5)
        self.assert_mesh(a, b, c)

    def test_late_and_alone(self) -> None:
        """A node with an empty list is found by those that know it."""
        a = self.launch("srv-a", ["srv-c"])
        self.network.pass_time(43)
        c = self.launch("srv-c")
        self.network.pass_time(5)
        self.assert_mesh(a, c)


class HealingTests(NamedMeshTestCase):
    """Whatever breaks, the full mesh is back, with everybody in it."""

    def setUp(self) -> None:
        """Three nodes, a user at each."""
        super().setUp()
        self.a, self.b, self.c = self.launch_all(THREE)
        self.user(self.a, "alice")
        self.user(self.b, "bob")
        self.users = {"alice": "srv-a", "bob": "srv-b"}
        self.assert_online(self.users, self.a, self.b, self.c)

    def test_restart_each(self) -> None:
        """Each node killed and started again is linked again; its users are gone."""
        for name in THREE:
            self.kill(self.sites[name])
            self.network.pass_time(20)
            self.users = {u: s for u, s in self.users.items() if s != name}
            left = [site for one, site in self.sites.items() if one != name]
            self.assert_mesh(*left)
            self.assert_online(self.users, *left)
            self.restart(self.sites[name])
            self.network.pass_time(8)
            self.assert_mesh(*self.sites.values())
            self.assert_online(self.users, *self.sites.values())

    def test_restart_two(self) -> None:
        """Two at once: the third waits for them, and tells them its user."""
        self.kill(self.b)
        self.kill(self.c)
        self.network.pass_time(12)
        self.assertEqual(self.a.linked(), [])
        self.assert_online({"alice": "srv-a"}, self.a)
        b, c = self.restart(self.b), self.restart(self.c)
        self.network.pass_time(10)
        self.assert_mesh(self.a, b, c)
        self.assert_online({"alice": "srv-a"}, self.a, b, c)

    def test_restart_at_once(self) -> None:
        """A node back before anybody lost patience has no users it did not tell of."""
        self.kill(self.b)
        self.network.pass_time(1)
        b = self.restart(self.b)
        self.network.pass_time(10)
        self.assert_mesh(self.a, b, self.c)
        self.assert_online({"alice": "srv-a"}, self.a, b, self.c)

    def test_restart_much_later(self) -> None:
        """After everybody has given up, too."""
        self.kill(self.c)
        self.network.pass_time(90)
        c = self.restart(self.c)
        self.network.pass_time(5)
        self.assert_mesh(self.a, self.b, c)
        self.assert_online(self.users, self.a, self.b, c)

    def test_cut_each(self) -> None:
        """A cut wire is replaced; nobody's users flicker."""
        for one, other in ((self.a, self.b), (self.a, self.c), (self.b, self.c)):
            carol = self.user(self.a, "carol", "bob")
            [wire] = self.network.between(one.port, other.port)
            wire.cut()
            self.network.pass_time(6)
            self.assert_mesh(self.a, self.b, self.c)
            self.assertEqual(carol.of("USER_REMOVED"), [])
            carol.leave()
            self.network.pass_time(1)
        self.assert_online(self.users, self.a, self.b, self.c)

    def test_cut_all(self) -> None:
        """All wires at once: the same."""
        for wire in list(self.network.wires):
            if 0 not in wire.ports:
                wire.cut()
        self.network.pass_time(8)
        self.assert_mesh(self.a, self.b, self.c)
        self.assert_online(self.users, self.a, self.b, self.c)

    def test_frozen(self) -> None:
        """A hung node is let go after 45 s, and taken back when it goes on."""
        self.freeze(self.b)
        self.network.pass_time(44)
        self.assertEqual(self.a.linked(), ["srv-b", "srv-c"])
        self.network.pass_time(12)
        self.assert_mesh(self.a, self.c)
        self.assert_online({"alice": "srv-a"}, self.a, self.c)
        self.network.pass_time(30)
        self.thaw(self.b)
        self.network.pass_time(60)
        self.assert_mesh(self.a, self.b, self.c)
        self.assert_online(self.users, self.a, self.b, self.c)

    def test_half_open(self) -> None:
        """A wire that swallows everything is dropped after 45 s, and replaced."""
        [wire] = self.network.between(self.a.port, self.b.port)
        wire.held = True
        self.network.pass_time(44)
        self.assert_online(self.users, self.a, self.b, self.c)
        self.network.pass_time(16)
        self.assert_mesh(self.a, self.b, self.c)
        self.assert_online(self.users, self.a, self.b, self.c)

    def test_missed_while_half_open(self) -> None:
        """Who came and went meanwhile is told; nobody stays as a ghost."""
        dave, erin = self.user(self.a, "dave", "bob"), None
        [wire] = self.network.between(self.a.port, self.b.port)
        wire.held = True
        dave.leave()
        erin = self.user(self.a, "erin", "bob")
        self.network.pass_time(70)
        self.assertIsNone(erin.close)
        self.assert_mesh(self.a, self.b, self.c)
        users = {**self.users, "erin": "srv-a"}
        self.assert_online(users, self.a, self.b, self.c)

    def test_silence_between_two(self) -> None:
        """Two that cannot connect for minutes do once packets pass again."""
        self.network.silent.add(frozenset((self.a.port, self.b.port)))
        [wire] = self.network.between(self.a.port, self.b.port)
        wire.cut()
        self.network.pass_time(150)
        self.assertEqual(self.a.linked(), ["srv-c"])
        self.assert_online(self.users, self.a, self.b, self.c)
        self.network.silent.clear()
        self.network.pass_time(30)
        self.assert_mesh(self.a, self.b, self.c)
        self.assert_online(self.users, self.a, self.b, self.c)

    def test_goodbye(self) -> None:
        """A node that is stopped takes its users along at once, and hangs nowhere."""
        erin = self.user(self.a, "erin", "bob")
        self.stop(self.b)
        self.assert_online({"alice": "srv-a", "erin": "srv-a"}, self.a, self.c)
        [gone] = erin.of("USER_REMOVED")
        self.assertEqual(gone.payload, {"user_id": "bob"})
        self.assertEqual(self.network.of(self.b.port), [])


class PresenceTests(NamedMeshTestCase):
    """Users are known everywhere, at one server each, and no longer than they are."""

    def setUp(self) -> None:
        """Three nodes, nobody there."""
        super().setUp()
        self.a, self.b, self.c = self.launch_all(THREE)

    def test_patience(self) -> None:
        """The users of a dead server are listed for five seconds, not for ever."""
        self.user(self.a, "alice")
        bob = self.user(self.b, "bob")
        self.kill(self.a)
        self.network.pass_time(4)
        self.assertEqual(bob.of("USER_REMOVED"), [])
        self.network.pass_time(3)  # one tick to notice, one tick to act
        [gone] = bob.of("USER_REMOVED")
        self.assertEqual(gone.payload, {"user_id": "alice"})
        self.assert_online({"bob": "srv-b"}, self.b, self.c)

    def test_back_again(self) -> None:
        """Back with their server, they are told again."""
        bob = self.user(self.b, "bob")
        self.user(self.a, "alice")
        self.kill(self.a)
        self.network.pass_time(20)
        a = self.restart(self.a)
        self.network.pass_time(6)
        self.user(a, "alice")
        self.assert_online({"alice": "srv-a", "bob": "srv-b"}, a, self.b, self.c)
        told = [one.payload["user_id"] for one in bob.of("USER_ADDED")]
        self.assertEqual(told, ["bob", "alice", "alice"])

    def test_one_server_each(self) -> None:
        """An id that is online elsewhere cannot be taken, with whatever key."""
        self.user(self.a, "alice")
        second = self.user(self.b, "alice")
        thief = self.user(self.c, "alice", "bob")
        self.assertEqual(second.errors(), ["NAME_IN_USE"])
        self.assertEqual(thief.errors(), ["NAME_IN_USE"])
        self.assert_online({"alice": "srv-a"}, self.a, self.b, self.c)

    def test_moves(self) -> None:
        """A user who leaves one server and comes to another is there for everybody."""
        alice = self.user(self.a, "alice")
        alice.leave()
        self.user(self.b, "alice")
        self.assert_online({"alice": "srv-b"}, self.a, self.b, self.c)

    def test_moves_faster_than_word(self) -> None:
        """Also where the new server is heard before the old one."""
        alice = self.user(self.a, "alice")
        [wire] = self.network.between(self.a.port, self.c.port)
        wire.held = True
        alice.leave()
        self.user(self.b, "alice")
        self.assert_online({"alice": "srv-b"}, self.a, self.b)
        wire.held = False
        self.network.pass_time(5)
        self.assert_online({"alice": "srv-b"}, self.a, self.b, self.c)

    def test_devices(self) -> None:
        """A user with two connections leaves with the last of them."""
        first = self.user(self.a, "alice")
        self.user(self.a, "alice").leave()
        self.assert_online({"alice": "srv-a"}, self.a, self.b, self.c)
        first.leave()
        self.assert_online({}, self.a, self.b, self.c)


class MessageTests(NamedMeshTestCase):
    """A message reaches its recipient wherever they are, and its sender hears of it."""

    def setUp(self) -> None:
        """Three nodes, a user at two of them."""
        super().setUp()
        self.a, self.b, self.c = self.launch_all(THREE)
        self.alice, self.bob = self.user(self.a, "alice"), self.user(self.b, "bob")

    def test_across(self) -> None:
        """It is delivered as it was sent, and acknowledged."""
        ts = self.alice.write_to("bob")
        delivered = self.bob.only("USER_DELIVER")
        self.assertEqual(delivered.ts, ts)
        self.assertEqual(delivered.payload["ts"], ts)
        self.assertEqual(delivered.payload["sender"], "alice")
        self.assertEqual(
            self.alice.only("ACK").payload, {"msg_ref": "ref", "status": "delivered"}
        )

    def test_nobody(self) -> None:
        """To nobody: USER_NOT_FOUND, and the connection stays (R5)."""
        self.alice.write_to("carol")
        self.assertEqual(self.alice.errors(), ["USER_NOT_FOUND"])
        self.assertIsNone(self.alice.close)

    def test_behind_a_dead_link(self) -> None:
        """To a user whose server hangs: TIMEOUT after ten seconds (R5)."""
        self.freeze(self.b)
        self.alice.write_to("bob")
        self.network.pass_time(9)
        self.assertEqual(self.alice.errors(), [])
        self.network.pass_time(3)
        self.assertEqual(self.alice.errors(), ["TIMEOUT"])
        self.assertIsNone(self.alice.close)


class TenTests(NamedMeshTestCase):
    """Ten nodes make one mesh, and do not drown in their own gossip."""

    def setUp(self) -> None:
        """Ten nodes that know the first three, started together; a user at each."""
        super().setUp()
        self.all = [self.launch(name, set(THREE) - {name}) for name in PORTS]
        self.network.pass_time(15)
        self.users = {f"user-{site.id[-1]}": site.id for site in self.all}
        for user_id, server_id in self.users.items():
            self.user(self.sites[server_id], user_id, "alice")

    def count(self, kind: str) -> int:
        """Return how many frames of a type all nodes have received so far."""
        return sum(site.node.counted[kind] for site in self.all)

    def test_full(self) -> None:
        """45 links, each pair once, and everybody known everywhere."""
        self.assert_mesh(*self.all)
        between = [wire for wire in self.network.wires if 0 not in wire.ports]
        self.assertEqual(len(between), 45)
        self.assert_online(self.users, *self.all)

    def test_arrival(self) -> None:
        """One arrival is told nine times: once to each other server."""
        before = self.count("USER_ADVERTISE")
        self.user(self.all[4], "late", "bob")
        self.network.pass_time(10)
        self.assertEqual(self.count("USER_ADVERTISE") - before, 9)
        self.assert_online({**self.users, "late": self.all[4].id}, *self.all)

    def test_departure(self) -> None:
        """And so is one departure."""
        late = self.user(self.all[4], "late", "bob")
        before = self.count("USER_REMOVE")
        late.leave()
        self.network.pass_time(10)
        self.assertEqual(self.count("USER_REMOVE") - before, 9)
        self.assert_online(self.users, *self.all)
