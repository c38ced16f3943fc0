"""Meshes that are not whole, and nodes that have to change their names: in memory."""

import hashlib
from itertools import pairwise, permutations

from tests.keyring import pub_of
from tests.named_mesh import PORTS, THREE, NamedMeshTestCase
from tests.support import Site


class LineTests(NamedMeshTestCase):
    """A and C cannot connect to each other: what they have to say goes through B."""

    def line(self, order: tuple[str, ...] = THREE, gap: float = 8.0) -> None:
        """Start three nodes, A and C with silence between them, a user at each."""
        self.network.silent.add(frozenset((PORTS["srv-a"], PORTS["srv-c"])))
        for name in order:
            self.launch(name, set(THREE) - {name})
            self.network.pass_time(gap)
        self.a, self.b, self.c = (self.sites[name] for name in THREE)
        self.alice = self.user(self.a, "alice")
        self.bob = self.user(self.b, "bob")
        self.carol = self.user(self.c, "carol", "bob")
        self.users = {"alice": "srv-a", "bob": "srv-b", "carol": "srv-c"}

    def test_presence(self) -> None:
        """Everybody is known everywhere, whoever started last."""
        for order in permutations(THREE):
            self.setUp()
            self.line(order)
            self.network.pass_time(10)
            self.assertEqual(self.a.linked(), ["srv-b"])
            self.assertEqual(self.b.linked(), ["srv-a", "srv-c"])
            self.assert_online(self.users, self.a, self.b, self.c)
            for site in (self.a, self.b, self.c):
                self.assertEqual(site.node.counted["ERROR"], 0, order)

    def test_arrival(self) -> None:
        """Who comes and goes later is told at once, over B."""
        self.line()
        self.network.pass_time(10)
        dave = self.user(self.a, "dave", "bob")
        self.assert_online({**self.users, "dave": "srv-a"}, self.a, self.b, self.c)
        dave.leave()
        self.assert_online(self.users, self.a, self.b, self.c)

    def test_message(self) -> None:
        """A message goes through B unchanged, and so does the answer to it."""
        self.line()
        self.network.pass_time(10)
        ts = self.alice.write_to("carol")
        delivered = self.carol.only("USER_DELIVER")
        self.assertEqual((delivered.sender, delivered.ts), ("srv-c", ts))
        self.assertEqual(self.alice.only("ACK").payload["status"], "delivered")
        self.assertEqual(self.bob.of("USER_DELIVER"), [])

    def test_nobody(self) -> None:
        """So does the news that the recipient has left meanwhile."""
        self.line()
        self.network.pass_time(10)
        [wire] = self.network.between(self.b.port, self.c.port)
        wire.held = True
        self.carol.leave()
        self.alice.write_to("carol")
        wire.held = False
        self.network.settle()
        self.assertEqual(self.alice.errors(), ["USER_NOT_FOUND"])

    def test_end_lost(self) -> None:
        """C loses A's users when B loses A, and is told of them when A is back."""
        self.line()
        self.network.pass_time(10)
        self.kill(self.a)
        self.network.pass_time(9)
        self.assert_online({"bob": "srv-b", "carol": "srv-c"}, self.b, self.c)
        a = self.restart(self.a)
        self.network.pass_time(15)
        self.user(a, "alice")
        self.assert_online(self.users, a, self.b, self.c)

    def test_middle_lost(self) -> None:
        """Without B they lose each other, and find each other again with it."""
        self.line()
        self.network.pass_time(10)
        self.kill(self.b)
        self.network.pass_time(8)
        self.assert_online({"alice": "srv-a"}, self.a)
        self.assert_online({"carol": "srv-c"}, self.c)
        b = self.restart(self.b)
        self.network.pass_time(20)
        self.assert_online({"alice": "srv-a", "carol": "srv-c"}, self.a, b, self.c)

    def test_becomes_whole(self) -> None:
        """Once packets pass, the missing link is made, and made once."""
        self.line()
        self.network.pass_time(120)
        self.network.silent.clear()
        self.network.pass_time(30)
        self.assert_mesh(self.a, self.b, self.c)
        self.assert_online(self.users, self.a, self.b, self.c)

    def test_long_line(self) -> None:
        """Five in a row: each user is known at the other end, and can be written to."""
        names = list(PORTS)[:5]
        neighbours = [frozenset(pair) for pair in pairwise(names)]
        for one in names:
            for other in names:
                if one < other and frozenset((one, other)) not in neighbours:
                    self.network.silent.add(frozenset((PORTS[one], PORTS[other])))
        sites = [self.launch(name, set(names) - {name}) for name in names]
        self.network.pass_time(30)
        first = self.user(sites[0], "alice")
        last = self.user(sites[4], "bob")
        self.assert_online({"alice": names[0], "bob": names[4]}, *sites)
        first.write_to("bob")
        last.only("USER_DELIVER")
        self.assertEqual(first.only("ACK").payload["status"], "delivered")


class NameTests(NamedMeshTestCase):
    """Two servers cannot have one id: the newcomer gets another, made of its key."""

    def newcomer(self, *introducers: Site, id: str = "srv-a") -> Site:
        """Start a node with the key of srv-d and an id that may be taken."""
        return self.start(id, PORTS["srv-d"], introducers, key="srv-d")

    @property
    def new_name(self) -> str:
        """What the newcomer is called then."""
        digest = hashlib.sha256(pub_of("srv-d").encode("ascii")).hexdigest()
        return f"srv-a-{digest[:8]}"

    def test_renamed(self) -> None:
        """It takes the id that it was assigned, and is known by that (R16)."""
        a, b, c = self.launch_all(THREE)
        d = self.newcomer(b)
        self.network.pass_time(10)
        self.assertEqual(d.id, self.new_name)
        self.assert_mesh(a, b, c, d)
        self.user(d, "dave", "bob")
        self.assert_online({"dave": self.new_name}, a, b, c, d)

    def test_by_its_rival(self) -> None:
        """So it does where the introducer is the very server that has the id."""
        a, b = self.launch_all(THREE[:2])
        d = self.newcomer(a)
        self.network.pass_time(10)
        self.assertEqual(d.id, self.new_name)
        self.assert_mesh(a, b, d)

    def test_two_introducers(self) -> None:
        """Two introducers assign the same id, and it is not renamed to and fro."""
        a, b, c = self.launch_all(THREE)
        d = self.newcomer(b, c, a)
        self.network.pass_time(20)
        self.assertEqual(d.id, self.new_name)
        self.assert_mesh(a, b, c, d)

    def test_users_stay(self) -> None:
        """Users who were there before keep their places, and are told at the new id."""
        a, b, c = self.launch_all(THREE)
        self.kill(b)
        d = self.newcomer(b)
        dave = self.user(d, "dave", "bob")
        self.assert_online({"dave": "srv-a"}, d)
        b = self.restart(b)
        self.network.pass_time(30)
        self.assertEqual(d.id, self.new_name)
        self.assert_mesh(a, b, c, d)
        self.assert_online({"dave": self.new_name}, a, b, c, d)
        self.assertIsNone(dave.close)
        alice = self.user(a, "alice")
        alice.write_to("dave")
        dave.only("USER_DELIVER")

    def test_restarted(self) -> None:
        """Started again with the id that is taken, it gets the same other one."""
        a, b, c = self.launch_all(THREE)
        d = self.newcomer(b)
        self.network.pass_time(10)
        self.kill(d)
        self.network.pass_time(3)
        d = self.newcomer(c)
        self.network.pass_time(10)
        self.assertEqual(d.id, self.new_name)
        self.assert_mesh(a, b, c, d)

    def test_two_meshes(self) -> None:
        """Where two meshes meet that both have the id, who has introducers yields."""
        a, b = self.launch_all(THREE[:2])
        apart = frozenset((b.port, PORTS["srv-d"]))
        self.network.silent.add(apart)
        d = self.newcomer(b)
        e = self.start("srv-e", PORTS["srv-e"], [d])
        self.user(d, "dave", "bob")
        self.user(a, "alice")
        self.network.pass_time(8)
        self.network.pass_time(60)
        self.assert_mesh(d, e)
        self.network.silent.clear()
        c = self.start("srv-c", PORTS["srv-c"], [b, e])
        self.network.pass_time(60)
        self.assertEqual((a.id, d.id), ("srv-a", self.new_name))
        sites = (a, b, c, d, e)
        self.assertEqual(len({site.id for site in sites}), 5)
        self.assert_mesh(*sites)
        self.assert_online({"alice": a.id, "dave": d.id}, *sites)
