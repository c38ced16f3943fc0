"""How is an attacker let in, and what do they send then?  Three doors."""

import random
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.task import deferLater

from socp_twisted.overlay.directory import key_hash
from socp_twisted.trust.signatures import login_content, sign
from socp_twisted.wire import vocabulary as words
from tests.fuzz.frames import EVERY, FIRST, OF_SERVERS, OF_USERS, Author, Builder
from tests.fuzz.garbage import GARBAGE, HANDSHAKES, piece
from tests.fuzz.mutations import BYTES, STRUCTURE, Fields, to_bytes
from tests.fuzz.wire import Line
from tests.keyring import key_of

PATIENCE: Final = 20.0
"""Seconds to be let in; a node that is busy with others takes its time."""

Entry = Callable[[Line, Author], Awaitable[bool]]


async def walk_up(line: Line, author: Author) -> bool:
    """Say nothing yet."""
    return not line.lost


async def log_in(line: Line, author: Author) -> bool:
    """Be a user: USER_HELLO, and the proof that the key is ours."""
    line.send(to_bytes(author.signed(author.user_hello())))
    if not await line.hear(words.USER_HELLO_ACK, words.ERROR):
        return False
    if line.codes:
        return False
    told = line.take(words.USER_HELLO_ACK)["payload"]
    content = login_content(
        told["nonce"], told["server_id"], told["pubkey"], author.name
    )
    login = {"user_id": author.name, "proof": sign(author.key, content)}
    line.send(to_bytes(author.frame(words.USER_LOGIN, "*", login)))
    return await line.hear(words.USER_LOGGED_IN, words.ERROR) and not line.codes


async def join(line: Line, author: Author) -> bool:
    """Be a server: SERVER_HELLO_JOIN, and the proof in SERVER_HELLO_LINK."""
    line.send(to_bytes(author.signed(author.join())))
    if not await line.hear(words.SERVER_WELCOME, words.ERROR) or line.codes:
        return False
    told = line.take(words.SERVER_WELCOME)
    proof = author.hello(
        answer=told["payload"]["nonce"],
        peer=told["from"],
        peer_key=key_hash(told["payload"]["introducer"]["pubkey"]),
    )
    line.send(
        to_bytes(author.signed(author.frame(words.SERVER_HELLO_LINK, "srv-a", proof)))
    )
    return await line.hear(words.SERVER_ANNOUNCE, words.ERROR) and not line.codes


@dataclass(frozen=True, slots=True)
class Door:
    """One way in, what is genuine behind it, and how many frames a connection has."""

    name: str
    enter: Entry
    genuine: tuple[Builder, ...]
    signs: float
    """The share of changed frames that are signed anew: 5 ms each."""
    names: tuple[str, str]
    """Who comes by this door, and the test key that is theirs."""
    frames: tuple[int, int]


DOORS: Final = (
    Door("before login", walk_up, FIRST, 0.6, ("eve", "srv-h"), (1, 12)),
    Door("user", log_in, OF_USERS, 0.1, ("mallory", "srv-i"), (5, 60)),
    Door("server", join, OF_SERVERS, 0.8, ("srv-j", "srv-j"), (5, 60)),
)

_WAYS: Final = {
    "genuine": 10,
    "structure": 40,
    "bytes": 18,
    "websocket": 6,
    "replayed": 6,
    "out of turn": 12,
    "other signature": 6,
    "no signature": 2,
}


class Attacker:
    """Somebody at one door, connection after connection, until the time is over."""

    def __init__(
        self, reactor: Any, door: Door, number: int, seed: int, node: int, pause: float
    ) -> None:
        """``node`` is its port; ``pause`` is seconds between two frames, on average."""
        self._reactor, self._node, self._pause = reactor, node, pause
        self.door = door
        self.chance = random.Random(f"{seed} {door.name} {number}")
        name, key = door.names
        self.author = Author(name, key_of(key), self.chance)
        # Of its own: the node slows an address down that guesses passwords.
        self._host = f"127.0.{1 + number}.{10 + DOORS.index(door)}"
        self.sent: Counter[str] = Counter()
        self.codes: Counter[str] = Counter()
        self.closes: Counter[str] = Counter()
        self.history: dict[int, deque[tuple[str, bytes]]] = {}
        """The last frames of each connection, by our port: a stall names that."""
        self.connections = self.refused = 0
        self._past: deque[bytes] = deque(maxlen=50)
        self._sigs: deque[str] = deque(["A" * 683], maxlen=20)

    async def attack(self, until: float) -> None:
        """Go on until the reactor's clock says ``until``."""
        while self._reactor.seconds() < until:
            try:
                line = await self._connect()
            except Exception:  # whatever it is, the node's log knows
                self.refused += 1
                await deferLater(self._reactor, 0.2)
                continue
            await self._use(line, until)
            self.codes.update(line.codes)
            code = line.close_code if line.lost or line.close_code else "left by us"
            self.closes["dropped" if code is None else str(code)] += 1
            line.drop()

    async def _connect(self) -> Line:
        """Connect from an address of our own."""
        endpoint = TCP4ClientEndpoint(
            self._reactor, "127.0.0.1", self._node, PATIENCE, (self._host, 0)
        )
        line: Line = await connectProtocol(endpoint, Line())
        self.connections += 1
        self.history[line.port] = deque(maxlen=40)
        while len(self.history) > 200:
            del self.history[next(iter(self.history))]
        return line

    async def _use(self, line: Line, until: float) -> None:
        if self.door.name == "before login" and self.chance.random() < 0.1:
            name = self.chance.choice(list(HANDSHAKES))
            await self._write(line, name, HANDSHAKES[name](self.chance, self._node))
            await deferLater(self._reactor, 0.1)
            return
        if not await self._in_time(line.ask(self._node)):
            return
        entering = Deferred.fromCoroutine(_enter(self.door, line, self.author))
        if not await self._in_time(entering):
            self.refused += 1
            await deferLater(self._reactor, 0.1)
            return
        for _ in range(self.chance.randint(*self.door.frames)):
            if line.lost or self._reactor.seconds() >= until:
                break
            await self._write(line, *self.next())
        await deferLater(self._reactor, 0.02)

    async def _in_time(self, waiting: "Deferred[bool]") -> bool:
        waiting.addTimeout(PATIENCE, self._reactor)
        waiting.addErrback(lambda why: False)
        return await waiting

    async def _write(self, line: Line, name: str, data: bytes) -> None:
        self.sent[name] += 1
        self.history[line.port].append((name, data[:20_000]))
        line.write(data)
        await deferLater(self._reactor, self.chance.expovariate(1 / self._pause))

    # -- what is sent ------------------------------------------------------------------

    def next(self) -> tuple[str, bytes]:
        """Return the name of what was done to a frame, and the bytes to be sent."""
        [way] = self.chance.choices(list(_WAYS), list(_WAYS.values()))
        name, frame = _MAKERS[way](self)
        if way != "websocket":
            self._past.append(frame)
            frame = piece(frame)
        return name, frame

    def _genuine(self) -> Fields:
        fields = self.chance.choice(self.door.genuine)(self.author)
        if self.chance.random() < self.door.signs:
            self._sigs.append(self.author.signed(fields)["sig"])
        return fields

    def _as_it_is(self) -> tuple[str, bytes]:
        return "genuine", to_bytes(self._genuine())

    def _structure(self) -> tuple[str, bytes]:
        fields = self.chance.choice(self.door.genuine)(self.author)
        anew = self.chance.random() < self.door.signs
        for name in self.chance.sample(list(STRUCTURE), self.chance.choice((1, 1, 2))):
            if fields:
                STRUCTURE[name](self.chance, fields)
        if anew:
            self.author.signed(fields)
        return f"{name}{', signed' if anew else ''}", to_bytes(fields)

    def _bytes(self) -> tuple[str, bytes]:
        name = self.chance.choice(list(BYTES))
        return name, BYTES[name](self.chance, to_bytes(self._genuine()))

    def _websocket(self) -> tuple[str, bytes]:
        name = self.chance.choice(list(GARBAGE))
        return name, GARBAGE[name](self.chance, to_bytes(self._genuine()))

    def _replayed(self) -> tuple[str, bytes]:
        past = list(self._past) or [to_bytes(self._genuine())]
        return "replayed", self.chance.choice(past)

    def _out_of_turn(self) -> tuple[str, bytes]:
        fields = self.author.signed(self.chance.choice(EVERY)(self.author))
        return "out of turn", to_bytes(fields)

    def _other_signature(self) -> tuple[str, bytes]:
        fields = self._genuine()
        fields["sig"] = self.chance.choice(list(self._sigs))
        return "other signature", to_bytes(fields)

    def _no_signature(self) -> tuple[str, bytes]:
        fields = self._genuine()
        fields["sig"] = self.chance.choice(("", None, 1, "=", []))
        return "no signature", to_bytes(fields)


_MAKERS: Final[dict[str, Callable[[Attacker], tuple[str, bytes]]]] = {
    "genuine": Attacker._as_it_is,
    "structure": Attacker._structure,
    "bytes": Attacker._bytes,
    "websocket": Attacker._websocket,
    "replayed": Attacker._replayed,
    "out of turn": Attacker._out_of_turn,
    "other signature": Attacker._other_signature,
    "no signature": Attacker._no_signature,
}


async def _enter(door: Door, line: Line, author: Author) -> bool:
    return await door.enter(line, author)


def crowd(
    reactor: Any, seed: int, node: int, pause: float, each: int
) -> Iterator[Attacker]:
    """Yield so many attackers for each door."""
    for door in DOORS:
        for number in range(each):
            yield Attacker(reactor, door, number, seed, node, pause)
