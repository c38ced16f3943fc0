"""What is a figure?  A median of slices, each beside its own limit, and its spread."""

import os
import statistics
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from socp_twisted.trust.signatures import sign

T = TypeVar("T")
Key = Any
"""A private key, of two primes or of more: whatever ``sign`` takes."""

CORES: Final = os.cpu_count() or 1


class Missing(Exception):
    """What a row measures is not there; the text says so in a sentence."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """A median, and how far apart the middle half of the slices is."""

    value: float
    spread: float = 0.0
    """The distance between the quartiles, as a share of the median."""

    @classmethod
    def of(cls, values: Iterable[float]) -> "Quantity":
        """Return the median and the spread of some values."""
        found = sorted(values)
        median = statistics.median(found)
        if len(found) < 2 or not median:
            return cls(median)
        low, _, high = statistics.quantiles(found, n=4, method="inclusive")
        return cls(median, (high - low) / abs(median))


@dataclass(frozen=True, slots=True)
class Goal:
    """What a row is to reach: at least, or at most, so much."""

    value: float
    what: str
    at_least: bool = True

    def is_reached(self, found: Quantity) -> bool:
        """Say whether a median is on the right side."""
        return found.value >= self.value if self.at_least else found.value <= self.value

    def __str__(self) -> str:
        return f"{'>=' if self.at_least else '<='} {self.value:g}"


Curve = list[tuple[float, float]]


@dataclass(slots=True)
class Outcome:
    """What a row found out."""

    values: Sequence[Quantity]
    """One for each goal of the row, in their order."""
    figures: dict[str, Quantity] = field(default_factory=dict)
    """What the ratios were made of, by name and unit."""
    curves: dict[str, Curve] = field(default_factory=dict)
    """How cost grows: points by what they are."""
    axes: tuple[str, str] = ("", "")
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Sizes:
    """How long and how much: the full run's, or a smoke run's smallest."""

    slices: int = 10
    seconds: float = 1.0
    """Of load in each slice."""
    raw: float = 0.5
    """Of the limit, before and after."""
    smoke: bool = False

    def pick(self, full: Any, smallest: Any) -> Any:
        """Return the size of a full run, or that of a smoke run."""
        return smallest if self.smoke else full


def raw_rate(key: Key, seconds: float, threads: int = CORES) -> float:
    """Return how many signatures a second this machine makes, on so many threads."""
    made = [0] * threads
    ends = time.perf_counter() + seconds
    began = time.perf_counter()

    def work(mine: int) -> None:
        while time.perf_counter() < ends:
            sign(key, b"a payload of a usual size" * 40)
            made[mine] += 1

    workers = [threading.Thread(target=work, args=(n,)) for n in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return sum(made) / (time.perf_counter() - began)


def signature_time(key: Key, count: int) -> float:
    """Return the median time of one signature on this thread, in seconds."""
    return statistics.median(timed(lambda: sign(key, b"once")) for _ in range(count))


def timed(work: Callable[[], Any]) -> float:
    """Return how many seconds something takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def quantile(values: Sequence[float], share: float) -> float:
    """Return the value below which a share of all values lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def beside(
    sizes: Sizes, limit: Callable[[], float], load: Callable[[], T]
) -> tuple[list[float], list[T]]:
    """Return what each slice found: the limit on both sides of the load, and loads."""
    limits: list[float] = []
    loads: list[T] = []
    for _ in range(sizes.slices):
        before = limit()
        loads.append(load())
        limits.append((before + limit()) / 2)
    return limits, loads


def slope(points: Curve) -> float:
    """Return how steep the straight line through some points is (least squares)."""
    return statistics.linear_regression(*zip(*points, strict=True)).slope
