"""
How does a session stay online?  Dialled, greeted, ticked, and dialled again.

Every call of the session is done by one worker, in order; what the session wants done
is performed on the reactor's thread.
"""

from collections.abc import Callable
from typing import Any, Final, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IOpenSSLClientConnectionCreator
from twisted.logger import Logger
from twisted.python.failure import Failure

from socp_twisted.client import events as told
from socp_twisted.client.dialing import Dialing, Link
from socp_twisted.client.events import Event
from socp_twisted.client.outbox import Output
from socp_twisted.client.session import Session
from socp_twisted.client.stream import EventStream, Waiters
from socp_twisted.client.worker import Thread, Worker
from socp_twisted.errors import (
    ConfigurationError,
    ErrorCode,
    Refused,
    SocpError,
)
from socp_twisted.wire.vocabulary import CLOSE_BUG, MAX_ATTEMPTS

T = TypeVar("T")

MAX_UNREAD_FRAMES: Final = 64
"""Frames that wait for the worker before the connection is read no further."""

_FINAL: Final = frozenset(
    {ErrorCode.BAD_KEY, ErrorCode.NOT_ALLOWED, ErrorCode.INVALID_SIG}
)
"""Refusals of a login that no later attempt will change."""


class Online:
    """One session on one server's address, for as long as it is not closed."""

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        url: str,
        session: Session,
        *,
        wall: Callable[[], float],
        register: bool = False,
        tls: IOpenSSLClientConnectionCreator | None = None,
        worker: Worker | None = None,
    ) -> None:
        self.url = url
        self._session = session
        self._register = register
        self._reactor = reactor
        self._wall = wall
        self._events = EventStream()
        self._waiters = Waiters()
        self._dialing = Dialing(reactor, url, self, tls)
        self._link: Link | None = None
        self._links = 0
        self._unread = 0
        self._ticking: IDelayedCall | None = None
        self._started = self._starting = self._gave_up = self._closed = False
        self._why = ""
        self._worker = worker or Thread(reactor)

    # -- the connection ----------------------------------------------------------------

    async def start(self) -> None:
        """
        Connect and log in; raise ``Refused`` if that cannot be done.

        It may be called again after ``GaveUp`` or a refusal.
        """
        if self._closed or (self._started and not self._gave_up):
            raise Refused(ErrorCode.NOT_ALLOWED, "connected already, or closed")
        if self._link is not None:  # what was refused is still hanging up
            await self._waiters.expect("closed")
        self._started = self._starting = True
        self._gave_up = False
        if self._ticking is None:
            self._ticking = self._reactor.callLater(1.0, self._tick)
        started = self._waiters.expect("start")
        try:
            self._dialing.dial()
            await started
        finally:
            self._starting = False

    async def close(self) -> None:
        """Log out, leave no partial file, end the events; harmless when repeated."""
        if self._closed:
            return
        self._closed = True
        if self._ticking is not None and self._ticking.active():
            self._ticking.cancel()
        if self._link is not None:
            await self._do(self._session.leaving)
            await self._worker.do(lambda: None)  # told and written, then acknowledged
        closed = self._waiters.expect("closed") if self._link is not None else None
        self._dialing.stop()
        if closed is not None:
            await closed
        else:
            await self._lost("closed")
        self._waiters.settle_all(Refused(ErrorCode.NOT_ALLOWED, "closed"))
        self._worker.stop()
        self._events.end()

    def events(self) -> EventStream:
        """Return what happens, for ``async for``; it ends when the client is closed."""
        return self._events

    # -- what Dialing tells ------------------------------------------------------------

    def attempting(self, attempt: int) -> None:
        """Dialling, for the ``attempt``-th time."""
        self._log.info(
            "connecting to {url} (attempt {attempt}/{attempts})",
            url=self.url,
            attempt=attempt,
            attempts=MAX_ATTEMPTS,
        )
        self._tell(told.Connecting(self.url, attempt, MAX_ATTEMPTS))

    def opened(self, link: Link) -> None:
        """The WebSocket is open: greet the server."""
        self._link = link
        self._links += 1
        self._unread = 0
        self._tell(told.Connected(self.url))

        tls_exporter = link.tls_exporter()

        def greet(now: int) -> None:
            self._session.connected(tls_exporter)
            self._session.login(now, register=self._register)

        self._quietly(self._do(greet))

    def received(self, link: Link, frame: bytes) -> None:
        """A frame has come; while too many wait, the connection is not read."""
        self._unread += 1
        if self._unread == MAX_UNREAD_FRAMES:
            link.transport.pauseProducing()

        def read_on(result: T) -> T:
            if link is self._link:
                self._unread -= 1
                if self._unread == MAX_UNREAD_FRAMES // 4:
                    link.transport.resumeProducing()
            return result

        self._quietly(
            self._do(lambda now: self._session.receive(frame, now)).addBoth(read_on)
        )

    def closed(self, link: Link, reason: str) -> None:
        """The WebSocket is closed: report whatever was not answered."""
        self._link = None
        if self._dialing.up:
            self._tell(told.ConnectionLost(self.url, reason))

        def done(result: T) -> T:
            self._waiters.settle("closed", None)
            return result

        self._quietly(self._lost(reason).addBoth(done))

    def failed(self, attempt: int, reason: str) -> None:
        """That attempt did not lead to a login."""
        self._tell(
            told.ConnectFailed(self.url, attempt, MAX_ATTEMPTS, self._why or reason)
        )

    def gave_up(self, reason: str) -> None:
        """Ten attempts were in vain."""
        self._give_up(
            ErrorCode.TIMEOUT,
            f"gave up on {self.url} after {MAX_ATTEMPTS} attempts: "
            f"{self._why or reason}",
        )

    # -- the session, on the worker ----------------------------------------------------

    def _do(
        self,
        command: Callable[[int], T],
        expect: Callable[[T], Any] | None = None,
    ) -> "Deferred[Any]":
        """
        Run a command of the session, perform what it wants, return what it returns.

        ``expect`` runs before anything is performed: an outcome may be part of it.
        What it returns is the result instead; a Deferred is waited for.
        """

        def work() -> tuple[T | Failure, Output]:
            try:
                result: T | Failure = command(int(self._wall() * 1000))
            except Exception:
                result = Failure()
            return result, self._session.drain()

        def perform(done: tuple[T | Failure, Output]) -> Any:
            result, output = done
            value: Any = result
            if expect is not None and not isinstance(result, Failure):
                value = expect(result)
            if output.link == self._links and self._link is not None:
                for frame in output.frames:
                    self._link.send(frame)
            for event in output.events:
                self._tell(event)
            if output.wake:
                self._wake(output.wake)
            shown = any(type(event) is told.TextReceived for event in output.events)
            if output.receipts or shown:
                # Told, then written down, then acknowledged: in that order nothing is
                # lost and nothing shown twice, whenever this process is killed.
                self._quietly(
                    self._worker.do(self._session.told).addCallback(
                        lambda _: self._acknowledge(output)
                    )
                )
            return value

        return self._worker.do(work).addCallback(perform)

    def _wake(self, seconds: float) -> None:
        """Tick sooner than was meant; a tick under way finds out by itself."""
        ticking = self._ticking
        if ticking is not None and ticking.active():
            if ticking.getTime() - self._reactor.seconds() > seconds:
                ticking.reset(seconds)

    def _acknowledge(self, output: Output) -> None:
        if output.link == self._links and self._link is not None:
            for frame in output.receipts:
                self._link.send(frame)

    async def _command(
        self, command: Callable[[int], T], expect: Callable[[T], Any] | None = None
    ) -> Any:
        if self._closed:
            raise Refused(ErrorCode.NOT_ALLOWED, "closed")
        return await self._do(command, expect)

    def _lost(self, reason: str) -> "Deferred[Any]":
        for_good = self._closed or self._gave_up
        return self._do(lambda now: self._session.lost(now, reason, for_good=for_good))

    def _tick(self) -> None:
        def again(pause: float) -> None:
            if not self._closed:
                self._ticking = self._reactor.callLater(pause, self._tick)

        self._quietly(self._do(self._session.tick).addCallback(again))

    def _quietly(self, done: "Deferred[Any]") -> None:
        """Nobody waits for this: a refusal is an answer, anything else our bug."""

        def failed(why: Failure) -> None:
            if why.check(SocpError, ConfigurationError):
                self._refused(ErrorCode.NOT_ALLOWED, why.getErrorMessage())
                return
            self._log.failure("bug in the session of {url}", failure=why, url=self.url)
            if self._link is not None:
                self._link.hang_up(CLOSE_BUG)

        done.addErrback(failed)

    # -- what the session tells --------------------------------------------------------

    def _tell(self, event: Event) -> None:
        react = _REACTIONS.get(type(event))
        if react is not None:
            react(self, event)
        self._events.put(event)

    def _logged_in(self, event: told.LoggedIn) -> None:
        self._why = ""
        self._register = False
        self._dialing.logged_in()
        self._waiters.settle("start", None)

    def _registered(self, event: told.Registered) -> None:
        self._register = False  # also if the connection is lost before the login
        self._waiters.settle("register", None)

    def _login_refused(
        self, event: told.LoginRefused | told.RegistrationRefused
    ) -> None:
        refusal = as_refused(event.code, event.detail)
        self._waiters.settle("register", refusal)
        if isinstance(event, told.LoginRefused) or self._starting:
            self._refused(refusal.code, str(refusal))

    def _server_changed(self, event: told.ServerKeyChanged) -> None:
        self._refused(
            ErrorCode.BAD_KEY,
            f"the server at {event.address} does not show the key that was pinned",
        )

    def _refused(self, code: ErrorCode, detail: str) -> None:
        """Not logged in: for good if that will not change, else until next time."""
        self._why = detail
        if self._starting or code in _FINAL:
            self._give_up(code, detail)
        elif self._link is not None:
            self._link.hang_up()

    def _give_up(self, code: ErrorCode, detail: str) -> None:
        if self._gave_up:
            return  # refused, and then hung up on for the same
        self._why, self._gave_up = "", True
        attempts = self._dialing.attempts
        self._dialing.stop()
        if self._link is None:
            self._quietly(self._lost(detail))  # what waited for it waits in vain
        # Whoever hears of it may start anew, and then waits for another answer.
        refuse = self._waiters.take("start")
        self._tell(told.GaveUp(self.url, attempts, detail))
        refuse(Refused(code, detail))

    def _not_delivered(self, event: told.NotDelivered) -> None:
        refusal = as_refused(event.code, event.detail)
        self._waiters.settle((event.message_id, event.to), refusal)

    def _file_failed(self, event: told.FileFailed) -> None:
        why = Refused(ErrorCode.NOT_ALLOWED, f"{event.name}: {event.reason}")
        self._waiters.settle(("file", event.file_id), why)


_REACTIONS: Final[dict[type, Callable[[Online, Any], None]]] = {
    told.LoggedIn: Online._logged_in,
    told.LoginRefused: Online._login_refused,
    told.RegistrationRefused: Online._login_refused,
    told.ServerKeyChanged: Online._server_changed,
    told.NotDelivered: Online._not_delivered,
    told.FileFailed: Online._file_failed,
    told.Registered: Online._registered,
    told.UserList: lambda c, e: c._waiters.settle("list", e.users),
    told.ListFailed: lambda c, e: c._waiters.settle(
        "list", as_refused(e.code, e.detail)
    ),
    told.Delivered: lambda c, e: c._waiters.settle((e.message_id, e.to), e),
    told.Queued: lambda c, e: c._waiters.settle((e.message_id, e.to), e),
    told.FileSent: lambda c, e: c._waiters.settle(("file", e.file_id), e),
    told.FileReceived: lambda c, e: c._waiters.settle(("file", e.file_id), e.path),
}
"""What an event changes in the client itself, before the user hears of it."""


def as_refused(code: str, detail: str) -> Refused:
    """Return an ERROR of the server as an exception; its codes may be its own."""
    try:
        return Refused(ErrorCode(code), detail or code)
    except ValueError:
        return Refused(ErrorCode.MALFORMED, f"{code}: {detail}")
