"""How does somebody get in?  The key file, the passphrase, a new account, a login."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.logger import Logger

from socp_twisted.client.connection import Client
from socp_twisted.client.events import Event
from socp_twisted.client.files import Policy
from socp_twisted.client.terminal import commands, keyring
from socp_twisted.client.terminal.commands import Command, NotUnderstood
from socp_twisted.client.terminal.expecting import MAX_KEPT, Expecting
from socp_twisted.client.terminal.happenings import Happening, Notice, Warned
from socp_twisted.client.terminal.picture import Picture, State
from socp_twisted.client.terminal.places import is_open_to_listeners
from socp_twisted.errors import ErrorCode, Refused
from socp_twisted.trust.keys import PrivateKey

T = TypeVar("T")

EASY: Final = 12
"""Characters below which a new passphrase is warned about, not refused."""


class Told(Refused):
    """A refusal that an event has told."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the command line says; ``passphrase`` is that of every user named."""

    url: str
    home: Path
    user_id: str = ""
    passphrase: str = field(default="", repr=False)
    downloads: Path | None = None
    policy: Policy = Policy.ASK
    display_name: str = ""
    tls_ca: Path | None = None


class Entrance:
    """
    One client after the other, each logged in as somebody, at one server.

    What happens goes to ``tell``.  ``patient`` is for scripts: commands wait for the
    connection to come back, and events are kept for /expect.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        settings: Settings,
        tell: Callable[[Happening], None],
        *,
        patient: bool = False,
        client: Callable[..., Client] = Client,
    ) -> None:
        self.settings = settings
        self.picture = Picture()
        self.conversation = ""
        self.finished = False
        self.reactor = reactor
        self._show = tell
        self.patient = patient
        self._make = client
        self.client: Client | None = None
        self._user_id = ""
        self.compared: dict[str, str] = {}
        self.expecting = Expecting(reactor, MAX_KEPT if patient else 0)

    def tell(self, event: Happening) -> None:
        """Show what has happened, and keep it in mind."""
        self._show(event)
        self.picture.absorb(event)
        self.expecting.feed(event)

    # -- logging in --------------------------------------------------------------------

    @property
    def user_id(self) -> str:
        """Return who is, or is to be, logged in."""
        return self._user_id or self.settings.user_id

    def wants_passphrase(self, command: Command) -> str:
        """Return the user whose passphrase must be asked first, "" for nobody."""
        if not isinstance(command, commands.LogIn | commands.Register):
            return ""
        user = command.user_id or self.user_id
        known = command.passphrase or self.settings.passphrase
        return "" if known or self._is_current(user) else user

    def has_key(self, user_id: str) -> bool:
        """Say whether a user's key file is there."""
        return keyring.key_file(self.settings.home, user_id).exists()

    async def log_in(self, command: commands.LogIn) -> str:
        """With the key file; without one, with the key that the server keeps."""
        user = self._named(command.user_id)
        if self.client is not None and self._is_current(user):
            if self.picture.state is State.IN:
                raise NotUnderstood(f"you are logged in as {user}")
            if self.picture.state is State.TRYING:
                raise NotUnderstood("a connection is being tried already")
            if not command.passphrase:
                await as_told(self.client.start())
                return ""
        passphrase = self._passphrase(command.passphrase, user)
        home = self.settings.home
        key = await deferToThread(keyring.find_key, home, user, passphrase)
        client = await self._enter(user, key=key, passphrase=passphrase)
        if key is None and client.key is not None:
            await deferToThread(keyring.keep_key, home, user, client.key, passphrase)
            self.tell(Notice(f"your key is in {keyring.key_file(home, user)} now"))
        return ""

    async def register(self, command: commands.Register) -> str:
        """With the key file, which is made if there is none."""
        user, home = self._named(command.user_id), self.settings.home
        client = self.client
        if client and user == self._user_id and self.picture.state is State.IN:
            await client.register(command.passphrase)
            if command.passphrase and client.key is not None:
                await deferToThread(
                    keyring.keep_key, home, user, client.key, command.passphrase
                )
            return ""
        passphrase = self._passphrase(command.passphrase, user)
        key = await deferToThread(keyring.find_key, home, user, passphrase)
        if key is not None:
            # The key proves who we are, whether or not the account is there already.
            client = await self._enter(user, key=key, passphrase=passphrase)
            await client.register()
            return ""
        if len(passphrase) < EASY:
            self.tell(
                Warned(
                    "so short a passphrase can be guessed by whoever gets hold of the "
                    "encrypted key; the server has a copy.  Several words are better"
                )
            )
        self.tell(Notice(f"making a key for {user}; this takes a few seconds"))
        key = await deferToThread(keyring.make_key, home, user, passphrase)
        try:
            await self._enter(user, key=key, passphrase=passphrase, register=True)
        except Refused as why:
            if why.code != ErrorCode.NAME_IN_USE:
                self.tell(
                    Notice(f"{user} is not registered yet: /register tries it again")
                )
                raise
            await self._ours_or_taken(user, key, passphrase)
        return ""

    async def _ours_or_taken(self, user: str, key: PrivateKey, passphrase: str) -> None:
        """The name is registered: by us, if the answer was lost on its way."""
        try:
            await self._enter(user, key=key, passphrase=passphrase)
        except Refused as why:
            if why.code in (ErrorCode.BAD_KEY, ErrorCode.NAME_IN_USE):
                # Nobody has used the new key, and the name is somebody else's.
                keyring.key_file(self.settings.home, user).unlink(missing_ok=True)
                self.tell(
                    Notice(
                        f"{user} is registered at this server already: if that is "
                        f"you, /login {user}; else /register another name"
                    )
                )
            raise

    async def _enter(self, user_id: str, **options: Any) -> Client:
        await self.close()
        settings = self.settings
        client = self._make(
            self.reactor,
            settings.url,
            user_id=user_id,
            display_name=settings.display_name,
            tls_ca=settings.tls_ca,
            home=settings.home,
            downloads=settings.downloads,
            policy=settings.policy,
            **options,
        )
        self.client, self._user_id, self.conversation = client, user_id, ""
        self.compared.clear()
        if is_open_to_listeners(settings.url):
            self.tell(
                Warned(
                    f"the way to {settings.url} is not encrypted: whoever listens sees "
                    "who talks to whom, though not what is said"
                )
            )
        self._follow(client)
        await as_told(client.start())
        return client

    def _follow(self, client: Client) -> None:
        async def follow() -> None:
            event: Event
            async for event in client.events():
                if client is self.client:  # else we have hung up ourselves
                    self._told_by_client(event)

        Deferred.fromCoroutine(follow()).addErrback(
            lambda why: self._log.failure("bug while showing events", failure=why)
        )

    def _told_by_client(self, event: Event) -> None:
        try:
            self.tell(event)
        except Exception:  # the next event may be the one that matters
            self._log.failure("bug while showing {type}", type=type(event).__name__)

    async def close(self) -> None:
        """Log out; harmless when nobody is logged in."""
        client, self.client = self.client, None
        if client is not None:
            await client.close()
            self.picture.forget()

    def _is_current(self, user: str) -> bool:
        """Say whether the client in use is this user's, and was not refused."""
        current = self.client is not None and user == self._user_id
        return current and not self.picture.refused

    def _named(self, user_id: str) -> str:
        user = user_id or self.user_id
        if not user:
            raise NotUnderstood("as whom? write /login <user> or /register <user>")
        return user

    def _passphrase(self, told: str, user: str) -> str:
        passphrase = told or self.settings.passphrase
        if not passphrase:
            raise NotUnderstood(
                f"there is no passphrase of {user}: write it after the name, or tell "
                f"it in {keyring.PASSPHRASE_VARIABLE} or with --passphrase-file"
            )
        return passphrase


async def as_told(command: Awaitable[T]) -> T:
    """Wait for what an event, GaveUp or FileFailed, tells as well if it fails."""
    try:
        return await command
    except Refused as why:
        raise Told(ErrorCode(why.code), str(why)) from why
