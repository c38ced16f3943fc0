"""What do genuine frames look like?  Made with the project's code, for each door."""

import random
import time
from collections.abc import Callable
from functools import cache
from typing import Any, Final

from socp_twisted.errors import SocpError
from socp_twisted.trust.keys import PrivateKey
from socp_twisted.trust.sealing import seal
from socp_twisted.trust.signatures import direct_content, public_content, sign
from socp_twisted.wire import vocabulary as words
from socp_twisted.wire.encoding import b64u_encode, canonical
from tests.fuzz.garbage import fresh
from tests.fuzz.mutations import Fields
from tests.keyring import key_of

CAPS: Final = [words.CAP_ACKS, words.CAP_LINKS, words.CAP_POSSESSION]

CLOSED: Final = 1
"""A port where nobody listens: what a server of ours tells others."""


@cache
def ciphertext(number: int) -> bytes:
    """Return one of a few ciphertexts for alice."""
    return seal(key_of("alice").public, f"text {number}".encode())


class Author:
    """Somebody with a key, who writes frames of all kinds."""

    def __init__(self, name: str, key: PrivateKey, chance: random.Random) -> None:
        self.name, self.key, self.chance = name, key, chance
        self.pubkey = key.public.text
        self.users = [f"{name}-user{number}" for number in range(3)]
        self._last_ts = 0
        self._files: list[str] = ["f0"]

    def now(self) -> int:
        """Return Unix milliseconds, never the same twice."""
        self._last_ts = max(self._last_ts + 1, int(time.time() * 1000))
        return self._last_ts

    def frame(
        self, kind: str, to: str, payload: Fields, ts: int | None = None
    ) -> Fields:
        """Return a frame of ours, not signed yet."""
        return {
            "type": kind,
            "from": self.name,
            "to": to,
            "ts": self.now() if ts is None else ts,
            "id": fresh(),
            "payload": payload,
        }

    def signed(self, fields: Fields) -> Fields:
        """Sign a frame with our key, if its payload can be signed at all."""
        try:
            fields["sig"] = sign(self.key, canonical(fields["payload"]))
        except (SocpError, KeyError, TypeError, ValueError, RecursionError):
            fields["sig"] = "AAAA"
        return fields

    def anybody(self) -> str:
        """Return somebody to write to."""
        return self.chance.choice(("alice", "bob", self.name, "nobody", "srv-a"))

    def hello(self, **more: Any) -> Fields:
        """Return the payload of a server's greeting."""
        return {
            "host": "127.0.0.1",
            "port": CLOSED,
            "pubkey": self.pubkey,
            "agent": words.AGENT,
            "caps": list(CAPS),
            "instance": "first",
            "nonce": "a nonce",
            "server_id": self.name,
            **more,
        }

    def content(self, sender: str, to: str, ts: int, *, public: bool = False) -> Fields:
        """Return the payload of a message: genuine, if we are its sender."""
        sealed = ciphertext(self.chance.randrange(4))
        covered = (
            public_content(sealed, sender, ts)
            if public
            else direct_content(sealed, sender, to, ts)
        )
        return {
            "ciphertext": b64u_encode(sealed),
            "sender_pub": self.pubkey,
            "content_sig": sign(self.key, covered),
        }

    # -- what anybody may say first ----------------------------------------------------

    def join(self) -> Fields:
        """SERVER_HELLO_JOIN."""
        return self.frame(words.SERVER_HELLO_JOIN, "127.0.0.1:1", self.hello())

    def link(self) -> Fields:
        """SERVER_HELLO_LINK."""
        proof = self.hello(answer="a nonce", peer="srv-a")
        return self.frame(words.SERVER_HELLO_LINK, "srv-a", proof)

    def welcome(self) -> Fields:
        """SERVER_WELCOME."""
        me = {"server_id": self.name, "host": "127.0.0.1", "port": CLOSED}
        entry = {**me, "pubkey": self.pubkey}
        payload = {
            **self.hello(),
            "assigned_id": "srv-a",
            "servers": [entry],
            "clients": [{**entry, "user_id": self.name}],
            "introducer": entry,
        }
        return self.frame(words.SERVER_WELCOME, "srv-a", payload)

    def user_hello(self) -> Fields:
        """USER_HELLO."""
        payload = {
            "client": "fuzz",
            "pubkey": self.pubkey,
            "enc_pubkey": self.pubkey,
            "nonce": fresh(),
            "meta": {"display_name": "Mallory", "extras": ["blocks", "channel-key"]},
        }
        return self.frame(words.USER_HELLO, "*", payload)

    def user_login(self) -> Fields:
        """USER_LOGIN, with a proof of nothing."""
        login = {"user_id": self.name, "proof": b64u_encode(b"p" * 512)}
        return self.frame(words.USER_LOGIN, "*", login)

    def password_login(self) -> Fields:
        """USER_LOGIN, with a password that is wrong."""
        login = {"user_id": self.anybody(), "password": "guess"}
        return self.frame(words.USER_LOGIN, "*", login)

    def user_register(self) -> Fields:
        """USER_REGISTER."""
        account = {
            "user_id": f"{self.name}{self.chance.randrange(50)}",
            "pubkey": self.pubkey,
            "privkey_store": '{"salt":"AAAA","nonce":"AAAA","blob":"AAAA"}',
            "pake_password": f"{b64u_encode(b's' * 16)}.{b64u_encode(b'd' * 32)}",
            "meta": {"display_name": "M"},
        }
        return self.frame(words.USER_REGISTER, "*", account)

    # -- what users say ----------------------------------------------------------------

    def list_request(self) -> Fields:
        """LIST_REQUEST."""
        return self.frame(words.LIST_REQUEST, "*", {})

    def direct(self) -> Fields:
        """MSG_DIRECT."""
        to, ts = self.anybody(), self.now()
        return self.frame(words.MSG_DIRECT, to, self.content(self.name, to, ts), ts)

    def public(self) -> Fields:
        """MSG_PUBLIC_CHANNEL, to one member."""
        to, ts = self.anybody(), self.now()
        payload = self.content(self.name, to, ts, public=True)
        return self.frame(words.MSG_PUBLIC_CHANNEL, to, payload, ts)

    def to_all(self) -> Fields:
        """MSG_PUBLIC_CHANNEL, one ciphertext for everybody."""
        ts = self.now()
        payload = self.content(self.name, "", ts, public=True)
        payload |= {"key_id": "k", "seq": self.chance.randrange(3)}
        return self.frame(words.MSG_PUBLIC_CHANNEL, words.PUBLIC, payload, ts)

    def own_key(self) -> Fields:
        """PUBLIC_CHANNEL_KEY_SHARE, of a key of our own."""
        made = self.key_share()
        made["payload"] |= {"key_id": "k", "content_sig": "AAAA"}
        for share in made["payload"]["shares"]:
            share["wrapped_public_channel_key"] = b64u_encode(ciphertext(1))
        return made

    def receipts(self) -> Fields:
        """ACK of several messages to everybody."""
        refs = [f"{number:024x}" for number in range(self.chance.randrange(3))]
        return self.frame(words.ACK, "*", {"msg_refs": refs, "refused": refs[:1]})

    def _file(self) -> str:
        return self.chance.choice(self._files)

    def file_start(self) -> Fields:
        """FILE_START."""
        self._files = [*self._files[-8:], f"f{self.chance.randrange(1000)}"]
        to = self.anybody()
        start = {
            "file_id": self._files[-1],
            "name": "notes.txt",
            "size": 3000,
            "sha256": "0" * 64,
            "mode": "dm",
            "to": to,
        }
        return self.frame(words.FILE_START, to, start)

    def file_chunk(self) -> Fields:
        """FILE_CHUNK."""
        to = self.anybody()
        chunk = {"file_id": self._file(), "index": self.chance.randrange(3), "to": to}
        return self.frame(words.FILE_CHUNK, to, {**chunk, "ciphertext": "AAAA" * 100})

    def file_end(self) -> Fields:
        """FILE_END."""
        to = self.anybody()
        return self.frame(words.FILE_END, to, {"file_id": self._file(), "to": to})

    def file_answer(self) -> Fields:
        """FILE_ANSWER."""
        to = self.anybody()
        answer = {"file_id": self._file(), "to": to, "accept": True, "done": True}
        return self.frame(words.FILE_ANSWER, to, answer)

    # -- what everybody says -----------------------------------------------------------

    def heartbeat(self) -> Fields:
        """HEARTBEAT, with claims of links."""
        links = self.chance.sample(("srv-a", "srv-x", "srv-y", "srv-z"), 3)
        return self.frame(words.HEARTBEAT, "*", {"links": links})

    def ack(self) -> Fields:
        """ACK of something."""
        status = self.chance.choice(("delivered", "queued", "sent", "read"))
        return self.frame(words.ACK, "srv-a", {"msg_ref": fresh(), "status": status})

    def error(self) -> Fields:
        """ERROR about something."""
        told = {"code": "USER_NOT_FOUND", "detail": "no", "msg_ref": fresh()}
        return self.frame(words.ERROR, "srv-a", told)

    def goodbye(self) -> Fields:
        """CTRL_CLOSE."""
        return self.frame(words.CTRL_CLOSE, "*", {})

    # -- what servers say --------------------------------------------------------------

    def announce(self) -> Fields:
        """SERVER_ANNOUNCE."""
        return self.frame(words.SERVER_ANNOUNCE, "*", self.hello())

    def advertise(self) -> Fields:
        """USER_ADVERTISE."""
        user_id = self.chance.choice((*self.users, "alice"))
        meta = {"display_name": "U", "pubkey": self.pubkey, "extras": ["blocks"]}
        payload = {
            "user_id": user_id,
            "server_id": self.name,
            "pubkey": self.pubkey,
            "meta": meta,
        }
        return self.frame(words.USER_ADVERTISE, "*", payload)

    def remove(self) -> Fields:
        """USER_REMOVE."""
        user_id = self.chance.choice((*self.users, "alice"))
        payload = {"user_id": user_id, "server_id": self.name}
        return self.frame(words.USER_REMOVE, "*", payload)

    def deliver(self) -> Fields:
        """SERVER_DELIVER, from a user of this server."""
        to, ts = self.anybody(), self.now()
        sender = self.chance.choice(self.users)
        payload = {
            **self.content(sender, to, ts),
            "user_id": to,
            "sender": sender,
            "ts": ts,
            "msg_id": fresh(),
        }
        return self.frame(words.SERVER_DELIVER, "srv-a", payload, ts)

    def relay(self) -> Fields:
        """MSG_PUBLIC_CHANNEL or a piece of a file, as it goes between servers."""
        made = self.chance.choice((self.public, self.file_start, self.file_chunk))()
        made["payload"] |= {
            "user_id": self.anybody(),
            "sender": self.chance.choice(self.users),
            "ts": made["ts"],
            "msg_id": fresh(),
        }
        return made

    def relay_to_all(self) -> Fields:
        """A message to everybody, or a key for it, as it goes between servers."""
        made = self.chance.choice((self.to_all, self.own_key))()
        made["payload"] |= {"sender": self.chance.choice(self.users), "ts": made["ts"]}
        return made

    def answer(self) -> Fields:
        """ACK of a server for its members."""
        answer = {"msg_ref": f"{0:024x}", "received": [self.users[0]]}
        return self.frame(words.ACK, "srv-a", answer)

    def channel_add(self) -> Fields:
        """PUBLIC_CHANNEL_ADD."""
        added = {"add": [self.users[0]], "if_version": self.chance.randrange(100)}
        return self.frame(words.PUBLIC_CHANNEL_ADD, "*", added)

    def channel_updated(self) -> Fields:
        """PUBLIC_CHANNEL_UPDATED."""
        wraps = [{"member_id": self.users[0], "wrapped_key": "AAAA"}]
        payload = {"version": self.chance.randrange(10**6), "wraps": wraps}
        return self.frame(words.PUBLIC_CHANNEL_UPDATED, "*", payload)

    def key_share(self) -> Fields:
        """PUBLIC_CHANNEL_KEY_SHARE."""
        shares = [{"member": self.users[0], "wrapped_public_channel_key": "AAAA"}]
        payload = {"shares": shares, "creator_pub": self.pubkey, "content_sig": "AAAA"}
        return self.frame(words.PUBLIC_CHANNEL_KEY_SHARE, "*", payload)

    def unknown(self) -> Fields:
        """A type that nobody knows."""
        kind = self.chance.choice(("server_deliver", "_read_user", "X" * 42, "A.B-C"))
        return self.frame(kind, "*", {"a": [1, {"b": None}]})


Builder = Callable[[Author], Fields]

_ANY: Final[tuple[Builder, ...]] = (
    Author.heartbeat,
    Author.ack,
    Author.error,
    Author.unknown,
)

FIRST: Final[tuple[Builder, ...]] = (
    Author.join,
    Author.join,
    Author.link,
    Author.user_hello,
    Author.user_hello,
    Author.user_login,
    Author.password_login,
    Author.user_register,
    *_ANY,
)

OF_USERS: Final[tuple[Builder, ...]] = (
    Author.list_request,
    Author.direct,
    Author.direct,
    Author.public,
    Author.to_all,
    Author.own_key,
    Author.receipts,
    Author.file_start,
    Author.file_chunk,
    Author.file_end,
    Author.file_answer,
    *_ANY,
)

OF_SERVERS: Final[tuple[Builder, ...]] = (
    Author.announce,
    Author.advertise,
    Author.advertise,
    Author.remove,
    Author.deliver,
    Author.deliver,
    Author.relay,
    Author.relay_to_all,
    Author.answer,
    Author.channel_add,
    Author.channel_updated,
    Author.key_share,
    *_ANY,
)

EVERY: Final[tuple[Builder, ...]] = (
    *FIRST,
    *OF_USERS,
    *OF_SERVERS,
    Author.welcome,
    Author.goodbye,
)
