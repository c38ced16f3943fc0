"""Who writes to whom, and what fails when?  All of it follows from the seed."""

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Final

from socp_twisted.wire.vocabulary import PUBLIC

LETTERS: Final = "abcdefghij"
"""There are test keys for ten servers."""

RATE: Final = 25.0
"""Messages a second: each costs some 40 ms of a core in signatures and decryption."""

TO_ALL: Final = 25
"""Every so many messages one goes to everybody."""

FILES: Final = 40
"""Every so many messages one is a file ..."""
FILES_TO_ALL: Final = 200
"""... and every so many one that goes to everybody."""

SIZES: Final = (1_000.0, 400_000.0)
"""Bytes of the smallest and of the largest file; there are more of the small."""


@dataclass(frozen=True, slots=True)
class Person:
    """A user, the server where they log in, and whether a process of theirs can die."""

    user_id: str
    server: str
    is_child: bool


@dataclass(frozen=True, slots=True)
class Message:
    """
    A text or a file that is known by its id, and when it is to be sent, in seconds.

    One to ``public`` is one for each member: ``m7@bob``.  ``size`` is that of a file in
    bytes, or 0.
    """

    id: str
    at: float
    sender: str
    to: str
    size: int = 0


@dataclass(frozen=True, slots=True)
class Fault:
    """
    What goes wrong: its kind, where, from when on, and for how long.

    ``target`` is one node or child, or the two ends of connections; ``amount`` is
    seconds of delay or bytes a second.
    """

    kind: str
    target: tuple[str, ...]
    at: float
    seconds: float = 0.0
    amount: float = 0.0
    one_way: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """One run: everybody, everything, and how long it takes until the quiet."""

    servers: tuple[str, ...]
    people: tuple[Person, ...]
    messages: tuple[Message, ...]
    faults: tuple[Fault, ...]
    seconds: float


LINK_FAULTS: Final = {
    # kind: shortest, longest (seconds), least and greatest amount
    "cut": (1.0, 8.0, 0.0, 0.0),
    "reset": (0.0, 0.0, 0.0, 0.0),
    "swallow": (2.0, 10.0, 0.0, 0.0),
    "stall": (1.0, 6.0, 0.0, 0.0),
    "delay": (3.0, 10.0, 0.05, 0.8),
    "throttle": (3.0, 10.0, 8_000.0, 60_000.0),
}
PROCESS_FAULTS: Final = {"stop": (1.0, 6.0), "kill": (0.5, 4.0)}

_WHERE: Final = (
    # where: how often
    ("servers' links", 4),
    ("users' links", 3),
    ("nodes", 2),
    ("children", 2),
)


def make_plan(
    seed: int, nodes: int, messages: int, *, users: int = 0, rate: float = RATE
) -> Plan:
    """Return the plan of a seed: ``users`` people, two for each node if not said."""
    chance = random.Random(seed)
    servers = tuple(f"srv-{letter}" for letter in LETTERS[:nodes])
    count = users or max(2, 2 * nodes)
    people = tuple(
        Person(f"user{number:02d}", servers[number % nodes], number % 3 == 2)
        for number in range(count)
    )
    seconds = max(4.0, messages / rate)
    return Plan(
        servers,
        people,
        tuple(_messages(chance, people, messages, seconds)),
        tuple(sorted(_faults(chance, servers, people, seconds), key=lambda f: f.at)),
        seconds,
    )


def _messages(
    chance: random.Random, people: tuple[Person, ...], count: int, seconds: float
) -> Iterator[Message]:
    names = [person.user_id for person in people]
    for number, at in enumerate(
        sorted(chance.uniform(0, seconds) for _ in range(count))
    ):
        sender, to = chance.sample(names, 2)
        size = int(math.exp(chance.uniform(*map(math.log, SIZES))))
        is_file = number % FILES == FILES - 1
        if number % TO_ALL == 0 or number % FILES_TO_ALL == FILES_TO_ALL - 1:
            to = PUBLIC
        yield Message(f"m{number:06d}", at, sender, to, size if is_file else 0)


def _faults(
    chance: random.Random,
    servers: tuple[str, ...],
    people: tuple[Person, ...],
    seconds: float,
) -> Iterator[Fault]:
    """Yield faults that end before the quiet; no target has two at a time."""
    places: dict[str, list[tuple[str, ...]]] = {
        "servers' links": list(combinations(servers, 2)),
        "users' links": [(one.user_id, one.server) for one in people],
        "nodes": [(server,) for server in servers],
        "children": [(one.user_id,) for one in people if one.is_child],
    }
    where = [(place, often) for place, often in _WHERE if places[place]]
    free_at: dict[tuple[str, ...], float] = {}
    down: list[tuple[float, float]] = []
    longest = max(0.5, seconds / 4)
    at = 0.5
    while at < seconds - 0.5:
        [place] = chance.choices([name for name, _ in where], [n for _, n in where])
        target = chance.choice(places[place])
        links = place.endswith("links")
        kind = chance.choice(list(LINK_FAULTS if links else PROCESS_FAULTS))
        least, most = LINK_FAULTS[kind][:2] if links else PROCESS_FAULTS[kind]
        lasts = min(chance.uniform(least, most), longest, seconds - at)
        amount = chance.uniform(*LINK_FAULTS[kind][2:]) if links else 0.0
        one_way = links and chance.random() < 0.5
        pause = chance.uniform(0.3, 2.0)
        # At most half of the nodes are away at the same time.
        away = sum(1 for begun, over in down if begun < at + lasts and at < over)
        crowded = place == "nodes" and away >= len(servers) // 2
        if free_at.get(target, 0.0) <= at and not crowded:
            free_at[target] = at + lasts + 0.5
            if place == "nodes":
                down.append((at, at + lasts))
            yield Fault(kind, target, at, lasts, amount, one_way)
        at += pause
    if seconds > 120 and len(servers) > 1:
        # Longer than the 45 s after which a silent link is dead.
        target = servers[:2]
        yield Fault("swallow", target, seconds - 60, 50.0)
