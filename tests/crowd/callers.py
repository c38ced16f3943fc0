"""What does one of the crowd do?  Nothing, too much, or everything but reading."""

import json
import os
import random
import re
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from twisted.internet import reactor as global_reactor
from twisted.internet.interfaces import IPullProducer
from twisted.internet.protocol import ClientFactory
from twisted.python.failure import Failure
from zope.interface import implementer

from tests.fuzz.garbage import piece, request
from tests.fuzz.wire import Line
from tests.plain_socp import Key, b64u, canonical

reactor: Any = global_reactor

AGAIN: Final = 0.25
"""Seconds before somebody who was put out comes again."""

SMALL: Final = 4096
"""Bytes that the kernel takes for who reads nothing."""

_CODE: Final = re.compile(rb'"code":"([^"]*)"')
_TYPE: Final = re.compile(rb'"type":"([^"]*)"')

Bytes = Iterator[bytes]


@dataclass(slots=True)
class Tally:
    """What became of one kind of connection."""

    opened: int = 0
    open: int = 0
    frames: int = 0
    """Frames that came."""
    written: int = 0
    """Bytes that the kernel took."""
    answers: Counter[str] = field(default_factory=Counter)
    """Codes of ERROR frames that came, and close codes."""


class Caller(Line):
    """One connection of the crowd: it counts what comes, and keeps nothing."""

    def __init__(self, kind: "Kind") -> None:
        super().__init__()
        self.kind = kind
        self._begun = False

    def connectionMade(self) -> None:
        """Begin as this kind begins."""
        super().connectionMade()
        self.kind.tally.opened += 1
        self.kind.tally.open += 1
        if self.kind.upgrades:
            self.ask(self.kind.port)
        elif self.kind.first:
            self.write(self.kind.first)

    def stop_reading(self) -> None:
        """Read nothing from now on, and have the kernel take as little as it can."""
        handle = self.transport.getHandle()  # type: ignore[union-attr]
        handle.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL)
        self.transport.pauseProducing()  # type: ignore[union-attr]

    def flood(self, data: Bytes) -> None:
        """Send all that the other end takes."""
        self.transport.registerProducer(Flood(self, data), False)  # type: ignore[union-attr]

    def connectionLost(self, reason: Failure = None) -> None:  # type: ignore[assignment]
        """Note why, and come again."""
        super().connectionLost(reason)
        tally = self.kind.tally
        tally.open -= 1
        tally.answers[f"closed {self.close_code or ''}".strip()] += not self.kind.over
        self.kind.again()

    def _answer(self, value: bool) -> None:
        super()._answer(value)
        if value and not self._begun:
            self._begun = True
            self.kind.begin(self)

    def _frame(self, payload: bytes) -> None:
        self.kind.tally.frames += 1
        head = payload[:2000]
        if b'"type":"ERROR"' in head and (code := _CODE.search(head)):
            self.kind.tally.answers[code[1].decode()] += 1
        if (kind := _TYPE.search(head)) and kind[1].decode() in self._wanted:
            self._answer(True)


@implementer(IPullProducer)
class Flood:
    """Writes whenever the kernel takes something."""

    def __init__(self, caller: Caller, data: Bytes) -> None:
        self._caller, self._data = caller, data

    def resumeProducing(self) -> None:
        """Write the next piece."""
        data = next(self._data)
        self._caller.kind.tally.written += len(data)
        self._caller.write(data)

    def stopProducing(self) -> None:
        """The connection is gone."""


class Kind(ClientFactory):
    """A number of connections that do the same, and come again when put out."""

    noisy = False

    def __init__(
        self,
        name: str,
        port: int,
        count: int,
        begin: Callable[[Caller], None] = lambda caller: None,
        *,
        upgrades: bool = True,
        first: bytes = b"",
    ) -> None:
        """``begin`` is called with each WebSocket; without one ``first`` is sent."""
        self.name, self.port, self.count, self.begin = name, port, count, begin
        self.upgrades, self.first = upgrades, first
        self.tally = Tally()
        self.over = False
        self._callers: list[Caller] = []

    def start(self) -> None:
        """Connect all of them."""
        for _ in range(self.count):
            reactor.connectTCP("127.0.0.1", self.port, self)

    def stop(self) -> None:
        """Break what there is, and come no more."""
        self.over = True
        for caller in self._callers:
            caller.drop()

    def again(self) -> None:
        """Somebody was put out."""
        if not self.over:
            self._callers = [one for one in self._callers if not one.lost]
            reactor.callLater(AGAIN, self._come)

    def _come(self) -> None:
        if not self.over:
            reactor.connectTCP("127.0.0.1", self.port, self)

    def buildProtocol(self, addr: Any) -> Caller:
        """Make one more."""
        caller = Caller(self)
        self._callers.append(caller)
        return caller

    def clientConnectionFailed(self, connector: Any, reason: Failure) -> None:
        """The kernel's queue is full, or nobody accepts."""
        self.tally.answers["not accepted"] += 1
        self.again()


class Crowd:
    """Everybody who means no good, for one run."""

    def __init__(
        self, port: int, key: Key, silent: int, flooding: int, unreading: int
    ) -> None:
        """``key`` is that of all their users; names are cheap."""
        self._key = key
        self._names = 0
        self._chance = random.Random(1)
        hello = {"client": "", "pubkey": key.public, "enc_pubkey": key.public}
        # The signature covers the payload alone: one lets in every name.
        self._hello = {"payload": hello, "sig": key.sign(canonical(hello))}
        self._content_sig = key.sign(b"")
        self._deaf: list[str] = []
        half = request(port)[:-2]
        after = silent // 2
        third = flooding // 3
        kinds = [
            Kind("silent, no byte", port, silent // 4, upgrades=False),
            Kind(
                "silent, half a request",
                port,
                silent - after - silent // 4,
                upgrades=False,
                first=half,
            ),
            Kind("silent WebSocket", port, after),
            Kind("reads nothing, user", port, unreading // 2, self._deaf_user),
            Kind(
                "reads nothing, stranger",
                port,
                unreading - unreading // 2,
                self._deaf_stranger,
            ),
            Kind("floods, messages", port, third, self._talker),
            Kind("floods, wrong passwords", port, third, self._guesser),
            Kind("floods, garbage", port, flooding - 2 * third, self._vandal),
        ]
        self.kinds = kinds

    def start(self) -> None:
        """Let all of them loose."""
        for kind in self.kinds:
            kind.start()

    def stop(self) -> None:
        """Have all of them leave."""
        for kind in self.kinds:
            kind.stop()

    # -- what they do ------------------------------------------------------------------

    def _log_in(self, caller: Caller, then: Callable[[str], None]) -> None:
        self._names += 1
        name = f"crowd-{self._names}"
        hello = {"type": "USER_HELLO", "from": name, "to": "*", "ts": _now()}
        caller.send(json.dumps({**hello, **self._hello}).encode())
        inside = caller.hear("PUBLIC_CHANNEL_SNAPSHOT", "ERROR")
        inside.addCallback(lambda ok: then(name) if ok else None)

    def _deaf_user(self, caller: Caller) -> None:
        def deaf(name: str) -> None:
            self._deaf.append(name)
            del self._deaf[:-50]
            caller.stop_reading()

        self._log_in(caller, deaf)

    def _deaf_stranger(self, caller: Caller) -> None:
        caller.stop_reading()
        caller.flood(_repeat(piece(b'{"type":"LIST_REQUEST","payload":{}}') * 20))

    def _talker(self, caller: Caller) -> None:
        self._log_in(caller, lambda name: caller.flood(self._messages(name)))

    def _messages(self, name: str) -> Bytes:
        """Valid messages to other talkers and, larger, to who reads nothing."""
        number = 0
        asked = {"type": "LIST_REQUEST", "from": name, "to": "*", "payload": {}}
        while True:
            frames = []
            for _ in range(8):
                number += 1
                deaf = number % 2 and self._deaf
                to = self._chance.choice(self._deaf) if deaf else name
                blocks = 200 if deaf else 1
                payload = {
                    "ciphertext": b64u(os.urandom(16) + bytes(512 * blocks - 16)),
                    "sender_pub": self._key.public,
                    "content_sig": self._content_sig,
                }
                frame = {"type": "MSG_DIRECT", "from": name, "to": to, "ts": _now()}
                frames.append({**frame, "id": f"{name}-{number}", "payload": payload})
            frames.append({**asked, "ts": _now()})
            yield b"".join(piece(json.dumps(one).encode()) for one in frames)

    def _guesser(self, caller: Caller) -> None:
        def guesses() -> Bytes:
            while True:
                name = self._chance.choice(("alice", "bob", "nobody"))
                told = {"user_id": name, "password": str(self._chance.random())}
                frame = {"type": "USER_LOGIN", "from": name, "to": "*", "payload": told}
                yield piece(json.dumps({**frame, "ts": _now()}).encode()) * 40

        caller.flood(guesses())

    def _vandal(self, caller: Caller) -> None:
        junk = [
            piece(b'{"type":"MSG_DIRECT","payload":[]}') * 50,
            piece(b"[" * 5000) * 5,
            piece(self._chance.randbytes(2000).hex().encode()) * 10,
            self._chance.randbytes(5000),
        ]
        number = self._chance.randrange(4)
        caller.flood(_repeat(junk[number]))


def _repeat(data: bytes) -> Bytes:
    while True:
        yield data


def _now() -> int:
    return int(reactor.seconds() * 1000)
