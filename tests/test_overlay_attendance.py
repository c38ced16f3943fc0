"""Who may be a user here, and what follows when they come and go?"""

from twisted.trial.unittest import SynchronousTestCase

from socp_twisted.errors import ErrorCode, Refused
from socp_twisted.overlay.attendance import (
    Profile,
    check_free,
    enter,
    leave,
    read_hello,
)
from socp_twisted.overlay.directory import Location
from socp_twisted.overlay.effects import Effect, Send, SendAll
from socp_twisted.overlay.party import Party, Stage
from socp_twisted.wire.limits import Limits
from socp_twisted.wire.vocabulary import (
    USER_ADDED,
    USER_ADVERTISE,
    USER_HELLO,
    USER_REMOVE,
    USER_REMOVED,
)
from tests.overlay_values import add_party, add_server, envelope, flat, key, make_mesh


class AttendanceTestCase(SynchronousTestCase):
    """A node that is linked to srv-b, where bob is."""

    def setUp(self) -> None:
        """Link it."""
        self.mesh = make_mesh(limits=Limits(devices=2))
        self.b = add_server(self.mesh, "srv-b")
        self.mesh.directory.locate("bob", Location.of("srv-b", key("bob")))

    def greeted(self, user_id: str, **fields: object) -> Party:
        """Connect a user who has said hello."""
        return add_party(
            self.mesh, Stage.GREETED, name=user_id, key=key(user_id), **fields
        )

    def told(self, effects: list[Effect], kind: str) -> list[tuple[int, ...]]:
        """Return the links on which frames of a type go out."""
        return [
            (one.link,) if isinstance(one, Send) else one.links
            for one in effects
            if isinstance(one, Send | SendAll) and one.type == kind
        ]


class EnterTests(AttendanceTestCase):
    """Who comes is told to all servers and users, and told of all users."""

    def test_first(self) -> None:
        """One advertisement for all servers, and everybody for the newcomer."""
        party = self.greeted("alice", hello=Profile("Alice", ("blocks",)))
        effects = flat(enter(self.mesh, party))
        self.assertEqual(self.told(effects, USER_ADVERTISE), [(self.b.link,)])
        self.assertEqual(self.told(effects, USER_ADDED), [(party.link,)] * 2)
        self.assertIs(party.stage, Stage.USER)
        location = self.mesh.directory.user_locations["alice"]
        self.assertEqual((location.server_id, location.pubkey), ("srv-a", key("alice")))
        self.assertEqual(
            (location.display_name, location.extras), ("Alice", ("blocks",))
        )

    def test_second_device(self) -> None:
        """A second device is no news for anybody else."""
        flat(enter(self.mesh, self.greeted("alice")))
        second = self.greeted("alice")
        effects = flat(enter(self.mesh, second))
        self.assertEqual(self.told(effects, USER_ADVERTISE), [])
        self.assertEqual(self.told(effects, USER_ADDED), [(second.link,)] * 2)

    def test_faster(self) -> None:
        """Somebody with another key may have been faster."""
        late = add_party(self.mesh, Stage.GREETED, name="alice", key=key("eve"))
        flat(enter(self.mesh, self.greeted("alice")))
        self.assertRaises(Refused, list, enter(self.mesh, late))
        self.assertIs(late.stage, Stage.GREETED)

    def test_leave(self) -> None:
        """The last device takes the user along, and everybody is told."""
        first, second = self.greeted("alice"), self.greeted("alice")
        watcher = self.greeted("carol")
        for party in (first, second, watcher):
            flat(enter(self.mesh, party))
        self.assertEqual(list(leave(self.mesh, first)), [])
        effects = list(leave(self.mesh, second))
        self.assertEqual(self.told(effects, USER_REMOVED), [(watcher.link,)])
        self.assertEqual(self.told(effects, USER_REMOVE), [(self.b.link,)])
        self.assertEqual(list(leave(self.mesh, second)), [])


class FreeTests(AttendanceTestCase):
    """An id is one user's at a time, in the whole network."""

    def code(self, user_id: str, pubkey: str = "") -> ErrorCode:
        """Return why somebody cannot be this user."""
        args = (self.mesh, user_id, pubkey or key(user_id))
        fault: Refused = self.assertRaises(Refused, check_free, *args)
        return fault.code

    def test_elsewhere(self) -> None:
        """Who is online at a server in reach cannot be here, and then can."""
        self.assertEqual(self.code("bob"), ErrorCode.NAME_IN_USE)
        self.mesh.directory.servers["srv-b"].links.clear()
        check_free(self.mesh, "bob", key("bob"))

    def test_case(self) -> None:
        """``Bob`` would pass for ``bob`` on a screen (S17)."""
        self.assertEqual(self.code("Bob"), ErrorCode.NAME_IN_USE)

    def test_here(self) -> None:
        """Who is online here needs the same key, and not too many devices."""
        flat(enter(self.mesh, self.greeted("alice")))
        self.assertEqual(self.code("alice", key("eve")), ErrorCode.NAME_IN_USE)
        flat(enter(self.mesh, self.greeted("alice")))
        self.assertEqual(self.code("alice"), ErrorCode.LIMIT)

    def test_r06_two_users(self) -> None:
        """A connection that is one user's does not become another's."""
        alice = self.greeted("alice")
        flat(enter(self.mesh, alice))
        hello = envelope(USER_HELLO, "carol", {"pubkey": key("carol")})
        fault = self.assertRaises(Refused, read_hello, self.mesh, alice, hello)
        self.assertEqual(fault.code, ErrorCode.NOT_ALLOWED)

    def test_s16_key(self) -> None:
        """A key that is none is BAD_KEY."""
        hello = envelope(USER_HELLO, "carol", {"pubkey": "junk"})
        party = add_party(self.mesh)
        fault = self.assertRaises(Refused, read_hello, self.mesh, party, hello)
        self.assertEqual(fault.code, ErrorCode.BAD_KEY)
