"""
Two users who write to each other all the time: ``python -m tests.fuzz.honest``.

Arguments: the node's URL, a folder, and the seconds between two texts.  At the end of
its standard input it waits for the last answers, and prints what the two have noticed.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

from twisted.internet import reactor as global_reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol
from twisted.internet.stdio import StandardIO
from twisted.internet.task import LoopingCall, deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from socp_twisted.client import Client, ConnectionLost, TextReceived, connect
from socp_twisted.client.events import FrameRefused, NotDelivered
from socp_twisted.errors import Refused
from tests.chaos.accounting import quantile
from tests.keyring import key_of

reactor: Any = global_reactor

NAMES = ("alice", "bob")


class Pair:
    """Two users, what they sent each other, and what became of it."""

    _log = Logger()

    def __init__(self, url: str, folder: Path, pause: float) -> None:
        self._url, self._folder, self._pause = url, folder, pause
        self._clients: dict[str, Client] = {}
        self._sent: dict[str, float] = {}
        self._seen: dict[str, float] = {}
        self._calls: list[LoopingCall] = []
        self._told: set[str] = set()
        self.doubled = self.failed = self.lost = self.foreign = 0
        self.refused: list[str] = []

    async def start(self) -> None:
        """Log both in, and begin."""
        for name in NAMES:
            client = await connect(
                reactor,
                self._url,
                user_id=name,
                key=key_of(name),
                home=self._folder / name,
                register=True,
            )
            self._clients[name] = client
            reading = Deferred.fromCoroutine(self._read(name, client))
            reading.addErrback(lambda why: self._log.failure("reading", failure=why))
        await deferLater(reactor, 0.5)
        for number, name in enumerate(NAMES):
            call = LoopingCall(self._write, name, NAMES[1 - number])
            call.start(self._pause)
            self._calls.append(call)
        print("ready", flush=True)

    def _write(self, sender: str, to: str) -> None:
        text = f"{sender} {len(self._sent)}"
        self._sent[text] = time.monotonic()

        async def send() -> None:
            try:
                await self._clients[sender].tell(to, text)
            except Refused as why:
                self.failed += 1
                self.refused.append(f"{why.code}: {why}")
            self._told.add(text)

        sent = Deferred.fromCoroutine(send())
        sent.addErrback(lambda why: self._log.failure("sending", failure=why))

    async def _read(self, name: str, client: Client) -> None:
        async for event in client.events():
            if isinstance(event, TextReceived) and event.sender in NAMES:
                self.doubled += event.text in self._seen
                self._seen.setdefault(event.text, time.monotonic())
            elif isinstance(event, ConnectionLost):
                self.lost += 1
            elif isinstance(event, NotDelivered | FrameRefused | TextReceived):
                self.foreign += 1

    async def stop(self) -> None:
        """Wait for what is on its way, log out, and say how it was."""
        for call in self._calls:
            call.stop()
        late = time.monotonic() + 10
        while self._sent.keys() > self._seen.keys() & self._told and (
            time.monotonic() < late
        ):
            await deferLater(reactor, 0.1)
        took = sorted(self._seen[text] - self._sent[text] for text in self._seen)
        lost = self.lost
        for client in self._clients.values():
            await client.close()
        # By whose clock when: the clock of the machine, which the parent reads, too.
        times = [(self._sent[text], self._seen[text]) for text in self._seen]
        print(json.dumps({"times": sorted(times)}), flush=True)
        result = {
            "sent": len(self._sent),
            "arrived": len(self._seen),
            "doubled": self.doubled,
            "failed": self.failed,
            "why": self.refused[:5],
            "connections lost": lost,
            "refused from others": self.foreign,
            "p50": quantile(took, 0.5),
            "p99": quantile(took, 0.99),
            "max": quantile(took, 1.0),
        }
        print(json.dumps(result), flush=True)


class Ear(Protocol):
    """Ends with the standard input."""

    def __init__(self, pair: Pair) -> None:
        self._pair = pair

    def connectionLost(self, reason: Failure = None) -> None:  # type: ignore[assignment]
        """The parent is done, or dead."""
        stopped = Deferred.fromCoroutine(self._pair.stop())
        stopped.addErrback(lambda why: print(why.getTraceback(), file=sys.stderr))
        stopped.addBoth(lambda _: reactor.stop())


def main(url: str, folder: str, pause: str) -> None:
    """Run until the standard input ends."""
    pair = Pair(url, Path(folder), float(pause))
    StandardIO(Ear(pair))

    def begin() -> None:
        started = Deferred.fromCoroutine(pair.start())
        started.addErrback(lambda why: print(why.getTraceback(), file=sys.stderr))

    reactor.callWhenRunning(begin)
    reactor.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
