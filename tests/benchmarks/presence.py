"""What does it cost that somebody comes?  Counts, which no noise changes."""

import contextlib
import itertools
import statistics
import time
import unittest

from tests.benchmarks.lab import Lab, Server
from tests.benchmarks.measuring import Curve, Outcome, Quantity
from tests.benchmarks.public import EXTRAS
from tests.support import MeshTestCase, Site

_numbers = itertools.count(1)


def signatures_per_login(lab: Lab) -> Outcome:
    """Three nodes; what all of them sign for one login, with more and more online."""
    nodes, load = lab.mesh("srv-a", "srv-b", "srv-c"), lab.load()
    curves: dict[str, Curve] = {"as this project's clients": [], "signed hello": []}
    online = 0
    for count in lab.sizes.pick((10, 100, 500), (3, 6)):
        for node in nodes:
            names = [f"on{next(_numbers)}" for _ in range((count - online) // 3)]
            load.ask("enter", url=node.url, names=names, together=20)
        online = count
        for curve, how in zip(curves.values(), ("proof", "hello"), strict=True):
            found = [_login(lab, nodes, how) for _ in range(lab.sizes.pick(5, 1))]
            curve.append((count, statistics.median(found)))
    first, last = (curves["as this project's clients"][at][1] for at in (0, -1))
    return Outcome(
        [Quantity(last), Quantity(last / first)],
        {
            f"{what}, {x} online": Quantity(y)
            for what in curves
            for x, y in curves[what]
        },
        curves,
        ("users online", "signatures of all nodes per login"),
    )


def _login(lab: Lab, nodes: list[Server], how: str) -> int:
    load, pause = lab.load(), lab.sizes.pick(0.1, 0.03)
    before = _settled(nodes, pause)
    name = f"on{next(_numbers)}"
    extras = EXTRAS if how == "proof" else ()
    load.ask("enter", url=nodes[0].url, names=[name], how=how, extras=extras)
    made = _settled(nodes, pause) - before
    load.ask("leave", names=[name])
    return made


def _settled(nodes: list[Server], pause: float) -> int:
    """Return what all nodes have signed, once they sign no more."""
    seen = -1
    while seen != (made := sum(int(node.see()["made"]) for node in nodes)):
        seen = made
        time.sleep(pause)
    return made


class Arrivals(MeshTestCase):
    """A full mesh in memory, and one user who comes."""

    count = 3
    advertised = links = 0

    def runTest(self) -> None:
        """Count the USER_ADVERTISE that all nodes receive."""
        sites: list[Site] = []
        for number in range(self.count):
            sites.append(
                self.start(f"n-{number}", 8765 + number, sites[:3], key=_key(number))
            )
        self.network.pass_time(15)
        self.assert_mesh(*sites)
        self.links = sum(len(site.linked()) for site in sites) // 2
        before = [site.node.counted["USER_ADVERTISE"] for site in sites]
        self.user(sites[-1], "late", "bob")
        self.network.pass_time(10)
        self.assert_online({"late": sites[-1].id}, *sites)
        after = [site.node.counted["USER_ADVERTISE"] for site in sites]
        self.advertised = sum(after) - sum(before)


def _key(number: int) -> str:
    """Return the name of a test key, or of one that is mixed from two of them."""
    names = [f"srv-{letter}" for letter in "abcdefghij"]
    if number < len(names):
        return names[number]
    pairs = list(itertools.combinations(names, 2))
    return "+".join(pairs[number - len(names)])


def arrivals(count: int) -> int:
    """Return how many frames one arrival costs a full mesh of so many nodes."""
    case = Arrivals()
    case.count = count
    result = unittest.TestResult()
    case.run(result)
    for _, told in [*result.errors, *result.failures]:
        raise RuntimeError(told)
    return case.advertised


def frames_per_arrival(lab: Lab) -> Outcome:
    """A full mesh in memory: how often is one arrival told?"""
    curve: Curve = []
    with contextlib.chdir(lab.folder()):
        for count in lab.sizes.pick((3, 10, 30), (3,)):
            curve.append((count, arrivals(count)))
    ideal = [(count, count - 1) for count, _ in curve]
    worst = max(frames / (count - 1) for count, frames in curve)
    return Outcome(
        [Quantity(worst)],
        {f"frames, {int(count)} nodes": Quantity(frames) for count, frames in curve},
        {"frames": curve, "nodes - 1": [(float(x), float(y)) for x, y in ideal]},
        ("nodes", "frames per arrival"),
    )
