"""What do the rules share, and what does a node say of itself?"""

from twisted.trial.unittest import SynchronousTestCase

from socp_twisted.errors import ErrorCode, Refused
from socp_twisted.overlay.directory import Location
from socp_twisted.overlay.effects import LinkId, SendAll
from socp_twisted.overlay.mesh import Mesh
from socp_twisted.wire.limits import Limits
from socp_twisted.wire.payloads import ServerHello
from tests.overlay_values import NOW_MS, add_server, add_user, key, make_mesh


class SayingTests(SynchronousTestCase):
    """A node says the same of itself everywhere."""

    def test_hello(self) -> None:
        """A greeting reads back as what it was written from."""
        mesh = make_mesh()
        told = ServerHello.read(mesh.hello(nonce="n", answer="a", peer="srv-b"))
        self.assertEqual(
            (told.host, told.port, told.pubkey), ("127.0.0.1", 8765, key("srv-a"))
        )
        self.assertEqual((told.nonce, told.answer, told.peer), ("n", "a", "srv-b"))
        self.assertEqual((told.server_id, told.instance), ("srv-a", "run of srv-a"))

    def test_announcement(self) -> None:
        """Within a minute it is the same frame, so that copies are dropped."""
        mesh = make_mesh()
        first = mesh.announcement(LinkId(1))
        mesh.now_ms += 59_000
        again = mesh.announcement(LinkId(1))
        mesh.now_ms += 2_000
        later = mesh.announcement(LinkId(1))
        self.assertEqual(first, again)
        self.assertNotEqual(first.ts, later.ts)

    def test_rename(self) -> None:
        """Our users move to the new id with us, and nobody else does."""
        mesh = make_mesh()
        add_user(mesh, "alice")
        mesh.directory.locate("bob", Location.of("srv-b", key("bob")))
        mesh.rename("srv-new")
        places = {one: at.server_id for one, at in mesh.directory.online()}
        self.assertEqual(places, {"alice": "srv-new", "bob": "srv-b"})
        self.assertEqual(mesh.server_id, "srv-new")


class RoomTests(SynchronousTestCase):
    """Tables are bounded; who is there is never thrown out for who is not."""

    def test_oldest_gone(self) -> None:
        """The server that is gone for longest makes room."""
        mesh = make_mesh(limits=Limits(servers=3))
        for n, name in enumerate(("srv-b", "srv-c", "srv-d")):
            add_server(mesh, name, linked=name == "srv-b")
            mesh.directory.servers[name].heard = 10.0 - n
        mesh.make_room()
        self.assertEqual(list(mesh.directory.servers), ["srv-b", "srv-c"])

    def test_with_users(self) -> None:
        """One whose users are still listed does not."""
        mesh = make_mesh(limits=Limits(servers=1))
        add_server(mesh, "srv-b", linked=False)
        mesh.directory.locate("bob", Location.of("srv-b", key("bob")))
        fault = self.assertRaises(Refused, mesh.make_room)
        self.assertEqual(fault.code, ErrorCode.LIMIT)
        self.assertEqual(str(fault), "max-servers: 1 are known")

    def test_users(self) -> None:
        """One user too many is refused by name of the limit; known ones may change."""
        mesh = make_mesh(limits=Limits(users=1))
        list(mesh.appear("bob", Location.of("srv-b", key("bob"))))
        self.assertRaises(
            Refused, list, mesh.appear("eve", Location.of("srv-b", "key-"))
        )
        list(mesh.appear("bob", Location.of("srv-b", key("bob"), "Bob")))
        self.assertEqual(mesh.directory.user_locations["bob"].display_name, "Bob")

    def test_users_of_one_server(self) -> None:
        """However many one server invents, those of others and ours have room."""
        mesh = make_mesh(limits=Limits(users=8))
        for server_id in ("srv-b", "srv-c", "srv-d"):
            add_server(mesh, server_id)
        taken = {name: self.invent(mesh, name) for name in ("srv-b", "srv-c", "srv-d")}
        self.assertEqual(taken, {"srv-b": 4, "srv-c": 2, "srv-d": 0})
        for name in ("one", "two"):
            mesh.check_room(name, mesh.server_id)
            add_user(mesh, name)
        fault = self.assertRaises(Refused, mesh.check_room, "three", mesh.server_id)
        self.assertEqual(str(fault), "max-users: 8 are known")

    def invent(self, mesh: Mesh, server_id: str) -> int:
        """Tell of as many users of a server as there is room for; return how many."""
        for number in range(9):
            location = Location.of(server_id, key("bob"))
            try:
                list(mesh.appear(f"{server_id}-{number}", location))
            except Refused as why:
                self.assertIn("max-users: ", str(why))
                return number
        return 9

    def test_known_keys(self) -> None:
        """Who comes and goes under ever new names is forgotten: the oldest first."""
        mesh = make_mesh(limits=Limits(users=4))
        add_server(mesh, "srv-b")
        for number in range(9):
            list(mesh.appear(f"user-{number}", Location.of("srv-b", key("bob"))))
            list(mesh.vanish(f"user-{number}", NOW_MS))
        self.assertEqual(sorted(mesh.known_keys), [f"user-{n}" for n in range(5, 9)])


class RivalTests(SynchronousTestCase):
    """A user claimed by two servers is at the first, and falls to the second."""

    def setUp(self) -> None:
        """Bob is at srv-b, and srv-c claims him, too."""
        self.mesh = make_mesh()
        add_server(self.mesh, "srv-b")
        add_server(self.mesh, "srv-c")
        self.alice = add_user(self.mesh, "alice")
        self.mesh.directory.locate("bob", Location.of("srv-b", key("bob"), ts=NOW_MS))
        self.mesh.claim_later("bob", Location.of("srv-c", key("bob"), ts=NOW_MS + 1))

    def vanish(self) -> list[str]:
        """Let bob vanish; return what our users are told."""
        effects = list(self.mesh.vanish("bob", NOW_MS + 2))
        return [one.type for one in effects if isinstance(one, SendAll)]

    def test_succeeds(self) -> None:
        """He is gone and there again, and both are told in that order."""
        self.assertEqual(self.vanish(), ["USER_REMOVED", "USER_ADDED"])
        self.assertEqual(self.mesh.directory.user_locations["bob"].server_id, "srv-c")
        self.assertEqual(self.mesh.rivals, {})

    def test_out_of_reach(self) -> None:
        """Not if the second server is out of reach itself."""
        self.mesh.directory.servers["srv-c"].links.clear()
        self.assertEqual(self.vanish(), ["USER_REMOVED"])

    def test_history(self) -> None:
        """Nor if its claim is from before it was lost and came back."""
        self.mesh.directory.servers["srv-c"].since = NOW_MS + 10
        self.assertEqual(self.vanish(), ["USER_REMOVED"])

    def test_no_room(self) -> None:
        """Nor if it has as many users as one server may: nobody leaves in vain."""
        list(self.mesh.appear("dave", Location.of("srv-c", key("dave"))))
        self.mesh.limits = Limits(users=3)
        self.assertEqual(self.vanish(), ["USER_REMOVED"])

    def test_bounded(self) -> None:
        """No more claims are kept than there may be users."""
        mesh = make_mesh(limits=Limits(users=2))
        for n in range(5):
            mesh.claim_later(f"user-{n}", Location.of("srv-c", key("x")))
        self.assertEqual(len(mesh.rivals), 2)
