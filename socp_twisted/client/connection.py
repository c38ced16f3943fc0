"""
How does a program talk over SOCP?  ``await connect(...)``, and then a ``Client``.

A ``Client`` is what ``online`` keeps connected, with a method for each thing that a
user can ask for.  It dials again by itself, and logs in again.
"""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator

from socp_twisted.client.events import Contact, Delivered, Queued
from socp_twisted.client.files import Policy
from socp_twisted.client.keystore import Account, config_home
from socp_twisted.client.online import Online
from socp_twisted.client.pins import Pin, Pins
from socp_twisted.client.session import Session
from socp_twisted.client.worker import Worker
from socp_twisted.errors import ConfigurationError, Refused
from socp_twisted.net.tls import Trust
from socp_twisted.trust.keys import PrivateKey, public_key, split_pinned_url
from socp_twisted.wire.addresses import join_url, split_url
from socp_twisted.wire.vocabulary import PUBLIC


class Client(Online):
    """
    One user, at one server, for as long as it is not closed.

    ``url`` is ``ws://host:port``, or ``ws://host:port#<pub>`` with the server's key,
    or either with wss://.
    Log in with ``key``, or with ``passphrase`` alone, which fetches the key that the
    server keeps; with ``register`` an account is made first.  ``home`` holds the pins.
    Over wss:// a server's certificate is from an authority of the system's or of
    ``tls_ca``, a PEM file; ``tls`` makes the TLS connections in another way.
    """

    def __init__(
        self,
        reactor: Any,
        url: str,
        *,
        user_id: str,
        key: PrivateKey | None = None,
        passphrase: str = "",
        register: bool = False,
        display_name: str = "",
        plain_password: bool = False,
        home: Path | None = None,
        pins: Pins | None = None,
        downloads: Path | None = None,
        policy: Policy = Policy.ASK,
        tls_ca: Path | None = None,
        tls: IOpenSSLClientConnectionCreator | None = None,
        worker: Worker | None = None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        address, pin = _address(url)
        if address.startswith("wss:") and tls is None:
            tls = Trust(tls_ca).expect(split_url(address)[1])
        pins = pins or Pins(home or config_home())
        if pin:
            _pin_server(pins, address, pin, int(wall() * 1000))
        session = Session(
            Account(user_id, key, passphrase, display_name, plain_password),
            pins,
            address,
            downloads or Path.home() / "Downloads",
            policy=policy,
            shown=pins.home / f"{user_id}.shown" if pins.home else None,
        )
        super().__init__(
            reactor,
            address,
            session,
            wall=wall,
            register=register,
            tls=tls,
            worker=worker,
        )

    async def tell(self, user: str, text: str) -> Delivered | Queued:
        """
        Send a text to one user; return when it has arrived, or the server keeps it.

        Raise ``Refused`` if neither is so.  A message whose connection is lost before
        the answer is sent again on the next one.
        """
        outcome: Delivered | Queued
        outcome = await self._command(
            lambda now: self._session.tell(user, text, now),
            lambda message_id: self._waiters.expect((message_id, user)),
        )
        return outcome

    async def all(self, text: str) -> Mapping[str, str]:
        """Send a text to everybody online; return whom it did not reach, and why."""
        arrivals: dict[str, Deferred[Any]]
        arrivals = await self._command(
            lambda now: self._session.all(text, now),
            lambda sent: {
                user: self._waiters.expect((sent[0], user)) for user in sent[1]
            },
        )
        return await _failures(arrivals)

    async def list(self) -> tuple[Contact, ...]:
        """Return who is online, sorted by id, without ourselves."""
        listed: tuple[Contact, ...]
        listed = await self._command(
            self._session.request_list, lambda _: self._waiters.expect("list")
        )
        return listed

    async def send_file(self, user: str, path: Path) -> Mapping[str, str]:
        """
        Send a file to one user, or to everybody online if ``user`` is "public".

        Return, when all transfers have ended, whom it did not reach and why; for one
        user that raises ``Refused`` instead.
        """
        ends: dict[str, Deferred[Any]]
        ends = await self._command(
            lambda now: self._session.send_file(user, path, now),
            lambda sent: {
                to: self._waiters.expect(("file", file_id))
                for to, file_id in sent.items()
            },
        )
        if user != PUBLIC:
            await ends[user]
            return {}
        return await _failures(ends)

    async def accept_file(self, file_id: str) -> Path:
        """Take an offered file; return where it is once it is whole, or raise."""
        arrived: Path
        arrived = await self._command(
            lambda now: self._session.accept_file(file_id, now),
            lambda _: self._waiters.expect(("file", file_id)),
        )
        return arrived

    async def stop_file(self, file_id: str, reason: str = "declined") -> None:
        """Decline an offer, or break off a transfer of either direction."""
        await self._command(lambda now: self._session.stop_file(file_id, reason, now))

    async def configure_files(
        self, policy: Policy | None = None, downloads: Path | None = None
    ) -> None:
        """Change what happens with offers, and where received files go."""
        await self._command(
            lambda now: self._session.files.configure(policy, downloads)
        )

    async def register(self, passphrase: str = "") -> None:
        """Make or update the account while logged in, or raise ``Refused``."""
        await self._command(
            lambda now: self._session.register(now, passphrase),
            lambda _: self._waiters.expect("register"),
        )

    async def whois(self, user: str) -> Contact:
        """Return what is known of a user, or raise ``Refused``."""
        known: Contact = await self._command(lambda now: self._session.whois(user))
        return known

    async def fingerprints(self, user: str) -> tuple[str, str, str]:
        """Return our fingerprint, theirs as pinned, and the one they show now."""
        shown: tuple[str, str, str]
        shown = await self._command(lambda now: self._session.fingerprints(user))
        return shown

    async def trust(self, user: str, fingerprint: str) -> None:
        """Pin the key of a user whose fingerprint our user has compared."""
        await self._command(lambda now: self._session.trust(user, fingerprint, now))

    async def server_fingerprints(self) -> tuple[str, str]:
        """Return the server's fingerprint as pinned, and the one it shows now."""
        shown: tuple[str, str]
        shown = await self._command(lambda now: self._session.server_fingerprints())
        return shown

    async def trust_server(self, fingerprint: str) -> None:
        """Pin the key that the server shows now; ``start`` again if it was refused."""
        await self._command(lambda now: self._session.trust_server(fingerprint, now))

    @property
    def key(self) -> PrivateKey | None:
        """Return our key pair; None until a login by passphrase has fetched it."""
        return self._session.account.key


async def connect(reactor: Any, url: str, *, user_id: str, **options: Any) -> Client:
    """
    Return a ``Client`` that is logged in; its options are those of ``Client``.

    Raise ``Refused`` if the server, or the keys, do not allow it, or nobody answers in
    ten attempts, and ``ConfigurationError`` for a URL or a file that cannot be used.
    """
    client = Client(reactor, url, user_id=user_id, **options)
    try:
        await client.start()
    except BaseException:
        await client.close()
        raise
    return client


def _address(url: str) -> tuple[str, str]:
    """Split a URL into the address and the pinned key, which may be missing."""
    if "#" in url:
        return split_pinned_url(url)
    return join_url(*split_url(url)), ""


def _pin_server(pins: Pins, address: str, key: str, now: int) -> None:
    """Pin the key of a URL, which our user has from the server's operator."""
    pin = Pin(public_key(key).fingerprint, now, verified=True)
    held = pins.servers.get(address)
    if held is None:
        pins.servers.decide(address, pin)
    elif held.fingerprint != pin.fingerprint:
        raise ConfigurationError(
            f"the key in the URL is not the one that is pinned for {address}"
        )


async def _failures(outcomes: Mapping[str, "Deferred[Any]"]) -> dict[str, str]:
    """Wait for all, and return what went wrong with whom."""
    failures = {}
    for user, outcome in outcomes.items():
        try:
            await outcome
        except Refused as why:
            failures[user] = str(why)
    return failures
