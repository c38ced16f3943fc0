"""A person or a program?  The reactor that each needs, signals, and a quick end."""

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, TextIO

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import (
    FilteringLogObserver,
    ILogObserver,
    LogEvent,
    Logger,
    LogLevel,
    LogLevelFilterPredicate,
    eventAsText,
    globalLogBeginner,
)
from twisted.python.failure import Failure
from zope.interface import implementer

from socp_twisted.client.terminal.entrance import Settings
from socp_twisted.client.terminal.script import FAILED, Input, Script
from socp_twisted.client.terminal.talk import Talk

GOODBYE: Final = 0.6
"""Seconds for the closing handshake with a server that may hang."""

PATIENCE: Final = 1.2
"""Seconds after which the process ends in any case: with ``PARTING`` below 2.  (R17)"""

_log = Logger()


@implementer(ILogObserver)
class LogFile:
    """Writes warnings and bugs to a file, which is made when there is one to write."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: TextIO | None = None

    def __call__(self, event: LogEvent) -> None:
        """Append an event; without a disk it goes nowhere."""
        try:
            if self._file is None:
                flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
                handle = os.open(self._path, flags, 0o600)
                self._file = os.fdopen(handle, "a", encoding="utf-8", errors="replace")
            self._file.write(eventAsText(event) + "\n")
            self._file.flush()
        except OSError:
            pass


def run_script(settings: Settings, as_json: bool) -> int:
    """Do what standard input says; return the exit code."""
    from twisted.internet import reactor  # noqa: PLC0415 - it installs one

    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    run = _Run(reactor, settings)

    def broken() -> None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # for what is still buffered
        run.leave(FAILED)

    script = Script(reactor, settings, as_json=as_json, broken=broken)
    return run.until_done(
        lambda: script.run(Input(reactor)), script.talk, {signal.SIGINT: 130}
    )


def run_terminal(settings: Settings) -> int:
    """Talk with the person at the terminal; return the exit code."""
    from twisted.internet import asyncioreactor  # noqa: PLC0415

    # prompt_toolkit finds the loop only if it is the thread's own.
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    asyncioreactor.install(loop)
    from twisted.internet import reactor  # noqa: PLC0415 - not before it is chosen

    from socp_twisted.client.terminal.prompt import Terminal  # noqa: PLC0415 - 0.1 s

    terminal = Terminal(reactor, settings)
    run = _Run(reactor, settings, terminal.leave)
    ends = dict.fromkeys(_SIGNALS, 0)
    return run.until_done(terminal.run, terminal.talk, ends)


_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class _Run:
    """One run of the reactor, from the first line to the exit code."""

    def __init__(
        self,
        reactor: Any,
        settings: Settings,
        ask_to_leave: Callable[[], None] | None = None,
    ) -> None:
        self._reactor = reactor
        self._home = settings.home
        self._ask_to_leave = ask_to_leave
        self._main: Deferred[int] | None = None
        self._code: int | None = None

    def until_done(
        self,
        main: Callable[[], Coroutine[Any, Any, int]],
        talk: Talk,
        codes: dict[signal.Signals, int],
    ) -> int:
        """Run ``main`` and hang up; a signal ends it with its code."""
        observer = FilteringLogObserver(
            LogFile(self._home / "chat.log"),
            [LogLevelFilterPredicate(defaultLogLevel=LogLevel.warn)],
        )
        globalLogBeginner.beginLoggingTo([observer], redirectStandardIO=False)
        for number in _SIGNALS:
            code = codes.get(number, 128 + number)
            signal.signal(
                number,
                lambda *_, code=code: self._reactor.callFromThread(self.leave, code),
            )

        def begin() -> None:
            self._main = Deferred.fromCoroutine(main())
            self._main.addBoth(self._ended, talk)

        # Not callWhenRunning: the asyncio loop is not running then.
        self._reactor.callLater(0, begin)
        self._reactor.run(installSignalHandlers=False)
        return FAILED if self._code is None else self._code

    def leave(self, code: int) -> None:
        """End what is going on, and the process soon."""
        if self._code is not None:
            return
        self._code = code
        self._hurry()
        if self._ask_to_leave is not None:
            self._ask_to_leave()
        elif self._main is not None:
            self._main.cancel()

    def _hurry(self) -> None:
        """Whatever a thread is still doing: signing, or making a key."""

        def end() -> None:
            os._exit(FAILED if self._code is None else self._code)

        timer = threading.Timer(PATIENCE, end)
        timer.daemon = True
        timer.start()

    def _ended(self, result: Any, talk: Talk) -> None:
        failed = isinstance(result, Failure)
        if self._code is None:
            self._code = FAILED if failed else result
            self._hurry()
        # OSError: the terminal was closed under us.
        if failed and not result.check(CancelledError, OSError):
            _log.failure("bug in the terminal", failure=result)
            with suppress(OSError):
                print("socp chat: a bug; chat.log has more", file=sys.stderr)
        closed = Deferred.fromCoroutine(talk.close())
        closed.addTimeout(GOODBYE, self._reactor)
        closed.addBoth(lambda _: self._reactor.stop())
