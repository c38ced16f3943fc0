"""What can a user's side tell its user?  One frozen value for each thing.

Texts in an event are as they came from the network: whoever prints one passes it
through ``display.harmless`` first.  Times are Unix milliseconds.
"""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Contact:
    """Another user, as this client knows them."""

    user_id: str
    key: str
    """The public key, as on the wire; the pinned one if ``trusted``."""
    fingerprint: str
    online: bool = True
    local: bool = False
    server_id: str = ""
    display_name: str = ""
    extras: frozenset[str] = frozenset()
    trusted: bool = True
    """Whether ``key`` is the pinned one; nothing is sent to a contact without."""
    verified: bool = False
    """Whether our user compared the fingerprint and said so."""


# -- the connection --------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Connecting:
    """A connection is being tried, for the ``attempt``-th time of ``attempts``."""

    url: str
    attempt: int
    attempts: int


@dataclass(frozen=True, slots=True)
class ConnectFailed:
    """That attempt did not lead to a login."""

    url: str
    attempt: int
    attempts: int
    reason: str


@dataclass(frozen=True, slots=True)
class Connected:
    """The connection is open; nobody is logged in yet."""

    url: str


@dataclass(frozen=True, slots=True)
class ConnectionLost:
    """A connection on which the user was logged in has ended."""

    url: str
    reason: str


@dataclass(frozen=True, slots=True)
class GaveUp:
    """No further attempt will be made until the user asks for one."""

    url: str
    attempts: int
    reason: str


@dataclass(frozen=True, slots=True)
class EventsDropped:
    """Nobody read the events in time: the ``count`` oldest ones are gone."""

    count: int


@dataclass(frozen=True, slots=True)
class PinsNotSaved:
    """The keys seen for the first time are not on disk; it is tried again."""

    reason: str


# -- login and keys --------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """The server has accepted us; ``fingerprint`` is empty if it showed no key."""

    user_id: str
    server_id: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class LoginRefused:
    """The server, or what it sent, did not let us log in."""

    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class Registered:
    """The account exists now, or was updated."""

    user_id: str


@dataclass(frozen=True, slots=True)
class RegistrationRefused:
    """The server did not make or update the account."""

    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class ServerPinned:
    """First sight of this server: its key is remembered from now on."""

    address: str
    server_id: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class ServerKeyChanged:
    """
    Not the key that was pinned for this address: nothing is believed, nobody logs in.

    ``seen`` is empty if the server shows no key at all.
    """

    address: str
    server_id: str
    pinned: str
    seen: str


@dataclass(frozen=True, slots=True)
class ServerUnproven:
    """This server shows no key: what it says cannot be checked."""

    address: str


@dataclass(frozen=True, slots=True)
class UserPinned:
    """First sight of this user: their key is remembered from now on."""

    user_id: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class UserKeyChanged:
    """
    Not the key that was pinned for this user; the pin stays until the user decides.

    With our own id: the server tells others a key for us that is not ours.
    """

    user_id: str
    pinned: str
    seen: str


# -- presence --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class UserJoined:
    """A user came online, or something about them changed."""

    contact: Contact


@dataclass(frozen=True, slots=True)
class UserLeft:
    """A user went offline."""

    user_id: str


@dataclass(frozen=True, slots=True)
class UserList:
    """The answer to /list: who is online, sorted by id, without ourselves."""

    users: tuple[Contact, ...]


@dataclass(frozen=True, slots=True)
class ListFailed:
    """The server did not answer /list."""

    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class ChannelMembers:
    """Who is in the public channel, as the server says."""

    version: int
    members: tuple[str, ...]


# -- messages --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TextReceived:
    """A text whose signature verifies with the sender's pinned key."""

    sender: str
    text: str
    ts: int
    public: bool = False
    held: bool = False
    """Kept by the server while we were away: ``ts`` may be long ago."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """
    A message arrived.

    ``confirmed`` is false with servers that do not answer: it was handed over, and
    nobody will say more.
    """

    message_id: str
    to: str
    public: bool = False
    confirmed: bool = True


@dataclass(frozen=True, slots=True)
class Queued:
    """The server keeps a message until its recipient is there; more will follow."""

    message_id: str
    to: str
    public: bool = False


@dataclass(frozen=True, slots=True)
class NotDelivered:
    """A message, or a part of it, did not arrive or was not answered for."""

    message_id: str
    to: str
    code: str
    detail: str
    public: bool = False


@dataclass(frozen=True, slots=True)
class FrameRefused:
    """Something was received and is not shown; ``reason`` says why."""

    type: str
    sender: str
    reason: str


@dataclass(frozen=True, slots=True)
class ServerError:
    """An ERROR of the server that belongs to nothing that is still open."""

    code: str
    detail: str


# -- files -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FileOffered:
    """
    Somebody wants to send a file; ``name`` is already safe as a file's name.

    ``signed`` is false if the sender's client signs no files: nobody can say who sent
    it, or that it is whole, but the server.  ``question`` says whether our user must
    accept or decline.
    """

    file_id: str
    sender: str
    name: str
    size: int
    public: bool
    signed: bool
    question: bool


@dataclass(frozen=True, slots=True)
class FileProgress:
    """``done`` of ``size`` bytes are through; about a hundred of these per file."""

    file_id: str
    peer: str
    name: str
    done: int
    size: int
    incoming: bool


@dataclass(frozen=True, slots=True)
class FileReceived:
    """A file is whole, its SHA-256 is right, and it has its name."""

    file_id: str
    sender: str
    name: str
    size: int
    path: Path
    signed: bool


@dataclass(frozen=True, slots=True)
class FileSent:
    """
    A file of ours is through.

    ``confirmed`` says whether the recipient's client checked it and said so.
    """

    file_id: str
    to: str
    name: str
    size: int
    confirmed: bool


@dataclass(frozen=True, slots=True)
class FileFailed:
    """A transfer ended early; nothing of it is left on this side."""

    file_id: str
    peer: str
    name: str
    reason: str
    incoming: bool


Event = (
    Connecting
    | ConnectFailed
    | Connected
    | ConnectionLost
    | GaveUp
    | EventsDropped
    | PinsNotSaved
    | LoggedIn
    | LoginRefused
    | Registered
    | RegistrationRefused
    | ServerPinned
    | ServerKeyChanged
    | ServerUnproven
    | UserPinned
    | UserKeyChanged
    | UserJoined
    | UserLeft
    | UserList
    | ListFailed
    | ChannelMembers
    | TextReceived
    | Delivered
    | Queued
    | NotDelivered
    | FrameRefused
    | ServerError
    | FileOffered
    | FileProgress
    | FileReceived
    | FileSent
    | FileFailed
)
