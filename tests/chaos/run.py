"""One run, from the first key to the last account: nodes, users, faults, and quiet."""

import json
import os
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from twisted.internet.defer import Deferred, gatherResults, maybeDeferred
from twisted.internet.task import deferLater

from socp_twisted.trust.keys import PrivateKey
from tests.chaos.accounting import FINAL, Account, account
from tests.chaos.gate import Gate, owner_of
from tests.chaos.journal import Journal, Reader
from tests.chaos.logs import find_faults
from tests.chaos.plan import Fault, Message, Person, Plan
from tests.chaos.servers import ChaosNode, ChildUser
from tests.chaos.talker import Talker
from tests.chaos.weather import CLEAR, Rule, Weather
from tests.keyring import KEYS, VECTORS
from tests.processes import Ports, is_mesh
from tests.sockets import Watch

WHISPER: Final = "whispered-under-four-eyes"
"""In every text, so that a log that holds one is found."""

STARTING: Final = 60.0
"""Seconds in which all nodes are linked and all users logged in."""

QUIET: Final = 60.0
"""Seconds that everything has to settle after the last fault."""

AFTERMATH: Final = 2.0
"""Seconds for what may still come although nobody waits for it: doubles."""

MAX_OPEN: Final = 400
"""Messages without an answer beyond which no more are sent: a slow machine is slow."""


@dataclass(slots=True)
class Result:
    """What a run found out."""

    account: Account
    faults: Counter[str]
    network: Counter[str]
    log_faults: list[tuple[str, str]]
    seconds: float
    healed_after: float
    notes: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Say whether messages arrived, and no message and no log is a failure."""
        arrived = self.account.counts["once"] > 0
        return arrived and self.account.ok and not (self.log_faults or self.notes)


class Run:
    """Everything that one run starts, and ends."""

    def __init__(
        self, reactor: Any, plan: Plan, folder: Path, say: Callable[[str], None]
    ) -> None:
        self._reactor, self._plan, self._folder, self._say = reactor, plan, folder, say
        self._watch = Watch(reactor)
        self._weather = Weather(reactor)
        self._ports = Ports()
        self._gates: list[Gate] = []
        self._nodes: dict[str, ChaosNode] = {}
        self._talkers: dict[str, Talker] = {}
        self._children: dict[str, ChildUser] = {}
        self._readers: dict[str, Reader] = {}
        self._entries: dict[str, list[dict[str, Any]]] = {}
        self._open: set[str] = set()
        self._away: set[str] = set()
        self._faults: Counter[str] = Counter()
        self._notes: list[str] = []
        self._held = 0

    async def go(self) -> Result:
        """Do all of it; whatever happens, what was started is ended."""
        began = time.monotonic()
        try:
            self._build()
            await self._start()
            await self._fail()
            healed_after = await self._settle()
        finally:
            await self._end()
        self._read()
        logs = {
            node.name: node.log.read_text("utf-8", "replace").splitlines()
            for node in self._nodes.values()
            if node.log.exists()
        }
        secrets = [WHISPER, *(_passphrase(one) for one in self._plan.people)]
        for name in self._talkers:  # whose processes were not killed
            drafts = [path.name for path in (self._folder / name).rglob("*.part")]
            if drafts:
                self._notes.append(f"{name} is left with half a file: {drafts}")
        for child in self._children.values():
            if child.errors:
                self._notes.append(f"{child.user_id} complained: {child.errors[:2000]}")
        return Result(
            account(self._plan.messages, self._entries),
            self._faults,
            self._weather.counts,
            find_faults(logs, secrets),
            time.monotonic() - began,
            healed_after,
            self._notes,
        )

    # -- beginning ---------------------------------------------------------------------

    def _build(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        for name in self._plan.servers:
            folder = self._folder / name
            node = ChaosNode(name, self._ports.take(), folder, self._watch)
            node.gate = Gate(self._weather, name, node.port, self._who)
            self._gates.append(node.gate)
            self._nodes[name] = node
        for node in self._nodes.values():
            node.prepare([one for one in self._nodes.values() if one is not node])
        keys = user_keys(
            self._folder.parent / "keys", self._plan.servers, len(self._plan.people)
        )
        for person, key in zip(self._plan.people, keys, strict=True):
            self._invite(person, key)

    def _invite(self, person: Person, key: Path) -> None:
        node = self._nodes[person.server]
        gate = Gate(
            self._weather, person.server, node.port, lambda port: person.user_id
        )
        self._gates.append(gate)
        home = self._folder / person.user_id
        home.mkdir()
        journal = home / "journal"
        pinned = f"ws://127.0.0.1:{gate.port}#{node.key.public}"
        self._readers[person.user_id] = Reader(journal)
        self._entries[person.user_id] = []
        if person.is_child:
            order = {
                "user_id": person.user_id,
                "url": pinned,
                "key": str(key),
                "home": str(home),
                "journal": str(journal),
                "passphrase": _passphrase(person),
            }
            self._children[person.user_id] = ChildUser(order, self._watch)
        else:
            self._talkers[person.user_id] = Talker(
                self._reactor,
                Journal(journal),
                user_id=person.user_id,
                url=pinned,
                key=PrivateKey.from_pem(key.read_bytes(), trusted=True),
                home=home,
                passphrase=_passphrase(person),
            )

    def _who(self, port: int) -> str:
        """Say which node calls from a port."""
        running = [one for one in self._nodes.values() if one.running]
        return owner_of(port, [(one.name, one.pid) for one in running])

    async def _start(self) -> None:
        nodes = list(self._nodes.values())
        for node in nodes:
            node.start()
        await self._watch.until(
            lambda: is_mesh(nodes),
            STARTING,
            lambda: "\n".join(n.story() for n in nodes),
        )
        for talker in self._talkers.values():
            talker.start()
        for child in self._children.values():
            child.start()
        await self._until(self._all_know_all, STARTING, "not everybody knows everybody")
        self._say(f"{len(nodes)} nodes and {len(self._readers)} users are online")

    def _all_know_all(self) -> bool:
        """Say whether each user has pinned all the others: then texts can be sent."""
        self._read()
        everybody = {one.user_id for one in self._plan.people}
        return self._all_up() and all(
            everybody - {name} <= _pinned(self._folder / name) for name in everybody
        )

    def _all_up(self) -> bool:
        return not self._away and all(
            next(
                (e["what"] == "up" for e in reversed(entries) if e["what"] in _TIDES),
                False,
            )
            for entries in self._entries.values()
        )

    # -- failing -----------------------------------------------------------------------

    async def _fail(self) -> None:
        plan, start = self._plan, time.monotonic()
        for fault in plan.faults:
            self._reactor.callLater(fault.at, self._begin, fault)
        late = 0.0
        for message in plan.messages:
            wait = message.at + late - (time.monotonic() - start)
            if wait > 0.002:
                await deferLater(self._reactor, wait)
            while len(self._open) >= MAX_OPEN:
                late += 0.25
                self._held += 1
                await deferLater(self._reactor, 0.25)
                self._read()
            self._send(message)
            if wait > 0.25 or int(message.at) % 2:
                self._read()
        wait = plan.seconds + 1.0 - (time.monotonic() - start)
        if wait > 0:
            await deferLater(self._reactor, wait)

    def _send(self, message: Message) -> None:
        text = f"{message.id} {WHISPER} {message.to}"
        self._open.add(message.id)
        sender = self._talkers.get(message.sender) or self._children[message.sender]
        sender.tell(message.to, message.id, text, message.size)

    def _begin(self, fault: Fault) -> None:
        self._faults[f"{fault.kind} {_where(fault, self._plan)}"] += 1
        over = _ACTIONS[fault.kind](self, fault)
        if over is not None:
            self._reactor.callLater(fault.seconds, over)

    def _set_rule(self, fault: Fault) -> Callable[[], None]:
        one, other = fault.target
        ways = [(one, other)] if fault.one_way else [(one, other), (other, one)]
        for way in ways:
            self._weather.set(*way, Rule(fault.kind, fault.amount))

        def over() -> None:
            for way in ways:
                self._weather.set(*way, CLEAR)

        return over

    def _reset(self, fault: Fault) -> None:
        self._weather.reset(*fault.target)

    def _stop(self, fault: Fault) -> Callable[[], None]:
        process = self._process(fault)
        if process.running:
            process.signal("STOP")

        def over() -> None:
            if process.running:
                process.signal("CONT")

        return over

    def _kill(self, fault: Fault) -> Callable[[], None]:
        process, [name] = self._process(fault), fault.target
        self._away.add(name)
        if process.running:
            process.signal("KILL")

        def over() -> None:
            if process.running:  # its end has not been told yet
                self._reactor.callLater(0.1, over)
                return
            process.start()
            self._away.discard(name)

        return over

    def _process(self, fault: Fault) -> ChaosNode | ChildUser:
        [name] = fault.target
        return self._nodes[name] if name in self._nodes else self._children[name]

    # -- settling ----------------------------------------------------------------------

    async def _settle(self) -> float:
        """Let everything heal, and wait until nobody waits for an answer."""
        self._weather.clear()
        began = time.monotonic()
        nodes = list(self._nodes.values())
        await self._until(lambda: not self._away, 10, "not everything was restarted")
        await self._until(lambda: is_mesh(nodes), QUIET, "the nodes are no mesh again")
        await self._until(self._calm, QUIET, "not everybody has an answer")
        healed_after = time.monotonic() - began
        await deferLater(self._reactor, AFTERMATH)
        return healed_after

    def _calm(self) -> bool:
        self._read()
        return self._all_up() and not self._waited_for()

    def _waited_for(self) -> set[str]:
        """Return the messages whose senders live and still wait for the last word."""
        open_now: dict[str, str] = {}
        for name, entries in self._entries.items():
            for entry in entries:
                if entry["what"] == "start":
                    lost = [text for text, sender in open_now.items() if sender == name]
                    for text in lost:  # whoever waited for them is dead
                        del open_now[text]
                elif entry["what"] == "sending":
                    open_now[entry["text"]] = name
                elif entry["what"] in FINAL:
                    open_now.pop(entry["text"], None)
        return set(open_now)

    async def _until(
        self, condition: Callable[[], bool], seconds: float, complaint: str
    ) -> None:
        late = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > late:
                self._notes.append(f"{complaint} after {seconds:g} s")
                return
            await deferLater(self._reactor, 0.25)

    def _read(self) -> None:
        for name, reader in self._readers.items():
            for entry in reader.news():
                self._entries[name].append(entry)
                if entry["what"] == "queued" or entry["what"] in FINAL:
                    self._open.discard(entry["text"].partition("@")[0])

    # -- ending ------------------------------------------------------------------------

    async def _end(self) -> None:
        """End every process by its id, gently first, and close every port."""
        self._weather.clear()
        leaving = [
            Deferred.fromCoroutine(talker.close()).addErrback(lambda why: None)
            for talker in self._talkers.values()
        ]
        for child in self._children.values():
            child.signal("CONT")
            child.close()
        everybody = gatherResults(leaving, consumeErrors=True)
        everybody.addTimeout(5, self._reactor).addErrback(lambda why: None)
        await everybody
        await self._gone(self._children.values(), 5)
        for node in self._nodes.values():
            if node.running:
                node.signal("CONT")
                node.signal("TERM")
        await self._gone(self._nodes.values(), 6)
        for gate in self._gates:
            await maybeDeferred(gate.close)
        self._ports.give_back()
        self._watch.stop()

    async def _gone(self, processes: Any, seconds: float) -> None:
        late = time.monotonic() + seconds
        while any(one.running for one in processes):
            if time.monotonic() > late:
                for one in processes:
                    if one.running:
                        self._notes.append(f"{one} did not end by itself")
                        one.signal("KILL")
                late += 5
            await deferLater(self._reactor, 0.05)


_TIDES: Final = frozenset({"up", "down", "start", "gave up"})

_ACTIONS: Final[dict[str, Callable[[Run, Fault], Callable[[], None] | None]]] = {
    **dict.fromkeys(("cut", "swallow", "stall", "delay", "throttle"), Run._set_rule),
    "reset": Run._reset,
    "stop": Run._stop,
    "kill": Run._kill,
}


def _where(fault: Fault, plan: Plan) -> str:
    names = set(plan.servers)
    if len(fault.target) == 2:
        return "a server link" if set(fault.target) <= names else "a user's link"
    return "a node" if set(fault.target) <= names else "a client"


def _pinned(home: Path) -> set[str]:
    try:
        return set(json.loads((home / "known_users.json").read_text("utf-8")))
    except (OSError, ValueError):
        return set()


def _passphrase(person: Person) -> str:
    return f"open sesame for {person.user_id}"


def user_keys(cache: Path, servers: tuple[str, ...], count: int) -> list[Path]:
    """Return so many key files: test keys that no node has, then ones made once."""
    names = ["alice", "bob", *(f"srv-{letter}" for letter in "abcdefghij")]
    found = [
        path
        for name in names
        if name not in servers
        for folder in (VECTORS, KEYS)
        if (path := folder / f"{name}.pem").exists()
    ]
    cache.mkdir(parents=True, exist_ok=True)
    for number in range(len(found), count):
        path = cache / f"user{number:02d}.pem"
        if not path.exists():
            draft = path.with_suffix(f".{os.getpid()}")
            draft.write_bytes(PrivateKey.generate().to_pem())
            draft.replace(path)
        found.append(path)
    return found[:count]
