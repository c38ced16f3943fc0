"""Where does an attacker listen?  A server that says only what the test has it say."""

from typing import Any

from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import ServerFactory
from websockets.server import ServerProtocol

from tests.plain_socp import Frame, Key, canonical
from tests.processes import reactor
from tests.sockets import Socket, Watch


class Den(ServerFactory):
    """A listening attacker with a key of its own."""

    noisy = False

    def __init__(self, key: Key, watch: Watch) -> None:
        self.key, self.watch = key, watch
        self.sockets: list[Socket] = []
        self.port = 0
        self._listening: Any = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"ws://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Listen on a free port."""
        self._listening = reactor.listenTCP(0, self, interface="127.0.0.1")
        self.port = self._listening.getHost().port

    async def stop(self) -> None:
        """Listen no more, and break what there is."""
        await self._listening.stopListening()
        for socket in self.sockets:
            if socket.closed is None:
                socket.abort()
        ends = self.sockets
        await self.watch.until(lambda: all(one.closed for one in ends), 5)

    def buildProtocol(self, addr: IAddress | None) -> Socket:
        """Take a victim."""
        socket = Socket(ServerProtocol(), self.watch.changed)
        self.sockets.append(socket)
        return socket

    def heard(self, kind: str) -> list[Frame]:
        """Return the frames of a type, from whoever connected."""
        frames = [frame for socket in self.sockets for frame in socket.frames]
        return [frame for frame in frames if frame["type"] == kind]

    async def hear(self, kind: str, count: int = 1) -> Frame:
        """Return the newest frame of a type, once there are so many."""
        await self.watch.until(lambda: len(self.heard(kind)) >= count, 10)
        return self.heard(kind)[-1]

    def say(self, kind: str, to: str, payload: Frame, **more: Any) -> Frame:
        """Send a signed frame to whoever connected last."""
        frame = {
            "type": kind,
            "from": self.key.owner,
            "to": to,
            "ts": int(reactor.seconds() * 1000),
            "payload": payload,
            "sig": self.key.sign(canonical(payload)),
            **more,
        }
        self.sockets[-1].write(frame)
        return frame
