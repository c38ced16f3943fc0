"""Whose server is this, and how do we get in?  (SOCP 9.1)

::

    OFFLINE -> IDLE       connected, nobody asked to log in
            -> FETCHING   password login without a key: the server keeps it, encrypted
            -> GREETING   USER_HELLO sent
    GREETING -> ENROLLING USER_REGISTER sent, if it was asked for
             -> PROVING   USER_LOGIN sent
             -> READY     logged in
    any      -> BLOCKED   not the server that was pinned for this address
             -> REFUSED   the server said no; another login may be tried

Until USER_HELLO_ACK has shown the server's key, nothing that it says can be checked:
what came earlier waits, and is checked then.
"""

from collections.abc import Callable
from enum import Enum, auto
from typing import Any, Final

from socp_twisted.client.events import (
    LoggedIn,
    LoginRefused,
    Registered,
    RegistrationRefused,
    ServerKeyChanged,
    ServerPinned,
    ServerUnproven,
)
from socp_twisted.client.fields import field_text
from socp_twisted.client.greeting import Greeting, hello, registration
from socp_twisted.client.keystore import Account, Randomness, open_store
from socp_twisted.client.outbox import Outbox, Outcome
from socp_twisted.client.pins import Pin, Pins, is_told
from socp_twisted.errors import (
    BadKey,
    ErrorCode,
    MalformedFrame,
    Refused,
    SocpError,
)
from socp_twisted.trust.keys import public_key
from socp_twisted.trust.signatures import login_content, sign, verify
from socp_twisted.wire.encoding import b64u_encode
from socp_twisted.wire.envelope import Envelope, is_identifier
from socp_twisted.wire.vocabulary import (
    ERROR,
    HANDSHAKE_TIMEOUT,
    USER_HELLO,
    USER_HELLO_ACK,
    USER_LOGGED_IN,
    USER_LOGIN,
    USER_REGISTER,
    USER_REGISTERED,
)

MAX_WAITING: Final = 2_048
"""Frames that may wait until the server has shown its key."""

_WAIT_MS: Final = int(HANDSHAKE_TIMEOUT * 1000)
_BY_LOGIN: Final = frozenset({USER_HELLO_ACK, USER_REGISTERED, USER_LOGGED_IN, ERROR})


class Stage(Enum):
    """How far a login is; the module's docstring has the picture."""

    OFFLINE = auto()
    IDLE = auto()
    FETCHING = auto()
    GREETING = auto()
    ENROLLING = auto()
    PROVING = auto()
    READY = auto()
    BLOCKED = auto()
    REFUSED = auto()


_UNDER_WAY: Final = frozenset(
    {Stage.FETCHING, Stage.GREETING, Stage.ENROLLING, Stage.PROVING}
)


class Login:
    """Proves to the server who we are, after the server has proved who it is."""

    def __init__(
        self,
        account: Account,
        outbox: Outbox,
        pins: Pins,
        address: str,
        randomness: Randomness,
    ) -> None:
        self._account = account
        self._outbox = outbox
        self._pins = pins
        self._address = address
        self._randomness = randomness
        self.stage = Stage.OFFLINE
        self.server_id = ""
        self.server_key = ""
        self._forget()

    def _forget(self, tls_exporter: str = "") -> None:
        self._tls_exporter, self._tls_bound = tls_exporter, False
        self._challenge = self._nonce = ""
        self._greeted = self._fetched = self._enrol = False
        self._refs: set[str] = set()
        self._updates: set[str] = set()
        self._deadline = 0
        self._offered: tuple[Pin, Envelope] | None = None
        self._waiting: list[Envelope] = []

    @property
    def fingerprint(self) -> str:
        """Return the fingerprint of this server's key, or "" if it has shown none."""
        return public_key(self.server_key).fingerprint if self.server_key else ""

    @property
    def pinned(self) -> str:
        """Return the fingerprint that is pinned for this address, or ""."""
        pin = self._pins.servers.get(self._address)
        return pin.fingerprint if pin else ""

    @property
    def offered(self) -> str:
        """Return the fingerprint that the server shows instead of the pinned one."""
        return self._offered[0].fingerprint if self._offered else ""

    # -- commands ----------------------------------------------------------------------

    def connected(self, tls_exporter: str = "") -> None:
        """
        A connection is open, and nothing was said on it.

        ``tls_exporter`` is its channel binding (RFC 9266); nothing without TLS.
        """
        self._forget(tls_exporter)
        self.server_key = self.server_id = ""
        self.stage = Stage.IDLE

    def lost(self) -> None:
        """The connection is gone; the pinned keys stay."""
        self.stage = Stage.OFFLINE
        self._waiting.clear()

    def begin(self, now: int, *, enrol: bool = False) -> None:
        """Log in as the account says; ``enrol`` registers it first."""
        account = self._account
        if not is_identifier(account.user_id):
            raise Refused(
                ErrorCode.MALFORMED,
                "a user id is 1 to 64 letters, digits or ._-@",
            )
        if self.stage not in (Stage.IDLE, Stage.REFUSED):
            raise Refused(ErrorCode.NOT_ALLOWED, "a login is under way or done")
        if account.key is None and (enrol or not account.passphrase):
            raise Refused(ErrorCode.BAD_KEY, "there is no key to log in with")
        self._enrol, self._fetched, self._nonce = enrol, False, ""
        self._outbox.sender = account.user_id
        if account.key is not None:
            self._hello(now)
        else:
            # No more than the key: a login with it can be shown to other servers.
            fetch = {
                "user_id": account.user_id,
                "password": account.password(),
                "fetch": True,
            }
            self._send(Stage.FETCHING, USER_LOGIN, fetch, now)

    def update(self, now: int) -> None:
        """Register, or store key and password anew, while logged in."""
        self._updates.add(self._register(now))

    def accept_server(self, fingerprint: str, now: int) -> Envelope | None:
        """
        Pin the key that a blocked server shows; return its greeting, to be read again.

        Raise ``Refused`` if it is not the key of ``fingerprint``, which the user saw.
        """
        if self._offered is None or not self.offered:
            raise Refused(ErrorCode.BAD_KEY, "the server shows no key to be accepted")
        pin, greeting = self._offered
        if not is_told(fingerprint, pin.fingerprint):
            raise Refused(ErrorCode.BAD_KEY, "the server's key is another one now")
        self._pins.servers.decide(
            self._address, Pin(pin.fingerprint, now, True, pin.server_id)
        )
        self._offered = None
        if self.stage is not Stage.BLOCKED:
            return None
        self.stage = Stage.GREETING
        return greeting

    def tick(self, now: int) -> list[Envelope]:
        """Give up waiting for what a server does not say."""
        if self.stage not in _UNDER_WAY or now < self._deadline:
            return []
        if self.stage is Stage.GREETING and not self.pinned:
            return self._greet(now)  # some servers do not answer USER_HELLO at all
        self._refused(Outcome(ErrorCode.TIMEOUT, "the server did not answer the login"))
        return []

    # -- what the server says ----------------------------------------------------------

    def believes(self, envelope: Envelope) -> bool:
        """Say whether a frame may be acted upon now; it may also be kept for later."""
        if self.server_key:
            if self._tls_bound and not envelope.sig:
                return True  # the server signed that this TLS connection is its own
            try:
                verify(envelope, self.server_key)
            except SocpError as why:
                self._outbox.refuse(envelope.type, envelope.sender, f"server: {why}")
                return False
            return True
        if self.stage is Stage.BLOCKED:
            return False
        if self._greeted or envelope.type in _BY_LOGIN:
            return True
        if len(self._waiting) < MAX_WAITING:
            self._waiting.append(envelope)
        return False

    def greeting(self, envelope: Envelope, now: int) -> list[Envelope]:
        """
        USER_HELLO_ACK: check and pin the server, then go on; return what had waited.

        Servers of the original's kind show no key: they are believed if none is pinned.
        """
        late = self._greeted and not self.server_key
        if self.stage is not Stage.GREETING and not late:
            return []
        text = field_text(envelope.payload, "pubkey", default="")
        if not text:
            if late:
                return []
            if self.pinned:
                self._block(Pin(""), envelope)
                return []
            return self._greet(now)
        shown = Greeting.read(envelope, text)
        shown.check_answer(self._challenge)
        if shown.tls_exporter not in ("", self._tls_exporter):
            # We said which connection we see, and somebody has said something else.
            self._refused(
                Outcome(
                    ErrorCode.INVALID_SIG,
                    f"this connection ends at somebody who stands between us and "
                    f"{shown.server_id}, and reads what they pass on",
                )
            )
            return []
        pin = Pin(public_key(text).fingerprint, now, False, shown.server_id)
        held = self._pins.servers.meet(self._address, pin)
        if held.fingerprint != pin.fingerprint:
            self._block(pin, envelope)
            return []
        if held is pin:
            self._outbox.say(
                ServerPinned(self._address, shown.server_id, pin.fingerprint)
            )
        self.server_key, self.server_id = text, shown.server_id
        self._nonce, self._tls_bound = shown.nonce, shown.tls_exporter != ""
        self._outbox.confirms, self._outbox.fans_out = shown.confirms, shown.fans_out
        return self._greet(now)

    def registered(self, envelope: Envelope, now: int) -> None:
        """USER_REGISTERED: the account is there; now log in."""
        user_id = envelope.payload.get("user_id", self._account.user_id)
        if user_id != self._account.user_id:
            raise MalformedFrame("USER_REGISTERED names somebody else")
        if self.stage is Stage.ENROLLING:
            self._outbox.say(Registered(self._account.user_id))
            self._prove(now)
        elif self._updates:
            self._updates.clear()
            self._outbox.say(Registered(self._account.user_id))

    def logged_in(self, envelope: Envelope, now: int) -> None:
        """USER_LOGGED_IN: done, or the stored key has come and the greeting follows."""
        account, payload = self._account, envelope.payload
        if payload.get("user_id", account.user_id) != account.user_id:
            raise MalformedFrame("USER_LOGGED_IN names somebody else")
        if self.stage is Stage.PROVING:
            self._ready()
        elif self.stage is Stage.FETCHING:
            store = field_text(payload, "privkey_store", 65_536, default="")
            try:
                if not store:
                    raise BadKey("the server keeps no key of this account")
                account.key = open_store(store, account.user_id, account.passphrase)
            except BadKey as why:
                self._refused(Outcome(ErrorCode.BAD_KEY, str(why)))
                return
            self._fetched = True
            self._hello(now)

    def error(self, ref: str, outcome: Outcome) -> bool:
        """ERROR: return whether it answered something of the login."""
        if ref in self._updates:
            self._updates.discard(ref)
            self._outbox.say(RegistrationRefused(outcome.code, outcome.detail))
            return True
        if self.stage not in _UNDER_WAY or (ref and ref not in self._refs):
            return False
        self._refused(outcome)
        return True

    # -- steps -------------------------------------------------------------------------

    def _send(self, stage: Stage, type: str, payload: dict[str, Any], now: int) -> None:
        self.stage, self._deadline = stage, now + _WAIT_MS
        key = self._account.key if type == USER_HELLO else None
        self._refs.add(self._outbox.send(type, self.server_id, payload, now, key=key))

    def _hello(self, now: int) -> None:
        self._challenge = b64u_encode(self._randomness(32))
        payload = hello(self._account, self._challenge, self._tls_exporter)
        self._send(Stage.GREETING, USER_HELLO, payload, now)

    def _greet(self, now: int) -> list[Envelope]:
        first, self._greeted = not self._greeted, True
        if first and not self.server_key:
            self._outbox.confirms = self._outbox.fans_out = False
            self._outbox.say(ServerUnproven(self._address))
        if self._enrol:
            self._enrol = False
            self._stage_registration(now)
        else:
            self._prove(now)
        waiting, self._waiting = self._waiting, []
        return waiting

    def _stage_registration(self, now: int) -> None:
        self.stage, self._deadline = Stage.ENROLLING, now + _WAIT_MS
        self._refs.add(self._register(now))

    def _register(self, now: int) -> str:
        payload = registration(self._account, self._randomness)
        return self._outbox.send(USER_REGISTER, self.server_id, payload, now)

    def _prove(self, now: int) -> None:
        account = self._account
        assert account.key is not None
        login: dict[str, Any] = {"user_id": account.user_id}
        if self._nonce:
            content = login_content(
                self._nonce, self.server_id, self.server_key, account.user_id
            )
            login["proof"] = sign(account.key, content)
        elif account.passphrase and not self._fetched:
            login["password"] = account.password()
        else:  # the standard's own login: USER_HELLO was all there is
            self._ready()
            return
        self._send(Stage.PROVING, USER_LOGIN, login, now)

    def _ready(self) -> None:
        self.stage = Stage.READY
        self._outbox.say(
            LoggedIn(self._account.user_id, self.server_id, self.fingerprint)
        )

    def _refused(self, outcome: Outcome) -> None:
        say: Callable[[str, str], LoginRefused | RegistrationRefused] = LoginRefused
        if self.stage is Stage.ENROLLING:
            say = RegistrationRefused
        self.stage = Stage.REFUSED
        self._refs.clear()
        self._waiting.clear()
        self._outbox.say(say(outcome.code, outcome.detail))

    def _block(self, seen: Pin, greeting: Envelope) -> None:
        self.stage, self._offered = Stage.BLOCKED, (seen, greeting)
        self._outbox.say(
            ServerKeyChanged(
                self._address, seen.server_id, self.pinned, seen.fingerprint
            )
        )
