"""What follows when a server comes, comes back, or is gone?"""

from twisted.trial.unittest import SynchronousTestCase

from socp_twisted.overlay.arrival import link_lost, link_up, surplus, watch_reachability
from socp_twisted.overlay.directory import Location, Server
from socp_twisted.overlay.effects import Effect, HangUp, Notice, Send
from socp_twisted.overlay.party import Party, Stage
from socp_twisted.wire.vocabulary import SERVER_ANNOUNCE, USER_ADVERTISE
from tests.overlay_values import (
    CAPS,
    NOW_MS,
    add_party,
    add_server,
    add_user,
    key,
    make_mesh,
)

PATIENCE = 5.0


class ArrivalTestCase(SynchronousTestCase):
    """A node with srv-b, which is linked and has bob."""

    def setUp(self) -> None:
        """Link srv-b."""
        self.mesh = make_mesh()
        self.party = add_server(self.mesh, "srv-b")
        self.b = self.mesh.directory.servers["srv-b"]
        self.b.instance = "first"
        self.locate("bob")

    def locate(self, user_id: str, ts: int = NOW_MS) -> None:
        """Let srv-b have a user."""
        self.mesh.directory.locate(user_id, Location.of("srv-b", key(user_id), ts=ts))

    def users(self) -> list[str]:
        """Return who is online."""
        return [user_id for user_id, _ in self.mesh.directory.online()]

    def watch(self, seconds: float) -> list[Effect]:
        """Let time pass, a second at a time, and watch."""
        effects: list[Effect] = []
        for _ in range(round(seconds)):
            self.mesh.now += 1
            effects += watch_reachability(self.mesh, PATIENCE)
        return effects

    def back(self, server: Server, instance: str = "first", ms: int = 1) -> Party:
        """Bring up another link of a server; the first frames have that time."""
        party = add_party(self.mesh, Stage.CLAIMED, name=server.id, key=server.pubkey)
        self.effects = list(link_up(self.mesh, party, server, instance, NOW_MS + ms))
        return party


class GoneTests(ArrivalTestCase):
    """The users of a server out of reach stay for five seconds, and no longer."""

    def test_linked(self) -> None:
        """While a link is up nothing happens."""
        self.assertEqual(self.watch(100), [])
        self.assertEqual(self.users(), ["bob"])

    def test_patience(self) -> None:
        """They vanish once the patience is over, and the log says how many."""
        self.assertEqual(list(link_lost(self.mesh, self.b, self.party.link)), [])
        self.assertEqual(self.watch(5), [])
        self.assertEqual(self.users(), ["bob"])
        [notice] = self.watch(1)
        assert isinstance(notice, Notice)
        self.assertEqual(notice.fields, {"server_id": "srv-b", "count": 1})
        self.assertEqual(self.users(), [])

    def test_detour(self) -> None:
        """Who is reached through another server stays; we tell them our users again."""
        c = add_server(self.mesh, "srv-c")
        add_user(self.mesh, "alice")
        list(link_lost(self.mesh, self.b, self.party.link))
        self.mesh.topology.claim("srv-c", ["srv-a", "srv-b"], 1, self.mesh.now)
        sent = self.watch(20)
        self.assertEqual(self.users(), ["alice", "bob"])
        kinds = [(one.link, one.type) for one in sent if isinstance(one, Send)]
        self.assertEqual(kinds, [(c.link, SERVER_ANNOUNCE), (c.link, USER_ADVERTISE)])

    def test_detour_again(self) -> None:
        """Each time that the detour is found anew they are told anew."""
        add_server(self.mesh, "srv-c")
        list(link_lost(self.mesh, self.b, self.party.link))
        for n in range(3):
            links = ["srv-a", "srv-b"]
            self.mesh.topology.claim("srv-c", links, 10 * n, self.mesh.now)
            self.assertEqual(len(self.watch(8)), 1)
            self.mesh.topology.claim("srv-c", ["srv-a"], 10 * n + 5, self.mesh.now)
            self.watch(2)


class BackTests(ArrivalTestCase):
    """What a server told before it was lost is void unless it is told again."""

    def test_told_again(self) -> None:
        """Who is told again stays, who is not vanishes."""
        self.locate("carol")
        list(link_lost(self.mesh, self.b, self.party.link))
        self.back(self.b)
        self.locate("carol", NOW_MS + 2)
        self.watch(10)
        self.assertEqual(self.users(), ["carol"])

    def test_restarted(self) -> None:
        """After a restart, too, though the old link never seemed to be lost."""
        self.back(self.b, "second")
        self.assertIn(
            HangUp(self.party.link, 1000, "replaced: the server has restarted"),
            self.effects,
        )
        self.watch(10)
        self.assertEqual(self.users(), [])

    def test_second_link(self) -> None:
        """A second link beside the first voids nothing."""
        self.back(self.b)
        self.watch(10)
        self.assertEqual(self.users(), ["bob"])

    def test_synchronised(self) -> None:
        """On each new link we say where we are, and who is here."""
        add_user(self.mesh, "alice")
        party = self.back(self.b)
        sent = [one for one in self.effects if isinstance(one, Send)]
        self.assertEqual({one.link for one in sent}, {party.link})
        kinds = [one.type for one in sent]
        self.assertEqual(kinds, [SERVER_ANNOUNCE, USER_ADVERTISE])
        self.assertEqual(sent[1].payload["user_id"], "alice")

    def test_lost_one_of_two(self) -> None:
        """Where one of two links is lost, our users are told again on the other."""
        add_user(self.mesh, "alice")
        other = add_party(self.mesh, Stage.SERVER, name="srv-b")
        self.b.links.append(other.link)
        [again] = link_lost(self.mesh, self.b, self.party.link)
        assert isinstance(again, Send)
        self.assertEqual((again.link, again.type), (other.link, USER_ADVERTISE))

    def test_renamed(self) -> None:
        """A key that comes under another id leaves the old one behind."""
        new = self.mesh.directory.servers["srv-z"] = Server(
            "srv-z", "h", 1, key("srv-b"), caps=self.b.caps
        )
        self.back(new)
        self.assertEqual(list(self.mesh.directory.servers), ["srv-z"])
        self.assertEqual(self.users(), [])


class SurplusTests(ArrivalTestCase):
    """Of two links one is too many, and one side alone closes it."""

    def extra(self, us: str, them: str, caps: list[str] = CAPS) -> str:
        """Return which of a dialled and an accepted link we would close."""
        mesh = make_mesh(us)
        accepted = add_server(mesh, them, caps=caps)
        dialled = add_party(mesh, Stage.SERVER, name=them, url="ws://h:1")
        server = mesh.directory.servers[them]
        server.links.append(dialled.link)
        found = surplus(mesh, server)
        names = {accepted.link: "accepted", dialled.link: "dialled"}
        return " ".join(names[link] for link in sorted(found))

    def test_two_ways(self) -> None:
        """The greater id closes the one that it opened; the smaller id closes none."""
        self.assertEqual(self.extra("srv-b", "srv-a"), "dialled")
        self.assertEqual(self.extra("srv-a", "srv-b"), "")

    def test_others(self) -> None:
        """With a server of others both stay: it would forget us with either."""
        self.assertEqual(self.extra("srv-b", "srv-a", []), "")

    def test_one_way(self) -> None:
        """Of two that the same side opened the newest stays."""
        newer = self.back(self.b)
        self.assertEqual(self.b.links, [newer.link])
        self.assertIn(HangUp(self.party.link, 1000, "one link is enough"), self.effects)
