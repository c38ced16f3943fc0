"""What does the network do to the bytes between two ends?  Rules for directed pairs."""

from collections import Counter, deque
from dataclasses import dataclass
from typing import Any, Final

from twisted.internet.interfaces import IDelayedCall, IPushProducer
from zope.interface import implementer

HOLDING: Final = frozenset({"stall", "swallow"})
"""Kinds under which not even the end of a connection is carried."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What happens to bytes: a kind of ``plan.LINK_FAULTS``, and its amount."""

    kind: str = ""
    amount: float = 0.0


CLEAR: Final = Rule()


class Weather:
    """The rules that hold now, and every flow of bytes that is open."""

    def __init__(self, reactor: Any) -> None:
        self.reactor = reactor
        self._rules: dict[tuple[str, str], Rule] = {}
        self._flows: set[Flow] = set()
        self.counts: Counter[str] = Counter()
        """Connections carried, refused and broken, and bytes carried and swallowed."""

    def rule(self, source: str, destination: str) -> Rule:
        """Return what happens to bytes on this way."""
        return self._rules.get((source, destination), CLEAR)

    def is_cut(self, one: str, other: str) -> bool:
        """Say whether a new connection between two ends is refused."""
        ways = ((one, other), (other, one))
        return any(self.rule(*way).kind == "cut" for way in ways)

    def set(self, source: str, destination: str, rule: Rule) -> None:
        """Let a rule hold from now on."""
        before = self.rule(source, destination)
        self._rules[source, destination] = rule
        for flow in self._of(source, destination):
            if rule.kind == "cut" or (before.kind == "swallow" and flow.torn):
                self.counts["broken"] += 1
                flow.tear()
            else:
                flow.pump()

    def reset(self, one: str, other: str) -> None:
        """Break the connections between two ends; new ones are as good as any."""
        for flow in [*self._of(one, other), *self._of(other, one)]:
            self.counts["broken"] += 1
            flow.tear()

    def clear(self) -> None:
        """Let everything be carried."""
        for source, destination in list(self._rules):
            self.set(source, destination, CLEAR)

    def add(self, flow: "Flow") -> None:
        """Count a flow of bytes."""
        self._flows.add(flow)

    def discard(self, flow: "Flow") -> None:
        """Forget a flow that has ended."""
        self._flows.discard(flow)

    def _of(self, source: str, destination: str) -> "list[Flow]":
        return [one for one in self._flows if one.way == (source, destination)]


@implementer(IPushProducer)
class Flow:
    """
    The bytes of one connection in one direction: read here, written there, in order.

    It is the producer of the transport that it writes to, so that who does not read is
    felt by who writes, as without a gate between them.
    """

    def __init__(
        self, weather: Weather, way: tuple[str, str], reader: Any, writer: Any
    ) -> None:
        self.way = way
        self.torn = False
        """Whether bytes are missing: what follows would make no sense any more."""
        self._weather = weather
        self._reader, self._writer = reader, writer
        self._queue: deque[tuple[float, bytes]] = deque()
        self._next_at = 0.0
        self._full = self._ending = self._ended = self._paused = False
        self._waking: IDelayedCall | None = None
        weather.add(self)
        writer.registerProducer(self, True)
        self._read_or_not()

    @property
    def _rule(self) -> Rule:
        return self._weather.rule(*self.way)

    def take(self, data: bytes) -> None:
        """Take bytes that were read."""
        rule, now = self._rule, self._weather.reactor.seconds()
        if rule.kind == "swallow":
            self.torn = True
            self._weather.counts["bytes swallowed"] += len(data)
            return
        self._weather.counts["bytes carried"] += len(data)
        wait = {
            "delay": rule.amount,
            "throttle": len(data) / rule.amount if rule.amount else 0.0,
        }.get(rule.kind, 0.0)
        begin = self._next_at if rule.kind == "throttle" else now
        self._next_at = max(self._next_at, max(begin, now) + wait)
        self._queue.append((self._next_at, data))
        self.pump()

    def end(self) -> None:
        """The end that is read has closed: so does the other, after what is queued."""
        self._ending = True
        self.pump()

    def tear(self) -> None:
        """Break the connection at both ends."""
        self._queue.clear()
        for transport in (self._reader, self._writer):
            transport.abortConnection()

    def gone(self) -> None:
        """The end that is written to has closed."""
        if not self._ended:
            self._ended = True
            self._queue.clear()
            self._weather.discard(self)
            if self._waking is not None and self._waking.active():
                self._waking.cancel()

    def pump(self) -> None:
        """Write what is due, if the weather allows."""
        if self._ended:
            return
        self._read_or_not()
        if self._rule.kind in HOLDING:
            return
        now = self._weather.reactor.seconds()
        while self._queue and self._queue[0][0] <= now:
            self._writer.write(self._queue.popleft()[1])
        if self._queue:
            if self._waking is None or not self._waking.active():
                wait = self._queue[0][0] - now
                self._waking = self._weather.reactor.callLater(wait, self.pump)
        elif self._ending:
            self._writer.unregisterProducer()
            self._writer.loseConnection()

    def _read_or_not(self) -> None:
        paused = self._full or self._rule.kind == "stall" or len(self._queue) > 64
        if paused != self._paused:
            self._paused = paused
            if paused:
                self._reader.pauseProducing()
            else:
                self._reader.resumeProducing()

    # -- what the transport calls ------------------------------------------------------

    def pauseProducing(self) -> None:
        """The other end does not read."""
        self._full = True
        self._read_or_not()

    def resumeProducing(self) -> None:
        """The other end reads again."""
        self._full = False
        self.pump()

    def stopProducing(self) -> None:
        """The other end is gone."""
        self.gone()
