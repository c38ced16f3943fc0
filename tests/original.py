"""
The original's server, as far as it was measured: a stand-in to be linked to.

It is written from the facts about the original alone and shares no code with the
project.  What makes it hard to live with is here on purpose: it never reconnects, tells
its users in SERVER_WELCOME and nowhere else, believes nobody but the server at the
other end of a link, and forgets a peer when one of two links to it closes.
"""

import json
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.interfaces import IAddress, IListeningPort
from twisted.internet.protocol import ServerFactory
from twisted.internet.task import LoopingCall
from websockets.server import ServerProtocol

from tests.plain_socp import MAX_SALT, Frame, Key, canonical, is_from, message
from tests.sockets import Socket, Watch, client_machine

HEARTBEAT: Final = 15.0
SILENCE: Final = 45.0
FIRST_REPLY: Final = 10.0
SEEN: Final = 8192
SEEN_FOR: Final = 90.0
HELLOS: Final = ("SERVER_HELLO_JOIN", "SERVER_HELLO_LINK")


@dataclass(frozen=True, slots=True)
class Manner:
    """How an implementation differs from the original where the standard allows it."""

    salt: int = MAX_SALT
    dump: Callable[[Frame], str] = json.dumps
    welcome: Callable[["OriginalServer", str], Frame] | None = None
    """Makes the payload of SERVER_WELCOME for an assigned id."""
    single: bool = False
    """Whether a newer link replaces the older one, instead of standing beside it."""
    more: Frame = field(default_factory=dict)
    """Further fields of each envelope."""


@dataclass(slots=True)
class Peer:
    """What it remembers of another server."""

    key: str
    host: str
    port: int


class OriginalLink(Socket):
    """One connection to the stand-in, or from it."""

    def __init__(self, server: "OriginalServer", dialled: str = "") -> None:
        """``dialled`` is the URL, empty for a connection that somebody opened."""
        machine = client_machine(dialled) if dialled else ServerProtocol()
        super().__init__(machine, server.watch.changed)
        self.server = server
        self.peer = ""
        """Who is at the other end, once that is known."""
        self.mute = False
        self.heard_at = server.clock.seconds()
        self.dialled = bool(dialled)

    def received(self, frame: Frame) -> None:
        """Take a frame: the first says who this is, the others are the server's."""
        self.heard_at = self.server.clock.seconds()
        if self.mute or (self.dialled and not self.peer):
            return
        if not self.peer:
            if frame["type"] in HELLOS:
                self.server.greeted(self, frame)
            else:
                self.mute = True  # neither a server nor a user: nobody, for ever
        else:
            self.server.heard(self, frame)

    def connectionLost(self, reason: Any = None) -> None:
        """Forget the peer, even if another link to it is open."""
        super().connectionLost(reason)
        self.server.links.discard(self)
        if not self.server.manner.single or self.server.peers.get(self.peer) is self:
            self.server.peers.pop(self.peer, None)


class OriginalServer(ServerFactory):
    """One server of the original: its peers, its users, and what they were sent."""

    noisy = False

    def __init__(
        self,
        key: Key,
        port: int,
        clock: Any,
        watch: Watch,
        manner: Manner | None = None,
    ) -> None:
        """Measure the original's times with ``clock``, a reactor that may be fast."""
        self.id = key.owner
        self.key = key
        self.port = port
        self.clock = clock
        self.watch = watch
        self.manner = manner or Manner()
        self.links: set[OriginalLink] = set()
        self.peers: dict[str, OriginalLink] = {}
        self.known: dict[str, Peer] = {}
        self.users: dict[str, Key] = {}
        """Who is logged in here."""
        self.locations: dict[str, str] = {}
        """The server of each user of others."""
        self.user_keys: dict[str, str] = {}
        self.delivered: list[Frame] = []
        """The messages that reached users of this server."""
        self.refused: list[Frame] = []
        """Frames that were not signed by the server that they came from."""
        self.dropped: list[Frame] = []
        """Frames ``from`` another server than the one at the other end."""
        self.unknown: list[Frame] = []
        self.timed_out: list[str] = []
        self._seen: OrderedDict[tuple[Any, ...], float] = OrderedDict()
        self._listening: IListeningPort | None = None
        self._beating = LoopingCall(self._beat)
        self._beating.clock = clock

    # -- life --------------------------------------------------------------------------

    def start(self) -> None:
        """Listen, and begin to send heartbeats."""
        self._listening = self.clock.listenTCP(self.port, self, interface="127.0.0.1")
        self._beating.start(HEARTBEAT, now=False)

    async def stop(self) -> None:
        """Be gone: no goodbye to anybody."""
        if self._beating.running:
            self._beating.stop()
        if self._listening is not None:
            await self._listening.stopListening()  # type: ignore[misc]
            self._listening = None
        for link in list(self.links):
            link.abort()
        await self.watch.until(lambda: not self.links, 5)

    def buildProtocol(self, addr: IAddress | None) -> OriginalLink:
        """Take a connection."""
        link = OriginalLink(self)
        self.links.add(link)
        return link

    async def join(self, host: str, port: int, key: str) -> None:
        """
        Join through an introducer: once, for it never dials anybody again.

        Raise ``AssertionError`` unless the first reply is a WELCOME within ten seconds.
        """
        link = await self._dial(host, port)
        self._send_on(link, "SERVER_HELLO_JOIN", f"{host}:{port}", self._where())
        await self.watch.until(
            lambda: link.frames or link.closed, FIRST_REPLY, lambda: "no first reply"
        )
        assert link.frames, link.closed
        welcome = link.frames[0]
        assert welcome["type"] == "SERVER_WELCOME", welcome
        assert is_from(key, welcome), "the WELCOME is not signed with the pinned key"
        self._linked(link, welcome["from"], Peer(key, host, port))
        self._send_on(link, "SERVER_HELLO_LINK", link.peer, self._where())
        told = welcome["payload"]
        for entry in told.get("clients", []):
            if entry.get("user_id") not in (None, entry["server_id"]):
                self.locations[entry["user_id"]] = entry["server_id"]
                self.user_keys[entry["user_id"]] = entry["pubkey"]
        for entry in told.get("servers", []):
            if entry["server_id"] not in (self.id, *self.peers):
                await self._link(entry)
        self._tell_all("SERVER_ANNOUNCE", self._where())
        for frame in link.frames[1:]:
            self.heard(link, frame)  # what came while the WELCOME was being read

    async def _link(self, entry: Frame) -> None:
        link = await self._dial(entry["host"], entry["port"])
        peer = Peer(entry["pubkey"], entry["host"], entry["port"])
        self._linked(link, entry["server_id"], peer)
        self._send_on(link, "SERVER_HELLO_LINK", link.peer, self._where())

    async def _dial(self, host: str, port: int) -> OriginalLink:
        link = OriginalLink(self, f"ws://{host}:{port}")
        self.links.add(link)
        endpoint = TCP4ClientEndpoint(self.clock, host, port, timeout=600)
        await connectProtocol(endpoint, link)
        await self.watch.until(lambda: link.open, 5, lambda: f"no WebSocket at {port}")
        return link

    # -- users -------------------------------------------------------------------------

    def login(self, key: Key) -> None:
        """Let a user in, and tell the servers that are peers right now."""
        self.users[key.owner] = key
        told = {"user_id": key.owner, "server_id": self.id, "pubkey": key.public}
        self._tell_all("USER_ADVERTISE", {**told, "meta": {}})

    def write_to(
        self, sender: str, to: str, text: str, *, channel: bool = False
    ) -> None:
        """Have a user of ours write to another's, or to them as a channel's member."""
        key, ts = self.users[sender], int(time.time() * 1000)
        sealed = message(key, "" if channel else to, self.user_keys[to], text, ts)
        told = {"user_id": to, "sender": sender, "ts": ts, **sealed}
        kind = "MSG_PUBLIC_CHANNEL" if channel else "SERVER_DELIVER"
        server_id = self.locations[to]
        self._send_on(self.peers[server_id], kind, server_id, told)

    # -- frames ------------------------------------------------------------------------

    def greeted(self, link: OriginalLink, frame: Frame) -> None:
        """Somebody says first that they are a server."""
        told = frame["payload"]
        if not is_from(told["pubkey"], frame):
            self.refused.append(frame)
            link.close()
            return
        if frame["type"] == "SERVER_HELLO_JOIN":
            make = self.manner.welcome or original_welcome
            self._send_on(
                link, "SERVER_WELCOME", frame["from"], make(self, frame["from"])
            )
        peer = Peer(told["pubkey"], told["host"], told["port"])
        self._linked(link, frame["from"], peer)

    def heard(self, link: OriginalLink, frame: Frame) -> None:
        """Take a frame on a server's link."""
        sender = frame["from"]
        if sender != link.peer:
            self.dropped.append(frame)
        elif not is_from(self.known[sender].key, frame):
            self.refused.append(frame)
        elif not self._is_new(frame):
            return
        elif (rule := _RULES.get(frame["type"])) is None:
            self.unknown.append(frame)
        else:
            rule(self, sender, frame["payload"], frame)

    def _user_advertise(self, sender: str, told: Frame, frame: Frame) -> None:
        self.locations[told["user_id"]] = told["server_id"]
        self.user_keys[told["user_id"]] = told["pubkey"]

    def _user_remove(self, sender: str, told: Frame, frame: Frame) -> None:
        if self.locations.get(told["user_id"]) == told["server_id"]:
            del self.locations[told["user_id"]]

    def _server_announce(self, sender: str, told: Frame, frame: Frame) -> None:
        self.known[sender] = Peer(told["pubkey"], told["host"], told["port"])

    def _deliver(self, sender: str, told: Frame, frame: Frame) -> None:
        if told["user_id"] in self.users:
            self.delivered.append(frame)

    def _nothing(self, sender: str, told: Frame, frame: Frame) -> None:
        """It is alive; the link has noted that."""

    def _linked(self, link: OriginalLink, server_id: str, peer: Peer) -> None:
        link.peer = server_id
        if self.manner.single and server_id in self.peers:
            self.peers[server_id].close()
        self.known[server_id] = peer
        self.peers[server_id] = link

    def _is_new(self, frame: Frame) -> bool:
        now = self.clock.seconds()
        identity = (frame["type"], frame["ts"], canonical(frame["payload"]))
        while self._seen and (
            len(self._seen) >= SEEN or next(iter(self._seen.values())) < now - SEEN_FOR
        ):
            self._seen.popitem(last=False)
        if identity in self._seen:
            return False
        self._seen[identity] = now
        return True

    def _where(self) -> Frame:
        return {"host": "127.0.0.1", "port": self.port, "pubkey": self.key.public}

    def _tell_all(self, kind: str, payload: Frame) -> None:
        for link in self.peers.values():
            self._send_on(link, kind, "*", payload)

    def _send_on(self, link: OriginalLink, kind: str, to: str, payload: Frame) -> None:
        frame = {
            "type": kind,
            "from": self.id,
            "to": to,
            "ts": int(time.time() * 1000),
            "payload": payload,
            "sig": self.key.sign(canonical(payload), self.manner.salt),
            **self.manner.more,
        }
        if link.open:
            link.write_text(self.manner.dump(frame))

    def _beat(self) -> None:
        self._tell_all("HEARTBEAT", {})
        now = self.clock.seconds()
        for link in list(self.links):
            if link.peer and now - link.heard_at > SILENCE:
                self.timed_out.append(link.peer)
                link.close()


_RULES: Final[dict[str, Callable[[OriginalServer, str, Frame, Frame], None]]] = {
    "USER_ADVERTISE": OriginalServer._user_advertise,
    "USER_REMOVE": OriginalServer._user_remove,
    "SERVER_ANNOUNCE": OriginalServer._server_announce,
    "SERVER_DELIVER": OriginalServer._deliver,
    "MSG_PUBLIC_CHANNEL": OriginalServer._deliver,
    "SERVER_HELLO_LINK": OriginalServer._nothing,
    "HEARTBEAT": OriginalServer._nothing,
    "PUBLIC_CHANNEL_ADD": OriginalServer._nothing,
    "PUBLIC_CHANNEL_UPDATED": OriginalServer._nothing,
}


def original_welcome(server: OriginalServer, assigned_id: str) -> Frame:
    """Return the original's WELCOME: all four fields, with users in ``clients``."""
    me = {"server_id": server.id, **server._where()}
    others = [
        {"server_id": name, "host": one.host, "port": one.port, "pubkey": one.key}
        for name, one in server.known.items()
        if name != assigned_id
    ]
    users = [
        {**me, "user_id": user_id, "pubkey": key.public}
        for user_id, key in server.users.items()
    ]
    return {
        "assigned_id": assigned_id,
        "servers": [me, *others],
        "clients": users,
        "introducer": me,
    }
