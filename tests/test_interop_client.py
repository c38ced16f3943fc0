"""The original's client: do we answer it as its own server does?  (SOCP 9)"""

import hashlib
import json
from typing import Any

from tests.neighbours import InteropTestCase, Ours
from tests.plain_socp import (
    Frame,
    Key,
    b64u,
    key_of,
    message,
    pake_password,
    read_message,
    seal,
    unb64u,
)
from tests.sockets import Stranger

STORE = json.dumps({"salt": "c2FsdA", "nonce": "bm9uY2U", "blob": "YmxvYg"})
"""A ``privkey_store`` as the original's client makes it; servers only keep it."""


class OriginalClientTests(InteropTestCase):
    """The original's client talks to us as it does to its own server."""

    async def client(self, node: Ours, owner: str = "alice") -> Stranger:
        """Connect, and say the client's unsigned hello."""
        client = await self.dial(key_of(owner), node)
        self.send(
            client,
            "USER_HELLO",
            {
                "client": "cli-v1",
                "pubkey": client.key.public,
                "enc_pubkey": client.key.public,
            },
            **{"from": owner, "to": "*"},
        )
        await client.hear("USER_HELLO_ACK", status="ok")
        return client

    def send(self, client: Stranger, kind: str, payload: Any, **more: Any) -> int:
        """Send a frame as it does: no signature, and no more than it must say."""
        ts = client.now()
        frame = {"type": kind, **more, "ts": ts}
        client.write(frame if payload is None else {**frame, "payload": payload})
        return ts

    def write_to(self, client: Stranger, to: str, key: str, text: str) -> None:
        """Send MSG_DIRECT as it does: sender and recipient are in the payload."""
        ts = client.now()
        told = message(client.key, to, key, text, ts)
        payload = {"sender": client.name, "to": to, **told}
        client.write({"type": "MSG_DIRECT", "ts": ts, "payload": payload})

    async def test_hello(self) -> None:
        """An unsigned hello is enough to be answered, and not to be listed."""
        node = await self.ours("srv-a")
        client = await self.client(node)
        self.send(client, "LIST_REQUEST", None)
        await client.hear("ERROR", code="NOT_ALLOWED")
        self.assertEqual(node.users(), {})

    async def test_signed_hello(self) -> None:
        """A hello with the user's signature is a login for an id without account."""
        node = await self.ours("srv-a")
        alice = await self.user("alice", node)
        self.assertEqual(node.users(), {"alice": "srv-a"})
        self.assertEqual(
            [frame["type"] for frame in alice.frames],
            ["USER_HELLO_ACK", "USER_ADDED", "PUBLIC_CHANNEL_SNAPSHOT"],
        )

    async def test_account(self) -> None:
        """Register, hello, log in: the answers come in the order that it expects."""
        node = await self.ours("srv-a")
        alice = await self.registered(node, "alice")
        self.assertEqual(
            [frame["type"] for frame in alice.frames],
            [
                "USER_REGISTERED",
                "USER_HELLO_ACK",
                "USER_LOGGED_IN",
                "USER_ADDED",
                "PUBLIC_CHANNEL_SNAPSHOT",
            ],
        )
        [told] = alice.heard("USER_LOGGED_IN")
        self.assertEqual(told["payload"]["privkey_store"], STORE)
        [added] = alice.heard("USER_ADDED", user_id="alice")
        self.assertIs(added["payload"]["online_local"], True)
        [snapshot] = alice.heard("PUBLIC_CHANNEL_SNAPSHOT")
        self.assertEqual(snapshot["payload"]["members"], ["alice"])

    async def test_list(self) -> None:
        """LIST_REQUEST without payload: the users are beside the payload, too."""
        node = await self.ours("srv-a")
        alice = await self.registered(node, "alice")
        self.send(alice, "LIST_REQUEST", None)
        got = await alice.hear("LIST_RESPONSE")
        [user] = got["users"]
        self.assertEqual((user["user_id"], user["online_local"]), ("alice", True))
        self.assertEqual(user["pubkey"], alice.key.public)
        self.assertEqual(got["payload"]["users"], got["users"])

    async def test_direct(self) -> None:
        """Its messages arrive, signed over the frame's ``ts``, here and elsewhere."""
        a = await self.ours("srv-a")
        b = await self.ours("srv-b", [a])
        alice, bob = await self.registered(a, "alice"), await self.registered(b, "bob")
        await alice.hear("USER_ADDED", user_id="bob")
        await bob.hear("USER_ADDED", user_id="alice")
        for sender, to, text in ((alice, bob, "there"), (bob, alice, "and back")):
            self.write_to(sender, to.name, to.key.public, text)
            got = await to.hear("USER_DELIVER", sender=sender.name)
            told = read_message(to.key, got["payload"], sender.key.public)
            self.assertEqual(told, text)
        self.assertEqual(alice.heard("ERROR") + bob.heard("ERROR"), [])

    async def test_public(self) -> None:
        """MSG_PUBLIC_CHANNEL to a member arrives as one, without ``user_id``."""
        a = await self.ours("srv-a")
        b = await self.ours("srv-b", [a])
        alice, bob = await self.registered(a, "alice"), await self.registered(b, "bob")
        await alice.hear("USER_ADDED", user_id="bob")
        ts = alice.now()
        told = message(alice.key, "", bob.key.public, "hello all", ts)
        payload = {"sender": "alice", "to": "bob", **told}
        alice.write({"type": "MSG_PUBLIC_CHANNEL", "ts": ts, "payload": payload})
        got = await bob.hear("MSG_PUBLIC_CHANNEL", sender="alice")
        text = read_message(bob.key, got["payload"], alice.key.public, channel=True)
        self.assertEqual(text, "hello all")
        self.assertEqual(got["payload"], {**told, "sender": "alice", "ts": ts})

    async def test_file(self) -> None:
        """A file arrives in order, each frame under the name that it waits for."""
        a = await self.ours("srv-a")
        b = await self.ours("srv-b", [a])
        alice, bob = await self.registered(a, "alice"), await self.registered(b, "bob")
        await alice.hear("USER_ADDED", user_id="bob")
        content = bytes(range(256)) * 3
        file = {"file_id": "f1", "to": "bob"}
        told = {"name": "a b.bin", "size": len(content), "mode": "dm"}
        digest = hashlib.sha256(content).hexdigest()
        self.send(alice, "FILE_START", {**file, **told, "sha256": digest})
        for index, part in enumerate((content[:446], content[446:])):
            sealed = b64u(seal(bob.key.public, part))
            self.send(
                alice, "FILE_CHUNK", {**file, "index": index, "ciphertext": sealed}
            )
        self.send(alice, "FILE_END", file)
        await bob.hear("FILE_END_DELIVER", file_id="f1", sender="alice")
        [start] = bob.heard("FILE_START_DELIVER", sender="alice", sha256=digest, **told)
        self.assertEqual(start["from"], "srv-b")
        chunks = [one["payload"] for one in bob.heard("FILE_CHUNK_DELIVER")]
        self.assertEqual([one["index"] for one in chunks], [0, 1])
        self.assertEqual(
            b"".join(bob.key.unseal(unb64u(one["ciphertext"])) for one in chunks),
            content,
        )
        self.assertEqual(alice.heard("ERROR"), [])

    async def test_logs_in_first(self) -> None:
        """USER_LOGIN may be its first frame: no hello was needed before."""
        node = await self.ours("srv-a")
        await (await self.registered(node, "alice")).hang_up()
        client = await self.dial(key_of("alice"), node)
        login = {"user_id": "alice", "password": "correct horse"}
        self.send(client, "USER_LOGIN", login)
        await client.hear("PUBLIC_CHANNEL_SNAPSHOT")
        self.assertEqual(
            [frame["type"] for frame in client.frames],
            ["USER_LOGGED_IN", "USER_ADDED", "PUBLIC_CHANNEL_SNAPSHOT"],
        )

    async def test_refusals(self) -> None:
        """A taken name and a wrong password are told with the codes that it prints."""
        node = await self.ours("srv-a")
        await self.registered(node, "alice")
        client = await self.dial(key_of("bob"), node)
        self.send(client, "USER_REGISTER", registration(key_of("bob"), "alice"))
        await client.hear("ERROR", code="NAME_IN_USE")
        for name in ("alice", "nobody"):
            login = {"user_id": name, "password": "wrong"}
            self.send(client, "USER_LOGIN", login)
            await client.hear("ERROR", code="BAD_KEY")
            client.frames.clear()

    async def test_goodbye(self) -> None:
        """CTRL_CLOSE is answered with a normal close, and the user is gone."""
        node = await self.ours("srv-a")
        alice = await self.registered(node, "alice")
        self.send(alice, "CTRL_CLOSE", {})
        self.assertEqual((await alice.end())[0], 1000)
        await self.until(lambda: node.users() == {})

    async def registered(self, node: Ours, owner: str) -> Stranger:
        """Go the client's whole way: register, say hello, log in."""
        client = await self.dial(key_of(owner), node)
        self.send(client, "USER_REGISTER", registration(client.key, owner))
        await client.hear("USER_REGISTERED", user_id=owner)
        key = {"pubkey": client.key.public, "enc_pubkey": client.key.public}
        hello = {"client": "cli-v1", **key}
        self.send(client, "USER_HELLO", hello, **{"from": owner, "to": "*"})
        await client.hear("USER_HELLO_ACK", status="ok")
        login = {"user_id": owner, "password": "correct horse"}
        self.send(client, "USER_LOGIN", login)
        await client.hear("PUBLIC_CHANNEL_SNAPSHOT")
        return client


def registration(key: Key, user_id: str) -> Frame:
    """Return the payload of USER_REGISTER, the password being ``correct horse``."""
    return {
        "user_id": user_id,
        "pubkey": key.public,
        "privkey_store": STORE,
        "pake_password": pake_password("correct horse"),
    }
