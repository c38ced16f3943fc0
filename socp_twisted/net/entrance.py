"""
Who is connected to us, from the first packet on?  Counted, and put out in time.

A connection costs memory and a file before it is a WebSocket, too: whoever is in a TLS
handshake, or sends the headers of a request one byte a second, takes up room like a
user.  So both limits count what the listening port accepts, and what has not become a
WebSocket after ten seconds is closed, whatever it is at.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from socp_twisted.wire.addresses import is_loopback, subscriber
from socp_twisted.wire.limits import Limits
from socp_twisted.wire.vocabulary import HANDSHAKE_TIMEOUT

SURPLUS = 64
"""Connections beyond a limit that may still ask for a WebSocket, to be told why not."""


@dataclass(slots=True)
class _Caller:
    host: str
    since: float
    sentence: str  # why it cannot stay, or nothing
    upgraded: bool = False


class Entrance:
    """The connections that others have opened to us, by their transports."""

    def __init__(
        self, limits: Limits, counters: Counter[str], seconds: Callable[[], float]
    ) -> None:
        """Count in ``counters`` what is refused; ``seconds`` is monotonic."""
        self._limits = limits
        self._counters = counters
        self._seconds = seconds
        self._callers: dict[Any, _Caller] = {}
        self._from: Counter[str] = Counter()
        self._welcome = 0

    def __len__(self) -> int:
        return len(self._callers)

    def came(self, transport: Any, host: str) -> bool:
        """Count a connection; false if there is not even room to tell it why."""
        host = subscriber(host)
        sentence = self._no_room(host)
        if not sentence:
            self._welcome += 1
            self._from[host] += 1
        elif len(self._callers) - self._welcome >= SURPLUS:
            return False
        self._callers[transport] = _Caller(host, self._seconds(), sentence)
        return True

    def upgraded(self, transport: Any) -> str:
        """Note that it is a WebSocket now; say, in a sentence, why it cannot stay."""
        caller = self._callers.get(transport)
        if caller is None:
            return ""
        caller.upgraded = True
        return caller.sentence

    def gone(self, transport: Any) -> None:
        """Forget a connection that is closed."""
        caller = self._callers.pop(transport, None)
        if caller is not None and not caller.sentence:
            self._welcome -= 1
            self._from[caller.host] -= 1
            if not self._from[caller.host]:
                del self._from[caller.host]

    def close_late(self) -> None:
        """Close what has not become a WebSocket in ten seconds."""
        for transport in list(self._late()):
            self._counters["handshake-timeout"] += 1
            self.gone(transport)
            transport.abortConnection()

    def _late(self) -> Iterator[Any]:
        then = self._seconds() - HANDSHAKE_TIMEOUT
        for transport, caller in self._callers.items():  # in the order of their coming
            if caller.since > then:
                return
            if not caller.upgraded:
                yield transport

    def _no_room(self, host: str) -> str:
        limits = self._limits
        if self._welcome >= limits.connections:
            self._counters["max-connections"] += 1
            return f"max-connections: {limits.connections} are open"
        if self._from[host] >= limits.per_address and not is_loopback(host):
            self._counters["max-per-address"] += 1
            return f"max-per-address: {limits.per_address} are open from {host}"
        return ""
