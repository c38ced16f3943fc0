"""Who attacks, and what: a node from its start to its stop, and a server that lies."""

import hashlib
import json
from typing import Any, Final

from socp_twisted.node import Node
from socp_twisted.overlay.directory import Server
from socp_twisted.service import NodeService
from socp_twisted.wire.vocabulary import CAP_ACKS, CAP_BOUND, CAP_LINKS, CAP_POSSESSION
from tests.plain_socp import Frame, Key, canonical, message
from tests.sockets import Stranger

CAPS: Final = [CAP_ACKS, CAP_BOUND, CAP_LINKS, CAP_POSSESSION]
"""What a node of this project says that it can, and an attacker who poses as one."""

SERVERS_WORD: Final = frozenset(
    {"SERVER_ANNOUNCE", "USER_ADVERTISE", "USER_REMOVE", "SERVER_DELIVER"}
)
"""Frames by which a server would learn who is online, or what they say."""


class House:
    """One node on the loopback, from its start to its stop."""

    def __init__(self, service: NodeService, port: int, key: Key) -> None:
        self.service = service
        self.port = port
        self.key = key
        self.is_open = False

    @property
    def node(self) -> Node:
        """The node itself."""
        return self.service.node

    @property
    def id(self) -> str:
        """Its id, which an introducer may have changed."""
        return self.node.mesh.server_id

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"ws://127.0.0.1:{self.port}"

    def server(self, server_id: str) -> Server | None:
        """Return what it knows of a server."""
        return self.node.mesh.directory.servers.get(server_id)

    def linked(self) -> list[str]:
        """Return the servers that it is linked to, once for each link."""
        known = self.node.mesh.directory.servers.values()
        return sorted(one.id for one in known for _ in one.links)

    def online(self) -> dict[str, str]:
        """Return the users whom it would list, each with their server."""
        found = self.node.mesh.directory.online()
        return {user_id: location.server_id for user_id, location in found}


class Rogue(Stranger):
    """An attacker who is a server, with a key of its own or another's frames."""

    def claim(self, house: House, **more: Any) -> None:
        """Say SERVER_HELLO_JOIN; ``caps`` make it one of this project's."""
        self.claimed = {
            "host": "127.0.0.1",
            "port": 9,  # nobody listens there
            "pubkey": self.key.public,
            **more,
        }
        self.say("SERVER_HELLO_JOIN", f"127.0.0.1:{house.port}", self.claimed)

    async def join(self, house: House, **more: Any) -> None:
        """Claim to be a server as this project's nodes do, and prove it."""
        one_of_ours = {"caps": CAPS, "instance": "first", "server_id": self.name}
        self.claim(house, **one_of_ours, nonce="n", **more)
        welcome = await self.hear("SERVER_WELCOME", assigned_id=self.name)
        answer = proof(welcome, house)
        self.tell("SERVER_HELLO_LINK", {**self.claimed, **answer}, house.id)

    def bound(self, kind: str, payload: Frame, to: str = "*", **more: Any) -> Frame:
        """Return a payload that says what it is, as this project's nodes do."""
        said: Frame = {"type": kind, "instance": "first", "at": self.now(), **more}
        if to != "*":
            said["to"] = to
        return {**payload, "bound": said}

    def tell(self, kind: str, payload: Frame, to: str = "*", **more: Any) -> Frame:
        """Say something as a node of this project: bound."""
        return self.say(kind, to, self.bound(kind, payload, to), **more)

    def advertise(self, user_id: str, key: Key, server_id: str = "") -> Frame:
        """Say that a user is here, or at another server, with this key."""
        told = {"user_id": user_id, "server_id": server_id or self.name}
        return self.tell("USER_ADVERTISE", {**told, "pubkey": key.public})

    def learnt(self) -> list[Frame]:
        """Return the frames that told of users, or were for them."""
        return [frame for frame in self.frames if frame["type"] in SERVERS_WORD]


def proof(welcome: Frame, house: House) -> Frame:
    """Return the fields of a SERVER_HELLO_LINK that answer a WELCOME."""
    digest = hashlib.sha256(house.key.public.encode("ascii")).hexdigest()
    nonce = welcome["payload"]["nonce"]
    return {"answer": nonce, "peer": house.id, "peer_key": digest}


def write(sender: Stranger, to: str, text: str, key: Key, **more: Any) -> str:
    """Send a direct message, rightly signed; return the reference of its ACK."""
    ts = sender.now()
    payload = {**message(sender.key, to, key.public, text, ts), **more}
    ref = f"m{ts}"
    sender.say("MSG_DIRECT", to, payload, ts=ts, id=ref)
    return ref


def pose(
    stranger: Stranger, sender: str, kind: str, to: str, payload: Frame, **more: Any
) -> Frame:
    """Say something in the name of ``sender``, signed with the stranger's own key."""
    return stranger.say(kind, to, payload, **{"from": sender, **more})


def resigned(frame: Frame, key: Key) -> Frame:
    """Return a frame signed by another: who holds a server's key says anything."""
    return {**frame, "sig": key.sign(canonical(frame["payload"]))}


def size_of(frame: Frame) -> int:
    """Return the bytes of a frame as it came."""
    return len(json.dumps(frame, ensure_ascii=False).encode("utf-8"))
