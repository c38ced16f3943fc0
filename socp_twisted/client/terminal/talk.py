"""
Who carries a command out?  Lines in, calls of the client, and everything that happens.

``Talk`` serves a person and a script alike.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater
from twisted.logger import Logger

from socp_twisted.client.connection import Client
from socp_twisted.client.display import harmless
from socp_twisted.client.terminal import commands
from socp_twisted.client.terminal.commands import Command, NotUnderstood
from socp_twisted.client.terminal.entrance import Entrance, Told, as_told
from socp_twisted.client.terminal.happenings import (
    Compared,
    Done,
    Failed,
    Happening,
    Known,
    Notice,
    ServerCompared,
)
from socp_twisted.client.terminal.keyring import PASSPHRASE_VARIABLE
from socp_twisted.client.terminal.picture import State
from socp_twisted.client.terminal.places import find_path
from socp_twisted.client.terminal.reading import help_lines, parse, word_of
from socp_twisted.errors import (
    ConfigurationError,
    ErrorCode,
    Refused,
    SocpError,
)
from socp_twisted.wire.vocabulary import PUBLIC

SNAPSHOT: Final = 2.0
"""Seconds in which a server tells a newcomer who is there."""


class Unreached(Exception):
    """Something did not reach all, or did not come; the text says what and why."""


class Talk(Entrance):
    """Carries out one command after the other, or several at a time."""

    _log = Logger()

    # -- lines -------------------------------------------------------------------------

    async def carry_out(self, line: str, number: int = 0) -> bool:
        """Do what a line asks and say how it ended; return whether it ended well."""
        try:
            command = parse(line, self.conversation)
        except NotUnderstood as why:
            self.tell(Failed(word_of(line), "", str(why), number))
            return False
        return command is None or await self.perform(command, word_of(line), number)

    async def perform(self, command: Command, word: str, number: int = 0) -> bool:
        """Carry a command out and say how it ended; return whether it ended well."""
        ended: Happening
        try:
            detail = await PERFORM[type(command)](self, command)
        except CancelledError:
            raise
        except SocpError as why:
            told = isinstance(why, Told)
            ended = Failed(word, why.code, str(why), number, told)
        except (NotUnderstood, Unreached, ConfigurationError) as why:
            ended = Failed(word, "", str(why), number)
        except Exception:
            self._log.failure("bug in the command {word}", word=word)
            said = "this is a bug of socp chat; chat.log in the home folder has more"
            ended = Failed(word, "", said, number)
        else:
            ended = Done(word, number, detail)
        # The client settles a command just before it tells the event of it.
        await self._turn()
        self.tell(ended)
        return isinstance(ended, Done)

    # -- talking -----------------------------------------------------------------------

    async def text(self, command: commands.Tell) -> str:
        """To one user; further plain lines go to the same."""
        client = await self._online()
        if command.to in self.picture.known:  # at once: the next line may follow
            self.conversation = command.to
        before = self.conversation
        await client.tell(command.to, command.text)
        if self.conversation == before:
            self.conversation = command.to
        return ""

    async def text_to_all(self, command: commands.TellAll) -> str:
        """To everybody; further plain lines go to everybody."""
        client = await self._online()
        self.conversation = PUBLIC
        if not self.picture.people:
            raise Refused(ErrorCode.USER_NOT_FOUND, "nobody else is online")
        _raise_failures("the message", await client.all(command.text))
        return ""

    async def users(self, command: commands.ListUsers) -> str:
        """The event shows them."""
        await (await self._online()).list()
        return ""

    async def file(self, command: commands.SendFile) -> str:
        """To one user or all, until it is through or has failed."""
        client = await self._online()
        path = find_path(command.path)
        if not self.patient and path.is_file():  # it may wait for an answer for long
            self.tell(Notice(f"offering {path.name} to {command.to}"))
        try:
            _raise_failures(path.name, await client.send_file(command.to, path))
        except Refused as why:
            said = f"not sent to {command.to}: {why}"
            raise Refused(ErrorCode(why.code), said) from why
        return ""

    async def accept(self, command: commands.Accept) -> str:
        """Until the file is whole or has failed."""
        client = await self._online()
        one = self.picture.find(command.file, offers=True)
        one.asked = False
        await as_told(client.accept_file(one.file_id))
        return ""

    async def decline(self, command: commands.Decline) -> str:
        """An offer, or a transfer of either direction."""
        client = await self._online()
        one = self.picture.find(command.file, offers=False)
        why = "declined" if one.asked else "broken off"
        await client.stop_file(one.file_id, why)
        return "" if one.incoming else f"{harmless(one.name)} is broken off"

    # -- keys --------------------------------------------------------------------------

    async def whois(self, command: commands.WhoIs) -> str:
        """What is known of a user; of ourselves the fingerprint."""
        client = await self._online()
        if command.user_id == self._user_id and client.key is not None:
            return f"that is you; your key is\n  {client.key.public.fingerprint}"
        self.tell(Known(await client.whois(command.user_id)))
        return ""

    async def verify(self, command: commands.Verify) -> str:
        """Show both fingerprints, or trust the one that was shown or is told."""
        client, user = await self._online(), command.user_id
        if command.answer:
            await client.trust(user, self._compared(user, command.answer))
            return f"the key of {user} is trusted"
        ours, pinned, seen = await client.fingerprints(user)
        verified = False
        if user in self.picture.people:
            contact = await client.whois(user)
            verified = contact.trusted and contact.verified
        self.compared[user] = seen or pinned
        self.tell(Compared(user, ours, pinned, seen, verified))
        return ""

    async def server(self, command: commands.Server) -> str:
        """Show the server's fingerprints, or trust the one that was shown."""
        client = self.client
        if client is None:
            raise NotUnderstood("nobody is logged in: no server has shown its key")
        if command.answer:
            await client.trust_server(self._compared("", command.answer))
            return "the server's key is trusted; /login connects again"
        pinned, seen = await client.server_fingerprints()
        self.compared[""] = seen
        self.tell(ServerCompared(client.url, pinned, seen))
        return ""

    def _compared(self, whose: str, answer: str) -> str:
        if answer != "yes":
            return answer
        if not self.compared.get(whose):
            what = f"/verify {whose}" if whose else "/server"
            raise NotUnderstood(f"compare first: {what} shows the fingerprints")
        return self.compared[whose]

    # -- the rest ----------------------------------------------------------------------

    async def wait(self, command: commands.Wait) -> str:
        """Let time pass."""
        await deferLater(self.reactor, command.seconds)
        return ""

    async def expect(self, command: commands.Expect) -> str:
        """Until that event; those since the start count, each one once."""
        event = self.expecting.expect(command.event, command.fields, command.seconds)
        if await event is None:
            raise Unreached(f"no {command.event} within {command.seconds:g} s")
        return ""

    async def help(self, command: commands.Help) -> str:
        """Say what can be typed."""
        return "\n".join(help_lines(command.word))

    async def quit(self, command: commands.Quit) -> str:
        """No further line is read."""
        self.finished = True
        return ""

    async def idle(self) -> None:
        """Wait until no file is on its way to us any more."""
        while any(
            one.incoming and not one.asked for one in self.picture.transfers.values()
        ):
            await self.expecting.change()

    async def _online(self) -> Client:
        """Return the client when somebody is logged in, or raise."""
        if self.client is None:
            raise NotUnderstood(self._nobody())
        while self.patient and self.picture.state is State.TRYING:
            await self.expecting.change()
        if self.patient and self.picture.arriving:
            await self._arrival()
        state = self.picture.state
        if state is not State.IN:
            trying = "it is tried" if state is State.TRYING else "/login tries"
            raise NotUnderstood(f"not done: there is no connection; {trying} again")
        return self.client

    def _nobody(self) -> str:
        said = "nobody is logged in: /login <user>, /register <user>"
        user = self.user_id
        if user and not self.settings.passphrase and self.patient:
            said += (
                f"; there is no passphrase of {user} either: tell it in "
                f"{PASSPHRASE_VARIABLE} or with --passphrase-file"
            )
        return said

    async def _arrival(self) -> None:
        """Wait until the server has said who is there; not every server says it."""
        late = self.reactor.seconds() + SNAPSHOT
        while self.picture.arriving and self.reactor.seconds() < late:
            await self.expecting.change(late - self.reactor.seconds())
        self.picture.arriving = False

    def _turn(self) -> "Deferred[None]":
        return deferLater(self.reactor, 0)


PERFORM: Final[Mapping[type, Callable[[Talk, Any], Awaitable[str]]]] = {
    commands.Register: Talk.register,
    commands.LogIn: Talk.log_in,
    commands.ListUsers: Talk.users,
    commands.Tell: Talk.text,
    commands.TellAll: Talk.text_to_all,
    commands.SendFile: Talk.file,
    commands.Accept: Talk.accept,
    commands.Decline: Talk.decline,
    commands.WhoIs: Talk.whois,
    commands.Verify: Talk.verify,
    commands.Server: Talk.server,
    commands.Wait: Talk.wait,
    commands.Expect: Talk.expect,
    commands.Help: Talk.help,
    commands.Quit: Talk.quit,
}


def _raise_failures(what: str, failures: Mapping[str, str]) -> None:
    if failures:
        told = "; ".join(f"{user}: {why}" for user, why in failures.items())
        raise Unreached(f"{what} did not reach {told}")
