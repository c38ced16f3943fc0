"""How fast does a public message reach everybody, beside Autobahn alone?"""

from typing import Any

from tests.benchmarks.lab import Child, Lab
from tests.benchmarks.measuring import Missing, Outcome, Quantity, beside

EXTRAS = ("blocks", "channel-key", "files-256k", "files-aes", "receipts")
"""What the members' clients say that they can: this project's."""


def public_500(lab: Lab) -> Outcome:
    """One ciphertext for everybody; the members acknowledge in bulk."""
    count = lab.sizes.pick(500, 4)
    node, bare, load = lab.node(), lab.bare(), lab.load()
    names = [f"m{number}" for number in range(count)]
    load.ask("enter", url=node.url, names=["crier", *names], extras=EXTRAS)
    window = lab.sizes.pick(4, 2)
    size = _public(lab, load, "crier", names, window, bare=False)["size"]
    load.ask("connect", url=bare.url, names=["b-crier", *(f"b-{n}" for n in names)])
    others = [f"b-{name}" for name in names]

    def rate(sender: str, members: list[str], *, bare: bool) -> float:
        told = _public(lab, load, sender, members, window, bare=bare, size=size)
        return float(told["delivered"] / told["seconds"])

    limits, loads = beside(
        lab.sizes,
        lambda: rate("b-crier", others, bare=True),
        lambda: rate("crier", names, bare=False),
    )
    return Outcome(
        [Quantity.of(one / limit for one, limit in zip(loads, limits, strict=True))],
        {
            "deliveries/s": Quantity.of(loads),
            "deliveries/s, Autobahn alone": Quantity.of(limits),
            "bytes of a delivery": Quantity(size),
        },
        notes=[f"{count} members"],
    )


def _public(
    lab: Lab,
    load: Child,
    sender: str,
    members: list[str],
    window: int,
    *,
    bare: bool,
    size: int = 0,
) -> dict[str, Any]:
    told = load.ask(
        "public",
        sender=sender,
        members=members,
        seconds=lab.sizes.raw if bare else lab.sizes.seconds,
        warm=lab.sizes.pick(0.2, 0.05),
        window=window,
        bare=bare,
        size=size,
    )
    if not told["delivered"]:
        raise Missing(
            "this server does not fan out one ciphertext to the public channel: "
            + ("; ".join(told["errors"]) or "nobody got it")
        )
    return told
