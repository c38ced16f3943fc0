"""How many direct messages a second, beside the signatures that they cost?"""

import itertools
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from socp_twisted.tap import Options
from tests.benchmarks.lab import Child, Lab, Server
from tests.benchmarks.measuring import (
    Key,
    Missing,
    Outcome,
    Quantity,
    beside,
    raw_rate,
)
from tests.keyring import key_of

NOTE_LOAD: Final = (
    "messages have no 'id': nobody asks for an ACK, which is one more signature each"
)
PRIMES: Final = 4

Pairs = list[tuple[str, str]]
_numbers = itertools.count(1)


def enter(load: Child, nodes: list[Server], count: int, **how: object) -> Pairs:
    """Log in pairs of users, the writers at one node, the readers at the next."""
    pairs: Pairs = []
    for number in range(count):
        writer, reader = nodes[number % len(nodes)], nodes[(number + 1) % len(nodes)]
        pair = (f"u{next(_numbers)}", f"u{next(_numbers)}")
        pairs.append(pair)
        for node, name in zip((writer, reader), pair, strict=True):
            load.ask("enter", url=node.url, names=[name], **how)
    return pairs


@dataclass(frozen=True, slots=True)
class Slice:
    """What came of one slice of direct messages."""

    rate: float
    """Messages a second."""
    in_all: int
    """Messages, those before and after the counted time, too."""
    is_signed: bool


def direct(lab: Lab, load: Child, pairs: Pairs) -> Slice:
    """Let all pairs write for the time of one slice."""
    window = lab.sizes.pick(8, 2)
    told = load.ask(
        "direct",
        pairs=pairs,
        seconds=lab.sizes.seconds,
        warm=lab.sizes.pick(0.2, 0.05),
        window=window,
    )
    if told["errors"] or not told["delivered"]:
        raise RuntimeError(f"messages were not delivered: {told}")
    rate = told["delivered"] / told["seconds"]
    return Slice(rate, told["in all"], told["signed"])


def direct_ws(lab: Lab) -> Outcome:
    """One node, ws, a key of two primes."""
    return _against_raw(lab, [lab.node()], key_of("srv-a"), 1)


def direct_two_nodes(lab: Lab) -> Outcome:
    """Two linked nodes: every message is signed by both."""
    nodes = lab.mesh("srv-a", "srv-b")
    return _against_raw(lab, nodes, key_of("srv-a"), 2)


def _against_raw(lab: Lab, nodes: list[Server], key: Key, signatures: int) -> Outcome:
    load = lab.load()
    pairs = enter(load, nodes, lab.sizes.pick(16, 2))
    lab.until(lambda: _all_known(nodes))
    made = sum(node.see()["made"] for node in nodes)
    limits, loads = beside(
        lab.sizes,
        lambda: raw_rate(key, lab.sizes.raw) / signatures,
        lambda: direct(lab, load, pairs),
    )
    made = sum(node.see()["made"] for node in nodes) - made
    rates = [one.rate for one in loads]
    return Outcome(
        [Quantity.of(rate / raw for rate, raw in zip(rates, limits, strict=True))],
        {
            "messages/s": Quantity.of(rates),
            "signatures/s by hand": Quantity.of(raw * signatures for raw in limits),
            "signatures per message": Quantity(made / sum(one.in_all for one in loads)),
        },
        notes=[NOTE_LOAD],
    )


def _all_known(nodes: list[Server]) -> bool:
    """Say whether all nodes know the same number of users."""
    return len({node.see()["users"] for node in nodes}) == 1


def four_primes(folder: Path) -> tuple[Path, Key]:
    """Make a key of four primes as the command line does, or raise ``Missing``."""
    path = folder / "four-primes.json"
    start = "from socp_twisted.command import main; main()"
    command = [sys.executable, "-c", start, "key"]
    made = subprocess.run(
        [*command, "--keyfile", str(path), "--primes", str(PRIMES)],
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        why = (made.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise Missing(f"this server does not make keys of {PRIMES} primes: {why}")
    options = Options({})
    options.parseOptions([f"--keyfile={path}"])
    return path, options.private_key


def direct_ws_4_primes(lab: Lab) -> Outcome:
    """The same, with a key of four primes; beside the node with two, in turns."""
    path, key = four_primes(lab.folder())
    fast, plain = lab.node("srv-h", keyfile=path), lab.node()
    load = lab.load()
    count = lab.sizes.pick(16, 2)
    pairs, usual = enter(load, [fast], count), enter(load, [plain], count)
    both: list[tuple[float, float]] = []

    def by_hand() -> float:
        rates = [raw_rate(one, lab.sizes.raw) for one in (key, key_of("srv-a"))]
        both.append((rates[0], rates[1]))
        return rates[0]

    limits, loads = beside(
        lab.sizes,
        by_hand,
        lambda: (direct(lab, load, pairs).rate, direct(lab, load, usual).rate),
    )
    return Outcome(
        [
            Quantity.of(one / raw for (one, _), raw in zip(loads, limits, strict=True)),
            Quantity.of(quick / slow for quick, slow in loads),
        ],
        {
            "messages/s": Quantity.of(one for one, _ in loads),
            "messages/s with 2 primes": Quantity.of(one for _, one in loads),
            "signatures/s by hand": Quantity.of(limits),
            "times the signatures/s by hand with 2 primes": Quantity.of(
                quick / slow for quick, slow in both
            ),
        },
        notes=[
            NOTE_LOAD,
            "where OpenSSL signs with AVX-512 IFMA it does so for two primes alone",
        ],
    )


def direct_wss_unsigned(lab: Lab) -> Outcome:
    """One node, wss, links bound to their TLS channel; beside it a node that signs."""
    node = lab.node("srv-d", secure=True)
    idle = lab.node("srv-e", secure=True, signer="none")
    plain, load = lab.node(), lab.load()
    count = lab.sizes.pick(16, 2)
    pairs = enter(load, [node], count, bound=True)
    if direct(lab, load, pairs).is_signed:
        raise Missing(
            "this server does not leave out signatures over wss://, or was not asked "
            "for it in words that it knows"
        )
    limit, usual = enter(load, [idle], count), enter(load, [plain], count)
    loads = [
        [direct(lab, load, one).rate for one in (limit, pairs, usual, limit)]
        for _ in range(lab.sizes.slices)
    ]
    return Outcome(
        [
            Quantity.of(found / statistics.mean((a, b)) for a, found, _, b in loads),
            Quantity.of(found / signed for _, found, signed, _ in loads),
        ],
        {
            "messages/s": Quantity.of(one[1] for one in loads),
            "messages/s, a signer that does nothing": Quantity.of(
                (one[0] + one[3]) / 2 for one in loads
            ),
            "messages/s over ws, signed": Quantity.of(one[2] for one in loads),
        },
        notes=[NOTE_LOAD],
    )
