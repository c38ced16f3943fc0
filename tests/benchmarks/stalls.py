"""For how long does a node stand still, and what does it do when nobody asks?"""

from tests.benchmarks.lab import CROWD, Lab
from tests.benchmarks.measuring import Outcome, Quantity

PEERS = [*(f"srv-{letter}" for letter in "jihgfedcb"), "alice"]
"""Those who have test keys; one of the ten peers has a user's."""


def stall(lab: Lab) -> Outcome:
    """The longest turn of the reactor in a wave of logins and password checks."""
    logins, checks = lab.sizes.pick((500, 200), (5, 2))
    node, load, guests = lab.node(), lab.load(), lab.load("other")
    names = [f"account{number}" for number in range(checks)]
    told = guests.ask("register", url=node.url, names=names)
    if told["refused"]:
        raise RuntimeError(f"accounts were refused: {told}")
    node.ask("watch")
    wave = [f"wave{number}" for number in range(logins)]
    load.begin("enter", url=node.url, names=wave, together=logins)
    guests.begin(
        "enter", url=node.url, names=names, how="password", together=len(names)
    )
    took = max(load.finish()["seconds"], guests.finish()["seconds"])
    seen = node.see()
    return Outcome(
        [Quantity(1000 * seen["longest_turn"])],
        {
            "longest turn, ms of CPU": Quantity(1000 * seen["longest_turn"]),
            "longest turn, ms of time": Quantity(1000 * seen["longest_wall"]),
            "longest callback, ms of CPU": Quantity(1000 * seen["longest_call"]),
            "longest garbage collection, ms of CPU": Quantity(
                1000 * seen["longest_collection"]
            ),
            "seconds until all are in": Quantity(took),
        },
        notes=[
            f"{logins} logins and {checks} password checks at once",
            "the CPU time of the reactor's thread counts; what others do with the "
            "machine meanwhile does not",
        ],
    )


def idle_cpu(lab: Lab) -> Outcome:
    """What a node takes of a core when its users and peers say nothing."""
    users, peers = lab.sizes.pick((1000, 10), (5, 2))
    seconds = lab.sizes.pick(45.0, 0.3)
    node, load = lab.node(), lab.load()
    few: list[str] = []
    names = [f"quiet{number}" for number in range(users)]
    came = lab.crowd(load, node, names)
    if came < users:
        few = [f"logged in in {CROWD:g} s were {came} users alone, of {users}"]
    others = node.see()["links"]
    linked = load.ask("peers", url=node.url, node="srv-a", names=PEERS[:peers])[
        "linked"
    ]
    load.ask("wait", seconds=lab.sizes.pick(3.0, 0.1))
    before = node.see()
    if before["links"] - others != peers:
        raise RuntimeError(f"not {peers} peers are linked: {linked}")
    gone = load.ask("wait", seconds=seconds)
    after = node.see()
    if gone["gone"]:
        raise RuntimeError(f"{len(gone['gone'])} connections are gone: {gone['why']}")
    share = (after["cpu"] - before["cpu"]) / (after["at"] - before["at"])
    return Outcome(
        [Quantity(100 * share)],
        {
            "% of a core": Quantity(100 * share),
            "signatures meanwhile": Quantity(after["made"] - before["made"]),
        },
        notes=[f"{came} users, {peers} peers, for {seconds:g} s", *few],
    )
