"""
The user's side of SOCP: a session without I/O, keys, files, and a client on Twisted.

An echo bot, whole::

    from pathlib import Path
    from twisted.internet.defer import Deferred
    from twisted.internet.task import react
    from socp_twisted.client import GaveUp, TextReceived, connect, load_key

    async def echo(reactor, url, user_id, key_file, passphrase):
        key = load_key(Path(key_file), passphrase)
        client = await connect(reactor, url, user_id=user_id, key=key)
        async for event in client.events():
            if isinstance(event, TextReceived) and not event.public:
                await client.tell(event.sender, event.text)
            elif isinstance(event, GaveUp):  # after ten attempts, five seconds apart
                raise ConnectionError(event.reason)

    def main(reactor, *arguments):
        return Deferred.fromCoroutine(echo(reactor, *arguments))

    if __name__ == "__main__":
        react(main, ["ws://127.0.0.1:8765", "echo", "echo.key", "a passphrase"])

The rooms, in reading order: ``events`` (what a user is told), ``display`` (made
harmless), ``disk``, ``keystore``, ``pins``; ``outbox``, ``incoming``, ``fields``,
``content``, ``greeting`` and ``login``, ``contacts``, ``replays``; ``channel`` and
``broadcasting`` (one ciphertext for everybody), ``messages``; ``manifest``,
``receiving``, ``sending``, ``files``; and ``session``, which is all of them together,
without a socket; then Twisted's: ``dialing``, ``worker``, ``stream``, ``online`` and
``connection``; and the ``terminal``, where people and scripts use it.
"""

from socp_twisted.client.connection import Client, connect
from socp_twisted.client.display import harmless
from socp_twisted.client.events import (
    ConnectionLost,
    Contact,
    Delivered,
    Event,
    FileOffered,
    FileReceived,
    GaveUp,
    LoggedIn,
    NotDelivered,
    Queued,
    TextReceived,
    UserJoined,
    UserKeyChanged,
    UserLeft,
)
from socp_twisted.client.files import Policy
from socp_twisted.client.keystore import load_key, save_key

__all__ = [
    "Client",
    "ConnectionLost",
    "Contact",
    "Delivered",
    "Event",
    "FileOffered",
    "FileReceived",
    "GaveUp",
    "LoggedIn",
    "NotDelivered",
    "Policy",
    "Queued",
    "TextReceived",
    "UserJoined",
    "UserKeyChanged",
    "UserLeft",
    "connect",
    "harmless",
    "load_key",
    "save_key",
]
