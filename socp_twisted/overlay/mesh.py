"""What do the rules share?  The directory, the topology, our own name and address."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from socp_twisted.errors import ErrorCode, Refused
from socp_twisted.overlay.broadcasts import Broadcasts
from socp_twisted.overlay.channel import Channel
from socp_twisted.overlay.deliveries import Deliveries
from socp_twisted.overlay.directory import Directory, Location, Server, key_hash, pack
from socp_twisted.overlay.effects import Effect, LinkId, Pin, Seen, Send, SendAll
from socp_twisted.overlay.party import Party
from socp_twisted.overlay.proofs import Proofs
from socp_twisted.overlay.receipts import Receipts
from socp_twisted.overlay.reports import Reports
from socp_twisted.overlay.spoken import Spoken
from socp_twisted.overlay.topology import Topology
from socp_twisted.wire.limits import Limits
from socp_twisted.wire.payloads import ServerHello
from socp_twisted.wire.vocabulary import (
    AGENT,
    CAP_ACK_LISTS,
    CAP_ACKS,
    CAP_BOUND,
    CAP_CHANNEL,
    CAP_LINKS,
    CAP_POSSESSION,
    CAP_TLS_EXPORTER,
    HEARTBEAT,
    JOINS_KNOWN,
    JOINS_OPEN,
    SERVER_ANNOUNCE,
    USER_ADDED,
    USER_REMOVED,
)

CAPS = [
    CAP_ACK_LISTS,
    CAP_ACKS,
    CAP_BOUND,
    CAP_CHANNEL,
    CAP_LINKS,
    CAP_POSSESSION,
]


@dataclass(slots=True)
class Mesh:
    """One node's view of the network, and what it says of itself."""

    directory: Directory
    host: str
    port: int
    pubkey: str
    instance: str
    """Fresh with each start, so that others tell a restart from a second link."""
    is_key: Callable[[str], bool]
    """Whether a text is an RSA-4096 public key; cryptography is another room's."""
    fresh: Callable[[], str]
    """Makes an id that was never used; randomness is another room's, too."""
    is_login: Callable[..., bool] = lambda *told, **more: False
    """Whether a user's key has signed a server's nonce (``trust.signatures``)."""
    secure: bool = False
    """Whether others reach us over wss://."""
    backlog: Callable[[LinkId], int] = lambda link: 0
    """How many bytes wait to be read at the other end of a link."""
    limits: Limits = field(default_factory=Limits)
    topology: Topology = field(default_factory=Topology)
    channel: Channel = field(default_factory=Channel)
    deliveries: Deliveries = field(init=False)
    broadcasts: Broadcasts = field(init=False)
    receipts: Receipts = field(default_factory=Receipts)
    reports: Reports = field(default_factory=Reports)
    spoken: Spoken = field(init=False)
    pins: dict[str, str] = field(default_factory=dict)
    """The key of every server that was ever seen, by id; it outlives the process."""
    home_keys: dict[str, str] = field(default_factory=dict)
    """SHA-256 of the key of each user registered here: no other's word changes it."""
    known_keys: dict[str, bytes] = field(default_factory=dict)
    """SHA-256 of the key of each user who was seen and is not online."""
    proofs: Proofs = field(init=False)
    introducer_keys: frozenset[str] = frozenset()
    """The keys of the bootstrap list: the operator's own word."""
    joins: str = JOINS_OPEN
    rivals: dict[str, Location] = field(default_factory=dict)
    """Users whom a second server claims: theirs once the first one lets go."""
    parties: dict[LinkId, Party] = field(default_factory=dict)
    """Everybody at the other end of a link."""
    now: float = 0.0
    """Monotonic seconds; the node sets both clocks before each call."""
    now_ms: int = 0
    """Unix time in milliseconds."""
    told_links: frozenset[str] = frozenset()
    """The neighbours of our last HEARTBEAT."""
    counters: Counter[str] = field(default_factory=Counter)
    """How often each limit was reached."""
    stamped_at: int = 0
    """The last time that we signed."""
    announced_at: int = 0
    """The ts of our last new SERVER_ANNOUNCE."""

    def __post_init__(self) -> None:
        self.deliveries = Deliveries(self.limits.unanswered)
        self.proofs = Proofs(self.limits.users)
        self.broadcasts = Broadcasts(self.limits.channel, self.limits.queued)
        self.spoken = Spoken(self.limits.seen)

    @property
    def server_id(self) -> str:
        """Our own id."""
        return self.directory.server_id

    def hello(
        self,
        *,
        nonce: str = "",
        answer: str = "",
        peer: str = "",
        peer_key: str = "",
        tls_exporter: str = "",
    ) -> dict[str, Any]:
        """Return the payload of a JOIN, LINK or ANNOUNCE of ours."""
        return ServerHello(
            host=self.host,
            port=self.port,
            pubkey=self.pubkey,
            agent=AGENT,
            caps=_caps(tls_exporter),
            instance=self.instance,
            nonce=nonce,
            answer=answer,
            peer=peer,
            peer_key=key_hash(peer_key),
            server_id=self.server_id,
            secure=self.secure,
            tls_exporter=tls_exporter,
        ).write()

    def welcome(
        self,
        assigned_id: str,
        *,
        nonce: str,
        answer: str,
        peer_key: str,
        tls_exporter: str = "",
    ) -> dict[str, Any]:
        """Return the payload of our SERVER_WELCOME: only servers that are there now."""
        me = _entry(self.server_id, self.host, self.port, self.pubkey, self.secure)
        reachable = self.routes()
        servers = [me] + [
            _entry(one.id, one.host, one.port, one.pubkey, one.secure)
            for one in self.directory.servers.values()
            if one.id in reachable and one.id != assigned_id
        ]
        told = {
            "assigned_id": assigned_id,
            "servers": servers,
            # Users in this place make one implementation's users unroutable.
            "clients": [{**one, "user_id": one["server_id"]} for one in servers],
            "introducer": me,
            "agent": AGENT,
            "caps": _caps(tls_exporter),
            "instance": self.instance,
            "nonce": nonce,
            "answer": answer,
            "peer": assigned_id,
            "peer_key": key_hash(peer_key),
            "server_id": self.server_id,
        }
        return {**told, "tls_exporter": tls_exporter} if tls_exporter else told

    def routes(self) -> dict[str, str]:
        """Return the reachable servers, each with the neighbour that leads there."""
        return self.topology.routes(one.id for one in self.directory.linked())

    def announcement(self, link: LinkId) -> Send:
        """
        Return our SERVER_ANNOUNCE for one more link.

        Within a minute it is the same frame each time: who has it drops the copies.
        """
        if self.now_ms - self.announced_at > 60_000:
            self.announced_at = self.now_ms
        return Send(link, SERVER_ANNOUNCE, self.hello(), to="*", ts=self.announced_at)

    def heartbeat(self) -> SendAll:
        """Tell all neighbours that we are here, and whom we are linked to."""
        linked = sorted(self.directory.linked(), key=lambda one: one.id)
        names = [one.id for one in linked]
        self.told_links = frozenset(names)
        # On every link: the original closes one that is silent, and forgets us with it.
        links = tuple(link for one in linked for link in one.links)
        return SendAll(links, HEARTBEAT, {"links": names})

    def rename(self, server_id: str) -> None:
        """Take another id; the directory's own rows follow."""
        self.directory.server_id = server_id
        for user_id in self.directory.local_users:
            old = self.directory.user_locations[user_id]
            self.directory.user_locations[user_id] = replace(old, server_id=server_id)

    def stamp(self) -> int:
        """Return Unix milliseconds that nothing else of ours was said at."""
        self.stamped_at = max(self.now_ms, self.stamped_at + 1)
        return self.stamped_at

    def key_of(self, server_id: str) -> str:
        """Return the key that a server id is bound to, or nothing."""
        server = self.directory.servers.get(server_id)
        return server.pubkey if server is not None else self.pins.get(server_id, "")

    def check_may_join(self, server_id: str, pubkey: str) -> None:
        """Raise ``Refused`` if ``--joins`` keeps this server out."""
        if not self.may_join(server_id, pubkey):
            raise Refused(
                ErrorCode.NOT_ALLOWED,
                f"--joins {self.joins}: {server_id} is not among the servers let in",
            )

    def may_join(self, server_id: str, pubkey: str) -> bool:
        """Say whether ``--joins`` lets this server in."""
        if self.joins == JOINS_OPEN or pubkey in self.introducer_keys:
            return True
        return self.joins == JOINS_KNOWN and self.pins.get(server_id) == pubkey

    def check_room_for_pin(self, server_id: str) -> None:
        """Raise ``Refused`` if one more server id would be too many to remember."""
        if server_id not in self.pins and len(self.pins) >= self.limits.pins:
            raise Refused(
                ErrorCode.LIMIT, f"max-pins: {self.limits.pins} servers are remembered"
            )

    def pin(self, server_id: str, pubkey: str) -> Iterator[Effect]:
        """Bind a server id to its key, from first sight on."""
        if self.pins.get(server_id) != pubkey:
            self.pins[server_id] = pubkey
            yield Pin(server_id)

    def make_room(self) -> None:
        """Forget a server that is gone if we know too many, or raise ``Refused``."""
        servers = self.directory.servers
        if len(servers) < self.limits.servers:
            return
        gone = [one for one in servers.values() if not one.links and not one.users]
        if not gone:
            raise Refused(
                ErrorCode.LIMIT, f"max-servers: {self.limits.servers} are known"
            )
        oldest = min(gone, key=lambda one: one.heard)
        del servers[oldest.id]
        self.topology.forget(oldest.id)

    def welcome_user(
        self, server_id: str, user_id: str, pubkey: str, ts: int
    ) -> Iterator[Effect]:
        """Note a user that a server of others told in its WELCOME of ``ts``."""
        server = self.directory.servers.get(server_id)
        if server is None or self.must_show_login(server, user_id, pubkey):
            return
        if self.is_impostor(user_id, pubkey):
            return
        before = self.directory.user_locations.get(user_id)
        if before is None:
            # One user too many must not cost us the link that told of them.
            if self.has_room(user_id, server_id):
                yield from self.appear(user_id, Location.of(server_id, pubkey, ts=ts))
        elif before.server_id == server_id:
            told = replace(before, key=pack(pubkey), ts=ts, shown=False)
            yield from self.appear(user_id, told)

    def appear(self, user_id: str, location: Location) -> Iterator[Effect]:
        """Note a user; tell our own users if that is news to them."""
        before = self.directory.user_locations.get(user_id)
        self.check_room(user_id, location.server_id)
        self.directory.locate(user_id, location)
        if location.key:
            self.known_keys.pop(user_id, None)
        yield Seen(user_id)
        if location.is_news(before):
            links = self.directory.user_links()
            if links:
                yield SendAll(links, USER_ADDED, self.user_entry(user_id, location))

    def can(self, user_id: str, extra: str) -> bool:
        """Say whether a device of a local user has a capability."""
        devices = self.directory.local_users.get(user_id, ())
        greetings = (self.parties[link].hello for link in devices)
        return any(extra in getattr(one, "extras", ()) for one in greetings)

    def user_key(self, user_id: str) -> str:
        """Return SHA-256 of the key that is a user's, as far as we know, or nothing."""
        if user_id in self.home_keys:
            return self.home_keys[user_id]
        location = self.directory.user_locations.get(user_id)
        if location is not None and location.key:
            return location.key_hash
        return self.known_keys.get(user_id, b"").hex()

    def is_impostor(self, user_id: str, pubkey: str) -> bool:
        """Say whether this is another key than that of the user registered here."""
        hashed = key_hash(pubkey)
        return bool(hashed) and self.home_keys.get(user_id, hashed) != hashed

    def shows_login(
        self, server: Server, user_id: str, pubkey: str, meta: Mapping[str, Any]
    ) -> bool:
        """
        Say whether a server shows that a user has logged in there.

        Their key is known to all: whoever says no more than that they are there would
        be given what waits for them, and could say that it arrived.
        """
        login = meta.get("login")
        told = login if type(login) is dict else {}
        nonce, proof = told.get("nonce"), told.get("proof")
        if type(nonce) is not str or type(proof) is not str:
            return False
        where = {"server_id": server.id, "server_key": server.pubkey}
        return self.is_login(pubkey, proof, nonce=nonce, user_id=user_id, **where)

    def must_show_login(self, server: Server, user_id: str, pubkey: str) -> bool:
        """
        Say whether a server's word is not enough that a user is there.

        It is not for who is registered here, nor for a key with which a login was shown
        before: its owner's servers can.  Who showed it last could show the same again,
        and need not: perhaps the user has an older client now.  An introducer that is
        not of this project cannot, and has the operator's word.
        """
        if server.pubkey in self.introducer_keys and CAP_BOUND not in server.caps:
            return False
        shown_at = self.proofs.place(key_hash(pubkey))
        return shown_at != server.id and (user_id in self.home_keys or shown_at != "")

    def is_behind(self, link: LinkId) -> bool:
        """Say whether who is there reads so slowly that much more would end it."""
        return self.backlog(link) > self.limits.queued // 4 * 3

    def is_slow(self, link: LinkId) -> bool:
        """Say whether who is there reads more slowly than they are sent to."""
        return self.backlog(link) > self.limits.queued // 32

    def check_room(self, user_id: str, server_id: str) -> None:
        """Raise ``Refused`` if one more user of this server would be too many."""
        self.directory.check_room(user_id, server_id, self.limits.users)

    def has_room(self, user_id: str, server_id: str) -> bool:
        """Say whether there is room for one more user of a server."""
        try:
            self.check_room(user_id, server_id)
        except Refused:
            return False
        return True

    def vanish(self, user_id: str, ts: int = 0) -> Iterator[Effect]:
        """Forget a user and tell our own users."""
        location = self.directory.user_locations.get(user_id)
        if location is not None:
            self.directory.remove(user_id, ts)
            if location.key:
                self.known_keys[user_id] = bytes.fromhex(location.key_hash)
                if len(self.known_keys) > self.limits.users:
                    del self.known_keys[next(iter(self.known_keys))]  # seen long ago
            self.spoken.left(user_id, self.now_ms)
            links = self.directory.user_links()
            if links:
                yield SendAll(links, USER_REMOVED, {"user_id": user_id})
            yield from self._succeed(user_id)

    def claim_later(self, user_id: str, location: Location) -> None:
        """Keep a second server's claim: word of the first one's loss may be late."""
        if len(self.rivals) < self.limits.users:
            self.rivals[user_id] = location

    def _succeed(self, user_id: str) -> Iterator[Effect]:
        """Let the second server have a user whom the first one has lost."""
        rival = self.rivals.pop(user_id, None)
        server = self.directory.servers.get(rival.server_id) if rival else None
        if rival is None or server is None or server.id not in self.routes():
            return
        if self.directory.is_history(server, user_id, rival.ts, rival.at):
            return
        if not rival.shown and self.must_show_login(server, user_id, rival.pubkey):
            return  # a login was shown since then, or they have registered
        if self.has_room(user_id, server.id):
            yield from self.appear(user_id, rival)

    def user_entry(self, user_id: str, location: Location) -> dict[str, Any]:
        """Return how a user is told to users: USER_ADDED and LIST_RESPONSE."""
        return {
            "user_id": user_id,
            "pubkey": location.pubkey,
            "online_local": location.server_id == self.server_id,
            "server_id": location.server_id,
            "display_name": location.display_name,
            "extras": list(location.extras),
        }


def _caps(tls_exporter: str) -> list[str]:
    """Return what we can on a link: frames without signatures only over its TLS."""
    return [*CAPS, CAP_TLS_EXPORTER] if tls_exporter else CAPS


def _entry(
    server_id: str, host: str, port: int, pubkey: str, secure: bool
) -> dict[str, Any]:
    """Return one server as SERVER_WELCOME lists it; ``secure`` only where it is."""
    entry = {"server_id": server_id, "host": host, "port": port, "pubkey": pubkey}
    return {**entry, "secure": True} if secure else entry
