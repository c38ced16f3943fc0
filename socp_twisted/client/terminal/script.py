"""
How does a program chat?  Commands from standard input, one line out for each event.

Each command is waited for before the next one is read.  At the end of the input, files
that are on their way to us are waited for, and the exit code says how it went.
"""

import os
import sys
import threading
from collections.abc import Callable
from typing import Any, Final, TextIO

from twisted.internet.defer import Deferred

from socp_twisted.client.terminal.commands import LogIn, Register
from socp_twisted.client.terminal.entrance import Settings
from socp_twisted.client.terminal.happenings import Failed, Happening
from socp_twisted.client.terminal.record import to_json
from socp_twisted.client.terminal.show import Show
from socp_twisted.client.terminal.talk import Talk

OK: Final = 0
FAILED: Final = 1
"""A command failed, or something on the command line cannot be used."""
NOT_IN: Final = 3
"""The first login failed: no command was carried out."""

_PIECE: Final = 65_536


class Input:
    """
    Lines of a file descriptor, each read when it is asked for.

    On a thread, and with ``os.read``: a pipe set to non-blocking would be so for
    whoever shares it, and a buffered reader cannot be left while it waits.
    """

    def __init__(self, reactor: Any, descriptor: int = 0) -> None:
        self._reactor = reactor
        self._descriptor = descriptor
        self._rest = b""
        self._ended = False
        self._asked = threading.Semaphore(0)
        self._answer: Deferred[bytes] | None = None
        threading.Thread(target=self._read, daemon=True, name="socp-input").start()

    async def line(self) -> bytes | None:
        """Return the next line without its end, or None at the end of the input."""
        while not self._ended and b"\n" not in self._rest:
            answer: Deferred[bytes] = Deferred()
            self._answer = answer
            self._asked.release()
            piece = await answer
            self._ended = not piece
            self._rest += piece
        if not self._rest:
            return None
        line, _, self._rest = self._rest.partition(b"\n")
        return line.removesuffix(b"\r")

    def _read(self) -> None:
        piece = b"-"
        while piece:
            self._asked.acquire()
            try:
                piece = os.read(self._descriptor, _PIECE)
            except OSError:  # closed, or a terminal that is gone
                piece = b""
            self._reactor.callFromThread(self._got, piece)

    def _got(self, piece: bytes) -> None:
        answer, self._answer = self._answer, None
        if answer is not None and not answer.called:
            answer.callback(piece)


class Script:
    """One run of a script."""

    def __init__(
        self,
        reactor: Any,
        settings: Settings,
        *,
        as_json: bool = False,
        output: TextIO = sys.stdout,
        broken: Callable[[], None] = lambda: None,
    ) -> None:
        self._output = output
        self._as_json = as_json
        self._broken = broken
        self.talk = Talk(reactor, settings, self.show, patient=True)
        self._show = Show(self.talk.picture)

    def show(self, event: Happening) -> None:
        """Write the lines of an event; a reader who has gone ends the script."""
        lines = (
            [to_json(event)]
            if self._as_json
            else [str(line) for line in self._show.lines(event)]
        )
        try:
            for line in lines:
                self._output.write(line + "\n")
            self._output.flush()
        except OSError:
            self._broken()

    async def run(self, lines: Input) -> int:
        """Log in if a user and a passphrase are told, do each line, wait; the code."""
        talk, number, code = self.talk, 0, OK
        settings = talk.settings
        if settings.user_id and settings.passphrase:
            has_key = talk.has_key(settings.user_id)
            first = LogIn() if has_key else Register()
            if not await talk.perform(first, "login" if has_key else "register"):
                return NOT_IN
        while not talk.finished:
            line = await lines.line()
            if line is None:
                break
            number += 1
            try:
                text = line.decode("utf-8")
            except UnicodeDecodeError:
                talk.tell(Failed("unknown", "", "this line is not UTF-8", number))
                code = FAILED
                continue
            if not await talk.carry_out(text, number):
                code = FAILED
        await talk.idle()
        return code
