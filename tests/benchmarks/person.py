"""
A client of this project in a process of its own: ``python -m tests.benchmarks.person``.

Each line of the standard input is a question, answered with a line of JSON.
"""

import json
from pathlib import Path
from typing import Any

from twisted.internet import reactor as global_reactor
from twisted.internet.defer import Deferred
from twisted.internet.stdio import StandardIO
from twisted.internet.task import deferLater
from twisted.protocols.basic import LineReceiver
from twisted.python.failure import Failure

from socp_twisted.client import Client, FileReceived, Policy, connect, sending
from socp_twisted.wire.vocabulary import EXTRA_FILES
from tests.keyring import key_of

reactor: Any = global_reactor


class Questions(LineReceiver):
    """What the measuring process asks."""

    delimiter = b"\n"

    def __init__(self) -> None:
        self._client: Client | None = None
        self._got: list[str] = []

    def lineReceived(self, line: bytes) -> None:
        """Do it, and say what came of it."""
        told = json.loads(line)
        doing = getattr(self, f"do_{told.pop('do')}")(**told)
        done = Deferred.fromCoroutine(doing)
        done.addErrback(self._failed)
        done.addCallback(self._say)

    async def do_enter(
        self, url: str, user_id: str, home: str, key: str
    ) -> dict[str, Any]:
        """Log in, once."""
        if self._client is not None:
            return {}
        self._client = await connect(
            reactor,
            url,
            user_id=user_id,
            key=key_of(key),
            home=Path(home),
            downloads=Path(home) / "downloads",
            policy=Policy.ALWAYS,
        )
        Deferred.fromCoroutine(self._read(self._client)).addErrback(self._failed)
        return {}

    async def do_meet(self, user_id: str) -> dict[str, Any]:
        """Wait until somebody is known."""
        assert self._client is not None
        while user_id not in [one.user_id for one in await self._client.list()]:
            await deferLater(reactor, 0.05)
        return {}

    async def do_send(self, to: str, path: str, way: str) -> dict[str, Any]:
        """Send a file; with ``rsa`` they are taken for a client of others."""
        assert self._client is not None
        extra = EXTRA_FILES if way == "aes" else "of nobody"
        sending.EXTRA_FILES = extra  # type: ignore[attr-defined]
        await self._client.send_file(to, Path(path))
        return {}

    async def do_got(self) -> dict[str, Any]:
        """Say where the next file is, once it is whole."""
        while not self._got:
            await deferLater(reactor, 0.005)
        return {"path": self._got.pop(0)}

    async def _read(self, client: Client) -> None:
        async for event in client.events():
            if isinstance(event, FileReceived):
                self._got.append(str(event.path))

    def _failed(self, failure: Failure) -> dict[str, Any]:
        failure.printTraceback()
        reactor.stop()
        return {"failed": str(failure.value)}

    def _say(self, answer: dict[str, Any]) -> None:
        self.transport.write(json.dumps(answer).encode("ascii") + b"\n")  # type: ignore[union-attr]

    def connectionLost(self, reason: Failure | None = None) -> None:
        """The measuring process is done, or dead."""
        closed: Deferred[Any] = Deferred()
        if self._client is None:
            closed.callback(None)
        else:
            closed = Deferred.fromCoroutine(self._client.close())
        closed.addBoth(lambda _: reactor.stop())


if __name__ == "__main__":
    StandardIO(Questions())
    reactor.run()
