"""
What does a user's side do?  Commands and frames in, frames and events out.  (SOCP 9)

``Session`` is the whole client without a socket, a clock or a thread: every command and
``receive`` take ``now`` in Unix milliseconds, and ``drain`` gives back what is to be
sent and what is to be told to the user.  Commands raise ``Refused`` or
``ConfigurationError`` with one sentence for the user; no frame of a server raises.
"""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from socp_twisted.client.contacts import Contacts
from socp_twisted.client.events import (
    Contact,
    ListFailed,
    PinsNotSaved,
    ServerError,
)
from socp_twisted.client.fields import shortened
from socp_twisted.client.files import Files, Policy
from socp_twisted.client.incoming import check_type, read_frame
from socp_twisted.client.keystore import Account, Randomness
from socp_twisted.client.login import Login, Stage
from socp_twisted.client.messages import MAX_REFERENCE, Messages
from socp_twisted.client.outbox import OK, Outbox, Outcome, Output, random_id
from socp_twisted.client.pins import Pins
from socp_twisted.client.replays import Replays
from socp_twisted.errors import (
    ConfigurationError,
    ErrorCode,
    Refused,
    SocpError,
)
from socp_twisted.trust.keys import PrivateKey
from socp_twisted.wire.envelope import Envelope
from socp_twisted.wire.vocabulary import (
    ACK,
    ERROR,
    FILE_ANSWER_DELIVER,
    FILE_CHUNK_DELIVER,
    FILE_END_DELIVER,
    FILE_START_DELIVER,
    LIST_REQUEST,
    LIST_RESPONSE,
    MSG_PUBLIC_CHANNEL,
    PUBLIC_CHANNEL_KEY_SHARE,
    PUBLIC_CHANNEL_SNAPSHOT,
    USER_ADDED,
    USER_DELIVER,
    USER_HELLO_ACK,
    USER_LOGGED_IN,
    USER_REGISTERED,
    USER_REMOVED,
)

Rule = Callable[["Session", Envelope, int], None]

_MAX_DETAIL: Final = 1024


class Session:
    """
    One user at one server, over as many connections as it takes.

    ``address`` is the server's URL, under which its key is pinned.  ``shown`` is a file
    that remembers which messages were shown, for the next process.
    """

    def __init__(
        self,
        account: Account,
        pins: Pins,
        address: str,
        downloads: Path,
        *,
        policy: Policy = Policy.ASK,
        randomness: Randomness = os.urandom,
        new_id: Callable[[], str] = random_id,
        shown: Path | None = None,
    ) -> None:
        self.account = account
        self._pins = pins
        self._outbox = Outbox(new_id, account.user_id)
        self._listing: list[str] = []
        self._was_ready = False
        self._lasts = False
        """Whether what is said between two connections is sent on the second."""
        self._unsaved = False
        self.contacts = Contacts(account, self._outbox, pins)
        self._login = Login(account, self._outbox, pins, address, randomness)
        replays = self._replays = Replays(path=shown)
        self._messages = Messages(
            account, self._outbox, self.contacts, replays, randomness
        )
        self.files = Files(
            account,
            self._outbox,
            self.contacts,
            replays=replays,
            downloads=downloads,
            policy=policy,
            randomness=randomness,
        )

    @property
    def ready(self) -> bool:
        """Say whether the user is logged in."""
        return self._login.stage is Stage.READY

    def drain(self) -> Output:
        """Take the frames to send and the events to tell, in order."""
        return self._outbox.drain()

    # -- the connection ----------------------------------------------------------------

    def connected(self, tls_exporter: str = "") -> None:
        """
        A connection was opened; nothing is said until ``login``.

        ``tls_exporter`` is its channel binding (RFC 9266); nothing without TLS.
        """
        self._outbox.link += 1
        self._outbox.over = False
        self._login.connected(tls_exporter)

    def lost(
        self,
        now: int,
        reason: str = "the connection was lost",
        *,
        for_good: bool = False,
    ) -> None:
        """
        The connection is gone: transfers end, and open questions are reported.

        Messages are not: they are sent again on the next connection, and reported only
        if there will be none.
        """
        self.files.lost(reason)
        self._outbox.lost(Outcome(ErrorCode.TIMEOUT, reason), now, for_good=for_good)
        self._login.lost()
        self._was_ready = False
        self._lasts = self._lasts and not for_good
        self.contacts.lost()
        self._save()

    def tick(self, now: int) -> float:
        """Report what was not answered in time; return the seconds to the next tick."""
        for envelope in self._login.tick(now):
            self._believed(envelope, now)
        self._once_ready(now)
        self._outbox.expire(now)
        busy = self.files.tick(now)
        self._save()
        if self._outbox.unsaid_ms(now) == 0:
            self._outbox.flush(now)
        soon = self._outbox.unsaid_ms(now)
        pause = 1.0 if soon is None else min(1.0, max(0.02, soon / 1000))
        return 0.02 if busy else pause

    def leaving(self, now: int) -> None:
        """Say what is still to be said before the connection is closed."""
        self._outbox.flush(now)

    def _save(self) -> None:
        try:
            self._pins.save()
        except ConfigurationError as why:
            if not self._unsaved:  # said once, tried again with each tick
                self._outbox.say(PinsNotSaved(str(why)))
            self._unsaved = True
        else:
            self._unsaved = False

    # -- commands ----------------------------------------------------------------------

    def login(
        self,
        now: int,
        *,
        user_id: str = "",
        key: PrivateKey | None = None,
        passphrase: str = "",
        register: bool = False,
    ) -> None:
        """
        Log in: by ``key``, or with ``passphrase`` alone, which fetches the key.

        ``LoggedIn`` or ``LoginRefused`` follows; with ``register`` first ``Registered``
        or ``RegistrationRefused``.  What is left empty stays as it was.
        """
        if user_id and user_id != self.account.user_id:
            self.account.user_id, self.account.key = user_id, None
            self.account.passphrase = ""
        self.account.key = key or self.account.key
        self.account.passphrase = passphrase or self.account.passphrase
        self._login.begin(now, enrol=register)

    def register(self, now: int, passphrase: str = "") -> None:
        """Make or update the account while logged in: key and password anew."""
        self._must_be_ready()
        self.account.passphrase = passphrase or self.account.passphrase
        self._login.update(now)

    def told(self) -> None:
        """Note that the events of the last ``drain`` were told to the user."""
        self._replays.save()

    def request_list(self, now: int) -> None:
        """Ask who is online; ``UserList`` or ``ListFailed`` follows."""
        self._must_be_ready()
        ref = self._outbox.send(
            LIST_REQUEST, self._login.server_id, {}, now, settle=self._list_ended
        )
        self._listing.append(ref)

    def tell(self, to: str, text: str, now: int) -> str:
        """
        Send a text to one user; return the message's id.

        While the connection is away, it waits for the next one.
        """
        if self.ready or not self._lasts:
            self._must_be_ready()
            return self._messages.tell(to, text, now)
        message_id = self._messages.tell(to, text, now)
        self._outbox.hold()
        return message_id

    def all(self, text: str, now: int) -> tuple[str, tuple[str, ...]]:
        """Send a text to everybody online; return the message's id and who they are."""
        self._must_be_ready()
        return self._messages.all(text, now)

    def send_file(self, to: str, path: Path, now: int) -> dict[str, str]:
        """
        Offer a file to one user, or to everybody online if ``to`` is "public".

        Return user ids and file ids; ``FileSent`` or ``FileFailed`` follows for each.
        """
        self._must_be_ready()
        return self.files.send(to, path, now)

    def accept_file(self, file_id: str, now: int) -> None:
        """Take a file that was offered."""
        self.files.accept(file_id, now)

    def stop_file(self, file_id: str, reason: str, now: int) -> None:
        """Decline an offer, or break off a transfer of either direction."""
        self.files.stop(file_id, reason, now)

    def whois(self, user_id: str) -> Contact:
        """Return what is known of a user, or raise ``Refused``."""
        return self.contacts.get(user_id)

    def fingerprints(self, user_id: str) -> tuple[str, str, str]:
        """Return our fingerprint, theirs as pinned, and the one they show now."""
        ours = self.account.key.public.fingerprint if self.account.key else ""
        return (ours, *self.contacts.fingerprints(user_id))

    def trust(self, user_id: str, fingerprint: str, now: int) -> None:
        """Pin the key of a user whose fingerprint our user has compared."""
        self.contacts.trust(user_id, fingerprint, now)

    def server_fingerprints(self) -> tuple[str, str]:
        """Return the server's fingerprint as pinned, and the one it shows now."""
        return self._login.pinned, self._login.offered or self._login.fingerprint

    def trust_server(self, fingerprint: str, now: int) -> None:
        """Pin the key that the server shows instead of its old one, and go on."""
        greeting = self._login.accept_server(fingerprint, now)
        if greeting is not None:
            self._believed(greeting, now)

    def _must_be_ready(self) -> None:
        if not self.ready:
            raise Refused(ErrorCode.NOT_ALLOWED, "not logged in")

    # -- frames ------------------------------------------------------------------------

    def receive(self, frame: bytes, now: int) -> None:
        """Act on one frame of the server; what is wrong with it becomes an event."""
        try:
            envelope = read_frame(frame)
        except SocpError as why:
            self._outbox.refuse("", "", why)
            return
        if self._login.believes(envelope):
            self._believed(envelope, now)
        self._once_ready(now)

    def _believed(self, envelope: Envelope, now: int) -> None:
        rule = RULES.get(envelope.type)
        if rule is None:
            return  # HEARTBEAT, whatever else there may be
        try:
            check_type(envelope)
            rule(self, envelope, now)
        except (SocpError, ConfigurationError) as why:
            sender = envelope.payload.get("sender")
            name = sender if type(sender) is str else envelope.sender
            self._outbox.refuse(envelope.type, name[:64], str(why))

    def _greeting(self, envelope: Envelope, now: int) -> None:
        """USER_HELLO_ACK; what came before it was waiting for the server's key."""
        for waiting in self._login.greeting(envelope, now):
            if self._login.believes(waiting):
                self._believed(waiting, now)

    def _once_ready(self, now: int) -> None:
        """Once logged in, what an earlier connection left unanswered goes again."""
        if self.ready and not self._was_ready:
            self._outbox.again(now)
            self._lasts = self._outbox.confirms
        self._was_ready = self.ready

    def _removed(self, envelope: Envelope, now: int) -> None:
        """USER_REMOVED ends the transfers with that user too."""
        self.contacts.removed(envelope, now)
        user_id = str(envelope.payload.get("user_id"))
        self._messages.left(user_id)
        self.files.gone(user_id, now)

    def _listed(self, envelope: Envelope, now: int) -> None:
        """LIST_RESPONSE carries no reference: it answers all open requests."""
        if self.contacts.listed(envelope, now):
            while self._listing:
                self._outbox.answer(self._listing.pop(), OK, now)

    def _list_ended(self, outcome: Outcome, now: int) -> None:
        if not outcome.ok:
            self._listing.clear()
            self._outbox.say(ListFailed(outcome.code, outcome.detail))

    def _ack(self, envelope: Envelope, now: int) -> None:
        """ACK: what it names arrived."""
        ref = envelope.payload.get("msg_ref")
        if type(ref) is str and envelope.payload.get("status") == "queued":
            self._messages.queued(ref)
            return
        # The list itself answers a request for it; an ACK alone does not.
        if type(ref) is str and ref not in self._listing:
            self._outbox.answer(ref, _well(envelope.payload), now)

    def _error(self, envelope: Envelope, now: int) -> None:
        """ERROR: for the frame that it names, for the login, or for the user to see."""
        payload = envelope.payload
        ref = shortened(payload.get("msg_ref"), MAX_REFERENCE)
        outcome = Outcome(
            shortened(payload.get("code"), 64) or "ERROR",
            shortened(payload.get("detail"), _MAX_DETAIL),
        )
        if self._login.error(ref, outcome):
            return
        if self._messages.asks_again(ref, outcome, now):
            return
        if not self._outbox.answer(ref, outcome, now):
            self._outbox.say(ServerError(outcome.code, outcome.detail))


RULES: Final[Mapping[str, Rule]] = {
    USER_HELLO_ACK: Session._greeting,
    USER_REGISTERED: lambda session, *got: session._login.registered(*got),
    USER_LOGGED_IN: lambda session, *got: session._login.logged_in(*got),
    USER_ADDED: lambda session, *got: session.contacts.added(*got),
    USER_REMOVED: Session._removed,
    LIST_RESPONSE: Session._listed,
    PUBLIC_CHANNEL_SNAPSHOT: lambda session, *got: session.contacts.members(*got),
    USER_DELIVER: lambda session, *got: session._messages.direct(*got),
    MSG_PUBLIC_CHANNEL: lambda session, *got: session._messages.public(*got),
    PUBLIC_CHANNEL_KEY_SHARE: lambda session, *got: session._messages.shared(*got),
    FILE_START_DELIVER: lambda session, *got: session.files.offered(*got),
    FILE_CHUNK_DELIVER: lambda session, *got: session.files.chunk(*got),
    FILE_END_DELIVER: lambda session, *got: session.files.end(*got),
    FILE_ANSWER_DELIVER: lambda session, *got: session.files.answered(*got),
    ACK: Session._ack,
    ERROR: Session._error,
}
"""What a server may tell us, and who listens."""


def _well(payload: Mapping[str, Any]) -> Outcome:
    """Return what an ACK says: that something arrived, perhaps with whom."""
    received = payload.get("received")
    if type(received) is not list:
        return OK
    return Outcome(received=frozenset(one for one in received if type(one) is str))
