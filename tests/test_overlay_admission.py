"""Who may be at the other end of a link?"""

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from socp_twisted.errors import ErrorCode, MalformedFrame, Refused
from socp_twisted.overlay.admission import admit, free_id, greet, key_for
from socp_twisted.overlay.directory import key_hash
from socp_twisted.overlay.effects import (
    Effect,
    HangUp,
    Heard,
    Linked,
    Renamed,
    Send,
)
from socp_twisted.overlay.party import Party, Stage
from socp_twisted.wire.limits import Limits
from socp_twisted.wire.vocabulary import (
    CAP_TLS_EXPORTER,
    HEARTBEAT,
    JOINS_PINNED,
    SERVER_HELLO_JOIN,
    SERVER_HELLO_LINK,
    SERVER_WELCOME,
)
from tests.overlay_values import (
    CAPS,
    NOW_MS,
    add_party,
    add_server,
    add_user,
    envelope,
    key,
    make_mesh,
    verified,
)


def hello(name: str, **more: Any) -> dict[str, Any]:
    """Return the payload of a greeting of one of our kind."""
    place = {"host": "10.0.0.9", "port": 9000, "pubkey": key(name)}
    return {**place, "caps": CAPS, "instance": "first", "server_id": name, **more}


class AdmissionTestCase(SynchronousTestCase):
    """One node."""

    def setUp(self) -> None:
        """Nobody is known."""
        self.mesh = make_mesh()

    def refused(self, code: ErrorCode, party: Party, frame: Any) -> None:
        """Expect a frame to be refused with a code, and to have no effect."""
        before = dict(self.mesh.directory.servers)
        fault = self.assertRaises(Refused, admit, self.mesh, party, frame)
        self.assertEqual(fault.code, code)
        self.assertEqual(self.mesh.directory.servers, before)


class JoinTests(AdmissionTestCase):
    """A claim is answered, believed by nobody, and costs us nothing."""

    def join(self, name: str, **more: Any) -> list[Effect]:
        """Let a server claim an id on a new connection."""
        self.party = add_party(self.mesh)
        frame = verified(SERVER_HELLO_JOIN, name, hello(name, **more))
        return admit(self.mesh, self.party, frame)

    def test_answer(self) -> None:
        """It gets a WELCOME that answers its nonce and asks for ours."""
        [send] = self.join("srv-b", nonce="theirs")
        assert isinstance(send, Send)
        self.assertEqual((send.type, send.to), (SERVER_WELCOME, "srv-b"))
        told = send.payload
        self.assertEqual((told["answer"], told["peer"]), ("theirs", "srv-b"))
        self.assertEqual(told["nonce"], self.party.nonce)
        self.assertIs(self.party.stage, Stage.CLAIMED)

    def test_r08_invented_ids(self) -> None:
        """1,400 claims with invented ids leave no trace in the next WELCOME."""
        for n in range(1400):
            self.join(f"invented-{n}", pubkey=key("evil"))
        [send] = self.join("srv-b")
        assert isinstance(send, Send)
        ids = [one["server_id"] for one in send.payload["servers"]]
        self.assertEqual(ids, ["srv-a"])
        self.assertEqual(self.mesh.directory.servers, {})

    def test_gone_are_not_told(self) -> None:
        """WELCOME lists whom we reach now, not whom we once knew."""
        add_server(self.mesh, "srv-c", linked=False)
        add_server(self.mesh, "srv-d")
        [send] = self.join("srv-b")
        assert isinstance(send, Send)
        ids = [one["server_id"] for one in send.payload["servers"]]
        self.assertEqual(ids, ["srv-a", "srv-d"])

    def test_room(self) -> None:
        """Where all known servers are there, one more is refused, with the limit."""
        self.mesh = make_mesh(limits=Limits(servers=2))
        add_server(self.mesh, "srv-c")
        add_server(self.mesh, "srv-d")
        frame = verified(SERVER_HELLO_JOIN, "srv-b", hello("srv-b"))
        self.refused(ErrorCode.LIMIT, add_party(self.mesh), frame)

    def test_other_name_inside(self) -> None:
        """The id under the signature must be the one on the envelope."""
        frame = verified(SERVER_HELLO_JOIN, "srv-b", hello("srv-b", server_id="srv-c"))
        self.refused(ErrorCode.NOT_ALLOWED, add_party(self.mesh), frame)

    def test_bad_port(self) -> None:
        """A port that is none is malformed."""
        for port in (0, 65536, -1, "9000", True, None):
            frame = verified(SERVER_HELLO_JOIN, "srv-b", hello("srv-b", port=port))
            party = add_party(self.mesh)
            self.assertRaises(MalformedFrame, admit, self.mesh, party, frame)

    def test_key_for(self) -> None:
        """A first frame verifies with the key it brings, and opens with HELLO only."""
        party = add_party(self.mesh)
        frame = envelope(SERVER_HELLO_JOIN, "srv-b", hello("srv-b"))
        self.assertEqual(key_for(self.mesh, party, frame), key("srv-b"))
        other = envelope(SERVER_WELCOME, "srv-b", hello("srv-b"))
        self.assertRaises(Refused, key_for, self.mesh, party, other)

    def test_s06_key_for_second(self) -> None:
        """The second frame verifies with the key of the first, whatever it brings."""
        self.join("srv-b")
        frame = envelope(SERVER_HELLO_LINK, "srv-b", hello("srv-b", pubkey=key("evil")))
        self.assertEqual(key_for(self.mesh, self.party, frame), key("srv-b"))


class FreeIdTests(AdmissionTestCase):
    """An id belongs to a key; who comes second gets one that is made of theirs."""

    def test_free(self) -> None:
        """What nobody has is free, and so is one's own."""
        add_server(self.mesh, "srv-b", linked=False)
        self.assertEqual(free_id(self.mesh, "srv-c", key("new")), "srv-c")
        self.assertEqual(free_id(self.mesh, "srv-b", key("srv-b")), "srv-b")

    def test_taken(self) -> None:
        """What another has, or we ourselves, gets eight digits of the key."""
        add_server(self.mesh, "srv-b", linked=False)
        for asked in ("srv-b", "srv-a"):
            found = free_id(self.mesh, asked, key("new"))
            self.assertRegex(found, rf"^{asked}-[0-9a-f]{{8}}$")
            self.assertEqual(free_id(make_mesh(asked), asked, key("new")), found)

    def test_long(self) -> None:
        """The other id is still an id."""
        self.mesh = make_mesh("x" * 64)
        self.assertEqual(len(free_id(self.mesh, "x" * 64, key("new"))), 64)

    def test_both_taken(self) -> None:
        """Whoever took even that one keeps it."""
        second = free_id(self.mesh, "srv-a", key("new"))
        add_server(self.mesh, second)
        fault = self.assertRaises(Refused, free_id, self.mesh, "srv-a", key("new"))
        self.assertEqual(fault.code, ErrorCode.NAME_IN_USE)


class WelcomeTests(AdmissionTestCase):
    """What we dialled must answer our nonce, and may rename us if it is pinned."""

    def setUp(self) -> None:
        """Dial srv-b, which the operator has pinned."""
        super().setUp()
        self.party = self.dial(pinned=True)

    def dial(self, *, pinned: bool) -> Party:
        """Open a link to srv-b and greet it."""
        party = add_party(
            self.mesh,
            Stage.DIALLED,
            url="ws://10.0.0.9:9000",
            key=key("srv-b"),
            pinned=pinned,
        )
        [join] = greet(self.mesh, party)
        assert isinstance(join, Send)
        self.assertEqual((join.type, join.to), (SERVER_HELLO_JOIN, party.url))
        return party

    def welcome(self, of: Party | None = None, **more: Any) -> Any:
        """Return srv-b's answer."""
        party = of or self.party
        payload = {
            "assigned_id": "srv-a",
            "servers": [],
            "clients": [],
            "introducer": {},
            "caps": CAPS,
            "instance": "first",
            "nonce": "theirs",
            "answer": party.nonce,
            "peer": more.get("assigned_id", "srv-a"),
            "peer_key": key_hash(self.mesh.pubkey),
            "server_id": "srv-b",
            **more,
        }
        return verified(SERVER_WELCOME, "srv-b", payload)

    def test_linked(self) -> None:
        """We prove our key first, and are linked."""
        effects = admit(self.mesh, self.party, self.welcome())
        link = effects[0]
        assert isinstance(link, Send)
        self.assertEqual(link.type, SERVER_HELLO_LINK)
        self.assertEqual(link.payload["answer"], "theirs")
        self.assertEqual(link.payload["peer"], "srv-b")
        self.assertIn(Linked(self.party.link, "srv-b"), effects)
        self.assertIs(self.party.stage, Stage.SERVER)

    def test_wrong_answer(self) -> None:
        """Another's answer, or an old one, is none."""
        lies = ({"answer": "x"}, {"peer": "srv-z"}, {"peer_key": "x"})
        for lie in (*lies, {"server_id": "srv-z"}):
            frame = self.welcome(None, **lie)
            self.refused(ErrorCode.INVALID_SIG, self.party, frame)

    def test_bound(self) -> None:
        """One that signs for the TLS connection that we see binds it, and so do we."""
        self.party.tls_exporter = "this one"
        caps = [*CAPS, CAP_TLS_EXPORTER]
        link, *_ = admit(
            self.mesh, self.party, self.welcome(caps=caps, tls_exporter="this one")
        )
        assert isinstance(link, Send)
        self.assertEqual(link.payload["tls_exporter"], "this one")
        self.assertIn(CAP_TLS_EXPORTER, link.payload["caps"])
        self.assertTrue(self.party.tls_bound)

    def test_relayed(self) -> None:
        """One that signs for another is behind somebody who passes on what we say."""
        self.party.tls_exporter = "this one"
        caps = [*CAPS, CAP_TLS_EXPORTER]
        for seen in ("another one", ""):
            frame = self.welcome(caps=caps, tls_exporter=seen)
            self.refused(ErrorCode.INVALID_SIG, self.party, frame)
        self.assertFalse(self.party.tls_bound)

    def test_not_bound(self) -> None:
        """Where one of us does not see TLS, or wants every signature, all are made."""
        for caps, ours in ((CAPS, "this one"), ([*CAPS, CAP_TLS_EXPORTER], "")):
            self.setUp()
            self.party.tls_exporter = ours
            frame = self.welcome(caps=caps, tls_exporter="another one")
            link, *_ = admit(self.mesh, self.party, frame)
            assert isinstance(link, Send)
            self.assertEqual(link.payload.get("tls_exporter", ""), ours)
            self.assertFalse(self.party.tls_bound)

    def test_kept_out(self) -> None:
        """Whoever may not join may not either where we have dialled them."""
        self.mesh.joins = JOINS_PINNED
        self.refused(ErrorCode.NOT_ALLOWED, self.party, self.welcome())
        self.mesh.introducer_keys = frozenset({key("srv-b")})
        admit(self.mesh, self.party, self.welcome())
        self.assertIs(self.party.stage, Stage.SERVER)

    def test_no_room_for_pins(self) -> None:
        """Nor is one linked whose key could not be remembered."""
        self.mesh = make_mesh(limits=Limits(pins=1))
        self.mesh.pins["srv-c"] = key("srv-c")
        party = self.dial(pinned=False)
        self.refused(ErrorCode.LIMIT, party, self.welcome(party))

    def test_others_need_no_nonce(self) -> None:
        """A server of others signs none, and is linked all the same."""
        frame = self.welcome(caps=[], answer="", peer="", server_id="")
        self.assertIn(
            Linked(self.party.link, "srv-b"), admit(self.mesh, self.party, frame)
        )

    def test_downgrade(self) -> None:
        """But not one that used to sign them."""
        add_server(self.mesh, "srv-b", linked=False)
        frame = self.welcome(caps=[], answer="", peer="", server_id="")
        self.refused(ErrorCode.NOT_ALLOWED, self.party, frame)

    def test_s10_third_servers(self) -> None:
        """A WELCOME repins nobody: what it says of others is where to ask, at most."""
        add_server(self.mesh, "srv-c", linked=False)
        entries = [
            {"server_id": "srv-c", "host": "h", "port": 1, "pubkey": key("evil")},
            {"server_id": "srv-d", "host": "h", "port": 2, "pubkey": key("srv-d")},
            {"server_id": "srv-e", "host": "h", "port": 3, "pubkey": "no key"},
            {"server_id": "srv-a", "host": "h", "port": 4, "pubkey": key("evil")},
            {"server_id": "srv-f", "host": "", "port": 0, "pubkey": key("srv-f")},
            {"server_id": "*", "host": "h", "port": "x", "pubkey": 5},
        ]
        frame = self.welcome(servers=entries, clients=entries)
        effects = admit(self.mesh, self.party, frame)
        heard = {one.server_id for one in effects if isinstance(one, Heard)}
        self.assertEqual(heard, {"srv-d"})
        self.assertEqual(set(self.mesh.directory.servers), {"srv-b", "srv-c"})
        self.assertEqual(self.mesh.directory.servers["srv-c"].pubkey, key("srv-c"))

    def test_users_of_others(self) -> None:
        """Users listed are the introducer's own; others' are not its to tell."""
        entries = [
            {"server_id": "srv-b", "user_id": "bob", "pubkey": key("bob")},
            {"server_id": "srv-c", "user_id": "carol", "pubkey": key("carol")},
            {"server_id": "srv-b", "user_id": "dave", "pubkey": "no key"},
        ]
        admit(self.mesh, self.party, self.welcome(clients=entries))
        self.assertEqual(list(self.mesh.directory.user_locations), ["bob"])

    def test_too_many_users(self) -> None:
        """Whoever has filled the directory costs us no link: the others are told."""
        self.mesh.limits = Limits(users=1)
        entries = [
            {"server_id": "srv-b", "user_id": user_id, "pubkey": key(user_id)}
            for user_id in ("bob", "dave")
        ]
        effects = admit(self.mesh, self.party, self.welcome(clients=entries))
        self.assertEqual(list(self.mesh.directory.user_locations), ["bob"])
        self.assertIn(Linked(self.party.link, "srv-b"), effects)

    def test_users_of_ours(self) -> None:
        """A user of ours stays ours, whatever a WELCOME says."""
        add_user(self.mesh, "alice")
        entries = [{"server_id": "srv-b", "user_id": "alice", "pubkey": key("evil")}]
        admit(self.mesh, self.party, self.welcome(clients=entries))
        location = self.mesh.directory.user_locations["alice"]
        self.assertEqual((location.server_id, location.pubkey), ("srv-a", key("alice")))

    def test_renamed(self) -> None:
        """A pinned introducer may give us another id; our users come along (R16)."""
        add_user(self.mesh, "alice")
        effects = admit(self.mesh, self.party, self.welcome(assigned_id="srv-a-2"))
        self.assertIn(Renamed("srv-a-2", self.party.link), effects)
        self.assertEqual(self.mesh.server_id, "srv-a-2")
        location = self.mesh.directory.user_locations["alice"]
        self.assertEqual(location.server_id, "srv-a-2")
        [link] = [e for e in effects if isinstance(e, Send)][:1]
        self.assertEqual(link.payload["server_id"], "srv-a-2")

    def test_renamed_by_anybody(self) -> None:
        """Nobody else may."""
        party = self.dial(pinned=False)
        frame = self.welcome(party, assigned_id="srv-a-2")
        self.refused(ErrorCode.NAME_IN_USE, party, frame)
        self.assertEqual(self.mesh.server_id, "srv-a")

    def test_renamed_meanwhile(self) -> None:
        """An answer to our old id is asked for again, not taken."""
        self.mesh.rename("srv-a-2")
        self.refused(ErrorCode.NAME_IN_USE, self.party, self.welcome())

    def test_pin_decides(self) -> None:
        """Where the operator pins another key for an id, what we knew of it goes."""
        old = add_server(self.mesh, "srv-b")
        self.mesh.directory.servers["srv-b"].pubkey = key("old")
        effects = admit(self.mesh, self.party, self.welcome())
        hung = [one.link for one in effects if isinstance(one, HangUp)]
        self.assertEqual(hung, [old.link])
        self.assertEqual(self.mesh.directory.servers["srv-b"].pubkey, key("srv-b"))

    def test_no_pin(self) -> None:
        """Otherwise the key that we know stays."""
        add_server(self.mesh, "srv-b")
        self.mesh.directory.servers["srv-b"].pubkey = key("old")
        party = self.dial(pinned=False)
        self.refused(ErrorCode.BAD_KEY, party, self.welcome(party))


class ConfirmTests(AdmissionTestCase):
    """Of a server of others, any frame that it signed just now is the proof."""

    def setUp(self) -> None:
        """A server of others has claimed an id."""
        super().setUp()
        self.party = add_party(self.mesh, host="10.0.0.9")
        claim = hello("srv-b", caps=[], host="127.0.0.1")
        admit(self.mesh, self.party, verified(SERVER_HELLO_JOIN, "srv-b", claim))

    def test_now(self) -> None:
        """It is linked, and we dial it where its connection came from."""
        effects = admit(self.mesh, self.party, verified(HEARTBEAT, "srv-b", {}))
        self.assertIn(Linked(self.party.link, "srv-b"), effects)
        [heard] = [one for one in effects if isinstance(one, Heard)]
        self.assertEqual((heard.host, heard.port), ("10.0.0.9", 9000))

    def test_stale(self) -> None:
        """A frame of more than a minute ago is no proof."""
        for ts in (NOW_MS - 61_000, NOW_MS + 61_000):
            frame = verified(HEARTBEAT, "srv-b", {}, ts=ts)
            self.refused(ErrorCode.INVALID_SIG, self.party, frame)

    def test_claim_again(self) -> None:
        """Nor is the claim itself, which anybody may have recorded."""
        claim = hello("srv-b", caps=[], host="127.0.0.1")
        frame = verified(SERVER_HELLO_JOIN, "srv-b", claim)
        self.refused(ErrorCode.INVALID_SIG, self.party, frame)

    def test_error(self) -> None:
        """An ERROR is no proof, and no fault."""
        frame = verified("ERROR", "srv-b", {"code": "X"})
        self.assertEqual(admit(self.mesh, self.party, frame), [])

    def test_other_name(self) -> None:
        """Who was given another id must use it."""
        frame = verified(HEARTBEAT, "srv-c", {})
        self.refused(ErrorCode.NAME_IN_USE, self.party, frame)
