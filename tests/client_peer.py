"""A small server in memory for client tests: one room, real signatures, no sockets."""

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from twisted.trial.unittest import SynchronousTestCase

from socp_twisted.client.events import Event
from socp_twisted.client.files import Policy
from socp_twisted.client.keystore import Account
from socp_twisted.client.pins import Pins
from socp_twisted.client.session import Session
from socp_twisted.errors import SocpError
from socp_twisted.trust.keys import public_key
from socp_twisted.trust.signatures import check, login_content, signed_frame
from socp_twisted.wire.encoding import b64u_encode
from socp_twisted.wire.envelope import Envelope
from tests.vector_files import private, public

NOW = 1_790_000_000_000
ADDRESS = "ws://127.0.0.1:8765"
EXTRAS = [
    "files-asked",
    "blocks",
    "channel-key",
    "files-aes",
    "files-256k",
    "receipts",
]

E = TypeVar("E")


class User:
    """One client at the other end of the test: its session, and what it was told."""

    def __init__(self, session: Session, server: "Server") -> None:
        self.session = session
        self.server = server
        self.user_id = ""
        self.online = self.bound = False
        self.extras: list[str] = []
        self.pubkey = ""
        self.nonce = ""
        self.events: list[Event] = []
        self.sent: list[dict[str, Any]] = []

    def told(self, kind: type[E]) -> list[E]:
        """Return the events of one kind, and forget them."""
        found: list[E] = [event for event in self.events if isinstance(event, kind)]
        self.events = [event for event in self.events if not isinstance(event, kind)]
        return found

    def frames(self, type: str) -> list[dict[str, Any]]:
        """Return what this client has sent of one type."""
        return [frame for frame in self.sent if frame["type"] == type]


class Server:
    """Speaks the user's side of the protocol, as far as the tests need it."""

    def __init__(self, name: str = "srv-a", style: str = "ours") -> None:
        self.name = name
        self.key = private(name)
        self.style = style
        self.tls_exporter = ""
        """Which TLS connection this server sees, to any user."""
        self.now = NOW
        self.caps = ["acks"]
        self.users: list[User] = []
        self.accounts: dict[str, dict[str, Any]] = {}
        self.silent: set[str] = set()
        """Types of frames that get no answer and go nowhere."""
        self.alter: Callable[[str, dict[str, Any]], None] = lambda type, payload: None
        """Changes a payload before this server signs it."""
        self.answers = {
            "USER_HELLO": self.hello,
            "USER_REGISTER": self.register,
            "USER_LOGIN": self.login,
            "LIST_REQUEST": self.listing,
        }

    # -- the test's side ---------------------------------------------------------------

    def attach(
        self,
        user_id: str,
        folder: Path,
        *,
        key: str | None = "",
        passphrase: str = "",
        policy: Policy = Policy.ASK,
        pins: Pins | None = None,
        plain: bool = False,
        tls_exporter: str = "",
    ) -> User:
        """Return a new client, connected and not logged in."""
        mine = None if key is None else private(key or user_id)
        account = Account(user_id, mine, passphrase, plain_password=plain)
        ids = (f"{user_id}-{number}" for number in range(10**9))
        session = Session(
            account,
            pins or Pins(None),
            ADDRESS,
            folder,
            policy=policy,
            new_id=lambda: next(ids),
        )
        user = User(session, self)
        self.users.append(user)
        session.connected(tls_exporter)
        return user

    def enter(self, user_id: str, folder: Path, **options: Any) -> User:
        """Return a new client that is logged in."""
        user = self.attach(user_id, folder, **options)
        user.session.login(self.now)
        self.pump()
        return user

    def pump(self) -> None:
        """Carry frames until nobody has anything to say."""
        busy = True
        while busy:
            busy = False
            for user in self.users:
                output = user.session.drain()
                user.events.extend(output.events)
                for frame in (*output.frames, *output.receipts):
                    busy = True
                    self.receive(user, frame)

    def tick(self, seconds: float) -> None:
        """Let time pass, and tell everybody."""
        self.now += int(seconds * 1000)
        for user in self.users:
            user.session.tick(self.now)
        self.pump()

    def say(self, user: User, type: str, payload: dict[str, Any], **top: Any) -> None:
        """Send one frame, signed."""
        payload = dict(payload)
        self.alter(type, payload)
        envelope = Envelope.create(
            type, self.name, user.user_id or "*", self.now, payload, extra=top
        )
        frame = signed_frame(envelope, self.key)
        if self.style == "original" or (user.bound and type != "USER_HELLO_ACK"):
            frame = envelope.to_frame()
        user.session.receive(frame, self.now)

    # -- the server's side -------------------------------------------------------------

    def receive(self, user: User, frame: bytes) -> None:
        """Act on a frame of a client."""
        fields = json.loads(frame)
        user.sent.append(fields)
        if fields["type"] in self.silent:
            return
        if fields["type"] in self.answers:
            self.answers[fields["type"]](user, fields)
        else:
            self.pass_on(user, fields)

    def error(self, user: User, fields: dict[str, Any], code: str, text: str) -> None:
        """Answer with an ERROR."""
        self.say(
            user,
            "ERROR",
            {"code": code, "detail": text, "msg_ref": fields.get("id", "")},
        )

    def hello(self, user: User, fields: dict[str, Any]) -> None:
        """USER_HELLO: show who we are, in the style of this server."""
        payload = fields["payload"]
        envelope = Envelope.parse(json.dumps(fields).encode())
        check(public_key(payload["pubkey"]), envelope.signed, fields["sig"])
        user.user_id, user.pubkey = fields["from"], payload["pubkey"]
        user.extras = payload["meta"]["extras"]
        if self.style == "mute":
            return
        if self.style == "original":
            self.say(user, "USER_HELLO_ACK", {"status": "ok"})
            return
        user.nonce = b64u_encode(bytes(32))
        answer = {
            "status": "ok",
            "server_id": self.name,
            "pubkey": self.key.public.text,
            "nonce": user.nonce,
            "answer": payload["nonce"],
            "agent": "socp_twisted",
            "caps": self.caps,
        }
        user.bound = payload.get("tls_exporter", "") == self.tls_exporter != ""
        if user.bound:
            answer["tls_exporter"] = self.tls_exporter
        self.say(user, "USER_HELLO_ACK", answer)

    def register(self, user: User, fields: dict[str, Any]) -> None:
        """USER_REGISTER: keep the account."""
        payload = fields["payload"]
        if payload["user_id"] in self.accounts and not user.online:
            self.error(user, fields, "NAME_IN_USE", "this name is taken")
            return
        self.accounts[payload["user_id"]] = payload
        self.say(user, "USER_REGISTERED", {"user_id": payload["user_id"]})

    def login(self, user: User, fields: dict[str, Any]) -> None:
        """USER_LOGIN: by proof or by password."""
        payload = fields["payload"]
        user.user_id = payload["user_id"]
        account = self.accounts.get(user.user_id, {})
        store = ""
        try:
            if "proof" in payload:
                content = login_content(
                    user.nonce, self.name, self.key.public.text, user.user_id
                )
                check(public_key(user.pubkey), content, payload["proof"])
            elif payload["password"] == account.get("password"):
                store = account["privkey_store"]
            else:
                raise SocpError
        except SocpError:
            self.error(user, fields, "BAD_KEY", "wrong user or password")
            return
        self.say(
            user,
            "USER_LOGGED_IN",
            {"user_id": user.user_id, "privkey_store": store, "server_id": self.name},
        )
        if user.pubkey:
            self.arrive(user)

    def arrive(self, user: User) -> None:
        """Tell everybody who is there now."""
        user.online = True
        for other in self.others(user):
            self.say(user, "USER_ADDED", self.entry(other))
            self.say(other, "USER_ADDED", self.entry(user))
        members = [one.user_id for one in self.users if one.online]
        self.say(user, "PUBLIC_CHANNEL_SNAPSHOT", {"version": 1, "members": members})

    def leave(self, user: User) -> None:
        """A user has gone."""
        self.users.remove(user)
        for other in self.others(user):
            self.say(other, "USER_REMOVED", {"user_id": user.user_id})
        self.pump()

    def others(self, user: User) -> Iterator[User]:
        """Return who else is online."""
        return (one for one in self.users if one.online and one is not user)

    def entry(self, user: User, **changed: Any) -> dict[str, Any]:
        """Return the payload of USER_ADDED."""
        return {
            "user_id": user.user_id,
            "pubkey": user.pubkey,
            "online_local": True,
            "server_id": self.name,
            "display_name": user.user_id.title(),
            "extras": user.extras,
            **changed,
        }

    def listing(self, user: User, fields: dict[str, Any]) -> None:
        """LIST_REQUEST, in this server's style."""
        users = [self.entry(one) for one in self.users if one.online]
        if self.style == "original":
            self.say(user, "LIST_RESPONSE", {}, users=users)
        else:
            self.say(user, "LIST_RESPONSE", {"users": users, "part": 1, "parts": 1})

    def pass_on(self, user: User, fields: dict[str, Any]) -> None:
        """Deliver to the recipient, and answer for it."""
        if fields["to"] == "public":
            self.fan_out(user, fields)
            return
        there = [one for one in self.users if one.user_id == fields["to"]]
        if not there or not there[0].online:
            self.error(user, fields, "USER_NOT_FOUND", "nobody here has this name")
            return
        type = {"MSG_DIRECT": "USER_DELIVER"}.get(fields["type"], fields["type"])
        if type.startswith("FILE_"):
            type += "_DELIVER"
        about = {"sender": user.user_id, "ts": fields["ts"]}
        self.say(there[0], type, {**fields["payload"], **about})
        if self.style != "original":
            with suppress(KeyError):
                answer = {"msg_ref": fields["id"], "status": "delivered"}
                self.say(user, "ACK", answer)

    def fan_out(self, user: User, fields: dict[str, Any]) -> None:
        """Hand what is for everybody to everybody; the test answers for it."""
        about = {"sender": user.user_id, "ts": fields["ts"], "msg_id": fields["id"]}
        for other in list(self.others(user)):
            self.say(other, fields["type"], {**fields["payload"], **about})


def deliver(server: Server, to: User, payload: dict[str, Any]) -> None:
    """Hand a message to a client as this server would."""
    server.say(to, "USER_DELIVER", payload)
    server.pump()


def fingerprint(name: str) -> str:
    """Return the fingerprint of a test key."""
    return public(name).fingerprint


class SessionCase(SynchronousTestCase):
    """A server in memory, and the files of one test."""

    def setUp(self) -> None:
        """Begin with an empty server."""
        self.server = Server()
        self.folder = Path(self.mktemp())

    def enter(self, user_id: str, **options: Any) -> User:
        """Return a client that is logged in."""
        return self.server.enter(user_id, self.folder / user_id, **options)

    def both(self) -> tuple[User, User]:
        """Return alice and bob, logged in, their events so far forgotten."""
        alice, bob = self.enter("alice"), self.enter("bob")
        for user in (alice, bob):
            user.events.clear()
        return alice, bob


class FileCase(SynchronousTestCase):
    """Alice has files, bob has a folder."""

    policy = Policy.ASK

    def setUp(self) -> None:
        """Both are logged in."""
        self.server = Server()
        self.home = Path(self.mktemp())
        self.home.mkdir(parents=True)
        self.folder = self.home / "downloads"
        self.alice = self.server.enter("alice", self.home / "unused")
        self.bob = self.server.enter("bob", self.folder, policy=self.policy)
        self.alice.events.clear()
        self.bob.events.clear()

    def file(self, size: int, name: str = "notes.txt") -> Path:
        """Return a file of alice's."""
        path = self.home / name
        path.write_bytes(bytes(range(256)) * (size // 256) + b"x" * (size % 256))
        return path

    def send(self, path: Path, to: str = "bob") -> str:
        """Let alice send a file; return its id."""
        ids = self.alice.session.send_file(to, path, self.server.now)
        self.server.pump()
        return next(iter(ids.values()))

    def assert_nothing_left(self) -> None:
        """No partial file and no name lies in the folder."""
        self.assertEqual(list(self.folder.glob("*")) + list(self.folder.glob(".*")), [])
