"""What does a user cost in memory, here or elsewhere?"""

from itertools import pairwise

from tests.benchmarks.lab import CROWD, Lab
from tests.benchmarks.measuring import Curve, Outcome, Quantity, slope

MANY = 1000
"""Users from which on the row counts, if there are enough."""

SETTLING = 2.0
"""Seconds for what is on its way to arrive, and to be collected."""


def memory_idle_user(lab: Lab) -> Outcome:
    """The slope of the resident memory over idle users, beside bare connections."""
    counts = lab.sizes.pick((200, 400, 700, 1000, 2000, 3000, 4000, 5000), (4, 8, 12))
    notes = []
    if counts[-1] + 100 > lab.files:
        counts = [one for one in counts if one + 100 <= lab.files]
        notes = [f"this machine allows {lab.files} open files: {counts[-1]} users"]
    node, load = lab.node(), lab.load()
    ours: Curve = []
    online = 0
    for count in counts:
        names = [f"idle{number}" for number in range(online, count)]
        came = lab.crowd(load, node, names)
        online += came
        load.ask("wait", seconds=lab.sizes.pick(SETTLING, 0.1))
        ours.append((online, node.see()["rss"]))
        if came < len(names):
            notes.append(f"{CROWD:g} s were not enough for {count} users: {online}")
            break
    theirs = _bare(lab, [int(count) for count, _ in ours])
    # The first ones also pay for what all share.
    many = [point for point in ours if point[0] >= MANY]
    per_user = slope(many if len(many) > 2 else ours)
    per_connection = slope(theirs)
    return Outcome(
        [Quantity(per_user / per_connection)],
        {
            "bytes per idle user": Quantity(per_user),
            "bytes per bare connection": Quantity(per_connection),
        },
        {"logged-in users": ours, "bare connections": theirs},
        ("connections", "bytes of resident memory"),
        notes,
    )


def _bare(lab: Lab, counts: list[int]) -> Curve:
    """Return what Autobahn alone takes for so many connections."""
    bare, load = lab.bare(), lab.load("other")
    curve: Curve = []
    for before, count in pairwise([0, *counts]):
        names = [f"bare{number}" for number in range(before, count)]
        load.ask("connect", url=bare.url, names=names)
        curve.append((count, bare.see()["rss"]))
    return curve


def memory_directory(lab: Lab) -> Outcome:
    """What a node remembers of each user of other servers, by its own rules."""
    child = lab.child("tests.benchmarks.directory")
    curve: Curve = [(0, child.ask("begin")["rss"])]
    for count in lab.sizes.pick((100_000, 1_000_000), (200, 2_000)):
        curve.append((count, child.ask("grow", count=count)["rss"]))
    each = {
        f"bytes a user, {count:,.0f} users": Quantity((rss - curve[0][1]) / count)
        for count, rss in curve[1:]
    }
    return Outcome(
        list(each.values())[-1:],
        each,
        {"resident memory": curve},
        ("remote users", "bytes of resident memory"),
        ["--max-users is raised; a user's key alone is 785 bytes as text"],
    )
