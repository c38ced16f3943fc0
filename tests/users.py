"""Users of nodes in memory, with a database: who logs in, writes, and may lie."""

import json
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred

from socp_twisted.accounts import Accounts
from socp_twisted.pins import Pins
from socp_twisted.post import Post
from socp_twisted.store.sqlite import SqliteStore
from socp_twisted.trust.passwords import Verifier
from socp_twisted.trust.sealing import seal
from socp_twisted.trust.signatures import direct_content, login_content, public_content
from socp_twisted.wire.encoding import b64u_encode
from socp_twisted.wire.envelope import Envelope
from socp_twisted.wire.vocabulary import (
    FILE_ANSWER,
    FILE_CHUNK,
    FILE_END,
    FILE_START,
    LIST_REQUEST,
    MSG_DIRECT,
    MSG_PUBLIC_CHANNEL,
    USER_LOGIN,
    USER_REGISTER,
)
from tests.inline_store import NOW, inline_store
from tests.keyring import key_of, pub_of, signature
from tests.memory_network import Wire
from tests.raw_ends import UserEnd
from tests.support import MeshTestCase, Site

PASSWORD = "correct horse battery staple"
SHA256 = "0" * 64
KEYS = {"carol": "srv-d", "dave": "srv-e"}
"""Whose key a user has who has none of their own in the vectors."""


@cache
def verifier(password: str) -> str:
    """Return a ``pake_password``, made once in a process: 45 ms apiece."""
    return Verifier.of(password).to_text()


@cache
def sealed_for(name: str, text: str) -> bytes:
    """Return a ciphertext for a test key, the same one each time."""
    return seal(key_of(name).public, text.encode("utf-8"))


def key_name(user_id: str) -> str:
    """Return the test key of a user."""
    return KEYS.get(user_id, user_id)


class Person(UserEnd):
    """A user's client that logs in in every way there is, and says anything."""

    challenge = server_key = ""

    # -- coming ------------------------------------------------------------------------

    def greet(
        self, user_id: str, key: str = "", *, signed: bool = True, **more: Any
    ) -> None:
        """Send USER_HELLO; keep the server's nonce, if there is one."""
        key = key or key_name(user_id)
        self.hello(user_id, key, signed=signed, id="hello", **more)
        for answer in self.of("USER_HELLO_ACK"):
            self.challenge = answer.payload["nonce"]
            self.server_key = answer.payload["pubkey"]

    def proof(self, *, nonce: str = "", server: str = "srv-a", user: str = "") -> str:
        """Return our signature of the server's nonce, or of something else."""
        content = login_content(
            nonce or self.challenge, server, self.server_key, user or self.user_id
        )
        return signature(self.key, content)

    def prove(self, proof: str, user_id: str = "") -> None:
        """Send USER_LOGIN with a proof."""
        login = {"user_id": user_id or self.user_id, "proof": proof}
        self.say(USER_LOGIN, self.user_id, "*", login, id="login")

    def enter(
        self, user_id: str, key: str = "", server: str = "srv-a", **more: Any
    ) -> None:
        """Log in by key: USER_HELLO, then the proof."""
        self.greet(user_id, key, **more)
        self.prove(self.proof(server=server))

    def log_in(self, user_id: str, password: str = PASSWORD) -> None:
        """Send USER_LOGIN with a password, and no USER_HELLO before it."""
        self.user_id, self.key = user_id, key_name(user_id)
        login = {"user_id": user_id, "password": password}
        self.say(USER_LOGIN, user_id, "*", login, id="login")

    def register(self, user_id: str, key: str = "", **more: Any) -> None:
        """Send USER_REGISTER, with the test password if no other is given."""
        if "pubkey" not in more:
            more["pubkey"] = pub_of(key or key_name(user_id))
        account = {
            "user_id": user_id,
            "privkey_store": "sealed",
            "pake_password": verifier(PASSWORD),
            **more,
        }
        self.say(USER_REGISTER, user_id, "*", account, id="register")

    # -- writing -----------------------------------------------------------------------

    def message(
        self,
        to: str,
        text: str = "hello",
        *,
        ts: int | None = None,
        public: bool = False,
        reader: str = "",
        **more: Any,
    ) -> tuple[int, dict[str, Any]]:
        """Return ts and payload of a message, genuine but for what ``more`` changes."""
        when = self.now() if ts is None else ts
        ciphertext = sealed_for(reader or key_name(to), text)
        content = (
            public_content(ciphertext, self.user_id, when)
            if public
            else direct_content(ciphertext, self.user_id, to, when)
        )
        payload = {
            "ciphertext": b64u_encode(ciphertext),
            "sender_pub": pub_of(self.key),
            "content_sig": signature(self.key, content),
        }
        return when, {**payload, **more}

    def tell(self, to: str, text: str = "hello", *, id: str = "", **more: Any) -> int:
        """Send MSG_DIRECT; return its ts."""
        ts, payload = self.message(to, text, **more)
        self.say(MSG_DIRECT, self.user_id, to, payload, ts=ts, id=id)
        return ts

    def proclaim(
        self, to: str, text: str = "hello", *, id: str = "", **more: Any
    ) -> int:
        """Send one member's MSG_PUBLIC_CHANNEL; return its ts."""
        ts, payload = self.message(to, text, public=True, **more)
        self.say(MSG_PUBLIC_CHANNEL, self.user_id, to, payload, ts=ts, id=id)
        return ts

    def ask_list(self) -> Envelope:
        """Ask who is there; return the last part of the answer."""
        self.say(LIST_REQUEST, self.user_id, "*", {}, id="list")
        return self.of("LIST_RESPONSE")[-1]

    def say_raw(self, fields: dict[str, Any]) -> None:
        """Send any JSON object."""
        self.send(json.dumps(fields).encode("utf-8"))

    # -- files -------------------------------------------------------------------------

    def start_file(self, to: str, file_id: str = "f1", **more: Any) -> None:
        """Send FILE_START."""
        file = {"file_id": file_id, "name": "notes.txt", "size": 3, "sha256": SHA256}
        start = {**file, "mode": "dm", "to": to, **more}
        self.say(FILE_START, self.user_id, to, start, id="start")

    def chunk(self, to: str, file_id: str = "f1", index: int = 0, **more: Any) -> None:
        """Send FILE_CHUNK."""
        chunk = {"file_id": file_id, "index": index, "ciphertext": "AAAA", "to": to}
        self.say(FILE_CHUNK, self.user_id, to, {**chunk, **more}, id=f"chunk{index}")

    def end_file(self, to: str, file_id: str = "f1", **more: Any) -> None:
        """Send FILE_END."""
        end = {"file_id": file_id, "to": to, **more}
        self.say(FILE_END, self.user_id, to, end, id="end")

    def answer_file(self, to: str, file_id: str = "f1", **more: Any) -> None:
        """Send FILE_ANSWER."""
        answer = {"file_id": file_id, "accept": True, "to": to, **more}
        self.say(FILE_ANSWER, self.user_id, to, answer, id="answer")

    # -- hearing -----------------------------------------------------------------------

    def forget(self) -> None:
        """Take what was received so far for read."""
        self.received.clear()

    def heard(self) -> list[str]:
        """Return the types of all frames received, in order."""
        return [one.type for one in self.received]

    def fault(self) -> tuple[str, str]:
        """Return code and sentence of the only ERROR."""
        told = self.only("ERROR").payload
        return told["code"], told["detail"]

    def outcomes(self) -> list[tuple[str, str]]:
        """Return what was answered, frame by frame: its id, and status or code."""
        return [
            (one.payload.get("msg_ref", ""), one.payload.get("status", ""))
            if one.type == "ACK"
            else (one.payload.get("msg_ref", ""), one.payload["code"])
            for one in self.received
            if one.type in ("ACK", "ERROR")
        ]


class Desk:
    """Where passwords are checked: at once, or when the test says so."""

    def __init__(self) -> None:
        self.checks = 0
        self.held: list[Deferred[None]] | None = None

    async def check(self, check: Callable[[], bool]) -> bool:
        """Check one, perhaps later."""
        self.checks += 1
        if self.held is not None:
            turn: Deferred[None] = Deferred()
            self.held.append(turn)
            await turn
        return check()

    def serve(self) -> None:
        """Answer who waits."""
        held, self.held = self.held or [], None
        for turn in held:
            turn.callback(None)


class SlowStore:
    """A store whose disk stands still until the test lets it turn."""

    def __init__(self, store: SqliteStore) -> None:
        self._store = store
        self._waiting: list[Deferred[None]] = []

    def __getattr__(self, name: str) -> Any:
        """Wait, then do what the store does."""
        operation = getattr(self._store, name)

        async def later(*args: Any, **kwargs: Any) -> Any:
            turn: Deferred[None] = Deferred()
            self._waiting.append(turn)
            await turn
            return await operation(*args, **kwargs)

        return later

    def turn(self) -> None:
        """Do what waits."""
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            one.callback(None)


class UserTestCase(MeshTestCase):
    """Nodes in memory that have databases, and users on them."""

    hold = 0.0
    """Seconds for which messages wait for whoever is away."""

    def setUp(self) -> None:
        """Make an empty network; databases are made as nodes start."""
        super().setUp()
        self.desks: dict[str, Desk] = {}
        self.stores: dict[str, SqliteStore] = {}
        self.folder = Path(self.mktemp())

    def start(
        self,
        name: str = "srv-a",
        port: int = 8765,
        bootstrap: Iterable[Site | tuple[str, str]] = (),
        **options: Any,
    ) -> Site:
        """Start a node, ``srv-a`` if no other is asked for."""
        return super().start(name, port, bootstrap, **options)

    def remember(self, site: Site) -> None:
        """Give a node the database of its name, which outlives it."""
        name = site.id
        store = self.stores[name] = inline_store(self.path(name))
        self.done(store.open(NOW))
        self.addCleanup(lambda: self.done(store.close()))
        desk = self.desks[name] = Desk()
        site.node.accounts = Accounts(site.node.mesh, store, desk.check)
        self.done(site.node.accounts.open())
        pins = site.node.pins = Pins(site.node.mesh, store)
        self.done(pins.open())
        post = Post(site.node.mesh, store, site.node.perform, hold=self.hold)
        site.node.post = post
        self.done(post.open())

    def restart(self, site: Site) -> Site:
        """End a node, and start it again on the same database."""
        self.kill(site)
        self.done(self.stores[site.id].close())
        return self.start(site.id, site.port)

    def pair(self) -> tuple[Site, Site]:
        """Start two nodes, and wait until they are linked."""
        one = self.start("srv-a", 8765)
        two = self.start("srv-b", 8766, [one])
        self.network.pass_time(2)
        self.assert_mesh(one, two)
        return one, two

    def path(self, name: str = "srv-a") -> Path:
        """Return where the database of a node is."""
        return self.folder / f"{name}.db"

    def done(self, coroutine: Any) -> Any:
        """Return what a coroutine of an inline store returns."""
        return self.successResultOf(Deferred.fromCoroutine(coroutine))

    def account(self, site: Site, user_id: str, **more: Any) -> None:
        """Register a user, on a connection of its own."""
        clerk = self.person(site)
        clerk.register(user_id, **more)
        clerk.only("USER_REGISTERED")
        clerk.leave()

    def person(
        self,
        site: Site,
        user_id: str = "",
        key: str = "",
        *,
        host: str = "",
        extras: Iterable[str] = (),
        **more: Any,
    ) -> Person:
        """
        Connect, from another address if asked, and log in if there is an id.

        ``extras`` is what the client says that it can, ``more`` what else it says.
        """
        end, wire = self.connect(site)
        if host:
            self.party(site, wire).host = host
        person = Person(end, wire, self.network)
        if user_id:
            if extras:
                more["meta"] = {"extras": list(extras)}
            person.enter(user_id, key, site.id, **more)
            self.assertIn("PUBLIC_CHANNEL_SNAPSHOT", person.heard())
        return person

    def party(self, site: Site, wire: Wire) -> Any:
        """Return what a node knows of the other end of the newest wire."""
        assert wire is self.network.wires[-1]
        return site.node.mesh.parties[max(site.node.mesh.parties)]

    def users(self, site: Site, *user_ids: str) -> list[Person]:
        """Log several users in; forget what they were told so far."""
        people = [self.person(site, user_id) for user_id in user_ids]
        for one in people:
            one.forget()
        return people

    def link_held(self, one: Site, other: Site, held: bool = True) -> None:
        """Let the network swallow what two nodes say to each other, or stop that."""
        for wire in self.network.between(one.port, other.port):
            wire.held = held
