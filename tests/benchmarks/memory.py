"""What does a user cost in memory, here or elsewhere?"""

from tests.benchmarks.lab import Child, Lab, Server
from tests.benchmarks.measuring import Curve, Outcome, Quantity, slope

SETTLING = 2.0
"""Seconds for what is on its way to arrive, and to be collected."""


def memory_idle_user(lab: Lab) -> Outcome:
    """The slope of the resident memory over idle users, beside bare connections."""
    counts = lab.sizes.pick((1000, 2000, 3000, 4000, 5000), (4, 8, 12))
    notes = []
    if counts[-1] + 100 > lab.files:
        counts = [one for one in counts if one + 100 <= lab.files]
        notes = [f"this machine allows {lab.files} open files: {counts} users"]
    node, bare, load = lab.node(), lab.bare(), lab.load()
    ours, theirs = _grow(lab, load, bare, "enter", node, counts)
    per_user, per_connection = slope(ours), slope(theirs)
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


def _grow(
    lab: Lab, load: Child, bare: Server, how: str, node: Server, counts: list[int]
) -> tuple[Curve, Curve]:
    ours: Curve = []
    theirs: Curve = []
    online = 0
    for count in counts:
        names = [f"idle{number}" for number in range(online, count)]
        load.ask("connect", url=bare.url, names=[f"bare-{name}" for name in names])
        load.ask(how, url=node.url, names=names, together=20)
        load.ask("wait", seconds=lab.sizes.pick(SETTLING, 0.1))
        online = count
        ours.append((count, node.see()["rss"]))
        theirs.append((count, bare.see()["rss"]))
    return ours, theirs


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
