"""How does a person chat?  A prompt with history and completion; events above it."""

import asyncio
from collections.abc import Awaitable, Coroutine
from dataclasses import replace
from typing import Any, Final

from prompt_toolkit import PromptSession
from prompt_toolkit.application import get_app_or_none
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.history import DummyHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.patch_stdout import patch_stdout
from twisted.internet.defer import CancelledError, Deferred, DeferredList
from twisted.internet.threads import deferToThread
from twisted.logger import Logger
from twisted.python.failure import Failure

from socp_twisted.client.display import harmless
from socp_twisted.client.terminal import commands, keyring
from socp_twisted.client.terminal.commands import NotUnderstood
from socp_twisted.client.terminal.completing import Completing, Memory
from socp_twisted.client.terminal.entrance import Settings
from socp_twisted.client.terminal.happenings import Failed, Happening, Notice
from socp_twisted.client.terminal.picture import State
from socp_twisted.client.terminal.reading import parse, word_of
from socp_twisted.client.terminal.screen import STYLE, Screen
from socp_twisted.client.terminal.show import Show
from socp_twisted.client.terminal.talk import Talk
from socp_twisted.errors import ConfigurationError
from socp_twisted.wire.envelope import is_identifier
from socp_twisted.wire.vocabulary import PUBLIC

TRIES: Final = 3
"""Of a passphrase that does not open the key file."""

PARTING: Final = 0.5
"""Seconds that texts under way have to arrive before we leave."""


def _cancelled(why: Failure) -> None:
    """We are leaving, and no longer wait for this."""
    why.trap(CancelledError)


def _keys() -> KeyBindings:
    """Return what Ctrl-C does, as in a shell: it drops what was typed, or leaves."""
    keys = KeyBindings()

    @keys.add("c-c")
    def _(event: KeyPressEvent) -> None:
        if event.current_buffer.text:
            event.current_buffer.reset()
        else:
            event.app.exit(exception=KeyboardInterrupt, style="class:aborting")

    return keys


class Terminal:
    """One person at one terminal."""

    _log = Logger()

    def __init__(self, reactor: Any, settings: Settings) -> None:
        self.talk = Talk(reactor, settings, self._show)
        self._reactor = reactor
        self._settings = settings
        self._leaving = False
        self._under_way: dict[Deferred[Any], bool] = {}
        picture = self.talk.picture
        self._lines: PromptSession[str] = PromptSession(
            history=Memory(keyring.LineMemory(settings.home / "history")),
            completer=Completing(
                picture, lambda: keyring.users_with_keys(settings.home)
            ),
            complete_while_typing=False,
            reserve_space_for_menu=4,
            style=STYLE,
            key_bindings=_keys(),
        )
        self._screen = Screen(
            reactor, Show(picture, terse=True), output=self._lines.output
        )

    async def run(self) -> int:
        """Talk until the user leaves; return the exit code."""
        with patch_stdout():
            await self._welcome()
            while not (self._leaving or self.talk.finished):
                line = await self._ask(self._lines, self._prompt, self._toolbar)
                if line is None:
                    break
                await self._typed(line)
            self._leaving = True
            texts = [done for done, is_text in self._under_way.items() if is_text]
            if texts:
                ended = DeferredList(texts).addTimeout(PARTING, self._reactor)
                if any(how is None for _, how in await ended):
                    self._say("the server has not answered for the last message yet")
            self._screen.flush()
        return 0

    def leave(self) -> None:
        """Ask no more: what is being asked counts as answered with nothing."""
        self._leaving = True
        app = get_app_or_none()
        if app is not None and app.is_running and not app.is_done:
            app.exit(exception=EOFError())

    # -- asking ------------------------------------------------------------------------

    async def _ask(
        self,
        session: PromptSession[str],
        message: Any,
        toolbar: Any = None,
        **more: Any,
    ) -> str | None:
        """Return a line, or None if the user, or a signal, wants to leave."""
        if self._leaving:
            return None
        self._screen.flush()

        async def ask() -> str | None:
            # Here: a task that ends with KeyboardInterrupt ends the whole loop.
            try:
                return await session.prompt_async(
                    message, bottom_toolbar=toolbar, handle_sigint=False, **more
                )
            except (EOFError, KeyboardInterrupt):
                return None

        task = asyncio.get_running_loop().create_task(ask())
        line = await Deferred.fromFuture(task)
        self._leaving = self._leaving or line is None
        return line

    async def _question(self, message: str, *, secret: bool = False) -> str | None:
        """Ask beside the conversation: nothing of it is kept in the history."""
        session: PromptSession[str] = PromptSession(history=DummyHistory(), style=STYLE)
        return await self._ask(session, message, is_password=secret)

    async def _new_passphrase(self, user: str) -> str | None:
        """Ask twice; None or "" if the user does not want to."""
        while True:
            first = await self._question(f"passphrase for {user}: ", secret=True)
            if not first:
                return first
            again = await self._question("the same once more: ", secret=True)
            if again is None or again == first:
                return again
            self._say("the two are not the same; again, or leave it empty")

    # -- the beginning -----------------------------------------------------------------

    async def _welcome(self) -> None:
        """From nothing to chatting: a name, a passphrase, and in."""
        user = self._settings.user_id or await self._choose_user()
        if user is None:
            return
        if self.talk.has_key(user):
            passphrase = self._settings.passphrase or await self._known(user)
            if passphrase:
                self._start(commands.LogIn(user, passphrase), "login")
            return
        passphrase = self._settings.passphrase
        if not passphrase:
            self._say(
                f"{user} has no key here yet, so a new account is made.\n"
                "Its passphrase protects the key, here and in the copy that the server "
                "keeps\nwithout being able to read it. You have this account already? "
                "Leave it empty."
            )
            passphrase = await self._new_passphrase(user) or ""
        if passphrase:
            self._start(commands.Register(user, passphrase), "register")
        else:
            self._say(f"nothing was made: /login {user}, /register or /help")

    async def _choose_user(self) -> str | None:
        """Return the only user who has a key here, or ask."""
        users = keyring.users_with_keys(self._settings.home)
        if len(users) == 1:
            return users[0]
        known = f" ({', '.join(users[:10])})" if users else ""
        while True:
            told = await self._question(f"your user name{known}: ")
            if told is None or is_identifier(told.strip()):
                return told and told.strip()
            self._say("a user name is 1 to 64 letters, digits or ._-@")

    async def _known(self, user: str) -> str | None:
        """Ask for the passphrase of a key file until it opens, a few times."""
        for _ in range(TRIES):
            told = await self._question(f"passphrase of {user}: ", secret=True)
            if not told:
                return told
            try:
                await deferToThread(keyring.find_key, self._settings.home, user, told)
            except ConfigurationError as why:
                self._say(str(why))
            else:
                return told
        self._say(f"not logged in: /login {user} asks again")
        return None

    # -- lines -------------------------------------------------------------------------

    async def _typed(self, line: str) -> None:
        """Understand a line, ask for the passphrase that it needs, and begin it."""
        word = word_of(line)
        try:
            command = parse(line, self.talk.conversation)
        except NotUnderstood as why:
            self.talk.tell(Failed(word, "", str(why)))
            return
        if isinstance(command, commands.LogIn | commands.Register):
            user = self.talk.wants_passphrase(command)
            if user:
                new = isinstance(command, commands.Register)
                new = new and not self.talk.has_key(user)
                asked: Awaitable[str | None] = (
                    self._new_passphrase(user)
                    if new
                    else self._question(f"passphrase of {user}: ", secret=True)
                )
                passphrase = await asked
                if not passphrase:
                    return
                command = replace(command, user_id=user, passphrase=passphrase)
        if command is not None:
            self._start(command, word)

    def _start(self, command: commands.Command, word: str) -> None:
        """Carry a command out while further lines are typed."""
        performed: Coroutine[Deferred[Any], Any, bool]
        performed = self.talk.perform(command, word)
        done: Deferred[Any] = Deferred.fromCoroutine(performed)
        self._under_way[done] = isinstance(command, commands.Tell | commands.TellAll)

        def ended(result: Any) -> Any:
            self._under_way.pop(done, None)
            return result

        done.addBoth(ended)
        done.addErrback(_cancelled)
        done.addErrback(lambda why: self._log.failure("bug in a command", failure=why))

    def _show(self, event: Happening) -> None:
        self._screen.happened(event)

    def _say(self, text: str) -> None:
        self.talk.tell(Notice(text))
        self._screen.flush()

    # -- what stands there -------------------------------------------------------------

    def _prompt(self) -> StyleAndTextTuples:
        user, to = self.talk.user_id, self.talk.conversation
        shown: StyleAndTextTuples = [("class:user", user)]
        if to:
            name = "everybody" if to == PUBLIC else to
            shown += [("", " to "), ("class:to", name)]
        return [*shown, ("", "> ")]

    def _toolbar(self) -> StyleAndTextTuples:
        """Return connection, who is there, and how far files are."""
        picture = self.talk.picture
        is_in = picture.state is State.IN
        style = "class:bottom-toolbar.good" if is_in else "class:bottom-toolbar.bad"
        server = harmless(picture.server_id) if is_in else ""
        parts = [f" {server} {self._settings.url.partition('#')[0]}"]
        if is_in:
            count = len(picture.people)
            parts.append(f"{count} other{'' if count == 1 else 's'} online")
        for one in list(picture.transfers.values())[:3]:
            done = f"{100 * one.done // one.size} %" if one.size else "0 %"
            how = "from" if one.incoming else "to"
            what = f"{one.number} {harmless(one.name)[:30]} {how} {harmless(one.peer)}"
            parts.append(f"{what} {'offered' if one.asked else done}")
        return [(style, f" {picture.state}"), ("", "  ".join(["", *parts]))]
