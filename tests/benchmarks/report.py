"""What is shown of a run?  A table for people, JSON for programs, pictures."""

import platform
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

from autobahn.websocket import USES_NVX

from tests.benchmarks.measuring import CORES, Outcome, Quantity
from tests.benchmarks.table import Row

LIBRARIES = ("autobahn", "cryptography", "twisted")


def machine() -> dict[str, Any]:
    """Return what the figures were measured on."""
    return {
        "cores": CORES,
        "machine": platform.machine(),
        "python": platform.python_version(),
        "nvx": bool(USES_NVX),
        **{name: version(name) for name in LIBRARIES},
    }


def heading() -> str:
    """Return the lines above the table."""
    told = ", ".join(f"{what} {value}" for what, value in machine().items())
    return f"{told}\n{'row':21} {'reached':>9} {'spread':>7}  target"


def shown(quantity: Quantity) -> str:
    """Return a median in three or four digits."""
    value = quantity.value
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def lines(row: Row, outcome: Outcome | str) -> str:
    """Return what a row found, or why it found nothing."""
    if isinstance(outcome, str):
        return f"{row.name:21} {'-':>9} {'':7}  {outcome}"
    told = []
    for goal, value in zip(row.goals, outcome.values, strict=True):
        verdict = "reached" if goal.is_reached(value) else "MISSED"
        told.append(
            f"{row.name:21} {shown(value):>9} {value.spread:>7.1%}  "
            f"{goal} {goal.what}: {verdict}"
        )
    told.append(f"{'':21} {row.what}; beside {row.against}")
    figures = [f"{shown(value)} {name}" for name, value in outcome.figures.items()]
    told += [f"{'':23}{one}" for one in figures]
    told += [f"{'':21} note: {note}" for note in outcome.notes]
    return "\n".join(told)


def as_json(row: Row, outcome: Outcome | str) -> dict[str, Any]:
    """Return the same for a program."""
    told: dict[str, Any] = {"what": row.what, "against": row.against}
    if isinstance(outcome, str):
        return {**told, "missing": outcome}
    goals = [
        {**asdict(goal), **asdict(value), "reached": goal.is_reached(value)}
        | {"target": goal.value}
        for goal, value in zip(row.goals, outcome.values, strict=True)
    ]
    return {
        **told,
        "goals": goals,
        "figures": {name: asdict(one) for name, one in outcome.figures.items()},
        "curves": outcome.curves,
        "notes": outcome.notes,
    }
