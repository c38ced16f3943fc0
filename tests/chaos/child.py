"""
One user in a process that can be killed: ``python -m tests.chaos.child``.

The first line of the standard input says who it is; each further one is a text or a
file to send.  At its end the user logs out.
"""

import json
from pathlib import Path
from typing import Any

from twisted.internet import reactor as global_reactor
from twisted.internet.defer import Deferred
from twisted.internet.stdio import StandardIO
from twisted.protocols.basic import LineReceiver
from twisted.python.failure import Failure

from socp_twisted.trust.keys import PrivateKey
from tests.chaos.journal import Journal
from tests.chaos.talker import Talker, hurry

# The module has the reactor's methods only once one is installed; mypy has none.
reactor: Any = global_reactor


class Orders(LineReceiver):
    """What the parent process says."""

    delimiter = b"\n"
    MAX_LENGTH = 1024 * 1024
    talker: Talker | None = None

    def lineReceived(self, line: bytes) -> None:
        """Be somebody, or send a text."""
        order = json.loads(line)
        if self.talker is not None:
            self.talker.tell(**order)
            return
        self.talker = Talker(
            reactor,
            Journal(Path(order["journal"])),
            user_id=order["user_id"],
            url=order["url"],
            key=PrivateKey.from_pem(Path(order["key"]).read_bytes(), trusted=True),
            home=Path(order["home"]),
            passphrase=order["passphrase"],
        )
        self.talker.start()

    def connectionLost(self, reason: Failure = None) -> None:  # type: ignore[assignment]
        """Leave: the parent is done, or dead."""
        leaving: Deferred[None] = Deferred()
        if self.talker is not None:
            leaving = Deferred.fromCoroutine(self.talker.close())
        leaving.addBoth(lambda _: reactor.stop())
        if self.talker is None:
            leaving.callback(None)
        reactor.callLater(4.0, reactor.stop)


def main() -> None:
    """Run until the standard input ends."""
    hurry()
    StandardIO(Orders())
    reactor.run()


if __name__ == "__main__":
    main()
