"""What lies around, who else may knock, and what a signature covers."""

import base64
import os
import stat
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure

from socp_twisted.client import Client
from socp_twisted.client import events as told
from socp_twisted.client.pins import Pins
from tests.attacks.ground import AttackCase, reactor
from tests.attacks.people import House, resigned, write
from tests.attacks.test_s07_s09 import RelayCase
from tests.certificates import Authority, self_signed
from tests.keyring import key_of as private
from tests.plain_socp import Frame, b64u, content_bytes, key_of, message, seal
from tests.processes import ProcessTestCase


class OwnersEyesTests(ProcessTestCase):
    """Keys and databases are for their owner's eyes."""

    async def test_s22_readable_files(self) -> None:
        """Under the loosest umask nobody else reads a key or the database."""
        node = self.node("srv-a")
        node.configure([])
        keyfile = node.folder / "server_key_srv-a.json"
        keyfile.chmod(0o666)  # as the original left it
        before = os.umask(0)
        try:
            await self.start(node)
        finally:
            os.umask(before)
        alice = await self.user("alice", node)
        alice.say(
            "USER_REGISTER", "*", {"user_id": "alice", "pubkey": alice.key.public}
        )
        await alice.hear("USER_REGISTERED")
        secret = [
            path
            for path in node.folder.iterdir()
            if path.name.startswith(("server_key", "socp-srv-a.db"))
        ]
        self.assertGreaterEqual(len(secret), 2)
        for path in secret:
            self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600, path.name)


class Page(Protocol):
    """What a web page in a visitor's browser can send, and what it is answered."""

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self.answer = b""
        self.gone = False

    def connectionMade(self) -> None:
        """Ask for a WebSocket, saying where the page came from."""
        key = base64.b64encode(b"0" * 16).decode("ascii")
        lines = ["GET / HTTP/1.1", "Host: 127.0.0.1", "Upgrade: websocket"]
        lines += ["Connection: Upgrade", f"Sec-WebSocket-Key: {key}"]
        lines += ["Sec-WebSocket-Version: 13"]
        lines += [f"Origin: {self.origin}"] if self.origin else []
        assert self.transport is not None
        self.transport.write("\r\n".join([*lines, "", ""]).encode("ascii"))

    def dataReceived(self, data: bytes) -> None:
        """Keep the answer."""
        self.answer += data

    def connectionLost(self, reason: Failure = None) -> None:  # type: ignore[assignment]
        """Note the end."""
        self.gone = True


class WebPageTests(AttackCase):
    """No web page uses its visitor's way to a server, and nobody listens on the way."""

    async def ask(self, house: House, origin: str) -> str:
        """Return the status of the answer to a page from ``origin``."""
        page = Page(origin)
        where = TCP4ClientEndpoint(reactor, "127.0.0.1", house.port)
        await connectProtocol(where, page)
        await self.until(lambda: b"\r\n" in page.answer)
        assert page.transport is not None
        page.transport.loseConnection()
        await self.until(lambda: page.gone)
        return page.answer.split(b"\r\n")[0].decode("ascii")

    async def test_s23_origin(self) -> None:
        """A page of any origin is refused; a program, which has none, is not."""
        house = self.house()
        port = house.port
        for origin in (
            "http://evil.example",
            "null",
            "https://127.0.0.1",
            f"http://127.0.0.1:{port}",
            f"http://localhost:{port}",
            "file://",
        ):
            self.assertIn(" 4", await self.ask(house, origin), origin)
        self.assertIn(" 101 ", await self.ask(house, ""))

    async def test_s23_tls(self) -> None:
        """With a certificate the port speaks wss:// alone, and clients check it."""
        authority = Authority("ours")
        (self.home / "ca.pem").write_bytes(authority.pem)
        chain, key = authority.issue().write(self.home / "tls")
        house = self.house(tls_cert=chain, tls_key=key)
        url = house.url.replace("ws:", "wss:")
        await self.client(url, "alice", tls_ca=self.home / "ca.pem")
        bob, seen = await self.client(url, "bob", tls_ca=self.home / "ca.pem")
        await self.until(bob._session.contacts.online)
        await bob.tell("alice", "nobody listens")
        status = await self.ask(house, "")
        self.assertNotIn("101", status)
        false, key = self_signed().write(self.home / "false")
        thief = self.house("srv-b", tls_cert=false, tls_key=key)
        refused = await self.refusal(thief.url.replace("ws:", "wss:"))
        self.assertTrue(refused)
        self.assertEqual(thief.online(), {})
        self.assertFalse(self.count(seen, told.FrameRefused))

    async def refusal(self, url: str) -> bool:
        """Say whether a client's first attempt fails over its certificate."""
        client = Client(
            reactor,
            url,
            user_id="alice",
            key=private("alice"),
            pins=Pins(None),
            downloads=self.home,
            tls_ca=self.home / "ca.pem",
        )
        self.addCleanup(lambda: Deferred.fromCoroutine(client.close()))
        seen = self.follow(client)
        Deferred.fromCoroutine(client.start()).addErrback(lambda _: None)
        await self.until(lambda: self.count(seen, told.ConnectFailed))
        return "certificate" in str(seen)


class SplitTests(RelayCase):
    """The parts of a signed content have no separators, and yet one split counts."""

    async def test_s24_other_splits(self) -> None:
        """The same bytes under other names or another time are not shown."""
        house = self.house()
        relay = self.relay(house)
        bob, seen = await self.client(relay.url, "bob")
        alice = await self.user(house, "alice")
        await self.until(bob._session.contacts.online)
        sealed = seal(key_of("bob").public, b"for bob alone")
        ts = alice.now()
        frame: Frame = {"from": "srv-a", "to": "bob", "ts": ts}
        for to, sender, at in (
            ("bob1", "alice", int(f"1{ts}")),
            ("bob1", "alicebob1", ts),
            ("bob", "alicebob", ts),
            ("bob", "alic", ts),
            ("ebob", "alice", ts),
        ):
            sig = alice.key.sign(content_bytes(sealed, "alice", to, ts))
            payload = {"ciphertext": b64u(sealed), "sender": sender, "ts": at}
            payload |= {"sender_pub": alice.key.public, "content_sig": sig}
            for kind in ("USER_DELIVER", "MSG_PUBLIC_CHANNEL"):
                for held in (True, False):
                    said = {**frame, "type": kind, "payload": {**payload, "held": held}}
                    relay.inject(resigned(said, house.key))
        sig = alice.key.sign(content_bytes(sealed[:-1], "alice", "bob", ts))
        payload |= {"sender": "alice", "ciphertext": b64u(sealed[:-1])}
        said = {**frame, "type": "USER_DELIVER"}
        said["payload"] = {**payload, "content_sig": sig}
        relay.inject(resigned(said, house.key))
        write(alice, "bob", "genuine", key_of("bob"))
        await self.until(lambda: self.count(seen, told.TextReceived))
        texts = [one.text for one in seen if isinstance(one, told.TextReceived)]
        self.assertEqual(texts, ["genuine"])


ANYTHING: list[Any] = [
    *(
        None,
        {},
        [],
        5,
        True,
        "",
        "not base64!",
        "AAAA",
        "A" * 900_000,
        {"a": {"b": []}},
    ),
    *(["AAAA"], "=", "\u202e", "AAAA\n"),
]
"""What stood where a ciphertext should stand."""


class AnythingTests(AttackCase):
    """Nothing is signed and passed on that its recipient could not read."""

    async def test_s25_any_ciphertext(self) -> None:
        """A ciphertext, key, signature or ts of another kind is refused."""
        house = self.house()
        alice, bob = await self.user(house, "alice"), await self.user(house, "bob")
        await self.calm(alice, bob)
        sent = 0
        for value in ANYTHING:
            for field in ("ciphertext", "sender_pub", "content_sig"):
                if field == "content_sig" and value in ("AAAA", "A" * 900_000):
                    continue  # a signature as far as one can see: its reader checks it
                ts = alice.now()
                good = message(alice.key, "bob", bob.key.public, "hi", ts)
                alice.say("MSG_DIRECT", "bob", {**good, field: value}, ts=ts)
                sent += 1
        times: list[Any] = [None, {}, [], "5", True, -1, 2**60, 1.5]
        for when in times:
            frame = alice.say("MSG_DIRECT", "bob", good)
            alice.write({**frame, "ts": when})
            sent += 1
        others: list[Frame] = [
            {"payload": []},
            {"payload": 5},
            {"to": {}},
            {"from": 5},
            {"type": None},
        ]
        for changed in others:
            alice.write({**frame, **changed})
            sent += 1
        await self.watch.until(lambda: len(alice.heard("ERROR")) >= sent, 10)
        codes = {one["payload"]["code"] for one in alice.heard("ERROR")}
        self.assertLessEqual(codes, {"MALFORMED", "BAD_KEY", "LIMIT"})
        await self.calm(alice)
        got = {one["type"] for one in await self.news(bob)}
        self.assertLessEqual(got, {"USER_DELIVER"})  # those that were said as they are
        await self.talk(alice, bob)

    async def test_s25_any_detail(self) -> None:
        """An ERROR of another server reaches a user's screen as a short text or not."""
        house = self.house()
        eve = await self.member(house, "srv-c")
        alice = await self.user(house, "alice")
        eve.advertise("bob", key_of("bob"))
        await alice.hear("USER_ADDED", user_id="bob")
        await self.calm(alice)
        eve.frames.clear()
        details: list[Any] = [None, {}, [], 5, "x" * 900_000, "\x1b[2J\nowned"]
        for detail in details:
            write(alice, "bob", "hi", key_of("bob"))
            await eve.hear("SERVER_DELIVER")
            asked = eve.heard("SERVER_DELIVER")[-1]["payload"]["msg_id"]
            eve.frames.clear()
            error = {"code": "LIMIT", "detail": detail, "msg_ref": asked}
            eve.tell("ERROR", error, "srv-a")
            eve.tell("ERROR", {"code": detail, "msg_ref": asked}, "srv-a")
        news = await self.news(alice)
        self.assertIn("ERROR", [frame["type"] for frame in news])
        for frame in news:
            said = frame["payload"].get("detail", "")
            self.assertIsInstance(said, str)
            self.assertLess(len(said), 2000)
            self.assertNotIn("\x1b", said)
            self.assertNotIn("\n", said)
