"""How long is a message on its way, beside the one signature that it costs?"""

import itertools

from tests.benchmarks.lab import Child, Lab
from tests.benchmarks.measuring import (
    Outcome,
    Quantity,
    beside,
    quantile,
    signature_time,
)
from tests.benchmarks.messages import NOTE_LOAD, enter
from tests.keyring import key_of

GAP = 0.004
"""Seconds between a delivery and the next message: long enough to be alone."""

CHUNK = 48 * 1024
WINDOW = 32


def lone(lab: Lab, load: Child, pair: tuple[str, str]) -> list[float]:
    """Return what each message of one slice took, in seconds."""
    writer, reader = pair
    told = load.ask(
        "lone", sender=writer, to=reader, seconds=lab.sizes.seconds, gap=GAP
    )
    found: list[float] = told["latencies"]
    return found


def latency_lone(lab: Lab) -> Outcome:
    """A message at a time, and nobody else."""
    load = lab.load()
    [pair] = enter(load, [lab.node()], 1)
    count = lab.sizes.pick(60, 5)
    limits, loads = beside(
        lab.sizes,
        lambda: signature_time(key_of("srv-a"), count),
        lambda: lone(lab, load, pair),
    )
    medians = [quantile(one, 0.5) for one in loads]
    return Outcome(
        [Quantity.of(one / limit for one, limit in zip(medians, limits, strict=True))],
        {
            "p50, ms": Quantity.of(1000 * one for one in medians),
            "p99, ms": Quantity.of(1000 * quantile(one, 0.99) for one in loads),
            "one signature, ms": Quantity.of(1000 * one for one in limits),
        },
        notes=[NOTE_LOAD],
    )


def latency_busy(lab: Lab) -> Outcome:
    """A message at a time, while somebody sends a file as fast as it is taken."""
    node, load, flood = lab.node(), lab.load(), lab.load("other")
    [pair] = enter(load, [node], 1)
    [(writer, reader)] = enter(flood, [node], 1)
    idle: list[list[float]] = []
    busy: list[list[float]] = []
    chunks = 0
    for _ in range(lab.sizes.slices):
        idle.append(lone(lab, load, pair))
        flood.ask("flood", sender=writer, to=reader, size=CHUNK, window=WINDOW)
        busy.append(lone(lab, load, pair))
        chunks += flood.ask("ebb", sender=writer, to=reader)["chunks"]
    both = list(zip(idle, busy, strict=True))
    ratios = [quantile(high, 0.99) / quantile(low, 0.99) for low, high in both]
    pooled = [list(itertools.chain(*one)) for one in (idle, busy)]
    calm, loaded = (1000 * quantile(one, 0.99) for one in pooled)
    return Outcome(
        [Quantity(loaded / calm, Quantity.of(ratios).spread)],
        {
            "p99 busy, ms": Quantity(loaded),
            "p99 idle, ms": Quantity(calm),
            "chunks of 48 KiB a slice": Quantity(chunks / lab.sizes.slices),
        },
        notes=[
            "the ratio is of all slices' messages together, the spread of the slices'",
        ],
    )
