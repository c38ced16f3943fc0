"""How does a user stay online, and what is noted of what they see and say?"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.logger import Logger

from socp_twisted.client import Client, Delivered, GaveUp, NotDelivered, TextReceived
from socp_twisted.client import events as told
from socp_twisted.client.dialing import Dialing
from socp_twisted.client.files import Policy
from socp_twisted.errors import ErrorCode, Refused
from socp_twisted.trust.keys import PrivateKey
from socp_twisted.wire.vocabulary import PUBLIC
from tests.chaos.journal import Journal
from tests.chaos.parcels import pack, unpack

REDIAL: Final = 0.5
"""Seconds between two attempts, for the 5 s of the house: runs are short."""


def hurry() -> None:
    """Make every client of this process redial soon; nobody shares this process."""
    Dialing.initialDelay = Dialing.delay = REDIAL


class Writer(Client):
    """A client that says which message it is about to send before it does."""

    async def write(self, to: str, text: str, note: Any) -> None:
        """Send a text; ``note`` gets the message's id before the first byte leaves."""
        await self._command(lambda now: self._session.tell(to, text, now), note)

    async def write_to_all(self, text: str, note: Any) -> None:
        """Send a text to everybody; ``note`` gets the id, and who that is."""
        await self._command(lambda now: self._session.all(text, now), note)

    async def offer(self, to: str, path: Path, note: Any) -> None:
        """Send a file; ``note`` gets the file's id for each recipient."""
        await self._command(lambda now: self._session.send_file(to, path, now), note)


class Talker:
    """One user, logged in again and again, and their journal."""

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        journal: Journal,
        *,
        user_id: str,
        url: str,
        key: PrivateKey,
        home: Path,
        passphrase: str,
    ) -> None:
        self._reactor, self._journal = reactor, journal
        self.user_id = user_id
        self._url, self._key, self._passphrase = url, key, passphrase
        self._home = home
        self._registered = home / "registered"
        self._texts: dict[str, str] = {}
        self._files: dict[str, str] = {}
        self._to_all: set[str] = set()
        self._client = self._make()
        self._closed = False
        self.done: Deferred[None] | None = None

    def start(self) -> None:
        """Come online, and stay."""
        self._journal.write("start")
        self.done = Deferred.fromCoroutine(self._live())
        self.done.addErrback(lambda why: self._log.failure("talker", failure=why))

    async def close(self) -> None:
        """Log out for good."""
        self._closed = True
        await self._client.close()

    def tell(self, to: str, text_id: str, text: str, size: int) -> None:
        """Send a text, or a file of that size; the journal says what becomes of it."""

        def note(message_id: str) -> None:
            self._texts[message_id] = text_id

        def note_all(sent: tuple[str, tuple[str, ...]]) -> None:
            note(sent[0])
            for member in sent[1]:
                self._journal.write("sending", text=f"{text_id}@{member}")
            if not sent[1]:
                self._journal.write("failed", text=text_id, code="nobody is there")

        def note_file(sent: Mapping[str, str]) -> None:
            for member, file_id in sent.items():
                copy = f"{text_id}@{member}" if to == PUBLIC else text_id
                self._files[file_id] = copy
                self._journal.write("sending", text=copy)

        async def send() -> None:
            try:
                if size:
                    path = pack(self._home / "parcels", text_id, size)
                    await self._client.offer(to, path, note_file)
                elif to == PUBLIC:
                    await self._client.write_to_all(text, note_all)
                else:
                    self._journal.write("sending", text=text_id)
                    await self._client.write(to, text, note)
            except Refused as why:
                self._journal.write("failed", text=text_id, code=f"{why.code} at once")

        sent = Deferred.fromCoroutine(send())
        sent.addErrback(lambda why: self._log.failure("cannot send", failure=why))

    def _make(self) -> Writer:
        return Writer(
            self._reactor,
            self._url,
            user_id=self.user_id,
            key=self._key,
            passphrase=self._passphrase,
            register=not self._registered.exists(),
            home=self._home,
            downloads=self._home / "downloads",
            policy=Policy.ALWAYS,
        )

    async def _live(self) -> None:
        while not self._closed:
            reading = Deferred.fromCoroutine(self._read(self._client))
            reading.addErrback(lambda why: self._log.failure("reading", failure=why))
            await self._stay(self._client)
            await reading
            if not self._closed:
                self._client = self._make()

    async def _stay(self, client: Writer) -> None:
        """Log in, as often as it takes, until this client is of no more use."""
        while not self._closed:
            try:
                await client.start()
            except Refused as why:
                if self._closed:
                    return
                self._journal.write("refused", code=str(why.code), detail=str(why))
                if why.code == ErrorCode.NAME_IN_USE and not self._registered.exists():
                    # Registered by a process that was killed before it could note it.
                    self._registered.touch()
                    await client.close()
                    return
                await deferLater(self._reactor, 1.0)
                continue
            self._registered.touch()
            self._gone: Deferred[None] = Deferred()
            await self._gone

    async def _read(self, client: Writer) -> None:
        async for event in client.events():
            react = _REACTIONS.get(type(event))
            if react is not None:
                react(self, event)
            elif type(event) in _NOTED:
                self._journal.write(type(event).__name__, detail=str(event)[:300])

    # -- what the client tells ---------------------------------------------------------

    def _seen(self, event: TextReceived) -> None:
        # First of all, and in this turn: the receipt is still in this process.
        text_id = event.text.partition(" ")[0]
        if event.public:
            text_id += f"@{self.user_id}"
        self._journal.write("seen", text=text_id, sender=event.sender, held=event.held)

    def _delivered(self, event: Delivered) -> None:
        self._outcome("delivered", event)

    def _queued(self, event: told.Queued) -> None:
        self._outcome("queued", event)

    def _failed(self, event: NotDelivered) -> None:
        self._outcome("failed", event, code=event.code, detail=event.detail)

    def _outcome(
        self, what: str, event: Delivered | told.Queued | NotDelivered, **fields: str
    ) -> None:
        text_id = self._texts.get(event.message_id)
        if text_id is not None:
            if event.public:
                text_id += f"@{event.to}"
            self._journal.write(what, text=text_id, **fields)

    def _offered(self, event: told.FileOffered) -> None:
        if event.public:
            self._to_all.add(event.file_id)

    def _received(self, event: told.FileReceived) -> None:
        text_id, whole = unpack(event.path)
        if event.file_id in self._to_all:
            text_id += f"@{self.user_id}"
        what = "seen" if whole else "torn"
        self._journal.write(what, text=text_id, sender=event.sender, held=False)

    def _sent(self, event: told.FileSent) -> None:
        self._journal.write("delivered", text=self._files[event.file_id])

    def _broken_off(self, event: told.FileFailed) -> None:
        if not event.incoming:
            fields = {"code": "file", "detail": event.reason}
            self._journal.write("failed", text=self._files[event.file_id], **fields)

    def _up(self, event: told.LoggedIn) -> None:
        self._journal.write("up")

    def _down(self, event: told.ConnectionLost) -> None:
        self._journal.write("down", reason=event.reason)

    def _gave_up(self, event: GaveUp) -> None:
        self._journal.write("gave up", reason=event.reason)
        gone = getattr(self, "_gone", None)
        if gone is not None and not gone.called:
            gone.callback(None)


_REACTIONS: dict[type, Any] = {
    TextReceived: Talker._seen,
    Delivered: Talker._delivered,
    told.Queued: Talker._queued,
    NotDelivered: Talker._failed,
    told.FileOffered: Talker._offered,
    told.FileReceived: Talker._received,
    told.FileSent: Talker._sent,
    told.FileFailed: Talker._broken_off,
    told.LoggedIn: Talker._up,
    told.ConnectionLost: Talker._down,
    GaveUp: Talker._gave_up,
}

_NOTED: Final = frozenset(
    {
        told.EventsDropped,
        told.FrameRefused,
        told.PinsNotSaved,
        told.ServerKeyChanged,
        told.UserKeyChanged,
    }
)
"""Events that should not happen here: whoever reads a journal wants to know."""
