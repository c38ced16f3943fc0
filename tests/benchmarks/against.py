"""How do other servers do with the same work?  Ours and theirs, side by side."""

import itertools
import time

from tests.benchmarks.lab import Child, Lab
from tests.benchmarks.latency import lone
from tests.benchmarks.measuring import Quantity, quantile, raw_rate
from tests.benchmarks.messages import NOTE_LOAD, Pairs
from tests.keyring import key_of

LOGINS = 20

_numbers = itertools.count(1)

NOTE = (
    "messages carry dummies for ciphertext and signature; a server that checks "
    "them, or that limits what one connection sends, shows that here"
)

Figures = dict[str, Quantity | str]


def side_by_side(lab: Lab, urls: list[str]) -> dict[str, Figures]:
    """
    Return what our node, or two of them, and these servers do with the same work.

    One URL is a server by itself; two are linked: who writes is at the first.
    """
    ours = (
        [lab.node().url]
        if len(urls) == 1
        else [node.url for node in lab.mesh("srv-a", "srv-b")]
    )
    load = lab.load()
    return {
        "ours": _measure(lab, load, ours),
        " + ".join(urls): _measure(lab, load, urls),
    }


def _measure(lab: Lab, load: Child, urls: list[str]) -> Figures:
    try:
        return _figures(lab, load, urls)
    except RuntimeError as why:
        return {"failed": str(why).strip().splitlines()[-1]}


def _figures(lab: Lab, load: Child, urls: list[str]) -> Figures:
    logins = []
    for _ in range(lab.sizes.pick(LOGINS, 2)):
        name = f"x{next(_numbers)}-{time.time_ns() % 10**9}"
        logins.append(load.ask("enter", url=urls[0], names=[name])["seconds"])
        load.ask("leave", names=[name])
    pairs: Pairs = []
    for _ in range(lab.sizes.pick(16, 2)):
        pair = [f"x{next(_numbers)}-{time.time_ns() % 10**9}" for _ in range(2)]
        for url, name in zip((urls[0], urls[-1]), pair, strict=True):
            load.ask("enter", url=url, names=[name])
        pairs.append((pair[0], pair[1]))
    load.ask("wait", seconds=1.0)  # each server hears of the other's users
    key = key_of("srv-a")
    rates, ratios, latencies = [], [], []
    for _ in range(lab.sizes.slices):
        raw = raw_rate(key, lab.sizes.raw)
        told = load.ask(
            "direct",
            pairs=pairs,
            seconds=lab.sizes.seconds,
            warm=lab.sizes.pick(0.2, 0.05),
            window=lab.sizes.pick(8, 2),
        )
        if not told["delivered"]:
            raise RuntimeError(f"no message was delivered: {told['errors']}")
        rates.append(told["delivered"] / told["seconds"])
        ratios.append(2 * rates[-1] / (raw + raw_rate(key, lab.sizes.raw)))
        latencies += lone(lab, load, pairs[0])
    return {
        "direct messages/s": Quantity.of(rates),
        "beside raw signatures/s of all cores": Quantity.of(ratios),
        "latency of a lone message, p50, ms": Quantity(1000 * quantile(latencies, 0.5)),
        "the same, p99, ms": Quantity(1000 * quantile(latencies, 0.99)),
        "one login, ms": Quantity.of(1000 * one for one in logins),
    }


def comparison(found: dict[str, Figures]) -> str:
    """Return the figures of all, below each other."""
    told = []
    for who, figures in found.items():
        told.append(who)
        for what, value in figures.items():
            text = value if isinstance(value, str) else f"{value.value:10,.4g}"
            told.append(f"    {text}  {what}")
    return "\n".join([*told, f"note: {NOTE}", f"note: {NOTE_LOAD}"])
